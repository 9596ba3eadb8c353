package relay

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// known returns a client of a relay whose link has an account at the door.
func (m *memNet) known(j int) (*testClient, *account) {
	a := new(account)
	near, far := memPipe()
	m.wg.Add(1)
	go m.sw[j].serve(near, func() *peer {
		p := newPeer(directory.RelayID{}, false, netip.AddrPort{}, m.ctx.Done(), false)
		p.door = a
		return p
	}, far, func() { reset(far); m.wg.Done() })
	return &testClient{network: m.network, s: near}, a
}

// TestAbuseCreateRates: a link creates its burst and then its rate.
func TestAbuseCreateRates(t *testing.T) {
	for _, k := range []struct {
		listed      bool
		rate, burst int
	}{{false, clientCreateRate, clientCreateBurst}, {true, relayCreateRate, relayCreateBurst}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(directory.RelayID{}, k.listed, netip.AddrPort{}, nil, false)
			count := func() (n int) {
				for range 2 * relayCreateBurst {
					if p.mayCreate() {
						n++
					}
				}
				return n
			}
			if n := count(); n != k.burst {
				t.Errorf("listed %v: %d at once, want %d", k.listed, n, k.burst)
			}
			advance(3 * time.Second)
			if n := count(); n != 3*k.rate {
				t.Errorf("listed %v: %d in three seconds, want %d", k.listed, n, 3*k.rate)
			}
		})
	}
}

// TestAbuseRefusedLinkCreatesNothing: a link that is refused at the door gets
// no handshake.
func TestAbuseRefusedLinkCreatesNothing(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		c, a := m.known(0)
		a.charges.Store(100)
		if err := c.create(m.relays[0]); err == nil {
			t.Error("a refused link creates circuits")
		}
		m.expectCircuits(0)
		if n := m.sw[0].Counters().Ended[EndRefused]; n != 1 {
			t.Errorf("%d circuits refused", n)
		}
	})
}

// TestAbuseStalledLinkCreatesNothing: a client that takes nothing on one circuit
// gets no other one, until it takes what there is.
func TestAbuseStalledLinkCreatesNothing(t *testing.T) {
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.Service = talker{} }, func(t *testing.T, m *memNet) {
		link := newPeer(directory.RelayID{}, false, netip.AddrPort{}, m.ctx.Done(), false)
		client := func() *testClient {
			near, far := memPipe()
			m.wg.Add(1)
			go m.sw[0].serve(link, func() *peer { return link }, far, func() { reset(far); m.wg.Done() })
			return &testClient{network: m.network, s: near}
		}
		deaf := client()
		deaf.s.(*memStream).r.limit = 4 * cell.Size
		if err := deaf.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		deaf.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		advance(stallRefuse / 2)
		other := client()
		if err := other.create(m.relays[0]); err != nil {
			t.Errorf("before it counts as stalled: %v", err)
		}
		reset(other.s)
		advance(stallRefuse/2 + 3*janitorEvery)
		if err := client().create(m.relays[0]); err == nil {
			t.Error("a link that takes nothing creates circuits")
		}
		if n := m.sw[0].Counters().Ended[EndRefused]; n != 1 {
			t.Errorf("%d circuits refused", n)
		}
		reset(deaf.s)
		advance(2 * janitorEvery)
		if err := client().create(m.relays[0]); err != nil {
			t.Errorf("after the stall: %v", err)
		}
	})
}

// TestAbuseBytesOfACircuit and of a link: what goes through takes its time,
// either way.
func TestAbuseBytesOfACircuit(t *testing.T) {
	const many = 3 * circuitByteBurst / cell.Size
	least := time.Duration(many*cell.Size-circuitByteBurst) * time.Second / circuitByteRate
	t.Run("forward", func(t *testing.T) {
		bubble(t, 2, nil, func(t *testing.T, m *memNet) {
			var next *counting
			m.wrap = func(_, _ int, s stream) stream { next = &counting{stream: s}; return next }
			c := m.client()
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			next.discard = true
			began := time.Now()
			for range many {
				if err := c.send(1, cell.Message{Command: cell.Drop}); err != nil {
					t.Fatal(err)
				}
			}
			for next.sent() < many {
				advance(10 * time.Millisecond)
			}
			if took := time.Since(began); took < least-time.Second/2 || took > least+time.Second {
				t.Errorf("%d cells took %v, want %v", many, took, least)
			}
		})
	})
	t.Run("backward", func(t *testing.T) {
		bubble(t, 2, nil, func(t *testing.T, m *memNet) {
			c := m.client()
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			far := m.only(1).prev
			go func() { // a hostile next hop
				b := make([]byte, cell.Size)
				cell.Header{Type: cell.Relay}.Put(b)
				for range many {
					if _, err := far.Write(b); err != nil {
						return
					}
				}
			}()
			began := time.Now()
			for range many {
				if err := c.readCell(); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took < least-time.Second/2 || took > least+time.Second {
				t.Errorf("%d cells took %v, want %v", many, took, least)
			}
		})
	})
}

// counting is a next hop that counts cells, and may swallow them.
type counting struct {
	stream
	mu      sync.Mutex
	cells   int
	discard bool
}

func (s *counting) Write(b []byte) (int, error) {
	if !s.discard {
		return s.stream.Write(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cells += len(b) / cell.Size
	return len(b), nil
}

func (s *counting) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cells
}

// TestAbuseBytesOfALink: many circuits of one link share its rate.
func TestAbuseBytesOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(directory.RelayID{}, false, netip.AddrPort{}, nil, false)
		const circuits, each = 16, 2 << 20 // bytes
		done := make(chan struct{})
		began := time.Now()
		var wg sync.WaitGroup
		for range circuits {
			wg.Go(func() {
				for n := 0; n < each; n += batchCells * cell.Size {
					pace(batchCells*cell.Size, false, done, nil, p.up)
				}
			})
		}
		wg.Wait()
		least := time.Duration(circuits*each-linkByteBurst) * time.Second / linkByteRate
		if took := time.Since(began); took < least || took > least+time.Second {
			t.Errorf("took %v, want %v", took, least)
		}
	})
}

// TestAbuseOffences: what only a hostile client does is charged to its link.
func TestAbuseOffences(t *testing.T) {
	send := func(m cell.Message, times int) func(*memNet, *testClient) {
		return func(_ *memNet, c *testClient) {
			for range times {
				c.send(0, m)
			}
		}
	}
	change := func(f func(b []byte) []byte) func(*memNet, *testClient) {
		return func(_ *memNet, c *testClient) {
			b, _ := c.seal(0, cell.Message{Command: cell.Drop})
			c.s.Write(f(b))
		}
	}
	for name, breach := range map[string]func(*memNet, *testClient){
		"a relay's command":      send(cell.Message{Command: cell.Pong, Data: make([]byte, 16)}, 1),
		"DATA without a stream":  send(cell.Message{Command: cell.Data, Stream: 3, Data: []byte{1}}, 1),
		"a forged SENDME":        send(cell.Message{Command: cell.SendMe, Data: make([]byte, 16)}, 1),
		"PINGs over the rate":    send(cell.Message{Command: cell.Ping, Data: make([]byte, 16)}, pingBurst+1),
		"DROPs over the rate":    send(cell.Message{Command: cell.Drop}, dropBurst+1),
		"a flipped bit":          change(func(b []byte) []byte { b[500] ^= 1; return b }),
		"a cell of another type": change(func(b []byte) []byte { b[0] = byte(cell.Created); return b }),
		"flags":                  change(func(b []byte) []byte { b[1] = 1; return b }),
		"trim that is not zero":  change(func(b []byte) []byte { b[3] = 1; return append(b, 7) }),
		"too much trim":          change(func(b []byte) []byte { b[3] = cell.MaxTrim + 1; return b }),
		"a replayed cell":        change(func(b []byte) []byte { return append(b, b...) }),
		"a second CREATE": func(m *memNet, c *testClient) {
			_, create, _ := onion.NewClientHandshake(rand.Reader, c.params(m.relays[0], 0))
			c.s.Write(c.createCells(create))
		},
		"a second EXTEND": func(m *memNet, c *testClient) {
			for range 2 {
				for _, x := range cell.SplitExtend(directory.RelayID{99}, make([]byte, cell.CreateSize)) {
					c.send(0, x)
					synctest.Wait()
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, nil, func(t *testing.T, m *memNet) {
				c, a := m.known(0)
				if err := c.build(m.relays[0]); err != nil {
					t.Fatal(err)
				}
				breach(m, c)
				m.expectCircuits(0)
				if n := a.charges.Load(); n != 1 {
					t.Errorf("charged %d times", n)
				}
			})
		})
	}
}

// TestAbuseNoOffence: bad luck, lost networks, old keys and what others did are
// not charged to a client.
func TestAbuseNoOffence(t *testing.T) {
	for name, misfortune := range map[string]func(*testing.T, *memNet, *testClient){
		"an old key": func(t *testing.T, m *memNet, c *testClient) {
			p := c.params(m.relays[0], 0)
			p.OnionEpoch--
			_, create, _ := onion.NewClientHandshake(rand.Reader, p)
			c.s.Write(c.createCells(create))
		},
		"half a CREATE": func(t *testing.T, m *memNet, c *testClient) {
			_, create, _ := onion.NewClientHandshake(rand.Reader, c.params(m.relays[0], 0))
			c.s.Write(c.createCells(create)[:cell.Size])
			advance(fragmentTimeout + time.Second)
		},
		"half a cell": func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			b, _ := c.seal(0, cell.Message{Command: cell.Drop})
			c.s.Write(b[:700])
			advance(partialTimeout + 2*time.Second)
		},
		"a reset": func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays...); err != nil {
				t.Fatal(err)
			}
			reset(c.s)
		},
		"a next hop that goes mad": func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			m.only(1).prev.Write(make([]byte, cell.Size))
		},
		"a circuit that closes while cells come": func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			go m.only(0).close()
			for range 4 {
				c.send(1, cell.Message{Command: cell.Drop})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, nil, func(t *testing.T, m *memNet) {
				c, a := m.known(0)
				misfortune(t, m, c)
				m.expectCircuits(0, 0)
				if n := a.charges.Load(); n != 0 {
					t.Errorf("charged %d times", n)
				}
			})
		})
	}
}

// TestAbuseStallIsChargedOnce: all circuits of a link stall together, and only
// if its packets keep coming.
func TestAbuseStallIsChargedOnce(t *testing.T) {
	a := new(account)
	p := &peer{door: a}
	now := time.Unix(1000, 0)
	p.setStalled(true)
	for range 32 {
		p.stallKilled(now)
	}
	if n := a.charges.Load(); n != 1 {
		t.Errorf("charged %d times", n)
	}
	p.stallKilled(now.Add(stallChargeEvery))
	if n := a.charges.Load(); n != 2 {
		t.Errorf("charged %d times after a minute more", n)
	}
	silent := &peer{door: silentDoor{a}}
	silent.setStalled(true)
	silent.stallKilled(now)
	if n := a.charges.Load(); n != 2 {
		t.Error("a client whose network is gone is charged")
	}
}

// silentDoor is the account of a link on which no packet comes.
type silentDoor struct{ *account }

func (silentDoor) Received() uint64 { return 7 }

// TestAbuseNobodyIsFramed lets the last hop of circuits take nothing: the relay
// next to it acts, leaves it alone after some time, and no other relay blames
// anybody.
func TestAbuseNobodyIsFramed(t *testing.T) {
	bubble(t, 4, nil, func(t *testing.T, m *memNet) {
		var deaf *stalling
		m.wrap = func(i, _ int, s stream) stream {
			if i != 2 {
				return s
			}
			full, _ := memPipe()
			full.w.limit = cell.Size
			deaf = &stalling{stream: s, full: full}
			return deaf
		}
		for round := range backoffKills {
			c := m.client()
			if err := c.build(m.relays...); err != nil {
				t.Fatal(round, err)
			}
			synctest.Wait()
			deaf.on = true
			for c.send(3, cell.Message{Command: cell.Drop}) == nil {
			}
			m.expectCircuits(0, 0, 0, 0)
			if n := m.sw[2].Counters().Ended[EndStalled]; n != uint64(round+1) {
				t.Fatalf("the relay next to the culprit ended %d circuits, want %d", n, round+1)
			}
		}
		for i := range 2 {
			if n := m.sw[i].Counters().Ended[EndStalled]; n != 0 {
				t.Errorf("relay %d blamed an honest one %d times", i, n)
			}
		}
		c := m.client()
		var got extendFail
		if err := c.build(m.relays...); !errors.As(err, &got) || got != cell.FailUnreachable {
			t.Errorf("extended to the culprit again: %v", err)
		}
		advance(backoffLeast + 8*backoffLeast)
		if err := m.client().build(m.relays...); err != nil {
			t.Errorf("not extended after the back-off: %v", err)
		}
	})
}

// TestAbuseBackoff: stalls one after the other make the back-off longer, those
// of one moment count once, and what is long ago is forgotten.
func TestAbuseBackoff(t *testing.T) {
	var b backoff
	id := directory.RelayID{1}
	now := time.Unix(1000, 0)
	for range 100 { // one link broke
		b.stalled(id, now)
	}
	if b.refuses(id, now) {
		t.Error("one moment makes a back-off")
	}
	longest := time.Duration(0)
	for range 40 {
		now = now.Add(time.Minute)
		b.stalled(id, now)
		longest = max(longest, b.relays[id].until.Sub(now))
	}
	if longest < time.Minute || longest > backoffMost+backoffLeast {
		t.Errorf("longest back-off %v", longest)
	}
	if b.refuses(directory.RelayID{2}, now) {
		t.Error("another relay is refused")
	}
	now = now.Add(time.Hour)
	if b.refuses(id, now) {
		t.Error("refused for ever")
	}
	b.stalled(directory.RelayID{2}, now)
	if len(b.relays) != 1 {
		t.Errorf("%d relays are remembered", len(b.relays))
	}
}

// TestAbuseHalfLinkedExtend breaks an extension at each moment: the circuit is
// a leaf again or gone, no half of a link stays.
func TestAbuseHalfLinkedExtend(t *testing.T) {
	created := func(change func(b []byte) []byte) func(near, far *memStream) {
		return func(_, far *memStream) {
			var create [2 * cell.Size]byte
			for n := 0; n < len(create); {
				k, err := far.Read(create[n:])
				if err != nil {
					return
				}
				n += k
			}
			b := make([]byte, 2*cell.Size)
			cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Created, make([]byte, cell.CreatedSize))
			far.Write(change(b))
		}
	}
	for name, answer := range map[string]func(near, far *memStream){
		"reset at once":             func(_, far *memStream) { reset(far) },
		"reset after CREATE":        created(func([]byte) []byte { return nil }),
		"half of CREATED":           created(func(b []byte) []byte { return b[:cell.Size] }),
		"second half first":         created(func(b []byte) []byte { return append(b[cell.Size:], b[:cell.Size]...) }),
		"a cell after CREATED":      created(func(b []byte) []byte { return append(b, b[:cell.Size]...) }),
		"a part after CREATED":      created(func(b []byte) []byte { return append(b, 3) }),
		"RELAY in place of CREATED": created(func(b []byte) []byte { b[0] = byte(cell.Relay); return b }),
		"padding that is not zero":  created(func(b []byte) []byte { b[2*cell.Size-1] = 1; return b }),
		"silence":                   func(_, _ *memStream) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, nil, func(t *testing.T, m *memNet) {
				c := m.client()
				if err := c.build(m.relays[0]); err != nil {
					t.Fatal(err)
				}
				m.wrap = func(_, _ int, s stream) stream {
					reset(s)
					near, far := memPipe()
					go func() {
						answer(near, far)
						advance(time.Minute)
						reset(far)
					}()
					return near
				}
				var failed extendFail
				if err := c.extend(m.relays[1]); !errors.As(err, &failed) {
					t.Fatalf("extended: %v", err)
				}
				circ := m.only(0)
				circ.mu.Lock()
				next := circ.next
				circ.mu.Unlock()
				if next != nil || state(circ.state.Load()) != stateLeaf {
					t.Error("half of the extension is left")
				}
				c.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
				c.expect(t, 0, cell.Pong)
				// There is nobody behind it.
				c.s.Write(func() []byte {
					b, _ := c.seal(0, cell.Message{Command: cell.Extend, Flags: cell.FirstOfTwo, Data: make([]byte, cell.DataSize)})
					return b
				}())
				m.expectCircuits(0, 0, 0)
				advance(2 * time.Minute)
			})
		})
	}
	t.Run("the client leaves", func(t *testing.T) {
		bubble(t, 3, nil, func(t *testing.T, m *memNet) {
			c := m.client()
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
			_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[2], 2))
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range cell.SplitExtend(m.relays[2].ID, create) {
				c.send(1, x)
			}
			reset(c.s) // whatever is under way
			m.expectCircuits(0, 0, 0)
		})
	})
}
