package directory

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of admission. Each but the first says more, and wraps the first where
// a record is refused.
var (
	// ErrNotAdmitted is returned for a descriptor whose relay may not join.
	ErrNotAdmitted = errors.New("directory: the relay is not admitted to this network")
	// ErrNotInFile is returned in a closed network for a relay that its file does
	// not name.
	ErrNotInFile = errors.New("directory: the network is closed and its file does not name the relay")
	// ErrNoToken, ErrNoVouch and ErrNoWork are returned for a relay that shows
	// nothing of what the network asks for.
	ErrNoToken = errors.New("directory: it shows no relay token")
	ErrNoVouch = errors.New("directory: it shows no vouch")
	ErrNoWork  = errors.New("directory: it shows no proof of work")
	// ErrTokenUsed, ErrVouchUsed and ErrYoungVoucher are judgements: the signers'
	// ledger alone tells.
	ErrTokenUsed    = errors.New("directory: the relay token has no use left")
	ErrVouchUsed    = errors.New("directory: those who vouch for the relay have no vouch left")
	ErrYoungVoucher = errors.New("directory: those who vouch for the relay have none that is listed for 30 days")
)

// Rules decide which descriptors a network's stores accept. Get them from
// Chain.Rules and set what the snapshot tells.
type Rules struct {
	Network  NetworkID
	Lab      bool
	Join     Join
	Issuers  [][32]byte // keys whose tokens admit: roots and signers
	Inviters []Inviter  // keys to whom these have delegated it
	Relays   []RelayID  // of a closed network
	Seeds    []RelayID  // relays that the network file names
	WorkBits int        // of a proof of work; 0: none is asked for
	// Own is this node's own relay: whether it may join is for others to say. Zero:
	// it is none.
	Own RelayID
	// Listed tells whether the newest snapshot lists the relay: admission
	// counts at first listing. Nil: none is listed.
	Listed func(RelayID) bool
	// Voucher tells whether a listed relay belongs to the family. Nil: nobody
	// knows, and all may vouch.
	Voucher func(family [32]byte) bool
	// Windows are those of which work counts, by the newest snapshot: see
	// View.WorkWindows.
	Windows []WorkWindow
	// CheckWork verifies a proof of work as VerifyWork does, and may remember
	// what it has verified. Nil: VerifyWork.
	CheckWork func(d *Descriptor, salt [32]byte, bits int) error
}

// TokenProof returns the token in the admission field with what binds it to this
// relay, if there is one. It verifies no signature.
func (d *Descriptor) TokenProof() (TokenProof, bool) {
	if len(d.Admission) == 0 || d.Admission[0] != byte(JoinToken) {
		return TokenProof{}, false
	}
	p, err := parseTokenProof(d.Admission[1:])
	return p, err == nil
}

// Vouches returns the vouches in the admission field. It verifies no signature.
func (d *Descriptor) Vouches() []Vouch {
	if len(d.Admission) == 0 || d.Admission[0] != byte(JoinVouch) {
		return nil
	}
	list, _ := parseVouches(d.Admission[1:])
	return list
}

// admit checks what a relay shows against the ways by which relays join, the
// cheapest first (SPEC.md §4.5).
func (r Rules) admit(d *Descriptor, now time.Time) error {
	if d.ID == r.Own {
		return nil
	}
	if r.Join == JoinClosed {
		if !slices.Contains(r.Relays, d.ID) {
			return fmt.Errorf("%w: %w", ErrNotAdmitted, ErrNotInFile)
		}
		return nil
	}
	if r.Lab && r.Join&JoinOpen != 0 || slices.Contains(r.Seeds, d.ID) || r.Listed != nil && r.Listed(d.ID) {
		return nil
	}
	if r.Join&JoinOpen != 0 && r.WorkBits == 0 {
		return nil
	}
	var err error
	switch {
	case r.Shows(d):
		err = r.checkShown(d, now)
	case r.Join&JoinOpen != 0 && d.PoW != nil:
		err = r.verifyWork(d)
	default:
		err = r.nothingShown()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAdmitted, err)
	}
	return nil
}

// Shows tells whether the descriptor shows a token or vouches where the network
// takes them. Then work beside them does not count: a store that finds them good
// looks at no work, and judgement, which may find them used up, cannot tell.
func (r Rules) Shows(d *Descriptor) bool {
	return len(d.Admission) > 0 && r.Join&Join(d.Admission[0])&(JoinToken|JoinVouch) != 0
}

// checkShown checks the token or the vouches that the descriptor shows.
func (r Rules) checkShown(d *Descriptor, now time.Time) error {
	if Join(d.Admission[0]) == JoinVouch {
		return r.checkVouches(d, now)
	}
	p, err := parseTokenProof(d.Admission[1:])
	if err != nil {
		return err
	}
	return p.Verify(r, d.ID, now)
}

// checkVouches demands one good vouch of a voucher with a listed relay, and of
// the others that they are no forgeries.
func (r Rules) checkVouches(d *Descriptor, now time.Time) error {
	list, err := parseVouches(d.Admission[1:])
	if err != nil {
		return err
	}
	known := false
	for _, v := range list {
		if err := v.Verify(r.Network, d.ID, now); err != nil {
			return err
		}
		known = known || r.Voucher == nil || r.Voucher(v.Voucher)
	}
	if !known {
		return ErrNoVoucher
	}
	return nil
}

// nothingShown says what a relay without any proof lacks, by the way of joining
// that asks least of it.
func (r Rules) nothingShown() error {
	switch {
	case r.Join&JoinOpen != 0:
		return ErrNoWork
	case r.Join&JoinToken != 0:
		return ErrNoToken
	}
	return ErrNoVouch
}

// VerifiedVouchers returns the family keys that vouch for the relay by vouches
// that are good at the time now. Whether they may vouch is the ledger's matter.
func (d *Descriptor) VerifiedVouchers(network NetworkID, now time.Time) ([][32]byte, error) {
	var keys [][32]byte
	var err error
	for _, v := range d.Vouches() {
		if err = v.Verify(network, d.ID, now); err == nil {
			keys = append(keys, v.Voucher)
		}
	}
	return keys, err
}
