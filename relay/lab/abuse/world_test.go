package abuse

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"hearsay/directory"
)

const mib = 1 << 20

// world is a victim, an attacker and, if wanted, an honest client.
type world struct {
	t        *testing.T
	victim   *process
	attacker *process
	honest   *process
	base     stats // of the victim before the attack

	mu      sync.Mutex
	peak    stats
	watched chan struct{}
	over    chan struct{}
}

// worldConfig says what a test needs. The zero value: no relay of the
// attacker, the memory limit of a small machine.
type worldConfig struct {
	maxMemory int64
	relay     relayMode // the attacker's relay, if it has one
}

func newWorld(t *testing.T, cfg worldConfig) *world {
	t.Helper()
	if !full {
		t.Parallel() // nothing is timed
	}
	w := &world{t: t, victim: spawn(t, "victim"), attacker: spawn(t, "attacker"), honest: spawn(t, "honest")}
	if cfg.maxMemory == 0 {
		cfg.maxMemory = 192 * mib
	}
	start := startArgs{Home: t.TempDir(), MaxMemory: cfg.maxMemory}
	if cfg.relay != "" {
		var r directory.Relay
		w.attacker.call("relay", cfg.relay, &r)
		start.Relays = append(start.Relays, r)
	}
	var to target
	w.victim.call("start", start, &to)
	w.attacker.call("target", to, nil)
	w.honest.call("target", to, nil)
	// What everybody needs once, so that it is not taken for a leak.
	w.honest.call("build", loadArgs{Links: 4, Count: 4, Every: time.Millisecond}, nil)
	w.settled()
	w.victim.call("settle", none{}, &w.base)
	w.watch()
	return w
}

// watch notes the victim's highest figures until unwatch.
func (w *world) watch() {
	w.watched, w.over = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.over)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.watched:
				return
			case <-tick.C:
			}
			var s stats
			if w.victim.begin("stats", none{}, &s)() != nil {
				return
			}
			w.mu.Lock()
			w.peak.RSS = max(w.peak.RSS, s.RSS)
			w.peak.Heap = max(w.peak.Heap, s.Heap)
			w.peak.Goroutines = max(w.peak.Goroutines, s.Goroutines)
			w.peak.Circuits = max(w.peak.Circuits, s.Circuits)
			w.mu.Unlock()
		}
	}()
	w.t.Cleanup(w.unwatch)
}

func (w *world) unwatch() {
	if w.watched != nil {
		close(w.watched)
		<-w.over
		w.watched = nil
	}
}

// settled waits until the victim has neither circuits nor, but for a few,
// goroutines more than before, for as long as its slowest time limit.
func (w *world) settled() stats {
	w.t.Helper()
	end := time.After(60*time.Second + 2*patience)
	for {
		var s stats
		w.victim.call("stats", none{}, &s)
		if s.Circuits == 0 && (w.base.Goroutines == 0 || s.Goroutines <= w.base.Goroutines+8) {
			return s
		}
		select {
		case <-end:
			w.t.Fatalf("left after the attack: %+v, before %+v", s, w.base)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// after checks that the attack left nothing behind: no circuits, no
// goroutines, and of the memory at most so many MiB. The end of an attacker's
// link may be lost in the flood; the victim then holds what the link filled
// until it is idle for a minute.
func (w *world) after(what string, left int64) {
	w.t.Helper()
	s := w.settled()
	w.unwatch()
	end := time.After(60*time.Second + 2*patience)
	for over := false; !over; {
		w.victim.call("settle", none{}, &s)
		if raceDetector || s.RSS-w.base.RSS <= left*mib {
			break
		}
		select {
		case <-end:
			over = true
		case <-time.After(time.Second):
		}
	}
	results.check(w.t, what+": goroutines afterwards", s.Goroutines <= w.base.Goroutines+8, fmt.Sprintf("%d", s.Goroutines), fmt.Sprintf("as before (%d)", w.base.Goroutines))
	results.check(w.t, what+": memory left", raceDetector || s.RSS-w.base.RSS <= left*mib, inMiB(s.RSS-w.base.RSS), fmt.Sprintf("≤ %d MiB", left))
}

// below checks the highest memory while it lasted.
func (w *world) below(what string, most int64) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	results.check(w.t, what+": memory at most", raceDetector || w.peak.RSS <= most*mib, inMiB(w.peak.RSS), fmt.Sprintf("≤ %d MiB", most))
}

func inMiB(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/mib) }

// timed checks a time against its target, in full runs only.
func timed(t *testing.T, what string, took, most time.Duration, note string) {
	t.Helper()
	if !full {
		t.Logf("%s: %v %s", what, took, note)
		return
	}
	results.check(t, what, took <= most, fmt.Sprintf("%v %s", took.Round(10*time.Microsecond), note), fmt.Sprintf("≤ %v", most.Round(10*time.Microsecond)))
}
