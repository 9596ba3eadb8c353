package directory

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// NewSnapshot makes the unsigned snapshot of a judgement. The log is that of
// all headers before this one and holds every version of the network file; it
// is not changed: add the header's hash after the snapshot is released.
func NewSnapshot(c *Chain, l *Log, at time.Time, j Judgement) (*Snapshot, error) {
	f := c.Current()
	s := &Snapshot{Tables: tablesOf(j, at)}
	for i := range j.Listed {
		s.Entries = append(s.Entries, s.entryOf(&j.Listed[i], at))
	}
	root, totals := entriesRoot(s.Entries)
	for i := range s.Entries {
		s.entries = appendEntry(s.entries, &s.Entries[i])
	}
	var err error
	if s.tables, err = s.Tables.encode(); err != nil {
		return nil, fmt.Errorf("new snapshot: %w", err)
	}
	logRoot, err := l.Root(l.Size())
	if err != nil {
		return nil, fmt.Errorf("new snapshot: %w", err)
	}
	s.Header = Header{
		Network: c.id, Epoch: EpochNumber(f.Lab, at), ValidAfter: at,
		FreshUntil: at.Add(freshEpochs * j.Epoch), ValidUntil: at.Add(Scale(f.Lab, validAge)), NextEpoch: j.Epoch,
		FileVersion: f.Version, N: uint64(len(s.Entries)), EntriesRoot: root, TablesHash: sha256.Sum256(s.tables),
		Totals: totals, SRVs: srvsAt(c, at), LedgerHash: j.Ledger.Hash(), LogSize: l.Size(), LogRoot: logRoot,
	}
	if f.Lab {
		s.Header.Flags |= HeaderLab
	}
	if len(s.Entries) < smallNetwork {
		s.Header.Flags |= HeaderSmall
	}
	if at.Sub(c.Founded()) < Scale(f.Lab, youngNetwork) {
		s.Header.Flags |= HeaderYoung
	}
	body, err := s.Header.encode()
	if err != nil {
		return nil, fmt.Errorf("new snapshot: %w", err)
	}
	s.doc = document{Type: labelHeader[len(labelPrefix):], Body: body}
	return s, nil
}

func (s *Snapshot) entryOf(l *Listing, at time.Time) Entry {
	d := l.Descriptor
	e := Entry{
		ID: d.ID, OnionKey: l.Onion.Key, LinkKey: d.LinkKey, OnionEpoch: l.Onion.NotBefore, Flags: l.Flags,
		Guard: l.Guard, Inner: l.Inner, Mailbox: l.Mailbox, Addrs: l.Addrs,
	}
	if fam, ok := familyOf(d, at); ok {
		e.Family = uint16(index(s.Tables.Families, fam, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }))
	}
	e.Software = byte(index(s.Tables.Software, d.Software, func(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) }))
	e.Protocol = byte(index(s.Tables.Protocols, d.Protocols, slices.Compare[[]uint16]))
	return e
}

// index returns the place of v in a table, counted from 1, or 0 if the table
// was too full for it.
func index[T any](table []T, v T, compare func(a, b T) int) int {
	i, ok := slices.BinarySearchFunc(table, v, compare)
	if !ok {
		return 0
	}
	return i + 1
}

func tablesOf(j Judgement, at time.Time) Tables {
	var t Tables
	for i := range j.Listed {
		d := j.Listed[i].Descriptor
		if fam, ok := familyOf(d, at); ok {
			t.Families = append(t.Families, fam)
		}
		if d.Software != "" {
			t.Software = append(t.Software, d.Software)
		}
		t.Protocols = append(t.Protocols, d.Protocols)
	}
	slices.SortFunc(t.Families, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	t.Families = truncate(slices.Compact(t.Families), maxTableList)
	slices.Sort(t.Software)
	t.Software = truncate(slices.Compact(t.Software), maxTableByte)
	slices.SortFunc(t.Protocols, slices.Compare[[]uint16])
	t.Protocols = truncate(slices.CompactFunc(t.Protocols, slices.Equal[[]uint16]), maxTableByte)
	for _, r := range j.Unlisted {
		if t.Rules == nil {
			t.Rules = make(map[uint16]uint32)
		}
		t.Rules[uint16(r)]++
	}
	return t
}

func truncate[T any](list []T, n int) []T { return list[:min(len(list), n)] }

// familyOf returns the first family whose certificate is valid at t.
func familyOf(d *Descriptor, t time.Time) ([32]byte, bool) {
	for i := range d.Families {
		if d.Families[i].Expires.After(t) {
			return d.Families[i].Key, true
		}
	}
	return [32]byte{}, false
}
