package session

import (
	"errors"
	"io"
	"time"
)

// MessageID names a message in both directions of one contact; random.
type MessageID [16]byte

// Message is one whole message, of one or more frames.
type Message struct {
	Type    FrameType
	ID      [16]byte
	Content []byte
}

// Sealed is one frame sealed for the contact. Inner is what goes to each queue,
// by QAddr.Seal; Body is kept beside it so that the frame can be sealed anew
// with the same seq, by State.Reseal.
type Sealed struct {
	Seq   uint64 // 0: unreliable
	Type  FrameType
	Inner []byte // InnerSize bytes
	Body  []byte // BodySize bytes
}

// Received is what one block brought.
type Received struct {
	Frame Frame
	// Fresh: the first frame with this seq. A frame that is not fresh brought
	// nothing but its acknowledgements; it is still to be acknowledged.
	Fresh bool
	// Handled: the frame was the session's own (ACK, SYNC, PQ…); there is
	// nothing to store or to show.
	Handled bool
	// Complete: with this frame all fragments of its message are there. Frames
	// that are fresh, not handled and not complete must be stored by the
	// caller, keyed by (Frame.First, Frame.Index), until they can be joined.
	Complete bool
	// Acked lists our own seqs that this block newly proves delivered.
	Acked []uint64
	// Lost counts the peer's frames that it gave up and will never send.
	Lost uint64
	// Dropped lists the First of incomplete messages that can never be
	// completed: delete their fragments.
	Dropped []uint64
	// Diverged: the peer's history contradicts what we received from it: it
	// was cloned or rolled back.
	Diverged bool
}

// State is one side of a session with one contact: keys, ratchet, post-quantum
// exchange and sequence windows. It is changed by the methods that seal and by
// Open; after each, the caller stores Append's bytes in the same transaction as
// the rows that depend on it, before any network I/O.
type State struct{}

var errStub = errors.New("session: not written yet")

// ParseState parses what Append wrote, strictly.
func ParseState(b []byte) (*State, error) { return nil, errStub }

// Append appends the serialised state: secret, at most 8 KiB beside skipped keys.
func (s *State) Append(b []byte) []byte { return b }

// Seal splits m into frames, gives each the next seq and seals them in order,
// all or none. ErrWindowFull: fewer than that many frames may be in flight; try
// again after the peer's next ack. Content of control types may use the reserve
// that is kept from text.
func (s *State) Seal(rand io.Reader, now time.Time, m Message) ([]Sealed, error) {
	return nil, errStub
}

// Control seals the session's own control message that is due now, if any; nil
// if none is. Callers ask before they seal text, and after each Open, until it
// returns nothing.
func (s *State) Control(rand io.Reader, now time.Time) ([]Sealed, error) { return nil, errStub }

// SealAck seals a frame without a seq that carries the acknowledgements, and
// tells the peer of frames given up if it has to (SYNC).
func (s *State) SealAck(rand io.Reader, now time.Time) (Sealed, error) { return Sealed{}, errStub }

// Reseal seals a body that Seal made once more, as a new ratchet block with the
// same seq and the current acknowledgements.
func (s *State) Reseal(rand io.Reader, now time.Time, body []byte) (Sealed, error) {
	return Sealed{}, errStub
}

// Open opens an inner block of type InnerRatchet. On any error s is unchanged;
// see Park for what to do with the block.
func (s *State) Open(now time.Time, inner []byte) (Received, error) { return Received{}, errStub }

// AckOwed reports whether reliable frames arrived since the last sealed block.
func (s *State) AckOwed() bool { return false }

// SyncDue reports whether frames were given up that the peer has not heard of:
// call SealAck when the peer shows a sign of life.
func (s *State) SyncDue() bool { return false }

// Room returns how many frames Seal may take now; control true includes the
// reserve for control messages.
func (s *State) Room(control bool) int { return 0 }

// Unacked returns the seqs in flight, rising, without those given up.
func (s *State) Unacked() []uint64 { return nil }

// Missing returns those of Unacked with at least three later seqs acked.
func (s *State) Missing() []uint64 { return nil }

// GiveUp marks a seq in flight as failed: it will not be sent again.
func (s *State) GiveUp(seq uint64) {}

// Received returns the highest seq received without a gap and whether any later
// one is already there.
func (s *State) Received() (cumulative uint64, gap bool) { return 0, false }

// SafetyNumber returns the 12 groups of 5 digits that both sides compare,
// separated by spaces.
func (s *State) SafetyNumber() string { return "" }

// Epoch returns the number of post-quantum exchanges mixed in.
func (s *State) Epoch() uint32 { return 0 }

// Stalled reports that the peer withholds its step of the post-quantum exchange.
func (s *State) Stalled() bool { return false }

// Fragments returns how many frames content takes, 0 if it is too long.
func Fragments(content []byte) int { return 0 }

// Join puts the frames of one message together, in any order; all must be there.
func Join(frames []Frame) (Message, error) { return Message{}, errStub }

// Text is the content of a FrameText message.
type Text struct {
	Reply *[16]byte // id of the message replied to, or nil
	Timer uint32    // seconds; 0: none
	Text  string    // UTF-8, 1 to MaxText bytes
}

// Append appends the content.
func (t Text) Append(b []byte) ([]byte, error) { return nil, errStub }

// ParseText parses the content of a FrameText message.
func ParseText(content []byte) (Text, error) { return Text{}, errStub }

// QAdd is the content of a FrameQAdd: a queue of ours that the peer is to write to.
type QAdd struct {
	Slot       byte // 0 or 1
	Generation uint32
	Addr       QAddr
}

// Append appends the content.
func (q QAdd) Append(b []byte) []byte { return b }

// ParseQAdd parses the content of a FrameQAdd.
func ParseQAdd(b []byte) (QAdd, error) { return QAdd{}, errStub }

// QUse is the content of a FrameQUse: it answers a QAdd.
type QUse struct {
	Slot       byte
	Generation uint32
}

// Append appends the content.
func (q QUse) Append(b []byte) []byte { return b }

// ParseQUse parses the content of a FrameQUse.
func ParseQUse(b []byte) (QUse, error) { return QUse{}, errStub }
