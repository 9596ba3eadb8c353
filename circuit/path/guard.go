package path

import (
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of failing guards (SPEC.md §2.3).
const (
	retryGuard      = 10 * time.Minute // a failed primary, in its first hours
	retryGuardLate  = 90 * time.Minute
	retryLateAfter  = 6 * time.Hour
	retryOfflineMax = 15 * time.Second // when no primary answers
	retryWantedMax  = time.Minute      // when a circuit waits for this guard
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
	wanted   time.Time // the same, if a circuit waits for this guard
	pulled   bool      // a circuit waits: retry is wanted
	offline  time.Time // tried if no guard is up
}

// isPrimary tells whether a guard is one of the primaries.
func (s *Selector) isPrimary(id directory.RelayID) bool {
	return slices.ContainsFunc(s.primaries, func(r *directory.Relay) bool { return r.ID == id })
}

// primaryUp tells whether a primary has not failed since it last answered.
func (s *Selector) primaryUp() bool {
	return slices.ContainsFunc(s.primaries, func(r *directory.Relay) bool { return s.GuardIsUp(r.ID) })
}

// inUse tells whether any guard serves.
func (s *Selector) inUse() bool { return len(s.answered) > 0 || s.primaryUp() }

// pickGuard chooses the guard of a circuit to x (SPEC.md §2.2): the one that
// serves all circuits, or, if that is x, the other of the first two.
func (s *Selector) pickGuard(now time.Time, x directory.RelayID) (*directory.Relay, error) {
	if len(s.primaries) == 0 {
		return nil, &Error{Why: s.noGuards()}
	}
	g, retry := s.first(now)
	if g == nil {
		return nil, &Error{Why: s.noAnswer(now), Retry: retry}
	}
	if g.ID != x {
		return g, nil
	}
	retry = time.Time{}
	serving := s.inUse()
	pair := s.firstTwo(now)
	for _, r := range pair {
		if r.ID == x {
			continue
		}
		f, failed := s.down[r.ID]
		switch {
		case !failed, !serving && !now.Before(f.offline):
			return r, nil
		case !serving:
			retry = earlier(retry, f.offline)
			continue
		}
		// Somebody waits for this guard alone, so it is tried again soon: it
		// learns nothing from that, since it is our guard anyway.
		f.retry, f.pulled = earlier(f.retry, f.wanted), true
		s.down[r.ID] = f
		retry = earlier(retry, f.retry)
	}
	if len(s.order) == 1 {
		return nil, &Error{Why: "the mailbox relay is the only guard of this network that serves you"}
	}
	return nil, &Error{
		Why: "the mailbox relay is your guard, and the guard beside it does not answer; " +
			"a further one would serve only if that lasts for six hours",
		Retry: retry,
	}
}

// first returns the guard of circuits whose destination does not matter, or
// nil and the time when there may be one.
func (s *Selector) first(now time.Time) (g *directory.Relay, retry time.Time) {
	for _, r := range s.primaries {
		if s.GuardIsUp(r.ID) {
			s.allDown = time.Time{}
			return r, time.Time{}
		}
	}
	if s.allDown.IsZero() {
		s.allDown = now
	}
	g, retry = s.further(now)
	if g != nil {
		return g, time.Time{}
	}
	for _, r := range s.primaries {
		f := s.down[r.ID]
		if !now.Before(f.offline) {
			return r, time.Time{}
		}
		retry = earlier(retry, f.offline)
	}
	return nil, retry
}

// firstTwo returns the only guards that a destination can make us use: the
// first two, where those that have failed for hours come last, since nobody
// would wait that long for them.
func (s *Selector) firstTwo(now time.Time) []*directory.Relay {
	pair := make([]*directory.Relay, 0, 2)
	for _, late := range []bool{false, true} {
		for i, r := range s.order {
			f, failed := s.down[r.ID]
			isLate := failed && now.Sub(f.since) >= retryLateAfter/s.divide
			if isLate == late && len(pair) < 2 && (i < len(s.primaries) || s.mayMeet(r.ID)) {
				pair = append(pair, r)
			}
		}
	}
	return pair
}

// mayMeet tells whether a guard beyond the primaries may be used: one that was
// never met is like one that is drawn.
func (s *Selector) mayMeet(id directory.RelayID) bool {
	return s.mayDrawGuards() || s.answered[id] || s.isConfirmed(id)
}

func (s *Selector) isConfirmed(id directory.RelayID) bool {
	i := s.state.guard(id)
	return i >= 0 && !s.state.Guards[i].Confirmed.IsZero()
}

// noGuards says why there is no guard at all.
func (s *Selector) noGuards() string {
	for i := range s.state.Guards {
		if g := &s.state.Guards[i]; g.Disabled && s.guardRelay(g.ID) != nil {
			return "every guard of this network that you may use was disabled, because most circuits over it failed"
		}
	}
	if s.guards > 0 && s.held {
		return "a warning stands against the network's directory, so no new guards are chosen, and none of those chosen earlier is listed"
	}
	if s.guards > 0 && !s.mayDraw() {
		return "the snapshot is too old to choose guards, and none of those chosen earlier is listed"
	}
	return "no relay of this network may serve as guard"
}

func (s *Selector) noAnswer(now time.Time) string {
	if now.Sub(s.offlineAt) < likelyDown || now.Sub(s.allDown) >= likelyDown {
		return "no guard answers: this computer may be offline"
	}
	return "no guard answers"
}

// GuardFailed notes that a guard did not answer or was lost. The next primary
// takes its place until the guard answers a retry.
func (s *Selector) GuardFailed(id directory.RelayID, now time.Time) {
	f, failed := s.down[id]
	if s.state.guard(id) < 0 || failed && now.Sub(f.last) < sameFailure {
		return
	}
	if !failed {
		f.since = now
	}
	f.last, f.pulled = now, false
	f.failures = min(f.failures+1, 16)
	wait := retryGuard
	if now.Sub(f.since) >= retryLateAfter/s.divide {
		wait = retryGuardLate
	}
	f.retry = now.Add(wait / s.divide)
	f.offline = now.Add(s.jitter(min(retryOfflineMax, backoffMin<<f.failures)))
	f.wanted = now.Add(s.jitter(min(retryWantedMax, backoffMin<<f.failures)))
	s.down[id] = f
	delete(s.answered, id)
}

// jitter draws uniformly from above zero to most.
func (s *Selector) jitter(most time.Duration) time.Duration {
	return time.Duration(s.rnd.Int64N(int64(most)) + 1)
}

// GuardAnswers notes that a guard was reached again. If no primary had been
// up, the fault was most likely the client's own network, and all are forgiven.
func (s *Selector) GuardAnswers(id directory.RelayID) {
	switch {
	case s.view == nil:
		return
	case !s.isPrimary(id):
		if s.isConfirmed(id) || s.down[id].pulled { // others wait for their turn all the same
			delete(s.down, id)
		}
		return
	}
	if !s.primaryUp() {
		clear(s.down)
	}
	delete(s.down, id)
	s.allDown = time.Time{}
}

// GuardConfirmed notes that a circuit was built through a guard and asks
// whether it may be used. If not, a better guard has its chance first: the
// circuit is kept and GuardConfirmed called again at the time ask, or the
// circuit is closed if that is zero.
func (s *Selector) GuardConfirmed(id directory.RelayID, now time.Time) (use bool, ask time.Time) {
	i := s.state.guard(id)
	switch {
	case i < 0 || s.view == nil || s.guardRelay(id) == nil || s.state.Guards[i].Disabled:
		return false, time.Time{}
	case s.isPrimary(id):
		s.GuardAnswers(id)
	case s.primaryUp() && slices.ContainsFunc(s.firstTwo(now), func(r *directory.Relay) bool { return r.ID == id }):
		delete(s.down, id) // the destination is the guard in use
	default:
		if use, ask = s.furtherAnswers(id, now); !use {
			return false, ask
		}
	}
	s.confirm(i, now)
	return true, time.Time{}
}

// GuardSince returns when a circuit over a guard was first used, as it is
// remembered: a random time too early (SPEC.md §2.1). Zero: never.
func (s *Selector) GuardSince(id directory.RelayID) time.Time {
	if i := s.state.guard(id); i >= 0 {
		return s.state.Guards[i].Confirmed
	}
	return time.Time{}
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

// Retry returns the failed guard that should be tried next beside the guard in
// use, and when: a primary, or one that a circuit waits for. ok is false if
// none failed, or if no guard is up: Path itself then offers them in turn.
func (s *Selector) Retry() (r *directory.Relay, at time.Time, ok bool) {
	for i, g := range s.order {
		f, failed := s.down[g.ID]
		if failed && (i < len(s.primaries) || f.pulled) && (r == nil || f.retry.Before(at)) {
			r, at = g, f.retry
		}
	}
	return r, at, r != nil && s.inUse()
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
