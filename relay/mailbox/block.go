package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
)

// Send puts one block into a queue, 1072 bytes: one cell (SPEC.md §3.8).
type Send struct {
	SID   SID
	ID    MessageID
	MAC   [MACSize]byte
	Block [BlockSize]byte
}

// Append appends the data to b.
func (m *Send) Append(b []byte) []byte {
	b = append(b, m.SID[:]...)
	b = append(b, m.ID[:]...)
	b = append(b, m.MAC[:]...)
	return append(b, m.Block[:]...)
}

// unsigned appends what the MAC covers: the block's hash stands for the block.
func (m *Send) unsigned(b []byte) []byte {
	h := sha256.Sum256(m.Block[:])
	b = append(b, m.SID[:]...)
	b = append(b, m.ID[:]...)
	return append(b, h[:]...)
}

// ParseSend parses the data of a SEND.
func ParseSend(d []byte) (*Send, error) {
	if len(d) != DataSize {
		return nil, malformed(CmdSend)
	}
	return &Send{SID: SID(d), ID: MessageID(d[24:]), MAC: [MACSize]byte(d[32:]), Block: [BlockSize]byte(d[48:])}, nil
}

// OKSend answers SEND: command 1, status 1, zero 2, message id 8, stored 4,
// until 4, receipt 64 (SPEC.md §3.9, §6).
type OKSend struct {
	ID            MessageID
	Stored, Until uint32 // protocol hours since 1970
	Receipt       [SigSize]byte
}

// Append appends the data to b.
func (m OKSend) Append(b []byte) []byte {
	b = append(b, byte(CmdSend), 0, 0, 0)
	b = append(b, m.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, m.Stored)
	b = binary.BigEndian.AppendUint32(b, m.Until)
	return append(b, m.Receipt[:]...)
}

// ParseOKSend parses the OK to a SEND. The receipt is not verified yet.
func ParseOKSend(d []byte) (OKSend, error) {
	if len(d) != 84 || Command(d[0]) != CmdSend || !zero(d[1:4]) {
		return OKSend{}, malformed(CmdOK)
	}
	return OKSend{ID: MessageID(d[4:]), Stored: binary.BigEndian.Uint32(d[12:]), Until: binary.BigEndian.Uint32(d[16:]), Receipt: [SigSize]byte(d[20:])}, nil
}

// Msg brings one block to its owner, 1072 bytes (SPEC.md §3.6).
type Msg struct {
	RID     RID
	Seq     uint64 // from 1
	Backlog uint16 // blocks that the relay holds behind this one, at most 65535
	Work    byte   // bits that were paid for the request; 0 outside of queues of addresses
	Block   [BlockSize]byte
}

// Append appends the data to b.
func (m *Msg) Append(b []byte) []byte {
	b = appendSeq(b, m.RID, m.Seq)
	b = binary.BigEndian.AppendUint16(b, m.Backlog)
	b = append(b, m.Work)
	b = append(b, make([]byte, 13)...)
	return append(b, m.Block[:]...)
}

// ParseMsg parses the data of a MSG.
func ParseMsg(d []byte) (*Msg, error) {
	if len(d) != DataSize || !zero(d[35:48]) {
		return nil, malformed(CmdMsg)
	}
	m := &Msg{RID: RID(d), Seq: binary.BigEndian.Uint64(d[24:]), Backlog: binary.BigEndian.Uint16(d[32:]), Work: d[34], Block: [BlockSize]byte(d[48:])}
	if m.Seq == 0 {
		return nil, malformed(CmdMsg)
	}
	return m, nil
}
