//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// allFaults says that each fault lasts for its whole time and is repeated, and
// that the figures are judged: HEARSAY_FAULTS=full go test -v -run FaultsOfRelays
// ./cmd/hearsay. A machine that runs other tests too says nothing about times.
var allFaults = os.Getenv("HEARSAY_FAULTS") == "full"

// relayFault befalls the process of a relay that a conversation runs over.
type relayFault struct {
	name  string
	side  int // whose circuit: 0 the sender's, 1 the receiver's subscription
	hop   int // 0 guard, 1 layer-2 guard, 2 middle
	full  bool
	do    func(w *network, id string)
	after time.Duration // until undo in a full run
	undo  func(w *network, id string)

	stored, received time.Duration // targets
}

func freeze(w *network, id string) { w.relays[id].cmd.Process.Signal(syscall.SIGSTOP) }
func thaw(w *network, id string)   { w.relays[id].cmd.Process.Signal(syscall.SIGCONT) }
func crash(w *network, id string)  { w.relays[id].kill() }
func repair(w *network, id string) { w.restart(id) }

var relayFaults = []relayFault{
	{name: "SIGSTOP of the sender's middle", hop: 2, do: freeze, after: time.Minute, undo: thaw, stored: 12 * time.Second, received: 25 * time.Second},
	{name: "SIGSTOP of the sender's layer-2 guard", full: true, hop: 1, do: freeze, after: time.Minute, undo: thaw, stored: 12 * time.Second, received: 25 * time.Second},
	{name: "SIGSTOP of the sender's guard", full: true, do: freeze, after: time.Minute, undo: thaw, stored: 12 * time.Second, received: 25 * time.Second},
	{name: "SIGSTOP of the receiver's middle", full: true, side: 1, hop: 2, do: freeze, after: time.Minute, undo: thaw, stored: 12 * time.Second, received: 25 * time.Second},
	{name: "kill -9 of the sender's layer-2 guard", full: true, hop: 1, do: crash, after: 20 * time.Second, undo: repair, stored: 5 * time.Second, received: 20 * time.Second},
	{name: "kill -9 of the sender's middle", full: true, hop: 2, do: crash, after: 20 * time.Second, undo: repair, stored: 5 * time.Second, received: 20 * time.Second},
	{name: "kill -9 of the receiver's layer-2 guard", full: true, side: 1, hop: 1, do: crash, after: 20 * time.Second, undo: repair, stored: 5 * time.Second, received: 20 * time.Second},
	{name: "kill -9 of the receiver's middle", full: true, side: 1, hop: 2, do: crash, after: 20 * time.Second, undo: repair, stored: 5 * time.Second, received: 20 * time.Second},
}

// TestFaultsOfRelays stops and kills processes of relays that a conversation
// runs over: a process that is stopped keeps its sockets and says nothing, one
// that is killed says nothing either. The message that is sent at that moment
// arrives, once; so does one afterwards. How long it took is told, and judged in
// a full run.
func TestFaultsOfRelays(t *testing.T) {
	w := startNetwork(t, 8)
	alice := startScript(t, "hearsay", "rpc", "--home", w.dir+"/alice", "--network", w.link, "--log-level", "warn")
	bob := startScript(t, "hearsay", "rpc", "--home", w.dir+"/bob", "--network", w.link, "--log-level", "warn")
	alice.untilReady()
	bob.untilReady()
	atAlice, atBob := introduce(t, alice, bob, "bob", "alice")
	alice.must(nil, "subscribe", nil)
	bob.must(nil, "subscribe", nil)

	n := 0
	// say sends a message and waits until it has arrived. The fault is undone by back,
	// once, if that is what it takes.
	say := func(back func()) (stored, received time.Duration) {
		t.Helper()
		n++
		text := fmt.Sprint("message ", n)
		began := time.Now()
		var sent struct{ ID string }
		alice.must(&sent, "message.send", map[string]any{"contact": atAlice, "text": text})
		in := func(m message) bool { return m.Text == text && m.Direction == "in" }
		bob.untilOrGuard("received", []*script{alice, bob}, back, func() bool {
			if stored == 0 && slices.ContainsFunc(alice.messages(atAlice), func(m message) bool {
				return m.ID == sent.ID && (m.State == "delivered" || m.Copies != nil && m.Copies.Have > 0)
			}) {
				stored = time.Since(began)
			}
			return slices.ContainsFunc(bob.messages(atBob), in)
		})
		received = time.Since(began)
		if stored == 0 {
			stored = received // it has been there
		}
		return stored, received
	}
	// over returns a relay of a circuit that the next message goes over.
	over := func(f relayFault) (id string) {
		t.Helper()
		s, purpose := alice, "send"
		if f.side == 1 {
			s, purpose = bob, "subscribe"
		}
		s.until("an open circuit to "+purpose, func() bool {
			var st status
			s.must(&st, "status", nil)
			for _, c := range st.Circuits {
				if c.Purpose == purpose && c.State == "open" && len(c.Path) == 3 && w.relays[c.Path[f.hop]] != nil {
					id = c.Path[f.hop]
					return true
				}
			}
			return false
		})
		return id
	}
	// roles says what else a relay is to the two.
	roles := func(id string) (all []string) {
		for _, x := range []struct {
			name string
			s    *script
		}{{"sender", alice}, {"receiver", bob}} {
			var st status
			x.s.must(&st, "status", nil)
			for _, c := range st.Circuits {
				for i, hop := range c.Path {
					if hop == id {
						all = append(all, x.name+"'s "+c.Purpose+" hop "+fmt.Sprint(i))
					}
				}
				if c.Destination != nil && *c.Destination == id {
					all = append(all, x.name+"'s "+c.Purpose+" end")
				}
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	say(nil)
	for _, f := range relayFaults {
		if f.full && !allFaults {
			continue
		}
		id := over(f)
		is := strings.Join(roles(id), ", ")
		f.do(w, id)
		began := time.Now()
		undo := sync.OnceFunc(func() { f.undo(w, id) })
		stored, received := say(undo)
		if allFaults {
			<-time.After(time.Until(began.Add(f.after)))
		}
		undo()
		t.Logf("%-42s stored %6.2f s, received %6.2f s (%s)", f.name, stored.Seconds(), received.Seconds(), is)
		if allFaults && (stored > f.stored || received > f.received) {
			t.Errorf("%s: stored after %v, want %v, received after %v, want %v", f.name, stored, f.stored, received, f.received)
		}
		_, received = say(nil)
		t.Logf("%-42s received %6.2f s", "  afterwards:", received.Seconds())
		if allFaults {
			<-time.After(30 * time.Second)
		}
	}
	var in []string
	for _, m := range bob.messages(atBob) {
		if m.Direction == "in" {
			in = append(in, m.Text)
		}
	}
	slices.Sort(in)
	if once := len(slices.Compact(slices.Clone(in))); len(in) != n || once != n {
		t.Errorf("%d messages arrived, %d of them once, want %d", len(in), once, n)
	}
	alice.shutdown()
	bob.shutdown()
}
