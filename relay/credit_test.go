package relay

import (
	"encoding/binary"
	"sync"
	"testing"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// TestSendMesKeepTheirOrder: several consumers of one circuit acknowledge at
// once, and the client takes tags in order only.
func TestSendMesKeepTheirOrder(t *testing.T) {
	const consumers, steps = 4, 4000
	c := &circuit{replies: make(chan *localCell, batchCells), done: make(chan struct{})}
	c.rx.window = consumers * steps * cell.CreditStep
	for i := range c.rx.window {
		var tag onion.Tag
		binary.BigEndian.PutUint32(tag[:], uint32(i/cell.CreditStep))
		if err := c.rx.receive(tag); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range consumers {
		wg.Go(func() {
			for range steps * cell.CreditStep {
				if err := c.consumed(1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wrong := 0
	for i := range uint32(consumers * steps) {
		l := <-c.replies
		if binary.BigEndian.Uint32(l.m.Data) != i {
			wrong++
		}
		localCells.Put(l)
	}
	wg.Wait()
	if wrong > 0 {
		t.Errorf("%d of %d SENDMEs are out of order", wrong, consumers*steps)
	}
}
