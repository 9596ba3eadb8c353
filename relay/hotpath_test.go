//go:build !race

// The race detector lets pools forget what they hold.

package relay

import (
	"runtime"
	"testing"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// discard is a neighbour that takes everything.
type discard struct{ stream }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// supply is a neighbour that sends the same cells again and again.
type supply struct {
	stream
	cells []byte
}

func (s *supply) Peek(b []byte) (int, error) { return copy(b, s.cells), nil }
func (s *supply) Read(b []byte) (int, error) { return copy(b, s.cells), nil }

// hotCircuit is an open circuit without goroutines and neighbours, and the
// client's layer for it.
func hotCircuit(t testing.TB) (*circuit, *onion.Client) {
	t.Helper()
	m := newMemNet(t, 2, func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true })
	defer m.close()
	tc := m.client()
	if err := tc.build(m.relays[:2]...); err != nil {
		t.Fatal(err)
	}
	old := m.only(0)
	c := m.sw[0].newCircuit(old.peer, discard{new(memStream)})
	c.next = discard{new(memStream)}
	c.layer = old.layer
	old.layer = nil
	c.tx = newSendCredit(cell.CreditMax, cell.CreditMax)
	c.rx.init(cell.CreditMax)
	c.state.Store(int32(stateOpen))
	return c, &tc.onion
}

// relayCells returns a batch of cells with random bodies.
func relayCells() []byte {
	b := make([]byte, batchCells*cell.Size)
	for i := 0; i < len(b); i += cell.Size {
		cell.Header{Type: cell.Relay}.Put(b[i:])
	}
	return b
}

// allocated returns how many objects f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// TestNoAllocationPerCell moves cells through an open circuit, both ways. The
// cipher of a new key after each 64 cells is the only object.
func TestNoAllocationPerCell(t *testing.T) {
	const rounds = 200
	c, client := hotCircuit(t)
	var sealed [rounds + 1][]byte
	for i := range sealed {
		sealed[i] = relayCells()
		for b := sealed[i]; len(b) > 0; b = b[cell.Size:] {
			if err := client.SealForward(cell.Body(b), 1, cell.Message{Command: cell.Drop}); err != nil {
				t.Fatal(err)
			}
		}
	}
	one := func(i int) {
		if err := c.forwardBatch(sealed[i]); err != nil {
			t.Fatal(err)
		}
	}
	one(0)
	const most = rounds*batchCells/onion.RekeyInterval + 50 // and what tests and runtime do
	if n := allocated(func() {
		for i := range rounds {
			one(i + 1)
		}
	}); n > most {
		t.Errorf("forward: %d objects for %d cells, at most %d", n, rounds*batchCells, most)
	}

	in := &cellReader{s: &supply{cells: relayCells()}, clock: &c.sw.clock}
	back := func() {
		buf, cells, err := in.next()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.backwardBatch(cells); err != nil {
			t.Fatal(err)
		}
		batches.Put(buf)
	}
	back()
	if n := allocated(func() {
		for range rounds {
			back()
		}
	}); n > most {
		t.Errorf("backward: %d objects for %d cells, at most %d", n, rounds*batchCells, most)
	}
}

// TestNoAllocationPerReply sends own messages.
func TestNoAllocationPerReply(t *testing.T) {
	const rounds = 200
	c, _ := hotCircuit(t)
	data := make([]byte, cell.DataSize)
	batch := func() {
		for range replyCells {
			if err := c.reply(cell.Message{Command: cell.Pong, Data: data[:16]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.sendReplies(<-c.replies); err != nil {
			t.Fatal(err)
		}
	}
	batch()
	const most = rounds*replyCells/onion.RekeyInterval + 50
	if n := allocated(func() {
		for range rounds {
			batch()
		}
	}); n > most {
		t.Errorf("%d objects for %d cells, at most %d", n, rounds*replyCells, most)
	}
}

// BenchmarkRelayedCell is what a cell costs a relay without QUIC, towards the
// client.
func BenchmarkRelayedCell(b *testing.B) {
	c, _ := hotCircuit(b)
	in := &cellReader{s: &supply{cells: relayCells()}, clock: &c.sw.clock}
	b.ReportAllocs()
	b.SetBytes(cell.Size)
	for n := 0; b.Loop(); n++ {
		if n%batchCells != 0 {
			continue
		}
		buf, cells, err := in.next()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.backwardBatch(cells); err != nil {
			b.Fatal(err)
		}
		batches.Put(buf)
	}
}
