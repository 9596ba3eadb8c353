package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

// ticket is a cell that the relay got, and when.
type ticket struct {
	stream int64
	cell   []byte
	at     time.Time
}

// collector takes all cells of all circuits.
type collector struct {
	mu    sync.Mutex
	cells []ticket
}

func (c *collector) serve(_ context.Context, _ *Link, s *Stream) {
	for {
		b := make([]byte, cell.Size)
		if readTrimmed(s, b) != nil {
			return
		}
		c.mu.Lock()
		c.cells = append(c.cells, ticket{int64(s.StreamID()), b, time.Now()})
		c.mu.Unlock()
	}
}

func (c *collector) all() []ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]ticket(nil), c.cells...)
}

func TestCircuitsTakeTurns(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		got := new(collector)
		_, _, l := w.shapedLink(Fast, got.serve)
		const circuits, each = 8, 32
		batch := func() (b []byte) {
			for i := range each {
				b = append(b, numbered(i)...)
			}
			return b
		}
		var streams []*Stream
		for range circuits {
			streams = append(streams, w.circuit(l))
		}
		// The first has a head start, which must not help it.
		for i, s := range streams {
			go func() {
				if n, err := s.Write(batch()); n != each*cell.Size || err != nil {
					t.Errorf("circuit %d: %d bytes, %v", i, n, err)
				}
			}()
			if i == 0 {
				pass(3 * warmTick)
			}
		}
		pass(circuits*each*Fast.Tick() + time.Minute)
		counts := map[int64]int{}
		for _, c := range got.all()[circuits:] {
			if numberOf(c.cell) != counts[c.stream] {
				t.Fatalf("cell %d of stream %d is number %d", counts[c.stream], c.stream, numberOf(c.cell))
			}
			counts[c.stream]++
			least, most := each, 0
			for _, s := range streams {
				n := counts[int64(s.StreamID())]
				if s == streams[0] {
					continue // it began before the others
				}
				least, most = min(least, n), max(most, n)
			}
			if most-least > 2 && most < each {
				t.Fatalf("one circuit had %d turns, another %d", most, least)
			}
		}
		for id, n := range counts {
			if n != each {
				t.Errorf("stream %d got %d of %d cells through", id, n, each)
			}
		}
	})
}

func TestFragmentsOfAHandshakeStayTogether(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		got := new(collector)
		_, _, l := w.shapedLink(Saver, got.serve)
		w.talk(l, 4)
		pass(warmFor)
		go func() {
			for range 5 {
				s, err := l.Open(w.ctx(time.Hour), KindCircuit)
				if err != nil {
					return
				}
				b := make([]byte, 2*cell.Size)
				cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Create, make([]byte, cell.CreateSize))
				if _, err := s.Write(b); err != nil {
					return
				}
			}
		}()
		pass(10 * time.Minute)
		cells, found := got.all(), 0
		for i, c := range cells[:len(cells)-1] {
			if c.cell[0] != byte(cell.Create) || c.cell[2] != cell.FirstOfTwo {
				continue
			}
			found++
			if n := cells[i+1]; n.stream != c.stream || n.cell[2] != cell.SecondOfTwo {
				t.Errorf("after the first fragment came %x of stream %d", n.cell[:4], n.stream)
			} else if d := n.at.Sub(c.at); d > Saver.Tick()+time.Millisecond {
				t.Errorf("the second fragment came %v later", d)
			}
		}
		if found != 5 {
			t.Errorf("%d of 5 handshakes came", found)
		}
	})
}

func TestResetsComeAtRandomTicks(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		var delays []float64
		ended := make(chan time.Time, 64)
		_, _, l := w.shapedLink(Fast, func(_ context.Context, _ *Link, s *Stream) {
			_, _ = io.Copy(io.Discard, s)
			ended <- time.Now()
		})
		keep := w.circuit(l)
		pass(warmFor)
		for range 8 {
			var streams []*Stream
			for range 25 {
				streams = append(streams, w.circuit(l))
			}
			from := time.Now()
			for _, s := range streams {
				s.CancelWrite(0)
				s.CancelRead(0)
				if _, err := s.Write(numbered(1)); err == nil {
					t.Fatal("a cancelled stream takes cells")
				}
				if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("reading a cancelled stream: %v", err)
				}
			}
			if time.Since(from) > 0 {
				t.Fatal("cancelling takes time")
			}
			for range streams {
				at := <-ended
				d := at.Sub(from)
				if d > closeWithin+latency+2*Fast.Tick() { // two have room in a tick, others wait
					t.Errorf("a reset came after %v", d)
				}
				if ms := (d - latency) % Fast.Tick(); ms > 30*time.Millisecond && ms < Fast.Tick()-30*time.Millisecond {
					// All circuits were opened at ticks, and so this is at one.
					t.Errorf("a reset came %v after a tick", ms)
				}
				delays = append(delays, d.Seconds())
			}
			pass(5 * time.Second)
		}
		_, p := kolmogorovAgainst(delays, func(x float64) float64 { return min(max(x/closeWithin.Seconds(), 0), 1) })
		t.Logf("%d resets, p = %.3f", len(delays), p)
		if p < 1e-5 {
			t.Errorf("resets are not spread over a minute: p = %v", p)
		}
		// The other direction of the same rule: memory that must be freed.
		from := time.Now()
		keep.Reset()
		if at := <-ended; at.Sub(from) > latency+time.Millisecond {
			t.Errorf("a reset at once took %v", at.Sub(from))
		}
	})
}

// A relay that ends a circuit does not show when, either.
func TestResetsOfTheRelayWaitToo(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		v := w.watchLink("3.0.0.1")
		quit := make(chan struct{})
		_, _, l := w.shapedLink(Normal, func(context.Context, *Link, *Stream) { <-quit })
		var streams []*Stream
		for range 10 {
			streams = append(streams, w.circuit(l))
		}
		pass(warmFor)
		from := v.now()
		close(quit)
		ended := make(chan time.Duration, len(streams))
		for _, s := range streams {
			go func() {
				_, err := s.Read(make([]byte, 1))
				if err == nil {
					t.Error("the circuit goes on")
				}
				ended <- v.now().Truncate(time.Second)
			}()
		}
		seen := map[time.Duration]bool{}
		for range streams {
			seen[<-ended] = true
		}
		if d := v.now() - from; d > closeWithin+latency+2*Normal.Tick() {
			t.Errorf("the last reset came after %v", d)
		}
		if len(seen) < 5 {
			t.Errorf("10 resets came at %d times", len(seen))
		}
		for _, s := range streams {
			s.CancelRead(0)
			s.CancelWrite(0)
		}
		pass(6 * Normal.Tick()) // each has room for two
		if n := l.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// linkToNarrow is a client's link to a relay that reads no circuit and has a
// window for each stream.
func (w *world) linkToNarrow(p Profile) *Link {
	w.t.Helper()
	w.limits = narrow
	target := w.hostileGuard(nil, func(*cell.Shaping) [][]byte { return nil })
	c := w.start("client", "3.0.0.1", RoleClient, func(c *Config) { c.Profile = p })
	l, err := c.Link(w.ctx(10*time.Second), target)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func TestWaitingForATickIsNoStall(t *testing.T) {
	for _, reads := range []bool{true, false} {
		t.Run(fmt.Sprint(reads), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				var l *Link
				if reads {
					_, _, l = w.shapedLink(Fast, func(_ context.Context, _ *Link, s *Stream) {
						_, _ = io.Copy(io.Discard, s)
					})
				} else {
					l = w.linkToNarrow(Fast)
				}
				s, other := w.circuit(l), w.circuit(l)
				if s.Waiting() {
					t.Error("waits without a Write")
				}
				go func() {
					for {
						if _, err := s.Write(numbered(1)); err != nil {
							return
						}
					}
				}()
				pass(warmFor + 2*time.Minute)
				if s.Waiting() != reads {
					t.Errorf("waiting for a tick: %v, and the peer reads: %v", s.Waiting(), reads)
				}
				// A full stream takes no ticks from others.
				from := time.Now()
				if _, err := other.Write(numbered(1)); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(from); d > 2*Fast.Tick() {
					t.Errorf("the other circuit waited %v", d)
				}
			})
		})
	}
}

func TestWriteOnAShapedLinkObeysItsDeadline(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		got := new(collector)
		_, _, l := w.shapedLink(Saver, got.serve)
		s := w.circuit(l)
		pass(warmFor)
		from := time.Now()
		_ = s.SetWriteDeadline(from.Add(3*Saver.Tick() + Saver.Tick()/2))
		n, err := s.Write(append(append(append(append(numbered(1), numbered(2)...), numbered(3)...), numbered(4)...), numbered(5)...))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n%cell.Size != 0 || n < 3*cell.Size || n > 4*cell.Size {
			t.Errorf("%d bytes, %v", n, err)
		}
		if d := time.Since(from); d != 3*Saver.Tick()+Saver.Tick()/2 {
			t.Errorf("it took %v", d)
		}
		if _, err := s.Write(numbered(6)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		// A deadline that moves, while a Write waits.
		_ = s.SetWriteDeadline(time.Time{})
		done := make(chan error, 1)
		go func() {
			_, err := s.Write(append(numbered(7), numbered(8)...))
			done <- err
		}()
		pass(time.Millisecond)
		_ = s.SetWriteDeadline(time.Now())
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a deadline in a Write: %v", err)
		}
		_ = s.SetWriteDeadline(time.Time{})
		if _, err := s.Write(numbered(9)); err != nil {
			t.Fatal(err)
		}
		pass(Saver.Tick())
		cells := got.all()
		if last := cells[len(cells)-1]; numberOf(last.cell) != 9 {
			t.Errorf("the last cell has number %d", numberOf(last.cell))
		}
	})
}

// While packets are held back, ticks are lost: afterwards there is no pile of
// cells to leave.
func TestNoPileOfCellsAfterAnOutage(t *testing.T) {
	for _, circuits := range []int{0, 6} {
		t.Run(fmt.Sprint(circuits), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				v := w.watchLink("3.0.0.1")
				_, _, l := w.shapedLink(Fast, cellEcho)
				w.circuit(l)
				w.talk(l, circuits)
				pass(warmFor + 10*time.Second)
				v.lose(true)
				pass(45 * time.Second)
				v.lose(false)
				from := v.now()
				pass(10 * time.Second)
				up, down := v.between(from, v.now())
				t.Logf("in 10 s after it: up %v, down %v", sizes(up), sizes(down))
				if l.conn.Context().Err() != nil {
					t.Fatal("the link ended")
				}
				// 10 ticks, and once more what had left before the window of
				// congestion was full: 32 packets of 1280 bytes.
				for _, s := range [][]sighting{up, down} {
					if n := len(withCells(s)); n > 10+35+4 {
						t.Errorf("%d cells in 10 ticks", n)
					}
				}
				pass(time.Minute)
				from = v.now()
				pass(time.Minute)
				up, down = v.between(from, v.now())
				if u, d := len(withCells(up)), len(withCells(down)); u != 60 || d != 60 {
					t.Errorf("%d and %d cells in 60 ticks later", u, d)
				}
			})
		})
	}
}

func TestClientLinkLivesAsLongAsTheClient(t *testing.T) {
	for _, p := range []Profile{Off, Saver} {
		t.Run(p.String(), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				c, a, l := w.shapedLink(p, cellEcho)
				w.circuit(l)
				pass(time.Hour)
				if l.conn.Context().Err() != nil || len(a.all()) != 1 {
					t.Fatal("an idle link ended while its client was there")
				}
				if d := time.Since(l.Heard()); d > paddingMax+latency {
					t.Errorf("nothing was heard for %v", d)
				}
				other := a.all()[0]
				c.stop()
				gone(t, other, time.Second)
			})
			simulated(t, func(t *testing.T, w *world) {
				v := w.watchLink("3.0.0.1")
				_, a, l := w.shapedLink(p, cellEcho)
				w.circuit(l)
				pass(time.Minute)
				other := a.all()[0]
				v.lose(true) // as if the client's host had lost its power
				gone(t, other, clientIdle+10*time.Second)
				gone(t, l, clientIdle+10*time.Second)
			})
		})
	}
}

func TestGoAwayOfAShapedLinkGoesInATick(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		v := w.watchLink("3.0.0.1")
		_, a, l := w.shapedLink(Saver, cellEcho)
		s := w.circuit(l)
		pass(warmFor + Saver.Tick()/2)
		other := a.all()[0]
		from := v.now()
		l.GoAway()
		if _, err := l.Open(w.ctx(time.Second), KindCircuit); !errors.Is(err, ErrDraining) {
			t.Errorf("a draining link opens circuits: %v", err)
		}
		pass(time.Second)
		if up, _ := v.between(from+time.Millisecond, v.now()); len(withCells(up)) != 0 {
			t.Error("GOAWAY went out between two ticks")
		}
		pass(Saver.Tick())
		select {
		case <-other.Draining():
		default:
			t.Error("GOAWAY did not go out in the next tick")
		}
		s.CancelRead(0)
		s.CancelWrite(0)
		gone(t, l, closeWithin+2*drainClose)
	})
}
