package relay

import (
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
	if want := int(handshakeMaxDelay/w.cost) * w.n; n < want || n > want+w.n {
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
			w.one()
		}
		// Its n-th waits for at most 2n of each other link.
		if most := (before + links*2*(round+1)); served > most {
			t.Errorf("circuit %d waited for %d of the flood", round, served-before)
		}
	}
}

// TestAbuseCreateFloodOverNewLinks takes a new link for every few CREATEs: a
// client that has been there for a while does not wait for them at all.
func TestAbuseCreateFloodOverNewLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		var honest peer
		for range 30 { // a circuit every two seconds
			w.submit(&honest, func(bool) {})
			w.one()
			advance(2 * time.Second)
		}
		waited, done := 0, false
		for range 1000 {
			var p peer
			w.submit(&p, func(bool) { waited++ })
		}
		w.submit(&honest, func(bool) { done = true })
		for !done {
			w.one()
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
		w.one()
	}
	waited := 0
	for range clientCreateBurst {
		w.submit(client, func(bool) { waited++ })
	}
	done := false
	w.submit(relay, func(bool) { done = true })
	for !done {
		w.one()
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
		w.one()
		if !late {
			t.Error("answered after the client has given up")
		}
	})
}
