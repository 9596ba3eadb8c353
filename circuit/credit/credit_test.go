package credit

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel compares both ends with the simplest thing that could be right:
// lists of all cells. Whatever is done in whatever order, and whatever the
// clock shows, the window stays in its bounds and neither end exceeds its
// credit.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maximum := rapid.SampledFrom([]int{32, 64, 96, 1000, 1024}).Draw(t, "max")
		initial := rapid.IntRange(32, maximum).Draw(t, "initial")
		s, r := NewSender(initial, maximum), NewReceiver(maximum)
		var now time.Duration
		taken, sealed, acked := 0, 0, 0       // at the sender
		received, consumed, queued := 0, 0, 0 // at the receiver; SENDMEs queued, not sealed
		var sendmes []Tag                     // sealed, on their way
		var queue []Tag
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					free := taken-Step*acked < s.Window()
					if s.Take() != free {
						t.Fatalf("Take with %d of %d taken", taken-Step*acked, s.Window())
					}
					if free {
						taken++
					}
				}
			},
			"give back": func(*rapid.T) {
				if taken > sealed {
					s.GiveBack(1)
					taken--
				}
			},
			"seal": func(t *rapid.T) {
				n := rapid.IntRange(1, 100).Draw(t, "n")
				for ; n > 0 && sealed < taken; n-- {
					sealed++
					s.Sealed(tagOf(uint64(sealed)), now)
				}
			},
			"arrive": func(t *rapid.T) {
				n := rapid.IntRange(1, 100).Draw(t, "n")
				for ; n > 0 && received < sealed; n-- {
					received++
					if err := r.Receive(tagOf(uint64(received))); err != nil {
						t.Fatal(err)
					}
				}
			},
			"consume": func(t *rapid.T) {
				n := min(rapid.IntRange(1, 100).Draw(t, "n"), received-consumed)
				due := r.Consume(n, nil)
				if len(due) != (consumed+n)/Step-consumed/Step {
					t.Fatalf("%d SENDMEs", len(due))
				}
				consumed += n
				queue = append(queue, due...)
				queued += len(due)
			},
			"seal SENDME": func(*rapid.T) {
				if queued > 0 {
					queued--
					r.Acknowledged()
					sendmes = append(sendmes, queue[0])
					queue = queue[1:]
				}
			},
			"acknowledge": func(t *rapid.T) {
				if len(sendmes) == 0 {
					if err := s.Acknowledge(tagOf(uint64(sealed/Step*Step+Step)), now); !errors.Is(err, ErrTag) {
						t.Fatal("a SENDME that no cell asked for was taken")
					}
					return
				}
				wrong := sendmes[0]
				wrong[rapid.IntRange(0, 15).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				if err := s.Acknowledge(wrong, now); !errors.Is(err, ErrTag) {
					t.Fatal("a wrong tag was taken")
				}
				if err := s.Acknowledge(sendmes[0], now); err != nil {
					t.Fatal(err)
				}
				acked++
				sendmes = sendmes[1:]
			},
			"time": func(t *rapid.T) {
				now += time.Duration(rapid.SampledFrom([]int64{0, 1, 1e6, 1e9, 6e9, 1e13, -1, -1e9, -1e13, math.MaxInt64 / 4, -math.MaxInt64 / 4}).Draw(t, "by"))
			},
			"": func(t *rapid.T) {
				if w := s.Window(); w < Min || w > maximum {
					t.Fatalf("window %d of at most %d", w, maximum)
				}
				if h := r.Held(); h > maximum || h != received-Step*(consumed/Step-queued) {
					t.Fatalf("the receiver holds %d", h)
				}
				if s.Free() != max(0, s.Window()-(taken-Step*acked)) {
					t.Fatalf("%d free", s.Free())
				}
			},
		})
	})
}

// TestBoundsOfTheConstructors: whatever the other end asked for.
func TestBoundsOfTheConstructors(t *testing.T) {
	for _, c := range [][4]int{{0, 0, 32, 32}, {64, 1024, 64, 1024}, {9999, 9999, 1024, 1024}, {100, 50, 50, 50}, {1, 64, 32, 64}} {
		s := NewSender(c[0], c[1])
		if s.Window() != c[2] || s.vegas.max != c[3] {
			t.Errorf("%v: window %d of %d", c, s.Window(), s.vegas.max)
		}
	}
}

// TestReceiverEndsAtItsMaximum: not one cell more, and SENDMEs that are due
// but not sealed give no credit.
func TestReceiverEndsAtItsMaximum(t *testing.T) {
	r := NewReceiver(64)
	for i := range 64 {
		if err := r.Receive(tagOf(uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Receive(tagOf(64)); !errors.Is(err, ErrOver) {
		t.Fatalf("a cell too many: %v", err)
	}
	due := r.Consume(64, nil)
	if len(due) != 2 || due[0] != tagOf(31) || due[1] != tagOf(63) {
		t.Fatalf("due %v", due)
	}
	if err := r.Receive(tagOf(64)); !errors.Is(err, ErrOver) {
		t.Fatalf("a cell before the SENDME was sealed: %v", err)
	}
	r.Acknowledged()
	for i := range 32 {
		if err := r.Receive(tagOf(uint64(64 + i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Receive(tagOf(96)); !errors.Is(err, ErrOver) {
		t.Fatalf("a cell too many: %v", err)
	}
}

// TestAttackOptimisticSendMe: who has not received the cell cannot
// acknowledge it, nor twice, nor out of order.
func TestAttackOptimisticSendMe(t *testing.T) {
	s := NewSender(128, 128)
	for i := range 96 {
		if !s.Take() {
			t.Fatal("no credit")
		}
		s.Sealed(tagOf(uint64(i+1)), 0)
	}
	free := s.Free()
	for _, tag := range []Tag{{}, tagOf(31), tagOf(33), tagOf(64), tagOf(96)} {
		if err := s.Acknowledge(tag, time.Second); !errors.Is(err, ErrTag) {
			t.Fatalf("%x was taken", tag)
		}
	}
	if s.Free() != free {
		t.Fatal("a forged SENDME gave credit")
	}
	for _, n := range []uint64{32, 64, 96} {
		if err := s.Acknowledge(tagOf(n), time.Second); err != nil {
			t.Fatal(err)
		}
		if err := s.Acknowledge(tagOf(n), time.Second); !errors.Is(err, ErrTag) {
			t.Fatal("the same SENDME was taken twice")
		}
	}
}

// TestAttackRTTWedge makes the clock jump and SENDMEs come at times that no
// path produces, which in another implementation (CVE-2022-33903) stopped the
// measuring of round trips for good. The window stays in its bounds, which the
// path itself checks, and 10 s later the flow is as fast as before.
func TestAttackRTTWedge(t *testing.T) {
	const rate, rtt = 2256, 100 * time.Millisecond
	for name, attack := range map[string]func(p *simPath, f *flow){
		"clock stands still": func(p *simPath, f *flow) {
			for range 2000 {
				at := p.now + f.clock
				p.run(time.Millisecond)
				f.clock = at - p.now
			}
		},
		"clock set back":       func(p *simPath, f *flow) { f.clock -= 12 * time.Hour },
		"clock set forward":    func(p *simPath, f *flow) { f.clock += 12 * time.Hour },
		"clock that trembles":  func(p *simPath, f *flow) { trembles(p, f) },
		"round trip of a tick": func(p *simPath, f *flow) { f.clock -= rtt - 1; p.run(rtt); f.clock += rtt - 1 },
		"asleep for an hour": func(p *simPath, f *flow) {
			f.hold = func(time.Duration) time.Duration { return time.Hour }
			p.run(time.Hour + time.Second)
			f.hold = nil
		},
		"every other SENDME late": func(p *simPath, f *flow) {
			late := false
			f.hold = func(time.Duration) time.Duration {
				if late = !late; late {
					return 3 * time.Second
				}
				return 0
			}
			p.run(20 * time.Second)
			f.hold = nil
		},
		"all SENDMEs late, then early": func(p *simPath, f *flow) {
			f.hold = func(time.Duration) time.Duration { return 10 * time.Second }
			p.run(time.Minute)
			f.hold = func(time.Duration) time.Duration { return -rtt / 2 }
			p.run(10 * time.Second)
			f.hold = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &simPath{t: t, rate: rate}
			f := p.add(rtt)
			p.run(20 * time.Second)
			attack(p, f)
			p.run(max(0, f.back-p.now)) // what was held back comes
			p.run(10 * time.Second)
			if got := p.share(5 * time.Second)[0]; got < 0.9*rate {
				t.Errorf("%.0f cells/s of %d after 10 s, window %d, smallest round trip %v", got, rate, f.s.Window(), f.s.vegas.min)
			}
		})
	}
}

func trembles(p *simPath, f *flow) {
	for i := range 4000 {
		f.clock = time.Duration(i%7-3) * 40 * time.Millisecond
		p.run(5 * time.Millisecond)
	}
	f.clock = 0
}

// TestShapedLinksKeepTheirWindow: with a maximum of 64, round trips of minutes
// change nothing.
func TestShapedLinksKeepTheirWindow(t *testing.T) {
	p := &simPath{t: t, rate: 0.5}
	f := p.add(2 * time.Second)
	f.s, f.r = NewSender(64, 64), NewReceiver(64)
	for range 2000 {
		p.run(time.Second)
		if f.s.Window() != 64 {
			t.Fatalf("window %d", f.s.Window())
		}
	}
	if got := p.share(1000 * time.Second)[0]; got < 0.499 {
		t.Errorf("%.3f cells/s of 0.5", got)
	}
}

// TestIdleSenderDoesNotGrow: a chat that never uses its window up gets no
// right to a burst.
func TestIdleSenderDoesNotGrow(t *testing.T) {
	s := NewSender(Initial, Max)
	for i := range 10000 {
		now := time.Duration(i) * time.Second
		if !s.Take() {
			t.Fatal("no credit")
		}
		n := uint64(i + 1)
		s.Sealed(tagOf(n), now)
		if n%Step == 0 {
			if err := s.Acknowledge(tagOf(n), now+50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.Window() != Initial {
		t.Errorf("window %d", s.Window())
	}
}

// TestNoAllocationPerCell: the memory of tags is taken once.
func TestNoAllocationPerCell(t *testing.T) {
	s, r := NewSender(Initial, Max), NewReceiver(Max)
	var n uint64
	var now time.Duration
	step := func() {
		var buf [1]Tag
		for range Step {
			n++
			now += time.Millisecond
			if !s.Take() {
				t.Fatal("no credit")
			}
			s.Sealed(tagOf(n), now)
			if err := r.Receive(tagOf(n)); err != nil {
				t.Fatal(err)
			}
			for _, tag := range r.Consume(1, buf[:0]) {
				r.Acknowledged()
				if err := s.Acknowledge(tag, now); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	step()
	if a := testing.AllocsPerRun(100, step); a != 0 {
		t.Errorf("%v allocations per %d cells", a, Step)
	}
}

func BenchmarkCell(b *testing.B) {
	s, r := NewSender(Initial, Max), NewReceiver(Max)
	var n uint64
	b.ReportAllocs()
	for b.Loop() {
		n++
		var tag Tag
		tag[0] = byte(n)
		s.Take()
		s.Sealed(tag, time.Duration(n))
		if r.Receive(tag) != nil {
			b.Fatal("no credit")
		}
		var buf [1]Tag
		for _, tag := range r.Consume(1, buf[:0]) {
			r.Acknowledged()
			if s.Acknowledge(tag, time.Duration(n)) != nil {
				b.Fatal("wrong tag")
			}
		}
	}
}
