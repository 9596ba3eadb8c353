package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// Files of a founder's home that emergencies leave (SPEC.md §7.8).
const (
	fileEmergency       = "emergency"
	fileSignedEmergency = "signed-emergency"
)

// ErrNoSnapshot is returned for a home whose directory never held a snapshot.
var ErrNoSnapshot = errors.New("relay: this home holds no snapshot to go on from")

// dirGossip is the part of a home that gossip keeps.
const dirGossip = "gossip"

// DraftEmergency drafts the snapshot by which founders take the network further
// when signers are gone: from the newest snapshot and the records that the home's
// directory holds, for a number of days from now on (lab: 240 seconds each). The
// home must not be in use.
func DraftEmergency(dir string, days int) (*directory.EmergencyDraft, error) {
	h, err := openHome(dir)
	if err != nil {
		return nil, err
	}
	defer h.close()
	chain, err := h.loadNetwork(time.Now())
	if err != nil {
		return nil, err
	}
	if chain == nil {
		return nil, ErrNoNetwork
	}
	n, err := h.gossip(chain)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, ErrNoSnapshot
	}
	defer n.Close()
	base, log, err := n.LastSnapshot()
	if errors.Is(err, gossip.ErrNoSnapshot) {
		return nil, ErrNoSnapshot
	} else if err != nil {
		return nil, err
	}
	lab, at := chain.Current().Lab, time.Now()
	if next := directory.EpochTime(lab, base.Header.Epoch+1); at.Before(next) {
		at = next
	}
	return n.Chain().DraftEmergency(base, log, n.Store().Records(), at, directory.Scale(lab, time.Duration(days)*day))
}

// gossip opens what the home's directory holds, nil if it never ran.
func (h *home) gossip(chain *directory.Chain) (*gossip.Node, error) {
	dir := h.path(dirGossip)
	if _, err := os.Stat(filepath.Join(dir, "gossip.db")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return gossip.NewNode(gossip.NodeConfig{
		Role: gossip.RoleDirectory, Dialer: &dialer{}, Views: new(directory.Views),
		Link: chain.Link(nil), Files: chain.Raw(1), Dir: dir,
	})
}

// ParseEmergency reads a draft of the home's network, which may be in use.
func ParseEmergency(dir string, raw []byte) (*directory.EmergencyDraft, error) {
	chain, err := FounderChain(dir)
	if err != nil {
		return nil, err
	}
	return chain.ParseEmergencyDraft(raw)
}

// SignEmergency adds the signature of the home's root key to the draft. The home
// must not be in use: it refuses a draft that goes on from an older snapshot than
// its directory holds. A second draft from one snapshot is signed only with
// replace, since two would part the network.
func SignEmergency(dir string, d *directory.EmergencyDraft, passphrase []byte, replace bool) error {
	h, err := openHome(dir)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.checkEmergency(d, time.Now()); err != nil {
		return err
	}
	base, hash := d.Base().Hash(), d.Hash()
	last, err := h.read(fileSignedEmergency)
	if err != nil {
		return err
	}
	// SHA-256 of the base's header, and of the header that was signed.
	if len(last) == 64 && bytes.Equal(last[:32], base[:]) && !bytes.Equal(last[32:], hash[:]) && !replace {
		return ErrSignedOther
	}
	root, err := h.openRoot(passphrase)
	if err != nil {
		return err
	}
	defer clear(root.secret[:])
	if err := d.Sign(ed25519.NewKeyFromSeed(root.secret[:])); err != nil {
		return err
	}
	return h.write(fileSignedEmergency, append(base[:], hash[:]...)) // on disk before the signature leaves
}

// checkEmergency refuses a draft that is too old, or goes on from another
// snapshot than the newest that this home holds.
func (h *home) checkEmergency(d *directory.EmergencyDraft, now time.Time) error {
	if err := d.CheckTime(now); err != nil {
		return err
	}
	chain, err := h.history()
	if err != nil {
		return err
	}
	n, err := h.gossip(chain)
	if n == nil || err != nil {
		return err
	}
	defer n.Close()
	own, _, err := n.LastSnapshot()
	if errors.Is(err, gossip.ErrNoSnapshot) {
		return nil
	} else if err != nil {
		return err
	}
	if base := d.Base(); own.Header.Epoch > base.Header.Epoch || own.Header.Epoch == base.Header.Epoch && own.Hash() != base.Hash() {
		if own.Hash() == d.Hash() {
			return ErrInForce
		}
		return fmt.Errorf("%w: this home holds the snapshot of %s, the draft goes on from that of %s", directory.ErrRollback,
			own.Header.ValidAfter.UTC().Format(time.DateTime), base.Header.ValidAfter.UTC().Format(time.DateTime))
	}
	return nil
}

// InstallEmergency puts a draft that has its signatures into the home, which must
// not be in use; its directory publishes the snapshot when it runs.
func InstallEmergency(dir string, d *directory.EmergencyDraft) error {
	h, err := openHome(dir)
	if err != nil {
		return err
	}
	defer h.close()
	now := time.Now()
	if err := h.checkEmergency(d, now); err != nil {
		return err
	}
	raw, err := d.Assemble(now)
	if err != nil {
		return err
	}
	return h.write(fileEmergency, raw)
}

// takeEmergency publishes the emergency snapshot that founders put into the home,
// if there is one. When signers are back, or it has ended, it is removed.
func (n *DirectoryNode) takeEmergency() error {
	raw, err := n.home.read(fileEmergency)
	if raw == nil || err != nil {
		return err
	}
	s, err := directory.ParseSnapshot(raw)
	if err == nil && n.gossip.Status().Epoch == s.Header.Epoch {
		return nil // published at an earlier start
	}
	if err == nil {
		err = n.gossip.AddEmergency(raw)
	}
	switch {
	case err == nil:
		n.log.Warn("the founders' emergency snapshot is published", "epoch", s.Header.Epoch, "until", s.Header.ValidUntil.UTC().Format(time.RFC3339))
	case errors.Is(err, directory.ErrRollback), errors.Is(err, directory.ErrExpired):
		n.log.Info("the founders' emergency snapshot is of no use any more", logError, err)
		return n.home.remove(fileEmergency)
	default:
		// The directory serves what it has.
		n.log.Error("the founders' emergency snapshot is refused", logError, err)
	}
	return nil
}
