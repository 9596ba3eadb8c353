package directory

import (
	"errors"
	"fmt"
	"time"
)

// Errors of the verification of snapshots, beside those of its parts.
var (
	ErrFileBehind = errors.New("directory: the snapshot names a newer network file than is known")
	ErrSlowClock  = errors.New("directory: the snapshot is dated in the future: this computer's clock is slow")
)

// Verify verifies a parsed snapshot in the order of SPEC.md §14 and stops at the
// first failure: network, network file, certificates, signatures, entries and
// tables, epoch, log consistency, inclusion of the last header, age. The error
// names the rule and wraps one of the package's sentinels. On success it fills
// the snapshot's Entries and Tables and returns the view and the state to
// persist before the view is used.
//
// ErrFileBehind asks the caller to fetch newer versions of the network file
// and to try again with the extended chain.
func (c *Chain) Verify(s *Snapshot, prev State, p Proof, now time.Time) (*View, State, error) {
	file, certs, err := c.verifySigned(&s.Head, prev)
	if err != nil {
		return nil, State{}, err
	}
	if err := s.open(); err != nil {
		return nil, State{}, fmt.Errorf("snapshot refused: entries: %w", err)
	}
	next, err := c.verifyHistory(&s.Head, prev, p, now)
	if err != nil {
		return nil, State{}, err
	}
	next.Certs = certs
	return c.view(s, file), next, nil
}

// VerifySigned verifies network, network file, certificates and signatures of a
// head, the first steps of Verify. Before that, no figure in a header is worth
// any effort: whoever sent it may have made it up.
func (c *Chain) VerifySigned(h *Head, prev State) error {
	_, _, err := c.verifySigned(h, prev)
	return err
}

// Restore verifies a snapshot that the reader has stored together with the
// state: it must be the very one that the state names.
func (c *Chain) Restore(s *Snapshot, state State, now time.Time) (*View, error) {
	if s.Hash() != state.Header || s.Header.Epoch != state.Epoch {
		return nil, fmt.Errorf("snapshot refused: store: %w: the stored snapshot is not the last one seen", ErrRollback)
	}
	file, _, err := c.verifySigned(&s.Head, state)
	if err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("snapshot refused: entries: %w", err)
	}
	if err := s.checkAge(now); err != nil {
		return nil, err
	}
	return c.view(s, file), nil
}

// verifySigned checks network, file version, certificates and signatures. It
// returns the version of the network file and the certificate numbers to
// remember.
func (c *Chain) verifySigned(h *Head, prev State) (*NetworkFile, []CertSeq, error) {
	hd := &h.Header
	if hd.Network != c.id {
		return nil, nil, fmt.Errorf("snapshot refused: network: %w", ErrOtherNetwork)
	}
	file, err := c.fileOf(hd, prev)
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot refused: network file: %w", err)
	}
	if hd.Emergency() {
		if err := h.checkRoots(file); err != nil {
			return nil, nil, fmt.Errorf("snapshot refused: signatures: %w", err)
		}
		return file, prev.Certs, nil
	}
	online := make([][32]byte, 0, len(h.certs))
	seqs := prev.Certs
	var last [32]byte
	for i, raw := range h.certs {
		cert, err := ParseCertificate(c.id, raw)
		if err != nil {
			return nil, nil, fmt.Errorf("snapshot refused: certificates: %w", err)
		}
		id := keyID(cert.Signer)
		switch {
		case i > 0 && string(last[:]) >= string(cert.Signer[:]):
			return nil, nil, fmt.Errorf("snapshot refused: certificates: %w: order", ErrBadCertificate)
		case !hasKey(file.Signers, cert.Signer):
			return nil, nil, fmt.Errorf("snapshot refused: certificates: %w: %v is no signer", ErrBadCertificate, id)
		case !cert.Covers(hd.ValidAfter):
			return nil, nil, fmt.Errorf("snapshot refused: certificates: %w: not valid at the snapshot's time", ErrBadCertificate)
		case cert.Seq < prev.certSeq(id):
			return nil, nil, fmt.Errorf("snapshot refused: certificates: %w: replaced by number %d", ErrBadCertificate, prev.certSeq(id))
		}
		last = cert.Signer
		online = append(online, cert.Online)
		seqs = withCert(seqs, id, cert.Seq)
	}
	if err := h.checkSigners(online, SignThreshold(len(file.Signers))); err != nil {
		return nil, nil, fmt.Errorf("snapshot refused: signatures: %w", err)
	}
	return file, seqs, nil
}

// checkSigners demands at least k signatures, each by a different certified
// key, each valid, and none besides.
func (h *Head) checkSigners(online [][32]byte, k int) error {
	if len(h.doc.Signatures) != len(online) {
		return fmt.Errorf("%w: %d signatures, %d certificates", ErrSignature, len(h.doc.Signatures), len(online))
	}
	for _, pub := range online {
		if !h.doc.signedBy(labelHeader, h.Header.Network, pub) {
			return ErrSignature
		}
	}
	if len(online) < k {
		return fmt.Errorf("%w: %d of the %d needed", ErrThreshold, len(online), k)
	}
	return nil
}

// fileOf returns the version of the network file that the header names. It must
// be the newest that is known; the one before it counts until one epoch after
// the newer was made.
func (c *Chain) fileOf(h *Header, prev State) (*NetworkFile, error) {
	f, ok := c.Version(h.FileVersion)
	switch {
	case !ok:
		return nil, ErrFileBehind
	case h.FileVersion < prev.FileVersion:
		return nil, fmt.Errorf("%w: version %d after %d", ErrRollback, h.FileVersion, prev.FileVersion)
	case h.Lab() != f.Lab:
		return nil, fmt.Errorf("%w: flag lab", ErrBadHeader)
	}
	if newer, ok := c.Version(h.FileVersion + 1); ok && h.ValidAfter.After(newer.Created.Add(h.NextEpoch)) {
		return nil, fmt.Errorf("%w: version %d is in force", ErrRollback, newer.Version)
	}
	return f, nil
}

// verifyHistory checks epoch, log and age, and returns the next state without
// its certificate numbers.
func (c *Chain) verifyHistory(h *Head, prev State, p Proof, now time.Time) (State, error) {
	hd := &h.Header
	if floor := c.epochFloor(prev, hd.FileVersion); hd.Epoch <= floor {
		return State{}, fmt.Errorf("snapshot refused: epoch: %w: %d is not newer than %d", ErrRollback, hd.Epoch, floor)
	}
	if err := p.checkConsistency(prev.LogSize, prev.LogRoot, hd.LogSize, hd.LogRoot); err != nil {
		return State{}, fmt.Errorf("snapshot refused: log: %w", err)
	}
	leaf, index := FileLeaf(c.hashes[0]), uint64(0)
	if prev.Epoch != 0 {
		leaf, index = HeaderLeaf(prev.Header), prev.LogSize
	}
	if err := p.checkInclusion(hd.LogSize, hd.LogRoot, index, leaf); err != nil {
		return State{}, fmt.Errorf("snapshot refused: log: %w", err)
	}
	if err := h.checkAge(now); err != nil {
		return State{}, err
	}
	return State{
		Epoch: hd.Epoch, Header: h.Hash(), LogSize: hd.LogSize, LogRoot: hd.LogRoot, FileVersion: hd.FileVersion,
	}, nil
}

// epochFloor is the epoch that a snapshot must exceed: the last one seen, or
// less where founders replaced signers that had run ahead.
func (c *Chain) epochFloor(prev State, version uint64) uint64 {
	floor := prev.Epoch
	for v := prev.FileVersion + 1; v <= version; v++ {
		if f, ok := c.Version(v); ok && f.EpochFloorReset != 0 {
			floor = min(floor, f.EpochFloorReset)
		}
	}
	return floor
}

func (h *Head) checkAge(now time.Time) error {
	age := now.Sub(h.Header.ValidAfter)
	switch {
	case age < -slowestClock:
		return fmt.Errorf("snapshot refused: age: %w", ErrSlowClock)
	case age > h.Header.longest():
		return fmt.Errorf("snapshot refused: age: %w: it is of %s", ErrExpired, h.Header.ValidAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func (c *Chain) view(s *Snapshot, file *NetworkFile) *View {
	relays := make([]Relay, len(s.Entries))
	for i := range s.Entries {
		e := &s.Entries[i]
		relays[i] = Relay{
			ID: e.ID, OnionKey: e.OnionKey, LinkKey: e.LinkKey, OnionEpoch: e.OnionEpoch, Flags: e.Flags,
			Guard: Weight(e.Guard), Inner: Weight(e.Inner), Mailbox: Weight(e.Mailbox),
			Family: e.Family, AS: e.AS, Addrs: e.Addrs,
		}
	}
	h := &s.Header
	signed := [3]int{len(s.certs), len(file.Signers), SignThreshold(len(file.Signers))}
	if h.Emergency() {
		signed = [3]int{len(s.doc.Signatures), len(file.Roots), RootThreshold(len(file.Roots))}
	}
	return newView(View{
		network: c.id, name: file.Name, lab: file.Lab, epoch: h.Epoch, validAfter: h.ValidAfter,
		epochLen: h.NextEpoch, headerHash: s.Hash(), srvs: h.SRVs, signed: signed, byFounders: h.Emergency(), validUntil: h.ValidUntil,
	}, relays)
}

func hasKey(keys []FounderKey, pub [32]byte) bool {
	for _, k := range keys {
		if k.Public == pub {
			return true
		}
	}
	return false
}
