package circuit_test

import (
	"sync"
	"testing"
	"time"

	"hearsay/circuit"
)

// TestStallMarksNoOtherCircuit: a mailbox relay that stops answering on one
// circuit, to see which others are of the same client, sees nothing on them.
func TestStallMarksNoOtherCircuit(t *testing.T) {
	simulate(t, 10, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.other(c.guard())
		var mu sync.Mutex
		var stalled, last *fakeHop
		asked := map[*fakeHop][]time.Time{}
		x.mu.Lock()
		x.pinged = func(h *fakeHop) bool {
			mu.Lock()
			defer mu.Unlock()
			last = h
			asked[h] = append(asked[h], time.Now())
			return h != stalled
		}
		x.mu.Unlock()
		hopOf := func(k *circuit.Circuit) *fakeHop {
			if _, err := k.Ping(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			return last
		}
		a, b := c.get(send("a", x.id), 20*time.Second), c.get(send("b", x.id), 20*time.Second)
		bAtX, aAtX := hopOf(b), hopOf(a)
		pass(2 * time.Second)
		mu.Lock()
		stalled = aAtX
		mu.Unlock()
		began := time.Now()
		go func() { _, _ = a.Ping(t.Context(), 3) }()
		<-a.Done()
		if d := time.Since(began); d > 8*time.Second {
			t.Errorf("noticed after %v", d)
		}
		mu.Lock()
		defer mu.Unlock()
		if n := len(asked[aAtX]); n < 3 {
			t.Errorf("the silent circuit was asked %d times: nobody looked at it", n)
		}
		for _, at := range asked[bAtX] {
			if at.After(began) {
				t.Errorf("the other circuit was asked %v after the first was stalled", at.Sub(began))
			}
		}
	})
}
