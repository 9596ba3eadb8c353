package chat

import (
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
)

// TestSubscriptionsBrokenWithoutPause: relays that break each subscription as
// soon as it stands, to see many circuits of one client, see few.
func TestSubscriptionsBrokenWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		w.lab = false
		alice := w.user(t)
		if _, err := alice.CreateInvite(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		subscriptions := func() (list []*fakeRoute) {
			alice.net.mu.Lock()
			defer alice.net.mu.Unlock()
			for r := range alice.net.on {
				if r.info.Purpose == circuit.Subscribe {
					list = append(list, r)
				}
			}
			return list
		}
		broken := 0
		for began := time.Now(); time.Since(began) < 10*time.Minute; {
			time.Sleep(3 * time.Second)
			for _, r := range subscriptions() {
				broken++
				r.Close()
			}
		}
		// Each of two queues: the first, 5 soon, then 2 a minute at most. The
		// second is polled once as well, which begins its back-off anew: 1 and 5.
		if broken < 10 || broken > 2*(1+5+20)+1+5 {
			t.Errorf("%d circuits in 10 minutes", broken)
		}
		time.Sleep(2 * time.Minute)
		if len(subscriptions()) == 0 {
			t.Error("nothing stands when they have stopped")
		}
		began := time.Now()
		for _, r := range subscriptions() {
			r.Close()
		}
		for len(subscriptions()) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("one that stood for long is replaced after %v", d)
		}
	})
}
