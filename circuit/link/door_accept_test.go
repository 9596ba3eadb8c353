package link

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

// TestAbuseAcceptLoopNeverBlocks: links that stop anywhere, twice as many as
// the queue of the listener holds, keep nobody waiting.
func TestAbuseAcceptLoopNeverBlocks(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		w.list(a)
		var conns []*quic.Conn
		for i := range 64 {
			c, err := w.raw("3.0.0.1", a, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			switch i % 3 {
			case 1:
				w.rawHello(c, helloCell(clientHello())[:700])
			case 2:
				w.rawHello(c, helloCell(clientHello()))
			}
		}
		began := time.Now()
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		roundTrip(t, w.link(c, a), KindCircuit)
		if took := time.Since(began); took > 10*latency {
			t.Errorf("an honest client waits %v", took)
		}
		for _, c := range conns {
			_ = c.CloseWithError(0, "")
		}
		synctest.Wait()
	})
}

// TestAbuseCircuitsOfARelayLink: a relay has its number of circuits, and no
// more.
func TestAbuseCircuitsOfARelayLink(t *testing.T) {
	for _, k := range []struct {
		relay bool
		most  int
	}{{true, relayCircuits}, {false, clientCircuits}} {
		l := &Link{e: new(Endpoint), relay: k.relay}
		n := 0
		for range 2 * relayCircuits {
			if l.enter(KindCircuit) {
				n++
			}
		}
		if n != k.most {
			t.Errorf("relay %v: %d circuits, want %d", k.relay, n, k.most)
		}
		l.leave(KindCircuit)
		if !l.enter(KindCircuit) {
			t.Error("no room after one ended")
		}
	}
}
