package relay

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/directory"
)

// fileFamilies holds the family certificates of a relay's home (SPEC.md §7.9).
const fileFamilies = "families"

// Errors of families that callers decide on.
var (
	// ErrOtherRelay is returned for a certificate or vouch of another relay.
	ErrOtherRelay = errors.New("relay: it is for another relay")
	// ErrManyFamilies is returned for a third family.
	ErrManyFamilies = errors.New("relay: a relay belongs to two families at most")
	// ErrNoFamily is returned when there is none to take out.
	ErrNoFamily = errors.New("relay: the relay does not belong to that family")
)

const familyCertificate = 136 // bytes in the file

// AddFamily puts a family certificate, as bytes or as text, into a relay's home,
// in place of an older one of the same family. The home may be in use: a running
// relay publishes it within ten minutes.
func AddFamily(dir string, certificate []byte) (directory.Family, error) {
	added, err := addFamilies(dir, [][]byte{certificate}, false)
	if err != nil {
		return directory.Family{}, err
	}
	return added[0], nil
}

// AddFamilies is AddFamily for several certificates: all of them, or none.
func AddFamilies(dir string, certificates [][]byte) error {
	_, err := addFamilies(dir, certificates, false)
	return err
}

// CheckFamilies fails as AddFamilies would. It changes nothing.
func CheckFamilies(dir string, certificates [][]byte) error {
	_, err := addFamilies(dir, certificates, true)
	return err
}

func addFamilies(dir string, certificates [][]byte, dry bool) (added []directory.Family, err error) {
	if len(certificates) == 0 {
		return nil, nil
	}
	chain, id, err := relayHome(dir)
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir}
	list, err := h.families(chain.ID(), id)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, c := range certificates {
		f, of, err := directory.ParseFamily(chain.ID(), c)
		if err != nil {
			return nil, err
		}
		if of != id {
			return nil, fmt.Errorf("%w: %s, this one is %s", ErrOtherRelay, of, id)
		}
		list = slices.DeleteFunc(list, func(o directory.Family) bool { return o.Key == f.Key || !o.Expires.After(now) })
		if len(list) == directory.MaxFamilies {
			return nil, ErrManyFamilies
		}
		list, added = append(list, f), append(added, f)
	}
	if dry {
		return added, nil
	}
	return added, h.saveFamilies(list, id)
}

// RemoveFamily takes a relay out of a family.
func RemoveFamily(dir string, key [32]byte) error {
	chain, id, err := relayHome(dir)
	if err != nil {
		return err
	}
	h := &home{dir: dir}
	list, err := h.families(chain.ID(), id)
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(list), func(o directory.Family) bool { return o.Key == key })
	if len(kept) == len(list) {
		return ErrNoFamily
	}
	return h.saveFamilies(kept, id)
}

// Families returns the family certificates of a relay's home, those that have
// expired too.
func Families(dir string) ([]directory.Family, error) {
	chain, id, err := relayHome(dir)
	if err != nil {
		return nil, err
	}
	return (&home{dir: dir}).families(chain.ID(), id)
}

func relayHome(dir string) (*directory.Chain, directory.RelayID, error) {
	chain, err := FounderChain(dir)
	if err != nil {
		return nil, directory.RelayID{}, err
	}
	id, err := HomeID(dir)
	return chain, id, err
}

// families reads the certificates, which verify or are an error.
func (h *home) families(network directory.NetworkID, id directory.RelayID) ([]directory.Family, error) {
	b, err := h.read(fileFamilies)
	if err != nil {
		return nil, err
	}
	if len(b)%familyCertificate != 0 || len(b) > directory.MaxFamilies*familyCertificate {
		return nil, fmt.Errorf("relay: %s is damaged", h.path(fileFamilies))
	}
	var list []directory.Family
	for ; len(b) > 0; b = b[familyCertificate:] {
		f, of, err := directory.ParseFamily(network, b[:familyCertificate])
		if err == nil && of != id {
			err = ErrOtherRelay
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.path(fileFamilies), err)
		}
		list = append(list, f)
	}
	return list, nil
}

func (h *home) saveFamilies(list []directory.Family, id directory.RelayID) error {
	slices.SortFunc(list, func(a, b directory.Family) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	var b []byte
	for i := range list {
		b = list[i].Append(b, id)
	}
	return h.write(fileFamilies, b)
}

// goodFamilies returns the certificates that count at the time now.
func (h *home) goodFamilies(network directory.NetworkID, id directory.RelayID, now time.Time) ([]directory.Family, error) {
	list, err := h.families(network, id)
	return slices.DeleteFunc(list, func(f directory.Family) bool { return !now.Before(f.Expires) }), err
}
