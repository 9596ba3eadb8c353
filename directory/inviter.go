package directory

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxInviters bounds the inviters of a network file.
const maxInviters = 64

// ErrUnknownInviter is returned when an inviter is to be taken out that the file
// does not name.
var ErrUnknownInviter = errors.New("directory: no inviter of that name or key")

// Inviter is somebody to whom founders have delegated the issue of relay tokens:
// a key in the network file, which more than half of them signed (SPEC.md §18).
type Inviter struct {
	Public  [32]byte  // Ed25519
	Expires time.Time // whole seconds; tokens do not admit relays afterwards
	Label   string    // 1 to 32 bytes
}

// ID returns the id of the key, by which tokens name their issuer.
func (i Inviter) ID() KeyID { return keyID(i.Public) }

// String returns the label, the id of the key and the day of its end.
func (i Inviter) String() string {
	return fmt.Sprintf("%s %s until %s", i.Label, i.ID(), i.Expires.UTC().Format(time.DateOnly))
}

func inviterTexts(list []Inviter) []string {
	out := make([]string, len(list))
	for n, i := range list {
		out[n] = i.String()
	}
	return out
}

type inviterEntry struct {
	_       struct{} `cbor:",toarray"`
	Alg     uint64
	Public  [32]byte
	Expires uint64
	Label   string
}

func inviterEntries(list []Inviter) []inviterEntry {
	var entries []inviterEntry
	for _, i := range list {
		entries = append(entries, inviterEntry{Alg: algEd25519, Public: i.Public, Expires: uint64(i.Expires.Unix()), Label: i.Label})
	}
	return entries
}

func parseInviters(entries []inviterEntry) ([]Inviter, error) {
	if len(entries) > maxInviters {
		return nil, fmt.Errorf("%w: %d inviters, at most %d", ErrBadNetworkFile, len(entries), maxInviters)
	}
	var list []Inviter
	for _, e := range entries {
		if e.Alg != algEd25519 {
			return nil, fmt.Errorf("%w: key algorithm %d; a newer program may know it", ErrBadNetworkFile, e.Alg)
		}
		if e.Expires > maxUnix {
			return nil, fmt.Errorf("%w: value out of range", ErrBadNetworkFile)
		}
		list = append(list, Inviter{Public: e.Public, Expires: time.Unix(int64(e.Expires), 0), Label: e.Label})
	}
	return list, nil
}

// checkInviters applies the rules of the list. A token names its issuer by eight
// bytes of the key, so no two keys of the file may share them.
func (f *NetworkFile) checkInviters() error {
	if len(f.Inviters) > maxInviters {
		return fmt.Errorf("%w: %d inviters, at most %d", ErrBadNetworkFile, len(f.Inviters), maxInviters)
	}
	for n, i := range f.Inviters {
		if i.Label == "" || !plainText(i.Label, maxLabel) {
			return fmt.Errorf("%w: inviter's name", ErrBadNetworkFile)
		}
		if err := checkKey(i.Public); err != nil {
			return fmt.Errorf("%w: inviter: %w", ErrBadNetworkFile, err)
		}
		if i.Expires.Unix() < 0 || i.Expires.Unix() > maxUnix || i.Expires.Nanosecond() != 0 {
			return fmt.Errorf("%w: inviter's end", ErrBadNetworkFile)
		}
		same := func(o Inviter) bool { return o.ID() == i.ID() || o.Label == i.Label }
		founder := func(k FounderKey) bool { return k.ID() == i.ID() }
		if slices.ContainsFunc(f.Inviters[:n], same) || slices.ContainsFunc(f.Roots, founder) || slices.ContainsFunc(f.Signers, founder) {
			return fmt.Errorf("%w: inviter %s: the same key or name twice", ErrBadNetworkFile, i.Label)
		}
	}
	return nil
}

// AddInviter adds an inviter, or replaces the one of the same key.
func (f *NetworkFile) AddInviter(i Inviter) {
	if n := slices.IndexFunc(f.Inviters, func(o Inviter) bool { return o.Public == i.Public }); n >= 0 {
		f.Inviters[n] = i
		return
	}
	f.Inviters = append(f.Inviters, i)
}

// RemoveInviter takes out the inviter with the label, key or key id: from the
// next version on, tokens of that key admit no more relays.
func (f *NetworkFile) RemoveInviter(who string) error {
	n := slices.IndexFunc(f.Inviters, func(i Inviter) bool {
		return i.Label == who || i.ID().String() == who || RelayID(i.Public).String() == who
	})
	if n < 0 {
		return fmt.Errorf("%w: %q", ErrUnknownInviter, who)
	}
	f.Inviters = slices.Delete(f.Inviters, n, n+1)
	return nil
}
