package link

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

func at(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 1234) }

// knock is one attempt at the door, as the QUIC server would make it. It
// returns the end of the connection, or nil if it was refused.
func knock(d *door, a netip.AddrPort, spoofed bool) (end func(), established func() bool) {
	proven := false
	if d.mustProve(a) {
		if spoofed {
			return nil, nil
		}
		proven = true // after the Retry
	}
	ctx, cancel := context.WithCancel(context.Background())
	c, err := d.enter(ctx, a, proven, nil)
	if err != nil {
		cancel()
		return nil, nil
	}
	return cancel, c.Value(visitKey{}).(*visit).established
}

// count returns the connections and the handshakes that the door counts.
func (d *door) count() (links, handshakes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.links, d.handshakes
}

// TestAttackFloodOfOnePrefix: a prefix gets its rate and its number of
// connections, and others do not suffer.
func TestAttackFloodOfOnePrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ from, neighbour, other string }{
			{"3.0.0.1", "3.0.0.1", "3.0.0.2"},
			{"2001:db8:0:1::1", "2001:db8:0:ff:1::2", "2001:db8:0:100::1"},
		} {
			d := newDoor(false)
			var ends []func()
			for range 10 * prefixLinks {
				if end, est := knock(d, at(c.from), false); end != nil && est() {
					ends = append(ends, end)
				}
			}
			if len(ends) != prefixLinks {
				t.Errorf("%s has %d connections", c.from, len(ends))
			}
			if end, est := knock(d, at(c.neighbour), false); end != nil && est() {
				t.Error("another address of the prefix has one more")
			}
			if end, est := knock(d, at(c.other), false); end == nil || !est() {
				t.Error("another prefix is refused")
			}
			// The rate: connections that end at once.
			for _, end := range ends {
				end()
			}
			synctest.Wait()
			<-time.After(time.Minute)
			n := 0
			for range 10 * prefixBurst {
				if end, est := knock(d, at(c.from), false); end != nil && est() {
					n++
					end()
					synctest.Wait()
				}
			}
			if n > 2*prefixBurst {
				t.Errorf("%d connections in a burst", n)
			}
			<-time.After(2 * time.Second)
			n = 0
			for range 100 {
				if end, est := knock(d, at(c.from), false); end != nil && est() {
					n++
					end()
					synctest.Wait()
				}
			}
			if most := 2 * 2 * int(prefixRate); n == 0 || n > most {
				t.Errorf("%d connections after two seconds", n)
			}
		}
	})
}

// TestAttackSpoofedInitials: who spoofs an address does not keep its owner out.
func TestAttackSpoofedInitials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(false)
		for range 1000 {
			knock(d, at("3.0.0.1"), true)
		}
		if _, n := d.count(); n > prefixLinks {
			t.Errorf("%d handshakes from one spoofed address", n)
		}
		end, est := knock(d, at("3.0.0.1"), false)
		if end == nil || !est() {
			t.Error("the owner of a spoofed address is kept out")
		}
		// From ever new addresses: Retry takes over.
		for i := range 100000 {
			knock(d, at(fmt.Sprintf("7.%d.%d.%d", i>>16&255, i>>8&255, i&255)), true)
		}
		if _, n := d.count(); n > maxHandshakes {
			t.Errorf("%d handshakes in flight", n)
		}
		if n := len(d.prefixes); n > 2*newBurst {
			t.Errorf("%d prefixes are remembered", n)
		}
	})
}

func TestDoorForgetsIdlePrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(false)
		for i := range 5 * prefixSweepMin {
			end, _ := knock(d, at(fmt.Sprintf("7.0.%d.%d", i>>8&255, i&255)), false)
			if end == nil {
				t.Fatal("refused")
			}
			end()
			<-time.After(10 * time.Millisecond)
		}
		if n := len(d.prefixes); n > 2*prefixSweepMin {
			t.Errorf("%d prefixes are remembered", n)
		}
		if links, handshakes := d.count(); links != 0 || handshakes != 0 {
			t.Errorf("%d links, %d handshakes are left", links, handshakes)
		}
	})
}

// TestAttackPrefixTableStaysFull: after many prefixes were there at once, the
// door forgets those that left, before the table is full for good.
func TestAttackPrefixTableStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(false)
		prefix := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{7, byte(i >> 16), byte(i >> 8), byte(i)}) }
		// More than half the table is in use when it is swept.
		const many = maxPrefixes - 100
		for i := range many {
			if s := d.prefixLocked(netip.PrefixFrom(prefix(i), 32)); i >= 100 {
				s.links = 1
			}
		}
		for i := 100; i < many; i++ {
			d.prefixLocked(netip.PrefixFrom(prefix(i), 32)).links = 0
		}
		for i := range 2 * maxPrefixes {
			if d.prefixLocked(netip.PrefixFrom(prefix(maxPrefixes+i), 32)) == nil {
				t.Fatalf("the table is full of prefixes that left, after %d more", i)
			}
		}
	})
}

func TestDoorHoldsSoMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(true)
		var ends []func()
		n := 0
		for range maxLinks + 10 {
			if end, est := knock(d, at("127.0.0.1"), false); end != nil && est() {
				n++
				ends = append(ends, end)
			}
		}
		if n != maxLinks {
			t.Errorf("%d connections", n)
		}
		ends[0]()
		ends[0]()
		synctest.Wait()
		if end, _ := knock(d, at("127.0.0.1"), false); end == nil {
			t.Error("no room after one left")
		}
		for _, end := range ends {
			end()
		}
	})
}

// TestAttackNewAddressesProveThemselves: whoever comes from ever new addresses
// gets Retry after so many in a second, in lab networks too.
func TestAttackNewAddressesProveThemselves(t *testing.T) {
	for _, lab := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(lab)
			unproven := func() (n int) {
				for i := range 1000 {
					if !d.mustProve(at(fmt.Sprintf("3.%d.%d.1", i/250, i%250))) {
						n++
					}
				}
				return n
			}
			if n := unproven(); n != newBurst {
				t.Errorf("lab %v: %d of 1000 at once need no proof, want %d", lab, n, newBurst)
			}
			pass(time.Second / 2)
			if n := unproven(); n != int(newRate)/2 {
				t.Errorf("lab %v: %d half a second later, want %v", lab, n, newRate/2)
			}
		})
	}
}

// TestAttackHandshakesInFlight: while so many handshakes are under way, slow as
// they may have come, everybody gets Retry, and no longer.
func TestAttackHandshakesInFlight(t *testing.T) {
	for _, lab := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(lab)
			var ends []func()
			for i := range 2 * maxHandshakes {
				a := at(fmt.Sprintf("3.0.%d.1", i%250))
				if want := len(ends) >= maxHandshakes; d.mustProve(a) != want {
					t.Fatalf("lab %v: proof asked for %v with %d in flight", lab, !want, len(ends))
				} else if want {
					continue
				}
				end, _ := knock(d, at(fmt.Sprintf("4.0.%d.1", i%250)), false)
				if end == nil {
					t.Fatal("refused")
				}
				ends = append(ends, end)
				pass(time.Second / 50)
			}
			ends[0]()
			synctest.Wait()
			if d.mustProve(at("5.0.0.1")) {
				t.Errorf("lab %v: proof asked for with %d in flight", lab, len(ends)-1)
			}
			for _, end := range ends {
				end()
			}
			synctest.Wait()
		})
	}
}

// TestPrefixLimitAtARealDoor runs the same over QUIC, Retry included.
func TestPrefixLimitAtARealDoor(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		w.lab = false
		a := w.relay("a", "1.0.0.1")
		ok := 0
		var conns []*quic.Conn
		for range prefixLinks + 6 {
			c, err := w.raw("3.0.0.1", a, nil, nil)
			if err == nil {
				w.rawHello(c, helloCell(clientHello()))
				w.rawHello(c, []byte{byte(KindCircuit)})
				conns = append(conns, c)
			}
		}
		pass(time.Second)
		for _, c := range conns {
			if c.Context().Err() == nil {
				ok++
			}
		}
		if ok != prefixLinks {
			t.Errorf("%d connections of one address live", ok)
		}
		if _, err := w.raw("3.0.0.2", a, nil, nil); err != nil {
			t.Errorf("another address: %v", err)
		}
		// After they leave there is room again.
		for _, c := range conns {
			_ = c.CloseWithError(0, "")
		}
		pass(time.Minute)
		if _, err := w.raw("3.0.0.1", a, nil, nil); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}
