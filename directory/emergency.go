package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Specification constants of emergency snapshots (SPEC.md §28).
const (
	// EmergencyLife is how long one counts at most.
	EmergencyLife = 14 * 24 * time.Hour
	emergencyType = "emergency"
	// MaxEmergencyDraft bounds a draft, in bytes: a snapshot and as much again of
	// records.
	MaxEmergencyDraft   = 2*MaxSnapshot + maxVersions*(2*maxProofHashes+1)*32
	maxEmergencyRecords = MaxSnapshot
)

// Errors of emergency snapshots.
var (
	ErrBadEmergency = errors.New("directory: not a draft of an emergency snapshot")
	// ErrBaseBehind is returned for a draft that was made for another version of
	// the network file than the newest.
	ErrBaseBehind = errors.New("directory: the draft is for another version of the network file than the newest")
)

// validLife tells whether the header counts as long as its kind does
// (SPEC.md §9.2, §28.1).
func (h *Header) validLife() bool {
	life := h.ValidUntil.Sub(h.ValidAfter)
	if h.Emergency() {
		return life >= Scale(h.Lab(), validAge) && life <= Scale(h.Lab(), EmergencyLife)
	}
	return life == Scale(h.Lab(), validAge)
}

// longest is the age up to which a reader looks at the snapshot at all.
func (h *Header) longest() time.Duration {
	if h.Emergency() {
		return h.ValidUntil.Sub(h.ValidAfter)
	}
	return Scale(h.Lab(), emergencyAge)
}

// checkRoots demands that k_root of the file's roots signed, and nobody else,
// and no certificate (SPEC.md §28.2).
func (h *Head) checkRoots(f *NetworkFile) error {
	if len(h.certs) != 0 {
		return fmt.Errorf("%w: certificates in an emergency", ErrBadCertificate)
	}
	signed := len(h.rootsOf(f))
	switch {
	case signed != len(h.doc.Signatures):
		return fmt.Errorf("%w: one is not by a root", ErrSignature)
	case signed < RootThreshold(len(f.Roots)):
		return fmt.Errorf("%w: %d of the %d founders needed", ErrThreshold, signed, RootThreshold(len(f.Roots)))
	}
	return nil
}

// rootsOf returns the roots of a file that signed the head.
func (h *Head) rootsOf(f *NetworkFile) []FounderKey {
	var list []FounderKey
	for _, r := range f.Roots {
		if h.doc.signedBy(labelHeader, h.Header.Network, r.Public) {
			list = append(list, r)
		}
	}
	return list
}

// EmergencyDraft is an emergency snapshot on its way from founder to founder. It
// carries what it was made of, so that each founder's program makes it again:
// founders can neither add a relay that signers did not list nor change what is
// said of one. An EmergencyDraft is not safe for concurrent use.
type EmergencyDraft struct {
	chain   *Chain
	base    *Snapshot
	records []byte // n × (length u16, record), rising by relay
	proofs  [][]byte
	next    *Snapshot
	renewed int
	gone    int
}

type emergencyFile struct {
	_          struct{} `cbor:",toarray"`
	Type       string
	Base       []byte
	Records    []byte
	Proofs     [][]byte
	Body       []byte
	Signatures []signature
}

// DraftEmergency drafts the snapshot that takes base further while signers are
// gone: from at, which is rounded down to an epoch, for the given life. Base is
// the newest snapshot that anybody has; log holds all leaves up to base's own;
// records are what relays say of themselves now, in any order.
func (c *Chain) DraftEmergency(base *Snapshot, log *Log, records []*Record, at time.Time, life time.Duration) (*EmergencyDraft, error) {
	h, f := &base.Header, c.Current()
	at = EpochTime(f.Lab, EpochNumber(f.Lab, at))
	if _, _, err := c.verifySigned(&base.Head, State{}); err != nil {
		return nil, err
	}
	if err := base.open(); err != nil {
		return nil, err
	}
	leaves := log.Leaves(0)
	if uint64(len(leaves)) <= h.LogSize || leaves[h.LogSize] != HeaderLeaf(base.Hash()) {
		return nil, fmt.Errorf("%w: it does not hold the snapshot", ErrLog)
	}
	l, err := LogOf(leaves[:h.LogSize+1])
	if err != nil {
		return nil, err
	}
	for v := h.FileVersion + 1; v <= f.Version; v++ {
		hash, _ := c.Hash(v)
		if err := l.AddFile(hash); err != nil {
			return nil, err
		}
	}
	d := &EmergencyDraft{chain: c, base: base}
	for i := h.LogSize; i < l.Size(); i++ {
		p, err := l.Prove(h.LogSize, l.Size(), i)
		if err != nil {
			return nil, err
		}
		if i > h.LogSize {
			p.Consistency = nil
		}
		d.proofs = append(d.proofs, p.Append(nil))
	}
	d.records = c.packRecords(base, records, at)
	root, err := l.Root(l.Size())
	if err != nil {
		return nil, err
	}
	if err := d.build(at, life, l.Size(), root); err != nil {
		return nil, err
	}
	return d, nil
}

// packRecords keeps the newest record of each relay of the base that changes its
// entry.
func (c *Chain) packRecords(base *Snapshot, records []*Record, at time.Time) []byte {
	newest := make(map[RelayID]*Record, len(records))
	for _, r := range records {
		if old := newest[r.ID]; old == nil || r.Supersedes(old) {
			newest[r.ID] = r
		}
	}
	var b []byte
	for i := range base.Entries {
		e := &base.Entries[i]
		r := newest[e.ID]
		if r == nil || len(b)+2+len(r.Raw) > maxEmergencyRecords {
			continue
		}
		if o, err := c.emergencyRecord(r.Raw, at); err != nil || !o.alters(e, at) {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.Raw)))
		b = append(b, r.Raw...)
	}
	return b
}

// emergencyRecord verifies a record of a relay that signers had listed.
func (c *Chain) emergencyRecord(raw []byte, at time.Time) (*Record, error) {
	rules := c.Rules()
	rules.Listed = func(RelayID) bool { return true } // admission was judged before
	return ParseRecord(rules, raw, at)
}

// alters tells whether the record says other keys than the entry, or that the
// relay left its addresses.
func (r *Record) alters(e *Entry, at time.Time) bool {
	if r.Descriptor == nil {
		return true
	}
	n, ok := e.renewed(r.Descriptor, at)
	return !ok || n.LinkKey != e.LinkKey || n.OnionKey != e.OnionKey || n.OnionEpoch != e.OnionEpoch || len(n.Addrs) != len(e.Addrs)
}

// renewed returns the entry with the keys of a descriptor, at those of its
// addresses that the descriptor still names. It returns false if there are none:
// nobody has probed the others.
func (e *Entry) renewed(d *Descriptor, at time.Time) (Entry, bool) {
	n := *e
	n.Addrs = slices.DeleteFunc(slices.Clone(e.Addrs), func(a netip.AddrPort) bool { return !slices.Contains(d.Addrs, a) })
	n.LinkKey = d.LinkKey
	for _, k := range d.OnionKeys { // rising
		if int64(k.NotBefore) <= at.Unix() && k.NotBefore >= e.OnionEpoch {
			n.OnionKey, n.OnionEpoch = k.Key, k.NotBefore
		}
	}
	return n, len(n.Addrs) > 0
}

// entries applies the records to the entries of the base (SPEC.md §28.3).
func (d *EmergencyDraft) entries(at time.Time) ([]Entry, error) {
	records := make(map[RelayID]*Record)
	var last RelayID
	for b := d.records; len(b) > 0; {
		n := 0
		if len(b) >= 2 {
			n = 2 + int(binary.BigEndian.Uint16(b))
		}
		if n < 3 || n > len(b) {
			return nil, fmt.Errorf("%w: records", ErrBadEmergency)
		}
		r, err := d.chain.emergencyRecord(b[2:n], at)
		if err != nil {
			return nil, err
		}
		if len(records) > 0 && bytes.Compare(last[:], r.ID[:]) >= 0 {
			return nil, fmt.Errorf("%w: order of records", ErrBadEmergency)
		}
		records[r.ID], last, b = r, r.ID, b[n:]
	}
	links := make(map[[32]byte]bool, len(d.base.Entries))
	for i := range d.base.Entries {
		links[d.base.Entries[i].LinkKey] = true
	}
	var list []Entry
	for i := range d.base.Entries {
		e := d.base.Entries[i]
		r := records[e.ID]
		if r == nil {
			list = append(list, e)
			continue
		}
		delete(records, e.ID)
		if !r.alters(&e, at) {
			return nil, fmt.Errorf("%w: a record changes nothing", ErrBadEmergency)
		}
		if r.Descriptor == nil {
			d.gone++
			continue
		}
		n, ok := e.renewed(r.Descriptor, at)
		switch {
		case !ok:
			d.gone++
			continue
		case n.LinkKey != e.LinkKey && links[n.LinkKey]:
			n.LinkKey = e.LinkKey // another relay has it: its own stays
		}
		links[n.LinkKey] = true
		d.renewed++
		list = append(list, n)
	}
	if len(records) > 0 {
		return nil, fmt.Errorf("%w: a record of a relay that is not listed", ErrBadEmergency)
	}
	return list, nil
}

// build makes the unsigned snapshot from base and records.
func (d *EmergencyDraft) build(at time.Time, life time.Duration, size uint64, root [32]byte) error {
	c, h := d.chain, &d.base.Header
	f := c.Current()
	if !at.After(h.ValidAfter) {
		return fmt.Errorf("%w: it is not newer than the snapshot before it", ErrRollback)
	}
	entries, err := d.entries(at)
	if err != nil {
		return err
	}
	values, err := ResumeSRVState(h)
	if err != nil {
		return err
	}
	if values, _, err = values.Next(f, at, nil); err != nil {
		return err
	}
	s := &Snapshot{Entries: entries, Tables: d.base.Tables, tables: d.base.tables}
	for i := range entries {
		s.entries = appendEntry(s.entries, &entries[i])
	}
	s.Header = Header{
		Network: c.id, Epoch: EpochNumber(f.Lab, at), ValidAfter: at,
		FreshUntil: at.Add(freshEpochs * h.NextEpoch), ValidUntil: at.Add(life), NextEpoch: h.NextEpoch,
		FileVersion: f.Version, Flags: HeaderEmergency, N: uint64(len(entries)), TablesHash: h.TablesHash,
		SRVs: values.Values(), LedgerHash: h.LedgerHash, LogSize: size, LogRoot: root, Recommended: h.Recommended,
	}
	s.Header.EntriesRoot, s.Header.Totals = entriesRoot(entries)
	s.Header.Flags |= stateFlags(c, at, len(entries))
	body, err := s.Header.encode()
	if err != nil {
		return err
	}
	s.doc = document{Type: labelHeader[len(labelPrefix):], Body: body}
	d.next = s
	return nil
}

// stateFlags are the flags of a header that follow from network, time and
// number of relays.
func stateFlags(c *Chain, at time.Time, n int) HeaderFlags {
	var flags HeaderFlags
	if c.Current().Lab {
		flags |= HeaderLab
	}
	if n < smallNetwork {
		flags |= HeaderSmall
	}
	if at.Sub(c.Founded()) < Scale(c.Current().Lab, youngNetwork) {
		flags |= HeaderYoung
	}
	return flags
}

// IsEmergencyDraft tells whether bytes are an emergency draft rather than a
// draft of the network file. It verifies nothing.
func IsEmergencyDraft(b []byte) bool {
	prefix := append([]byte{0x86, 0x60 | byte(len(emergencyType))}, emergencyType...)
	return bytes.HasPrefix(b, prefix)
}

// ParseEmergencyDraft reads a draft, makes the snapshot again from what the draft
// carries and verifies every signature that it bears.
func (c *Chain) ParseEmergencyDraft(b []byte) (*EmergencyDraft, error) {
	var e emergencyFile
	if err := decode(b, MaxEmergencyDraft, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	if e.Type != emergencyType || len(e.Signatures) > maxFounders {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, ErrWrongType)
	}
	h, err := parseHeader(e.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	switch {
	case h.Network != c.id:
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, ErrOtherNetwork)
	case h.FileVersion != c.Current().Version:
		return nil, fmt.Errorf("%w: %d and %d", ErrBaseBehind, h.FileVersion, c.Current().Version)
	}
	d := &EmergencyDraft{chain: c, records: e.Records, proofs: e.Proofs}
	if d.base, err = ParseSnapshot(e.Base); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	if _, _, err := c.verifySigned(&d.base.Head, State{}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	if err := d.base.open(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	if err := d.checkLog(&h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	if err := d.build(h.ValidAfter, h.ValidUntil.Sub(h.ValidAfter), h.LogSize, h.LogRoot); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEmergency, err)
	}
	if !bytes.Equal(d.next.doc.Body, e.Body) {
		return nil, fmt.Errorf("%w: it is not what follows from the snapshot before it", ErrBadEmergency)
	}
	return d, d.takeSignatures(e.Signatures)
}

// takeSignatures demands rising signatures, all by roots and of this body.
func (d *EmergencyDraft) takeSignatures(list []signature) error {
	for i := 1; i < len(list); i++ {
		if bytes.Compare(list[i-1].Key[:], list[i].Key[:]) >= 0 {
			return fmt.Errorf("%w: %w", ErrBadEmergency, ErrNotCanonical)
		}
	}
	d.next.doc.Signatures = list
	if len(d.next.rootsOf(d.chain.Current())) != len(list) {
		return ErrDraftChanged
	}
	return nil
}

// checkLog verifies that the log grows from the base by the base's own leaf and
// by versions of the network file that it did not know.
func (d *EmergencyDraft) checkLog(h *Header) error {
	b := &d.base.Header
	if h.LogSize != b.LogSize+1+h.FileVersion-b.FileVersion || uint64(len(d.proofs)) != h.LogSize-b.LogSize {
		return fmt.Errorf("%w: size", ErrLog)
	}
	for i, raw := range d.proofs {
		p, err := ParseProof(raw)
		if err != nil {
			return err
		}
		leaf := HeaderLeaf(d.base.Hash())
		if i == 0 {
			err = p.checkConsistency(b.LogSize, b.LogRoot, h.LogSize, h.LogRoot)
		} else {
			hash, _ := d.chain.Hash(b.FileVersion + uint64(i))
			leaf = FileLeaf(hash)
			if len(p.Consistency) > 0 {
				err = ErrLog
			}
		}
		if err != nil {
			return err
		}
		if err := p.checkInclusion(h.LogSize, h.LogRoot, b.LogSize+uint64(i), leaf); err != nil {
			return err
		}
	}
	return nil
}

// Bytes returns the encoding of the draft with the signatures that it has.
func (d *EmergencyDraft) Bytes() ([]byte, error) {
	base, err := d.base.Encode()
	if err != nil {
		return nil, err
	}
	return encode(&emergencyFile{
		Type: emergencyType, Base: base, Records: d.records, Proofs: d.proofs,
		Body: d.next.doc.Body, Signatures: d.next.doc.Signatures,
	})
}

// Header returns the header of the drafted snapshot. The caller must not change
// it.
func (d *EmergencyDraft) Header() *Header { return &d.next.Header }

// Base returns the head of the snapshot that it takes further.
func (d *EmergencyDraft) Base() *Head { return &d.base.Head }

// Changes returns how many relays have newer keys than in the base, and how many
// of the base are left out because they left or moved.
func (d *EmergencyDraft) Changes() (renewed, gone int) { return d.renewed, d.gone }

// Hash names the drafted snapshot, as Head.Hash does.
func (d *EmergencyDraft) Hash() [32]byte { return d.next.Hash() }

// Words returns ten words for 110 bits of Hash, as Draft.Words does.
func (d *EmergencyDraft) Words() []string {
	h := d.Hash()
	return wordsOf(h[:], draftWords)
}

// CheckTime returns ErrDraftExpired for a draft that counts no more, or is dated
// in the future.
func (d *EmergencyDraft) CheckTime(now time.Time) error {
	h := &d.next.Header
	switch {
	case now.After(h.ValidUntil):
		return fmt.Errorf("%w: it ended %s", ErrDraftExpired, h.ValidUntil.UTC().Format(time.DateTime))
	case h.ValidAfter.After(now.Add(clockTolerance)):
		return fmt.Errorf("%w: it is dated %s, in the future", ErrDraftExpired, h.ValidAfter.UTC().Format(time.DateTime))
	}
	return nil
}

// Roots returns the founders and who of them has signed.
func (d *EmergencyDraft) Roots() []DraftRoot {
	signed := d.next.rootsOf(d.chain.Current())
	var list []DraftRoot
	for _, k := range d.chain.Current().Roots {
		list = append(list, DraftRoot{FounderKey: k, New: true, Signed: hasKey(signed, k.Public)})
	}
	return list
}

// Lacking returns how many signatures are still needed: k_root in all.
func (d *EmergencyDraft) Lacking() int {
	f := d.chain.Current()
	return max(RootThreshold(len(f.Roots))-len(d.next.rootsOf(f)), 0)
}

// Sign adds the signature of a root key.
func (d *EmergencyDraft) Sign(root ed25519.PrivateKey) error {
	if !hasKey(d.chain.Current().Roots, publicOf(root)) {
		return ErrNotRoot
	}
	d.next.doc.add(signBody(labelHeader, d.chain.id, d.next.doc.Body, root))
	return nil
}

// Merge adds the signatures of another copy of the same draft, or fails with
// ErrOtherDraft.
func (d *EmergencyDraft) Merge(o *EmergencyDraft) error {
	if d.Hash() != o.Hash() {
		return ErrOtherDraft
	}
	for _, s := range o.next.doc.Signatures {
		d.next.doc.add(s)
	}
	return nil
}

// Assemble returns the signed snapshot, or ErrThreshold while signatures are
// lacking.
func (d *EmergencyDraft) Assemble(now time.Time) ([]byte, error) {
	if err := d.CheckTime(now); err != nil {
		return nil, err
	}
	if n := d.Lacking(); n > 0 {
		return nil, fmt.Errorf("%w: %d founders have not signed", ErrThreshold, n)
	}
	return d.next.Encode()
}
