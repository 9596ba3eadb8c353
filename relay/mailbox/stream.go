package mailbox

import (
	"crypto/ed25519"
	"encoding/binary"
)

// Open asks for a mailbox stream: version 1, zero 3 (SPEC.md §3.3). Parse lets
// other versions pass so that the relay can refuse them by name.
type Open struct {
	Version byte
}

// Append appends the 4 bytes of the command's data to b.
func (m Open) Append(b []byte) []byte { return append(b, m.Version, 0, 0, 0) }

// ParseOpen parses the data of an OPEN.
func ParseOpen(d []byte) (Open, error) {
	if len(d) != 4 || !zero(d[1:]) {
		return Open{}, malformed(CmdOpen)
	}
	return Open{Version: d[0]}, nil
}

// Hello answers OPEN, 140 bytes (SPEC.md §3.4): the nonce that everything on
// the stream is authenticated against, and the key that signs receipts.
type Hello struct {
	Draining bool
	Window   byte // most unacknowledged pushed blocks of a queue
	WorkBits byte // that NEW asks for
	Nonce    [32]byte
	Custody  Certificate
}

// Append appends the data to b.
func (m Hello) Append(b []byte) []byte {
	b = append(b, Version, bit(m.Draining), m.Window, m.WorkBits)
	b = append(b, m.Nonce[:]...)
	return m.Custody.Append(b)
}

// ParseHello parses the data of a HELLO. The certificate is not verified yet.
func ParseHello(d []byte) (Hello, error) {
	if len(d) != 36+CertificateSize || d[0] != Version || d[1] > 1 || d[2] == 0 {
		return Hello{}, malformed(CmdHello)
	}
	c, err := ParseCertificate(d[36:])
	if err != nil {
		return Hello{}, err
	}
	return Hello{Draining: d[1] == 1, Window: d[2], WorkBits: d[3], Nonce: [32]byte(d[4:36]), Custody: c}, nil
}

// End tells that a subscription ended: RID 24, reason 1, zero 7 (SPEC.md §3.16).
type End struct {
	RID    RID
	Reason EndReason
}

// Append appends the data to b.
func (m End) Append(b []byte) []byte {
	b = append(b, m.RID[:]...)
	return append(b, byte(m.Reason), 0, 0, 0, 0, 0, 0, 0)
}

// ParseEnd parses the data of an END.
func ParseEnd(d []byte) (End, error) {
	if len(d) != 32 || d[24] == 0 || d[24] > byte(EndExpired) || !zero(d[25:]) {
		return End{}, malformed(CmdEnd)
	}
	return End{RID: RID(d[:24]), Reason: EndReason(d[24])}, nil
}

// OK is the reply that only says yes: command 1, status 1, zero 2 (SPEC.md §3.9).
type OK struct {
	Command Command
}

// Append appends the data to b.
func (m OK) Append(b []byte) []byte { return append(b, byte(m.Command), 0, 0, 0) }

// ParseOK parses an OK to SETLINK, WORK, ROTCAP, DEL or PUT. The OKs with content have
// parsers of their own.
func ParseOK(d []byte) (OK, error) {
	if len(d) != 4 || !zero(d[1:]) {
		return OK{}, malformed(CmdOK)
	}
	switch c := Command(d[0]); c {
	case CmdSetLink, CmdWork, CmdRotCap, CmdDel, CmdPut:
		return OK{Command: c}, nil
	}
	return OK{}, malformed(CmdOK)
}

// Err refuses a command: command 1, code 1, argument 2, reference 8 (SPEC.md
// §3.10).
type Err struct {
	Command   Command
	Code      Code
	Argument  uint16
	Reference MessageID // of SEND; else zeros
}

// Append appends the data to b.
func (m Err) Append(b []byte) []byte {
	b = append(b, byte(m.Command), byte(m.Code))
	b = binary.BigEndian.AppendUint16(b, m.Argument)
	return append(b, m.Reference[:]...)
}

// ParseErr parses the data of an ERR.
func ParseErr(d []byte) (Err, error) {
	if len(d) != 12 || d[1] == 0 || d[1] > byte(CodeFull) {
		return Err{}, malformed(CmdErr)
	}
	m := Err{Command: Command(d[0]), Code: Code(d[1]), Argument: binary.BigEndian.Uint16(d[2:]), Reference: MessageID(d[4:])}
	switch m.Command {
	case CmdSend:
	case CmdOpen, CmdNew, CmdSub, CmdList, CmdSetLink, CmdGetLink, CmdWork, CmdRotCap, CmdDel, CmdPut, CmdGet:
		if m.Reference != (MessageID{}) {
			return Err{}, malformed(CmdErr)
		}
	default:
		return Err{}, malformed(CmdErr)
	}
	switch m.Code {
	case CodeBusy, CodeWork, CodeVersion:
	default:
		if m.Argument != 0 {
			return Err{}, malformed(CmdErr)
		}
	}
	return m, nil
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func zero(b []byte) bool {
	var or byte
	for _, x := range b {
		or |= x
	}
	return or == 0
}

func verify(key [32]byte, text []byte, sig [SigSize]byte) bool {
	return ed25519.Verify(key[:], text, sig[:])
}
