package mailbox

import "encoding/binary"

// SetLink stores one half of the blob of an invite, 1072 bytes (SPEC.md §3.12).
type SetLink struct {
	RID   RID
	Part  byte // 0 or 1
	Chunk [BlockSize]byte
}

// Append appends the data to b.
func (m *SetLink) Append(b []byte) []byte {
	b = append(b, m.RID[:]...)
	b = append(b, m.Part, LinkParts)
	b = append(b, make([]byte, 22)...)
	return append(b, m.Chunk[:]...)
}

// ParseSetLink parses the data of a SETLINK.
func ParseSetLink(d []byte) (*SetLink, error) {
	if len(d) != DataSize || d[24] >= LinkParts || d[25] != LinkParts || !zero(d[26:48]) {
		return nil, malformed(CmdSetLink)
	}
	return &SetLink{RID: RID(d), Part: d[24], Chunk: [BlockSize]byte(d[48:])}, nil
}

// GetLink asks for the blob of an invite, 56 bytes (SPEC.md §3.13).
type GetLink struct {
	LID    LID
	Reader [32]byte // random, drawn once by whoever opens the link
}

// Append appends the data to b.
func (m GetLink) Append(b []byte) []byte {
	b = append(b, m.LID[:]...)
	return append(b, m.Reader[:]...)
}

// ParseGetLink parses the data of a GETLINK.
func ParseGetLink(d []byte) (GetLink, error) {
	if len(d) != 56 {
		return GetLink{}, malformed(CmdGetLink)
	}
	return GetLink{LID: LID(d), Reader: [32]byte(d[24:])}, nil
}

// Link brings one half of the blob, 1072 bytes; two of them answer a GETLINK
// (SPEC.md §3.13).
type Link struct {
	Part  byte
	Opens uint16
	Chunk [BlockSize]byte
}

// Append appends the data to b.
func (m *Link) Append(b []byte) []byte {
	b = append(b, m.Part, LinkParts)
	b = binary.BigEndian.AppendUint16(b, m.Opens)
	b = append(b, make([]byte, 44)...)
	return append(b, m.Chunk[:]...)
}

// ParseLink parses the data of a LINK.
func ParseLink(d []byte) (*Link, error) {
	if len(d) != DataSize || d[0] >= LinkParts || d[1] != LinkParts || !zero(d[4:48]) {
		return nil, malformed(CmdLink)
	}
	return &Link{Part: d[0], Opens: binary.BigEndian.Uint16(d[2:]), Chunk: [BlockSize]byte(d[48:])}, nil
}
