package path

import (
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of guards (SPEC.md §2).
const (
	primaries         = 3
	day               = 24 * time.Hour
	guardLifetime     = 120 * day // drawn, never used
	confirmedLifetime = 60 * day  // from the first circuit that worked
	unlistedLifetime  = 20 * day
	retryGuard        = 10 * time.Minute // a failed primary, in its first hours
	retryGuardLate    = 90 * time.Minute
	retryLateAfter    = 6 * time.Hour
	retryOfflineMax   = 15 * time.Second // when no primary answers
)

// sameFailure is the time within which several attempts that end count as one
// failure of a guard.
const sameFailure = time.Second

// guardFault is the failure of a guard. It is not kept over restarts.
type guardFault struct {
	since    time.Time
	last     time.Time
	failures int
	retry    time.Time // tried beside the guard in use
	offline  time.Time // tried if no primary is up
}

// keepGuards removes guards whose time is over and draws new ones, so that
// three are listed if the network has them (SPEC.md §2.1).
func (s *Selector) keepGuards(now time.Time) {
	listed := 0
	for i := range s.state.Guards {
		g := &s.state.Guards[i]
		switch isListed := s.guardRelay(g.ID) != nil; {
		case isListed && !g.Unlisted.IsZero():
			g.Unlisted, s.dirty = time.Time{}, true
		case !isListed && g.Unlisted.IsZero():
			g.Unlisted, s.dirty = now.Truncate(time.Second), true
		}
	}
	if !s.mayDraw() {
		return
	}
	before := len(s.state.Guards)
	s.state.Guards = slices.DeleteFunc(s.state.Guards, func(g Guard) bool { return guardIsOver(g, now) })
	s.dirty = s.dirty || len(s.state.Guards) != before
	for _, g := range s.state.Guards {
		if s.guardRelay(g.ID) != nil {
			listed++
		}
	}
	for ; listed < primaries; listed++ {
		r := s.drawDiverse(s.guardWheel, s.guardRelays(), func(r *directory.Relay) bool {
			return s.state.guard(r.ID) < 0
		})
		if r == nil {
			return
		}
		if len(s.state.Guards) == maxGuards && !s.forgetUnlisted() {
			return
		}
		s.state.Guards = append(s.state.Guards, Guard{ID: r.ID, Added: s.past(now, guardLifetime/10)})
		s.dirty = true
	}
}

func guardIsOver(g Guard, now time.Time) bool {
	switch {
	case !g.Unlisted.IsZero() && now.Sub(g.Unlisted) > unlistedLifetime:
		return true
	case !g.Confirmed.IsZero():
		return now.Sub(g.Confirmed) > confirmedLifetime
	}
	return now.Sub(g.Added) > guardLifetime
}

// forgetUnlisted drops the guard that has been unlisted for longest.
func (s *Selector) forgetUnlisted() bool {
	oldest := -1
	for i, g := range s.state.Guards {
		if g.Unlisted.IsZero() {
			continue
		}
		if oldest < 0 || g.Unlisted.Before(s.state.Guards[oldest].Unlisted) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	s.state.Guards = slices.Delete(s.state.Guards, oldest, oldest+1)
	return true
}

// past returns now less a random time of at most the given length, so that a
// stolen state does not tell when the user started or was online.
func (s *Selector) past(now time.Time, most time.Duration) time.Time {
	return now.Add(-time.Duration(s.rnd.Int64N(int64(most)))).Truncate(time.Second)
}

// guardRelay returns the relay of a guard if it is listed as one.
func (s *Selector) guardRelay(id directory.RelayID) *directory.Relay {
	r, ok := s.view.Relay(id)
	if !ok || !eligibleGuard(r) {
		return nil
	}
	return r
}

func (s *Selector) guardRelays() []*directory.Relay {
	var out []*directory.Relay
	for _, g := range s.state.Guards {
		if r := s.guardRelay(g.ID); r != nil && !g.Disabled {
			out = append(out, r)
		}
	}
	return out
}

// primary returns the first three listed guards, in order of preference.
func (s *Selector) primary() []*directory.Relay {
	list := s.guardRelays()
	return list[:min(len(list), primaries)]
}

// up tells whether a guard may be used: it has not failed, or none of the
// primaries answers and this one's turn has come.
func (s *Selector) up(id directory.RelayID, now time.Time) bool {
	f, failed := s.down[id]
	return !failed || !s.anyUp() && !now.Before(f.offline)
}

// pickGuard chooses the guard of a circuit to x (SPEC.md §2.2): the first
// primary that is up and is not x. If x had to be skipped, only the first two
// primaries serve, so that a contact who names x costs at most one more guard.
func (s *Selector) pickGuard(now time.Time, x directory.RelayID) (*directory.Relay, error) {
	list := s.primary()
	if len(list) == 0 {
		return nil, &Error{Why: "no relay of this network may serve as guard"}
	}
	skipped := false
	var retry time.Time
	for i, r := range list {
		if r.ID == x {
			skipped = true
			continue
		}
		if skipped && i > 1 {
			break
		}
		if s.up(r.ID, now) {
			return r, nil
		}
		f := s.down[r.ID]
		if now.Before(f.offline) {
			retry = earlier(retry, f.offline)
		} else { // another primary, which is no choice here, is up
			retry = earlier(retry, f.retry)
		}
	}
	if skipped {
		return nil, &Error{Why: "the mailbox relay is your guard and the second guard does not answer", Retry: retry}
	}
	return nil, &Error{Why: "no guard answers", Retry: retry}
}

// GuardFailed notes that a guard did not answer or was lost. The next primary
// takes its place until the guard answers a retry.
func (s *Selector) GuardFailed(id directory.RelayID, now time.Time) {
	f, failed := s.down[id]
	if failed && now.Sub(f.last) < sameFailure {
		return
	}
	if !failed {
		f.since = now
	}
	f.last = now
	f.failures = min(f.failures+1, 16)
	wait := retryGuard
	if now.Sub(f.since) >= retryLateAfter {
		wait = retryGuardLate
	}
	f.retry = now.Add(wait / s.divide)
	longest := min(retryOfflineMax, backoffMin<<f.failures)
	f.offline = now.Add(time.Duration(s.rnd.Int64N(int64(longest)) + 1))
	s.down[id] = f
}

// GuardAnswers notes that a guard was reached again. If no primary had been
// up, the fault was most likely the client's own network, and all are forgiven.
func (s *Selector) GuardAnswers(id directory.RelayID) {
	if s.view != nil && !s.anyUp() {
		clear(s.down)
	}
	delete(s.down, id)
}

func (s *Selector) anyUp() bool {
	for _, r := range s.primary() {
		if _, failed := s.down[r.ID]; !failed {
			return true
		}
	}
	return false
}

// GuardConfirmed notes that a circuit was built through a guard and asks
// whether it may be used. If not, a better guard has its chance first: the
// circuit is kept and GuardConfirmed called again at the time ask, or the
// circuit is closed if that is zero.
func (s *Selector) GuardConfirmed(id directory.RelayID, now time.Time) (use bool, ask time.Time) {
	s.GuardAnswers(id)
	if i := s.state.guard(id); i >= 0 && s.state.Guards[i].Confirmed.IsZero() {
		s.state.Guards[i].Confirmed = s.past(now, confirmedLifetime/10)
		s.dirty = true
	}
	return true, time.Time{}
}

// LikelyOffline notes a sign that this computer has no network: no address, no
// route. For ten minutes no guard beyond the primaries is tried.
func (s *Selector) LikelyOffline(now time.Time) { s.offlineAt = now }

// Online notes that the network of this computer is back or another one: what
// failed before says nothing about guards, and the first is tried first.
func (s *Selector) Online() {
	s.offlineAt = time.Time{}
	clear(s.down)
}

// GuardIsUp reports whether a guard has not failed since it last answered.
func (s *Selector) GuardIsUp(id directory.RelayID) bool {
	_, failed := s.down[id]
	return !failed
}

// Guard returns the guard that a circuit to x would use now; x is zero if there
// is no destination yet. The error is an *Error.
func (s *Selector) Guard(now time.Time, x directory.RelayID) (*directory.Relay, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	return s.pickGuard(now, x)
}

// Retry returns the failed primary that should be tried next beside the guard
// in use, and when. ok is false if none failed, or if none is up: Path itself
// then offers them in turn.
func (s *Selector) Retry() (r *directory.Relay, at time.Time, ok bool) {
	if s.view == nil {
		return nil, time.Time{}, false
	}
	for _, p := range s.primary() {
		if f, failed := s.down[p.ID]; failed && (r == nil || f.retry.Before(at)) {
			r, at = p, f.retry
		}
	}
	return r, at, r != nil && s.anyUp()
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
