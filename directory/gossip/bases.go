package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"

	"hearsay/directory"
)

// Specification constants of bases (SPEC.md §7.3).
const (
	maxBases    = 72      // earlier snapshots from which differences are made
	padUnit     = 4 << 10 // answers with differences are multiples of this
	linkDiffs   = 4       // differences per client link and epoch length
	streamDiffs = 1       // differences per stream inside a circuit
)

// Implementation constants of bases: memory and work.
const (
	maxBack  = 16 << 20     // bytes of all that leads back
	maxDiffs = 16 << 20     // bytes of differences kept ready
	maxWalks = 2 * maxBases // ways back walked for one newest snapshot
)

var errBase = errors.New("gossip: a stored base is damaged")

// base is an earlier snapshot, kept as what leads back to it from the one that
// came after it: a hundredth of its size.
type base struct {
	head *directory.Head
	back []byte // directory.MakeDiff(next, this)
}

// index orders bases: the place of the header in the log, which always rises.
func (b *base) index() uint64 { return b.head.Header.LogSize }

// after is the header hash of the snapshot from which back leads.
func (b *base) after() [32]byte { return [32]byte(b.back) }

// append appends the stored form (SPEC.md §10.1): head length u16, head, back,
// SHA-256 of all before.
func (b *base) append(out []byte) ([]byte, error) {
	head, err := b.head.Encode()
	if err != nil {
		return nil, err
	}
	at := len(out)
	out = binary.BigEndian.AppendUint16(out, uint16(len(head)))
	out = append(out, head...)
	out = append(out, b.back...)
	sum := sha256.Sum256(out[at:])
	return append(out, sum[:]...), nil
}

func parseBase(raw []byte) (*base, error) {
	if len(raw) < 2+32+32 {
		return nil, errBase
	}
	body := raw[:len(raw)-32]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], raw[len(raw)-32:]) {
		return nil, errBase
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < n+32 {
		return nil, errBase
	}
	head, err := directory.ParseHead(body[2:n])
	if err != nil {
		return nil, err
	}
	return &base{head: head, back: bytes.Clone(body[n:])}, nil
}

// bases are the snapshots of the last epochs, from which differences are made.
// They are a chain that leads back from the newest. It is safe for concurrent
// use.
type bases struct {
	mu     sync.Mutex
	newest *directory.Snapshot // opened; nil before the first
	past   []*base             // the youngest first
	size   int                 // bytes of what leads back
	// Differences that lead to newest, by the hash of their base. Those of small
	// networks are as large as snapshots, and not kept.
	diffs map[[32]byte][]byte
	ready int // bytes of diffs
	walks int // for this newest
}

func newBases() *bases { return &bases{diffs: make(map[[32]byte][]byte)} }

// current returns the newest snapshot, opened; nil before the first.
func (b *bases) current() *directory.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}

// heads returns the heads of all bases, the youngest first.
func (b *bases) heads() []*directory.Head {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*directory.Head
	if b.newest != nil {
		list = append(list, &b.newest.Head)
	}
	for _, p := range b.past {
		list = append(list, p.head)
	}
	return list
}

// add makes a verified snapshot the newest. It returns the base that the one
// before has become; nil if no chain is kept, since the snapshots are so small
// that one answer unit holds them.
func (b *bases) add(s *directory.Snapshot, size int) *base {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.newest
	b.newest, b.walks, b.ready = s, 0, 0
	clear(b.diffs)
	if before == nil || size <= padUnit {
		b.past, b.size = nil, 0
		return nil
	}
	back, err := directory.MakeDiff(s, before)
	if err != nil { // of unlike snapshots; nothing leads back to any of them
		b.past, b.size = nil, 0
		return nil
	}
	added := &base{head: &before.Head, back: back}
	b.past = append([]*base{added}, b.past...)
	b.size += len(back)
	for len(b.past) > maxBases || b.size > maxBack {
		b.size -= len(b.past[len(b.past)-1].back)
		b.past = b.past[:len(b.past)-1]
	}
	return added
}

// restore takes up the chain of the last run behind its newest snapshot. What
// does not lead on is dropped.
func (b *bases) restore(newest *directory.Snapshot, stored [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest, b.past, b.size = newest, nil, 0
	next := newest.Hash()
	for _, raw := range stored {
		p, err := parseBase(raw)
		if err != nil || p.after() != next || len(b.past) == maxBases || b.size+len(p.back) > maxBack {
			return
		}
		b.past = append(b.past, p)
		b.size += len(p.back)
		next = p.head.Hash()
	}
}

// diff returns what leads from a base to the head, nil if that is not known
// here. It is made once.
func (b *bases) diff(from [32]byte, head *directory.Head) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest == nil || b.newest.Hash() != head.Hash() {
		return nil
	}
	if d, ok := b.diffs[from]; ok {
		return d
	}
	depth := 0
	for depth < len(b.past) && b.past[depth].head.Hash() != from {
		depth++
	}
	if depth == len(b.past) || b.walks == maxWalks {
		return nil
	}
	b.walks++
	return b.walkLocked(depth)
}

// walkLocked goes back to the base at the given depth, and makes the difference
// for each that it passes.
func (b *bases) walkLocked(depth int) (last []byte) {
	s := b.newest
	for _, p := range b.past[:depth+1] {
		var err error
		if s, err = directory.Rewind(s, p.head, p.back); err != nil {
			return nil
		}
		hash := s.Hash()
		if last = b.diffs[hash]; last != nil {
			continue
		}
		if last, err = directory.MakeDiff(s, b.newest); err != nil {
			return nil
		}
		b.diffs[hash] = last
		b.ready += len(last)
	}
	// The oldest bases have the largest differences and the fewest askers.
	for b.ready > maxDiffs {
		var worst [32]byte
		for hash, d := range b.diffs {
			if len(d) > len(b.diffs[worst]) {
				worst = hash
			}
		}
		b.ready -= len(b.diffs[worst])
		delete(b.diffs, worst)
	}
	return last
}
