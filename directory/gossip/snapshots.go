package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"hearsay/directory"
)

// addBase keeps a snapshot that was just installed, of the given size in bytes.
// Losing a base on disk costs its readers a full snapshot after a restart.
func (n *Node) addBase(s *directory.Snapshot) {
	n.mu.Lock()
	size := len(n.snapshot)
	n.mu.Unlock()
	had := len(n.bases.heads()) > 1
	b := n.bases.add(s, size)
	if b == nil && !had {
		return
	}
	var raw []byte
	var err error
	index := uint64(0)
	if b != nil {
		index = b.index()
		raw, err = b.append(nil)
	}
	if err == nil {
		err = n.archive.saveBase(index, raw)
	}
	if err != nil {
		n.log.Warn("base of differences not saved", logReason, err)
	}
}

// answerSnapshot answers SNAPSHOT (SPEC.md §7.3): with what leads from the
// asker's base if that is known here and shorter, else in full. full asks leave
// for one full snapshot.
func (n *Node) answerSnapshot(q snapshotRequest, full func(now time.Time) bool) ([]byte, error) {
	n.mu.Lock()
	head, raw := n.head, n.snapshot
	n.mu.Unlock()
	if head == nil || q.epoch != 0 && q.epoch != head.Header.Epoch || q.base == head.Hash() {
		return []byte{snapshotNone}, nil
	}
	if q.base != [32]byte{} {
		if d := n.bases.diff(q.base, head); d != nil {
			h, err := head.Encode()
			if err != nil {
				return nil, err
			}
			if b := appendDiffAnswer(nil, h, d); len(b) <= len(raw) {
				return b, nil
			}
		}
	}
	if !full(time.Now()) {
		return nil, errAskRate
	}
	return append([]byte{snapshotFull}, raw...), nil
}

// appendDiffAnswer appends the answer of form 2: head and difference with their
// lengths, and zeros up to a multiple of 4 KiB.
func appendDiffAnswer(b, head, diff []byte) []byte {
	at := len(b)
	b = append(b, snapshotDiff)
	for _, part := range [][]byte{head, diff} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return append(b, make([]byte, -(len(b)-at)&(padUnit-1))...)
}

// parseDiffAnswer returns the parts of an answer of form 2, which alias b.
func parseDiffAnswer(b []byte) (head, diff []byte, err error) {
	if len(b) == 0 || len(b)%padUnit != 0 || b[0] != snapshotDiff {
		return nil, nil, errAnswer
	}
	parts := [2][]byte{}
	rest := b[1:]
	for i := range parts {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return nil, nil, errTruncated
		}
		n := 4 + binary.BigEndian.Uint32(rest)
		parts[i], rest = rest[4:n:n], rest[n:]
	}
	if len(rest) >= padUnit || len(bytes.Trim(rest, "\x00")) > 0 {
		return nil, nil, fmt.Errorf("%w: padding", errAnswer)
	}
	return parts[0], parts[1], nil
}

// snapshot asks for a full snapshot, epoch 0 for the newest.
func (a *asker) snapshot(epoch uint64) (raw []byte, s *directory.Snapshot, err error) {
	b, err := a.do(TypeSnapshot, snapshotRequest{epoch: epoch}.append(nil))
	if err != nil {
		return nil, nil, err
	}
	return parseFullAnswer(b)
}

// parseFullAnswer reads an answer of form 0 or 1.
func parseFullAnswer(b []byte) (raw []byte, s *directory.Snapshot, err error) {
	if len(b) == 0 || b[0] == snapshotNone && len(b) != 1 || b[0] > snapshotFull {
		return nil, nil, errAnswer
	}
	if b[0] == snapshotNone {
		return nil, nil, errUnknown
	}
	s, err = directory.ParseSnapshot(b[1:])
	return b[1:], s, err
}

// newest asks for the newest snapshot, as a difference from the base, which may
// be nil. signed verifies the head before anything in it is worth an effort. The
// caller verifies the snapshot. A difference that does not lead there costs the
// peer a full one.
func (a *asker) newest(base *directory.Snapshot, signed func(*directory.Head) error) (raw []byte, s *directory.Snapshot, err error) {
	var q snapshotRequest
	if base != nil {
		q.base = base.Hash()
	}
	b, err := a.do(TypeSnapshot, q.append(nil))
	if err != nil {
		return nil, nil, err
	}
	if base != nil && len(b) > 0 && b[0] == snapshotDiff {
		head, diff, err := parseDiffAnswer(b)
		if err != nil {
			return nil, nil, err
		}
		h, err := directory.ParseHead(head)
		if err != nil {
			return nil, nil, err
		}
		if err := signed(h); err != nil {
			return nil, nil, err
		}
		if s, err := directory.ApplyDiff(base, h, diff); err == nil {
			raw, err := s.Encode()
			return raw, s, err
		}
		if b, err = a.do(TypeSnapshot, snapshotRequest{}.append(nil)); err != nil {
			return nil, nil, err
		}
	}
	if raw, s, err = parseFullAnswer(b); err != nil {
		return nil, nil, err
	}
	return raw, s, signed(&s.Head)
}
