package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/lab"
)

// person is a running messenger in a simulated network.
type person struct {
	*chat.Messenger
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	events *chat.Subscription
	addrs  *addresses
}

// addresses collects the sockets that a person opened.
type addresses struct {
	mu  sync.Mutex
	all map[netip.AddrPort]bool
}

func (a *addresses) has(x netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[x]
}

func newPerson(t *testing.T, n *lab.Network, home string) *person {
	t.Helper()
	p := &person{t: t, done: make(chan error, 1), addrs: &addresses{all: map[netip.AddrPort]bool{}}}
	m, err := chat.Open(chat.Config{Home: home, Network: n.Link().String(), ListenPacket: func() (net.PacketConn, error) {
		c, err := n.ListenPacket()
		if err == nil {
			p.addrs.mu.Lock()
			p.addrs.all[c.LocalAddr().(*net.UDPAddr).AddrPort()] = true
			p.addrs.mu.Unlock()
		}
		return c, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.Messenger, p.events = m, m.Subscribe()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() { p.done <- m.Run(ctx) }()
	return p
}

func (p *person) stop() {
	p.t.Helper()
	p.cancel()
	if err := <-p.done; err != nil {
		p.t.Error(err)
	}
	p.events.Close()
	if _, err := p.Close(); err != nil {
		p.t.Error(err)
	}
}

// until waits until ok holds, asking after each event and each half second.
func (p *person) until(what string, within time.Duration, ok func() bool) {
	p.t.Helper()
	end := time.Now().Add(within)
	for !ok() {
		if time.Now().After(end) {
			p.t.Fatalf("%s: not within %s; status %+v", what, within, p.Status())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		p.events.Next(ctx)
		cancel()
	}
}

// meet makes two people contacts of each other and returns how each calls the
// other one.
func meet(t *testing.T, a, b *person) (atA, atB string) {
	t.Helper()
	ctx := context.Background()
	inv, err := a.CreateInvite(ctx, "guest")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.AcceptInvite(ctx, inv.Link, "host")
	if err != nil {
		t.Fatal(err)
	}
	atB = c.ID
	active := func(p *person, id *string) func() bool {
		return func() bool {
			cs, err := p.Contacts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cs {
				if c.State == chat.ContactActive && (*id == "" || *id == c.ID) {
					*id = c.ID
					return true
				}
			}
			return false
		}
	}
	a.until("active at the inviter", 5*time.Minute, active(a, &atA))
	b.until("active at the guest", 5*time.Minute, active(b, &atB))
	return atA, atB
}

// deliver sends a text and waits until it is delivered, and at the other side
// once.
func deliver(t *testing.T, from, to *person, atFrom, atTo, text string) {
	t.Helper()
	ctx := context.Background()
	m, err := from.Send(ctx, atFrom, text)
	if err != nil {
		t.Fatal(err)
	}
	from.until(text+" delivered", 5*time.Minute, func() bool {
		ms, err := from.Messages(ctx, atFrom, m.Seq-1, 1)
		if err != nil || len(ms) != 1 {
			t.Fatal(ms, err)
		}
		return ms[0].State == chat.Delivered
	})
	// A message behind a gap is acknowledged before it is shown.
	received := func() (n int) {
		ms, err := to.Messages(ctx, atTo, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			if m.Text == text && m.Direction == chat.In {
				n++
			}
		}
		return n
	}
	to.until(text+" shown", time.Minute, func() bool { return received() > 0 })
	if n := received(); n != 1 {
		t.Errorf("%q is %d times at the other side", text, n)
	}
}

// simulate runs f with a network in virtual time.
func simulate(t *testing.T, cfg lab.Config, f func(t *testing.T, n *lab.Network, dir string)) {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "network")
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg.Sim = lab.NewSimNet(lab.SimConfig{})
		defer cfg.Sim.Close()
		n, err := lab.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		f(t, n, dir)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestOrdinaryNetworkCarriesAMessage founds an ordinary network: global
// addresses, relays that join by token. A path exists within two minutes of the
// fifth relay's start, and a message travels over it.
func TestOrdinaryNetworkCarriesAMessage(t *testing.T) {
	simulate(t, lab.Config{Relays: 5, Late: true}, func(t *testing.T, n *lab.Network, dir string) {
		began := time.Now()
		alice := newPerson(t, n, dir+"/alice")
		defer alice.stop()
		bob := newPerson(t, n, dir+"/bob")
		defer bob.stop()
		for _, p := range []*person{alice, bob} {
			p.until("a path", 2*time.Minute-time.Since(began), func() bool {
				for _, c := range p.Status().Circuits {
					if c.State == "open" && len(c.Path) == 3 {
						return true
					}
				}
				return false
			})
		}
		t.Logf("a path exists %s after the fifth relay's start", time.Since(began).Round(time.Second))
		atAlice, atBob := meet(t, alice, bob)
		deliver(t, alice, bob, atAlice, atBob, "over an ordinary network")
		deliver(t, bob, alice, atBob, atAlice, "and back")
	})
}

// TestWhatRelaysLearnOfAConversation lets two people talk and looks at every
// circuit as every relay of it saw it: only the guard has a client's address,
// only the mailbox relay a queue's id, the hops between neither, and all cells
// on all links have one size.
func TestWhatRelaysLearnOfAConversation(t *testing.T) {
	var seen lab.Recorder
	simulate(t, lab.Config{Relays: 8, Lab: true, Trace: seen.Trace}, func(t *testing.T, n *lab.Network, dir string) {
		alice := newPerson(t, n, dir+"/alice")
		bob := newPerson(t, n, dir+"/bob")
		atAlice, atBob := meet(t, alice, bob)
		deliver(t, alice, bob, atAlice, atBob, "who sees this?")
		deliver(t, bob, alice, atBob, atAlice, "nobody on the way")
		alice.stop()
		bob.stop()
		paths := seen.Paths()

		// The ids of all queues, as the owners and senders named them.
		const newQueue, subscribe, send = 0x42, 0x43, 0x46
		queues := map[string]bool{}
		for _, path := range paths {
			for _, at := range path {
				for _, m := range at.Messages {
					if (m.Command == subscribe || m.Command == send) && len(m.Data) >= 24 {
						queues[string(m.Data[:24])] = true
					}
				}
			}
		}
		if len(queues) < 4 {
			t.Fatalf("%d queues were named: the recording is broken", len(queues))
		}
		isClient := func(a netip.AddrPort) bool { return alice.addrs.has(a) || bob.addrs.has(a) }
		full, used := 0, 0
		for _, path := range paths {
			if len(path) == cell.Slots {
				full++
			}
			relays := map[int]bool{}
			for hop, at := range path {
				relays[at.Relay] = true
				if isClient(at.From) != (hop == 0) {
					t.Errorf("hop %d of %d has a link from %v, a client's is %v", hop, len(path), at.From, isClient(at.From))
				}
				for id := range queues {
					if !at.Saw([]byte(id)) {
						continue
					}
					if hop != cell.Slots-1 || hop != len(path)-1 {
						t.Errorf("hop %d of %d sees a queue's id", hop, len(path))
					}
					used++
				}
			}
			if len(relays) != len(path) {
				t.Errorf("a circuit of %d hops visits %d relays", len(path), len(relays))
			}
		}
		if full == 0 || used == 0 {
			t.Errorf("%d circuits reached a mailbox relay, %d named a queue", full, used)
		}
		if sizes := seen.Sizes(); len(sizes) != 1 || sizes[cell.Size] == 0 {
			t.Errorf("cells by size: %v, want only %d", sizes, cell.Size)
		}
		t.Logf("%d circuits, %d to a mailbox relay, %d queues, %d cells of %d bytes", len(paths), full, len(queues), seen.Sizes()[cell.Size], cell.Size)
	})
}

// TestMessageSurvivesAHostileRelay makes the middle of the sending circuit
// tamper once with what it carries. The circuit ends, and the message arrives
// over another.
func TestMessageSurvivesAHostileRelay(t *testing.T) {
	var held []byte
	for _, k := range []struct {
		name   string
		change func(b []byte) []byte // on at least one whole cell
		cells  int                   // how many batches it touches
	}{
		{"flips a bit", func(b []byte) []byte { b[cell.HeaderSize+77] ^= 4; return b }, 1},
		{"replays", func(b []byte) []byte { return append(b, b[:cell.Size]...) }, 1},
		{"drops", func(b []byte) []byte { return b[cell.Size:] }, 1},
		{"reorders", func(b []byte) []byte { // holds the first cell back and sends it after the next
			if held == nil {
				held = bytes.Clone(b[:cell.Size])
				return b[cell.Size:]
			}
			b = append(b, held...)
			held = nil
			return b
		}, 2},
	} {
		t.Run(k.name, func(t *testing.T) {
			held = nil
			var target atomic.Pointer[directory.RelayID]
			var touched atomic.Int32
			var mu sync.Mutex // guards what change keeps between two batches
			var net *lab.Network
			cfg := lab.Config{Relays: 8, Lab: true, InsecureTamper: func(i int) func(relay.Way, []byte) []byte {
				return func(way relay.Way, cells []byte) []byte {
					id := target.Load()
					if way != relay.ToNextHop || id == nil || net.Relays()[i].ID() != *id {
						return cells
					}
					mu.Lock() // the relay carries several circuits
					defer mu.Unlock()
					if int(touched.Load()) >= k.cells {
						return cells
					}
					touched.Add(1)
					return k.change(bytes.Clone(cells))
				}
			}}
			simulate(t, cfg, func(t *testing.T, n *lab.Network, dir string) {
				net = n
				alice := newPerson(t, n, dir+"/alice")
				defer alice.stop()
				bob := newPerson(t, n, dir+"/bob")
				defer bob.stop()
				atAlice, atBob := meet(t, alice, bob)
				deliver(t, alice, bob, atAlice, atBob, "before")
				var victim circuit.Info
				alice.until("an open sending circuit", time.Minute, func() bool {
					for _, c := range alice.Status().Circuits {
						if c.Purpose == circuit.Send && c.State == "open" && len(c.Path) == 3 {
							victim = c
							return true
						}
					}
					return false
				})
				target.Store(&victim.Path[2])
				for i := range 3 {
					deliver(t, alice, bob, atAlice, atBob, fmt.Sprint("message ", i))
				}
				if touched.Load() == 0 {
					t.Error("the hostile relay saw no cell")
				}
			})
		})
	}
}

// TestLoopbackIsRefusedOutsideOfLabs founds an ordinary network on loopback.
func TestLoopbackIsRefusedOutsideOfLabs(t *testing.T) {
	_, err := relay.Found(t.TempDir(), relay.Founding{
		Name: "n", Listen: netip.MustParseAddrPort("127.0.0.1:4443"), Join: directory.JoinToken, Passphrase: []byte("x"),
	})
	if err == nil {
		t.Error("an ordinary network was founded on loopback")
	}
}
