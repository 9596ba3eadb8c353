package directory

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Operations of a diff (SPEC.md §24.2).
const (
	diffDelete = 0
	diffInsert = 1
	diffPatch  = 2
)

// What a patch changes (SPEC.md §24.2).
const (
	patchFlags   = 1
	patchWeights = 2
	patchOnion   = 4
	patchLink    = 8
	patchGroups  = 16 // family and AS
	patchIndices = 32 // software and protocols
	patchAddrs   = 64
	allPatches   = 127
)

// Errors of ApplyDiff.
var (
	ErrBadDiff   = errors.New("directory: snapshot diff is not valid")
	ErrOtherBase = errors.New("directory: snapshot diff is of another base")
)

// MakeDiff returns what leads from one snapshot to another of the same network
// (SPEC.md §24). Both must be opened: verified, applied or made here.
func MakeDiff(base, next *Snapshot) ([]byte, error) {
	if err := errors.Join(base.opened(), next.opened()); err != nil {
		return nil, fmt.Errorf("make diff: %w", err)
	}
	m, tables := diffTables(&base.Tables, &next.Tables)
	hash := base.Hash()
	var ops opList
	i, j := 0, 0
	for i < len(base.Entries) || j < len(next.Entries) {
		order := 0
		switch {
		case i == len(base.Entries):
			order = 1
		case j == len(next.Entries):
			order = -1
		default:
			order = bytes.Compare(base.Entries[i].ID[:], next.Entries[j].ID[:])
		}
		switch {
		case order < 0:
			ops.add(diffDelete)
			i++
		case order > 0:
			ops.add(diffInsert)
			ops.b = appendEntry(ops.b, &next.Entries[j])
			j++
		default:
			ops.patch(m.carry(&base.Entries[i]), &next.Entries[j])
			i++
			j++
		}
	}
	out := binary.AppendUvarint(bytes.Clone(hash[:]), uint64(ops.n))
	out = append(out, ops.b...)
	return append(out, tables...), nil
}

// ApplyDiff returns the snapshot of a head, made from a base that the reader
// holds and a diff. It accepts exactly the diff that MakeDiff makes. The head's
// signatures are not looked at: call Chain.VerifySigned before and Chain.Verify
// after. It allocates no more than base and diff are long, whatever the diff.
func ApplyDiff(base *Snapshot, head *Head, diff []byte) (*Snapshot, error) {
	if len(diff) > MaxSnapshot {
		return nil, fmt.Errorf("apply diff: %w: %d bytes", ErrTooLarge, len(diff))
	}
	if err := base.opened(); err != nil {
		return nil, fmt.Errorf("apply diff: %w", err)
	}
	hash := base.Hash()
	if len(diff) < len(hash) || !bytes.Equal(diff[:len(hash)], hash[:]) || base.Header.Network != head.Header.Network {
		return nil, fmt.Errorf("apply diff: %w", ErrOtherBase)
	}
	s := &Snapshot{Head: *head}
	if err := s.patch(base, diff[len(hash):]); err != nil {
		return nil, fmt.Errorf("apply diff: %w", err)
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("apply diff: %w: %w", ErrBadDiff, err)
	}
	if again, err := MakeDiff(base, s); err != nil || !bytes.Equal(again, diff) {
		return nil, fmt.Errorf("apply diff: %w: %w", ErrBadDiff, ErrNotCanonical)
	}
	return s, nil
}

// Rewind returns the snapshot of an earlier head, made from a newer one and the
// diff by which this process itself led from the newer to the earlier. It trusts
// both: it checks form and number, but neither the entries' root nor that the
// diff is the only one. It serves those who keep many snapshots in little space.
func Rewind(newer *Snapshot, head *Head, diff []byte) (*Snapshot, error) {
	if err := newer.opened(); err != nil {
		return nil, fmt.Errorf("rewind: %w", err)
	}
	hash := newer.Hash()
	if len(diff) < len(hash) || !bytes.Equal(diff[:len(hash)], hash[:]) || newer.Header.Network != head.Header.Network {
		return nil, fmt.Errorf("rewind: %w", ErrOtherBase)
	}
	s := &Snapshot{Head: *head}
	err := s.patch(newer, diff[len(hash):])
	if err == nil {
		s.Tables, err = parseTables(s.tables)
	}
	if err == nil {
		s.Entries, err = parseEntries(s.entries, s.Header.N, s.Header.Lab())
	}
	if err != nil {
		return nil, fmt.Errorf("rewind: %w", err)
	}
	for i := range s.Entries {
		if !s.Tables.covers(&s.Entries[i]) {
			return nil, fmt.Errorf("rewind: %w: index outside of the tables", ErrBadEntry)
		}
	}
	return s, nil
}

// opened tells whether entries and tables are those of the header.
func (s *Snapshot) opened() error {
	if uint64(len(s.Entries)) != s.Header.N {
		return fmt.Errorf("%w: the snapshot was not verified", ErrBadDiff)
	}
	return nil
}

// patch sets the encoded entries and tables that follow from a base and a diff.
func (s *Snapshot) patch(base *Snapshot, b []byte) error {
	r := diffReader{b: b}
	n := r.uvarint()
	if n > uint64(len(b)) {
		return fmt.Errorf("%w: %d operations in %d bytes", ErrBadDiff, n, len(b))
	}
	// Patches name indices of the new tables, which come last: the operations
	// are read twice.
	ops := r
	for range n {
		r.uvarint()
		r.skipOp(s.Header.Lab())
	}
	m, tables, err := r.tables(&base.Tables)
	if err != nil {
		return err
	}
	if len(r.b) != 0 || r.bad {
		return fmt.Errorf("%w: truncated or with trailing bytes", ErrBadDiff)
	}
	if s.tables, err = tables.encode(); err != nil {
		return err
	}
	rest := base.Entries
	s.entries = make([]byte, 0, len(base.entries)+len(b))
	keep := func(k uint64) error {
		if k > uint64(len(rest)) {
			return fmt.Errorf("%w: it skips more relays than there are", ErrBadDiff)
		}
		for i := range rest[:k] {
			e := m.carry(&rest[i])
			s.entries = appendEntry(s.entries, &e)
		}
		rest = rest[k:]
		return nil
	}
	for range n {
		if err := keep(ops.uvarint()); err != nil {
			return err
		}
		code := ops.u8()
		if code != diffInsert && len(rest) == 0 {
			return fmt.Errorf("%w: it changes more relays than there are", ErrBadDiff)
		}
		switch code {
		case diffDelete:
			rest = rest[1:]
		case diffInsert:
			e := ops.entry(s.Header.Lab())
			s.entries = appendEntry(s.entries, &e)
		default:
			e := m.carry(&rest[0])
			ops.patch(&e, s.Header.Lab())
			s.entries = appendEntry(s.entries, &e)
			rest = rest[1:]
		}
		if ops.bad {
			return fmt.Errorf("%w: operation", ErrBadDiff)
		}
	}
	return keep(uint64(len(rest)))
}

// carried holds, for each index of the base's tables, the index of the same
// family, AS, software or protocol list in the next one's, 0 if it is gone.
type carried struct{ families, ases, software, protocols []int }

// carry returns an entry of the base with its indices in the next tables.
func (m *carried) carry(e *Entry) Entry {
	c := *e
	c.Family = uint16(m.families[e.Family])
	c.AS = uint16(m.ases[e.AS])
	c.Software = byte(m.software[e.Software])
	c.Protocol = byte(m.protocols[e.Protocol])
	return c
}

// opList gathers operations.
type opList struct {
	b    []byte
	n    int
	skip uint64
}

func (o *opList) add(code byte) {
	o.b = append(binary.AppendUvarint(o.b, o.skip), code)
	o.n++
	o.skip = 0
}

// patch adds what turns the carried entry into the next one.
func (o *opList) patch(from Entry, to *Entry) {
	var mask byte
	set := func(bit byte, changed bool) {
		if changed {
			mask |= bit
		}
	}
	set(patchFlags, from.Flags != to.Flags)
	set(patchWeights, from.Guard != to.Guard || from.Inner != to.Inner || from.Mailbox != to.Mailbox)
	set(patchOnion, from.OnionKey != to.OnionKey || from.OnionEpoch != to.OnionEpoch)
	set(patchLink, from.LinkKey != to.LinkKey)
	set(patchGroups, from.Family != to.Family || from.AS != to.AS)
	set(patchIndices, from.Software != to.Software || from.Protocol != to.Protocol)
	set(patchAddrs, !slices.Equal(from.Addrs, to.Addrs))
	if mask == 0 {
		o.skip++
		return
	}
	o.add(diffPatch)
	o.b = append(o.b, mask)
	raw := appendEntry(nil, to)
	for _, f := range patchFields {
		if mask&f.bit != 0 {
			o.b = append(o.b, raw[f.from:f.until]...)
		}
	}
	if mask&patchAddrs != 0 {
		o.b = append(o.b, raw[entryHead-1:]...)
	}
}

// patchFields are the bytes of an entry (SPEC.md §10.1) that each bit of a patch
// replaces, in the order of the bits. Addresses, the last bit, vary in length.
var patchFields = [...]struct {
	bit         byte
	from, until int
}{
	{patchFlags, 100, 102},
	{patchWeights, 102, 105},
	{patchOnion, 32, 64},
	{patchOnion, 96, 100},
	{patchLink, 64, 96},
	{patchGroups, 105, 109},
	{patchIndices, 109, 111},
}

// diffReader reads a diff. After the first error it returns zeros, and bad is
// set.
type diffReader struct {
	b   []byte
	bad bool
}

func (r *diffReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, min(n, entryHead))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *diffReader) u8() byte { return r.take(1)[0] }

func (r *diffReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

// skipOp reads over one operation.
func (r *diffReader) skipOp(lab bool) {
	switch r.u8() {
	case diffDelete:
	case diffInsert:
		r.entry(lab)
	case diffPatch:
		var e Entry
		r.patch(&e, lab)
	default:
		r.bad = true
	}
}

func (r *diffReader) entry(lab bool) Entry {
	e, rest, err := parseEntry(r.b, lab)
	if err != nil || r.bad {
		r.bad = true
		return e
	}
	r.b = rest
	return e
}

// patch changes an entry.
func (r *diffReader) patch(e *Entry, lab bool) {
	mask := r.u8()
	if mask == 0 || mask > allPatches {
		r.bad = true
		return
	}
	raw := appendEntry(make([]byte, 0, 256), e)
	for _, f := range patchFields {
		if mask&f.bit != 0 {
			copy(raw[f.from:f.until], r.take(f.until-f.from))
		}
	}
	if mask&patchAddrs != 0 {
		counts := r.u8()
		raw = append(raw[:entryHead-1], counts)
		raw = append(raw, r.take(6*int(counts>>4)+18*int(counts&15))...)
	}
	if r.bad {
		return
	}
	// Without addresses, as skipOp has it, an entry does not parse.
	if len(e.Addrs) == 0 && mask&patchAddrs == 0 {
		return
	}
	p, rest, err := parseEntry(raw, lab)
	if err != nil || len(rest) != 0 {
		r.bad = true
		return
	}
	*e = p
}

// diffTables returns how indices are carried over and the encoding of the
// change.
func diffTables(base, next *Tables) (carried, []byte) {
	var m carried
	var b []byte
	m.families, b = diffList(b, base.Families, next.Families, compareKeys, func(b []byte, k [32]byte) []byte { return append(b, k[:]...) })
	m.ases, b = diffList(b, base.ASes, next.ASes, cmp.Compare[uint32], binary.BigEndian.AppendUint32)
	m.software, b = diffList(b, base.Software, next.Software, cmp.Compare[string], appendShort)
	m.protocols, b = diffList(b, base.Protocols, next.Protocols, slices.Compare[[]uint16], appendProtocols)
	if maps.Equal(base.Rules, next.Rules) {
		return m, append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(next.Rules)))
	for _, rule := range slices.Sorted(maps.Keys(next.Rules)) {
		b = binary.BigEndian.AppendUint16(b, rule)
		b = binary.BigEndian.AppendUint32(b, next.Rules[rule])
	}
	return m, b
}

// diffList appends the operations that lead from one rising list to another and
// returns where each index went.
func diffList[T any](b []byte, base, next []T, compare func(a, b T) int, value func([]byte, T) []byte) ([]int, []byte) {
	var ops opList
	to := make([]int, len(base)+1)
	i, j := 0, 0
	for i < len(base) || j < len(next) {
		order := 0
		switch {
		case i == len(base):
			order = 1
		case j == len(next):
			order = -1
		default:
			order = compare(base[i], next[j])
		}
		switch {
		case order < 0:
			ops.add(diffDelete)
			i++
		case order > 0:
			ops.add(diffInsert)
			ops.b = value(ops.b, next[j])
			j++
		default:
			ops.skip++
			i++
			j++
			to[i] = j
		}
	}
	b = binary.AppendUvarint(b, uint64(ops.n))
	return to, append(b, ops.b...)
}

// tables reads the change of the tables, of which every list may grow by no more
// than the diff is long.
func (r *diffReader) tables(base *Tables) (carried, *Tables, error) {
	var m carried
	t := &Tables{Rules: base.Rules}
	m.families, t.Families = readList(r, base.Families, func() [32]byte { return [32]byte(r.take(32)) })
	m.ases, t.ASes = readList(r, base.ASes, func() uint32 { return binary.BigEndian.Uint32(r.take(4)) })
	m.software, t.Software = readList(r, base.Software, func() string { return string(r.take(int(r.u8()))) })
	m.protocols, t.Protocols = readList(r, base.Protocols, r.protocols)
	switch r.u8() {
	case 0:
	case 1:
		n := r.uvarint()
		if n > uint64(len(r.b))/6 || n > maxPairs {
			return m, nil, fmt.Errorf("%w: %d rules", ErrBadDiff, n)
		}
		t.Rules = nil
		for range n {
			if t.Rules == nil {
				t.Rules = make(map[uint16]uint32, n)
			}
			rule := binary.BigEndian.Uint16(r.take(2))
			t.Rules[rule] = binary.BigEndian.Uint32(r.take(4))
		}
	default:
		r.bad = true
	}
	if r.bad {
		return m, nil, fmt.Errorf("%w: tables", ErrBadDiff)
	}
	return m, t, nil
}

func readList[T any](r *diffReader, base []T, value func() T) ([]int, []T) {
	to := make([]int, len(base)+1)
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
	}
	list := make([]T, 0, len(base))
	i := 0
	keep := func(k uint64) {
		if k > uint64(len(base)-i) {
			r.bad = true
			return
		}
		for range k {
			list = append(list, base[i])
			i++
			to[i] = len(list)
		}
	}
	for range n {
		if keep(r.uvarint()); r.bad {
			break
		}
		switch code := r.u8(); {
		case code == diffInsert:
			list = append(list, value())
		case code == diffDelete && i < len(base):
			i++
		default:
			r.bad = true
		}
	}
	if !r.bad {
		keep(uint64(len(base) - i))
	}
	if len(list) == 0 {
		list = nil
	}
	return to, list
}

func appendShort(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

func appendProtocols(b []byte, list []uint16) []byte {
	b = append(b, byte(len(list)))
	for _, p := range list {
		b = binary.BigEndian.AppendUint16(b, p)
	}
	return b
}

func (r *diffReader) protocols() []uint16 {
	var list []uint16
	for range min(r.u8(), maxProtocols+1) {
		list = append(list, binary.BigEndian.Uint16(r.take(2)))
	}
	return list
}
