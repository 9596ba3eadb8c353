package path

import (
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of the sample (SPEC.md §2.1).
const (
	primaries         = 3
	samplePart        = 5  // of the eligible guards, one in so many
	sampleMin         = 5  // entries that a sample may have in any network
	sampleMax         = 60 // entries that it has in no network
	sampleUsable      = 20 // usable ones up to which it is filled
	sampleNeed        = 2  // usable ones that there are even if it is full
	day               = 24 * time.Hour
	guardLifetime     = 120 * day // from the draw
	confirmedLifetime = 60 * day  // at least, from the first circuit that worked
	unlistedLifetime  = 20 * day
)

// keepGuards removes guards whose time is over and fills the sample
// (SPEC.md §2.1).
func (s *Selector) keepGuards(now time.Time) {
	for i := range s.state.Guards {
		g := &s.state.Guards[i]
		switch isListed := s.guardRelay(g.ID) != nil; {
		case isListed && !g.Unlisted.IsZero():
			g.Unlisted, s.dirty = time.Time{}, true
		case !isListed && g.Unlisted.IsZero():
			g.Unlisted, s.dirty = s.past(now, unlistedLifetime/10), true
		}
	}
	if s.mayDrawGuards() {
		before := len(s.state.Guards)
		s.state.Guards = slices.DeleteFunc(s.state.Guards, func(g Guard) bool { return guardIsOver(g, now) })
		s.dirty = s.dirty || len(s.state.Guards) != before
		s.fillSample(now)
	}
	s.forgetOthers()
}

func guardIsOver(g Guard, now time.Time) bool {
	if !g.Unlisted.IsZero() && now.Sub(g.Unlisted) > unlistedLifetime {
		return true
	}
	return now.Sub(g.Added) > guardLifetime &&
		(g.Confirmed.IsZero() || now.Sub(g.Confirmed) > confirmedLifetime)
}

// fillSample draws guards until enough are usable or the sample is full.
// Guards that fail count as usable: failures must not make us draw others.
func (s *Selector) fillSample(now time.Time) {
	most := min(max(s.guards/samplePart, sampleMin), sampleMax)
	s.arrange()
	usable := len(s.order)
	kin := newKin(s.order)
	for usable < min(sampleUsable, most) {
		if len(s.state.Guards) >= most && usable >= sampleNeed {
			return
		}
		r := s.drawDiverse(s.guardWheel, kin, usable < primaries, func(r *directory.Relay) bool {
			return s.state.guard(r.ID) < 0
		})
		if r == nil || len(s.state.Guards) == maxGuards && !s.forgetUnlisted() {
			return
		}
		s.state.Guards = append(s.state.Guards, Guard{ID: r.ID, Added: s.past(now, guardLifetime/10)})
		kin.add(r)
		usable++
		s.dirty = true
	}
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

// forgetOthers forgets what is noted of relays that left the sample.
func (s *Selector) forgetOthers() {
	for id := range s.down {
		if s.state.guard(id) < 0 {
			delete(s.down, id)
		}
	}
	for id := range s.answered {
		if s.state.guard(id) < 0 {
			delete(s.answered, id)
		}
	}
	for id := range s.building {
		if s.state.guard(id) < 0 {
			delete(s.building, id)
		}
	}
	for id := range s.warned {
		if s.state.guard(id) < 0 {
			delete(s.warned, id)
		}
	}
}

// past returns now less a random time of at most the given length, so that a
// stolen state does not tell when the user started or was online.
func (s *Selector) past(now time.Time, most time.Duration) time.Time {
	return now.Add(-time.Duration(s.rnd.Int64N(int64(most)))).Truncate(time.Second)
}

// guardRelay returns the relay of a guard if it is listed as one.
func (s *Selector) guardRelay(id directory.RelayID) *directory.Relay {
	r, ok := s.view.Relay(id)
	if !ok || !s.mayGuard(r) {
		return nil
	}
	return r
}

// confirm notes that a circuit over a guard is used: confirmed guards come
// first, in the order in which they were confirmed.
func (s *Selector) confirm(i int, now time.Time) {
	g := s.state.Guards[i]
	if !g.Confirmed.IsZero() {
		return
	}
	if s.view != nil && now.Before(s.view.ValidAfter()) {
		now = s.view.ValidAfter()
	}
	g.Confirmed = s.past(now, confirmedLifetime/10)
	to := 0
	for to < i && !s.state.Guards[to].Confirmed.IsZero() {
		to++
	}
	copy(s.state.Guards[to+1:i+1], s.state.Guards[to:i])
	s.state.Guards[to] = g
	s.dirty = true
	if s.view != nil {
		s.arrange()
	}
}
