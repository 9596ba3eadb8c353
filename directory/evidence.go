package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Specification constants of evidence (SPEC.md §25).
const (
	// MaxEvidence bounds a piece of evidence, in bytes: two votes and their
	// certificates.
	MaxEvidence      = 1 + 4*4 + 2*MaxVote + 2*maxCertificate
	maxEvidenceFiles = 16 // versions of the network file between two places of the log
)

// ErrBadEvidence is returned for evidence that proves nothing.
var ErrBadEvidence = errors.New("directory: this proves nothing")

// EvidenceKind says what evidence proves.
type EvidenceKind uint8

// The kinds.
const (
	EvidenceFork    EvidenceKind = 1 + iota // two headers of one epoch number
	EvidenceRewrite                         // two headers at one place of the log
	EvidenceVotes                           // two votes of one signer for one epoch
	EvidenceRecords                         // two records of one relay with one number
)

// Evidence proves that signers or a relay signed two things of which they may
// sign one. It is verified and immutable.
type Evidence struct {
	kind     EvidenceKind
	culprits []FounderKey // rising by key; empty for EvidenceRecords
	relay    RelayID      // EvidenceRecords
	times    [2]time.Time // of the two snapshots, or of the records
	heads    []*Head      // of EvidenceFork and EvidenceRewrite
	raw      []byte
}

// Kind says what is proven.
func (e *Evidence) Kind() EvidenceKind { return e.kind }

// Culprits returns the signers that are to blame: all that signed both. There is
// none for EvidenceRecords. The caller must not change it.
func (e *Evidence) Culprits() []FounderKey { return e.culprits }

// Relay returns the relay that is to blame, for EvidenceRecords.
func (e *Evidence) Relay() (RelayID, bool) { return e.relay, e.kind == EvidenceRecords }

// Raw returns the encoding. The caller must not change it.
func (e *Evidence) Raw() []byte { return e.raw }

// Severe tells whether readers were shown two histories: then they take no new
// guards and look up no new contacts until the founders have acted.
func (e *Evidence) Severe() bool { return e.kind == EvidenceFork || e.kind == EvidenceRewrite }

// News tells whether the evidence blames somebody whom no other of its kind
// among those held does. Only such is kept and passed on: who signs thousands of
// contradictions must not fill the stores with them.
func (e *Evidence) News(held []*Evidence) bool {
	known := func(same func(o *Evidence) bool) bool {
		return slices.ContainsFunc(held, func(o *Evidence) bool { return o.kind == e.kind && same(o) })
	}
	if e.kind == EvidenceRecords {
		return !known(func(o *Evidence) bool { return o.relay == e.relay })
	}
	for _, c := range e.culprits {
		if !known(func(o *Evidence) bool { return hasKey(o.culprits, c.Public) }) {
			return true
		}
	}
	return false
}

// Text says in plain words who did what.
func (e *Evidence) Text() string {
	const layout = "2006-01-02 15:04:05 UTC"
	a, b := e.times[0].UTC().Format(layout), e.times[1].UTC().Format(layout)
	switch e.kind {
	case EvidenceFork:
		return fmt.Sprintf("%s signed two different snapshots for %s: people were shown different networks", e.names(), a)
	case EvidenceRewrite:
		return fmt.Sprintf("%s signed the snapshots of %s and of %s, which deny each other: the history was rewritten", e.names(), a, b)
	case EvidenceVotes:
		return fmt.Sprintf("%s sent two different votes for the snapshot of %s", e.names(), a)
	}
	return fmt.Sprintf("relay %v signed two different records of %s", e.relay, a)
}

func (e *Evidence) names() string {
	var list []string
	for _, c := range e.culprits {
		if c.Label == "" {
			list = append(list, "signer "+keyID(c.Public).String())
			continue
		}
		list = append(list, fmt.Sprintf("%s (signer %v)", c.Label, keyID(c.Public)))
	}
	return strings.Join(list, " and ")
}

// ParseEvidence decodes evidence and verifies all of it (SPEC.md §25). It wraps
// ErrFileBehind if a header names a newer network file than the chain has.
func (c *Chain) ParseEvidence(raw []byte) (*Evidence, error) {
	if len(raw) > MaxEvidence {
		return nil, fmt.Errorf("parse evidence: %w: %d bytes", ErrTooLarge, len(raw))
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("parse evidence: %w: empty", ErrBadEvidence)
	}
	e := &Evidence{kind: EvidenceKind(raw[0]), raw: bytes.Clone(raw)}
	parts, ok := splitEvidence(raw[1:])
	verify, count := c.verifyFork, 2
	switch e.kind {
	case EvidenceFork:
	case EvidenceRewrite:
		verify, count = c.verifyRewrite, 3
	case EvidenceVotes:
		verify, count = c.verifyVotes, 4
	case EvidenceRecords:
		verify = c.verifyRecords
	default:
		return nil, fmt.Errorf("parse evidence: %w: kind %d", ErrBadEvidence, raw[0])
	}
	if !ok || len(parts) != count {
		return nil, fmt.Errorf("parse evidence: %w: form", ErrBadEvidence)
	}
	if err := verify(e, parts); err != nil {
		return nil, fmt.Errorf("parse evidence: %w", err)
	}
	if len(e.culprits) == 0 && e.kind != EvidenceRecords {
		return nil, fmt.Errorf("parse evidence: %w: nobody signed both", ErrBadEvidence)
	}
	slices.SortFunc(e.culprits, func(a, b FounderKey) int { return bytes.Compare(a.Public[:], b.Public[:]) })
	return e, nil
}

// ForkEvidence proves that signers signed two headers of one epoch number.
func (c *Chain) ForkEvidence(a, b *Head) (*Evidence, error) {
	x, y, err := evidenceHeads(a, b, bytesOrder)
	if err != nil {
		return nil, err
	}
	return c.ParseEvidence(joinEvidence(EvidenceFork, x, y))
}

// RewriteEvidence proves that signers signed two headers, of different epoch
// numbers, of which each claims to come next in the log. Between the places that
// they name there may be versions of the network file; then log must be the one
// that the header with the greater log size belongs to, else it may be nil.
func (c *Chain) RewriteEvidence(a, b *Head, log *Log) (*Evidence, error) {
	x, y, err := evidenceHeads(a, b, rewriteOrder)
	if err != nil {
		return nil, err
	}
	early, late := &a.Header, &b.Header
	if rewriteOrder(a, b) > 0 {
		early, late = late, early
	}
	var proofs []byte
	for at := early.LogSize; at < late.LogSize && at-early.LogSize < maxEvidenceFiles; at++ {
		if log == nil {
			return nil, fmt.Errorf("%w: no log", ErrBadEvidence)
		}
		version, ok := uint64(0), false
		for v := uint64(1); v <= c.Current().Version && !ok; v++ {
			hash, _ := c.Hash(v)
			if leaves := log.Leaves(at); len(leaves) > 0 && leaves[0] == FileLeaf(hash) {
				version, ok = v, true
			}
		}
		if !ok {
			return nil, fmt.Errorf("%w: another header lies between them", ErrBadEvidence)
		}
		p, err := log.Prove(1, late.LogSize, at)
		if err != nil {
			return nil, err
		}
		proofs = binary.BigEndian.AppendUint16(proofs, uint16(version))
		proofs = Proof{Inclusion: p.Inclusion}.Append(proofs)
	}
	return c.ParseEvidence(joinEvidence(EvidenceRewrite, x, y, proofs))
}

// VoteEvidence proves that a signer sent two votes for one epoch, given both and
// the certificates of the keys that signed them.
func (c *Chain) VoteEvidence(a *Vote, certA []byte, b *Vote, certB []byte) (*Evidence, error) {
	if bytes.Compare(a.hash[:], b.hash[:]) > 0 {
		a, certA, b, certB = b, certB, a, certA
	}
	return c.ParseEvidence(joinEvidence(EvidenceVotes, a.raw, certA, b.raw, certB))
}

// RecordEvidence proves that a relay signed two records with one number.
func (c *Chain) RecordEvidence(a, b *Record) (*Evidence, error) {
	if bytes.Compare(a.Hash[:], b.Hash[:]) > 0 {
		a, b = b, a
	}
	return c.ParseEvidence(joinEvidence(EvidenceRecords, a.Raw, b.Raw))
}

// bytesOrder and rewriteOrder say which head comes first in evidence.
func bytesOrder(a, b *Head) int {
	x, y := a.Hash(), b.Hash()
	return bytes.Compare(x[:], y[:])
}

func rewriteOrder(a, b *Head) int {
	if a.Header.LogSize != b.Header.LogSize {
		if a.Header.LogSize < b.Header.LogSize {
			return -1
		}
		return 1
	}
	return bytesOrder(a, b)
}

func evidenceHeads(a, b *Head, order func(a, b *Head) int) (x, y []byte, err error) {
	if order(a, b) > 0 {
		a, b = b, a
	}
	if x, err = a.WithoutWitnesses().Encode(); err != nil {
		return nil, nil, err
	}
	y, err = b.WithoutWitnesses().Encode()
	return x, y, err
}

// verifyHeads parses and verifies the first two parts and names who signed
// both.
func (c *Chain) verifyHeads(e *Evidence, parts [][]byte, order func(a, b *Head) int) (heads [2]*Head, err error) {
	var signers [2][]FounderKey
	for i := range heads {
		if heads[i], err = ParseHead(parts[i]); err != nil {
			return heads, err
		}
		if len(heads[i].witnesses) > 0 {
			return heads, fmt.Errorf("%w: witnesses", ErrBadEvidence)
		}
		file, _, err := c.verifySigned(heads[i], State{})
		if err != nil {
			return heads, err
		}
		signers[i] = heads[i].signers(file)
		e.times[i] = heads[i].Header.ValidAfter
	}
	if heads[0].Hash() == heads[1].Hash() || order(heads[0], heads[1]) > 0 {
		return heads, fmt.Errorf("%w: the same header, or not in order", ErrBadEvidence)
	}
	if e.times[1].Before(e.times[0]) {
		e.times[0], e.times[1] = e.times[1], e.times[0]
	}
	for _, k := range signers[0] {
		if hasKey(signers[1], k.Public) {
			e.culprits = append(e.culprits, k)
		}
	}
	e.heads = heads[:]
	return heads, nil
}

// signers returns who signed a verified head.
func (h *Head) signers(file *NetworkFile) []FounderKey {
	if h.Header.Emergency() {
		return h.rootsOf(file)
	}
	var list []FounderKey
	for _, raw := range h.certs {
		cert, err := ParseCertificate(h.Header.Network, raw)
		if err != nil {
			continue // a verified head has none such
		}
		for _, k := range file.Signers {
			if k.Public == cert.Signer {
				list = append(list, k)
			}
		}
	}
	return list
}

func (c *Chain) verifyFork(e *Evidence, parts [][]byte) error {
	heads, err := c.verifyHeads(e, parts, bytesOrder)
	if err != nil {
		return err
	}
	if heads[0].Header.Epoch != heads[1].Header.Epoch {
		return fmt.Errorf("%w: of two epochs", ErrBadEvidence)
	}
	return nil
}

// verifyRewrite checks that nothing but versions of the network file lies
// between the places of the two headers, so that each takes the other's place,
// and that neither was abandoned for the other.
func (c *Chain) verifyRewrite(e *Evidence, parts [][]byte) error {
	heads, err := c.verifyHeads(e, parts, rewriteOrder)
	if err != nil {
		return err
	}
	early, late := &heads[0].Header, &heads[1].Header
	switch {
	case early.Epoch == late.Epoch:
		return fmt.Errorf("%w: of one epoch, which is another kind", ErrBadEvidence)
	case slices.Contains(late.Abandoned, heads[0].Hash()) || slices.Contains(early.Abandoned, heads[1].Hash()):
		return fmt.Errorf("%w: one was abandoned for the other", ErrBadEvidence)
	case late.LogSize-early.LogSize > maxEvidenceFiles:
		return fmt.Errorf("%w: their places are too far apart", ErrBadEvidence)
	}
	rest := parts[2]
	for at := early.LogSize; at < late.LogSize; at++ {
		// version u16, 00, n u8, n hashes
		if len(rest) < 4 || rest[2] != 0 || rest[3] > maxProofHashes || len(rest) < 4+32*int(rest[3]) {
			return fmt.Errorf("%w: proof", ErrBadEvidence)
		}
		size := 4 + 32*int(rest[3])
		p, err := ParseProof(rest[2:size])
		if err != nil {
			return err
		}
		hash, ok := c.Hash(uint64(binary.BigEndian.Uint16(rest)))
		if !ok {
			return fmt.Errorf("%w: %w", ErrBadEvidence, ErrFileBehind)
		}
		if err := p.checkInclusion(late.LogSize, late.LogRoot, at, FileLeaf(hash)); err != nil {
			return fmt.Errorf("%w: %w", ErrBadEvidence, err)
		}
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: trailing bytes", ErrBadEvidence)
	}
	return nil
}

func (c *Chain) verifyVotes(e *Evidence, parts [][]byte) error {
	var votes [2]*Vote
	for i := range votes {
		cert, err := ParseCertificate(c.id, parts[2*i+1])
		if err != nil {
			return err
		}
		if votes[i], err = ParseVote(c.id, parts[2*i], cert); err != nil {
			return err
		}
		e.times[i] = EpochTime(c.Current().Lab, votes[i].Epoch)
		if !cert.Covers(e.times[i]) {
			return fmt.Errorf("%w: certificate not valid at the vote's time", ErrBadEvidence)
		}
	}
	a, b := votes[0], votes[1]
	if a.Signer != b.Signer || a.Epoch != b.Epoch || bytes.Compare(a.hash[:], b.hash[:]) >= 0 {
		return fmt.Errorf("%w: not two votes of one signer for one epoch, in order", ErrBadEvidence)
	}
	// Any version may have named the signer; the newest one knows its label.
	for v := c.Current().Version; v > 0; v-- {
		f, _ := c.Version(v)
		for _, k := range f.Signers {
			if k.Public == a.Signer {
				e.culprits = []FounderKey{k}
				return nil
			}
		}
	}
	return fmt.Errorf("%w: by no signer", ErrBadEvidence)
}

func (c *Chain) verifyRecords(e *Evidence, parts [][]byte) error {
	var signed [2]signedRecord
	for i := range signed {
		var err error
		if signed[i], err = c.openRecord(parts[i]); err != nil {
			return err
		}
		e.times[i] = time.Unix(int64(signed[i].seq), 0)
	}
	a, b := &signed[0], &signed[1]
	if a.id != b.id || a.seq != b.seq || a.body == b.body {
		return fmt.Errorf("%w: not two records of one relay with one number", ErrBadEvidence)
	}
	if x, y := recordHash(parts[0]), recordHash(parts[1]); bytes.Compare(x[:], y[:]) >= 0 {
		return fmt.Errorf("%w: order", ErrBadEvidence)
	}
	e.relay = a.id
	return nil
}

// splitEvidence reads parts with their lengths.
func splitEvidence(b []byte) ([][]byte, bool) {
	var parts [][]byte
	for len(b) > 0 {
		if len(b) < 4 || len(parts) == 4 {
			return nil, false
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return nil, false
		}
		parts = append(parts, b[4:4+n])
		b = b[4+n:]
	}
	return parts, true
}

func joinEvidence(kind EvidenceKind, parts ...[]byte) []byte {
	b := []byte{byte(kind)}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}
