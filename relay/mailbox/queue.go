package mailbox

import "encoding/binary"

// New creates a queue, 164 bytes (SPEC.md §3.5). The relay derives both ids of
// the queue from RPK; repeating a NEW changes nothing.
type New struct {
	Kind Kind
	TTL  uint16 // of blocks, in protocol hours; 0: the kind's own
	RPK  [32]byte
	Cap  [32]byte // the send capability
	LID  LID      // of an invite, or zeros while it has none
	Work uint64   // counter whose hash has the bits that HELLO asks for
	Sig  [SigSize]byte
}

// Append appends the data to b.
func (m New) Append(b []byte) []byte { return append(m.unsigned(b), m.Sig[:]...) }

func (m New) unsigned(b []byte) []byte {
	b = append(b, byte(m.Kind), 0)
	b = binary.BigEndian.AppendUint16(b, m.TTL)
	b = append(b, m.RPK[:]...)
	b = append(b, m.Cap[:]...)
	b = append(b, m.LID[:]...)
	return binary.BigEndian.AppendUint64(b, m.Work)
}

// ParseNew parses the data of a NEW. It lets kinds pass that do not exist, so
// that the relay can refuse them by name.
func ParseNew(d []byte) (New, error) {
	if len(d) != 164 || d[1] != 0 {
		return New{}, malformed(CmdNew)
	}
	return New{
		Kind: Kind(d[0]), TTL: binary.BigEndian.Uint16(d[2:]), RPK: [32]byte(d[4:]), Cap: [32]byte(d[36:]),
		LID: LID(d[68:]), Work: binary.BigEndian.Uint64(d[92:]), Sig: [SigSize]byte(d[100:]),
	}, nil
}

// OKNew answers NEW: command 1, status 1, capacity 2, ttl 2, zero 2, RID 24,
// SID 24 (SPEC.md §3.9).
type OKNew struct {
	Capacity uint16
	TTL      uint16 // protocol hours
	RID      RID
	SID      SID
}

// Append appends the data to b.
func (m OKNew) Append(b []byte) []byte {
	b = append(b, byte(CmdNew), 0)
	b = binary.BigEndian.AppendUint16(b, m.Capacity)
	b = binary.BigEndian.AppendUint16(b, m.TTL)
	b = append(b, 0, 0)
	b = append(b, m.RID[:]...)
	return append(b, m.SID[:]...)
}

// ParseOKNew parses the OK to a NEW.
func ParseOKNew(d []byte) (OKNew, error) {
	if len(d) != 56 || Command(d[0]) != CmdNew || d[1] != 0 || !zero(d[6:8]) {
		return OKNew{}, malformed(CmdOK)
	}
	return OKNew{Capacity: binary.BigEndian.Uint16(d[2:]), TTL: binary.BigEndian.Uint16(d[4:]), RID: RID(d[8:]), SID: SID(d[32:])}, nil
}

// Sub subscribes to a queue or polls it, 100 bytes (SPEC.md §3.6).
type Sub struct {
	RID    RID
	After  uint64 // blocks above this seq are wanted
	Window byte   // push: most unacknowledged blocks; poll: most blocks
	Push   bool
	Sig    [SigSize]byte
}

// Append appends the data to b.
func (m Sub) Append(b []byte) []byte { return append(m.unsigned(b), m.Sig[:]...) }

func (m Sub) unsigned(b []byte) []byte {
	b = append(b, m.RID[:]...)
	b = binary.BigEndian.AppendUint64(b, m.After)
	return append(b, m.Window, bit(m.Push), 0, 0)
}

// ParseSub parses the data of a SUB.
func ParseSub(d []byte) (Sub, error) {
	if len(d) != 100 || d[33] > 1 || !zero(d[34:36]) {
		return Sub{}, malformed(CmdSub)
	}
	m := Sub{RID: RID(d), After: binary.BigEndian.Uint64(d[24:]), Window: d[32], Push: d[33] == 1, Sig: [SigSize]byte(d[36:])}
	if m.Push && (m.Window == 0 || m.Window > PushWindow) || !m.Push && m.Window > PollWindow {
		return Sub{}, malformed(CmdSub)
	}
	return m, nil
}

// OKSub answers SUB: command 1, status 1, zero 2, RID 24, lowest 8, next 8,
// opens 2, zero 2 (SPEC.md §3.9).
type OKSub struct {
	RID    RID
	Lowest uint64 // the first seq above Sub.After that the relay holds; Next if none
	Next   uint64 // the seq that the next block will get
	Opens  uint16 // how many readers opened the link, the refused ones too
}

// Append appends the data to b.
func (m OKSub) Append(b []byte) []byte {
	b = append(b, byte(CmdSub), 0, 0, 0)
	b = append(b, m.RID[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Lowest)
	b = binary.BigEndian.AppendUint64(b, m.Next)
	b = binary.BigEndian.AppendUint16(b, m.Opens)
	return append(b, 0, 0)
}

// ParseOKSub parses the OK to a SUB.
func ParseOKSub(d []byte) (OKSub, error) {
	if len(d) != 48 || Command(d[0]) != CmdSub || !zero(d[1:4]) || !zero(d[46:]) {
		return OKSub{}, malformed(CmdOK)
	}
	m := OKSub{RID: RID(d[4:]), Lowest: binary.BigEndian.Uint64(d[28:]), Next: binary.BigEndian.Uint64(d[36:]), Opens: binary.BigEndian.Uint16(d[44:])}
	if m.Lowest == 0 || m.Lowest > m.Next {
		return OKSub{}, malformed(CmdOK)
	}
	return m, nil
}

// Ack deletes all blocks up to Seq, 32 bytes (SPEC.md §3.7). It has no reply.
type Ack struct {
	RID RID
	Seq uint64
}

// Append appends the data to b.
func (m Ack) Append(b []byte) []byte { return appendSeq(b, m.RID, m.Seq) }

// ParseAck parses the data of an ACK.
func ParseAck(d []byte) (Ack, error) {
	if len(d) != 32 {
		return Ack{}, malformed(CmdAck)
	}
	return Ack{RID: RID(d), Seq: binary.BigEndian.Uint64(d[24:])}, nil
}

// List asks for the message ids above After, 32 bytes (SPEC.md §3.11).
type List struct {
	RID   RID
	After uint64
}

// Append appends the data to b.
func (m List) Append(b []byte) []byte { return appendSeq(b, m.RID, m.After) }

// ParseList parses the data of a LIST.
func ParseList(d []byte) (List, error) {
	if len(d) != 32 {
		return List{}, malformed(CmdList)
	}
	return List{RID: RID(d), After: binary.BigEndian.Uint64(d[24:])}, nil
}

func appendSeq(b []byte, r RID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, r[:]...), seq)
}

// IDs answers LIST: RID 24, first seq 8, count 2, zero 14, the ids of count
// blocks with consecutive seqs (SPEC.md §3.11).
type IDs struct {
	RID   RID
	First uint64 // 0 if there are none
	IDs   []MessageID
}

// Append appends the data to b. It keeps the first ListMax ids only.
func (m IDs) Append(b []byte) []byte {
	ids := m.IDs[:min(len(m.IDs), ListMax)]
	b = appendSeq(b, m.RID, m.First)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ids)))
	b = append(b, make([]byte, 14)...)
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// ParseIDs parses the data of an IDS.
func ParseIDs(d []byte) (IDs, error) {
	if len(d) < 48 || !zero(d[34:48]) {
		return IDs{}, malformed(CmdIDs)
	}
	n := int(binary.BigEndian.Uint16(d[32:]))
	m := IDs{RID: RID(d), First: binary.BigEndian.Uint64(d[24:])}
	if n > ListMax || len(d) != 48+n*MessageIDSize || (n == 0) != (m.First == 0) || m.First > 1<<63 {
		return IDs{}, malformed(CmdIDs)
	}
	for i := range n {
		m.IDs = append(m.IDs, MessageID(d[48+i*MessageIDSize:]))
	}
	return m, nil
}

// RotCap replaces the send capability, 120 bytes (SPEC.md §3.14).
type RotCap struct {
	RID RID
	Cap [32]byte
	Sig [SigSize]byte
}

// Append appends the data to b.
func (m RotCap) Append(b []byte) []byte { return append(m.unsigned(b), m.Sig[:]...) }

func (m RotCap) unsigned(b []byte) []byte { return append(append(b, m.RID[:]...), m.Cap[:]...) }

// ParseRotCap parses the data of a ROTCAP.
func ParseRotCap(d []byte) (RotCap, error) {
	if len(d) != 120 {
		return RotCap{}, malformed(CmdRotCap)
	}
	return RotCap{RID: RID(d), Cap: [32]byte(d[24:]), Sig: [SigSize]byte(d[56:])}, nil
}

// Del deletes a queue and all it holds, 88 bytes (SPEC.md §3.15).
type Del struct {
	RID RID
	Sig [SigSize]byte
}

// Append appends the data to b.
func (m Del) Append(b []byte) []byte { return append(m.unsigned(b), m.Sig[:]...) }

func (m Del) unsigned(b []byte) []byte { return append(b, m.RID[:]...) }

// ParseDel parses the data of a DEL.
func ParseDel(d []byte) (Del, error) {
	if len(d) != 88 {
		return Del{}, malformed(CmdDel)
	}
	return Del{RID: RID(d), Sig: [SigSize]byte(d[24:])}, nil
}
