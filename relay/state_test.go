package relay

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// only returns the one circuit of a relay.
func (m *memNet) only(i int) *circuit {
	m.t.Helper()
	all := m.sw[i].all(nil)
	if len(all) != 1 {
		m.t.Fatalf("relay %d has %d circuits, want 1", i, len(all))
	}
	return all[0]
}

// expectCircuits checks how many circuits each relay has, once all is quiet.
func (m *memNet) expectCircuits(want ...int) {
	m.t.Helper()
	synctest.Wait()
	for i, w := range want {
		if got := m.sw[i].Circuits(); got != w {
			m.t.Errorf("relay %d has %d circuits, want %d", i, got, w)
		}
	}
}

// commands has a valid message for each command, and what a relay does with it
// in the states LEAF, EXTENDING and OPEN.
func commands() []struct {
	m                     cell.Message
	leaf, extending, open bool // allowed
} {
	data := make([]byte, cell.DataSize)
	on := uint16(9)
	return []struct {
		m                     cell.Message
		leaf, extending, open bool
	}{
		{cell.Message{Command: cell.Data, Stream: on, Data: data[:1]}, false, false, false}, // before CONNECTED
		{cell.Message{Command: cell.Begin, Stream: on, Data: []byte{1, 0, 0, 0}}, true, false, true},
		{cell.Message{Command: cell.Connected, Stream: on}, false, false, false},
		{cell.Message{Command: cell.End, Stream: on, Data: []byte{0}}, false, false, false},
		{cell.Message{Command: cell.XOff, Stream: on}, false, false, false},
		{cell.Message{Command: cell.XOn, Stream: on}, false, false, false},
		{cell.Message{Command: cell.SendMe, Data: data[:16]}, false, false, false}, // nothing to acknowledge
		{cell.Message{Command: cell.Extend, Flags: cell.FirstOfTwo, Data: data}, true, false, false},
		{cell.Message{Command: cell.Extend, Flags: cell.SecondOfTwo, Data: data[:216]}, false, false, false},
		{cell.Message{Command: cell.Extended, Flags: cell.FirstOfTwo, Data: data}, false, false, false},
		{cell.Message{Command: cell.ExtendFail, Data: []byte{1}}, false, false, false},
		{cell.Message{Command: cell.Drop}, true, true, true},
		{cell.Message{Command: cell.Ping, Data: data[:16]}, true, true, true},
		{cell.Message{Command: cell.Pong, Data: data[:16]}, false, false, false},
		{cell.Message{Command: cell.Echo, Data: data}, true, false, true},
		{cell.Message{Command: cell.EchoReply, Data: data}, false, false, false},
		{cell.Message{Command: cell.EchoBusy, Data: data[:2]}, false, false, false},
		{cell.Message{Command: cell.MailboxFirst, Stream: on, Data: data[:4]}, true, false, true},
		{cell.Message{Command: cell.MailboxFirst + 1, Stream: on, Data: data[:4]}, false, false, false}, // before OPEN
		{cell.Message{Command: cell.MailboxLast, Stream: on, Data: data[:4]}, false, false, false},
	}
}

// quiet is a mailbox that takes everything and says nothing.
type quiet struct{}

func (quiet) Open(func(byte, byte, uint16, []byte) error) ServiceSession { return quiet{} }
func (quiet) Message(byte, byte, uint16, []byte) error                   { return nil }
func (quiet) Close()                                                     {}

func withMailbox(_ int, cfg *SwitchConfig) { cfg.Service = quiet{} }

// TestEveryStateAndCommand walks through the table of SPEC.md §3.1.
func TestEveryStateAndCommand(t *testing.T) {
	states := []struct {
		name  string
		reach func(t *testing.T, m *memNet, c *testClient)
		state state
	}{
		{"leaf", func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
		}, stateLeaf},
		{"extending", func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			m.wrap = func(i, j int, s stream) stream { // a next hop that never answers
				near, _ := memPipe()
				return near
			}
			_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[1], 1))
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range cell.SplitExtend(m.relays[1].ID, create) {
				if err := c.send(0, x); err != nil {
					t.Fatal(err)
				}
			}
		}, stateExtending},
		{"open", func(t *testing.T, m *memNet, c *testClient) {
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
		}, stateOpen},
	}
	for _, s := range states {
		for _, k := range commands() {
			t.Run(fmt.Sprintf("%s/%02x.%02x", s.name, byte(k.m.Command), k.m.Flags), func(t *testing.T) {
				bubble(t, 2, withMailbox, func(t *testing.T, m *memNet) {
					c := m.client()
					s.reach(t, m, c)
					synctest.Wait()
					if got := state(m.only(0).state.Load()); got != s.state {
						t.Fatalf("state %d, want %d", got, s.state)
					}
					if err := c.send(0, k.m); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					allowed := map[state]bool{stateLeaf: k.leaf, stateExtending: k.extending, stateOpen: k.open}[s.state]
					if alive := m.sw[0].Circuits() == 1; alive != allowed {
						t.Errorf("circuit alive %v, want %v", alive, allowed)
					}
				})
			})
		}
	}
}

// TestUnknownCommandsDestroy gives raw payloads to a circuit, since a client's
// onion seals no malformed message.
func TestUnknownCommandsDestroy(t *testing.T) {
	bubble(t, 1, withMailbox, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		circ := m.only(0)
		valid := make([]byte, cell.PayloadSize(0))
		if err := (cell.Message{Command: cell.Drop}).Put(valid); err != nil {
			t.Fatal(err)
		}
		if err := circ.command(valid); err != nil {
			t.Fatal(err)
		}
		for cmd := range 256 {
			known := cmd >= int(cell.Data) && cmd <= int(cell.EchoBusy) || cell.Command(cmd).Mailbox()
			if known {
				continue
			}
			p := bytes.Clone(valid)
			p[0] = byte(cmd)
			if circ.command(p) == nil {
				t.Errorf("command %#x is accepted", cmd)
			}
		}
		for i := range 20 { // flags, stream, length, reserved, padding
			p := bytes.Clone(valid)
			if i > 0 {
				p[i] ^= 1
				if circ.command(p) == nil {
					t.Errorf("a set bit in byte %d is accepted", i)
				}
			}
		}
	})
}

// TestNewAndHandshakeTakeNothingElse covers the first two states of the table.
func TestNewAndHandshakeTakeNothingElse(t *testing.T) {
	for typ := cell.Pad; typ <= cell.GoAway+1; typ++ {
		t.Run(fmt.Sprintf("new/%d", typ), func(t *testing.T) {
			bubble(t, 1, nil, func(t *testing.T, m *memNet) {
				c := m.client()
				b := make([]byte, cell.Size)
				b[0] = byte(typ)
				if typ == cell.Create {
					b[2] = cell.SecondOfTwo
				}
				c.s.Write(b)
				m.expectCircuits(0)
			})
		})
	}
	t.Run("handshake", func(t *testing.T) {
		release := make(chan struct{})
		bubble(t, 1, func(_ int, cfg *SwitchConfig) {
			release = make(chan struct{})
			keys := cfg.OnionKeys
			cfg.OnionKeys = func() []onion.OnionKey { <-release; return keys() }
		}, func(t *testing.T, m *memNet) {
			c := m.client()
			_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[0], 0))
			if err != nil {
				t.Fatal(err)
			}
			c.s.Write(c.createCells(create))
			synctest.Wait()
			if got := state(m.only(0).state.Load()); got != stateHandshake {
				t.Fatalf("state %d, want HANDSHAKE", got)
			}
			c.s.Write(make([]byte, 1))
			synctest.Wait()
			close(release)
			m.expectCircuits(0)
		})
	})
	t.Run("reset during the handshake", func(t *testing.T) {
		// The worker still computes when the circuit is gone: what it makes must
		// reach nobody, and its keys are erased.
		release := make(chan struct{})
		bubble(t, 1, func(_ int, cfg *SwitchConfig) {
			release = make(chan struct{})
			keys := cfg.OnionKeys
			cfg.OnionKeys = func() []onion.OnionKey { <-release; return keys() }
		}, func(t *testing.T, m *memNet) {
			c := m.client()
			_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[0], 0))
			if err != nil {
				t.Fatal(err)
			}
			c.s.Write(c.createCells(create))
			synctest.Wait()
			circ := m.only(0)
			reset(c.s)
			synctest.Wait()
			close(release)
			synctest.Wait()
			m.expectCircuits(0)
			if circ.layer != nil || circ.answered.Load() != nil {
				t.Error("the keys of a circuit that is gone are kept")
			}
		})
	})
	t.Run("pipelined with create", func(t *testing.T) {
		bubble(t, 1, nil, func(t *testing.T, m *memNet) {
			c := m.client()
			_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[0], 0))
			if err != nil {
				t.Fatal(err)
			}
			c.s.Write(append(c.createCells(create), 3))
			m.expectCircuits(0)
		})
	})
	t.Run("half a create", func(t *testing.T) {
		bubble(t, 1, nil, func(t *testing.T, m *memNet) {
			c := m.client()
			_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[0], 0))
			if err != nil {
				t.Fatal(err)
			}
			c.s.Write(c.createCells(create)[:cell.Size])
			m.expectCircuits(1)
			advance(fragmentTimeout + time.Second)
			m.expectCircuits(0)
		})
	})
}

func TestForgedHandshakes(t *testing.T) {
	bubble(t, 2, nil, func(t *testing.T, m *memNet) {
		for name, change := range map[string]func(p *onion.Params){
			"identity of another": func(p *onion.Params) { p.Identity = m.relays[1].ID },
			"other network":       func(p *onion.Params) { p.Network[5] ^= 1 },
			"onion key of B":      func(p *onion.Params) { p.OnionKey = m.relays[1].OnionKey },
			"unknown key epoch":   func(p *onion.Params) { p.OnionEpoch++ },
		} {
			c := m.client()
			p := c.params(m.relays[0], 0)
			change(&p)
			_, create, err := onion.NewClientHandshake(rand.Reader, p)
			if err != nil {
				t.Fatal(err)
			}
			c.s.Write(c.createCells(create))
			if err := c.readCell(); err == nil {
				t.Errorf("%s: answered", name)
			}
		}
		m.expectCircuits(0, 0)
	})
}

func TestExtendRefusals(t *testing.T) {
	bubble(t, 5, nil, func(t *testing.T, m *memNet) {
		unlisted := m.relays[2]
		unlisted.ID = directory.RelayID{99}
		for _, k := range []struct {
			name string
			path []directory.Relay
			next directory.Relay
			code extendFail
		}{
			{"itself", m.relays[:2], m.relays[1], cell.FailRefused},
			{"backwards", m.relays[:2], m.relays[0], cell.FailRefused},
			{"unlisted", m.relays[:2], unlisted, cell.FailUnknown},
		} {
			c := m.client()
			if err := c.build(k.path...); err != nil {
				t.Fatal(k.name, err)
			}
			var got extendFail
			if err := c.extend(k.next); !errors.As(err, &got) || got != k.code {
				t.Errorf("extend to %s: %v, want code %d", k.name, err, k.code)
			}
			// A second EXTEND on the same circuit ends it.
			c.send(len(k.path)-1, cell.Message{Command: cell.Extend, Flags: cell.FirstOfTwo, Data: make([]byte, cell.DataSize)})
			c.expectGone(t)
		}
	})
}

// TestNoFifthHop shows that a relay at slot 3 refuses to extend, and that a
// client's onion has no room for more.
func TestNoFifthHop(t *testing.T) {
	bubble(t, 5, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:4]...); err != nil {
			t.Fatal(err)
		}
		_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[4], 3))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range cell.SplitExtend(m.relays[4].ID, create) {
			if err := c.send(3, x); err != nil {
				t.Fatal(err)
			}
		}
		if x := c.expect(t, 3, cell.ExtendFail); x.Data[0] != cell.FailRefused {
			t.Errorf("code %d", x.Data[0])
		}
		m.expectCircuits(1, 1, 1, 1, 0)
	})
}

func TestExtendToSilentRelay(t *testing.T) {
	bubble(t, 2, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		m.wrap = func(i, j int, s stream) stream { near, _ := memPipe(); return near }
		start := time.Now()
		var got extendFail
		if err := c.extend(m.relays[1]); !errors.As(err, &got) || got != cell.FailTimeout {
			t.Fatalf("%v, want a timeout", err)
		}
		if d := time.Since(start); d != createdTimeout {
			t.Errorf("after %v, want %v", d, createdTimeout)
		}
	})
}
