package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hearsay/directory"
)

// Type is the type of a message (SPEC.md §3).
type Type byte

// The message types. An answer has the type of its request with bit 0x80 set.
const (
	TypeHello    Type = 0x01 // HELLO, first message of both sides
	TypeRanges   Type = 0x02 // reconciliation
	TypeWant     Type = 0x03 // n × key 16
	TypeGive     Type = 0x04 // n × (length u16, record)
	TypeHave     Type = 0x05 // n × (key 8, seq 5, hash 8)
	TypeBye      Type = 0x06 // code u8, retry-after u16
	TypeVerdict  Type = 0x07 // n × (key 16, code u8)
	TypeFile     Type = 0x10 // from version u32
	TypeHead     Type = 0x11 // epoch u64
	TypeSnapshot Type = 0x12 // epoch u64, base hash 32
	TypeProof    Type = 0x13 // old u64, new u64, leaf u64
	TypeDocument Type = 0x14 // hash 32
	TypeLeaves   Type = 0x15 // from u64
	TypeNotices  Type = 0x16 // zero u8
	TypeRecords  Type = 0x17 // n × first half of a hash 16
	TypeReport   Type = 0x18 // directory.Evidence of two histories
	TypeEvidence Type = 0x20 // directory.Evidence
	// TypeSuccessor names the network that founders propose.
	TypeSuccessor Type = 0x21 // directory.Successor
	TypeVote      Type = 0x30 // directory.SignerMessage, as the next two
	TypeEcho      Type = 0x31
	TypeCosign    Type = 0x32
	TypeWitness   Type = 0x33 // header hash 32, directory.Witness
	TypeBoard     Type = 0x34 // mode u8, n × id 32

	answerBit Type = 0x80
)

// Specification constants (SPEC.md §3).
const (
	frameHeaderSize = 4
	maxFrameBody    = 65535
	flagMore        = 1
)

// Errors of the message layer.
var (
	errTruncated = errors.New("gossip: message has the wrong length")
	errFlags     = errors.New("gossip: unknown frame flags")
	errType      = errors.New("gossip: message type not allowed here")
	errTooLong   = errors.New("gossip: message longer than its type allows")
)

// message is one message, put together from its frames.
type message struct {
	typ  Type
	body []byte
}

// maxBody bounds a whole message of type t, which stops a peer from filling
// memory with continued frames (SPEC.md §3.1). Zero: the type is unknown.
func maxBody(t Type) int {
	switch t {
	case TypeHello:
		return helloSize
	case TypeRanges:
		return 2 << 20
	case TypeWant:
		return 16 * maxWant
	case TypeGive:
		return maxFrameBody
	case TypeHave:
		return haveSize * maxHave
	case TypeBye:
		return byeSize
	case TypeVerdict:
		return verdictSize * maxVerdict
	case TypeFile:
		return 4
	case TypeHead, TypeLeaves:
		return 8
	case TypeSnapshot:
		return 40
	case TypeProof:
		return 24
	case TypeDocument:
		return 32
	case TypeFile | answerBit:
		return maxFileAnswer
	case TypeHead | answerBit:
		return directory.MaxHead
	case TypeSnapshot | answerBit:
		return 1 + directory.MaxSnapshot
	case TypeProof | answerBit:
		return maxProofAnswer
	case TypeDocument | answerBit:
		return maxDocument
	case TypeRecords:
		return 16 * maxRecordsAsked
	case TypeRecords | answerBit:
		return maxRecordsAnswer
	case TypeLeaves | answerBit:
		return maxLeavesAnswer
	case TypeNotices:
		return 1
	case TypeNotices | answerBit:
		return maxNoticesAnswer
	case TypeReport:
		return maxReport
	case TypeReport | answerBit:
		return 1
	case TypeEvidence:
		return directory.MaxEvidence
	case TypeSuccessor:
		return maxSuccessor
	case TypeVote, TypeEcho, TypeCosign:
		return directory.MaxSignerMessage
	case TypeBoard:
		return 1 + 32*maxBoardIDs
	case TypeWitness:
		return 32 + directory.WitnessSize
	}
	return 0
}

// appendMessage appends the frames of one message to b.
func appendMessage(b []byte, t Type, body []byte) []byte {
	for {
		part, flags := body, byte(0)
		if len(part) > maxFrameBody {
			part, flags = body[:maxFrameBody], flagMore
		}
		b = append(b, byte(t), flags)
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
		body = body[len(part):]
		if flags == 0 {
			return b
		}
	}
}

// frameReader reads messages from a stream. Its memory is bounded by maxBody
// of the types that allow accepts.
type frameReader struct {
	r io.Reader
	// allow tells which types may come now; nil: all known.
	allow func(Type) bool
	// started is called when the first byte of a frame is there and when a frame of
	// a message is to follow, and done when the message is complete; they run the
	// frame timeout. Both may be nil.
	started, done func()
	// further is asked before memory is taken for a message's second frame and those
	// after it; its error ends the reading. It may be nil.
	further func(size int) error
}

// next reads one message. io.EOF means that the stream ended between messages.
func (f *frameReader) next() (message, error) {
	var m message
	for first := true; ; first = false {
		more, err := f.frame(&m, first)
		if err != nil {
			if !first && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return message{}, err
		}
		if !more {
			return m, nil
		}
	}
}

// frame reads one frame and appends its body to m.
func (f *frameReader) frame(m *message, first bool) (more bool, err error) {
	var h [frameHeaderSize]byte
	if _, err := io.ReadFull(f.r, h[:1]); err != nil {
		return false, err
	}
	if f.started != nil {
		f.started()
	}
	if _, err := io.ReadFull(f.r, h[1:]); err != nil {
		return false, noEOF(err)
	}
	t, flags, n := Type(h[0]), h[1], int(binary.BigEndian.Uint16(h[2:]))
	limit := maxBody(t)
	switch {
	case limit == 0 || f.allow != nil && !f.allow(t):
		return false, fmt.Errorf("%w: %#02x", errType, byte(t))
	case flags&^flagMore != 0:
		return false, errFlags
	case !first && t != m.typ:
		return false, fmt.Errorf("%w: %#02x within a continued message", errType, byte(t))
	case flags == flagMore && n != maxFrameBody:
		return false, fmt.Errorf("%w: a continued frame must be full", errTruncated)
	case !first && n == 0:
		return false, fmt.Errorf("%w: empty last frame", errTruncated)
	case len(m.body)+n > limit:
		return false, fmt.Errorf("%w: %#02x", errTooLong, byte(t))
	}
	if !first && f.further != nil {
		if err := f.further(n); err != nil {
			return false, err
		}
	}
	m.typ = t
	at := len(m.body)
	m.body = append(m.body, make([]byte, n)...)
	if _, err := io.ReadFull(f.r, m.body[at:]); err != nil {
		return false, noEOF(err)
	}
	switch {
	case flags == flagMore && f.started != nil:
		f.started()
	case flags != flagMore && f.done != nil:
		f.done()
	}
	return flags == flagMore, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
