package gossip

import (
	"encoding/binary"
	"fmt"

	"hearsay/directory"
)

// Specification constants of notices (SPEC.md §13).
const (
	maxSuccessor = 2048 // bytes of a successor notice
	// maxReport bounds the evidence that is handed in by a request: two heads and
	// the proofs between them.
	maxReport = 64 << 10

	noticeEvidence  noticeKind = 1
	noticeSuccessor noticeKind = 2
)

// noticeKind says what a notice is.
type noticeKind uint8

// notice is one thing that everybody must hear, not verified.
type notice struct {
	kind noticeKind
	raw  []byte
}

// appendNotice appends kind u8, length u32 and the notice.
func appendNotice(b []byte, n notice) []byte {
	b = append(b, byte(n.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(n.raw)))
	return append(b, n.raw...)
}

// parseNotices reads exactly an answer. The notices alias b.
func parseNotices(b []byte) ([]notice, error) {
	if len(b) > maxNoticesAnswer {
		return nil, errTooLong
	}
	var list []notice
	for len(b) > 0 {
		if len(b) < 5 {
			return nil, errTruncated
		}
		kind, n := noticeKind(b[0]), binary.BigEndian.Uint32(b[1:])
		limit := maxSuccessor
		switch kind {
		case noticeEvidence:
			limit = directory.MaxEvidence
		case noticeSuccessor:
		default:
			return nil, fmt.Errorf("%w: notice of kind %d", errAnswer, kind)
		}
		if n == 0 || uint64(n) > uint64(len(b)-5) || uint64(n) > uint64(limit) {
			return nil, errTruncated
		}
		list = append(list, notice{kind: kind, raw: b[5 : 5+n : 5+n]})
		b = b[5+n:]
	}
	return list, nil
}
