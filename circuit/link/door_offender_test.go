package link

import (
	"context"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// offend commits n offending links of a prefix.
func (o *offenders) offend(p netip.Prefix, n int, now time.Time) {
	for range n {
		var c conduct
		for range linkStrikes {
			o.strike(&c, p, now)
		}
	}
}

// TestAbuseOffendingLink: a link is refused after a few breaches, for its
// life, and nobody else is.
func TestAbuseOffendingLink(t *testing.T) {
	var o offenders
	p := prefixOf(netip.MustParseAddr("3.0.0.1"))
	now := time.Unix(1000, 0)
	var bad, good conduct
	for i := range linkStrikes {
		if o.refused(&bad, p, now, now) {
			t.Fatalf("refused after %d breaches", i)
		}
		o.strike(&bad, p, now)
	}
	if !o.refused(&bad, p, now, now.Add(100*time.Hour)) {
		t.Error("an offending link may create circuits")
	}
	if o.refused(&good, p, now, now) {
		t.Error("another link of the prefix is refused")
	}
}

// TestAbuseOffendingPrefix: a prefix whose links offend again and again is
// refused for one to two hours, a random time, and then no more.
func TestAbuseOffendingPrefix(t *testing.T) {
	lengths := make(map[time.Duration]bool)
	for range 20 {
		var o offenders
		p := prefixOf(netip.MustParseAddr("2001:db8:0:1::1"))
		now := time.Unix(1000, 0)
		var fresh conduct
		o.offend(p, prefixMarks-1, now)
		if o.refused(&fresh, p, now, now) {
			t.Fatal("refused too soon")
		}
		o.offend(p, 1, now)
		if !o.refused(&fresh, p, now, now) {
			t.Fatal("not refused")
		}
		if o.refused(&fresh, prefixOf(netip.MustParseAddr("2001:db8:0:100::1")), now, now) {
			t.Fatal("another prefix is refused")
		}
		var d time.Duration
		for d = 0; o.refused(&fresh, p, now.Add(d), now.Add(d)); d += time.Minute {
		}
		if d < time.Hour || d > 2*time.Hour+time.Minute {
			t.Fatalf("refused for %v", d)
		}
		lengths[d] = true
	}
	if len(lengths) < 3 {
		t.Errorf("the time is not random: %v", lengths)
	}
}

// TestAbuseOneBreachALink: who takes a new link for each breach is refused, too.
func TestAbuseOneBreachALink(t *testing.T) {
	var o offenders
	p := prefixOf(netip.MustParseAddr("3.0.0.1"))
	now := time.Unix(1000, 0)
	n := 0
	for ; n < 100; n++ {
		var c conduct
		if o.refused(&c, p, now, now) {
			break
		}
		o.strike(&c, p, now)
		now = now.Add(time.Second)
	}
	if n != linkStrikes*prefixMarks {
		t.Errorf("refused after %d links", n)
	}
	// One link alone does not do it: that is refused itself.
	var other offenders
	var one, fresh conduct
	for range 100 {
		other.strike(&one, p, now)
	}
	if other.refused(&fresh, p, now, now) {
		t.Error("one link has the prefix refused")
	}
}

// TestAbuseFramedNeighbour: who shares an address with an offender keeps the
// link that he had; the offender does not gain one by it.
func TestAbuseFramedNeighbour(t *testing.T) {
	var o offenders
	p := prefixOf(netip.MustParseAddr("3.0.0.1"))
	begin := time.Unix(1000, 0)
	var neighbour, sleeper, late conduct
	now := begin.Add(time.Minute)
	o.strike(&sleeper, p, now)
	o.offend(p, prefixMarks, now)
	if o.refused(&neighbour, p, begin, now) {
		t.Error("a neighbour lost the link that he had")
	}
	if !o.refused(&late, p, now.Add(time.Second), now.Add(time.Second)) {
		t.Error("a new link of the prefix is served")
	}
	if !o.refused(&sleeper, p, begin, now) {
		t.Error("an older link that has broken rules is served")
	}
	o.strike(&neighbour, p, now)
	if !o.refused(&neighbour, p, begin, now) {
		t.Error("the first breach of the neighbour is forgiven")
	}
}

// TestAbuseMarksAreForgiven: offences far apart do not add up, as those of
// faulty software would.
func TestAbuseMarksAreForgiven(t *testing.T) {
	var o offenders
	var fresh conduct
	p := prefixOf(netip.MustParseAddr("3.0.0.1"))
	now := time.Unix(1000, 0)
	for range 100 {
		o.offend(p, 1, now)
		now = now.Add(markLife)
		if o.refused(&fresh, p, now, now) {
			t.Fatal("refused")
		}
	}
}

// TestAbuseOffenderMemoryIsBounded offends from ever new prefixes: the memory
// keeps its size, and keeps those who are refused before those who are not.
func TestAbuseOffenderMemoryIsBounded(t *testing.T) {
	var o offenders
	var fresh conduct
	at := func(i int) netip.Prefix {
		return prefixOf(netip.AddrFrom4([4]byte{7, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	now := time.Unix(1000, 0)
	o.offend(at(0), prefixMarks, now)
	for i := range 2 * offendersLimit {
		o.offend(at(i+1), 1, now)
	}
	if n := len(o.entries); n > offendersLimit {
		t.Errorf("%d prefixes are remembered", n)
	}
	if !o.refused(&fresh, at(0), now, now) {
		t.Error("a flood of others lets a refused prefix in")
	}
	// All of them refused: there is still room for the next.
	for i := range offendersLimit + 10 {
		o.offend(at(i), prefixMarks, now)
	}
	if n := len(o.entries); n > offendersLimit {
		t.Errorf("%d prefixes are remembered", n)
	}
	later := now.Add(3 * time.Hour)
	o.offend(at(1<<20), 1, later)
	if n := len(o.entries); n != 1 {
		t.Errorf("%d prefixes are remembered after all is forgiven", n)
	}
}

// TestAbuseOffenderAtARealDoor goes through real links: in an ordinary network
// the prefix is refused, in a lab network the links alone.
func TestAbuseOffenderAtARealDoor(t *testing.T) {
	for _, lab := range []bool{false, true} {
		simulated(t, func(t *testing.T, w *world) {
			w.lab = lab
			refused := make(chan bool, 100)
			a := w.start("a", "1.0.0.1", RoleRelay, func(c *Config) {
				c.Handlers[KindCircuit] = func(_ context.Context, l *Link, s *Stream) {
					was := l.Refused()
					defer func() { refused <- was }()
					var b [2]byte
					if _, err := s.Peek(b[:]); err == nil && b[1] == 0xff {
						for range linkStrikes {
							l.Offend()
						}
					}
				}
			})
			visit := func(from string, bad bool) bool {
				c, err := w.raw(from, a, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.CloseWithError(0, "") }()
				w.rawHello(c, helloCell(clientHello()))
				return w.knockCircuit(c, bad, refused)
			}
			for i := range prefixMarks {
				if visit("3.0.0.1", true) {
					t.Fatalf("refused at link %d", i)
				}
			}
			synctest.Wait()
			if got := visit("3.0.0.1", false); got == lab {
				t.Errorf("lab %v: a link of the prefix is refused: %v", lab, got)
			}
			if visit("3.0.0.2", false) {
				t.Error("another prefix is refused")
			}
			pass(refuseLeast + refuseJitter)
			if visit("3.0.0.1", false) {
				t.Error("refused for too long")
			}
		})
	}
}

// knockCircuit opens a circuit stream and tells whether the link was refused.
func (w *world) knockCircuit(c *quic.Conn, bad bool, refused <-chan bool) bool {
	b := []byte{byte(KindCircuit), 0}
	if bad {
		b[1] = 0xff
	}
	w.rawHello(c, b)
	return <-refused
}

// TestAbuseControlStreamIsCharged breaks the control stream on link after link,
// until the prefix is refused.
func TestAbuseControlStreamIsCharged(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		w.lab = false
		refused := make(chan bool, 1)
		a := w.start("a", "1.0.0.1", RoleRelay, func(c *Config) {
			c.Handlers[KindCircuit] = func(_ context.Context, l *Link, _ *Stream) { refused <- l.Refused() }
		})
		links := 0
		for ; links < 100; links++ {
			c, err := w.raw("3.0.0.1", a, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			s := w.rawHello(c, helloCell(clientHello()))
			w.rawHello(c, []byte{byte(KindCircuit)})
			if <-refused {
				break
			}
			if _, err := s.Write(append(goAwayCell(), goAwayCell()...)); err != nil {
				t.Fatal(err)
			}
			<-c.Context().Done()
			pass(time.Second)
		}
		if links != linkStrikes*prefixMarks {
			t.Errorf("refused after %d links", links)
		}
	})
}

// TestClientsAreWhoProvesNothing: neither a relay's link counts nor one that
// this node dialed, but one whose LINK_HELLO never came does.
func TestClientsAreWhoProvesNothing(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b, c := w.relay("a", "1.0.0.1"), w.relay("b", "2.0.0.1"), w.relay("c", "3.0.0.1")
		w.list(a, b, c)
		roundTrip(t, w.link(b, a), KindCircuit)
		roundTrip(t, w.link(a, c), KindCircuit)
		if n := len(a.Clients()); n != 0 {
			t.Errorf("%d clients before there are any", n)
		}
		if _, err := w.raw("4.0.0.1", a, nil, nil); err != nil {
			t.Fatal(err)
		}
		w.talker(a, Normal)
		pass(time.Second)
		if n := len(a.Clients()); n != 2 {
			t.Errorf("%d clients, want 2", n)
		}
	})
}

// TestSurplusIsWhatNobodyReads: what a client sends by the rules, padding
// included, leaves no surplus, whether it talks or takes; what is sent and not
// read stays in it.
func TestSurplusIsWhatNobodyReads(t *testing.T) {
	for p, talks := range map[Profile]int{Off: 500, Fast: 50} {
		simulated(t, func(t *testing.T, w *world) {
			var accepted atomic.Pointer[Link]
			var cells, deaf atomic.Int64
			_, _, l := w.shapedLink(p, func(_ context.Context, l *Link, s *Stream) {
				accepted.Store(l)
				buf := make([]byte, 8*cell.Size)
				for deaf.Load() == 0 && readTrimmed(s, buf[:cell.Size]) == nil {
					cells.Add(1)
					if _, err := s.Write(buf); err != nil { // eight times as much
						return
					}
				}
				<-s.Context().Done()
			})
			unread := func() int64 { return accepted.Load().Surplus() - CellBytes*cells.Load() }
			s := w.circuit(l)
			defer reset(s)
			go func() { _, _ = io.Copy(io.Discard, s) }()
			pass(10 * time.Minute)
			if n := unread(); n > 4096 {
				t.Errorf("%v: %d bytes of an idle link", p, n)
			}
			for i := range talks {
				if _, err := s.Write(numbered(i)); err != nil {
					t.Fatal(err)
				}
			}
			pass(10 * time.Minute)
			if n := unread(); n > 4096 || cells.Load() < int64(talks) {
				t.Errorf("%v: %d bytes after %d cells", p, n, cells.Load())
			}
			if p != Off {
				return
			}
			deaf.Store(1)
			before := unread()
			for range 200 { // two of them are read at most
				if _, err := s.Write(numbered(0)); err != nil {
					t.Fatal(err)
				}
			}
			pass(10 * time.Second)
			if n := unread() - before; n < 190*cell.Size {
				t.Errorf("%d bytes after 200 cells that nobody read", n)
			}
		})
	}
}
