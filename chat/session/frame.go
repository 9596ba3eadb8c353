package session

import (
	"encoding/binary"
	"fmt"
)

// FrameType says what a frame's content is.
type FrameType byte

// The frame types of this version (SPEC.md §6.3). Others are acknowledged and
// handed on as they are.
const (
	FrameText     FrameType = 0x01
	FrameEdit     FrameType = 0x02
	FrameRetract  FrameType = 0x03
	FrameReact    FrameType = 0x04
	FrameFile     FrameType = 0x05
	FrameFileCtl  FrameType = 0x06
	FrameTimer    FrameType = 0x07
	FrameAck      FrameType = 0x10 // seq 0; empty
	FrameSync     FrameType = 0x11 // seq 0; lowest unacked seq
	FramePQEK     FrameType = 0x20 // handled by State
	FramePQCT     FrameType = 0x21 // handled by State
	FramePQNO     FrameType = 0x22 // handled by State
	FrameQAdd     FrameType = 0x28
	FrameQUse     FrameType = 0x29
	FrameQBad     FrameType = 0x2A
	FrameResetKey FrameType = 0x30
	FrameIDRot    FrameType = 0x31
	FrameSASHash  FrameType = 0x38
	FrameSASNonce FrameType = 0x39
	FrameSASOpen  FrameType = 0x3A
	FrameGroup    FrameType = 0x40
	FrameGroupOp  FrameType = 0x41
	FrameIntro    FrameType = 0x42
	FrameBye      FrameType = 0x4F
)

// Specification constants of frames (SPEC.md §6.1).
const (
	BodySize     = 876 // bytes of a frame, padding included
	ContentSize  = 804 // most bytes of content in one frame
	MaxFragments = 82  // most frames of one message

	frameHeaderSize = BodySize - ContentSize
)

const (
	flagAckValid byte = 1
	flagRestored byte = 2
)

// Frame is the plaintext of one ratchet block.
type Frame struct {
	Type     FrameType
	AckValid bool   // Ack and Sack say something
	Restored bool   // the sender was restored from a backup
	Index    uint16 // of the fragment
	Count    uint16 // of fragments, 1 to MaxFragments
	Seq      uint64 // from 1; 0: unreliable
	Ack      uint64 // highest seq received without a gap
	Sack     [16]byte
	ID       [16]byte // of the message; shared by its fragments
	Prev     [16]byte // hash of the frame before
	Content  []byte   // at most ContentSize bytes
}

// First returns the seq of the message's first fragment, 0 if unreliable.
func (f Frame) First() uint64 {
	if f.Seq == 0 {
		return 0
	}
	return f.Seq - uint64(f.Index)
}

// Append appends the BodySize bytes of f, which must be one that ParseFrame
// accepts.
func (f Frame) Append(b []byte) []byte {
	var flags byte
	if f.AckValid {
		flags |= flagAckValid
	}
	if f.Restored {
		flags |= flagRestored
	}
	b = append(b, byte(f.Type), flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Content)))
	b = binary.BigEndian.AppendUint16(b, f.Index)
	b = binary.BigEndian.AppendUint16(b, f.Count)
	b = binary.BigEndian.AppendUint64(b, f.Seq)
	b = binary.BigEndian.AppendUint64(b, f.Ack)
	b = append(b, f.Sack[:]...)
	b = append(b, f.ID[:]...)
	b = append(b, f.Prev[:]...)
	b = append(b, f.Content...)
	return append(b, make([]byte, ContentSize-len(f.Content))...)
}

// ParseFrame parses exactly BodySize bytes; ErrFormat if anything is wrong.
// Content aliases b.
func ParseFrame(b []byte) (Frame, error) {
	var f Frame
	r := reader{b: b}
	f.Type = FrameType(r.byte())
	flags := r.byte()
	n := int(r.uint16())
	f.Index, f.Count = r.uint16(), r.uint16()
	f.Seq, f.Ack = r.uint64(), r.uint64()
	f.Sack = [16]byte(r.bytes(16))
	f.ID = [16]byte(r.bytes(16))
	f.Prev = [16]byte(r.bytes(16))
	content := r.bytes(ContentSize)
	if err := r.done(); err != nil {
		return Frame{}, fmt.Errorf("frame of %d bytes: %w", len(b), err)
	}
	if n > ContentSize || !allZero(content[n:]) {
		return Frame{}, fmt.Errorf("frame: length or padding: %w", ErrFormat)
	}
	f.Content = content[:n:n]
	if flags&^(flagAckValid|flagRestored) != 0 {
		return Frame{}, fmt.Errorf("frame: flags: %w", ErrFormat)
	}
	f.AckValid, f.Restored = flags&flagAckValid != 0, flags&flagRestored != 0
	if err := f.check(); err != nil {
		return Frame{}, fmt.Errorf("frame: %w", err)
	}
	return f, nil
}

// check refuses what ParseFrame's fixed fields leave open (SPEC.md §6.1).
func (f Frame) check() error {
	if !f.AckValid && (f.Ack != 0 || f.Sack != [16]byte{}) {
		return fmt.Errorf("ack without flag: %w", ErrFormat)
	}
	if f.Count < 1 || f.Count > MaxFragments || f.Index >= f.Count {
		return fmt.Errorf("fragment number: %w", ErrFormat)
	}
	if f.Count > 1 {
		last := f.Index == f.Count-1
		if !last && len(f.Content) != ContentSize || last && len(f.Content) == 0 {
			return fmt.Errorf("fragment not full: %w", ErrFormat)
		}
	}
	if f.Seq == 0 {
		if f.Count != 1 || f.Prev != [16]byte{} {
			return fmt.Errorf("unreliable frame: %w", ErrFormat)
		}
	} else if f.Seq <= uint64(f.Index) || f.Seq > maxSeq {
		return fmt.Errorf("seq: %w", ErrFormat)
	}
	return f.checkType()
}

// maxSeq keeps sums of seqs from wrapping around.
const maxSeq = 1<<63 - 1

// checkType refuses known types with a seq where none belongs, or without one,
// and ACK and SYNC of a wrong length.
func (f Frame) checkType() error {
	var unreliable bool
	switch f.Type {
	case FrameAck:
		unreliable = true
		if len(f.Content) != 0 {
			return fmt.Errorf("ack with content: %w", ErrFormat)
		}
	case FrameSync:
		unreliable = true
		if len(f.Content) != 8 {
			return fmt.Errorf("sync content: %w", ErrFormat)
		}
	case FrameText, FrameEdit, FrameRetract, FrameReact, FrameFile, FrameFileCtl, FrameTimer,
		FramePQEK, FramePQCT, FramePQNO, FrameQAdd, FrameQUse, FrameQBad,
		FrameResetKey, FrameIDRot, FrameSASHash, FrameSASNonce, FrameSASOpen,
		FrameGroup, FrameGroupOp, FrameIntro, FrameBye:
	default:
		return nil
	}
	if unreliable != (f.Seq == 0) {
		return fmt.Errorf("seq of this type: %w", ErrFormat)
	}
	return nil
}

// sum returns the hash that the next frame names: over the header without
// flags, ack and sack, which a repeat may change, and the content.
func (f Frame) sum() [16]byte {
	f.AckValid, f.Restored, f.Ack, f.Sack = false, false, 0, [16]byte{}
	b := f.Append(make([]byte, 0, BodySize))
	h := hash(labelFrame, b[:frameHeaderSize+len(f.Content)])
	return [16]byte(h[:16])
}

// Control reports whether frames of this type are about session and queues,
// not about what people write: they may use the reserve of the window, and are
// taken at once, whatever is missing before them.
func (t FrameType) Control() bool { return t >= 0x10 && t < 0x40 }

// Fragments returns how many frames content takes, 0 if it is too long.
func Fragments(content []byte) int {
	n := max(1, (len(content)+ContentSize-1)/ContentSize)
	if n > MaxFragments {
		return 0
	}
	return n
}

// Message is one whole message, of one or more frames.
type Message struct {
	Type    FrameType
	ID      [16]byte // random; zero: Seal draws one
	Content []byte   // at most MaxFragments × ContentSize bytes
}

// split cuts m into frames without seq, ack and hash.
func (m Message) split() ([]Frame, error) {
	n := Fragments(m.Content)
	if n == 0 {
		return nil, fmt.Errorf("message of %d bytes: %w", len(m.Content), ErrLimit)
	}
	frames := make([]Frame, n)
	rest := m.Content
	for i := range frames {
		k := min(len(rest), ContentSize)
		frames[i] = Frame{Type: m.Type, ID: m.ID, Index: uint16(i), Count: uint16(n), Content: rest[:k]}
		rest = rest[k:]
	}
	return frames, nil
}

// Join puts the frames of one message together, in any order; ErrFormat unless
// exactly all of them are there.
func Join(frames []Frame) (Message, error) {
	if len(frames) == 0 || int(frames[0].Count) != len(frames) {
		return Message{}, fmt.Errorf("join %d frames: %w", len(frames), ErrFormat)
	}
	m := Message{Type: frames[0].Type, ID: frames[0].ID}
	parts := make([][]byte, len(frames))
	for _, f := range frames {
		if f.Type != m.Type || f.ID != m.ID || int(f.Count) != len(frames) ||
			f.First() != frames[0].First() || f.Index >= f.Count || parts[f.Index] != nil {
			return Message{}, fmt.Errorf("join frames of different messages: %w", ErrFormat)
		}
		parts[f.Index] = append([]byte{}, f.Content...)
	}
	for _, p := range parts {
		m.Content = append(m.Content, p...)
	}
	return m, nil
}
