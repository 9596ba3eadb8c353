package session

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"
)

// chatter seals n unreliable frames, which no window holds back.
func chatter(t testing.TB, s *State, n int) (blocks [][]byte) {
	t.Helper()
	for range n {
		blocks = append(blocks, must(s.SealAck(rand.Reader, testNow)).Inner)
	}
	return blocks
}

func TestSkipLimits(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	blocks := chatter(t, bob, maxSkipPerChain+2)
	refuse(t, alice, blocks[maxSkipPerChain+1], ErrLimit)
	openAll(t, alice, blocks[maxSkipPerChain])
	if n := len(alice.ratchet.recv.skipped); n != maxSkipPerChain {
		t.Fatalf("%d skipped keys", n)
	}
	alice = reload(t, alice)
	if n := len(alice.Append(nil)); n > MaxState {
		t.Errorf("state of %d bytes", n)
	}
	openAll(t, alice, blocks[7], blocks[3], blocks[maxSkipPerChain+1])
	refuse(t, alice, blocks[7], ErrDuplicate)
	refuse(t, alice, blocks[maxSkipPerChain+1], ErrDuplicate)
	// Later gaps push out the oldest keys of the chain.
	more := chatter(t, bob, 3)
	openAll(t, alice, more[2])
	if n := len(alice.ratchet.recv.skipped); n != maxSkipPerChain {
		t.Errorf("%d skipped keys", n)
	}
}

// TestArchivedChains: late blocks of the last six chains open, older ones do
// not, and nobody tries more than eight header keys.
func TestArchivedChains(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	var late [][]byte
	for range maxArchived + 2 {
		late = append(late, chatter(t, bob, 1)...)
		openAll(t, alice, chatter(t, bob, 1)...)
		openAll(t, bob, chatter(t, alice, 1)...)
	}
	if n := len(alice.ratchet.archived); n != maxArchived {
		t.Fatalf("%d archived chains", n)
	}
	refuse(t, alice, late[0], ErrUndecryptable)
	openAll(t, alice, late[1:]...)
	for _, b := range late[1:] {
		refuse(t, alice, b, ErrDuplicate)
	}
}

func TestStoredKeysLimit(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	var first []byte
	for i := range 3 {
		blocks := chatter(t, bob, 1000)
		if i == 0 {
			first = blocks[0]
		}
		openAll(t, alice, blocks[999])
		openAll(t, bob, chatter(t, alice, 1)...)
	}
	total := len(alice.ratchet.recv.skipped)
	for _, c := range alice.ratchet.archived {
		total += len(c.skipped)
	}
	if total != maxSkipped {
		t.Errorf("%d stored keys", total)
	}
	refuse(t, alice, first, ErrDuplicate) // its key was dropped: it can no longer be told from a repeat
	if n := len(reload(t, alice).Append(nil)); n > MaxState {
		t.Errorf("state of %d bytes", n)
	}
}

func TestSkippedKeysExpire(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	blocks := chatter(t, bob, 4)
	openAll(t, alice, blocks[2])
	if _, err := alice.Open(testNow.AddDate(0, 0, skippedDays-1), blocks[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Open(testNow.AddDate(0, 0, skippedDays), blocks[3]); err != nil {
		t.Fatal(err)
	}
	refuse(t, alice, blocks[1], ErrDuplicate)
}

func TestChainLength(t *testing.T) {
	_, bob := pairUp(rand.Reader)
	bob.ratchet.ns = maxChainBlocks - 1
	chatter(t, bob, 1)
	before := bob.Append(nil)
	if _, err := bob.SealAck(rand.Reader, testNow); !errors.Is(err, ErrLimit) {
		t.Errorf("SealAck = %v", err)
	}
	if !bytes.Equal(before, bob.Append(nil)) {
		t.Error("the state changed")
	}
}

// TestFirstBlocksReordered: the inviter's first chain arrives before the guest
// has seen anything else, in reverse.
func TestFirstBlocksReordered(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	fromBob := chatter(t, bob, 3)
	fromAlice := chatter(t, alice, 3)
	for i := range 3 {
		openAll(t, alice, fromBob[2-i])
		openAll(t, bob, fromAlice[2-i])
	}
	turn(t, rand.Reader, alice, bob)
	turn(t, rand.Reader, bob, alice)
}

// TestChainOutOfTurn: a second chain of the peer before we answered the first
// cannot be; with the right keys it is still refused.
func TestChainOutOfTurn(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, alice, bob)
	if !bob.ratchet.owes {
		t.Fatal("the guest owes nothing")
	}
	// Alice makes a further chain as if Bob had answered.
	r := &alice.ratchet
	r.owes = true
	before := bob.Append(nil)
	inner := must(alice.SealAck(rand.Reader, testNow)).Inner
	if _, err := bob.Open(testNow, inner); err == nil {
		t.Error("opened")
	}
	if !bytes.Equal(before, bob.Append(nil)) {
		t.Error("the state changed")
	}
}

// TestRandomFails: a source that fails changes nothing.
func TestRandomFails(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	for n := range 100 {
		before := alice.Append(nil)
		_, err := alice.Seal(bytes.NewReader(make([]byte, n)), testNow, text(1))
		if err == nil {
			if n < 16+32+24 {
				t.Errorf("%d random bytes were enough", n)
			}
			return
		}
		if !bytes.Equal(before, alice.Append(nil)) {
			t.Fatal("the state changed")
		}
	}
	t.Error("never sealed")
}

// TestHealing: who copied a whole state reads on only until both sides have
// taken a turn (without the exchange), and a chain read later opens nothing.
func TestHealing(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	thief := alice.Clone()
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob) // a fresh key that the thief does not have
	for _, b := range sealAll(t, rand.Reader, bob, text(5)) {
		if _, err := thief.Open(testNow, b); err == nil {
			t.Error("the thief reads on")
		}
		openAll(t, alice, b)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	for range 20 {
		turn(t, rand.Reader, bob, alice)
		turn(t, rand.Reader, alice, bob)
	}
	blocks := sealAll(t, rand.Reader, bob, text(3000))
	openAll(t, alice, blocks[2])
	c := alice.Clone()
	want := c.Append(nil)
	openAll(t, alice, blocks[0], blocks[3], blocks[1])
	turn(t, rand.Reader, alice, bob)
	turn(t, rand.Reader, bob, alice)
	alice.GiveUp(1)
	if !bytes.Equal(want, c.Append(nil)) {
		t.Error("the clone changed")
	}
}

func TestLabTimers(t *testing.T) {
	for _, c := range []struct {
		lab  bool
		wait time.Duration
		want bool
	}{{false, 11 * time.Hour, false}, {false, 12 * time.Hour, true}, {true, time.Hour, false}, {true, 72 * time.Minute, true}} {
		s := &State{lab: c.lab}
		s.pq.mixedAt = unixSeconds(testNow)
		s.pq.sent, s.pq.received = 1, 1
		if got := s.offerDue(testNow.Add(c.wait)); got != c.want {
			t.Errorf("lab %v after %v: %v", c.lab, c.wait, got)
		}
	}
}
