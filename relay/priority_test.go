package relay

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// urgent records the urgency that a stream was given.
type urgent struct {
	stream
	mu  sync.Mutex
	now int8
}

func (u *urgent) SetPriority(urgency int8, incremental bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.now = urgency
	if !incremental {
		u.now = -1
	}
}

func (u *urgent) is() int8 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.now
}

// lanes makes circuits of one relay link that have sent so much each.
func lanes(p *peer, sent ...uint64) (sw *Switch, all []*circuit) {
	sw = NewSwitch(SwitchConfig{InsecureHeap: func() uint64 { return 0 }})
	for _, n := range sent {
		c := sw.newCircuit(p, &urgent{})
		c.down.cells.Store(n)
		all = append(all, c)
	}
	return sw, all
}

func urgencyOf(c *circuit) int8 { return c.prev.(*urgent).is() }

// TestUrgencyFollowsTheAverage walks through the table of SPEC.md §5.5.
func TestUrgencyFollowsTheAverage(t *testing.T) {
	p := &peer{id: directory.RelayID{1}, relay: true}
	sw, all := lanes(p, 100_000, 90_000, 26_000, 20_000, 6_000, 1_000, 300, 65, 40, 10)
	for i, c := range all {
		if got := urgencyOf(c); got != urgencyFirst {
			t.Errorf("circuit %d begins with %d", i, got)
		}
	}
	sw.priorities.update(all, &sw.counts)
	for i, want := range []int8{6, 6, 6, 5, 4, 3, 2, 2, 2, 1} {
		if got := urgencyOf(all[i]); got != want {
			t.Errorf("%d cells of at most 100000: urgency %d, want %d", all[i].down.cells.Load(), got, want)
		}
	}
	if n := sw.Counters().Backward; n != 243_415 {
		t.Errorf("%d cells counted", n)
	}
	// After ten half-lives nobody remembers the bulk.
	for range 10 * int(averageHalf/janitorEvery) {
		sw.priorities.update(all, &sw.counts)
	}
	if got := urgencyOf(all[3]); got != urgencyLeast {
		t.Errorf("urgency %d after %v of silence", got, 10*averageHalf)
	}
}

// TestLikeCircuitsAreEqual: sixty-four circuits that send about the same have
// one urgency, so that none starves.
func TestLikeCircuitsAreEqual(t *testing.T) {
	sent := make([]uint64, 64)
	for i := range sent {
		sent[i] = 10_000 + uint64(i)*100
	}
	sw, all := lanes(&peer{id: directory.RelayID{1}, relay: true}, sent...)
	sw.priorities.update(all, &sw.counts)
	for i, c := range all {
		if got := urgencyOf(c); got != urgencyBulk {
			t.Errorf("circuit %d has urgency %d", i, got)
		}
	}
}

// TestLinksAreJudgedApart: bulk on one link says nothing about another.
func TestLinksAreJudgedApart(t *testing.T) {
	sw, a := lanes(&peer{}, 100_000)
	_, b := lanes(&peer{}, 1_000)
	all := append(a, b...)
	sw.priorities.update(all, &sw.counts)
	for i, c := range all {
		if got := urgencyOf(c); got != urgencyBulk {
			t.Errorf("the largest of link %d has urgency %d", i, got)
		}
	}
}

// TestBlockedWritesDoNotStarve gives way to a write that waits for long.
func TestBlockedWritesDoNotStarve(t *testing.T) {
	sw, all := lanes(&peer{}, 100_000)
	c := all[0]
	c.downSince.Store(sw.clock.now())
	sw.priorities.update(all, &sw.counts)
	if got := urgencyOf(c); got != urgencyBulk {
		t.Errorf("urgency %d at once", got)
	}
	sw.clock.tick.Add(int64(starveAfter/janitorEvery) + 1)
	sw.priorities.update(all, &sw.counts)
	if got := urgencyOf(c); got != urgencyLeast {
		t.Errorf("urgency %d after %v", got, starveAfter)
	}
}

// TestIdleCircuitsAreParked waits until the goroutines of an open circuit are
// replaced, and uses it again: from either side, and for replies of its own.
func TestIdleCircuitsAreParked(t *testing.T) {
	bubble(t, 2, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		for round := range 4 {
			advance(parkAfter + time.Second)
			synctest.Wait()
			circ := m.only(0)
			if circ.upPark.awake.Load() || circ.downPark.awake.Load() {
				t.Fatalf("round %d: forward awake %v, backward %v", round, circ.upPark.awake.Load(), circ.downPark.awake.Load())
			}
			hop := round % 2
			c.send(hop, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
			c.expect(t, hop, cell.Pong)
			synctest.Wait()
			if !circ.upPark.awake.Load() || !circ.downPark.awake.Load() {
				t.Errorf("round %d: a cell wakes nobody", round)
			}
		}
		advance(parkAfter + time.Second)
		synctest.Wait()
		m.only(1).close() // the next hop ends while all are parked
		c.expectGone(t)
		m.expectCircuits(0, 0)
	})
}

// TestParkingIsAskedForAgain: a call that was cleared before its goroutine saw
// it, as whoever reads ahead may do, is made again.
func TestParkingIsAskedForAgain(t *testing.T) {
	bubble(t, 2, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		circ := m.only(0)
		circ.upPark.wanted.Store(true)
		circ.downPark.wanted.Store(true)
		c.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
		c.expect(t, 0, cell.Pong)
		advance(parkAfter + time.Second)
		synctest.Wait()
		if circ.upPark.awake.Load() || circ.downPark.awake.Load() {
			t.Errorf("forward awake %v, backward %v", circ.upPark.awake.Load(), circ.downPark.awake.Load())
		}
		m.expectCircuits(1, 1)
		reset(c.s)
	})
}
