package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
)

// TestAbuseCellInTrickles sends a cell byte by byte, each within the time for
// the rest of a cell: that counts from its beginning, even if the goroutine that
// waits for it is replaced since the circuit is idle, or called to its replies.
func TestAbuseCellInTrickles(t *testing.T) {
	trickle := func(t *testing.T, m *memNet, h *half, each func()) {
		begun := make([]byte, cell.Size)
		cell.Header{Type: cell.Relay}.Put(begun)
		for i := range 8 {
			h.mu.Lock()
			h.buf = append(h.buf, begun[i])
			h.notifyLocked()
			h.mu.Unlock()
			synctest.Wait()
			if each != nil {
				each()
			}
			advance(time.Second)
		}
		if n := m.sw[0].Circuits(); n != 0 {
			t.Errorf("%d circuits wait for a cell that began %v ago", n, 8*time.Second)
		}
		if n := m.sw[0].Counters().Ended[EndTimeout]; n != 1 {
			t.Errorf("%d circuits counted as too slow", n)
		}
	}
	lifted := func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true }
	t.Run("client of an idle circuit", func(t *testing.T) {
		bubble(t, 2, lifted, func(t *testing.T, m *memNet) {
			c := m.client()
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
			advance(2 * parkAfter)
			trickle(t, m, c.s.(*memStream).w, nil)
			reset(c.s)
		})
	})
	t.Run("next hop beside replies", func(t *testing.T) {
		bubble(t, 2, lifted, func(t *testing.T, m *memNet) {
			c := m.client()
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
			trickle(t, m, m.only(0).next.(*memStream).r, func() {
				c.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
			})
			reset(c.s)
		})
	})
}

// TestAbuseFramesBeforeAttach lets a client take nothing from before its circuit
// is extended on, so that its guard has not yet begun to read from the next hop,
// which sends without end: that is read ahead, and counts as a stall.
func TestAbuseFramesBeforeAttach(t *testing.T) {
	bubble(t, 2, func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		c.s.(*memStream).r.limit = 0 // the client's window
		if err := c.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)}); err != nil {
			t.Fatal(err)
		}
		extend := make(chan error, 1)
		go func() { extend <- c.extend(m.relays[1]) }()
		advance(2 * janitorEvery)
		h := m.only(0).next.(*memStream).r
		h.mu.Lock()
		h.buf = append(h.buf, make([]byte, (batchCells+1)*cell.Size)...)
		h.notifyLocked()
		h.mu.Unlock()
		advance(2 * janitorEvery)
		h.mu.Lock()
		left := len(h.buf)
		h.mu.Unlock()
		if left != cell.Size {
			t.Errorf("%d bytes wait at the next hop's stream, want the one cell that does not fit into the ring", left)
		}
		advance(stallClient + 2*time.Second)
		if n := m.sw[0].Counters().Ended[EndStalled]; n != 1 {
			t.Errorf("%d circuits counted as stalled", n)
		}
		reset(c.s)
		<-extend
	})
}
