package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// renewer is one end of a model conversation whose sessions begin anew.
type renewer struct {
	*partner
	other     *renewer
	container []byte            // of our reset, to be repeated
	said      int               // texts sealed; a text is its number
	frames    map[uint64][]byte // bodies in flight by seq
	heard     map[[16]byte]int  // texts received by message id
	wire      []posted          // on their way, in any order
	parked    [][]byte          // blocks to try again
	strange   int               // blocks refused since the session began anew
	restored  bool              // may have sent a text twice
	waiting   []Message         // texts that were on their way and have no room yet
}

// posted is a ratchet block or the container of a reset.
type posted struct {
	inner     []byte
	container []byte
}

func newRenewers(random io.Reader) (alice, bob *renewer) {
	a, b := pairUp(random)
	make := func(s *State) *renewer {
		return &renewer{
			partner: &partner{State: s, key: must(NewResetKey(random, 1))},
			frames:  map[uint64][]byte{}, heard: map[[16]byte]int{},
		}
	}
	alice, bob = make(a), make(b)
	alice.peer, bob.peer = bob.key.Public(), alice.key.Public()
	alice.other, bob.other = bob, alice
	return alice, bob
}

func (s *renewer) post(all []Sealed, err error) error {
	if errors.Is(err, ErrWindowFull) {
		return nil
	}
	for _, b := range all {
		s.wire = append(s.wire, posted{inner: b.Inner})
		if b.Seq != 0 {
			s.frames[b.Seq] = b.Body
		}
	}
	return err
}

func (s *renewer) say(random io.Reader) error {
	for {
		all, err := s.Control(random, testNow)
		if err != nil || all == nil {
			break
		}
		if err := s.post(all, nil); err != nil {
			return err
		}
	}
	if err := s.flush(random); err != nil || len(s.waiting) > 0 || s.Room(false) < 1 {
		return err
	}
	s.said++
	m := text(s.said % 900)
	binary.BigEndian.PutUint64(m.ID[:], uint64(s.said))
	return s.post(s.Seal(random, testNow, m))
}

func (s *renewer) ack(random io.Reader) error {
	b, err := s.SealAck(random, testNow)
	return s.post([]Sealed{b}, err)
}

// reseal seals all that is in flight anew.
func (s *renewer) repost(random io.Reader) error {
	for _, seq := range s.Unacked() {
		b, err := s.Reseal(random, testNow, s.frames[seq])
		if err != nil {
			return err
		}
		s.wire = append(s.wire, posted{inner: b.Inner})
	}
	return nil
}

func (s *renewer) renew(random io.Reader) error {
	r, err := s.Reset(random, testNow, s.peer, testPair(random))
	if err != nil {
		return err
	}
	s.State, s.container, s.strange = r.State, r.Container, 0
	s.wire = append(s.wire, posted{container: r.Container})
	return s.repost(random)
}

// restore replaces the state by what a backup made just now would give: all that
// is in flight goes out again as new frames.
func (s *renewer) restore(random io.Reader) error {
	own, _ := s.Device()
	flying := s.Unacked()
	next, err := RestoreState(s.Backup(), NextDevice(own, testNow))
	if err != nil {
		return err
	}
	s.State, s.restored, s.parked = next, true, nil
	if err := s.renew(random); err != nil {
		return err
	}
	var frames []Frame
	for _, seq := range flying {
		frames = append(frames, must(ParseFrame(s.frames[seq])))
	}
	for i, f := range frames {
		if !f.Type.content() || f.Index != 0 || i+int(f.Count) > len(frames) {
			continue
		}
		m, err := Join(frames[i : i+int(f.Count)])
		if err != nil {
			continue
		}
		s.waiting = append(s.waiting, m)
	}
	return s.flush(random)
}

// flush seals texts that waited, as far as there is room.
func (s *renewer) flush(random io.Reader) error {
	for len(s.waiting) > 0 && s.Room(false) >= Fragments(s.waiting[0].Content) {
		if err := s.post(s.Seal(random, testNow, s.waiting[0])); err != nil {
			return err
		}
		s.waiting = s.waiting[1:]
	}
	return nil
}

// take takes what the other side posted.
func (s *renewer) take(random io.Reader, p posted) error {
	if p.container == nil {
		return s.open(p.inner)
	}
	in, err := s.OpenReset(testNow, []*ResetKey{s.key}, p.container)
	if err != nil {
		return nil // an older one
	}
	if !in.Wins {
		s.NoteReset(in)
		return nil
	}
	if _, err := s.AcceptReset(testNow, in); err != nil {
		return err
	}
	s.container, s.strange = nil, 0
	if err := s.ack(random); err != nil {
		return err
	}
	return s.repost(random)
}

func (s *renewer) open(inner []byte) error {
	got, err := s.Open(testNow, inner)
	if Park(err) {
		s.strange++
		if len(s.parked) < 64 {
			s.parked = append(s.parked, inner)
		}
		return nil
	}
	if err != nil {
		s.strange++
		return nil // dropped, as real ones are
	}
	if got.SetBack || got.Diverged {
		return fmt.Errorf("set back %v, diverged %v", got.SetBack, got.Diverged)
	}
	if got.Fresh && got.Frame.Type == FrameText {
		if s.heard[got.Frame.ID]++; s.heard[got.Frame.ID] > 1 && !s.other.restored {
			return fmt.Errorf("a text came twice")
		}
	}
	return nil
}

// step does one thing by the draw of op.
func (s *renewer) step(random io.Reader, op, at int) error {
	switch op {
	case 0, 1, 2:
		return s.say(random)
	case 3:
		return s.ack(random)
	case 4, 5, 6, 7, 8, 9:
		if len(s.wire) == 0 {
			return nil
		}
		at %= len(s.wire)
		p := s.wire[at]
		if op != 9 { // else it stays, and comes twice
			s.wire = append(s.wire[:at:at], s.wire[at+1:]...)
		}
		if op == 8 {
			return nil // lost
		}
		return s.other.take(random, p)
	case 10:
		return s.renew(random)
	case 11:
		return s.restore(random)
	default:
		next, err := ParseState(s.Append(nil))
		if err == nil {
			s.State = next
		}
		return err
	}
}

// TestResetModel draws texts, losses, repeats, resets of both sides at any time
// and restores, then lets everything arrive: each text is received, and once
// unless its sender was restored; no window is stuck.
func TestResetModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		random := seeded(fmt.Sprint(rapid.Uint64().Draw(rt, "seed")))
		alice, bob := newRenewers(random)
		sides := []*renewer{alice, bob}
		for n := range rapid.IntRange(0, 40).Draw(rt, "steps") {
			s := sides[rapid.IntRange(0, 1).Draw(rt, "side")]
			op := rapid.IntRange(0, 12).Draw(rt, "op")
			if n < 6 && op >= 10 {
				op = 0 // reset keys come first
			}
			if err := s.step(random, op, rapid.IntRange(0, 1000).Draw(rt, "at")); err != nil {
				rt.Fatal(err)
			}
		}
		for round := 0; ; round++ {
			done := true
			for _, s := range sides {
				if s.ResetPending() {
					s.wire = append(s.wire, posted{container: s.container})
				} else if s.strange >= 3 && round > 3 {
					if err := s.renew(random); err != nil {
						rt.Fatal(err)
					}
				}
				if err := errors.Join(s.say(random), s.repost(random), s.ack(random)); err != nil {
					rt.Fatal(err)
				}
				s.strange = 0
				for _, p := range append([]posted(nil), s.wire...) {
					if err := s.other.take(random, p); err != nil {
						rt.Fatal(err)
					}
				}
				s.wire = nil
				parked, strange := s.other.parked, s.other.strange
				s.other.parked = nil
				for _, inner := range parked {
					if err := s.other.open(inner); err != nil {
						rt.Fatal(err)
					}
				}
				s.other.strange = strange // they counted when they came
			}
			for _, s := range sides {
				done = done && len(s.other.heard) == s.said && !s.ResetPending() && !s.SyncDue() && len(s.Unacked()) <= 1
			}
			if done && round > 2 {
				break
			}
			if round > 30 {
				rt.Fatalf("stuck: %d of %d and %d of %d heard, pending %v %v, unacked %d %d", len(bob.heard), alice.said, len(alice.heard), bob.said,
					alice.ResetPending(), bob.ResetPending(), len(alice.Unacked()), len(bob.Unacked()))
			}
		}
		if alice.Drops(testNow)[0].Secret != bob.Drops(testNow)[0].Secret {
			rt.Fatal("two sessions")
		}
	})
}
