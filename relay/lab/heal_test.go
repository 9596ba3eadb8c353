package lab_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/lab"
)

// fault is something that befalls what a conversation runs over. It returns
// what ends it.
type fault struct {
	name  string
	times int           // in one run, see repetitions
	rest  time.Duration // before it, so that what the last one left is over
	race  bool          // also under the race detector
	do    func(t *testing.T, k *talk, i int) (undo func())

	// Targets, in percentiles of the time from the fault until the message that
	// is sent at that moment is stored once, and received.
	stored, received []target
}

type target struct {
	percent int
	within  time.Duration
}

// faults are those that one network takes one after the other.
var faults = []fault{
	{
		name: "layer-2 guard or middle killed under a send", times: 4, rest: time.Minute, race: true,
		do: func(t *testing.T, k *talk, i int) func() {
			return kill(t, k.inner(i, k.a.open(circuit.Send)...))
		},
		stored:   []target{{95, 5 * time.Second}},
		received: []target{{95, 20 * time.Second}}, // the relay may serve the other side too
	},
	{
		name: "layer-2 guard or middle killed under a subscription", times: 4, rest: time.Minute,
		do: func(t *testing.T, k *talk, i int) func() {
			return kill(t, k.inner(i, k.b.open(circuit.Subscribe)...))
		},
		received: []target{{95, 20 * time.Second}},
	},
	{
		name: "hop stopped", times: 2, rest: time.Minute, race: true,
		do: func(t *testing.T, k *talk, i int) func() {
			victim := k.inner(i, k.either(0), k.either(1))
			if err := victim.Stop(); err != nil {
				t.Fatal(err)
			}
			return func() { start(t, victim) }
		},
		received: []target{{50, 2 * time.Second}, {99, 8 * time.Second}},
	},
	{
		name: "hop restarted", times: 3, rest: time.Minute,
		do: func(t *testing.T, k *talk, i int) func() {
			kill(t, k.inner(i, k.either(0), k.either(1)))()
			return func() {}
		},
		received: []target{{50, 2 * time.Second}, {99, 8 * time.Second}},
	},
	{
		name: "guard of the sender killed", times: 1, rest: 11 * time.Minute, // the first guard is in use again
		do: func(t *testing.T, k *talk, _ int) func() {
			return kill(t, k.n.Relay(k.either(0).Path[0]))
		},
		stored: []target{{99, 15 * time.Second}}, // the relay may serve the receiver too
	},
	{
		name: "guard of the receiver killed", times: 1, rest: 11 * time.Minute,
		do: func(t *testing.T, k *talk, _ int) func() {
			return kill(t, k.n.Relay(k.either(1).Path[0]))
		},
		received: []target{{99, 15 * time.Second}},
	},
	{
		name: "one of two mailbox relays killed", times: 2, rest: time.Minute,
		do: func(t *testing.T, k *talk, _ int) func() {
			return kill(t, k.n.Relay(k.b.open(circuit.Subscribe)[0].Destination))
		},
		received: []target{{95, 20 * time.Second}},
	},
	{
		name: "two hops killed at once", times: 1, rest: time.Minute, race: true,
		do: func(t *testing.T, k *talk, _ int) func() {
			c := k.a.open(circuit.Send)[0]
			one, two := kill(t, k.n.Relay(c.Path[1])), kill(t, k.n.Relay(c.Path[2]))
			return func() { one(); two() }
		},
		received: []target{{95, 25 * time.Second}},
	},
	{
		name: "address changed", times: 3, rest: time.Minute,
		do: func(_ *testing.T, k *talk, _ int) func() {
			k.weather.freeze(true, k.a.sockets()...) // nobody tells the client
			return func() {}
		},
		stored: []target{{95, 5 * time.Second}},
	},
	{
		// It says nothing and ends nothing, as a process that got SIGSTOP.
		name: "relay frozen for a minute", times: 2, rest: 11 * time.Minute,
		do: func(t *testing.T, k *talk, i int) func() {
			victim := k.n.Relay(k.either(i / 3).Path[i%3])
			began := time.Now()
			k.weather.freeze(true, victim.Addr())
			return func() {
				<-time.After(time.Until(began.Add(time.Minute)))
				k.weather.freeze(false, victim.Addr())
				thawed := time.Now()
				<-time.After(2 * time.Minute)
				if n := max(k.a.built(thawed), k.b.built(thawed)); n > 24 {
					t.Errorf("flapping: %d circuits were built in two minutes after a thaw", n)
				}
			}
		},
		stored:   []target{{100, 12 * time.Second}},
		received: []target{{100, 25 * time.Second}},
	},
	{
		// All its guards fail meanwhile. Its system tells when there is a network
		// again.
		name: "an hour without network", times: 1, rest: time.Minute,
		do: func(_ *testing.T, k *talk, _ int) func() {
			k.weather.setDark(true, k.a)
			<-time.After(time.Hour)
			k.weather.setDark(false, k.a)
			k.a.move()
			return func() {}
		},
		stored: []target{{100, 5 * time.Second}},
	},
}

// kill ends a relay as SIGKILL does.
func kill(t *testing.T, r *lab.Relay) (undo func()) {
	r.Kill()
	return func() { start(t, r) }
}

// start starts a relay again.
func start(t *testing.T, r *lab.Relay) {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// inner returns a layer-2 guard or middle of some circuits, in turn. It is no
// guard of either side and no mailbox relay of theirs: that is another fault.
func (k *talk) inner(turn int, circuits ...circuit.Info) *lab.Relay {
	others := map[directory.RelayID]bool{}
	for _, p := range []*person{k.a, k.b} {
		for _, c := range p.Status().Circuits {
			others[c.Destination] = true
			if len(c.Path) > 0 {
				others[c.Path[0]] = true
			}
		}
	}
	var inner []directory.RelayID
	for _, c := range circuits {
		for _, id := range c.Path[1:] {
			if !others[id] {
				inner = append(inner, id)
			}
		}
	}
	if len(inner) == 0 {
		return k.n.Relay(circuits[0].Path[1])
	}
	return k.n.Relay(inner[turn%len(inner)])
}

// either returns a circuit that the next message goes over: one of the sender's
// or the receiver's subscription.
func (k *talk) either(i int) circuit.Info {
	if i%2 == 0 {
		return k.a.open(circuit.Send)[0]
	}
	return k.b.open(circuit.Subscribe)[0]
}

// lostAfter is when a message counts as lost. In a small network a mailbox relay
// may be somebody's second guard: while the first is down, which it is until the
// message has come or is given up, no circuit of theirs leads to it, and the
// receiver gets the other copy at its next poll, after 10 to 20 minutes; or, if the
// other mailbox relay is the guard that is down, when that is back. Mailboxes are
// drawn regardless of guards, which they would show.
const lostAfter = 25 * time.Minute

// TestHealing kills, stops and cuts off what a conversation runs over, and
// measures how long the next message takes, the random wait of its second copy
// (up to 4 s) included. All is in virtual time, over real QUIC, in an ordinary
// network, with the profile off. No message may be lost or come twice. The
// directory node is gone for the second half: what is known of the network is
// enough.
func TestHealing(t *testing.T) {
	talking(t, 10, func(t *testing.T, k *talk) {
		for n, f := range faults {
			if n == len(faults)/2 {
				if err := k.n.StopDirectory(); err != nil {
					t.Fatal(err)
				}
			}
			if only := os.Getenv("HEAL_FAULT"); !strings.Contains(f.name, only) {
				continue
			}
			if raceDetector && !f.race {
				continue // the code is that of the others
			}
			var stored, received, awaited list
			for i := range repetitions(f.times) {
				k.settle(f.rest)
				undo := f.do(t, k, i)
				s, awaits := k.sayThrough(lostAfter)
				undo()
				if awaits {
					awaited = append(awaited, k.follow(s.id, s.text, s.start, 1, 2*lostAfter).received)
					continue
				}
				stored, received = append(stored, s.stored), append(received, s.received)
			}
			t.Logf("%s:\n  stored   %v\n  received %v", f.name, stored, received)
			if len(awaited) > 0 {
				t.Logf("  and where the mailbox relay is a guard and the other one is down: %v", awaited)
				awaited.most(t, f.name+": lost", 100, 2*lostAfter)
			}
			for _, g := range f.stored {
				stored.most(t, f.name+": stored", g.percent, g.within)
			}
			for _, g := range f.received {
				received.most(t, f.name+": received", g.percent, g.within)
			}
			received.most(t, f.name+": lost", 100, lostAfter)
		}
	})
}

// countFor is how long circuits are counted at least.
const countFor = 10 * time.Minute

// TestLoss loses packets each way on all links. Each message is sent when the
// one before has arrived.
func TestLoss(t *testing.T) {
	talking(t, 8, func(t *testing.T, k *talk) {
		for _, w := range []struct {
			percent  int
			p50, p99 time.Duration
		}{{10, 1500 * time.Millisecond, 10 * time.Second}, {30, 8 * time.Second, time.Minute}} {
			if raceDetector && w.percent == 10 {
				continue // the code is the same
			}
			k.settle(time.Minute)
			k.weather.setLoss(w.percent)
			<-time.After(10 * time.Second)
			began := time.Now()
			var received list
			for range repetitions(30) {
				received = append(received, k.say(5*time.Minute).received)
			}
			// Messages may take seconds in all, in which a single circuit would be
			// a rate of dozens a minute.
			if left := countFor - time.Since(began); left > 0 && !raceDetector {
				<-time.After(left)
			}
			minutes := time.Since(began).Minutes()
			built := max(k.a.built(began), k.b.built(began))
			builds := float64(built) / minutes
			k.weather.setLoss(0)
			what := fmt.Sprintf("%d %% lost", w.percent)
			t.Logf("%s: received %v; %.1f circuits a minute and client over %.0f min", what, received, builds, minutes)
			received.most(t, what, 50, w.p50)
			received.most(t, what, 99, w.p99)
			received.most(t, what, 100, 5*time.Minute) // none is lost
			// A short run is over the target by chance: it fails if it is so by more
			// than four standard deviations of a count with that mean.
			if most := 6*minutes + 4*math.Sqrt(6*minutes); builds > 6 && (minutes >= 30 || float64(built) > most) {
				t.Errorf("%s: %.1f circuits are built a minute, want 6 at most", what, builds)
			}
		}
	})
}

// TestTalkBehindCover talks over shaped links in the profile normal.
func TestTalkBehindCover(t *testing.T) {
	talkingBehind(t, "normal", 8, func(t *testing.T, k *talk) {
		k.settle(time.Minute)
		began := time.Now()
		var received list
		for range repetitions(12) {
			received = append(received, k.say(2*time.Minute).received)
			<-time.After(20 * time.Second)
		}
		t.Logf("received: %v; %d circuits in %.0f min", received, k.a.built(began), time.Since(began).Minutes())
		received.most(t, "received", 50, 6*time.Second)
		received.most(t, "received", 95, 15*time.Second)
		received.most(t, "received", 99, 30*time.Second) // circuits are replaced meanwhile
	})
}
