package session

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// MaxReaction is the most bytes of an emoji in a FrameReact message. It bounds
// what one reaction may store; the longest emoji of Unicode have 35.
const MaxReaction = 48

// Amendment is the content of a FrameEdit, FrameRetract or FrameReact message:
// what becomes of a message that its author, or for a reaction either side, sent
// before (SPEC.md §6.5).
type Amendment struct {
	Target [16]byte // id of the message; not zero
	Text   string   // FrameEdit: the new text; FrameReact: an emoji or nothing; not sanitised
}

// Append appends the content of an amendment of the given type; ErrFormat if
// ParseAmendment would refuse it.
func (a Amendment) Append(b []byte, kind FrameType) ([]byte, error) {
	if err := a.check(kind); err != nil {
		return nil, fmt.Errorf("amendment: %w", err)
	}
	return append(append(b, a.Target[:]...), a.Text...), nil
}

// ParseAmendment parses the content of a message of one of the three types;
// ErrFormat if anything is wrong.
func ParseAmendment(kind FrameType, content []byte) (Amendment, error) {
	var a Amendment
	r := reader{b: content}
	a.Target = [16]byte(r.bytes(len(a.Target)))
	if r.bad {
		return Amendment{}, fmt.Errorf("parse amendment: %w", ErrFormat)
	}
	a.Text = string(r.b)
	if err := a.check(kind); err != nil {
		return Amendment{}, fmt.Errorf("parse amendment: %w", err)
	}
	return a, nil
}

func (a Amendment) check(kind FrameType) error {
	least, most := 0, 0
	switch kind {
	case FrameEdit:
		least, most = 1, MaxText
	case FrameReact:
		most = MaxReaction
	case FrameRetract:
	default:
		return fmt.Errorf("type %d: %w", kind, ErrFormat)
	}
	if a.Target == [16]byte{} || len(a.Text) < least || len(a.Text) > most || !utf8.ValidString(a.Text) {
		return ErrFormat
	}
	return nil
}

// Timer is the content of a FrameTimer message: after how long the messages that
// follow disappear (SPEC.md §6.5).
type Timer struct {
	Seconds uint32 // 0: never; else 1, 7 or 28 days
	Change  uint32 // rises with each change of either side, from 1: the highest holds
}

// ValidTimer tells whether messages may be set to disappear after so long.
func ValidTimer(seconds uint32) bool {
	const day = 24 * 60 * 60
	return seconds == 0 || seconds == day || seconds == 7*day || seconds == 28*day
}

// Append appends the 8 bytes of t.
func (t Timer) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, t.Seconds)
	return binary.BigEndian.AppendUint32(b, t.Change)
}

// ParseTimer parses the content of a FrameTimer message; ErrFormat if anything
// is wrong.
func ParseTimer(content []byte) (Timer, error) {
	var t Timer
	r := reader{b: content}
	t.Seconds, t.Change = r.uint32(), r.uint32()
	if err := r.done(); err != nil {
		return Timer{}, fmt.Errorf("parse timer: %w", err)
	}
	if !ValidTimer(t.Seconds) || t.Change == 0 {
		return Timer{}, fmt.Errorf("parse timer: %w", ErrFormat)
	}
	return t, nil
}
