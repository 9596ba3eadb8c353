package directory

import (
	"bytes"
	"cmp"
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
	s := &Snapshot{Tables: tablesOf(j)}
	for i := range j.Listed {
		s.Entries = append(s.Entries, s.entryOf(&j.Listed[i]))
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
		Totals: totals, SRVs: j.SRVs, LedgerHash: j.Ledger.Hash(), LogSize: l.Size(), LogRoot: logRoot,
		Votes: j.Votes, Recommended: j.Recommended, Abandoned: j.Abandoned, SRVHash: j.SRVHash,
	}
	if s.Header.SRVs == nil {
		s.Header.SRVs = srvsAt(c, at)
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

func (s *Snapshot) entryOf(l *Listing) Entry {
	d := l.Descriptor
	e := Entry{
		ID: d.ID, OnionKey: l.Onion.Key, LinkKey: d.LinkKey, OnionEpoch: l.Onion.NotBefore, Flags: l.Flags,
		Guard: l.Guard, Inner: l.Inner, Mailbox: l.Mailbox, Addrs: l.Addrs,
	}
	if l.Kin != [32]byte{} {
		e.Family = uint16(index(s.Tables.Families, l.Kin, compareKeys))
	}
	if l.AS != 0 {
		e.AS = uint16(index(s.Tables.ASes, l.AS, cmp.Compare[uint32]))
	}
	e.Software = byte(index(s.Tables.Software, d.Software, cmp.Compare[string]))
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

func compareKeys(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }

// tablesOf collects what entries refer to. A full table leaves out what fewest
// relays have, so that nobody crowds out others by many names.
func tablesOf(j Judgement) Tables {
	var kin [][32]byte
	var ases []uint32
	var software []string
	var protocols [][]uint16
	for i := range j.Listed {
		l := &j.Listed[i]
		if l.Kin != [32]byte{} {
			kin = append(kin, l.Kin)
		}
		if l.AS != 0 {
			ases = append(ases, l.AS)
		}
		if l.Descriptor.Software != "" {
			software = append(software, l.Descriptor.Software)
		}
		protocols = append(protocols, l.Descriptor.Protocols)
	}
	t := Tables{
		Families:  mostFrequent(kin, maxTableList, compareKeys),
		ASes:      mostFrequent(ases, maxTableList, cmp.Compare[uint32]),
		Software:  mostFrequent(software, maxTableByte, cmp.Compare[string]),
		Protocols: mostFrequent(protocols, maxTableByte, slices.Compare[[]uint16]),
	}
	for _, r := range j.Unlisted {
		if t.Rules == nil {
			t.Rules = make(map[uint16]uint32)
		}
		t.Rules[uint16(r)]++
	}
	return t
}

// mostFrequent returns the values of a list, rising: all, or the given number
// of those that occur most often, of equally frequent ones the lowest.
func mostFrequent[T any](list []T, most int, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	type count struct{ at, n int }
	var counts []count
	for i := range list {
		if k := len(counts); k > 0 && compare(list[counts[k-1].at], list[i]) == 0 {
			counts[k-1].n++
			continue
		}
		counts = append(counts, count{i, 1})
	}
	if len(counts) > most {
		slices.SortStableFunc(counts, func(a, b count) int { return b.n - a.n })
		counts = counts[:most]
		slices.SortFunc(counts, func(a, b count) int { return a.at - b.at })
	}
	var out []T
	for _, c := range counts {
		out = append(out, list[c.at])
	}
	return out
}
