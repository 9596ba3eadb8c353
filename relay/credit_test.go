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
	const consumers, rounds = 4, 500
	const steps = cell.CreditMax / cell.CreditStep
	c := &circuit{replies: make(chan *localCell, batchCells), done: make(chan struct{})}
	c.rx.init(cell.CreditMax)
	next, wrong := uint32(0), 0
	for round := range uint32(rounds) {
		for i := range uint32(cell.CreditMax) {
			var tag onion.Tag
			binary.BigEndian.PutUint32(tag[:], round*steps+i/cell.CreditStep)
			if err := c.rx.receive(tag); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range consumers {
			wg.Go(func() {
				for range cell.CreditMax / consumers {
					if err := c.consumed(1); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range steps {
			l := <-c.replies
			if binary.BigEndian.Uint32(l.m.Data) != next {
				wrong++
			}
			next++
			localCells.Put(l)
			c.rx.acknowledged()
		}
		wg.Wait()
	}
	if wrong > 0 {
		t.Errorf("%d of %d SENDMEs are out of order", wrong, rounds*steps)
	}
}
