package mailbox

import (
	"encoding/binary"

	"hearsay/directory"
)

// Specification constants of address records on the wire (SPEC.md §3.18).
const (
	RecordParts = 3
	RecordChunk = directory.AddressRecordSize / RecordParts // 720
)

// Put stores one part of an address record, 736 bytes: part 1, parts 1, zero 6,
// work 8, chunk 720 (SPEC.md §3.18).
type Put struct {
	Part  byte   // 0 to 2
	Work  uint64 // of the last part: counter whose hash has the bits that HELLO asks for; else 0
	Chunk [RecordChunk]byte
}

// Append appends the data to b.
func (m *Put) Append(b []byte) []byte {
	b = append(b, m.Part, RecordParts, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, m.Work)
	return append(b, m.Chunk[:]...)
}

// ParsePut parses the data of a PUT.
func ParsePut(d []byte) (*Put, error) {
	if len(d) != 16+RecordChunk || d[0] >= RecordParts || d[1] != RecordParts || !zero(d[2:8]) {
		return nil, malformed(CmdPut)
	}
	m := &Put{Part: d[0], Work: binary.BigEndian.Uint64(d[8:]), Chunk: [RecordChunk]byte(d[16:])}
	if m.Work != 0 && m.Part != RecordParts-1 {
		return nil, malformed(CmdPut)
	}
	return m, nil
}

// PutID is the id that the work of a PUT is computed with.
func PutID(key directory.BlindedKey) [IDSize]byte { return [IDSize]byte(key[:]) }

// Get asks for an address record, 40 bytes: blinded key 32, period 8 (SPEC.md
// §3.18).
type Get struct {
	Key    directory.BlindedKey
	Period uint64
}

// Append appends the data to b.
func (m Get) Append(b []byte) []byte { return append(b, recordKey(m.Key, m.Period)...) }

// ParseGet parses the data of a GET.
func ParseGet(d []byte) (Get, error) {
	if len(d) != 40 {
		return Get{}, malformed(CmdGet)
	}
	return Get{Key: directory.BlindedKey(d), Period: binary.BigEndian.Uint64(d[32:])}, nil
}

// RecordPart is one of the three parts of an address record that answer a GET,
// 736 bytes: part 1, parts 1, zero 14, chunk 720 (SPEC.md §3.18).
type RecordPart struct {
	Part  byte
	Chunk [RecordChunk]byte
}

// Append appends the data to b.
func (m *RecordPart) Append(b []byte) []byte {
	b = append(b, m.Part, RecordParts)
	b = append(b, make([]byte, 14)...)
	return append(b, m.Chunk[:]...)
}

// ParseRecordPart parses the data of a RECORD.
func ParseRecordPart(d []byte) (*RecordPart, error) {
	if len(d) != 16+RecordChunk || d[0] >= RecordParts || d[1] != RecordParts || !zero(d[2:16]) {
		return nil, malformed(CmdRecord)
	}
	return &RecordPart{Part: d[0], Chunk: [RecordChunk]byte(d[16:])}, nil
}

// recordKey is the row key of a record.
func recordKey(key directory.BlindedKey, period uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 40), key[:]...), period)
}
