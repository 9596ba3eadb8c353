package session

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"
)

// toOffer talks until one side has an offer on its way and returns it with the
// blocks of the offer.
func toOffer(t testing.TB, alice, bob *State) (from, to *State, blocks [][]byte) {
	t.Helper()
	for range 60 {
		for _, p := range [][2]*State{{alice, bob}, {bob, alice}} {
			c, err := p[0].Control(rand.Reader, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if len(c) > 0 && c[0].Type == FramePQEK {
				return p[0], p[1], [][]byte{c[0].Inner, c[1].Inner}
			}
			for _, b := range c {
				openAll(t, p[1], b.Inner)
			}
			turn(t, rand.Reader, p[0], p[1])
		}
	}
	t.Fatal("no offer")
	return nil, nil, nil
}

func TestExchangeFromRequest(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	c, err := alice.Control(rand.Reader, testNow)
	if err != nil || len(c) != 2 || c[0].Type != FramePQCT {
		t.Fatalf("first control message %v, %v", c, err)
	}
	if c, err := alice.Control(rand.Reader, testNow); c != nil || err != nil {
		t.Fatalf("second control message %v, %v", c, err)
	}
	alice, bob = reload(t, alice), reload(t, bob)
	openAll(t, bob, c[1].Inner)
	bob = reload(t, bob) // with half an answer
	openAll(t, bob, c[0].Inner)
	if bob.pq.phase != phaseMixing || bob.pq.seed != [kemSeedSize]byte{} {
		t.Fatalf("phase %d, or the key is still there", bob.pq.phase)
	}
	bob = reload(t, bob)
	turn(t, rand.Reader, bob, alice)
	if alice.Epoch() != 1 || bob.Epoch() != 1 {
		t.Fatalf("epochs %d, %d", alice.Epoch(), bob.Epoch())
	}
	if alice.pq.mix != (mixture{}) || bob.pq.mix != (mixture{}) {
		t.Error("the shared secret was kept")
	}
	turn(t, rand.Reader, alice, bob)
}

// TestResponderOffersEven and then the initiator odd ones.
func TestEpochsAlternate(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	for epoch := uint32(2); epoch < 6; epoch++ {
		from, to, blocks := toOffer(t, alice, bob)
		if want := []*State{alice, bob}[epoch%2]; from != want {
			t.Fatalf("epoch %d offered by the wrong side", epoch)
		}
		openAll(t, to, blocks...)
		for from.Epoch() < epoch || to.Epoch() < epoch {
			turn(t, rand.Reader, to, from)
			turn(t, rand.Reader, from, to)
		}
	}
}

// TestWrongConfirmation changes the answer: it is refused, said so, and a fresh
// offer leads to a mix.
func TestWrongConfirmation(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	from, to, blocks := toOffer(t, alice, bob)
	openAll(t, to, blocks...)
	epoch := from.Epoch() + 1
	next := to.Clone()
	m, due, err := next.nextControl(rand.Reader, testNow)
	if err != nil || !due || m.Type != FramePQCT || len(m.Content) != answerSize {
		t.Fatal(m.Type, due, err)
	}
	m.Content[100] ^= 1
	bad, err := next.sealMessage(rand.Reader, testNow, m)
	if err != nil {
		t.Fatal(err)
	}
	*to = *next
	openAll(t, from, bad[0].Inner, bad[1].Inner)
	if from.pq.phase != phaseRejected {
		t.Fatalf("phase %d", from.pq.phase)
	}
	*from = *reload(t, from)
	for i, want := range []FrameType{FramePQNO, FramePQEK} {
		c, err := from.Control(rand.Reader, testNow)
		if err != nil || len(c) == 0 || c[0].Type != want {
			t.Fatalf("control message %d: %v, %v", i, c, err)
		}
		for _, b := range c {
			openAll(t, to, b.Inner)
		}
	}
	for range 3 {
		turn(t, rand.Reader, to, from)
		turn(t, rand.Reader, from, to)
	}
	if from.Epoch() != epoch || to.Epoch() != epoch {
		t.Errorf("epochs %d, %d, want %d", from.Epoch(), to.Epoch(), epoch)
	}
}

// TestLateAnswersAreNotRejected delivers an answer after the offer that it is of
// was replaced: rejecting it would replace the next offer as well, whose answer
// comes late again, and so on as fast as blocks travel.
func TestLateAnswersAreNotRejected(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	from, to, blocks := toOffer(t, alice, bob)
	openAll(t, to, blocks...)
	epoch := from.Epoch() + 1
	late := must(to.Control(rand.Reader, testNow))
	content := append(binary.BigEndian.AppendUint32(nil, epoch), make([]byte, answerSize-4)...)
	bad := must(to.sealMessage(rand.Reader, testNow, Message{Type: FramePQCT, Content: content}))
	openAll(t, from, bad[0].Inner, bad[1].Inner)
	var next [][]byte
	for range 2 { // PQNO and the next offer
		for _, c := range must(from.Control(rand.Reader, testNow)) {
			next = append(next, c.Inner)
		}
	}
	offered := from.pq
	openAll(t, from, late[0].Inner, late[1].Inner)
	if from.pq.phase != phaseOffered || from.pq.seed != offered.seed {
		t.Fatalf("a late answer leads to phase %d", from.pq.phase)
	}
	openAll(t, to, next...)
	for range 3 {
		turn(t, rand.Reader, to, from)
		turn(t, rand.Reader, from, to)
	}
	if from.Epoch() != epoch || to.Epoch() != epoch {
		t.Errorf("epochs %d, %d, want %d", from.Epoch(), to.Epoch(), epoch)
	}
}

// TestUnsolicited sends every control message where none is due: nothing moves.
func TestUnsolicited(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, alice, bob)
	turn(t, rand.Reader, bob, alice)
	ek := must(newOffer(rand.Reader)).EncapsulationKey().Bytes()
	before := alice.pq
	for epoch := range byte(5) {
		for _, m := range []Message{
			{Type: FramePQEK, Content: append([]byte{0, 0, 0, epoch}, ek...)},
			{Type: FramePQCT, Content: append([]byte{0, 0, 0, epoch}, make([]byte, answerSize-4)...)},
			{Type: FramePQNO, Content: []byte{0, 0, 0, epoch}},
			{Type: FramePQEK, Content: []byte{0, 0, 0, epoch}},
			{Type: FramePQNO, Content: nil},
			{Type: FramePQCT, Content: make([]byte, 3000)},
		} {
			if m.Type == FramePQEK && epoch == byte(alice.Epoch()+1) {
				continue // an offer before its time is taken
			}
			all, err := bob.sealMessage(rand.Reader, testNow, m)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range all {
				if got := openAll(t, alice, b.Inner); !got.Handled || !got.Fresh {
					t.Errorf("%x: %+v", m.Type, got)
				}
			}
		}
	}
	if alice.pq.phase != before.phase || alice.pq.mix != before.mix {
		t.Errorf("phase %d, was %d", alice.pq.phase, before.phase)
	}
}

// TestNewerOfferWins: a second offer of one epoch replaces the first, also when
// the answer to the first is under way; an older one does not.
func TestNewerOfferWins(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	from, to, blocks := toOffer(t, alice, bob)
	// From changes its mind, as after a wrong confirmation.
	from.pq.forget()
	from.pq.phase = phaseRejected
	var newer [][]byte
	for range 2 {
		for _, b := range must(from.Control(rand.Reader, testNow)) {
			newer = append(newer, b.Inner)
		}
	}
	openAll(t, to, newer...)
	ek := bytes.Clone(to.pq.ek)
	openAll(t, to, blocks...)
	if !bytes.Equal(ek, to.pq.ek) {
		t.Error("the older offer won")
	}
	epoch := from.Epoch() + 1
	for range 3 {
		turn(t, rand.Reader, to, from)
		turn(t, rand.Reader, from, to)
	}
	if from.Epoch() != epoch || to.Epoch() != epoch {
		t.Errorf("epochs %d, %d, want %d", from.Epoch(), to.Epoch(), epoch)
	}
}

// TestInvalidOffer: an encapsulation key out of range is never answered.
func TestInvalidOffer(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	from, to, _ := toOffer(t, alice, bob)
	content := append([]byte{0, 0, 0, byte(from.Epoch() + 1)}, bytes.Repeat([]byte{0xFF}, kemKeySize)...)
	all, err := from.sealMessage(rand.Reader, testNow, Message{Type: FramePQEK, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	openAll(t, to, all[0].Inner, all[1].Inner)
	if to.pq.phase != phaseIdle {
		t.Errorf("phase %d", to.pq.phase)
	}
}

// TestWithholdingPeer: a peer that talks but never takes its step is noticed, at
// each of the three steps; an honest one never is.
func TestWithholdingPeer(t *testing.T) {
	for name, withhold := range map[string]FrameType{"offer": FramePQEK, "answer": FramePQCT} {
		t.Run(name, func(t *testing.T) {
			alice, bob := pairUp(rand.Reader)
			victim, peer := bob, alice // epoch 1: the answer is Alice's
			if withhold == FramePQEK {
				for range 2 {
					turn(t, rand.Reader, alice, bob)
					turn(t, rand.Reader, bob, alice)
				}
				if bob.Epoch() != 1 {
					t.Fatal("no first exchange")
				}
			}
			rounds := 0
			for ; rounds < 200 && !victim.Stalled(); rounds++ {
				s := must(peer.Seal(rand.Reader, testNow, text(1))) // never Control
				openAll(t, victim, s[0].Inner)
				turn(t, rand.Reader, victim, peer)
			}
			if rounds == 200 || rounds < stallFrames-5 {
				t.Errorf("noticed after %d rounds", rounds)
			}
			if peer.Stalled() {
				t.Error("the victim counts as stalled")
			}
		})
	}
	t.Run("mix", func(t *testing.T) {
		alice, bob := pairUp(rand.Reader)
		rounds := 0
		for ; rounds < 200 && !alice.Stalled(); rounds++ {
			turn(t, rand.Reader, alice, bob)
			if bob.pq.phase == phaseMixing {
				mix := bob.pq.mix
				bob.pq.phase = phaseIdle // swallows it
				openAll(t, alice, must(bob.Seal(rand.Reader, testNow, text(1)))[0].Inner)
				bob.pq.phase, bob.pq.mix = phaseMixing, mix
				continue
			}
			turn(t, rand.Reader, bob, alice)
		}
		if rounds == 200 || rounds < stallFrames-5 {
			t.Errorf("noticed after %d rounds", rounds)
		}
	})
}

// TestSilentPeerBlocksNothing: text goes on for as long as the window allows.
func TestSilentPeerBlocksNothing(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, alice, bob)
	turn(t, rand.Reader, bob, alice)
	n := 0
	for bob.Room(false) > 0 {
		sealAll(t, rand.Reader, bob, text(1))
		n++
	}
	if n < 400 {
		t.Errorf("%d messages", n)
	}
}
