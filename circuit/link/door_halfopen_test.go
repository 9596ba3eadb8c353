package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// half begins a handshake at the door that never completes; given is told when
// it is given up. v is nil if it is refused.
func half(t *testing.T, d *door, from netip.AddrPort, given func()) (v *visit, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, err := d.enter(ctx, from, true, nil)
	if err != nil {
		cancel()
		return nil, func() {}
	}
	context.AfterFunc(c, func() {
		if ctx.Err() == nil {
			given()
			cancel()
		}
	})
	return c.Value(visitKey{}).(*visit), cancel
}

// TestAbuseHalfOpenIsBounded: of more handshakes than there may be, the oldest
// ends, and those that complete are out of it.
func TestAbuseHalfOpenIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(true)
		var given []int
		var ends []func()
		defer func() {
			for _, end := range ends {
				end()
			}
		}()
		begin := func(i int) *visit {
			a := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(1000+i)) // a socket of its own
			v, end := half(t, d, a, func() { given = append(given, i) })
			ends = append(ends, end)
			synctest.Wait()
			return v
		}
		begin(0).established() // an honest one that was there first
		for i := range 3 * maxHalfOpen {
			begin(i + 1)
			if i >= maxHalfOpen {
				continue
			}
			if len(given) > 0 {
				t.Fatalf("handshake %d is given up after %d", given[0], i)
			}
		}
		if links, n := d.count(); n > maxHalfOpen || links != n+1 {
			t.Errorf("%d handshakes, %d links", n, links)
		}
		for i, got := range given {
			if got != i+1 {
				t.Fatalf("handshake %d is given up in place of %d", got, i+1)
			}
		}
		// One that completes within the time of the list is not touched.
		v := begin(-1)
		for i := range maxHalfOpen - 1 {
			begin(10000 + i)
		}
		if !v.established() {
			t.Error("an honest handshake was given up")
		}
	})
}

// TestAbuseHalfOpenFromFewPrefixes: a flood from few addresses keeps itself out,
// and gives nobody else's handshake up.
func TestAbuseHalfOpenFromFewPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(false)
		var ends []func()
		defer func() {
			for _, end := range ends {
				end()
			}
		}()
		slow := false
		_, end := half(t, d, at("9.0.0.1"), func() { slow = true })
		ends = append(ends, end)
		begun := 0
		for i := range 4 * maxHalfOpen {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{3, 0, byte(i % 64), 1}), 1)
			if v, end := half(t, d, a, func() {}); v != nil {
				begun++
				ends = append(ends, end)
			}
			synctest.Wait()
		}
		if _, n := d.count(); n > maxHalfOpen || begun < maxHalfOpen-1 {
			t.Errorf("%d handshakes of %d", n, begun)
		}
		if slow {
			t.Error("a slow handshake from another address was given up")
		}
		if v, end := half(t, d, at("9.0.0.2"), func() {}); v == nil {
			t.Error("who comes from another address is refused")
		} else {
			end()
		}
	})
}

// TestAbuseHalfOpenOverQUIC does it with real handshakes, and lets an honest
// client in while they last.
func TestAbuseHalfOpenOverQUIC(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		stall := make(chan struct{})
		done := make(chan struct{})
		const many = maxHalfOpen + 16
		for range many {
			go func() {
				_, _ = w.raw("3.0.0.1", a, nil, func(c *tls.Config) {
					c.VerifyConnection = func(tls.ConnectionState) error { <-stall; return errors.New("late") }
				})
				done <- struct{}{}
			}()
			synctest.Wait()
			pass(time.Millisecond)
		}
		pass(time.Second)
		a.door.mu.Lock()
		n := a.door.halfOpen.Len()
		a.door.mu.Unlock()
		if n != maxHalfOpen {
			t.Errorf("%d handshakes are worked on", n)
		}
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		w.list(a)
		roundTrip(t, w.link(c, a), KindCircuit)
		pass(2 * handshakeIdle)
		if _, n := a.door.count(); n != 0 {
			t.Errorf("%d handshakes are left", n)
		}
		close(stall)
		for range many {
			<-done
		}
	})
}
