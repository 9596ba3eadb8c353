package session

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// MaxText is the most bytes of text in one message.
const MaxText = 64 << 10

const (
	textHasReply byte = 1
	textHasTimer byte = 2
)

// Text is the content of a FrameText message (SPEC.md §6.4).
type Text struct {
	Reply *[16]byte // id of the message replied to, or nil
	Timer uint32    // seconds until it disappears; 0: never
	Text  string    // UTF-8, 1 to MaxText bytes; not sanitised
}

// Append appends the content; ErrFormat if the text is empty, too long or not
// UTF-8.
func (t Text) Append(b []byte) ([]byte, error) {
	if len(t.Text) == 0 || len(t.Text) > MaxText || !utf8.ValidString(t.Text) {
		return nil, fmt.Errorf("text of %d bytes: %w", len(t.Text), ErrFormat)
	}
	var attributes byte
	if t.Reply != nil {
		attributes |= textHasReply
	}
	if t.Timer != 0 {
		attributes |= textHasTimer
	}
	b = append(b, attributes)
	if t.Reply != nil {
		b = append(b, t.Reply[:]...)
	}
	if t.Timer != 0 {
		b = binary.BigEndian.AppendUint32(b, t.Timer)
	}
	return append(b, t.Text...), nil
}

// ParseText parses the content of a FrameText message; ErrFormat if anything is
// wrong: callers show such a message as unsupported.
func ParseText(content []byte) (Text, error) {
	var t Text
	r := reader{b: content}
	attributes := r.byte()
	if attributes&^(textHasReply|textHasTimer) != 0 {
		r.fail()
	}
	if attributes&textHasReply != 0 {
		id := [16]byte(r.bytes(16))
		t.Reply = &id
	}
	if attributes&textHasTimer != 0 {
		if t.Timer = r.uint32(); t.Timer == 0 {
			r.fail()
		}
	}
	if r.bad || len(r.b) == 0 || len(r.b) > MaxText || !utf8.Valid(r.b) {
		return Text{}, fmt.Errorf("parse text: %w", ErrFormat)
	}
	t.Text = string(r.b)
	return t, nil
}

// QAdd is the content of a FrameQAdd: a queue of ours that the peer is to write
// to from now on.
type QAdd struct {
	Slot       byte // 0 or 1
	Generation uint32
	Addr       QAddr
}

// Append appends the 128 bytes of q.
func (q QAdd) Append(b []byte) []byte {
	b = append(b, q.Slot, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, q.Generation)
	return q.Addr.Append(b)
}

// ParseQAdd parses the content of a FrameQAdd.
func ParseQAdd(b []byte) (QAdd, error) {
	var q QAdd
	r := reader{b: b}
	if q.Slot = r.byte(); q.Slot > 1 {
		r.fail()
	}
	r.zero(3)
	q.Generation = r.uint32()
	addr := r.bytes(QAddrSize)
	if err := r.done(); err != nil {
		return QAdd{}, fmt.Errorf("parse queue offer: %w", err)
	}
	var err error
	if q.Addr, err = ParseQAddr(addr); err != nil {
		return QAdd{}, fmt.Errorf("parse queue offer: %w", err)
	}
	if q.Addr.IsZero() {
		return QAdd{}, fmt.Errorf("parse queue offer: no queue: %w", ErrFormat)
	}
	return q, nil
}

// QUse is the content of a FrameQUse: it answers a QAdd.
type QUse struct {
	Slot       byte // 0 or 1
	Generation uint32
}

// Append appends the 8 bytes of q.
func (q QUse) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, q.Slot, 0, 0, 0), q.Generation)
}

// ParseQUse parses the content of a FrameQUse.
func ParseQUse(b []byte) (QUse, error) {
	var q QUse
	r := reader{b: b}
	if q.Slot = r.byte(); q.Slot > 1 {
		r.fail()
	}
	r.zero(3)
	q.Generation = r.uint32()
	if err := r.done(); err != nil {
		return QUse{}, fmt.Errorf("parse queue answer: %w", err)
	}
	return q, nil
}
