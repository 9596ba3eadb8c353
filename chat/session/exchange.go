package session

import (
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Specification constants of the post-quantum exchange (SPEC.md §9).
const (
	kemKeySize  = mlkem.EncapsulationKeySize768
	kemTextSize = mlkem.CiphertextSize768
	kemSeedSize = mlkem.SeedSize

	offerSize  = 4 + kemKeySize
	answerSize = 4 + kemTextSize + confirmSize
	rejectSize = 4

	offerAfterFrames = 16             // content frames each way since the last mix
	offerAfter       = 12 * time.Hour // or this long, if both have sent
)

// Implementation constants: when a peer counts as withholding its step.
const (
	stallFrames = 50 // frames each way since the last mix
	stallGrace  = 16 // frames that it sent although the step was its own
)

// mixture is the outcome of one exchange.
type mixture struct {
	ss   [keySize]byte
	bind [32]byte // SHA-256(encapsulation key ‖ ciphertext)
}

// phase is where the exchange for the next epoch stands.
type phase byte

const (
	phaseIdle     phase = iota
	phaseOffered        // we offered and wait for the answer
	phaseMixing         // we have the answer and mix at our next sending half
	phaseAsked          // the peer offered and we owe the answer
	phaseAnswered       // we answered and wait for the peer to mix
	phaseRejected       // the answer to our offer was wrong: say so, offer anew
)

// exchange is the sparse ML-KEM exchange for epoch current+1. The initiator
// offers odd epochs, the responder even ones. Slices are never changed in
// place.
type exchange struct {
	phase   phase
	seed    [kemSeedSize]byte // phaseOffered: our key
	ek      []byte            // phaseAsked: the peer's key
	askedAt uint64            // phaseAsked, phaseAnswered: first seq of the offer; 0: the contact request
	mix     mixture           // phaseMixing, phaseAnswered

	// What has happened since the last mix, for the timing of offers.
	mixedAt              uint64 // seconds since 1970
	sent, received       uint32 // content frames
	ackedAll, receivedIn uint32 // reliable frames of any type

	// What the peer must have acknowledged before its step is due, 0: unknown.
	stepSeq   uint64 // last seq of our offer or answer, or of the content that made an offer due
	turnSeq   uint64 // phaseAnswered: first seq of a chain of ours begun after the answer was acked
	turnReady bool   // the current sending chain was begun after the answer was acked
	overdue   uint32 // frames received while the step was the peer's

	parts []controlPart // halves of control messages, at most one per type
}

// controlPart is one fragment of a control message whose other is missing.
type controlPart struct {
	kind    FrameType
	first   uint64
	index   uint16
	content []byte
}

// newOffer draws a key to offer.
func newOffer(rand io.Reader) (*mlkem.DecapsulationKey768, error) {
	var seed [kemSeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	defer clear(seed[:])
	return mlkem.NewDecapsulationKey768(seed[:])
}

func pqConfirm(ss []byte, epoch uint32) []byte {
	m := mac(ss, []byte(labelPQConfirm), binary.BigEndian.AppendUint32(nil, epoch))
	return m[:confirmSize]
}

// reset starts the exchange for the next epoch.
func (x *exchange) reset(now time.Time) {
	*x = exchange{mixedAt: unixSeconds(now), parts: x.parts}
}

// ours reports whether we offer the epoch.
func (s *State) ours(epoch uint32) bool { return (epoch%2 == 1) == s.initiator }

// offerDue reports whether it is time for an exchange, by the frames that sent
// and received count.
func (s *State) offerDue(now time.Time) bool {
	x := &s.pq
	if min(x.sent, x.received) >= offerAfterFrames {
		return true
	}
	wait := offerAfter
	if s.lab {
		wait /= labSpeed
	}
	return min(x.sent, x.received) >= 1 && unixSeconds(now) >= x.mixedAt+uint64(wait/time.Second)
}

// nextControl returns the control message that is due, and changes s as if it
// were on its way. On an error s is undefined.
func (s *State) nextControl(rand io.Reader, now time.Time) (m Message, due bool, err error) {
	epoch := s.ratchet.epoch + 1
	x := &s.pq
	switch {
	case x.phase == phaseRejected:
		x.phase = phaseIdle
		x.sent, x.received = max(x.sent, offerAfterFrames), max(x.received, offerAfterFrames)
		return Message{Type: FramePQNO, Content: binary.BigEndian.AppendUint32(nil, epoch)}, true, nil
	case x.phase == phaseAsked:
		m, err = x.answer(epoch)
		return m, true, err
	case x.phase == phaseIdle && s.ours(epoch) && s.offerDue(now):
		dk, err := newOffer(rand)
		if err != nil {
			return m, false, err
		}
		copy(x.seed[:], dk.Bytes())
		x.phase = phaseOffered
		content := binary.BigEndian.AppendUint32(make([]byte, 0, offerSize), epoch)
		return Message{Type: FramePQEK, Content: append(content, dk.EncapsulationKey().Bytes()...)}, true, nil
	}
	return m, false, nil
}

func (x *exchange) answer(epoch uint32) (Message, error) {
	ek, err := mlkem.NewEncapsulationKey768(x.ek)
	if err != nil {
		return Message{}, fmt.Errorf("post-quantum offer: %w", ErrFormat) // checked when it came
	}
	ss, ct := ek.Encapsulate()
	x.mix = newMixture(ss, x.ek, ct)
	x.phase = phaseAnswered
	x.ek = nil
	content := binary.BigEndian.AppendUint32(make([]byte, 0, answerSize), epoch)
	content = append(content, ct...)
	content = append(content, pqConfirm(ss, epoch)...)
	clear(ss)
	return Message{Type: FramePQCT, Content: content}, nil
}

func newMixture(ss, ek, ct []byte) (m mixture) {
	copy(m.ss[:], ss)
	h := sha256.New()
	h.Write(ek)
	h.Write(ct)
	h.Sum(m.bind[:0])
	return m
}

// handle takes one fragment of a control message of the exchange. What makes no
// sense now is ignored: the peer may have sent it before it knew better.
func (s *State) handle(f Frame) {
	content, ok := s.pq.join(f)
	if !ok {
		return
	}
	r := reader{b: content}
	epoch := r.uint32()
	if r.bad || epoch != s.ratchet.epoch+1 {
		return
	}
	x := &s.pq
	switch f.Type {
	case FramePQEK:
		ek := r.bytes(kemKeySize)
		if r.done() != nil || checkKEM(ek) != nil || s.ours(epoch) {
			return
		}
		replaces := (x.phase == phaseAsked || x.phase == phaseAnswered) && f.First() > x.askedAt
		if x.phase != phaseIdle && !replaces {
			return
		}
		x.forget()
		x.phase, x.askedAt, x.ek = phaseAsked, f.First(), append([]byte(nil), ek...)
	case FramePQCT:
		ct, confirm := r.bytes(kemTextSize), r.bytes(confirmSize)
		if r.done() != nil || x.phase != phaseOffered || !f.covers(x.stepSeq) {
			return // of an offer before: to reject it would bring the next one
		}
		x.finish(epoch, ct, confirm)
	case FramePQNO:
		if r.done() != nil || x.phase != phaseAnswered {
			return
		}
		x.forget()
	}
}

// covers reports whether a frame acknowledges a seq of its receiver; 0: none is
// needed.
func (f Frame) covers(seq uint64) bool {
	if seq == 0 || f.AckValid && f.Ack >= seq {
		return true
	}
	i := seq - f.Ack - 2
	return f.AckValid && i < sackBits && f.Sack[i/8]&(0x80>>(i%8)) != 0
}

// finish takes the answer to our offer.
func (x *exchange) finish(epoch uint32, ct, confirm []byte) {
	dk, err := mlkem.NewDecapsulationKey768(x.seed[:])
	if err != nil {
		panic("session: ML-KEM seed: " + err.Error()) // only for a wrong length
	}
	ss, err := dk.Decapsulate(ct)
	good := err == nil && subtle.ConstantTimeCompare(pqConfirm(ss, epoch), confirm) == 1
	x.forget()
	if !good {
		x.phase = phaseRejected
		return
	}
	x.phase = phaseMixing
	x.mix = newMixture(ss, dk.EncapsulationKey().Bytes(), ct)
	clear(ss)
}

// forget erases what belongs to the running offer and goes back to idle.
func (x *exchange) forget() {
	x.phase, x.ek, x.askedAt = phaseIdle, nil, 0
	x.seed, x.mix = [kemSeedSize]byte{}, mixture{}
	x.stepSeq, x.turnSeq, x.turnReady, x.overdue = 0, 0, false, 0
}

// join returns the content of a control message once its fragments are there.
// Of each type the newest message wins.
func (x *exchange) join(f Frame) (content []byte, ok bool) {
	if f.Count == 1 {
		return f.Content, true
	}
	if f.Count != 2 {
		return nil, false
	}
	part := controlPart{kind: f.Type, first: f.First(), index: f.Index, content: append([]byte(nil), f.Content...)}
	var kept []controlPart
	for _, p := range x.parts {
		switch {
		case p.kind != part.kind:
			kept = append(kept, p)
		case p.first > part.first:
			return nil, false
		case p.first == part.first && p.index != part.index:
			content = append([]byte(nil), p.content...)
			if p.index == 0 {
				content = append(content, part.content...)
			} else {
				content = append(append([]byte(nil), part.content...), p.content...)
			}
			ok = true
		}
	}
	if !ok {
		kept = append(kept, part)
	}
	x.parts = kept
	return content, ok
}

// toMix returns what our next sending half has to mix in, or nil.
func (x *exchange) toMix() *mixture {
	if x.phase != phaseMixing {
		return nil
	}
	return &x.mix
}

// mayMix returns what the peer's next chain may mix in, or nil.
func (x *exchange) mayMix() *mixture {
	if x.phase != phaseAnswered {
		return nil
	}
	return &x.mix
}

// content reports whether frames of this type count towards the next offer.
func (t FrameType) content() bool {
	switch t {
	case FrameAck, FrameSync, FramePQEK, FramePQCT, FramePQNO:
		return false
	}
	return true
}

// noteSent keeps the books for one reliable frame sealed; half: it began a chain.
func (s *State) noteSent(t FrameType, seq uint64) {
	x := &s.pq
	switch {
	case t == FramePQEK || t == FramePQCT:
		x.stepSeq = seq
	case t.content():
		x.sent = satAdd(x.sent)
		if x.phase == phaseIdle && x.stepSeq == 0 && x.sent >= offerAfterFrames {
			x.stepSeq = seq
		}
	}
	if x.phase == phaseAnswered && x.turnReady && x.turnSeq == 0 {
		x.turnSeq = seq
	}
}

// noteChain keeps the books for a sending chain begun.
func (s *State) noteChain() {
	x := &s.pq
	if x.phase == phaseAnswered && x.stepSeq != 0 && s.out.acked >= x.stepSeq {
		x.turnReady = true
	}
}

// noteAcked keeps the books for frames newly acked.
func (s *State) noteAcked(n int) {
	for range n {
		s.pq.ackedAll = satAdd(s.pq.ackedAll)
	}
}

// noteReceived keeps the books for one fresh reliable frame, after its ack was
// taken.
func (s *State) noteReceived(t FrameType) {
	x := &s.pq
	x.receivedIn = satAdd(x.receivedIn)
	if t.content() {
		x.received = satAdd(x.received)
	}
	if s.peerOwes() {
		x.overdue = satAdd(x.overdue)
	} else {
		x.overdue = 0
	}
}

// peerOwes reports whether the peer knows all it needs for the next step, and
// the step is its own.
func (s *State) peerOwes() bool {
	x := &s.pq
	switch x.phase {
	case phaseIdle:
		return !s.ours(s.ratchet.epoch+1) && x.stepSeq != 0 && s.out.acked >= x.stepSeq && x.received >= offerAfterFrames
	case phaseOffered:
		// The request carries the first offer: whoever answers has it.
		return s.out.acked >= x.stepSeq
	case phaseAnswered:
		return x.turnSeq != 0 && s.out.acked >= x.turnSeq
	}
	return false
}

// Stalled reports that the peer withholds its step of the post-quantum
// exchange although it could have taken it many frames ago. To be logged as
// "pq stalled".
func (s *State) Stalled() bool {
	x := &s.pq
	return min(x.ackedAll, x.receivedIn) >= stallFrames && x.overdue >= stallGrace
}

func satAdd(v uint32) uint32 {
	if v == 1<<32-1 {
		return v
	}
	return v + 1
}
