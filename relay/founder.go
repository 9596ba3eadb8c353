package relay

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hearsay/directory"
)

// Files of a founder's home that the ceremony leaves (SPEC.md §7.6).
const (
	fileCard   = "card"
	fileSigned = "signed"
)

// Errors of the ceremony that callers decide on.
var (
	ErrNoCard = errors.New("relay: this home has no founder's keys")
	// ErrNotMine is returned for a draft that does not hold this founder as the
	// card said.
	ErrNotMine = errors.New("relay: the draft does not hold this founder's card as it was made")
	// ErrSignedOther guards against two network files of one number.
	ErrSignedOther = errors.New("relay: this founder has signed another draft of the same version")
	// ErrNoDirectory is returned for a home whose founder runs no directory: the
	// network file has neither its address nor its signer key.
	ErrNoDirectory = errors.New("relay: the network file names neither this home's address nor its signer key")
	// ErrInForce is returned for a draft that this home has already.
	ErrInForce = errors.New("relay: this version is in force here already")
)

// Founder is one of those who found a network.
type Founder struct {
	Home  string
	Label string // 1 to 32 bytes, for the others to know the keys by
	// Listen is where the founder's directory will serve. Zero: it only dials
	// out, and another founder's directory is the bootstrap.
	Listen netip.AddrPort
	Lab    bool
	// Passphrase seals the root key. Nil: only in a lab network.
	Passphrase []byte
}

// MakeCard makes a founder's keys in a new home and returns the card.
func MakeCard(f Founder) ([]byte, error) {
	if len(f.Passphrase) == 0 && !f.Lab {
		return nil, ErrPassphrase
	}
	if f.Listen.IsValid() {
		if f.Listen.Port() == 0 {
			return nil, fmt.Errorf("%w: the network link holds it, so it needs a port", ErrAddress)
		}
		if err := directory.CheckAddr(f.Listen, f.Lab); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrAddress, f.Listen, err)
		}
	}
	h, err := openHome(f.Home)
	if err != nil {
		return nil, err
	}
	defer h.close()
	for _, f := range []struct {
		name string
		err  error
	}{{fileNetwork, ErrFounded}, {fileCard, ErrHasRoot}, {fileRoot, ErrHasRoot}} {
		if old, err := h.read(f.name); old != nil || err != nil {
			return nil, cmp.Or(err, f.err)
		}
	}
	return h.makeCard(f, time.Now())
}

func (h *home) makeCard(f Founder, now time.Time) ([]byte, error) {
	card := directory.Card{Label: f.Label, Lab: f.Lab}
	root := keyFile{kind: keyRoot, from: now}
	rand.Read(root.secret[:])
	k, err := loadKeys(h, now)
	if err != nil {
		return nil, err
	}
	if f.Listen.IsValid() {
		card.Bootstrap = &directory.Bootstrap{ID: k.id().Prefix(), Addr: f.Listen}
	}
	signer, err := h.makeKey(fileSigner, keySigner, now)
	if err != nil {
		return nil, err
	}
	raw, err := card.Sign(ed25519.NewKeyFromSeed(root.secret[:]), ed25519.NewKeyFromSeed(signer.secret[:]))
	if err != nil {
		return nil, err
	}
	if err := h.write(fileRoot, sealRoot(root, f.Passphrase)); err != nil {
		return nil, err
	}
	return raw, h.write(fileCard, raw)
}

// Card returns the card of a home, or ErrNoCard.
func Card(dir string) ([]byte, error) {
	raw, err := (&home{dir: dir}).read(fileCard)
	if err == nil && raw == nil {
		err = ErrNoCard
	}
	return raw, err
}

// FounderChain returns the versions of the network file that a home knows, the
// last of which may have expired, or ErrNoNetwork. The home may be in use.
func FounderChain(dir string) (*directory.Chain, error) {
	c, err := (&home{dir: dir}).history()
	if err == nil && c == nil {
		err = ErrNoNetwork
	}
	return c, err
}

// history returns the remembered network, expired or not, or nil.
func (h *home) history() (*directory.Chain, error) {
	b, err := h.read(fileNetwork)
	if b == nil || err != nil {
		return nil, err
	}
	id, raws, err := parseNetwork(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, h.path(fileNetwork))
	}
	return directory.VerifyHistory(id, raws)
}

// signs tells whether the file has the signer key of the home's card, or the one
// that lies in the home.
func (h *home) signs(f *directory.NetworkFile) (bool, error) {
	var own [32]byte
	raw, err := h.read(fileCard)
	if err != nil {
		return false, err
	}
	if raw != nil {
		c, err := directory.ParseCard(raw)
		if err != nil {
			return false, err
		}
		own = c.Signer
	} else if key, _, err := h.signerKeys(); err != nil || key == nil {
		return false, err
	} else {
		own = [32]byte(key.Public().(ed25519.PublicKey))
	}
	return slices.ContainsFunc(f.Signers, func(k directory.FounderKey) bool { return k.Public == own }), nil
}

// CheckDraft tells whether a draft concerns this home: it belongs to its
// network and follows what is in force, or it founds a network with the
// home's card, unchanged, among the founders.
func CheckDraft(dir string, d *directory.Draft, now time.Time) error {
	return (&home{dir: dir}).checkDraft(d, now)
}

func (h *home) checkDraft(d *directory.Draft, now time.Time) error {
	if err := d.CheckTime(now); err != nil {
		return err
	}
	chain, err := h.history()
	if err != nil {
		return err
	}
	if chain == nil {
		return h.checkOwn(d.File())
	}
	if chain.ID() != d.Network() {
		return directory.ErrOtherNetwork
	}
	version, current := d.File().Version, chain.Current().Version
	if version <= current {
		if own, _ := chain.Hash(version); own == d.Hash() {
			return ErrInForce
		}
		return fmt.Errorf("%w: version %d is in force here, the draft is of version %d", directory.ErrRollback, current, version)
	}
	for v := uint64(1); v <= current; v++ {
		own, _ := chain.Hash(v)
		if theirs, _ := d.Previous().Hash(v); own != theirs {
			return fmt.Errorf("%w: the draft follows another version %d than this home has", directory.ErrRollback, v)
		}
	}
	return nil
}

// checkOwn demands that the file holds what the card of this home says.
func (h *home) checkOwn(f *directory.NetworkFile) error {
	raw, err := h.read(fileCard)
	if err != nil {
		return err
	}
	if raw == nil {
		return ErrNoCard
	}
	c, err := directory.ParseCard(raw)
	if err != nil {
		return err
	}
	root := slices.Contains(f.Roots, directory.FounderKey{Public: c.Root, Label: c.Label})
	signer := slices.Contains(f.Signers, directory.FounderKey{Public: c.Signer, Label: c.Label})
	bootstrap := c.Bootstrap == nil || slices.Contains(f.Bootstraps, *c.Bootstrap)
	// A later version may take up a founder as root alone, or as signer alone.
	if f.Version == 1 && !(root && signer && bootstrap) || !root && !signer || f.Lab != c.Lab {
		return ErrNotMine
	}
	return nil
}

// SignDraft adds the signature of the home's root key to the draft; the home
// may be in use. A second draft of a version is signed only with replace: two
// that are both signed by enough founders would split the network.
func SignDraft(dir string, d *directory.Draft, passphrase []byte, replace bool) error {
	h := &home{dir: dir}
	if err := h.checkDraft(d, time.Now()); err != nil {
		return err
	}
	if err := h.checkSigned(d); err != nil && !replace {
		return err
	}
	root, err := h.openRoot(passphrase)
	if err != nil {
		return err
	}
	defer clear(root.secret[:])
	if err := d.Sign(ed25519.NewKeyFromSeed(root.secret[:])); err != nil {
		return err
	}
	// On disk before the signature leaves: version u64, hash of the body.
	hash := d.Hash()
	return h.write(fileSigned, append(binary.BigEndian.AppendUint64(nil, d.File().Version), hash[:]...))
}

func (h *home) checkSigned(d *directory.Draft) error {
	b, err := h.read(fileSigned)
	if err != nil {
		return err
	}
	hash := d.Hash()
	if len(b) == 40 && binary.BigEndian.Uint64(b) == d.File().Version && !bytes.Equal(b[8:], hash[:]) {
		return ErrSignedOther
	}
	return nil
}

// InstallDraft assembles a draft that has all its signatures and puts the new
// version into force in the home, which must not be in use. What is in force
// already is left as it is.
func InstallDraft(dir string, d *directory.Draft) (*directory.Chain, error) {
	now := time.Now()
	if err := CheckDraft(dir, d, now); err != nil && !errors.Is(err, ErrInForce) {
		return nil, err
	}
	h, err := openHome(dir)
	if err != nil {
		return nil, err
	}
	defer h.close()
	if err := h.checkDraft(d, now); errors.Is(err, ErrInForce) {
		return h.loadNetwork(now)
	} else if err != nil {
		return nil, err
	}
	chain, err := d.Assemble(now)
	if err != nil {
		return nil, err
	}
	return chain, h.saveNetwork(chain.ID(), chain.Raw(1))
}

// RootSeed returns the secret root key of a home, for its founder to write
// down.
func RootSeed(dir string, passphrase []byte) ([32]byte, error) {
	k, err := (&home{dir: dir}).openRoot(passphrase)
	return k.secret, err
}

// RestoreRoot puts a root key that was written down into a home that has none,
// sealed by the passphrase. It must be a root of the home's network, or that of
// its card.
func RestoreRoot(dir string, seed [32]byte, passphrase []byte) error {
	h, err := openHome(dir)
	if err != nil {
		return err
	}
	defer h.close()
	if old, err := h.read(fileRoot); old != nil || err != nil {
		return cmp.Or(err, ErrHasRoot)
	}
	chain, err := h.history()
	if err != nil {
		return err
	}
	if chain == nil {
		return ErrNoNetwork
	}
	f := chain.Current()
	if len(passphrase) == 0 && !f.Lab {
		return ErrPassphrase
	}
	root := keyFile{kind: keyRoot, from: time.Unix(time.Now().Unix(), 0), secret: seed}
	if !slices.ContainsFunc(f.Roots, func(k directory.FounderKey) bool { return k.Public == public(root) }) {
		return directory.ErrNotRoot
	}
	return h.write(fileRoot, sealRoot(root, passphrase))
}

// SignSuccessor makes the notice that another network succeeds the home's, with
// the signature of its root key, or adds that to a notice of other founders.
// The home may be in use.
func SignSuccessor(dir string, to directory.NetworkLink, notice, passphrase []byte) (*directory.Successor, error) {
	h := &home{dir: dir}
	chain, err := FounderChain(dir)
	if err != nil {
		return nil, err
	}
	var s *directory.Successor
	if notice != nil {
		if s, err = chain.ParseSuccessor(notice); err != nil {
			return nil, err
		}
	}
	k, err := h.openRoot(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(k.secret[:])
	root := ed25519.NewKeyFromSeed(k.secret[:])
	if s != nil {
		s, err = chain.Cosign(s, root)
	} else {
		s, err = chain.SignSuccessor(to, time.Unix(time.Now().Unix(), 0), root)
	}
	if err != nil {
		return nil, err
	}
	return s, h.saveSuccessor(s)
}
