package directory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Specification constants of drafts (SPEC.md §2.6).
const (
	maxDraft   = 4 << 20 // bytes; the versions before are part of it
	draftType  = "draft"
	draftWords = 10
	// DraftLife is how long founders have for their ceremony, and how far ahead
	// an amendment may be dated.
	DraftLife = 30 * 24 * time.Hour
)

// Errors of drafts.
var (
	ErrBadDraft = errors.New("directory: not a draft of a network file")
	// ErrDraftChanged is returned for a draft with a signature that is not of
	// its body: somebody changed it after that founder had signed.
	ErrDraftChanged = errors.New("directory: the draft was changed after a founder signed it")
	// ErrOtherDraft is returned by Merge for a draft of other content: its ten
	// words differ.
	ErrOtherDraft   = errors.New("directory: these are different drafts")
	ErrDraftExpired = errors.New("directory: the draft is too old to be signed")
	// ErrNotRoot is returned for a key that is no root of the draft, nor of the
	// version before it.
	ErrNotRoot = errors.New("directory: the key is no root key of this draft")
	ErrNothing = errors.New("directory: the draft changes nothing")
)

// Draft is a version of a network file on its way from founder to founder: it
// gathers signatures until there are enough. A Draft is not safe for concurrent
// use.
type Draft struct {
	file     *NetworkFile
	previous *Chain // the versions before; nil in a founding
	network  NetworkID
	doc      document
}

// draftFile is the encoding of a draft.
type draftFile struct {
	_          struct{} `cbor:",toarray"`
	Type       string
	Versions   [][]byte
	Body       []byte
	Signatures []signature
}

// DraftFounding drafts version 1 of a new network. Version and Previous of f
// are set; its salt must be random.
func DraftFounding(f NetworkFile) (*Draft, error) {
	f.Version, f.Previous = 1, [32]byte{}
	return newDraft(f, nil)
}

// DraftAmendment drafts the version after the chain's newest. Version and
// Previous of f are set. It fails with ErrNothing if only the date differs.
func DraftAmendment(c *Chain, f NetworkFile) (*Draft, error) {
	f.Version = c.Current().Version + 1
	f.Previous, _ = c.Hash(c.Current().Version)
	if err := c.follows(&f); err != nil {
		return nil, err
	}
	d, err := newDraft(f, c)
	if err == nil && len(Changes(c.Current(), &f)) == 0 {
		err = ErrNothing
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func newDraft(f NetworkFile, previous *Chain) (*Draft, error) {
	body, err := f.encode()
	if err != nil {
		return nil, err
	}
	var versions [][]byte
	if previous != nil {
		versions = previous.Raw(1)
	}
	return openDraft(draftFile{Type: draftType, Versions: versions, Body: body})
}

// ParseDraft reads a draft, verifies the versions before it and every signature
// that it bears. Whether it is the network that the reader means is the
// caller's matter.
func ParseDraft(b []byte) (*Draft, error) {
	var d draftFile
	if err := decode(b, maxDraft, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadDraft, err)
	}
	return openDraft(d)
}

func openDraft(d draftFile) (*Draft, error) {
	if d.Type != draftType || len(d.Signatures) > maxSignatures {
		return nil, fmt.Errorf("%w: %w", ErrBadDraft, ErrWrongType)
	}
	f, err := parseNetworkBody(d.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadDraft, err)
	}
	n := &Draft{file: f, doc: document{Type: labelNetwork[len(labelPrefix):], Body: d.Body}}
	if f.Version == 1 {
		if len(d.Versions) != 0 {
			return nil, fmt.Errorf("%w: versions before the first", ErrBadDraft)
		}
		n.network = NetworkID(labelled(labelNetworkID, d.Body))
	} else if err := n.readHistory(d.Versions); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadDraft, err)
	}
	for i, s := range d.Signatures {
		if i > 0 && bytes.Compare(d.Signatures[i-1].Key[:], s.Key[:]) >= 0 {
			return nil, fmt.Errorf("%w: %w", ErrBadDraft, ErrNotCanonical)
		}
	}
	n.doc.Signatures = d.Signatures
	signed := 0
	for _, r := range n.Roots() {
		if r.Signed {
			signed++
		}
	}
	if signed != len(d.Signatures) {
		return nil, ErrDraftChanged
	}
	return n, nil
}

func (d *Draft) readHistory(versions [][]byte) error {
	if len(versions) == 0 {
		return fmt.Errorf("%w: the versions before it are missing", ErrBadNetworkFile)
	}
	first, err := openDocument(labelNetwork, versions[0], maxNetworkFile)
	if err != nil {
		return err
	}
	d.network = NetworkID(labelled(labelNetworkID, first.Body))
	if d.previous, err = VerifyHistory(d.network, versions); err != nil {
		return err
	}
	return d.previous.follows(d.file)
}

// Bytes returns the encoding of the draft with the signatures it has.
func (d *Draft) Bytes() ([]byte, error) {
	f := draftFile{Type: draftType, Body: d.doc.Body, Signatures: d.doc.Signatures}
	if d.previous != nil {
		f.Versions = d.previous.Raw(1)
	}
	b, err := encode(&f)
	if err == nil && len(b) > maxDraft {
		err = fmt.Errorf("%w: a draft of %d bytes", ErrTooLarge, len(b))
	}
	return b, err
}

// File returns the drafted version. The caller must not change it.
func (d *Draft) File() *NetworkFile { return d.file }

// Previous returns the versions before this one, or nil in a founding.
func (d *Draft) Previous() *Chain { return d.previous }

// Network returns the id of the network; in a founding it is that of the
// network which this very draft makes.
func (d *Draft) Network() NetworkID { return d.network }

// Hash returns the SHA-256 of the body, which the ten words are drawn from.
func (d *Draft) Hash() [32]byte { return d.doc.hash() }

// Words returns ten words for 110 bits of Hash. Founders who hear the same
// words have the same draft (SPEC.md §2.7).
func (d *Draft) Words() []string {
	h := sha256.Sum256(d.doc.Body)
	return wordsOf(h[:], draftWords)
}

// CheckTime returns ErrDraftExpired for a draft that is too old, or dated too
// far ahead, to be signed or assembled, and ErrExpired for one whose network
// file has ended.
func (d *Draft) CheckTime(now time.Time) error {
	ahead := clockTolerance
	if d.previous != nil {
		ahead += DraftLife
	}
	switch {
	case !now.Before(d.file.Expires):
		return fmt.Errorf("%w: on %s", ErrExpired, d.file.Expires.UTC().Format(time.DateOnly))
	case now.After(d.file.Created.Add(DraftLife)):
		return fmt.Errorf("%w: it is of %s", ErrDraftExpired, d.file.Created.UTC().Format(time.DateOnly))
	case d.file.Created.After(now.Add(ahead)):
		return fmt.Errorf("%w: it is dated %s, in the future", ErrDraftExpired, d.file.Created.UTC().Format(time.DateTime))
	}
	return nil
}

// DraftRoot is a root that a draft concerns.
type DraftRoot struct {
	FounderKey
	Old, New bool // root of the version before, of the drafted one
	Signed   bool
}

// Roots returns all roots of the version before and of the draft, and who has
// signed.
func (d *Draft) Roots() []DraftRoot {
	var list []DraftRoot
	for _, k := range d.file.Roots {
		list = append(list, DraftRoot{FounderKey: k, New: true, Old: listsKey(d.oldRoots(), k.Public)})
	}
	for _, k := range d.oldRoots() {
		if !listsKey(d.file.Roots, k.Public) {
			list = append(list, DraftRoot{FounderKey: k, Old: true})
		}
	}
	for i := range list {
		list[i].Signed = d.doc.signedBy(labelNetwork, d.signedIn(), list[i].Public)
	}
	return list
}

func (d *Draft) oldRoots() []FounderKey {
	if d.previous == nil {
		return nil
	}
	return d.previous.Current().Roots
}

// signedIn returns the network id in the signed text: version 1 defines it, so
// there it is zero.
func (d *Draft) signedIn() NetworkID {
	if d.previous == nil {
		return NetworkID{}
	}
	return d.network
}

// Lacking returns how many signatures are still needed by roots of the version
// before and by roots of the drafted one: all in a founding, later k_root of
// each.
func (d *Draft) Lacking() (old, drafted int) {
	drafted = len(d.file.Roots)
	if d.previous != nil {
		old, drafted = RootThreshold(len(d.oldRoots())), RootThreshold(drafted)
	}
	for _, r := range d.Roots() {
		if r.Signed && r.Old {
			old--
		}
		if r.Signed && r.New {
			drafted--
		}
	}
	return max(old, 0), max(drafted, 0)
}

// Sign adds the signature of a root key.
func (d *Draft) Sign(root ed25519.PrivateKey) error {
	if pub := publicOf(root); !listsKey(d.file.Roots, pub) && !listsKey(d.oldRoots(), pub) {
		return ErrNotRoot
	}
	d.doc.add(signBody(labelNetwork, d.signedIn(), d.doc.Body, root))
	return nil
}

// Merge adds the signatures of another copy of the same draft. It fails with
// ErrOtherDraft if the contents differ.
func (d *Draft) Merge(o *Draft) error {
	if d.network != o.network || !bytes.Equal(d.doc.Body, o.doc.Body) {
		return ErrOtherDraft
	}
	for _, s := range o.doc.Signatures {
		d.doc.add(s)
	}
	return nil
}

// Assemble returns the chain with the drafted version as its newest. It fails
// with ErrThreshold while signatures are lacking.
func (d *Draft) Assemble(now time.Time) (*Chain, error) {
	if err := d.CheckTime(now); err != nil {
		return nil, err
	}
	if old, drafted := d.Lacking(); old > 0 || drafted > 0 {
		return nil, fmt.Errorf("%w: the draft is not signed by all who must", ErrThreshold)
	}
	raw, err := encode(&d.doc)
	if err != nil {
		return nil, err
	}
	if d.previous == nil {
		return VerifyChain(d.network, [][]byte{raw}, now)
	}
	return d.previous.Extend([][]byte{raw}, now)
}
