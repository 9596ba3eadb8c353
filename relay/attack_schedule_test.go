package relay

import (
	"crypto/rand"
	"sync"
	"testing"

	"hearsay/circuit/cell"
)

// TestAttackCloseWhileScheduled closes circuits, from all sides, while their cells
// wait to be passed on: none is passed on or counted twice, and none stays
// (CVE-2018-0491 queued what was already queued).
func TestAttackCloseWhileScheduled(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, m *memNet) {
		const circuits = 24
		data := make([]byte, cell.DataSize)
		rand.Read(data)
		var clients []*testClient
		for range circuits {
			c := m.client()
			if err := c.build(m.relays...); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		m.expectCircuits(circuits, circuits, circuits)
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Go(func() { // until somebody closes it
				for range 64 {
					if c.send(2, cell.Message{Command: cell.Echo, Data: data}) != nil {
						return
					}
				}
			})
			wg.Go(func() {
				for range 64 {
					if c.readCell() != nil {
						return
					}
				}
			})
			x := m.sw[i%3].all(nil)[0]
			wg.Go(x.close)
			wg.Go(func() { x.end(EndStalled) })
			wg.Go(func() { reset(c.s) })
		}
		wg.Wait()
		m.expectCircuits(0, 0, 0)
		for i, sw := range m.sw {
			k := sw.Counters()
			sum := uint64(0)
			for _, n := range k.Ended {
				sum += n
			}
			if k.Opened != circuits || sum != circuits {
				t.Errorf("relay %d: %d opened, %d ended: %v", i, k.Opened, sum, k.Ended)
			}
			if most := uint64(circuits * 64); k.Forward > most+8*circuits || k.Echoed > most {
				t.Errorf("relay %d passed on %d cells and echoed %d of %d", i, k.Forward, k.Echoed, most)
			}
		}
	})
}
