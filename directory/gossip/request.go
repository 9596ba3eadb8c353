package gossip

import (
	"encoding/binary"
	"errors"
)

// Specification constants of requests (SPEC.md §7).
const (
	maxFileVersion  = 64 << 10 // bytes of one version of the network file
	maxFileAnswer   = 1 << 20  // bytes of versions in one answer
	maxLeavesAnswer = 32 << 15 // 32,768 leaf hashes in one answer
	maxVersions     = 1024     // versions of the network file
	maxLog          = 1 << 24  // leaves that one pull may bring
	slowestAsker    = 16 << 10 // bytes a second at which an answer must be taken
	maxProofAnswer  = 2 + 2*64*32

	maxNoticesAnswer = 1 << 20 // bytes of notices in one answer

	snapshotNone = 0 // first byte of a SNAPSHOT answer: not there
	snapshotFull = 1 // a full snapshot follows
	snapshotDiff = 2 // head and difference follow
)

var errAnswer = errors.New("gossip: malformed answer")

// proofRequest asks for the consistency of two log sizes and the inclusion of
// one leaf in the newer.
type proofRequest struct{ old, new, leaf uint64 }

func (p proofRequest) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.old)
	b = binary.BigEndian.AppendUint64(b, p.new)
	return binary.BigEndian.AppendUint64(b, p.leaf)
}

func parseProofRequest(b []byte) (proofRequest, error) {
	if len(b) != 24 {
		return proofRequest{}, errTruncated
	}
	return proofRequest{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}, nil
}

// snapshotRequest asks for the snapshot of an epoch, 0 for the newest. base is
// the hash of a header whose snapshot the asker holds, or zero.
type snapshotRequest struct {
	epoch uint64
	base  [32]byte
}

func (r snapshotRequest) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.epoch)
	return append(b, r.base[:]...)
}

func parseSnapshotRequest(b []byte) (snapshotRequest, error) {
	if len(b) != 40 {
		return snapshotRequest{}, errTruncated
	}
	return snapshotRequest{binary.BigEndian.Uint64(b), [32]byte(b[8:40])}, nil
}

// appendFiles encodes the answer to FILE: raw versions in rising order.
func appendFiles(b []byte, raws [][]byte) []byte {
	for _, raw := range raws {
		b = binary.BigEndian.AppendUint32(b, uint32(len(raw)))
		b = append(b, raw...)
	}
	return b
}

// parseFiles returns the versions, which alias b.
func parseFiles(b []byte) ([][]byte, error) {
	var raws [][]byte
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errTruncated
		}
		n := binary.BigEndian.Uint32(b)
		if n == 0 || n > maxFileVersion {
			return nil, errAnswer
		}
		if len(b) < 4+int(n) {
			return nil, errTruncated
		}
		raws = append(raws, b[4:4+n:4+n])
		b = b[4+n:]
	}
	return raws, nil
}

func appendLeaves(b []byte, leaves [][32]byte) []byte {
	for _, l := range leaves {
		b = append(b, l[:]...)
	}
	return b
}

func parseLeaves(b []byte) ([][32]byte, error) {
	if len(b)%32 != 0 {
		return nil, errTruncated
	}
	leaves := make([][32]byte, 0, len(b)/32)
	for ; len(b) > 0; b = b[32:] {
		leaves = append(leaves, [32]byte(b[:32]))
	}
	return leaves, nil
}
