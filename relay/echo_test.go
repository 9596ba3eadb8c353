package relay

import (
	"testing"
	"time"

	"hearsay/circuit/cell"
)

// TestEchoShare: a quarter of the bandwidth is echoed, within the bounds.
func TestEchoShare(t *testing.T) {
	for _, k := range []struct{ bandwidth, want int64 }{
		{0, 4 << 20}, {1 << 20, 512 << 10}, {2 << 20, 512 << 10}, {8 << 20, 2 << 20}, {16 << 20, 4 << 20}, {1 << 40, 4 << 20},
	} {
		if got := echoRate(k.bandwidth); got != k.want {
			t.Errorf("bandwidth %d: %d bytes/s are echoed, want %d", k.bandwidth, got, k.want)
		}
	}
}

// TestEchoesInAll asks a relay of 4 MiB/s for all that several circuits can
// carry: 1 MiB/s comes back, all else is answered by BUSY, and each ECHO by one
// cell.
func TestEchoesInAll(t *testing.T) {
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.Bandwidth = 4 << 20 }, func(t *testing.T, m *memNet) {
		const circuits, seconds = 4, 4
		var all []*testClient
		for range circuits {
			c := m.client()
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
		start := time.Now()
		asked, replies, busy := 0, 0, 0
		for time.Since(start) < seconds*time.Second {
			for _, c := range all {
				for range cell.CreditStep {
					c.send(0, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)})
				}
				asked += cell.CreditStep
				for answered := 0; answered < cell.CreditStep; {
					_, x, err := c.recv()
					if err != nil {
						t.Fatal(err)
					}
					switch x.Command {
					case cell.EchoReply:
						replies++
						answered++
					case cell.EchoBusy:
						busy++
						answered++
					}
				}
			}
			advance(50 * time.Millisecond)
		}
		const most = seconds*(1<<20)/cell.Size + 2*echoCellBurst + 1
		if replies > most || replies < most*8/10 {
			t.Errorf("%d replies in %d s, at most %d", replies, seconds, most)
		}
		if replies+busy != asked || busy == 0 {
			t.Errorf("%d replies and %d BUSY for %d ECHOs", replies, busy, asked)
		}
		k := m.sw[0].Counters()
		if k.Echoed != uint64(replies) || k.EchoBusy != uint64(busy) {
			t.Errorf("counted %d and %d", k.Echoed, k.EchoBusy)
		}
		for _, c := range all {
			reset(c.s)
		}
	})
}
