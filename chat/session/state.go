package session

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// maxBeforeAnswer is how many frames the guest may send before the inviter
// has answered (SPEC.md §4.5).
const maxBeforeAnswer = 8

// labSpeed is how much faster the timers of lab networks run.
const labSpeed = 10

// State is one side of a session with one contact: identity keys, ratchet,
// post-quantum exchange and sequence windows. It is changed by the methods that
// seal, by GiveUp and by Open; after each, the caller stores Append's bytes in
// the same transaction as the rows that depend on it, before any network I/O.
// A method that returns an error has changed nothing.
type State struct {
	initiator bool // the guest, who sent the contact request
	lab       bool
	heard     bool // a block of the peer opened
	ackOwed   bool
	alive     bool // a block opened since the last SealAck

	ik     *ecdh.PrivateKey
	peerIK [keySize]byte
	drop   [keySize]byte // seeds the queues of last resort

	ratchet ratchet
	pq      exchange
	in      inbound
	out     outbound
	last    [16]byte // hash of our last frame with a seq
	history history
	partial partials

	renewal  renewal
	rotation rotation
	step     step
}

// newInitiator is the guest's session: the request is its first header.
func newInitiator(now time.Time, cfg Config, th [32]byte, k sessionKeys, ik, dh *ecdh.PrivateKey, offer *mlkem.DecapsulationKey768, u Bundle) (*State, error) {
	s := newState(now, cfg, th, k, ik, u.ik)
	if err := s.startInitiator(k, dh, u.dh, offer); err != nil {
		return nil, err
	}
	return s, nil
}

// newResponder is the inviter's session. It owes a sending half.
func newResponder(now time.Time, cfg Config, th [32]byte, k sessionKeys, ik, dh *ecdh.PrivateKey, q requestCore) (*State, error) {
	s := newState(now, cfg, th, k, ik, q.ik)
	if err := s.startResponder(k, dh, q.dh, q.kem); err != nil {
		return nil, err
	}
	return s, nil
}

func newState(now time.Time, cfg Config, th [32]byte, k sessionKeys, ik *ecdh.PrivateKey, peer [keySize]byte) *State {
	s := &State{lab: cfg.Lab, ik: ik, peerIK: peer, drop: k.drop, history: newHistory()}
	s.ratchet.th, s.ratchet.rk = th, k.root
	s.renewal.first = th
	s.out.next = 1
	s.step.proven = true
	s.pq.mixedAt = unixSeconds(now)
	return s
}

// Clone returns an independent copy, for a transaction that may fail.
func (s *State) Clone() *State {
	c := *s // slices are never changed in place
	return &c
}

// String never shows keys.
func (*State) String() string { return redacted }

// LogValue never shows keys.
func (*State) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows keys, whatever the verb.
func (*State) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Sealed is one frame sealed for the contact. Inner is what goes to each queue,
// by QAddr.Seal; Body is kept beside it so that the frame can be sealed anew
// with the same seq, by State.Reseal.
type Sealed struct {
	Seq   uint64 // 0: unreliable
	Type  FrameType
	Inner []byte // InnerSize bytes
	Body  []byte // BodySize bytes: plaintext, a secret
}

// Seal splits m into frames, gives each the next seq and seals them in order,
// all or none. ErrWindowFull: fewer than that many frames may be in flight; try
// again after the peer's next ack. Control types may use the reserve that is
// kept from text. ErrLimit: m is too long. ErrFormat: the type is one of those
// that State sends by itself.
func (s *State) Seal(rand io.Reader, now time.Time, m Message) ([]Sealed, error) {
	if !m.Type.content() {
		return nil, fmt.Errorf("seal a frame of the session's own: %w", ErrFormat)
	}
	return s.sealMessage(rand, now, m)
}

func (s *State) sealMessage(rand io.Reader, now time.Time, m Message) ([]Sealed, error) {
	frames, err := m.split()
	if err != nil {
		return nil, err
	}
	if s.Room(m.Type.Control()) < len(frames) {
		return nil, ErrWindowFull
	}
	next := *s
	if m.ID == [16]byte{} {
		if _, err := io.ReadFull(rand, m.ID[:]); err != nil {
			return nil, fmt.Errorf("draw message id: %w", err)
		}
	}
	sealed := make([]Sealed, len(frames))
	for i, f := range frames {
		f.ID = m.ID
		f.Seq = next.out.next
		f.Prev = next.last
		f.Restored = next.last == [16]byte{} && f.Seq > 1
		if err := f.check(); err != nil {
			return nil, err
		}
		next.out.next++
		next.step.numbered = true
		next.last = f.sum()
		if sealed[i], err = next.sealFrame(rand, now, f); err != nil {
			return nil, err
		}
		next.noteSent(f.Type, f.Seq)
	}
	*s = next
	return sealed, nil
}

// sealFrame adds the acknowledgements to f and seals it. On an error s is
// undefined.
func (s *State) sealFrame(rand io.Reader, now time.Time, f Frame) (Sealed, error) {
	if s.renewal.dormant {
		return Sealed{}, ErrWindowFull
	}
	f.AckValid, f.Ack, f.Sack = s.heard, 0, [16]byte{}
	if s.heard {
		f.Ack, f.Sack = s.in.cum, s.in.sack()
	}
	s.ackOwed = false
	if s.ratchet.owes {
		mix := s.pq.toMix()
		if err := s.ratchet.sendingHalf(rand, mix); err != nil {
			return Sealed{}, err
		}
		s.step.turned = true
		if mix != nil {
			s.pq.reset(now)
		}
		s.noteChain()
	}
	body := f.Append(make([]byte, 0, BodySize))
	inner, err := s.ratchet.seal(rand, body)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{Seq: f.Seq, Type: f.Type, Inner: inner, Body: body}, nil
}

// Control seals the session's own control message that is due now, if any; nil
// if none is, or if the window has no room for it. Callers ask before they seal
// text, and after each Open, until it returns nothing.
func (s *State) Control(rand io.Reader, now time.Time) ([]Sealed, error) {
	if s.Room(true) < 2 {
		return nil, nil
	}
	next := *s
	m, due, err := next.nextControl(rand, now)
	if err != nil {
		return nil, fmt.Errorf("post-quantum exchange: %w", err)
	}
	if !due {
		return nil, nil
	}
	sealed, err := next.sealMessage(rand, now, m)
	if err != nil {
		return nil, fmt.Errorf("post-quantum exchange: %w", err)
	}
	*s = next
	return sealed, nil
}

// SealAck seals a frame without a seq that carries the acknowledgements and
// nothing else. It is a SYNC if frames were given up that hold the peer's ack.
// Nobody acknowledges it.
func (s *State) SealAck(rand io.Reader, now time.Time) (Sealed, error) {
	next := *s
	next.alive = false
	f := Frame{Type: FrameAck, Count: 1}
	if _, err := io.ReadFull(rand, f.ID[:]); err != nil {
		return Sealed{}, fmt.Errorf("draw message id: %w", err)
	}
	if next.out.syncDue() || next.renewal.syncOwed {
		next.out.synced = max(next.out.synced, next.out.lowest())
		f.Type = FrameSync
		f.Content = binary.BigEndian.AppendUint64(nil, next.out.lowest())
	}
	sealed, err := next.sealFrame(rand, now, f)
	if err != nil {
		return Sealed{}, err
	}
	*s = next
	return sealed, nil
}

// Reseal seals a body that came from Seal or Control once more, as a new
// ratchet block with the same seq and the current acknowledgements. ErrFormat:
// body is not one of this session's.
func (s *State) Reseal(rand io.Reader, now time.Time, body []byte) (Sealed, error) {
	f, err := ParseFrame(body)
	if err != nil {
		return Sealed{}, err
	}
	if f.Seq == 0 || f.Seq >= s.out.next {
		return Sealed{}, fmt.Errorf("seal anew: seq: %w", ErrFormat)
	}
	next := *s
	sealed, err := next.sealFrame(rand, now, f)
	if err != nil {
		return Sealed{}, err
	}
	*s = next
	return sealed, nil
}

// Received is what one block brought.
type Received struct {
	Frame Frame
	// Fresh: the first frame with this seq. A frame that is not fresh brought
	// nothing but its acknowledgements; it is still to be acknowledged.
	Fresh bool
	// Handled: the frame was the session's own (ACK, SYNC, PQ…) or is of no
	// use any more: there is nothing to store or to show.
	Handled bool
	// Complete: with this frame all fragments of its message are there. Frames
	// that are fresh, not handled and not complete are stored by the caller
	// under (Frame.First, Frame.Index) until they can be joined.
	Complete bool
	// Acked lists our own seqs that this block newly proves delivered, rising
	// but for those that only a sack names, which follow.
	Acked []uint64
	// Lost counts the peer's frames that it gave up and will never send.
	Lost uint64
	// Dropped lists the First of incomplete messages that can never be
	// completed: delete their fragments.
	Dropped []uint64
	// SetBack: the peer has received frames that this state never sealed: we
	// were set back. Seal nothing more, call State.SetBack and reset.
	SetBack bool
	// Diverged: the peer's history contradicts what we received from it: it
	// was cloned or rolled back. Delivery goes on.
	Diverged bool
}

// Open opens an inner block of type InnerRatchet. On any error s is unchanged;
// see Park for what to do with the block then.
func (s *State) Open(now time.Time, inner []byte) (Received, error) {
	t, err := ParseInner(inner)
	if err != nil {
		return Received{}, err
	}
	if t != InnerRatchet {
		return Received{}, fmt.Errorf("not a ratchet block: %w", ErrFormat)
	}
	if s.renewal.dormant {
		return Received{}, ErrUndecryptable
	}
	next := *s
	body, mixed, err := next.ratchet.open(unixDay(now), inner, next.pq.mayMix())
	before := false
	if errors.Is(err, ErrUndecryptable) && len(s.renewal.old) > 0 {
		reason := err
		next, before = *s, true
		if body, err = next.openOld(now, inner); errors.Is(err, ErrUndecryptable) {
			err = reason
		}
	}
	if err != nil {
		return Received{}, err
	}
	if mixed {
		next.pq.reset(now)
	}
	if !before && next.ratchet.owes && !s.ratchet.owes && s.step.turned {
		next.step.proven = true
	}
	f, err := ParseFrame(body)
	if err != nil {
		return Received{}, err
	}
	got, err := next.take(f, before)
	if err != nil {
		return Received{}, err
	}
	*s = next
	return got, nil
}

// take takes an opened frame, of the session before the last reset or of this
// one. On an error s is undefined.
func (s *State) take(f Frame, before bool) (Received, error) {
	got := Received{Frame: f}
	s.heard, s.alive = true, true
	if !before {
		s.renewal.waiting = false
		if f.AckValid && f.Ack+1 >= s.out.synced {
			s.renewal.syncOwed = false
		}
	}
	if f.AckValid {
		if got.SetBack = s.out.ahead(f.Ack, f.Sack); !got.SetBack {
			got.Acked = s.out.ack(f.Ack, f.Sack)
		}
		s.noteAcked(len(got.Acked))
	}
	if f.Seq == 0 {
		got.Handled = true
		if f.Type == FrameSync {
			err := s.takeSync(&got, before)
			return got, err
		}
		return got, nil
	}
	s.ackOwed = true
	switch s.in.look(f.Seq) {
	case seqOld:
		return got, nil
	case seqAbove:
		return got, fmt.Errorf("seq above the window: %w", ErrLater)
	}
	got.Fresh = true
	if err := s.takeFresh(&got, before); err != nil {
		return got, err
	}
	s.in.take(f.Seq)
	got.Diverged = s.history.add(f.Seq, f.Prev, f.sum(), f.Restored, s.in.cum)
	s.noteReceived(f.Type)
	return got, nil
}

// takeFresh hands a fresh frame to the exchange or to the incomplete messages.
func (s *State) takeFresh(got *Received, before bool) error {
	f := got.Frame
	if !f.Type.content() {
		if s.partial.covers(f.Seq) {
			return fmt.Errorf("messages overlap: %w", ErrFormat)
		}
		got.Handled = true
		if !before { // the exchange of an earlier session is over
			s.handle(f)
		}
		return nil
	}
	if f.First() <= s.in.cum && !s.partial.has(f.First()) && f.Index > 0 {
		// Its first fragments were given up, unless it lies about them: then it may
		// not take the place of another message's fragment.
		if s.partial.covers(f.Seq) {
			return fmt.Errorf("messages overlap: %w", ErrFormat)
		}
		got.Handled = true
		got.Dropped = []uint64{f.First()}
		return nil
	}
	var err error
	got.Complete, err = s.partial.add(f, &s.in)
	return err
}

// takeSync raises the cumulative seq over what the peer gave up. Beyond the
// window it may go once after our reset, and onto seqs of a higher device
// generation.
func (s *State) takeSync(got *Received, before bool) error {
	lowest := binary.BigEndian.Uint64(got.Frame.Content)
	if lowest > maxSeq {
		return fmt.Errorf("sync: %w", ErrFormat)
	}
	far := !before && (s.renewal.resync || lowest>>32 > s.in.cum>>32)
	lost, ok := s.in.raise(lowest, far)
	if !ok {
		return fmt.Errorf("sync above the window: %w", ErrFormat)
	}
	if !before {
		s.renewal.resync = false
	}
	got.Lost = lost
	got.Dropped = s.partial.dropBelow(s.in.cum)
	s.history.forget(s.in.cum)
	s.ackOwed = true
	return nil
}

// AckOwed reports whether something is to be acknowledged, or a SYNC to be
// sent to a peer that has shown itself alive.
func (s *State) AckOwed() bool {
	return !s.renewal.dormant && (s.ackOwed || s.alive && s.SyncDue())
}

// OweAck asks for one more acknowledgement, although nothing new came: the peer
// repeated what was received, so it does not know.
func (s *State) OweAck() { s.ackOwed = true }

// SyncDue reports whether frames were given up that hold the peer's ack, or a
// reset of the peer is to be answered: call SealAck when the peer shows a sign
// of life.
func (s *State) SyncDue() bool {
	return !s.renewal.dormant && (s.out.syncDue() || s.renewal.syncOwed)
}

// Room returns how many frames Seal may take now; control true includes the
// reserve for control messages. The guest has room for eight frames until the
// inviter has answered.
func (s *State) Room(control bool) int {
	if s.renewal.dormant {
		return 0
	}
	room := s.out.room(control)
	if s.initiator && !s.heard {
		room = max(0, min(room, maxBeforeAnswer-s.out.inFlight()))
	}
	return room
}

// Unacked returns the seqs in flight, rising, without those given up.
func (s *State) Unacked() []uint64 { return s.out.unacked() }

// Missing returns those of Unacked with at least three later seqs acked.
func (s *State) Missing() []uint64 { return s.out.missing() }

// GiveUp marks a seq in flight as failed: it will not be sent again. It keeps
// its place in the window until the peer knows (SYNC).
func (s *State) GiveUp(seq uint64) { s.out.giveUp(seq) }

// Received returns the highest seq received without a gap and whether any later
// one is already there.
func (s *State) Received() (cumulative uint64, gap bool) { return s.in.cum, s.in.gap() }

// Heard reports whether any block of the peer has opened in this session.
func (s *State) Heard() bool { return s.heard }

// Epoch returns the number of post-quantum exchanges mixed in.
func (s *State) Epoch() uint32 { return s.ratchet.epoch }

// SafetyNumber returns the 12 groups of 5 digits that both sides compare,
// separated by spaces (SPEC.md §10.1).
func (s *State) SafetyNumber() string {
	return s.Identities().SafetyNumber()
}
