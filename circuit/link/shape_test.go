package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// A link changes between all profiles, on both sides, without losing a circuit
// or a cell on the way.
func TestSwitchingProfilesLosesNoCell(t *testing.T) {
	all := []Profile{Off, Saver, Normal, Fast}
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			t.Run(fmt.Sprintf("%v to %v", from, to), func(t *testing.T) {
				simulated(t, func(t *testing.T, w *world) {
					v := w.watchLink("3.0.0.1")
					c, a, l := w.shapedLink(from, cellEcho)
					got := make(chan int, 4)
					for range 4 {
						s := w.circuit(l)
						go func() {
							for i := 1; ; i++ {
								if _, err := s.Write(append(numbered(2*i), numbered(2*i+1)...)); err != nil {
									return
								}
								select { // without a profile nothing else slows it down
								case <-time.After(200 * time.Millisecond):
								case <-s.Context().Done():
									return
								}
							}
						}()
						go func() {
							n := 1 // the first was no number
							b := make([]byte, cell.Size)
							for readTrimmed(s, b) == nil {
								if b[0] != byte(cell.Relay) {
									continue
								}
								if n++; numberOf(b) != n || !bytes.Equal(b, numbered(n)) {
									t.Errorf("cell %d instead of %d", numberOf(b), n)
									return
								}
							}
							got <- n
						}()
					}
					pass(warmFor + time.Second)
					c.SetProfile(to)
					pass(shapeEvery + shapeSlack + 3*max(from.Tick(), to.Tick()))
					if c.Profile() != to || l.Profile() != to {
						t.Errorf("the client's side runs %v", l.Profile())
					}
					if other := a.all()[0]; other.Profile() != to {
						t.Errorf("the relay's side runs %v", other.Profile())
					}
					if to != Off {
						// Both sides keep the new schedule.
						at := v.now()
						pass(20 * to.Tick())
						up, down := v.between(at, at+20*to.Tick())
						if u, d := len(withCells(up)), len(withCells(down)); u != 20 || d != 20 {
							t.Errorf("%d and %d cells in 20 ticks", u, d)
						}
					}
					if l.Streams() != 4 {
						t.Errorf("%d of 4 circuits are left", l.Streams())
					}
					l.Close()
					for range 4 {
						if n := <-got; n < 10 {
							t.Errorf("%d cells came back", n)
						}
					}
				})
			})
		}
	}
}

// Whoever turns protection on is protected, and whoever turns it off is not
// told otherwise: what the link does is looked at, not what it says.
func TestSwitchOfCoverDoesWhatItSays(t *testing.T) {
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				v := w.watchLink("3.0.0.1")
				first, then := Normal, Off
				if on {
					first, then = Off, Normal
				}
				c, a, l := w.shapedLink(first, cellEcho)
				s := w.circuit(l)
				pass(warmFor + time.Second)
				c.SetProfile(then)
				pass(time.Minute)
				from := v.now()
				for range 30 {
					if _, err := s.Write(numbered(1)); err != nil {
						t.Fatal(err)
					}
				}
				took := v.now() - from
				if on && took < 29*Normal.Tick() || !on && took > time.Second {
					t.Errorf("30 cells took %v", took)
				}
				// A new link begins as the client is set.
				l.Close()
				<-l.Done()
				l = w.link(c, a)
				if l.Shaped() != on {
					t.Errorf("a new link is shaped: %v", l.Shaped())
				}
				w.circuit(l)
				from = v.now()
				pass(5 * time.Second)
				up, _ := v.between(from, v.now())
				if n := len(withCells(up)); on && n != 40 || !on && n > 6 {
					t.Errorf("%d cells in the first 5 s of a new link", n)
				}
			})
		})
	}
}

// Directory requests and links between relays are no client's circuits.
func TestOnlyCircuitsOfClientsAreShaped(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		_, a, l := w.shapedLink(Saver, cellEcho)
		w.circuit(l)
		pass(warmFor)
		from := time.Now()
		s, err := l.Open(w.ctx(time.Minute), KindRequest)
		if err != nil {
			t.Fatal(err)
		}
		msg := bytes.Repeat([]byte{7}, 100_000)
		go func() { _, _ = s.Write(msg); _ = s.Close() }()
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if d := time.Since(from); d > Saver.Tick() {
			t.Errorf("a request waited for ticks: %v", d)
		}
		b := w.start("b", "2.0.0.1", RoleRelay, func(c *Config) { c.Profile = Normal })
		w.list(a, b)
		r := w.link(b, a)
		if b.SetProfile(Fast); r.Shaped() || b.Profile() != Off {
			t.Error("a link between relays is shaped")
		}
	})
}

// talker is a client without an Endpoint: it sends what it likes.
func (w *world) talker(a *node, p Profile) (*quic.Conn, *quic.Stream) {
	w.t.Helper()
	conn, err := w.raw("4.0.0.1", a, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	h := clientHello()
	h.Profile = byte(p)
	s := w.rawHello(conn, helloCell(h))
	w.rawHello(conn, []byte{byte(KindCircuit)}) // or the link ends as unused
	go func() { _, _ = io.Copy(io.Discard, s) }()
	return conn, s
}

func TestShapeAgainstTheRulesEndsTheLink(t *testing.T) {
	order := func(p Profile, op byte, seconds uint16) []byte {
		return shapeCell(cell.Shaping{Profile: byte(p), Op: op, Seconds: seconds})
	}
	set := func(p Profile) []byte { return order(p, cell.ShapeSet, 0) }
	warm := order(Normal, cell.ShapeWarmUp, 0)
	bad := func(i int, b byte) []byte { c := set(Normal); c[cell.HeaderSize+i] = b; return c }
	const wait = shapeEvery
	for name, c := range map[string]struct {
		cells []any // cells, and times to wait
		lives bool
	}{
		"set":                          {[]any{set(Fast)}, true},
		"set, in time":                 {[]any{set(Fast), wait, set(Off), wait, set(Saver)}, true},
		"set twice within 10 s":        {[]any{set(Fast), wait - time.Millisecond, set(Saver)}, false},
		"set and burst within 10 s":    {[]any{set(Fast), time.Second, order(Fast, cell.ShapeBurst, 9)}, false},
		"burst":                        {[]any{order(Normal, cell.ShapeBurst, 600)}, true},
		"burst of no time":             {[]any{order(Normal, cell.ShapeBurst, 0)}, false},
		"burst of another profile":     {[]any{order(Fast, cell.ShapeBurst, 9)}, false},
		"burst over 600 s":             {[]any{order(Normal, cell.ShapeBurst, 601)}, false},
		"burst after off":              {[]any{set(Off), wait, order(Normal, cell.ShapeBurst, 9)}, false},
		"warm-up":                      {[]any{warm}, true},
		"warm-up twice":                {[]any{warm, wait, warm}, false},
		"warm-up again a minute early": {[]any{warm, warmEvery - time.Minute, warm}, false},
		"warm-up again, in time":       {[]any{warm, warmEvery, warm}, true},
		"warm-up of another profile":   {[]any{order(Saver, cell.ShapeWarmUp, 0)}, false},
		"warm-up of no profile":        {[]any{order(Off, cell.ShapeWarmUp, 0)}, false},
		"a fifth profile":              {[]any{bad(0, 4)}, false},
		"an unknown op":                {[]any{bad(1, 3)}, false},
		"seconds without a burst":      {[]any{bad(3, 1)}, false},
		"a byte that is not zero":      {[]any{bad(700, 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a := w.relay("a", "1.0.0.1")
				conn, s := w.talker(a, Normal)
				for _, x := range c.cells {
					switch x := x.(type) {
					case []byte:
						if _, err := s.Write(x); err != nil {
							t.Fatal(err)
						}
					case time.Duration:
						pass(x)
						if conn.Context().Err() != nil {
							t.Fatal("the link ended too early", context.Cause(conn.Context()))
						}
					}
				}
				pass(time.Second)
				if lives := conn.Context().Err() == nil; lives != c.lives {
					t.Errorf("the link lives: %v", lives)
				}
			})
		})
	}
}

func TestTrimThatIsNotOfThePlaceEndsTheLink(t *testing.T) {
	// The offset is 1152 then, so the trim is 18 - 1 - 2 or up to 10 less.
	for n := range cell.MaxTrim + 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a := w.relay("a", "1.0.0.1")
				conn, s := w.talker(a, Normal)
				pad := make([]byte, cell.Size+n)
				pad[3] = byte(n)
				_, _ = s.Write(pad)
				pass(time.Second)
				if lives := conn.Context().Err() == nil; lives != (n == 0 || n >= 5 && n <= 15) {
					t.Errorf("the link lives: %v", lives)
				}
			})
		})
	}
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		conn, s := w.talker(a, Normal)
		pad := make([]byte, cell.Size+9)
		pad[3], pad[cell.Size+4] = 9, 1
		_, _ = s.Write(pad)
		pass(time.Second)
		if conn.Context().Err() == nil {
			t.Error("the link lives with a trim that is not zero")
		}
	})
}

// hostileGuard is a relay that answers LINK_HELLO as a relay, and then sends
// what say returns for each SHAPE of the client; at first for nil.
func (w *world) hostileGuard(edit func(*cell.Hello), say func(o *cell.Shaping) [][]byte) Target {
	w.t.Helper()
	key := Identity{Key: seeded("hostile"), LinkKey: seeded("hostile link")}
	creds, err := newCredentials(testNetwork, &key)
	if err != nil {
		w.t.Fatal(err)
	}
	pc := w.socket("9.0.0.1", 9000)
	tr := &quic.Transport{Conn: pc}
	conf := clientSideConfig()
	if w.limits != nil {
		w.limits(conf)
	}
	ln, err := tr.Listen(serverTLS(func() *credentials { return creds }), conf)
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	w.ends = append(w.ends, func() { _ = ln.Close(); _ = tr.Close(); wg.Wait() })
	wg.Go(func() {
		conn, err := ln.Accept(context.Background())
		if err != nil {
			return
		}
		s, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		h := creds.hello(RoleRelay, time.Now())
		if edit != nil {
			edit(&h)
		}
		_, _ = s.Write(helloCell(h))
		send := func(o *cell.Shaping) {
			for _, c := range say(o) {
				_, _ = s.Write(c)
			}
		}
		send(nil)
		buf := make([]byte, cell.Size+cell.MaxTrim)
		for {
			c, err := readCell(s, buf)
			if err != nil {
				return
			}
			if cell.Type(c[0]) == cell.Shape {
				if o, err := cell.ParseShaping(cell.Body(c[:cell.Size])); err == nil {
					send(&o)
				}
			}
		}
	})
	return Target{ID: creds.id, LinkKey: creds.link, Addrs: []netip.AddrPort{addrPort(pc.LocalAddr())}}
}

// A guard must not be able to lower what protects its client.
func TestGuardCannotLowerTheProfile(t *testing.T) {
	answer := func(f func(o *cell.Shaping)) func(o *cell.Shaping) [][]byte {
		return func(o *cell.Shaping) [][]byte {
			if o == nil {
				return nil
			}
			x := *o
			f(&x)
			return [][]byte{shapeCell(x)}
		}
	}
	unasked := func(o cell.Shaping) func(*cell.Shaping) [][]byte {
		return func(got *cell.Shaping) [][]byte {
			if got == nil {
				return [][]byte{shapeCell(o)}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		hello func(*cell.Hello)
		say   func(*cell.Shaping) [][]byte
		lives bool
	}{
		"an honest answer":        {nil, answer(func(*cell.Shaping) {}), true},
		"a profile in LINK_HELLO": {func(h *cell.Hello) { h.Profile = 1 }, answer(func(*cell.Shaping) {}), false},
		"SHAPE unasked":           {nil, unasked(cell.Shaping{Profile: byte(Off)}), false},
		"a warm-up unasked":       {nil, unasked(cell.Shaping{Profile: byte(Normal), Op: cell.ShapeWarmUp}), false},
		"another profile":         {nil, answer(func(o *cell.Shaping) { o.Profile = byte(Off) }), false},
		"another op":              {nil, answer(func(o *cell.Shaping) { o.Op = cell.ShapeWarmUp }), false},
		"no answer":               {nil, func(*cell.Shaping) [][]byte { return nil }, false},
		"the answer twice": {nil, func(o *cell.Shaping) [][]byte {
			if o == nil {
				return nil
			}
			return [][]byte{shapeCell(*o), shapeCell(*o)}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				to := w.hostileGuard(c.hello, c.say)
				client := w.start("client", "3.0.0.1", RoleClient, func(c *Config) { c.Profile = Normal })
				l, err := client.Link(w.ctx(time.Minute), to)
				if err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				client.SetProfile(Fast)
				pass(answerWithin + 10*time.Second)
				if lives := l.conn.Context().Err() == nil; lives != c.lives {
					t.Errorf("the link lives: %v", lives)
				}
				if c.lives && l.Profile() != Fast {
					t.Errorf("the link runs %v", l.Profile())
				}
			})
		})
	}
}

func TestRelaysDoNotShapeTheirLinks(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.relay("a", "1.0.0.1"), w.relay("b", "2.0.0.1")
		w.list(a, b)
		l := w.link(a, b)
		roundTrip(t, l, KindCircuit)
		if _, err := l.control.Write(shapeCell(cell.Shaping{Profile: byte(Normal)})); err != nil {
			t.Fatal(err)
		}
		gone(t, l, time.Second)
	})
}

// CVE-2020-10593 was a leak of memory for each negotiation of padding.
func TestNegotiatingPaddingAgainAndAgainKeepsMemory(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		_, s := w.talker(a, Saver)
		heap := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		negotiate := func(n int) {
			for i := range n {
				if _, err := s.Write(shapeCell(cell.Shaping{Profile: byte(Saver + Profile(i%2))})); err != nil {
					t.Fatal(err)
				}
				pass(shapeEvery + time.Second)
			}
		}
		negotiate(200)
		before := heap()
		negotiate(10_000)
		if after := heap(); after > before+1<<20 {
			t.Errorf("the heap grew from %d to %d bytes", before, after)
		}
		if n := len(a.all()); n != 1 {
			t.Errorf("%d links", n)
		}
	})
}

// narrow gives each stream a window of its own, as no node of ours does on a
// client's link.
func narrow(c *quic.Config) {
	c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = 64<<10, 64<<10
}

// A client that asks again and again, and takes no answer, makes the relay hold
// no more than a few.
func TestAnswersThatNobodyReadsEndTheLink(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		w.limits = narrow
		conn, err := w.raw("4.0.0.1", a, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := clientHello()
		h.Profile = byte(Normal)
		s := w.rawHello(conn, helloCell(h))
		w.rawHello(conn, []byte{byte(KindCircuit)})
		for range 1000 {
			if _, err := s.Write(shapeCell(cell.Shaping{Profile: byte(Normal)})); err != nil {
				return
			}
			pass(shapeEvery + time.Second)
			for _, l := range a.all() {
				h := l.shaper.Load()
				h.mu.Lock()
				n := len(h.orders)
				h.mu.Unlock()
				if n > maxOrders {
					t.Fatalf("%d answers wait", n)
				}
			}
		}
		t.Error("the link of a client that reads nothing goes on")
	})
}

// The rules of client and relay, driven by themselves over random times: what
// a client of ours asks is never refused.
func TestClientKeepsToTheRulesOfRelays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_800_000_000, 0)
	c, j := asker{wanted: Normal, profile: Normal}, judge{profile: Normal}
	orders := 0
	for range 100_000 {
		now = now.Add(time.Duration(r.IntN(int(20 * time.Second))))
		switch r.IntN(4) {
		case 0:
			c.wanted = Profile(r.IntN(4))
		case 1:
			c.warm = c.warm || c.mayWarm(now)
		case 2:
			if c.profile != Off {
				c.burst = uint16(1 + r.IntN(600))
			}
		}
		o, ok := c.next(now)
		if !ok {
			continue
		}
		orders++
		// The order waits for its tick, of which some are lost. Meanwhile the
		// user may ask again.
		now = now.Add(time.Duration(r.IntN(2) * r.IntN(int(10*time.Second))))
		if r.IntN(2) == 0 && c.mayWarm(now) {
			c.warm = true
		}
		c.sent(now)
		// Outages hold the order and its answer back, for long or not at all.
		now = now.Add(time.Duration(r.IntN(2) * r.IntN(int(answerWithin/2))))
		if err := j.take(o, now); err != nil {
			t.Fatalf("after %d orders: %+v: %v", orders, o, err)
		}
		now = now.Add(time.Duration(r.IntN(2) * r.IntN(int(answerWithin/2))))
		if err := c.answer(o, now); err != nil {
			t.Fatal(err)
		}
		if c.profile != j.profile {
			t.Fatal("the sides differ")
		}
	}
	if orders < 1000 {
		t.Errorf("only %d orders", orders)
	}
}

// FuzzShaping drives the rules of both sides by bytes: whatever comes, the
// relay grants no two orders within 10 s, no second warm-up within 10 minutes
// and no burst or warm-up of a profile that does not run, and the client
// accepts no answer but that to its own order.
func FuzzShaping(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 10, 0, 2, 0, 0, 15})
	f.Add([]byte{2, 2, 0, 0, 10, 1, 2, 1, 9, 20, 1, 2, 1, 9, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		now := time.Unix(1_800_000_000, 0)
		j := judge{profile: Normal}
		c := asker{wanted: Normal, profile: Normal}
		var last, warmed time.Time
		runs := Normal
		for ; len(ops) >= 5; ops = ops[5:] {
			now = now.Add(time.Duration(ops[4]) * time.Second)
			body := make([]byte, cell.BodySize)
			copy(body, ops[:4])
			o, err := cell.ParseShaping(body)
			if err != nil {
				continue
			}
			again := make([]byte, cell.BodySize)
			if o.Put(again); !bytes.Equal(again, body) {
				t.Fatal("an accepted order encodes differently")
			}
			if err := j.take(o, now); err == nil {
				if !last.IsZero() && now.Sub(last) < shapeEvery {
					t.Fatal("two orders within 10 s")
				}
				last = now
				switch o.Op {
				case cell.ShapeSet:
					runs = Profile(o.Profile)
				case cell.ShapeWarmUp:
					if !warmed.IsZero() && now.Sub(warmed) < warmEvery {
						t.Fatal("two warm-ups within 10 minutes")
					}
					warmed = now
				}
				if Profile(o.Profile) != runs || o.Op != cell.ShapeSet && runs == Off {
					t.Fatal("an order of a profile that does not run")
				}
			}
			// The same bytes steer the client and are its relay's answer.
			c.wanted = Profile(ops[0] % 4)
			asked, open := c.asked, c.open
			if err := c.answer(o, now); err == nil {
				if !open || o.Op != asked.Op || o.Profile != asked.Profile || o.Seconds > asked.Seconds {
					t.Fatal("an answer to nothing")
				}
			} else if !errors.Is(err, errShapeAnswer) {
				t.Fatal(err)
			}
			if _, ok := c.next(now); ok {
				c.sent(now)
			}
		}
	})
}
