package relay

import (
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
)

// testHeap is a heap whose size a test says.
type testHeap struct {
	mu   sync.Mutex
	size func() uint64
}

func (h *testHeap) read() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.size()
}

func (h *testHeap) set(size func() uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size = size
}

func (h *testHeap) setBytes(n uint64) { h.set(func() uint64 { return n }) }

const testLimit = 1000

// withHeap runs f with a relay of testLimit bytes of memory.
func withHeap(t *testing.T, service Service, f func(t *testing.T, m *memNet, h *testHeap)) {
	t.Helper()
	h := new(testHeap)
	h.setBytes(0)
	bubble(t, 1, func(_ int, cfg *SwitchConfig) {
		cfg.MaxMemory, cfg.InsecureHeap, cfg.Service = testLimit, h.read, service
	}, func(t *testing.T, m *memNet) { f(t, m, h) })
}

func TestMemoryRefusesCreate(t *testing.T) {
	withHeap(t, nil, func(t *testing.T, m *memNet, h *testHeap) {
		old := m.client()
		if err := old.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		for _, k := range []struct {
			heap   uint64
			refuse bool
		}{{750, false}, {751, true}, {920, true}, {750, false}} {
			h.setBytes(k.heap)
			advance(2 * janitorEvery)
			c := m.client()
			if err := c.create(m.relays[0]); (err != nil) != k.refuse {
				t.Errorf("heap %d of %d: %v", k.heap, testLimit, err)
			}
			reset(c.s)
		}
		// Circuits that hold nothing stay, whatever the heap is.
		old.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
		old.expect(t, 0, cell.Pong)
		if n := m.sw[0].Counters().Ended[EndFull]; n != 2 {
			t.Errorf("%d counted as full, want 2", n)
		}
	})
}

// TestMemoryClosesTheOldestQueue lets clients stop reading one after the other:
// who makes the relay hold a cell for the longest goes first, and no more than
// needed.
func TestMemoryClosesTheOldestQueue(t *testing.T) {
	withHeap(t, talker{}, func(t *testing.T, m *memNet, h *testHeap) {
		const clients, each = 24, 30
		var order []*circuit
		var all []*testClient
		known := make(map[*circuit]bool)
		for i := range clients {
			c := m.client()
			c.s.(*memStream).r.limit = 4 * cell.Size
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 { // the others are idle
				c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
				advance(2 * janitorEvery)
				for _, x := range m.sw[0].all(nil) {
					if x.downSince.Load() != 0 && !known[x] {
						known[x] = true
						order = append(order, x)
					}
				}
			}
			all = append(all, c)
		}
		if len(order) != clients/2 {
			t.Fatalf("%d circuits wait", len(order))
		}
		// Each circuit that waits costs something; closing some must suffice.
		left := func() (n uint64) {
			for _, x := range order {
				if state(x.state.Load()) != stateClosed {
					n++
				}
			}
			return n
		}
		base := 851 - each*left()
		h.set(func() uint64 { return base + each*left() })
		advance(2 * janitorEvery)
		var closed []bool
		for _, x := range order {
			closed = append(closed, state(x.state.Load()) == stateClosed)
		}
		// 851 is over the mark; 4 less are 731, below 750. The rounds close 1, 2
		// and 4, so 7 at most.
		gone := slices.Index(closed, false)
		if gone < 4 || gone > 7 || slices.Contains(closed[gone:], true) {
			t.Errorf("closed %v, want the oldest four to seven", closed)
		}
		if got := m.sw[0].Counters().Ended[EndMemory]; got != uint64(gone) {
			t.Errorf("counted %d, closed %d", got, gone)
		}
		h.setBytes(0)
		for _, c := range all {
			reset(c.s)
		}
	})
}

// testDoor is a link's door.
type testDoor struct {
	surplus atomic.Int64
	closed  atomic.Bool
	close   func()
}

func (d *testDoor) Offend()          {}
func (d *testDoor) Refused() bool    { return false }
func (d *testDoor) Received() uint64 { return uint64(d.surplus.Load()) }
func (d *testDoor) Surplus() int64   { return d.surplus.Load() }
func (d *testDoor) Close() {
	d.closed.Store(true)
	d.close()
}

// sends says that n cells come, and so many bytes besides.
func (d *testDoor) sends(c *testClient, n, besides int) {
	d.surplus.Add(int64(n*link.CellBytes + besides))
	for range n {
		c.send(0, cell.Message{Command: cell.Drop})
	}
}

// withLinks runs f with a relay that has links of clients, each with a circuit.
func withLinks(t *testing.T, links int, f func(m *memNet, h *testHeap, doors []*testDoor, clients []*testClient)) {
	t.Helper()
	withHeap(t, nil, func(t *testing.T, m *memNet, h *testHeap) {
		var doors []*testDoor
		var clients []*testClient
		for i := range links {
			near, far := memPipe()
			d := &testDoor{close: func() { reset(near) }}
			m.wg.Add(1)
			go func() {
				m.sw[0].serve(i, func() *peer {
					p := newPeer(m.relays[0].ID, false, netip.AddrPort{}, m.ctx.Done(), false)
					p.door = d
					return p
				}, far, func() { reset(far); m.wg.Done() })
			}()
			c := &testClient{network: m.network, s: near}
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			doors, clients = append(doors, d), append(clients, c)
		}
		f(m, h, doors, clients)
		h.setBytes(0)
		for _, c := range clients {
			reset(c.s)
		}
	})
}

// expectClosed makes memory short until so many links are closed, and expects
// these to be the ones.
func expectClosed(t *testing.T, m *memNet, h *testHeap, doors []*testDoor, want ...int) {
	t.Helper()
	closed := func() (n uint64) {
		for _, d := range doors {
			if d.closed.Load() {
				n++
			}
		}
		return n
	}
	h.set(func() uint64 { return 930 - 80*closed()/uint64(len(want)) })
	advance(2 * janitorEvery)
	for i, d := range doors {
		if d.closed.Load() != slices.Contains(want, i) {
			t.Errorf("link %d closed %v", i, d.closed.Load())
		}
	}
	if n := m.sw[0].Counters().LinksClosed; n != uint64(len(want)) {
		t.Errorf("%d links counted", n)
	}
	m.expectCircuits(len(doors) - len(want))
}

// TestMemoryClosesLinks: the link that sends bytes of which no cell comes goes
// first, even though others send more, and cells.
func TestMemoryClosesLinks(t *testing.T) {
	withLinks(t, 8, func(m *memNet, h *testHeap, doors []*testDoor, clients []*testClient) {
		advance(25 * time.Second)
		for i, c := range clients {
			doors[i].sends(c, dropBurst, 100)
		}
		doors[5].sends(nil, 0, 3000) // and no cell
		synctest.Wait()
		expectClosed(t, m, h, doors, 5)
	})
}

// TestMemoryClosesTheSilentFiller: a link that filled QUIC's queues some time
// ago, and sends nothing since then, goes before links that send a lot, lose
// some of it now, and acknowledge much.
func TestMemoryClosesTheSilentFiller(t *testing.T) {
	const filler, lossy = 3, 6
	withLinks(t, 8, func(m *memNet, h *testHeap, doors []*testDoor, clients []*testClient) {
		doors[filler].sends(nil, 0, 50_000)
		for range 120 {
			for i, c := range clients {
				if i != filler {
					doors[i].sends(c, 2, 0)
				}
			}
			// What comes behind a gap waits for the rest, and is cells then.
			doors[lossy].sends(nil, 0, 500_000)
			advance(time.Second / 2)
			doors[lossy].surplus.Add(-500_000)
			advance(time.Second / 2)
		}
		doors[lossy].sends(nil, 0, 500_000) // at this moment
		synctest.Wait()
		expectClosed(t, m, h, doors, filler)
	})
}

// TestMemoryCellsPayForNothing: a link that sent many cells by the rules has no
// credit for what it fills afterwards, and what it took pays for nothing either.
func TestMemoryCellsPayForNothing(t *testing.T) {
	withLinks(t, 8, func(m *memNet, h *testHeap, doors []*testDoor, clients []*testClient) {
		for range 60 {
			for i, c := range clients {
				doors[i].sends(c, 2, 0)
			}
			doors[2].surplus.Add(-100_000) // acknowledgements, allowed for but not sent
			advance(time.Second)
		}
		doors[2].sends(nil, 0, 50_000)
		advance(21 * time.Second)
		expectClosed(t, m, h, doors, 2)
	})
}

// TestMemoryClosesLinksWithoutCircuits: who fills streams that lead to nothing
// needs no circuit for it.
func TestMemoryClosesLinksWithoutCircuits(t *testing.T) {
	withHeap(t, nil, func(t *testing.T, m *memNet, h *testHeap) {
		doors := make(map[any]doorkeeper)
		var closed atomic.Uint64
		for i, bytes := range []int64{2000, 1_000_000, 3000} {
			d := &testDoor{close: func() { closed.Add(1) }}
			d.surplus.Store(bytes)
			doors[i] = d
		}
		m.sw[0].clients = func() map[any]doorkeeper { return maps.Clone(doors) }
		h.set(func() uint64 { return 930 - 81*closed.Load() })
		advance(2 * janitorEvery)
		for i, d := range doors {
			if d.(*testDoor).closed.Load() != (i == 1) {
				t.Errorf("link %d closed %v", i, d.(*testDoor).closed.Load())
			}
		}
		h.setBytes(0)
	})
}

// TestGarbageIsNoReason: what a collection frees closes nothing.
func TestGarbageIsNoReason(t *testing.T) {
	w := newMemoryWatch(testLimit, nil)
	garbage, collections := uint64(990), 0
	w.heap = func() uint64 { return garbage }
	w.collect = func() { garbage = 100; collections++ }
	w.watch(new(Switch), nil, time.Now())
	if w.refusing.Load() || collections != 1 {
		t.Errorf("refusing %v after %d collections", w.refusing.Load(), collections)
	}
}

// TestNothingToCloseIsNoReason: where no circuit can be closed, a heap that stays
// high costs one collection a second, not one in each tick.
func TestNothingToCloseIsNoReason(t *testing.T) {
	w := newMemoryWatch(testLimit, nil)
	collections := 0
	w.heap = func() uint64 { return 900 }
	w.collect = func() { collections++ }
	now := time.Now()
	for range 40 {
		w.watch(new(Switch), nil, now)
		now = now.Add(janitorEvery)
	}
	if !w.refusing.Load() || collections != 10 {
		t.Errorf("refusing %v after %d collections in 10 s", w.refusing.Load(), collections)
	}
}

// TestDoubleCloseUnderMemoryPressure ends one circuit for many reasons at once:
// it counts once.
func TestDoubleCloseUnderMemoryPressure(t *testing.T) {
	withHeap(t, talker{}, func(t *testing.T, m *memNet, h *testHeap) {
		const circuits = 50
		for range circuits {
			c := m.client()
			c.s.(*memStream).r.limit = 4 * cell.Size
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		}
		advance(4 * janitorEvery)
		all := m.sw[0].all(nil)
		var wg sync.WaitGroup
		for _, x := range all {
			wg.Go(func() { m.sw[0].memory.closeCircuits([]*circuit{x}, time.Now()) })
			wg.Go(x.close)
			wg.Go(func() { reset(x.prev) })
			wg.Go(func() { x.end(EndStalled) })
		}
		wg.Wait()
		m.expectCircuits(0)
		k := m.sw[0].Counters()
		sum := uint64(0)
		for _, n := range k.Ended {
			sum += n
		}
		if k.Opened != circuits || sum != circuits {
			t.Errorf("%d opened, %d ended: %v", k.Opened, sum, k.Ended)
		}
	})
}

// TestQuietRelayFreesMemory: what circuits left behind is given back once
// nothing moves, and only then.
func TestQuietRelayFreesMemory(t *testing.T) {
	w := newMemoryWatch(1<<40, nil)
	heap, frees := uint64(100<<20), 0
	w.heap, w.collect = func() uint64 { return heap }, func() {}
	w.free = func() { frees++; heap = 60 << 20 }
	sw, now := new(Switch), time.Unix(1000, 0)
	look := func(d time.Duration, cells uint64) {
		for end := now.Add(d); now.Before(end); now = now.Add(janitorEvery) {
			sw.counts.backward.Add(cells)
			w.watch(sw, nil, now)
		}
	}
	look(time.Minute, 1000)
	if frees != 0 {
		t.Errorf("%d times while cells move", frees)
	}
	look(time.Minute, 10)
	if frees != 1 {
		t.Errorf("%d times in a quiet minute, want 1", frees)
	}
	heap += worthFreeing
	look(time.Minute, 0)
	if frees != 1 {
		t.Errorf("%d times for little", frees)
	}
	heap += 1
	look(time.Minute, 0)
	if frees != 2 {
		t.Errorf("%d times, want 2", frees)
	}
}

// TestHeapObjectsGrow shows that the reading follows what is allocated.
func TestHeapObjectsGrow(t *testing.T) {
	heap := heapObjects()
	runtime.GC() // what other tests left
	before := heap()
	hold := make([][]byte, 64)
	for i := range hold {
		hold[i] = make([]byte, 1<<20)
	}
	if after := heap(); after < before+32<<20 {
		t.Errorf("%d bytes before, %d after 64 MiB more", before, after)
	}
	if limit := MemoryLimit(); limit <= 0 || limit > maxMemory {
		t.Errorf("limit %d", limit)
	}
	for i := range hold {
		hold[i][0] = 1
	}
}
