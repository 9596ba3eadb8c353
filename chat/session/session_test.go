package session

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	rand2 "math/rand/v2"
	"testing"
	"time"

	"hearsay/directory"
)

var (
	testNow     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testNetwork = directory.NetworkID{1, 2, 3, 4, 5}
)

// seeded is a reproducible source of bytes.
func seeded(seed string) io.Reader {
	return rand2.NewChaCha8(sha256.Sum256([]byte(seed)))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func testQAddr(random io.Reader) QAddr {
	a := QAddr{Capability: must(NewCapability(random)), Key: must(NewQueueKey(random))}
	must(io.ReadFull(random, a.Relay[:]))
	must(io.ReadFull(random, a.SID[:]))
	return a
}

func testPair(random io.Reader) [2]QAddr {
	return [2]QAddr{testQAddr(random), testQAddr(random)}
}

func testInvite(random io.Reader) *Invite {
	return must(NewInvite(random, testNetwork, testPair(random), testNow.AddDate(0, 0, 7)))
}

// pairUp runs invite and request and returns both sides.
func pairUp(random io.Reader) (inviter, guest *State) {
	inv := testInvite(random)
	q := must(inv.Bundle().Request(random, testNow, RequestConfig{Queues: testPair(random), Name: "bob", Hello: "hi"}))
	a := must(inv.Accept(testNow, Config{}, q.Container))
	return a.State, q.State
}

func text(n int) Message {
	return Message{Type: FrameText, Content: append([]byte{0}, bytes.Repeat([]byte("x"), n)...)}
}

// sealAll seals whatever control message is due, then m.
func sealAll(t testing.TB, random io.Reader, s *State, m Message) (blocks [][]byte) {
	t.Helper()
	for {
		c, err := s.Control(random, testNow)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			break
		}
		for _, b := range c {
			blocks = append(blocks, b.Inner)
		}
	}
	all, err := s.Seal(random, testNow, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		blocks = append(blocks, b.Inner)
	}
	return blocks
}

// openAll opens blocks that have to open.
func openAll(t testing.TB, s *State, blocks ...[]byte) (last Received) {
	t.Helper()
	for i, b := range blocks {
		got, err := s.Open(testNow, b)
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		last = got
	}
	return last
}

// turn has from send one text to to.
func turn(t testing.TB, random io.Reader, from, to *State) {
	t.Helper()
	openAll(t, to, sealAll(t, random, from, text(20))...)
}

// refuse checks that a block is refused with want and that the state is as before.
func refuse(t testing.TB, s *State, inner []byte, want error) {
	t.Helper()
	before := s.Append(nil)
	if _, err := s.Open(testNow, inner); !errors.Is(err, want) {
		t.Errorf("Open = %v, want %v", err, want)
	}
	if !bytes.Equal(before, s.Append(nil)) {
		t.Error("a refused block changed the state")
	}
}

// reload takes a state through its serialised form.
func reload(t testing.TB, s *State) *State {
	t.Helper()
	b := s.Append(nil)
	p, err := ParseState(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Append(nil), b) {
		t.Fatal("state encodes to something else")
	}
	return p
}

func TestInviteToConversation(t *testing.T) {
	inv := testInvite(rand.Reader)
	blob := must(inv.SealBlob(rand.Reader))
	if len(blob) != BlobSize {
		t.Fatalf("blob of %d bytes", len(blob))
	}
	textLink := inv.Link().String()
	if len(textLink) != LinkLength {
		t.Fatalf("link of %d characters", len(textLink))
	}
	l := must(ParseLink(textLink, testNetwork))
	u := must(l.OpenBlob(testNow, testNetwork, blob))
	queues := testPair(rand.Reader)
	queues[1] = QAddr{} // one mailbox relay alone
	q := must(u.Request(rand.Reader, testNow, RequestConfig{Queues: queues, Name: "bob", Hello: "hi"}))
	container := assemble(t, new(RequestAssembler), q.Container)
	inv = must(ParseInvite(inv.Append(nil)))
	a := must(inv.Accept(testNow, Config{}, container))
	if a.Name != "bob" || a.Hello != "hi" || !a.Queues[0].Equal(queues[0]) || !a.Queues[1].IsZero() {
		t.Error("the request lost something")
	}
	alice, bob := a.State, q.State
	if alice.SafetyNumber() != bob.SafetyNumber() {
		t.Error("safety numbers differ")
	}
	for range 30 {
		turn(t, rand.Reader, bob, alice)
		turn(t, rand.Reader, alice, bob)
		alice, bob = reload(t, alice), reload(t, bob)
	}
	if alice.Epoch() != bob.Epoch() || alice.Epoch() < 2 {
		t.Errorf("epochs %d and %d", alice.Epoch(), bob.Epoch())
	}
	// The same request is recognised by Core and makes the same session.
	if again := must(inv.Accept(testNow, Config{}, container)); again.Core != a.Core {
		t.Error("Core differs")
	}
}

func assemble(t testing.TB, as *RequestAssembler, container []byte) (got []byte) {
	t.Helper()
	for i, b := range must(SplitContainer(container)) {
		if typ, err := ParseInner(b); typ != InnerRequest || err != nil {
			t.Fatal(typ, err)
		}
		c, err := as.Add(testNow, b)
		if err != nil {
			t.Fatal(err)
		}
		if (c != nil) != (i == chunkCount-1) {
			t.Fatalf("container after %d chunks", i+1)
		}
		got = c
		as = must(ParseRequestAssembler(as.Append(nil)))
	}
	if !bytes.Equal(got, container) {
		t.Fatal("container differs")
	}
	return got
}

// TestGuestMaySendEight: blocks behind a request are few until it is answered.
func TestGuestMaySendEight(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	var blocks [][]byte
	for range maxBeforeAnswer {
		blocks = append(blocks, sealAll(t, rand.Reader, bob, text(1))...)
	}
	if _, err := bob.Seal(rand.Reader, testNow, text(1)); !errors.Is(err, ErrWindowFull) {
		t.Errorf("ninth frame: %v", err)
	}
	openAll(t, alice, blocks...)
	turn(t, rand.Reader, alice, bob)
	if bob.Room(false) != maxUnackedMsg {
		t.Errorf("room %d after the answer", bob.Room(false))
	}
}

// TestSecretsAreRedacted prints every key type with every verb.
func TestSecretsAreRedacted(t *testing.T) {
	secret := [32]byte(bytes.Repeat([]byte{0xAB}, 32))
	alice, _ := pairUp(rand.Reader)
	for _, v := range []any{
		QueueKeyFrom(secret), CapabilityFrom(secret),
		LinkKey{b: secret},
		alice,
		QAddr{Key: QueueKeyFrom(secret), Capability: CapabilityFrom(secret)},
		Link{Key: LinkKey{b: secret}}.Key,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
			s := fmt.Sprintf(verb, v)
			for _, leak := range []string{"abab", "ABAB", "171 171", "0xab"} {
				if bytes.Contains([]byte(s), []byte(leak)) {
					t.Errorf("%T with %s shows the key", v, verb)
				}
			}
		}
	}
	var log bytes.Buffer
	inv := testInvite(rand.Reader)
	l := slog.New(slog.NewTextHandler(&log, nil))
	for _, v := range []slog.LogValuer{QueueKeyFrom(secret), CapabilityFrom(secret), LinkKey{b: secret}, alice, inv, inv.Link()} {
		log.Reset()
		if l.Info("x", "v", v); !bytes.HasSuffix(log.Bytes(), []byte(redacted+"\n")) {
			t.Errorf("%T is logged as %s", v, log.Bytes())
		}
	}
	if CapabilityFrom(secret).Bytes() != secret || !CapabilityFrom(secret).Equal(CapabilityFrom(secret)) {
		t.Error("a capability is not what it was made from")
	}
	if !QueueKeyFrom(secret).Equal(QueueKeyFrom(secret)) || QueueKeyFrom(secret).Equal(QueueKey{}) {
		t.Error("Equal is wrong")
	}
}

func TestSafetyNumber(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	if safetyNumber(a, b) != safetyNumber(b, a) {
		t.Error("depends on the order")
	}
	if n := safetyNumber(a, b); len(n) != 12*5+11 || n == safetyNumber(a, [32]byte{3}) {
		t.Errorf("safety number %q", n)
	}
}

// TestStateSize holds the bound with everything in it but skipped keys.
func TestStateSize(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	for range 8 {
		turn(t, rand.Reader, alice, bob)
		turn(t, rand.Reader, bob, alice)
	}
	s := bob.Clone()
	for len(s.ratchet.archived) < maxArchived {
		s.ratchet.archived = append(s.ratchet.archived, chain{})
	}
	s.history = history{}
	for i := range uint64(maxRuns) {
		s.history.runs = append(s.history.runs, run{first: 3 * i, last: 3 * i})
	}
	s.partial = nil
	for i := range uint64(maxPartial) {
		s.partial = append(s.partial, partial{first: 1 + 2*i, count: 2, have: [2]uint64{1}})
	}
	s.pq = exchange{phase: phaseAsked, ek: make([]byte, kemKeySize)}
	for _, k := range []FrameType{FramePQEK, FramePQCT, FramePQNO} {
		s.pq.parts = append(s.pq.parts, controlPart{kind: k, content: make([]byte, ContentSize)})
	}
	if n := len(s.Append(nil)); n > 8<<10 {
		t.Errorf("state of %d bytes", n)
	} else {
		t.Logf("at most %d bytes; in a conversation %d", n, len(bob.Append(nil)))
	}
}
