package chat

import (
	"sync"
	"time"

	"hearsay/directory"
)

// reach remembers when each mailbox relay was last reached, so that a relay
// which fails can be told from a network that does. It is safe for concurrent
// use.
type reach struct {
	mu   sync.Mutex
	last map[directory.RelayID]time.Time
}

// note notes that a relay answered.
func (r *reach) note(relay directory.RelayID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = make(map[directory.RelayID]time.Time)
	}
	r.last[relay] = time.Now()
}

// others tells whether another relay than the given one answered since then.
func (r *reach) others(relay directory.RelayID, since time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, at := range r.last {
		if id != relay && !at.Before(since) {
			return true
		}
	}
	return false
}

// othersWork tells whether another relay than the given one answered since then
// or has a subscription that stands.
func (m *Messenger) othersWork(relay directory.RelayID, since time.Time) bool {
	if m.reach.others(relay, since) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.inboxes {
		if b.subscribedElsewhere(relay) {
			return true
		}
	}
	return false
}

// failures counts how often a queue failed in a row.
type failures struct {
	times []time.Time
}

// add notes a failure; those older than window do not count any more.
func (f *failures) add(now time.Time, window time.Duration) {
	for len(f.times) > 0 && now.Sub(f.times[0]) > window {
		f.times = f.times[1:]
	}
	f.times = append(f.times, now)
}

// since returns when the first of those that count was, and whether they are
// enough, over a time that outlasts the restart of a relay (SPEC.md §5.6).
func (f *failures) since(now time.Time, span time.Duration) (first time.Time, enough bool) {
	if len(f.times) < moveFailures || now.Sub(f.times[0]) < span {
		return time.Time{}, false
	}
	return f.times[0], true
}

func (f *failures) clear() { f.times = nil }
