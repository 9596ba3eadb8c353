package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Leaf types of the transparency log (SPEC.md §12).
const (
	leafFile   = 1
	leafHeader = 2
)

// Implementation constants.
const (
	maxProofHashes = 64      // of each of the two proofs: a tree of 2^31 leaves needs fewer
	maxLogSize     = 1 << 40 // leaves; one a minute for two million years
)

// ErrLog is returned for a log proof that does not verify or parse.
var ErrLog = errors.New("directory: transparency log proof does not verify")

// Log is the transparency log of a network: a Merkle tree of RFC 6962 over the
// hashes of all versions of the network file and of all snapshot headers. It is
// not safe for concurrent use.
type Log struct {
	leaves [][32]byte  // leaf hashes
	nodes  []tlog.Hash // in the order of tlog.StoredHashIndex
}

// NewLog returns the log of a network that has published no snapshot: its one
// leaf is version 1 of the network file.
func NewLog(c *Chain) (*Log, error) {
	l := &Log{}
	h, _ := c.Hash(1)
	return l, l.AddFile(h)
}

// LogOf rebuilds a log from its leaf hashes.
func LogOf(leaves [][32]byte) (*Log, error) {
	l := &Log{}
	for _, h := range leaves {
		if err := l.add(h); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// AddFile appends a version of the network file, given Chain.Hash.
func (l *Log) AddFile(hash [32]byte) error {
	return l.add(FileLeaf(hash))
}

// AddHeader appends a snapshot header, given Head.Hash. Its index must be the
// header's LogSize.
func (l *Log) AddHeader(hash [32]byte) error {
	return l.add(HeaderLeaf(hash))
}

// AddLeaf appends a leaf hash that a peer gave.
func (l *Log) AddLeaf(leaf [32]byte) error { return l.add(leaf) }

func (l *Log) add(leaf [32]byte) error {
	hs, err := tlog.StoredHashesForRecordHash(int64(len(l.leaves)), tlog.Hash(leaf), l.reader())
	if err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	l.leaves = append(l.leaves, leaf)
	l.nodes = append(l.nodes, hs...)
	return nil
}

// FileLeaf returns the leaf hash of a version of the network file.
func FileLeaf(hash [32]byte) [32]byte { return leafHash(append([]byte{leafFile}, hash[:]...)) }

// HeaderLeaf returns the leaf hash of a snapshot header.
func HeaderLeaf(hash [32]byte) [32]byte { return leafHash(append([]byte{leafHeader}, hash[:]...)) }

// Size returns the number of leaves.
func (l *Log) Size() uint64 { return uint64(len(l.leaves)) }

// Leaves returns the leaf hashes from the given index on. The caller must not
// change them.
func (l *Log) Leaves(from uint64) [][32]byte {
	return l.leaves[min(from, l.Size()):]
}

// Root returns the root over the first size leaves.
func (l *Log) Root(size uint64) ([32]byte, error) {
	if size > l.Size() {
		return [32]byte{}, fmt.Errorf("%w: the log has %d leaves, not %d", ErrLog, l.Size(), size)
	}
	if size == 0 {
		return sha256.Sum256(nil), nil
	}
	h, err := tlog.TreeHash(int64(size), l.reader())
	if err != nil {
		return [32]byte{}, fmt.Errorf("root of log: %w", err)
	}
	return h, nil
}

// Prove proves that the tree of old leaves is a prefix of the tree of size
// leaves, and that the latter holds the leaf of the given index.
func (l *Log) Prove(old, size, leaf uint64) (Proof, error) {
	if old < 1 || old > size || leaf >= size || size > l.Size() {
		return Proof{}, fmt.Errorf("%w: no proof from %d to %d of leaf %d", ErrLog, old, size, leaf)
	}
	t, err := tlog.ProveTree(int64(size), int64(old), l.reader())
	if err != nil {
		return Proof{}, fmt.Errorf("prove consistency: %w", err)
	}
	r, err := tlog.ProveRecord(int64(size), int64(leaf), l.reader())
	if err != nil {
		return Proof{}, fmt.Errorf("prove inclusion: %w", err)
	}
	return Proof{Consistency: fromTlog(t), Inclusion: fromTlog(r)}, nil
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			if x < 0 || x >= int64(len(l.nodes)) {
				return nil, ErrLog
			}
			out[i] = l.nodes[x]
		}
		return out, nil
	})
}

// Proof is what a reader needs to move from the log it knows to a newer one.
// The zero Proof serves when both are the same.
type Proof struct {
	Consistency [][32]byte
	Inclusion   [][32]byte
}

// Append appends the encoding: each list is a count byte and its hashes.
func (p Proof) Append(b []byte) []byte {
	for _, list := range [][][32]byte{p.Consistency, p.Inclusion} {
		b = append(b, byte(len(list)))
		for i := range list {
			b = append(b, list[i][:]...)
		}
	}
	return b
}

// ParseProof reads exactly one proof.
func ParseProof(b []byte) (Proof, error) {
	var p Proof
	for _, list := range []*[][32]byte{&p.Consistency, &p.Inclusion} {
		if len(b) < 1 || b[0] > maxProofHashes || len(b) < 1+32*int(b[0]) {
			return Proof{}, fmt.Errorf("%w: truncated", ErrLog)
		}
		n := int(b[0])
		b = b[1:]
		for range n {
			*list = append(*list, [32]byte(b[:32]))
			b = b[32:]
		}
	}
	if len(b) != 0 {
		return Proof{}, fmt.Errorf("%w: trailing bytes", ErrLog)
	}
	return p, nil
}

// checkConsistency verifies that the tree (oldSize, oldRoot) is a prefix of
// (size, root).
func (p Proof) checkConsistency(oldSize uint64, oldRoot [32]byte, size uint64, root [32]byte) error {
	if oldSize < 1 || oldSize > size || size > maxLogSize {
		return fmt.Errorf("%w: it does not grow from %d to %d leaves", ErrLog, oldSize, size)
	}
	if tlog.CheckTree(toTlog[tlog.TreeProof](p.Consistency), int64(size), root, int64(oldSize), oldRoot) != nil {
		return fmt.Errorf("%w: consistency with the log of %d leaves known before", ErrLog, oldSize)
	}
	return nil
}

// checkInclusion verifies that the tree (size, root) holds the leaf.
func (p Proof) checkInclusion(size uint64, root [32]byte, index uint64, leaf [32]byte) error {
	if index >= size || size > maxLogSize {
		return fmt.Errorf("%w: leaf %d of %d", ErrLog, index, size)
	}
	if tlog.CheckRecord(toTlog[tlog.RecordProof](p.Inclusion), int64(size), root, int64(index), leaf) != nil {
		return fmt.Errorf("%w: the log does not hold leaf %d known before", ErrLog, index)
	}
	return nil
}

func fromTlog(hs []tlog.Hash) [][32]byte {
	out := make([][32]byte, len(hs))
	for i := range hs {
		out[i] = hs[i]
	}
	return out
}

func toTlog[T ~[]tlog.Hash](hs [][32]byte) T {
	out := make(T, len(hs))
	for i := range hs {
		out[i] = hs[i]
	}
	return out
}

// leafHash is the leaf hash of RFC 6962.
func leafHash(data []byte) [32]byte { return tlog.RecordHash(data) }

// merkleRoot is the tree hash of RFC 6962 over leaf hashes, which it destroys.
func merkleRoot(leaves [][32]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	return tlog.NodeHash(merkleRoot(leaves[:k]), merkleRoot(leaves[k:]))
}
