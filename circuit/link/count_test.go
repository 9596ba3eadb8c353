package link

import (
	"testing"
	"time"
)

// TestVolumeOutlivesLinks: what an endpoint has sent and received never falls when
// links end, and it is what the other side has received and sent.
func TestVolumeOutlivesLinks(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2")
		w.list(a, b)
		if got := a.Volume(); got != (Volume{}) {
			t.Errorf("before the first link: %+v", got)
		}
		l := w.link(a, b)
		for range 50 {
			roundTrip(t, l, KindCircuit)
		}
		pass(time.Second)
		open, other := a.Volume(), b.Volume()
		if open.Sent < 1200 || open.Received < 1200 {
			t.Errorf("no more than %+v", open)
		}
		if open.Sent != other.Received || open.Received != other.Sent {
			t.Errorf("one side has %+v, the other %+v", open, other)
		}
		l.Close()
		gone(t, l, time.Second)
		pass(drainClose)
		if len(a.all()) != 0 {
			t.Fatal("the link is still there")
		}
		ended := a.Volume()
		if ended.Sent < open.Sent || ended.Received < open.Received || ended.Sent > open.Sent+1000 {
			t.Errorf("%+v with the link, %+v without it", open, ended)
		}
		roundTrip(t, w.link(a, b), KindCircuit)
		if again := a.Volume(); again.Sent <= ended.Sent || again.Received <= ended.Received {
			t.Errorf("a second link adds nothing: %+v, %+v", ended, again)
		}
	})
}
