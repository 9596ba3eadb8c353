package directory

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotAdmitted is returned for a descriptor whose relay may not join.
var ErrNotAdmitted = errors.New("directory: the relay is not admitted to this network")

// Rules decide which descriptors a network's stores accept. Get them from
// Chain.Rules and set Listed.
type Rules struct {
	Network NetworkID
	Lab     bool
	Join    Join
	Issuers [][32]byte // keys whose tokens admit: roots and signers
	// Listed tells whether the newest snapshot lists the relay: admission
	// counts at first listing, so a listed relay's token may have expired.
	// Nil: none is listed.
	Listed func(RelayID) bool
}

// TokenAdmission returns the admission field for a descriptor that joins by
// token.
func TokenAdmission(t Token) []byte {
	return append([]byte{byte(JoinToken)}, t.raw[:]...)
}

// Token returns the token in the admission field, if there is one.
func (d *Descriptor) Token() (Token, bool) {
	if len(d.Admission) != 1+TokenSize || d.Admission[0] != byte(JoinToken) {
		return Token{}, false
	}
	t, err := ParseToken(d.Admission[1:])
	return t, err == nil
}

// admit checks the admission field against the join mode (SPEC.md §4.2).
func (r Rules) admit(d *Descriptor, now time.Time) error {
	if r.Lab && r.Join&JoinOpen != 0 {
		return nil
	}
	if r.Join&JoinToken == 0 {
		return fmt.Errorf("%w: this program cannot admit relays to a network that relays join as %q", ErrNotAdmitted, r.Join)
	}
	t, ok := d.Token()
	if !ok {
		return fmt.Errorf("%w: it shows no token", ErrNotAdmitted)
	}
	var err error
	if r.Listed != nil && r.Listed(d.ID) {
		err = t.verifySignature(r.Network, r.Issuers)
	} else {
		err = t.Verify(r.Network, r.Issuers, now)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAdmitted, err)
	}
	return nil
}
