package relay

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// gate is a stream whose writes block while it is shut. It stands for a stream
// whose peer gives no credit.
type gate struct {
	stream
	mu      sync.Mutex
	shut    chan struct{} // not nil while shut; closed to open
	reset   chan struct{}
	waiting bool // a tick alone holds the writes back
	once    sync.Once
}

func newGate(s stream) *gate { return &gate{stream: s, reset: make(chan struct{})} }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-g.reset:
			return 0, errReset
		}
	}
	return g.stream.Write(b)
}

func (g *gate) CancelWrite(code quic.StreamErrorCode) {
	g.once.Do(func() { close(g.reset) })
	g.stream.CancelWrite(code)
}

func (g *gate) Waiting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting && g.shut != nil
}

func (g *gate) setWaiting(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = on
}

// gated builds a circuit of two relays, with a gate on the first one's stream
// to the second, and calls f when all is quiet.
func gated(t *testing.T, f func(t *testing.T, m *memNet, c *testClient, g *gate)) {
	t.Helper()
	bubble(t, 2, func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true }, func(t *testing.T, m *memNet) {
		var g *gate
		m.wrap = func(i, _ int, s stream) stream {
			if i != 0 {
				return s
			}
			g = newGate(s)
			return g
		}
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f(t, m, c, g)
		reset(c.s)
	})
}

// pings sends n PINGs to the second relay.
func pings(t *testing.T, c *testClient, n int) {
	t.Helper()
	for i := range n {
		if err := c.send(1, cell.Message{Command: cell.Ping, Data: []byte{byte(i), byte(i >> 8), 15: 0}}); err != nil {
			t.Fatal(err)
		}
	}
}

// unread returns how many bytes wait at the first relay's stream to the client.
func unread(m *memNet) int {
	h := m.only(0).prev.(*memStream).r
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.buf)
}

// TestRingReadsAhead blocks a write: what the client still sends leaves the
// stream's queue, up to one ring, and all of it arrives in order afterwards.
func TestRingReadsAhead(t *testing.T) {
	gated(t, func(t *testing.T, m *memNet, c *testClient, g *gate) {
		g.close()
		pings(t, c, 1)
		synctest.Wait() // the write of the first one is blocked
		pings(t, c, 20)
		synctest.Wait()
		if n := unread(m); n != 20*cell.Size {
			t.Fatalf("%d bytes wait before the tick", n)
		}
		advance(2 * janitorEvery)
		if n := unread(m); n != 0 {
			t.Errorf("%d bytes stay in the queue while the write is blocked", n)
		}
		pings(t, c, 40)
		advance(2 * janitorEvery)
		if n := unread(m); n != (60-batchCells)*cell.Size {
			t.Errorf("%d bytes wait behind a full ring, want %d", n, (60-batchCells)*cell.Size)
		}
		if m.sw[0].Counters().ReadAhead == 0 {
			t.Error("not counted")
		}
		g.open()
		for i := range 61 {
			want := byte(i)
			if i > 0 {
				want = byte(i - 1)
			}
			if i > 20 {
				want = byte(i - 21)
			}
			if x := c.expect(t, 1, cell.Pong); x.Data[0] != want {
				t.Fatalf("PONG %d has %d, want %d", i, x.Data[0], want)
			}
		}
	})
}

// TestRingLeavesPartialCells cuts the cells that are read ahead anywhere.
func TestRingLeavesPartialCells(t *testing.T) {
	for _, cut := range []int{1, 700, cell.Size - 1} {
		gated(t, func(t *testing.T, m *memNet, c *testClient, g *gate) {
			var raw []byte
			for range 12 {
				x, err := c.seal(1, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
				if err != nil {
					t.Fatal(err)
				}
				raw = append(raw, x...)
			}
			g.close()
			c.s.Write(raw[:cell.Size+cut]) // one cell, and the beginning of another
			synctest.Wait()
			c.s.Write(raw[cell.Size+cut : 5*cell.Size+cut])
			// Longer than the time for the rest of a cell: nobody reads meanwhile.
			advance(partialTimeout + time.Second)
			m.expectCircuits(1, 1)
			c.s.Write(raw[5*cell.Size+cut:])
			g.open()
			for range 12 {
				c.expect(t, 1, cell.Pong)
			}
		})
	}
}

// TestRingAndReplies blocks the writer towards the client while both the next
// hop sends and this hop has replies.
func TestRingAndReplies(t *testing.T) {
	bubble(t, 2, func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		c.s.(*memStream).r.limit = cell.Size // the client's window
		const each = 30
		for i := range each {
			for hop := range 2 {
				c.send(hop, cell.Message{Command: cell.Ping, Data: []byte{byte(i), 15: 0}})
			}
			if i%5 == 0 {
				advance(janitorEvery)
			}
		}
		advance(2 * janitorEvery)
		circ := m.only(0)
		h := circ.next.(*memStream).r
		h.mu.Lock()
		left := len(h.buf)
		h.mu.Unlock()
		if left != 0 {
			t.Errorf("%d bytes of the next hop are not read ahead", left)
		}
		var got [2]int
		for range 2 * each {
			hop, x, err := c.recv()
			if err != nil || x.Command != cell.Pong || x.Data[0] != byte(got[hop]) {
				t.Fatalf("%#x of hop %d: %v", byte(x.Command), hop, err)
			}
			got[hop]++
		}
		reset(c.s)
	})
}

// TestStallNeedsAFullRing: a blocked write behind which little waits is not
// closed; a tick that holds a write back is no stall; a full ring is.
func TestStallNeedsAFullRing(t *testing.T) {
	gated(t, func(t *testing.T, m *memNet, c *testClient, g *gate) {
		g.close()
		pings(t, c, 10)
		advance(5 * stallRelay)
		m.expectCircuits(1, 1)
		g.setWaiting(true)
		pings(t, c, 3*batchCells)
		advance(5 * stallRelay)
		m.expectCircuits(1, 1)
		g.setWaiting(false)
		limit := stallRelay + 2*stallHop // slot 0
		advance(limit - janitorEvery)
		m.expectCircuits(1, 1)
		advance(3 * janitorEvery)
		m.expectCircuits(0, 0)
		if n := m.sw[0].Counters().Ended[EndStalled]; n != 1 {
			t.Errorf("%d circuits counted as stalled", n)
		}
	})
}

// TestSlowNeighbourIsNoStall lets a write through before each limit.
func TestSlowNeighbourIsNoStall(t *testing.T) {
	gated(t, func(t *testing.T, m *memNet, c *testClient, g *gate) {
		g.close()
		go func() {
			for range 200 {
				if c.send(1, cell.Message{Command: cell.Drop}) != nil {
					return
				}
			}
		}()
		for range 5 {
			advance(stallRelay - time.Second)
			g.open()
			g.close()
		}
		m.expectCircuits(1, 1)
		g.open()
		synctest.Wait()
	})
}

// TestResetOvertakesABlockedWrite lets either side go while the relay's write
// to the next hop is blocked and its ring has room: the circuit must not stay
// until it is idle for minutes, with all that it holds.
func TestResetOvertakesABlockedWrite(t *testing.T) {
	for name, leave := range map[string]func(m *memNet, c *testClient){
		"stream": func(_ *memNet, c *testClient) { reset(c.s) },
		"link":   func(m *memNet, _ *testClient) { m.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			gated(t, func(t *testing.T, m *memNet, c *testClient, g *gate) {
				g.close()
				pings(t, c, 3)
				advance(4 * janitorEvery)
				m.expectCircuits(1, 1)
				leave(m, c)
				advance(3 * janitorEvery)
				m.expectCircuits(0, 0)
			})
		})
	}
}
