package session

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestInboundModel compares the window with a plain set.
func TestInboundModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var w inbound
		have := map[uint64]bool{}
		cum := func() (c uint64) {
			for have[c+1] {
				c++
			}
			return c
		}
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			c := cum()
			if rapid.IntRange(0, 20).Draw(rt, "operation") == 0 {
				lowest := c + rapid.Uint64Range(0, 40).Draw(rt, "lowest")
				var lost uint64
				for s := c + 1; s < lowest; s++ {
					if !have[s] {
						lost++
						have[s] = true
					}
				}
				if got, ok := w.raise(lowest, false); got != lost || !ok {
					rt.Fatalf("raise(%d) = %d, %v, want %d", lowest, got, ok, lost)
				}
			} else {
				seq := max(1, c+rapid.SampledFrom([]uint64{0, 1, 1, 1, 2, 3, 63, 64, 65, 130, 1023, 1024, 1025, 5000}).Draw(rt, "above"))
				want := seqFresh
				if have[seq] {
					want = seqOld
				} else if seq > c+inWindow {
					want = seqAbove
				}
				if got := w.look(seq); got != want {
					rt.Fatalf("look(%d) = %v, want %v, cumulative %d", seq, got, want, c)
				}
				if want == seqFresh {
					w.take(seq)
					have[seq] = true
				}
			}
			c = cum()
			if w.cum != c {
				rt.Fatalf("cumulative %d, want %d", w.cum, c)
			}
			s := w.sack()
			for i := range uint64(sackBits) {
				if got := s[i/8]&(0x80>>(i%8)) != 0; got != have[c+2+i] {
					rt.Fatalf("sack bit %d is %v", i, got)
				}
			}
		}
	})
}

// TestOutboundModel compares the sender's window with plain sets.
func TestOutboundModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := outbound{next: 1}
		got, failed := map[uint64]bool{}, map[uint64]bool{}
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "operation") {
			case 0, 1:
				n := min(w.room(rapid.Bool().Draw(rt, "control")), rapid.IntRange(0, 100).Draw(rt, "frames"))
				w.next += uint64(n)
			case 2:
				cum := w.acked + rapid.Uint64Range(0, 5).Draw(rt, "cumulative")
				var sack [16]byte
				sack[rapid.IntRange(0, 15).Draw(rt, "byte")] = byte(rapid.IntRange(0, 255).Draw(rt, "bits"))
				acked := w.acked
				proven := w.ack(cum, sack)
				if cum >= w.next {
					if proven != nil || w.acked != acked {
						rt.Fatal("an ack of a seq never sent was taken")
					}
					break
				}
				for _, s := range proven {
					if got[s] || s >= w.next {
						rt.Fatalf("seq %d proven twice or never sent", s)
					}
					got[s] = true
					delete(failed, s)
				}
				for s := acked + 1; s <= cum; s++ {
					if !got[s] && !failed[s] {
						rt.Fatalf("seq %d acked but not proven", s)
					}
				}
			case 3:
				s := w.acked + rapid.Uint64Range(0, 10).Draw(rt, "seq")
				w.giveUp(s)
				if s > w.acked && s < w.next && !got[s] {
					failed[s] = true
				}
			}
			var want []uint64
			for s := w.acked + 1; s < w.next; s++ {
				if !got[s] && !failed[s] {
					want = append(want, s)
				}
			}
			if !slices.Equal(w.unacked(), want) {
				rt.Fatalf("unacked %v, want %v", w.unacked(), want)
			}
			if w.inFlight() > maxUnacked || w.next-1-w.acked > outBits {
				rt.Fatalf("%d in flight, %d above the ack", w.inFlight(), w.next-1-w.acked)
			}
			var r reader
			r.b = w.append(nil)
			var again outbound
			again.parse(&r)
			if r.done() != nil || again != w {
				rt.Fatal("encodes to something else")
			}
		}
	})
}

func TestMissing(t *testing.T) {
	w := outbound{next: 10}
	w.ack(1, [16]byte{0x80 >> 0}) // 3
	if m := w.missing(); m != nil {
		t.Errorf("missing %v", m)
	}
	w.ack(1, [16]byte{0b10110000}) // 3, 5, 6
	if m := w.missing(); !slices.Equal(m, []uint64{2}) {
		t.Errorf("missing %v", m)
	}
	w.ack(1, [16]byte{0b10110001}) // and 10, never sent
	w.ack(1, [16]byte{0b10110110}) // 3, 5, 6, 8, 9
	if m := w.missing(); !slices.Equal(m, []uint64{2, 4}) {
		t.Errorf("missing %v", m)
	}
}

func TestWindowFull(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
	turn(t, rand.Reader, bob, alice)
	var first [][]byte
	for bob.Room(false) > 0 {
		b := sealAll(t, rand.Reader, bob, text(1))
		if len(first) < 200 {
			first = append(first, b...)
		}
	}
	if n := len(bob.Unacked()); n != maxUnackedMsg {
		t.Errorf("%d frames in flight", n)
	}
	if _, err := bob.Seal(rand.Reader, testNow, text(1)); !errors.Is(err, ErrWindowFull) {
		t.Errorf("Seal = %v", err)
	}
	if _, err := bob.Seal(rand.Reader, testNow, Message{Type: FrameQUse, Content: QUse{}.Append(nil)}); err != nil {
		t.Errorf("a control frame found no room: %v", err)
	}
	openAll(t, alice, first...)
	turn(t, rand.Reader, alice, bob)
	if bob.Room(false) < 100 {
		t.Errorf("room %d after an ack", bob.Room(false))
	}
}

// TestGivenUp: frames given up hold the peer's ack until SYNC tells it; an ack
// that covers them proves nothing.
func TestGivenUp(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
	long := sealAll(t, rand.Reader, bob, text(2000)) // its last fragment is lost for good
	_ = sealAll(t, rand.Reader, bob, text(1))        // lost
	last := sealAll(t, rand.Reader, bob, text(1))
	openAll(t, alice, append(long[:len(long)-1:len(long)-1], last...)...)
	lost := bob.Unacked()[len(bob.Unacked())-3:]
	bob.GiveUp(lost[0])
	bob.GiveUp(lost[1])
	if bob.SyncDue() || slices.Contains(bob.Unacked(), lost[0]) {
		t.Fatal("sync due before an ack shows that it helps")
	}
	if cum, gap := alice.Received(); cum != lost[0]-1 || !gap {
		t.Errorf("received up to %d, gap %v", cum, gap)
	}
	ack := must(alice.SealAck(rand.Reader, testNow))
	got := openAll(t, bob, ack.Inner)
	if !slices.Contains(got.Acked, lost[2]) || !bob.AckOwed() || !bob.SyncDue() {
		t.Errorf("acked %v", got.Acked)
	}
	bob = reload(t, bob)
	sync := must(bob.SealAck(rand.Reader, testNow))
	if sync.Type != FrameSync || sync.Seq != 0 {
		t.Fatalf("sealed %x", sync.Type)
	}
	got = openAll(t, alice, sync.Inner)
	if got.Lost != 2 || len(got.Dropped) != 1 || !got.Handled || !alice.AckOwed() {
		t.Errorf("sync: %+v", got)
	}
	// The lost fragment arrives after all: it is of no use.
	if got := openAll(t, alice, long[len(long)-1]); got.Fresh {
		t.Errorf("late fragment: %+v", got)
	}
	got = openAll(t, bob, must(alice.SealAck(rand.Reader, testNow)).Inner)
	if len(got.Acked) != 0 || bob.SyncDue() || len(bob.Unacked()) != 0 {
		t.Errorf("after sync: %+v, unacked %v", got, bob.Unacked())
	}
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
}

// TestLateAckOfGivenUp: before a SYNC a late ack still proves delivery.
func TestLateAckOfGivenUp(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	b := sealAll(t, rand.Reader, bob, text(1))
	bob.GiveUp(1)
	openAll(t, alice, b...)
	if got := openAll(t, bob, must(alice.SealAck(rand.Reader, testNow)).Inner); !slices.Equal(got.Acked, []uint64{1}) {
		t.Errorf("acked %v", got.Acked)
	}
}

// TestEarlyLateAndHugeAcks: acks outside the window change nothing.
func TestEarlyLateAndHugeAcks(t *testing.T) {
	w := outbound{next: 5, acked: 2}
	before := w
	for _, cum := range []uint64{5, 6, 1 << 40, 1<<64 - 1} {
		if p := w.ack(cum, [16]byte{0xFF}); p != nil || w != before {
			t.Errorf("ack %d was taken", cum)
		}
	}
	if p := w.ack(1, [16]byte{0xFF}); !slices.Equal(p, []uint64{3, 4}) {
		t.Errorf("an old ack with new bits proves %v", p)
	}
}

// TestPartialLimit: a seventeenth incomplete message has to wait; nothing that
// was acked is thrown away.
func TestPartialLimit(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
	var firsts, seconds [][]byte
	for range maxPartial + 1 {
		b := sealAll(t, rand.Reader, bob, text(1000))
		firsts, seconds = append(firsts, b[len(b)-2]), append(seconds, b[len(b)-1])
		openAll(t, alice, b[:len(b)-2]...)
	}
	openAll(t, alice, firsts[:maxPartial]...)
	refuse(t, alice, firsts[maxPartial], ErrLater)
	if !Park(ErrLater) {
		t.Error("the block would be lost")
	}
	if got := openAll(t, reload(t, alice), seconds[3]); !got.Complete {
		t.Error("not complete")
	}
	openAll(t, alice, seconds[0], firsts[maxPartial])
	if got := openAll(t, alice, seconds[maxPartial]); !got.Complete {
		t.Error("not complete")
	}
}

// TestHistories: a peer whose history forks is noticed, whatever arrives first.
func TestHistories(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
	turn(t, rand.Reader, bob, alice)
	clone := bob.Clone()
	mine := append(sealAll(t, rand.Reader, bob, text(1)), sealAll(t, rand.Reader, bob, text(2))...)
	theirs := append(sealAll(t, rand.Reader, clone, text(3)), sealAll(t, rand.Reader, clone, text(4))...)
	if len(mine) != 2 || len(theirs) != 2 {
		t.Fatal("control frames in the way")
	}
	// Both use the same numbers of the chain, so that only one of each opens.
	if openAll(t, alice, mine[1]).Diverged {
		t.Error("diverged too early")
	}
	if !openAll(t, alice, theirs[0]).Diverged {
		t.Error("not noticed")
	}
}

func TestHistoryRunsAreBounded(t *testing.T) {
	h := newHistory()
	for seq := uint64(3); seq < 300; seq += 2 {
		h.add(seq, [16]byte{byte(seq)}, [16]byte{1}, false, 0)
	}
	if len(h.runs) != maxRuns {
		t.Errorf("%d runs", len(h.runs))
	}
	h.forget(40)
	for _, r := range h.runs {
		if r.last < 40 {
			t.Errorf("run up to %d kept", r.last)
		}
	}
}
