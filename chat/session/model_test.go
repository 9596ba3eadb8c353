package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// side is one end of a model conversation.
type side struct {
	state  *State
	oracle *oracle // reads what the other side sends
	peer   *side

	wire   [][]byte          // blocks on their way to the peer, duplicates included
	parked [][]byte          // blocks to try again
	bodies map[uint64][]byte // by seq, until acked
	said   []string          // texts sent, in order
	parts  map[uint64][]Frame
	heard  map[uint64]string // texts received, by first seq
	acked  map[uint64]bool
	seen   map[string]bool // inner blocks that opened
	secret map[uint32]mixture
}

// newConversation starts two sides with an oracle each.
func newConversation(random io.Reader) (alice, bob *side) {
	a, b := pairUp(random)
	alice, bob = newSide(a), newSide(b)
	alice.peer, bob.peer = bob, alice
	secrets := map[uint32]mixture{}
	alice.secret, bob.secret = secrets, secrets
	// The oracle of each side starts with the keys of the key schedule and then
	// lives on blocks alone, but for private keys and exchanges.
	alice.oracle = newOracle(alice)
	alice.oracle.hk, alice.oracle.ck, alice.oracle.haveChain = a.ratchet.recv.hk, a.ratchet.recv.ck, true
	bob.oracle = newOracle(bob)
	return alice, bob
}

func newSide(s *State) *side {
	return &side{
		state: s, bodies: map[uint64][]byte{}, parts: map[uint64][]Frame{},
		heard: map[uint64]string{}, acked: map[uint64]bool{}, seen: map[string]bool{},
	}
}

func newOracle(s *side) *oracle {
	o := &oracle{th: s.state.ratchet.th, rk: s.state.ratchet.rk, nhkr: s.state.ratchet.nhkr, skipped: map[[32]byte]map[uint32][32]byte{}}
	o.mix = func(epoch uint32) (ss, bind [32]byte) { return s.secret[epoch].ss, s.secret[epoch].bind }
	return o
}

func (s *side) put(all []Sealed, err error) error {
	if err != nil {
		return err
	}
	if x := &s.state.pq; x.phase == phaseAnswered {
		s.secret[s.state.ratchet.epoch+1] = x.mix
	}
	for _, b := range all {
		s.wire = append(s.wire, b.Inner)
		if b.Seq != 0 {
			s.bodies[b.Seq] = b.Body
		}
	}
	return nil
}

// settle tells the oracle of root steps that its own side made.
func (s *side) settle() {
	if !s.state.ratchet.owes {
		r := &s.state.ratchet
		s.oracle.rk, s.oracle.nhkr, s.oracle.epoch = r.rk, r.nhkr, r.epoch
		s.oracle.private = [32]byte(r.dhs.Bytes())
	}
}

func (s *side) control(random io.Reader) error {
	for {
		all, err := s.state.Control(random, testNow)
		if all == nil || err != nil {
			return err
		}
		if err := s.put(all, nil); err != nil {
			return err
		}
	}
}

func (s *side) say(random io.Reader, size int) error {
	if err := s.control(random); err != nil {
		return err
	}
	words := fmt.Sprintf("%d:%s", len(s.said), bytes.Repeat([]byte("."), size))
	content, err := Text{Text: words}.Append(nil)
	if err != nil {
		return err
	}
	err = s.put(s.state.Seal(random, testNow, Message{Type: FrameText, Content: content}))
	if errors.Is(err, ErrWindowFull) {
		return nil
	}
	s.said = append(s.said, words)
	return err
}

// receive opens a block and checks it against the oracle.
func (s *side) receive(inner []byte) error {
	before := s.state.Append(nil)
	s.settle()
	got, err := s.state.Open(testNow, inner)
	if err != nil {
		if !bytes.Equal(before, s.state.Append(nil)) {
			return errors.New("an error changed the state")
		}
		if s.seen[string(inner)] != errors.Is(err, ErrDuplicate) && !Park(err) {
			return fmt.Errorf("seen %v, %w", s.seen[string(inner)], err)
		}
		if Park(err) && !s.seen[string(inner)] {
			s.parked = append(s.parked, inner)
		}
		return nil
	}
	if s.seen[string(inner)] {
		return errors.New("a block opened twice")
	}
	s.seen[string(inner)] = true
	if err := s.compare(inner, got.Frame); err != nil {
		return err
	}
	for _, seq := range got.Acked {
		if s.acked[seq] || s.bodies[seq] == nil {
			return fmt.Errorf("seq %d acked twice or never sent", seq)
		}
		s.acked[seq] = true
		delete(s.bodies, seq)
	}
	if got.Diverged || got.Lost != 0 || len(got.Dropped) != 0 {
		return fmt.Errorf("honest peer: %+v", got)
	}
	f := got.Frame
	if !got.Fresh || got.Handled {
		return nil
	}
	s.parts[f.First()] = append(s.parts[f.First()], f)
	if !got.Complete {
		return nil
	}
	m, err := Join(s.parts[f.First()])
	if err != nil {
		return err
	}
	delete(s.parts, f.First())
	t, err := ParseText(m.Content)
	if err != nil {
		return err
	}
	if _, ok := s.heard[f.First()]; ok {
		return errors.New("a message was shown twice")
	}
	s.heard[f.First()] = t.Text
	return nil
}

func (s *side) compare(inner []byte, f Frame) error {
	body, err := s.oracle.read(inner)
	if err != nil {
		return fmt.Errorf("package reads, oracle does not: %w", err)
	}
	typ, index, count, seq, ack, content := oracleFrame(body)
	if FrameType(typ) != f.Type || index != f.Index || count != f.Count || seq != f.Seq || ack != f.Ack || !bytes.Equal(content, f.Content) {
		return errors.New("package and oracle read different frames")
	}
	return nil
}

func (s *side) retryParked() error {
	parked := s.parked
	s.parked = nil
	for _, b := range parked {
		if err := s.receive(b); err != nil {
			return err
		}
	}
	return nil
}

// drain delivers and repeats until everything is acked, as a network that heals
// would.
func drain(random io.Reader, sides ...*side) error {
	for range 40 {
		quiet := true
		for _, s := range sides {
			if err := s.control(random); err != nil {
				return err
			}
			for _, seq := range s.state.Unacked() {
				quiet = false
				again, err := s.state.Reseal(random, testNow, s.bodies[seq])
				if err != nil {
					return err
				}
				s.wire = append(s.wire, again.Inner)
			}
			ack, err := s.state.SealAck(random, testNow)
			if err != nil {
				return err
			}
			s.wire = append(s.wire, ack.Inner)
			wire := s.wire
			s.wire = nil
			for _, b := range wire {
				if err := s.peer.receive(b); err != nil {
					return err
				}
			}
			if err := s.peer.retryParked(); err != nil {
				return err
			}
		}
		if quiet {
			return nil
		}
	}
	return errors.New("frames stay unacked")
}

func (s *side) check() error {
	var first uint64
	var got []string
	for len(got) < len(s.heard) {
		first++
		if t, ok := s.heard[first]; ok {
			got = append(got, t)
		}
		if first > 1<<20 {
			return errors.New("message without seq")
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(s.peer.said) {
		return fmt.Errorf("heard %d texts, %d were said, or in another order", len(got), len(s.peer.said))
	}
	return nil
}

// TestModel runs random conversations over a network that loses, duplicates and
// reorders blocks, with a second reader beside, states taken through their
// serialised form, and post-quantum exchanges on the way.
func TestModel(t *testing.T) {
	var most uint32
	rapid.Check(t, func(rt *rapid.T) {
		random := seeded(fmt.Sprint(rapid.Uint64().Draw(rt, "seed")))
		alice, bob := newConversation(random)
		sides := []*side{alice, bob}
		fatal := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(10, 120).Draw(rt, "steps") {
			s := sides[rapid.IntRange(0, 1).Draw(rt, "side")]
			switch op := rapid.IntRange(0, 9).Draw(rt, "operation"); {
			case op <= 2:
				fatal(s.say(random, rapid.SampledFrom([]int{0, 10, 10, 10, 800, 1600}).Draw(rt, "size")))
			case op <= 7 && len(s.wire) > 0:
				i := 0
				if op == 7 {
					i = rapid.IntRange(0, len(s.wire)-1).Draw(rt, "block")
				}
				b := s.wire[i]
				switch rapid.IntRange(0, 9).Draw(rt, "network") {
				case 0: // lost
					s.wire = append(s.wire[:i:i], s.wire[i+1:]...)
				case 1: // duplicated
					fatal(s.peer.receive(b))
				default:
					s.wire = append(s.wire[:i:i], s.wire[i+1:]...)
					fatal(s.peer.receive(b))
				}
			case op == 8:
				s.state = reload(t, s.state)
				fatal(s.retryParked())
			case op == 9:
				fatal(s.put([]Sealed{must(s.state.SealAck(random, testNow))}, nil))
			}
		}
		fatal(drain(random, alice, bob))
		fatal(alice.check())
		fatal(bob.check())
		most = max(most, alice.state.Epoch())
	})
	if most == 0 {
		t.Error("no exchange was ever completed")
	}
	t.Logf("up to %d exchanges in a conversation", most)
}

// TestMixedWithinFifty: in the reference schedules an exchange is complete
// within 50 frames each way.
func TestMixedWithinFifty(t *testing.T) {
	for _, c := range []struct{ a, b int }{{1, 1}, {3, 1}, {1, 5}, {8, 8}, {20, 20}, {40, 5}, {16, 16}} {
		random := seeded("schedule")
		alice, bob := newConversation(random)
		sent := map[*side]int{} // content frames since the last mix
		epoch := uint32(0)
		worst := 0
		for range 400 / (c.a + c.b) * 2 {
			for _, b := range []struct {
				s *side
				n int
			}{{bob, c.b}, {alice, c.a}} {
				for range b.n {
					if err := b.s.say(random, 5); err != nil {
						t.Fatal(err)
					}
					sent[b.s]++
				}
				wire := b.s.wire
				b.s.wire = nil
				for _, w := range wire {
					if err := b.s.peer.receive(w); err != nil {
						t.Fatal(err)
					}
				}
				if e := min(alice.state.Epoch(), bob.state.Epoch()); e > epoch {
					worst = max(worst, min(sent[alice], sent[bob]))
					epoch = e
					sent = map[*side]int{}
				}
				if n := min(sent[alice], sent[bob]); n > 50+max(c.a, c.b) {
					t.Fatalf("%v: no exchange in %d frames each way", c, n)
				}
				if alice.state.Stalled() || bob.state.Stalled() {
					t.Fatalf("%v: an honest peer counts as stalled", c)
				}
			}
		}
		t.Logf("%v: %d exchanges, at most %d frames each way", c, epoch, worst)
	}
}
