package signer

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"hearsay/directory"
)

// Prober reaches relays over real links.
type Prober interface {
	// Probe dials every address of the descriptor and returns those at which
	// the relay proved its identity. The error says why others did not answer;
	// it is only logged. Safe for concurrent use.
	Probe(ctx context.Context, d *directory.Descriptor) (reached []netip.AddrPort, err error)
}

// Specification constants of probing (SPEC.md §3).
const (
	probeInterval    = 20 * time.Minute // ± a quarter
	reachedWindow    = 45 * time.Minute
	labProbeInterval = 5 * time.Second
	labReachedWindow = 20 * time.Second
	probeTimeout     = 8 * time.Second
	retryFailed      = 4  // a relay that did not answer is tried so many times as often
	maxProbes        = 16 // at once; the others wait
)

// subject is a relay under observation.
type subject struct {
	hash  [32]byte // of the record that was probed last
	next  time.Time
	tried bool // since the record came
	busy  bool
	seen  successes
}

// watcher probes the relays of a store. It is safe for concurrent use.
type watcher struct {
	prober Prober
	lab    bool
	log    func(id directory.RelayID, err error)

	mu       sync.Mutex
	subjects map[directory.RelayID]*subject
	settled  chan struct{} // closed and replaced when a probe ends
}

func newWatcher(p Prober, lab bool, seen map[directory.RelayID]successes, log func(directory.RelayID, error)) *watcher {
	w := &watcher{prober: p, lab: lab, log: log, subjects: make(map[directory.RelayID]*subject), settled: make(chan struct{})}
	for id, s := range seen {
		w.subjects[id] = &subject{seen: s}
	}
	return w
}

func (w *watcher) interval() time.Duration {
	d := probeInterval
	if w.lab {
		d = labProbeInterval
	}
	return d*3/4 + rand.N(d/2)
}

func (w *watcher) window(epoch time.Duration) time.Duration {
	if w.lab {
		return labReachedWindow
	}
	return max(reachedWindow, 3*epoch)
}

// records is the part of gossip.Store that a watcher needs.
type records interface {
	Records() []*directory.Record
	Changed() <-chan struct{}
}

// run probes until ctx ends: new and changed records at once, the others from
// time to time. It returns after its probes have ended.
func (w *watcher) run(ctx context.Context, store records) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, maxProbes)
	for ctx.Err() == nil {
		changed, settled := store.Changed(), w.ended()
		wait := time.Minute
		now := time.Now()
		all := store.Records()
		w.forget(all)
		for _, r := range all {
			if r.Descriptor == nil {
				continue
			}
			due := w.due(r, now)
			if due > 0 {
				wait = min(wait, due)
				continue
			}
			select {
			case places <- struct{}{}:
			default:
				continue // looked at again when a probe ends
			}
			w.begin(r)
			wg.Go(func() {
				defer func() { <-places }()
				w.probe(ctx, r)
			})
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-settled:
		case <-t.C:
		}
		t.Stop()
	}
}

func (w *watcher) ended() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settled
}

// due returns how long until the relay is to be probed; an hour while it is
// being probed, for the end of a probe wakes the loop.
func (w *watcher) due(r *directory.Record, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.subjects[r.ID]
	switch {
	case s == nil:
		return 0
	case s.busy:
		return time.Hour
	case s.hash != r.Hash:
		return 0
	}
	return max(0, s.next.Sub(now))
}

func (w *watcher) begin(r *directory.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.subjects[r.ID]
	if s == nil {
		s = &subject{seen: make(successes)}
		w.subjects[r.ID] = s
	}
	if s.hash != r.Hash {
		s.hash, s.tried = r.Hash, false
	}
	s.busy = true
}

func (w *watcher) probe(ctx context.Context, r *directory.Record) {
	probeCtx, cancel := context.WithTimeout(ctx, probeTimeout)
	reached, err := w.prober.Probe(probeCtx, r.Descriptor)
	cancel()
	if err != nil && ctx.Err() == nil {
		w.log(r.ID, err)
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.subjects[r.ID]
	if s == nil {
		return // its record is gone
	}
	s.busy, s.tried = false, true
	wait := w.interval()
	if len(reached) < len(r.Descriptor.Addrs) {
		wait /= retryFailed
	}
	s.next = now.Add(wait)
	for _, a := range reached {
		s.seen[a] = now
	}
	close(w.settled)
	w.settled = make(chan struct{})
}

// forget drops relays whose records are gone.
func (w *watcher) forget(all []*directory.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	here := make(map[directory.RelayID]bool, len(all))
	for _, r := range all {
		here[r.ID] = true
	}
	for id := range w.subjects {
		if !here[id] {
			delete(w.subjects, id)
		}
	}
}

// candidate is a record and which of its addresses were reached lately.
type candidate struct {
	record  *directory.Record
	reached byte // bit i: address i of the descriptor
}

// candidates returns what is known of the records.
func (w *watcher) candidates(all []*directory.Record, now time.Time, epoch time.Duration) []candidate {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := now.Add(-w.window(epoch))
	list := make([]candidate, 0, len(all))
	for _, r := range all {
		c := candidate{record: r}
		if s := w.subjects[r.ID]; s != nil && r.Descriptor != nil {
			for i, a := range r.Descriptor.Addrs {
				if t, ok := s.seen[a]; ok && !t.Before(since) {
					c.reached |= 1 << i
				}
			}
		}
		list = append(list, c)
	}
	return list
}

// successes returns a copy of what was reached, to be written down.
func (w *watcher) successes() map[directory.RelayID]successes {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[directory.RelayID]successes, len(w.subjects))
	for id, s := range w.subjects {
		if len(s.seen) == 0 {
			continue
		}
		c := make(successes, len(s.seen))
		for a, t := range s.seen {
			c[a] = t
		}
		out[id] = c
	}
	return out
}

// tried tells whether the relay's newest record was probed to the end.
func (w *watcher) tried(id directory.RelayID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.subjects[id]
	return s != nil && s.tried
}
