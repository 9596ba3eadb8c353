package gossip

import (
	"encoding/binary"
	"errors"
	"time"
)

// Specification constants of the record messages (SPEC.md §6).
const (
	maxWant     = 4096 // keys in one WANT
	haveSize    = 21
	maxHave     = 2048 // rumours in one HAVE
	byeSize     = 3
	verdictSize = 17
	maxVerdict  = 64
	maxRecord   = 1024 // bytes of one descriptor or leave
)

var errRecord = errors.New("gossip: a record of this length cannot be")

// A key is the first half of the hash that places a relay in the set, a digest
// the first half of its record's hash (SPEC.md §5.1).
type (
	key         [16]byte
	digest      [16]byte
	shortKey    [8]byte
	shortDigest [8]byte
)

func (k key) short() shortKey       { return shortKey(k[:8]) }
func (d digest) short() shortDigest { return shortDigest(d[:8]) }

// wildcard is the WANT key for every record whose key starts with k.
func (k shortKey) wildcard() key {
	var w key
	copy(w[:], k[:])
	return w
}

// have announces one record.
type have struct {
	key    shortKey
	seq    uint64 // 40 bits
	digest shortDigest
}

func appendWant(b []byte, keys []key) []byte {
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	return b
}

func parseWant(b []byte) ([]key, error) {
	if len(b) == 0 || len(b)%16 != 0 {
		return nil, errTruncated
	}
	keys := make([]key, 0, len(b)/16)
	for ; len(b) > 0; b = b[16:] {
		keys = append(keys, key(b[:16]))
	}
	return keys, nil
}

func appendGive(b, record []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(record)))
	return append(b, record...)
}

// parseGive returns the records, which alias b. An empty GIVE is allowed: it
// answers a WANT whose records are gone.
func parseGive(b []byte) ([][]byte, error) {
	var records [][]byte
	for len(b) > 0 {
		if len(b) < 2 {
			return nil, errTruncated
		}
		n := int(binary.BigEndian.Uint16(b))
		if n == 0 || n > maxRecord {
			return nil, errRecord
		}
		if len(b) < 2+n {
			return nil, errTruncated
		}
		records = append(records, b[2:2+n:2+n])
		b = b[2+n:]
	}
	return records, nil
}

func (h have) append(b []byte) []byte {
	b = append(b, h.key[:]...)
	b = append(b, byte(h.seq>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(h.seq))
	return append(b, h.digest[:]...)
}

func parseHave(b []byte) ([]have, error) {
	if len(b) == 0 || len(b)%haveSize != 0 {
		return nil, errTruncated
	}
	haves := make([]have, 0, len(b)/haveSize)
	for ; len(b) > 0; b = b[haveSize:] {
		haves = append(haves, have{
			key:    shortKey(b[:8]),
			seq:    uint64(b[8])<<32 | uint64(binary.BigEndian.Uint32(b[9:])),
			digest: shortDigest(b[13:21]),
		})
	}
	return haves, nil
}

// ByeCode says why a node ends a stream (SPEC.md §6.4).
type ByeCode byte

// The codes of BYE.
const (
	ByeDone     ByeCode = 0 // nothing more to say
	ByeBusy     ByeCode = 1 // too many streams or requests; come back after retry-after
	ByeRate     ByeCode = 2 // the peer sent or asked more than its share
	ByeProtocol ByeCode = 3 // a message that the specification does not allow
	ByeNetwork  ByeCode = 4 // another network
	ByeRefused  ByeCode = 5 // the peer sent records that do not verify; refused for a while
	byeLast             = ByeRefused
)

func appendBye(b []byte, c ByeCode, retry time.Duration) []byte {
	s := min(max(retry/time.Second, 0), 65535)
	b = append(b, byte(c))
	return binary.BigEndian.AppendUint16(b, uint16(s))
}

func parseBye(b []byte) (ByeCode, time.Duration, error) {
	if len(b) != byeSize {
		return 0, 0, errTruncated
	}
	if ByeCode(b[0]) > byeLast {
		return 0, 0, errors.New("gossip: unknown BYE code")
	}
	return ByeCode(b[0]), time.Duration(binary.BigEndian.Uint16(b[1:])) * time.Second, nil
}

// verdict tells a peer what became of its own descriptor.
type verdict struct {
	key  key
	code VerdictCode
}

func (v verdict) append(b []byte) []byte {
	b = append(b, v.key[:]...)
	return append(b, byte(v.code))
}

func parseVerdict(b []byte) ([]verdict, error) {
	if len(b) == 0 || len(b)%verdictSize != 0 {
		return nil, errTruncated
	}
	var vs []verdict
	for ; len(b) > 0; b = b[verdictSize:] {
		v := verdict{key: key(b[:16]), code: VerdictCode(b[16])}
		if v.code > verdictLast {
			return nil, errors.New("gossip: unknown verdict")
		}
		vs = append(vs, v)
	}
	return vs, nil
}
