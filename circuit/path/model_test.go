package path

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hearsay/directory"
)

// model is the slow reference: it knows which guards failed, and reads the order
// of guards from the encoded state, as SPEC.md §2 says it.
type model struct {
	s      *Selector
	all    []directory.Relay
	listed []directory.Relay
	fresh  directory.Freshness
	now    time.Time
	failed map[directory.RelayID]bool
}

// order returns the usable guards, best first.
func (m *model) order(t *rapid.T) (usable []directory.RelayID, confirmed map[directory.RelayID]bool) {
	m.s.dirty = true
	st, _ := m.s.State()
	st, err := ParseState(st.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	confirmed = map[directory.RelayID]bool{}
	for _, g := range st.Guards {
		confirmed[g.ID] = !g.Confirmed.IsZero()
		for _, r := range m.listed {
			if r.ID == g.ID && r.Flags&directory.FlagGuard != 0 && !g.Disabled {
				usable = append(usable, g.ID)
			}
		}
	}
	return usable, confirmed
}

func (m *model) primaries(t *rapid.T) []directory.RelayID {
	order, _ := m.order(t)
	return order[:min(3, len(order))]
}

// up returns the first primary that has not failed.
func (m *model) up(t *rapid.T) (id directory.RelayID, ok bool) {
	for _, id := range m.primaries(t) {
		if !m.failed[id] {
			return id, true
		}
	}
	return id, false
}

func (m *model) answered(t *rapid.T, id directory.RelayID) {
	order, confirmed := m.order(t)
	if !slices.Contains(order[:min(3, len(order))], id) {
		if confirmed[id] || m.s.down[id].pulled {
			delete(m.failed, id)
		}
		return
	}
	if _, ok := m.up(t); !ok {
		clear(m.failed)
	}
	delete(m.failed, id)
}

func (m *model) update() {
	m.s.Update(view(m.listed), m.fresh, m.now)
	for id := range m.failed {
		if m.s.state.guard(id) < 0 {
			delete(m.failed, id)
		}
	}
}

// guard draws one of the guards of the sample, or another relay.
func (m *model) guard(t *rapid.T) directory.RelayID {
	if gs := m.s.state.Guards; len(gs) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
		return gs[rapid.IntRange(0, len(gs)-1).Draw(t, "guard")].ID
	}
	return rapid.SampledFrom(m.all).Draw(t, "relay").ID
}

// TestModel runs random operations against the reference.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 60).Draw(t, "relays")
		m := &model{
			all: relays(n), now: t0, failed: map[directory.RelayID]bool{},
			s: New(testNetwork, rapid.Bool().Draw(t, "lab"), newRand(rapid.Uint64().Draw(t, "seed"))),
		}
		m.listed = m.all
		m.update()
		t.Repeat(map[string]func(*rapid.T){
			"path": func(t *rapid.T) {
				x := none
				if rapid.Bool().Draw(t, "to") {
					x = rapid.SampledFrom(m.all).Draw(t, "x").ID
				}
				m.path(t, x)
			},
			"guard fails": func(t *rapid.T) {
				if id := m.guard(t); m.s.state.guard(id) >= 0 {
					m.s.GuardFailed(id, m.now)
					m.failed[id] = true
				} else {
					m.s.GuardFailed(id, m.now)
				}
			},
			"guard answers": func(t *rapid.T) {
				id := m.guard(t)
				m.answered(t, id)
				m.s.GuardAnswers(id)
			},
			"guard carries a circuit": func(t *rapid.T) {
				id := m.guard(t)
				order, _ := m.order(t)
				i := slices.Index(order, id)
				_, anyUp := m.up(t)
				if i >= 0 && i < 3 {
					m.answered(t, id)
				}
				beside := anyUp && slices.ContainsFunc(m.s.firstTwo(m.now), func(r *directory.Relay) bool { return r.ID == id })
				use, ask := m.s.GuardConfirmed(id, m.now)
				switch {
				case i >= 3 && beside:
					if !use {
						t.Fatal("the guard beside the one in use may not be used")
					}
					delete(m.failed, id)
				case i < 0 && use, i >= 3 && anyUp && (use || !ask.IsZero()):
					t.Fatalf("guard %d may be used: %v %v", i, use, ask)
				case i >= 0 && i < 3 && !use:
					t.Fatal("a primary may not be used")
				case i >= 3 && !anyUp:
					delete(m.failed, id)
				}
			},
			"hop fails": func(t *rapid.T) { m.s.Failed(rapid.SampledFrom(m.all).Draw(t, "hop").ID, m.now) },
			"circuits": func(t *rapid.T) {
				bias(m.s, m.guard(t), rapid.IntRange(1, 200).Draw(t, "circuits"), rapid.IntRange(0, 100).Draw(t, "worked"))
			},
			"builds": func(t *rapid.T) {
				profile := rapid.Byte().Draw(t, "profile")
				for range rapid.IntRange(0, 30).Draw(t, "builds") {
					m.s.BuildTook(profile, 3, time.Duration(rapid.Int64().Draw(t, "took")))
					m.s.BuildTimedOut(profile, 3)
				}
				give, closeAt := m.s.BuildTimeout(profile, rapid.IntRange(1, 4).Draw(t, "hops"))
				if give < buildFloor || closeAt < give || closeAt > 8*(buildInitial+80*time.Second)<<maxDoublings {
					t.Fatalf("%v, %v", give, closeAt)
				}
			},
			"network": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "back") {
					m.s.Online()
					clear(m.failed)
				} else {
					m.s.LikelyOffline(m.now)
				}
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(10*day)).Draw(t, "time")))
				m.update()
			},
			"a little time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "time")))
			},
			"snapshot": func(t *rapid.T) {
				m.listed = nil
				for _, r := range m.all {
					if rapid.IntRange(0, 4).Draw(t, "listed") > 0 {
						m.listed = append(m.listed, r)
					}
				}
				m.fresh = rapid.SampledFrom([]directory.Freshness{directory.Fresh, directory.Fresh, directory.Valid, directory.Stale, directory.Emergency}).Draw(t, "fresh")
				m.update()
				if m.fresh == directory.Emergency {
					m.s.Consent(rapid.Bool().Draw(t, "consent"))
				}
			},
			"restart": func(t *rapid.T) {
				before := m.s.state.Append(nil)
				m.s.Settle()
				st, _ := m.s.State()
				st, err := ParseState(st.Append(nil))
				if err != nil {
					t.Fatal(err)
				}
				s := New(testNetwork, m.s.lab, m.s.rnd)
				if err := s.Restore(st); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(before, s.state.Append(nil)) {
					t.Fatal("another state after a restart")
				}
				m.s = s
				clear(m.failed)
				m.update()
			},
			"": func(t *rapid.T) { m.check(t) },
		})
	})
}

// path draws a path and compares its guard with the reference.
func (m *model) path(t *rapid.T, x directory.RelayID) {
	before := m.s.state.Append(nil)
	p, err := m.s.Path(m.now, x)
	if !bytes.Equal(before, m.s.state.Append(nil)) {
		t.Fatal("drawing a path changed what is kept")
	}
	if err != nil {
		if e := new(Error); !asError(err, &e) || e.Why == "" {
			t.Fatal(err)
		}
		return
	}
	checkPath(t, m.s, p, x)
	order, confirmed := m.order(t)
	if !slices.Contains(order, p.Guard.ID) {
		t.Fatal("the guard is not usable")
	}
	want, ok := m.up(t)
	switch {
	case !ok: // one that is offered in turn, or beyond the primaries
	case want != x && p.Guard.ID != want:
		t.Fatal("not the first primary that is up")
	case want == x:
		// Of the guards met, only failed ones may come between the two.
		for _, id := range order {
			if id == p.Guard.ID {
				break
			}
			if id != x && (confirmed[id] || slices.Contains(m.primaries(t), id)) && !m.failed[id] {
				t.Fatal("not the guard beside the destination")
			}
		}
	}
}

func (m *model) check(t *rapid.T) {
	s := m.s
	switch {
	case len(s.state.Guards) > maxGuards, len(s.state.Layer2) > maxLayer2:
		t.Fatal("over the limits")
	case len(s.down) > len(s.state.Guards), len(s.answered) > len(s.state.Guards), len(s.building) > 0, len(s.warned) > len(s.state.Guards):
		t.Fatal("more is remembered of guards than there are")
	case len(s.backoff) > len(m.all), len(s.notices) > maxNotices:
		t.Fatal("memory grows")
	}
	for id := range m.failed {
		if s.GuardIsUp(id) {
			t.Fatal("a guard that failed counts as up")
		}
	}
	for id := range s.down {
		if !m.failed[id] {
			t.Fatal("a guard counts as failed that did not")
		}
	}
	s.Warnings()
	if share := s.OneOperator(); share < 0 || share > 1 {
		t.Fatalf("share %v", share)
	}
}
