package cell

// extendSize is the data of both EXTEND messages: identity and CREATE message.
const extendSize = 32 + CreateSize

// SplitExtend returns the two EXTEND messages that ask a relay to extend to
// next with the given CREATE message of CreateSize bytes (SPEC.md §4.2).
func SplitExtend(next [32]byte, create []byte) [2]Message {
	if len(create) != CreateSize {
		panic("cell: CREATE message of wrong size")
	}
	b := append(next[:len(next):len(next)], create...)
	return split(Extend, b)
}

// SplitExtended returns the two EXTENDED messages that carry a CREATED message
// of CreatedSize bytes.
func SplitExtended(created []byte) [2]Message {
	if len(created) != CreatedSize {
		panic("cell: CREATED message of wrong size")
	}
	return split(Extended, created)
}

func split(c Command, b []byte) [2]Message {
	return [2]Message{
		{Command: c, Flags: FirstOfTwo, Data: b[:DataSize]},
		{Command: c, Flags: SecondOfTwo, Data: b[DataSize:]},
	}
}

// MessageAssembler joins the two messages of an EXTEND or EXTENDED. The zero
// value with Command set is ready. It is not safe for concurrent use.
type MessageAssembler struct {
	Command Command // Extend or Extended
	data    []byte
	n       int
}

// Add takes the next parsed message, whose data it copies. After the second,
// done is true and data holds the joined bytes: identity 32 and CREATE message
// 1256 for EXTEND, the CREATED message 1152 for EXTENDED. Another command, a
// wrong order or a third message gives ErrFormat.
func (a *MessageAssembler) Add(m Message) (data []byte, done bool, err error) {
	switch {
	case m.Command != a.Command || a.Command != Extend && a.Command != Extended:
		return nil, false, malformed("command of fragment")
	case a.n == 0 && m.Flags == FirstOfTwo:
		a.data = append(make([]byte, 0, extendSize), m.Data...)
		a.n = 1
		return nil, false, nil
	case a.n == 1 && m.Flags == SecondOfTwo:
		a.n = 2
		return append(a.data, m.Data...), true, nil
	}
	return nil, false, malformed("order of fragments")
}
