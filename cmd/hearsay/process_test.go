package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// each is the number of messages that each side sends.
const each = 100

// TestHundredMessagesEachWayWhileRelaysDie runs a network of separate
// processes. While both sides send, the middle of an open sending circuit is
// killed for good, and later the mailbox relay of one is killed and restarted.
// Each message arrives exactly once, in order but for those marked late.
func TestHundredMessagesEachWayWhileRelaysDie(t *testing.T) {
	w := startNetwork(t, 7)
	alice := startScript(t, "hearsay", "rpc", "--home", w.dir+"/alice", "--network", w.link, "--log-level", "warn")
	bob := startScript(t, "hearsay", "rpc", "--home", w.dir+"/bob", "--network", w.link, "--log-level", "warn")
	alice.untilReady()
	bob.untilReady()
	atAlice, atBob := introduce(t, alice, bob, "bob", "alice")
	for _, s := range []*script{alice, bob} {
		s.must(nil, "subscribe", nil)
	}

	gone := map[string]bool{}
	back := func() {
		for id := range gone {
			w.restart(id)
		}
		clear(gone)
	}
	both := []*script{alice, bob}
	// sending returns an open sending circuit of alice, to a mailbox relay that runs.
	sending := func() (c circuitInfo) {
		t.Helper()
		alice.untilOrGuard("an open sending circuit", both, back, func() bool {
			var st status
			alice.must(&st, "status", nil)
			for _, x := range st.Circuits {
				if x.Purpose == "send" && x.State == "open" && len(x.Path) == 3 && x.Destination != nil && w.relays[x.Path[2]] != nil && !gone[*x.Destination] {
					c = x
					return true
				}
			}
			return false
		})
		return c
	}

	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	var down string
	for i := range each {
		alice.must(nil, "message.send", map[string]any{"contact": atAlice, "text": fmt.Sprint("from alice ", i)})
		bob.must(nil, "message.send", map[string]any{"contact": atBob, "text": fmt.Sprint("from bob ", i)})
		switch i {
		case 20:
			middle := sending().Path[2]
			w.relays[middle].kill()
			gone[middle] = true
			t.Logf("killed the middle %.8s", middle)
		case 60:
			down = *sending().Destination
			w.relays[down].kill()
			t.Logf("killed the mailbox relay %.8s", down)
		case 85:
			w.restart(down)
			t.Logf("restarted it")
		}
		<-pace.C
	}
	last := time.Now()
	check := func(s *script, contact, prefix string) {
		t.Helper()
		s.untilOrGuard("all received", both, back, func() bool {
			n := 0
			for _, m := range s.messages(contact) {
				if m.Direction == "in" {
					n++
				}
			}
			return n >= each
		})
		checkReceived(t, s, contact, prefix)
	}
	check(alice, atAlice, "from bob ")
	check(bob, atBob, "from alice ")
	t.Logf("all received %s after the last send", time.Since(last).Round(time.Millisecond))
	alice.shutdown()
	bob.shutdown()
	for id, r := range w.relays {
		if !gone[id] {
			r.terminate()
		}
	}
	for id, r := range w.relays {
		if gone[id] {
			continue
		}
		if code := r.wait(); code != 0 {
			t.Errorf("a relay exited with %d after SIGTERM: %s", code, r.errors())
		}
	}
}

// checkReceived demands each message exactly once, in the list and among the
// events, in order but for at most ten that are marked late.
func checkReceived(t *testing.T, s *script, contact, prefix string) {
	t.Helper()
	seen := map[string]int{}
	next, late := 0, 0
	lastSeq := uint64(0)
	for _, m := range s.messages(contact) {
		if m.Seq <= lastSeq {
			t.Errorf("seq %d after %d", m.Seq, lastSeq)
		}
		lastSeq = m.Seq
		if m.Direction != "in" {
			continue
		}
		seen[m.Text]++
		var n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(m.Text, prefix), "%d", &n); err != nil {
			t.Errorf("received %q", m.Text)
		}
		if m.Late {
			late++
			continue
		}
		if n < next {
			t.Errorf("%q came after a later one and is not marked late", m.Text)
		}
		next = n + 1
	}
	for i := range each {
		if k := seen[fmt.Sprint(prefix, i)]; k != 1 {
			t.Errorf("%s%d was received %d times", prefix, i, k)
		}
	}
	if late > 10 {
		t.Errorf("%d messages are marked late, at most 10", late)
	}
	events := map[string]int{}
	s.until("all are among the events", func() bool { // which the list may be ahead of
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(events)
		for _, ev := range s.events {
			if ev.Type == "message.received" && ev.Message != nil {
				events[ev.Message.ID]++
			}
		}
		return len(events) >= each
	})
	if len(events) != each {
		t.Errorf("%d messages among the events, want %d", len(events), each)
	}
	for id, k := range events {
		if k != 1 {
			t.Errorf("%s was announced %d times", id, k)
		}
	}
}

// TestStatesWhileTheOtherSideIsAway follows a message from queued to stored at
// both relays while the other side is stopped, never to delivered; another one
// stays queued while all relays are stopped, and arrives after they start.
func TestStatesWhileTheOtherSideIsAway(t *testing.T) {
	w := startNetwork(t, 7)
	alice := startScript(t, "hearsay", "rpc", "--home", w.dir+"/alice", "--network", w.link, "--log-level", "warn")
	bob := startScript(t, "hearsay", "rpc", "--home", w.dir+"/bob", "--network", w.link, "--log-level", "warn")
	alice.untilReady()
	bob.untilReady()
	atAlice, _ := introduce(t, alice, bob, "bob", "alice")
	bob.shutdown()

	state := func(id string) message {
		for _, m := range alice.messages(atAlice) {
			if m.ID == id {
				return m
			}
		}
		t.Fatalf("message %s is gone", id)
		return message{}
	}
	alice.must(nil, "subscribe", nil)
	var sent struct{ ID string }
	alice.must(&sent, "message.send", map[string]any{"contact": atAlice, "text": "are you there?"})
	first := sent.ID
	alice.until("stored 2 of 2", func() bool {
		m := state(first)
		return m.State == "stored" && m.Copies != nil && m.Copies.Have == 2 && m.Copies.Want == 2
	})

	for _, r := range w.relays {
		r.kill()
	}
	alice.must(&sent, "message.send", map[string]any{"contact": atAlice, "text": "and now?"})
	second := sent.ID
	running := 0
	for id := range w.relays {
		// A way to a mailbox relay takes four.
		if s := state(second).State; s != "queued" && running < 4 {
			t.Errorf("state %s while %d relays run", s, running)
		}
		w.restart(id)
		running++
	}
	alice.until("stored 2 of 2 after the restart", func() bool {
		m := state(second)
		return m.State == "stored" && m.Copies != nil && m.Copies.Have == 2
	})
	for _, id := range []string{first, second} {
		if m := state(id); m.State != "stored" {
			t.Errorf("%s is %s while the other side is stopped", id, m.State)
		}
	}

	bob = startScript(t, "hearsay", "rpc", "--home", w.dir+"/bob", "--log-level", "warn")
	atBob := bob.contact("alice")
	bob.until("both received", func() bool { return len(bob.messages(atBob)) == 2 })
	for _, id := range []string{first, second} {
		alice.until("delivered", func() bool { return state(id).State == "delivered" })
	}
	// What the events said: queued, stored, delivered, and never backwards to
	// less than was proven.
	alice.until("both are delivered among the events", func() bool { // which the list may be ahead of
		alice.mu.Lock()
		defer alice.mu.Unlock()
		delivered := map[string]bool{}
		for _, ev := range alice.events {
			if ev.Type != "message.state" {
				continue
			}
			if delivered[ev.ID] && ev.State != "delivered" {
				t.Fatalf("%s went from delivered to %s", ev.ID, ev.State)
			}
			delivered[ev.ID] = delivered[ev.ID] || ev.State == "delivered"
		}
		return delivered[first] && delivered[second]
	})
}
