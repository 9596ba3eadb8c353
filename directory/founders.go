package directory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Errors of changes in the list of founders.
var (
	ErrFounderTwice   = errors.New("directory: this founder is in the network file already")
	ErrUnknownFounder = errors.New("directory: no founder of that name or key")
	// ErrLabCard is returned for a card made for a lab network in another one,
	// or the other way round.
	ErrLabCard = errors.New("directory: the card is not for this kind of network")
)

// Next returns a copy of the newest version to be changed and drafted as the
// one after it, dated so, but never before the newest. A reset of the epoch
// floor is not repeated.
func (c *Chain) Next(created time.Time) NetworkFile {
	old := c.Current()
	f := *old
	f.Roots, f.Signers = slices.Clone(f.Roots), slices.Clone(f.Signers)
	f.Bootstraps, f.Params = slices.Clone(f.Bootstraps), maps.Clone(f.Params)
	f.Relays, f.Seeds, f.Inviters = slices.Clone(f.Relays), slices.Clone(f.Seeds), slices.Clone(f.Inviters)
	f.EpochFloorReset = 0
	f.Created = time.Unix(created.Unix(), 0)
	if f.Created.Before(old.Created) {
		f.Created = old.Created
	}
	return f
}

// AddFounder adds root, signer and bootstrap of a card.
func (f *NetworkFile) AddFounder(c *Card) error {
	if err := f.AddRoot(c); err != nil {
		return err
	}
	return f.AddSigner(c)
}

// AddRoot adds the root key of a card alone: a cold key, which signs versions
// of the network file and runs no directory.
func (f *NetworkFile) AddRoot(c *Card) error {
	if err := f.accepts(c, c.Root); err != nil {
		return err
	}
	f.Roots = append(f.Roots, FounderKey{Public: c.Root, Label: c.Label})
	return nil
}

// AddSigner adds the signer key of a card and the bootstrap, if it has one.
func (f *NetworkFile) AddSigner(c *Card) error {
	if err := f.accepts(c, c.Signer); err != nil {
		return err
	}
	f.Signers = append(f.Signers, FounderKey{Public: c.Signer, Label: c.Label})
	if b := c.Bootstrap; b != nil && !slices.Contains(f.Bootstraps, *b) {
		f.Bootstraps = append(f.Bootstraps, *b)
	}
	return nil
}

// accepts checks that a card may add the key. Two founders of one name could
// not be told apart when one is to be removed.
func (f *NetworkFile) accepts(c *Card, pub [32]byte) error {
	if c.Lab != f.Lab {
		return ErrLabCard
	}
	for _, k := range slices.Concat(f.Roots, f.Signers) {
		if k.Public == pub || k.Label == c.Label && k.Public != c.Root && k.Public != c.Signer {
			return fmt.Errorf("%w: %s", ErrFounderTwice, c.Label)
		}
	}
	return nil
}

// RemoveRoot removes the root with the label or key id.
func (f *NetworkFile) RemoveRoot(who string) error { return removeKey(&f.Roots, who) }

// RemoveSigner removes the signer with the label or key id.
func (f *NetworkFile) RemoveSigner(who string) error { return removeKey(&f.Signers, who) }

// RemoveFounder removes root and signer of a founder. The bootstraps stay: the
// file does not say whose they are.
func (f *NetworkFile) RemoveFounder(who string) error {
	root := f.RemoveRoot(who)
	signer := f.RemoveSigner(who)
	if root != nil && signer != nil {
		return root
	}
	return nil
}

func removeKey(list *[]FounderKey, who string) error {
	match := func(k FounderKey) bool { return k.Label == who || keyID(k.Public).String() == who }
	var kept []FounderKey
	for _, k := range *list {
		if !match(k) {
			kept = append(kept, k)
		}
	}
	switch len(*list) - len(kept) {
	case 0:
		return fmt.Errorf("%w: %q", ErrUnknownFounder, who)
	case 1:
		*list = kept
		return nil
	}
	return fmt.Errorf("%w: several are called %q; name the key", ErrUnknownFounder, who)
}

// ID returns the id of the key.
func (k FounderKey) ID() KeyID { return keyID(k.Public) }
