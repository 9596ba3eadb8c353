package directory

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of a chain of network files.
var (
	ErrOtherNetwork = errors.New("directory: it belongs to another network")
	ErrExpired      = errors.New("directory: it has expired")
	ErrRollback     = errors.New("directory: it is older than what is already known")
	ErrThreshold    = errors.New("directory: too few valid signatures")
)

// Chain is the verified list of all versions of a network's file. It is
// immutable and safe for concurrent use.
type Chain struct {
	id     NetworkID
	files  []*NetworkFile
	hashes [][32]byte // SHA-256 of each body
	raws   [][]byte
}

// VerifyChain verifies all versions of a network file, oldest first, against
// the network id alone: every version signed by enough roots of its
// predecessor and of itself, the numbers rising by one, the last unexpired
// (SPEC.md §2.4).
func VerifyChain(id NetworkID, raws [][]byte, now time.Time) (*Chain, error) {
	return (&Chain{id: id}).Extend(raws, now)
}

// VerifyHistory verifies as VerifyChain does, but the last version may have
// expired: founders can still renew it, or name a successor.
func VerifyHistory(id NetworkID, raws [][]byte) (*Chain, error) {
	return (&Chain{id: id}).extend(raws)
}

// Extend returns a chain with the following versions added, each verified as
// VerifyChain does. Versions that the chain already has are skipped if they are
// the same and refused if they are not.
func (c *Chain) Extend(raws [][]byte, now time.Time) (*Chain, error) {
	n, err := c.extend(raws)
	if err != nil {
		return nil, err
	}
	if err := n.CheckExpiry(now); err != nil {
		return nil, err
	}
	return n, nil
}

// CheckExpiry returns ErrExpired if the newest version is over.
func (c *Chain) CheckExpiry(now time.Time) error {
	if f := c.Current(); !now.Before(f.Expires) {
		return fmt.Errorf("network file: %w: version %d was good until %s", ErrExpired, f.Version, f.Expires.UTC().Format(time.DateOnly))
	}
	return nil
}

func (c *Chain) extend(raws [][]byte) (*Chain, error) {
	n := &Chain{id: c.id, files: slices.Clone(c.files), hashes: slices.Clone(c.hashes), raws: slices.Clone(c.raws)}
	if len(raws) > maxVersions {
		return nil, fmt.Errorf("network file: %w: %d versions", ErrTooLarge, len(raws))
	}
	for _, raw := range raws {
		if err := n.add(raw); err != nil {
			return nil, fmt.Errorf("network file: %w", err)
		}
	}
	if len(n.files) == 0 {
		return nil, fmt.Errorf("network file: %w: no version", ErrBadNetworkFile)
	}
	return n, nil
}

func (c *Chain) add(raw []byte) error {
	d, err := openDocument(labelNetwork, raw, maxNetworkFile)
	if err != nil {
		return err
	}
	f, err := parseNetworkBody(d.Body)
	if err != nil {
		return err
	}
	if f.Version <= uint64(len(c.files)) {
		if c.hashes[f.Version-1] != d.hash() {
			return fmt.Errorf("%w: another version %d", ErrRollback, f.Version)
		}
		return nil
	}
	if f.Version != uint64(len(c.files))+1 {
		return fmt.Errorf("%w: version %d follows %d", ErrBadNetworkFile, f.Version, len(c.files))
	}
	if f.Version == 1 {
		err = c.checkFirst(&d, f)
	} else {
		err = c.checkNext(&d, f)
	}
	if err != nil {
		return err
	}
	c.files = append(c.files, f)
	c.hashes = append(c.hashes, d.hash())
	c.raws = append(c.raws, bytes.Clone(raw))
	return nil
}

// checkFirst demands that the body hashes to the id and that every root signed.
func (c *Chain) checkFirst(d *document, f *NetworkFile) error {
	if NetworkID(labelled(labelNetworkID, d.Body)) != c.id {
		return ErrOtherNetwork
	}
	if err := checkSignatures(d, NetworkID{}, len(f.Roots), f.Roots); err != nil {
		return err
	}
	return checkStrangers(d, NetworkID{}, f.Roots)
}

// checkNext demands the rules of a following version, the threshold of the old
// roots, and that of the new ones.
func (c *Chain) checkNext(d *document, f *NetworkFile) error {
	if err := c.follows(f); err != nil {
		return err
	}
	old := c.Current()
	if err := checkSignatures(d, c.id, RootThreshold(len(old.Roots)), old.Roots); err != nil {
		return fmt.Errorf("roots of version %d: %w", old.Version, err)
	}
	if err := checkSignatures(d, c.id, RootThreshold(len(f.Roots)), f.Roots); err != nil {
		return fmt.Errorf("roots of version %d: %w", f.Version, err)
	}
	return checkStrangers(d, c.id, slices.Concat(old.Roots, f.Roots))
}

// follows checks what a version owes to the one before it, signatures aside
// (SPEC.md §2.4).
func (c *Chain) follows(f *NetworkFile) error {
	old := c.Current()
	switch {
	case f.Version != old.Version+1:
		return fmt.Errorf("%w: version %d follows %d", ErrBadNetworkFile, f.Version, old.Version)
	case f.Previous != c.hashes[len(c.hashes)-1]:
		return fmt.Errorf("%w: version %d does not name its predecessor", ErrBadNetworkFile, f.Version)
	case f.Lab != old.Lab || f.Salt != old.Salt:
		return fmt.Errorf("%w: version %d changes what is immutable", ErrBadNetworkFile, f.Version)
	case f.Created.Before(old.Created):
		return fmt.Errorf("%w: version %d is older than its predecessor", ErrBadNetworkFile, f.Version)
	case f.EpochFloorReset != 0 && sameKeys(f.Signers, old.Signers):
		return fmt.Errorf("%w: version %d resets the epoch floor without new signers", ErrBadNetworkFile, f.Version)
	}
	return nil
}

// sameKeys tells whether two lists hold the same keys, in whatever order and
// under whatever names.
func sameKeys(a, b []FounderKey) bool {
	if len(a) != len(b) {
		return false
	}
	for _, k := range a {
		if !listsKey(b, k.Public) {
			return false
		}
	}
	return true
}

func listsKey(list []FounderKey, pub [32]byte) bool {
	return slices.ContainsFunc(list, func(k FounderKey) bool { return k.Public == pub })
}

// checkSignatures counts the roots that signed the document. Signatures of
// other keys may be those of the other version's roots.
func checkSignatures(d *document, network NetworkID, k int, roots []FounderKey) error {
	n := 0
	for _, r := range roots {
		if d.signedBy(labelNetwork, network, r.Public) {
			n++
		}
	}
	if n < k {
		return fmt.Errorf("%w: %d of the %d needed", ErrThreshold, n, k)
	}
	return nil
}

// checkStrangers demands that every signature verifies and is by one of the
// roots, who may be listed twice: else anybody could change signatures beyond
// those needed, or write into them.
func checkStrangers(d *document, network NetworkID, roots []FounderKey) error {
	valid := 0
	for i, r := range roots {
		if !listsKey(roots[:i], r.Public) && d.signedBy(labelNetwork, network, r.Public) {
			valid++
		}
	}
	if valid != len(d.Signatures) {
		return fmt.Errorf("%w: one is not by a founder", ErrSignature)
	}
	return nil
}

// ID returns the network id.
func (c *Chain) ID() NetworkID { return c.id }

// Current returns the newest version.
func (c *Chain) Current() *NetworkFile { return c.files[len(c.files)-1] }

// Version returns the given version, counted from 1.
func (c *Chain) Version(v uint64) (*NetworkFile, bool) {
	if v < 1 || v > uint64(len(c.files)) {
		return nil, false
	}
	return c.files[v-1], true
}

// Hash returns the SHA-256 of the body of the given version, which is what the
// log holds.
func (c *Chain) Hash(v uint64) ([32]byte, bool) {
	if v < 1 || v > uint64(len(c.hashes)) {
		return [32]byte{}, false
	}
	return c.hashes[v-1], true
}

// Raw returns the documents of the given version and all later ones. The
// caller must not change them.
func (c *Chain) Raw(from uint64) [][]byte {
	if from < 1 {
		from = 1
	}
	if from > uint64(len(c.raws)) {
		return nil
	}
	return c.raws[from-1:]
}

// Founded returns when version 1 was made; a network's age counts from it.
func (c *Chain) Founded() time.Time { return c.files[0].Created }

// Rules returns what decides which descriptors this network accepts.
func (c *Chain) Rules() Rules {
	f := c.Current()
	r := Rules{Network: c.id, Lab: f.Lab, Join: f.Join, Inviters: f.Inviters, Relays: f.Relays, Seeds: f.Seeds}
	if !f.Lab {
		r.WorkBits = int(f.Param(ParamPoWBits, 0))
	}
	for _, k := range f.Roots {
		r.Issuers = append(r.Issuers, k.Public)
	}
	for _, k := range f.Signers {
		r.Issuers = append(r.Issuers, k.Public)
	}
	return r
}

// Link returns the network link of the current version; an invitation
// of 136 bytes makes it a relay link.
func (c *Chain) Link(token []byte) NetworkLink {
	return NetworkLink{ID: c.id, Bootstraps: c.Current().Bootstraps, Token: token}
}
