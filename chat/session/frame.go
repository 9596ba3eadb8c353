package session

import (
	"encoding/binary"
	"fmt"
)

// FrameType says what a frame's content is.
type FrameType byte

// The frame types of this version (SPEC.md §6). Others are acknowledged and
// handed on as they are.
const (
	FrameText FrameType = 0x01
	FrameAck  FrameType = 0x10 // seq 0; empty
	FrameSync FrameType = 0x11 // seq 0; lowest unacked seq
	FramePQEK FrameType = 0x20 // handled by State
	FramePQCT FrameType = 0x21 // handled by State
	FramePQNO FrameType = 0x22 // handled by State
	FrameQAdd FrameType = 0x28
	FrameQUse FrameType = 0x29
)

// Specification constants of frames.
const (
	BodySize     = 876 // bytes of a frame, padding included
	ContentSize  = 804 // most bytes of content in one frame
	MaxFragments = 82  // most frames of one message
	MaxText      = 64 << 10

	frameHeaderSize = BodySize - ContentSize
)

const (
	flagAckValid byte = 1
	flagRestored byte = 2
)

// Frame is the plaintext of one ratchet block.
type Frame struct {
	Type     FrameType
	AckValid bool // Ack and Sack say something
	Restored bool // the sender was restored from a backup
	Index    uint16
	Count    uint16 // 1 to MaxFragments
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

var _ = binary.BigEndian
var _ = fmt.Sprint
