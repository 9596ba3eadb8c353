package path

import (
	"time"

	"hearsay/directory"
)

// Specification constants of guards beyond the primaries (SPEC.md §2.4).
const (
	likelyDown    = 10 * time.Minute // without a primary, the client's network is the likelier fault
	furtherFirst  = 15 * time.Second // the same while no guard was ever confirmed
	primaryChance = 15 * time.Second // that the primaries get when another guard answers
	askAgain      = time.Second
	mostDoublings = 10 // of the wait between two guards that were never met
)

// further returns the guard beyond the primaries that serves or may be tried,
// while no primary is up; or nil and the time when one may be tried.
func (s *Selector) further(now time.Time) (g *directory.Relay, retry time.Time) {
	beyond := s.order[len(s.primaries):]
	for _, r := range beyond {
		if s.answered[r.ID] {
			return r, time.Time{}
		}
	}
	tried := 0
	for _, r := range beyond {
		if f, failed := s.down[r.ID]; failed {
			if !s.isConfirmed(r.ID) && !f.last.Before(s.allDown) {
				tried++
			}
			if !now.Before(f.retry) {
				return r, time.Time{}
			}
			retry = earlier(retry, f.retry)
		} else if s.isConfirmed(r.ID) {
			return r, time.Time{} // met before: nothing is given away
		}
	}
	if !s.mayDrawGuards() {
		return nil, retry
	}
	for _, r := range beyond {
		if _, failed := s.down[r.ID]; failed {
			continue
		}
		turn := s.allDown.Add(s.furtherWait(tried))
		if until := s.offlineAt.Add(likelyDown / s.divide); !s.offlineAt.IsZero() && turn.Before(until) {
			turn = until
		}
		if !now.Before(turn) {
			return r, time.Time{}
		}
		return nil, earlier(retry, turn)
	}
	return nil, retry
}

// furtherWait is how long no primary was up before one more guard is met: 1, 3,
// 7, ... times ten minutes. Whoever cuts a client off must not lead it through
// its whole sample in an hour. A client that never had a guard has none to
// lose, and waits for seconds.
func (s *Selector) furtherWait(tried int) time.Duration {
	wait := likelyDown
	if len(s.state.Guards) == 0 || s.state.Guards[0].Confirmed.IsZero() {
		wait = furtherFirst
	}
	return wait / s.divide * (1<<min(tried+1, mostDoublings) - 1)
}

// furtherAnswers notes that a guard beyond the primaries carried a circuit, and
// tells whether it may be used: the primaries are asked once more before.
func (s *Selector) furtherAnswers(id directory.RelayID, now time.Time) (use bool, ask time.Time) {
	if s.primaryUp() {
		return false, time.Time{}
	}
	if !s.answered[id] {
		s.answered[id] = true
		delete(s.down, id)
		s.chance = now.Add(primaryChance)
		for _, r := range s.primaries {
			f := s.down[r.ID]
			f.retry = now
			s.down[r.ID] = f
		}
	}
	if !now.Before(s.chance) {
		return true, time.Time{}
	}
	for _, r := range s.primaries {
		if s.down[r.ID].last.Before(s.chance.Add(-primaryChance)) {
			return false, earlier(s.chance, now.Add(askAgain))
		}
	}
	return true, time.Time{}
}

// LikelyOffline notes a sign that this computer has no network: no address, no
// route. For ten minutes no guard is tried that was never met.
func (s *Selector) LikelyOffline(now time.Time) { s.offlineAt = now }

// Online notes that the network of this computer is back or another one: what
// failed before says nothing about guards, and the first is tried first.
func (s *Selector) Online() {
	s.offlineAt, s.allDown = time.Time{}, time.Time{}
	clear(s.down)
	clear(s.answered)
}
