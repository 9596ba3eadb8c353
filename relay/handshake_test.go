package relay

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAbuseHandshakeQueueRefusesAtLoad: a queue that would last too long takes
// no more.
func TestAbuseHandshakeQueueRefusesAtLoad(t *testing.T) {
	w := newWorkers()
	w.cost = 10 * time.Millisecond
	n := 0
	for i := range 10000 {
		now := time.Now()
		p := &peer{asked: 1 << 20, askedAt: now, askedFirst: now} // everybody asked for much
		if !w.submit(p, func(bool) {}) {
			break
		}
		n = i + 1
	}
	if want := int(handshakeMaxDelay/w.cost) * w.n / 2; n < want || n > want+w.n {
		t.Errorf("the queue takes %d handshakes, want about %d", n, want)
	}
	if !w.submit(&peer{}, func(bool) {}) {
		t.Error("a link that asked for nothing yet is refused, though it is next")
	}
}

// TestAbuseCreateFloodDelaysItself floods from many links: one that builds a
// circuit now and then is next, whatever is queued.
func TestAbuseCreateFloodDelaysItself(t *testing.T) {
	w := newWorkers()
	const links = 100
	served := 0
	flood := make([]peer, links)
	for range clientCreateBurst {
		for i := range flood {
			w.submit(&flood[i], func(bool) { served++ })
		}
	}
	var honest peer
	for round := range 3 {
		before, done := served, false
		if !w.submit(&honest, func(bool) { done = true }) {
			t.Fatal("refused")
		}
		for !done {
			w.serve(w.next(0, turns))
		}
		// Its n-th waits for at most 2n of each other link.
		if most := (before + links*2*(round+1)); served > most {
			t.Errorf("circuit %d waited for %d of the flood", round, served-before)
		}
	}
}

// TestAbuseFloodLeavesTime: a flood has half of a worker's time, so that the
// rest of the relay goes on, and who builds a circuit now and then waits for one
// job of it at most.
func TestAbuseFloodLeavesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cost, during = time.Millisecond, 400 * time.Millisecond
		w := newWorkers()
		w.n = 1
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.run(ctx) })
		served := 0
		flood := func(p *peer) {
			w.submit(p, func(bool) { served++; time.Sleep(cost) })
		}
		for range 100 {
			var p peer
			for range clientCreateBurst {
				flood(&p)
			}
		}
		old := &peer{askedAt: time.Now(), askedFirst: time.Now().Add(-newLink)}
		began := time.Now()
		for time.Since(began) < during {
			asked, done := time.Now(), make(chan struct{})
			if !w.submit(old, func(bool) { close(done) }) {
				t.Fatal("refused")
			}
			<-done
			if waited := time.Since(asked); waited > cost {
				t.Errorf("an old link waited for %v", waited)
			}
			old.asked = 0 // as some time later
			time.Sleep(7*cost + cost/3)
		}
		whole := time.Since(began)
		cancel()
		wg.Wait()
		if busy := time.Duration(served) * cost; busy > whole/2+2*cost || busy < whole/3 {
			t.Errorf("the flood had %v of %v", busy, whole)
		}
	})
}

// TestAbuseCreateFloodOverNewLinks takes a new link for every few CREATEs: a
// client that has been there for a while does not wait for them at all.
func TestAbuseCreateFloodOverNewLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		var honest peer
		for range 30 { // a circuit every two seconds
			w.submit(&honest, func(bool) {})
			w.serve(w.next(0, turns))
			advance(2 * time.Second)
		}
		waited, done := 0, false
		for range 1000 {
			var p peer
			w.submit(&p, func(bool) { waited++ })
		}
		w.submit(&honest, func(bool) { done = true })
		for !done {
			w.serve(w.next(0, turns))
		}
		if waited > 0 {
			t.Errorf("an old link waited for %d new ones", waited)
		}
	})
}

// TestAbuseCreateFloodOfOneClient leaves a relay's link, which carries the
// circuits of many, its share.
func TestAbuseCreateFloodOfOneClient(t *testing.T) {
	w := newWorkers()
	client, relay := &peer{}, &peer{relay: true}
	for range 50 { // a relay that is in use
		w.submit(relay, func(bool) {})
		w.serve(w.next(0, turns))
	}
	waited := 0
	for range clientCreateBurst {
		w.submit(client, func(bool) { waited++ })
	}
	done := false
	w.submit(relay, func(bool) { done = true })
	for !done {
		w.serve(w.next(0, turns))
	}
	if waited > 2 {
		t.Errorf("the relay's CREATE waited for %d of one client", waited)
	}
}

// TestAbuseFloodIsForgotten: who floods is treated as others some time later.
func TestAbuseFloodIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		turn := 0
		for range 1000 {
			turn = p.asksLocked(time.Now())
		}
		if turn != turns-1 {
			t.Errorf("turn %d after a flood", turn)
		}
		advance(10 * createMemory)
		if turn = p.asksLocked(time.Now()); turn != 0 {
			t.Errorf("turn %d some time later", turn)
		}
	})
}

// TestAbuseOldHandshakesAreDropped leaves a CREATE waiting too long.
func TestAbuseOldHandshakesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		late := false
		w.submit(&peer{}, func(l bool) { late = l })
		advance(handshakeMaxAge + time.Second)
		w.serve(w.next(0, turns))
		if !late {
			t.Error("answered after the client has given up")
		}
	})
}
