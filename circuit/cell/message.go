package cell

import "encoding/binary"

// Specification constants of relay messages (SPEC.md §4).
const (
	MessageHeaderSize = 8
	DataSize          = 1072 // most data bytes of one message, at every hop
)

// Command says what a relay message means.
type Command byte

// The commands (SPEC.md §4.1). F: client to relay, B: relay to client.
const (
	Data       Command = 0x01 // both, credited: stream bytes
	Begin      Command = 0x02 // F: service u8, 3 zero bytes
	Connected  Command = 0x03 // B: empty
	End        Command = 0x04 // both: reason u8
	XOff       Command = 0x05 // both: empty
	XOn        Command = 0x06 // both: empty
	SendMe     Command = 0x07 // both: tag 16
	Extend     Command = 0x08 // F, two fragments: next identity 32, CREATE message
	Extended   Command = 0x09 // B, two fragments: CREATED message
	ExtendFail Command = 0x0A // B: reason u8
	Drop       Command = 0x0B // F: empty, ignored
	Ping       Command = 0x0C // F: 16 bytes
	Pong       Command = 0x0D // B: the same 16 bytes
	Echo       Command = 0x0E // F, credited: 1072 bytes
	EchoReply  Command = 0x0F // B, credited: the same 1072 bytes
	EchoBusy   Command = 0x10 // B: retry after, seconds u16

	MailboxFirst Command = 0x40 // both, credited: owned by the mailbox
	MailboxLast  Command = 0x5F
)

// ServiceDirectory is the only service that BEGIN can name.
const ServiceDirectory = 1

// Reasons of END.
const (
	EndDone     = 0
	EndRefused  = 1
	EndOverload = 2
)

// Reasons of EXTEND_FAIL.
const (
	FailUnknown     = 1 // the relay is not in the view
	FailUnreachable = 2
	FailRefused     = 3
	FailTimeout     = 4
)

// Mailbox reports whether the command belongs to the mailbox.
func (c Command) Mailbox() bool { return c >= MailboxFirst && c <= MailboxLast }

// Credited reports whether a message of this command uses up one credit.
func (c Command) Credited() bool {
	return c == Data || c == Echo || c == EchoReply || c.Mailbox()
}

// Message is one relay message.
type Message struct {
	Command Command
	Flags   byte   // fragment byte of EXTEND and EXTENDED, free for the mailbox, else 0
	Stream  uint16 // non-zero for streams and the mailbox, else 0
	Data    []byte // at most DataSize
}

// Put writes header, data and zeros over all of dst, which is the payload of
// a slot (PayloadSize bytes). It returns ErrFormat for a message that Parse
// would refuse.
func (m Message) Put(dst []byte) error {
	if err := m.check(); err != nil {
		return err
	}
	if len(dst) < MessageHeaderSize+len(m.Data) {
		return malformed("payload too small")
	}
	dst[0], dst[1] = byte(m.Command), m.Flags
	binary.BigEndian.PutUint16(dst[2:], m.Stream)
	binary.BigEndian.PutUint16(dst[4:], uint16(len(m.Data)))
	dst[6], dst[7] = 0, 0
	n := copy(dst[MessageHeaderSize:], m.Data)
	clear(dst[MessageHeaderSize+n:])
	return nil
}

// ParseMessage decodes a slot's payload. Data aliases p. Every deviation from
// SPEC.md §4 gives ErrFormat: unknown command, wrong length for the command,
// flags, stream or reserved bytes that must be zero, padding that is not.
func ParseMessage(p []byte) (Message, error) {
	if len(p) < MessageHeaderSize || len(p) > BodySize {
		return Message{}, malformed("size of payload")
	}
	n := int(binary.BigEndian.Uint16(p[4:]))
	if n > DataSize || n > len(p)-MessageHeaderSize {
		return Message{}, malformed("length")
	}
	if p[6]|p[7] != 0 {
		return Message{}, malformed("reserved bytes")
	}
	end := MessageHeaderSize + n
	m := Message{
		Command: Command(p[0]),
		Flags:   p[1],
		Stream:  binary.BigEndian.Uint16(p[2:]),
		Data:    p[MessageHeaderSize:end:end],
	}
	if err := m.check(); err != nil {
		return Message{}, err
	}
	if !isZero(p[end:]) {
		return Message{}, malformed("padding")
	}
	return m, nil
}

// check enforces the table of SPEC.md §4.1.
func (m Message) check() error {
	n := len(m.Data)
	if m.Command.Mailbox() {
		if n > DataSize || m.Stream == 0 {
			return malformed("mailbox message")
		}
		return nil
	}
	if fragmented := m.Command == Extend || m.Command == Extended; m.Flags != 0 && !fragmented {
		return malformed("flags")
	}
	onStream := false
	ok := false
	switch m.Command {
	case Data:
		onStream, ok = true, n >= 1 && n <= DataSize
	case Begin:
		onStream, ok = true, n == 4 && m.Data[1]|m.Data[2]|m.Data[3] == 0
	case Connected, XOff, XOn:
		onStream, ok = true, n == 0
	case End:
		onStream, ok = true, n == 1 && m.Data[0] <= EndOverload
	case SendMe, Ping, Pong:
		ok = n == 16
	case Extend:
		ok = m.Flags == FirstOfTwo && n == DataSize || m.Flags == SecondOfTwo && n == extendSize-DataSize
	case Extended:
		ok = m.Flags == FirstOfTwo && n == DataSize || m.Flags == SecondOfTwo && n == CreatedSize-DataSize
	case ExtendFail:
		ok = n == 1 && m.Data[0] >= FailUnknown && m.Data[0] <= FailTimeout
	case Drop:
		ok = n == 0
	case Echo, EchoReply:
		ok = n == DataSize
	case EchoBusy:
		ok = n == 2
	default:
		return malformed("command")
	}
	if !ok {
		return malformed("length for the command")
	}
	if onStream != (m.Stream != 0) {
		return malformed("stream id")
	}
	return nil
}
