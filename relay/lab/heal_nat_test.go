package lab

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hearsay/circuit"
)

// natConn is a socket behind an address translator, which may give it another
// port without telling it.
type natConn struct {
	mu  sync.Mutex
	now net.PacketConn
	end bool
}

func (c *natConn) current() (net.PacketConn, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.end
}

// rebind moves the socket to another public address.
func (c *natConn) rebind(next net.PacketConn) {
	c.mu.Lock()
	old := c.now
	c.now = next
	c.mu.Unlock()
	old.Close()
}

func (c *natConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		pc, end := c.current()
		n, a, err := pc.ReadFrom(b)
		if now, _ := c.current(); err != nil && !end && now != pc {
			continue
		}
		return n, a, err
	}
}

func (c *natConn) WriteTo(b []byte, a net.Addr) (int, error) {
	pc, _ := c.current()
	return pc.WriteTo(b, a)
}

func (c *natConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = true
	return c.now.Close()
}

func (c *natConn) LocalAddr() net.Addr {
	pc, _ := c.current()
	return pc.LocalAddr()
}

func (c *natConn) SetDeadline(t time.Time) error {
	pc, _ := c.current()
	return pc.SetDeadline(t)
}

func (c *natConn) SetReadDeadline(t time.Time) error {
	pc, _ := c.current()
	return pc.SetReadDeadline(t)
}

func (c *natConn) SetWriteDeadline(t time.Time) error {
	pc, _ := c.current()
	return pc.SetWriteDeadline(t)
}

// TestAddressTranslatorRebinds gives a client another public address in the
// middle of its connections: the relay accepts the same connection from there,
// and no circuit is lost.
func TestAddressTranslatorRebinds(t *testing.T) {
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		var mu sync.Mutex
		var conns []*natConn
		c := newClientFrom(t, n, func() (net.PacketConn, error) {
			pc, err := n.ListenPacket()
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, &natConn{now: pc})
			return conns[len(conns)-1], nil
		})
		defer c.stop()
		x := waitListed(t, c.views, 6, time.Minute).Relays()[0].ID
		circ := get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x})
		for range 3 {
			mu.Lock()
			for _, nat := range conns {
				if _, end := nat.current(); end {
					continue
				}
				pc, err := n.ListenPacket()
				if err != nil {
					t.Fatal(err)
				}
				nat.rebind(pc)
			}
			mu.Unlock()
			for hop := range 4 {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				if _, err := circ.Ping(ctx, hop); err != nil {
					t.Fatalf("hop %d: %v; %s", hop, err, circ.Info().Reason)
				}
				cancel()
			}
			echo(t, circ, 3)
			<-time.After(20 * time.Second)
		}
	})
}

// mover tells a client from where its packets leave.
type mover struct {
	mu   sync.Mutex
	addr netip.Addr
}

func (m *mover) source(netip.AddrPort) netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addr
}

func (m *mover) move(a string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addr = netip.MustParseAddr(a)
}

// TestSystemTellsOfAnotherAddress: links and circuits are back within three
// seconds of the change, although nothing was sent meanwhile, and the relays
// are reached over sockets that did not exist before.
func TestSystemTellsOfAnotherAddress(t *testing.T) {
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		m := new(mover)
		m.move("192.0.2.1")
		var mu sync.Mutex
		sockets := 0
		c := newClientWith(t, n, func() (net.PacketConn, error) {
			mu.Lock()
			defer mu.Unlock()
			sockets++
			return n.ListenPacket()
		}, m.source)
		defer c.stop()
		x := waitListed(t, c.views, 6, time.Minute).Relays()[0].ID
		req := circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x}
		before := get(t, c, req)
		<-time.After(10 * time.Second)
		mu.Lock()
		had := sockets
		mu.Unlock()
		m.move("192.0.2.2")
		began := time.Now()
		<-before.Done()
		echo(t, get(t, c, req), 3)
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("healed after %v", d)
		}
		mu.Lock()
		defer mu.Unlock()
		if sockets == had {
			t.Error("the old socket is used on")
		}
	})
}
