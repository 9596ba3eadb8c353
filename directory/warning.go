package directory

import (
	"fmt"
	"slices"
	"time"
)

// WarningKind says what a Warning is about.
type WarningKind string

// The kinds of warnings (SPEC.md §29).
const (
	WarnEvidence  WarningKind = "evidence"  // signers signed two histories
	WarnWitnesses WarningKind = "witnesses" // too few witnesses signed the snapshot
	WarnShrink    WarningKind = "shrink"    // many relays or guards vanished at once
	WarnClock     WarningKind = "clock"     // this computer's clock may be wrong
	WarnWithheld  WarningKind = "withheld"  // who was asked first keeps newer snapshots back
	WarnSuccessor WarningKind = "successor" // founders name another network
	WarnStale     WarningKind = "stale"     // the snapshot is over a day old
	WarnEmergency WarningKind = "emergency" // the snapshot is over three days old
	WarnFounders  WarningKind = "founders"  // founders signed the snapshot in an emergency (SPEC.md §29)
)

// Warning is something about the network's directory that people should know.
type Warning struct {
	Kind  WarningKind
	Text  string // in plain words, without a full stop
	Since time.Time
}

// stopsGuards tells whether no new guards may be taken while the warning stands:
// what the snapshot says of relays may be what somebody wants this reader alone to
// see.
func (w Warning) stopsGuards() bool {
	switch w.Kind {
	case WarnEvidence, WarnWitnesses, WarnShrink:
		return true
	}
	return false
}

// maxWarnings bounds what a Views keeps: nine signers, a network's founders' words,
// and one of each other kind.
const maxWarnings = 32

// Warn replaces all warnings of one kind by those given, and tells the readers of
// the view. Times of those whose text stood before stay. None: the kind is over.
func (s *Views) Warn(kind WarningKind, list ...Warning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next []Warning
	for _, w := range s.warnings {
		if w.Kind != kind {
			next = append(next, w)
		}
	}
	for _, w := range list {
		w.Kind = kind
		for _, old := range s.warnings {
			if old.Kind == kind && old.Text == w.Text {
				w.Since = old.Since
			}
		}
		if len(next) < maxWarnings && !slices.Contains(next, w) {
			next = append(next, w)
		}
	}
	if slices.Equal(next, s.warnings) {
		return
	}
	s.warnings = next
	s.tellLocked()
}

// Warnings returns what stands at the time now, what the age of the view says
// included, the gravest kinds first.
func (s *Views) Warnings(now time.Time) []Warning {
	s.mu.Lock()
	list := slices.Clone(s.warnings)
	v := s.view
	s.mu.Unlock()
	if v != nil {
		if w, ok := v.ageWarning(now); ok {
			list = append(list, w)
		}
	}
	slices.SortStableFunc(list, func(a, b Warning) int { return slices.Index(gravest, a.Kind) - slices.Index(gravest, b.Kind) })
	return list
}

// gravest is the order in which warnings are shown.
var gravest = []WarningKind{
	WarnEvidence, WarnEmergency, WarnWithheld, WarnStale, WarnFounders, WarnWitnesses, WarnShrink, WarnClock, WarnSuccessor,
}

// NoNewGuards tells whether a warning stands for which guards that were never
// used must not be taken. Those there are go on serving.
func (s *Views) NoNewGuards() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.warnings, Warning.stopsGuards)
}

// ageWarning says what the age of the view means for its user.
func (v *View) ageWarning(now time.Time) (Warning, bool) {
	w := Warning{Kind: WarnStale}
	days, hours := Scale(v.lab, staleAge), Scale(v.lab, validAge)
	age := now.Sub(v.validAfter)
	switch v.State(now) {
	case Stale:
		w.Since = v.validAfter.Add(hours)
		w.Text = fmt.Sprintf("the newest snapshot of the network is %s old: no new guards and no new mailboxes until a newer one comes", ageText(age))
	case Emergency:
		w.Kind, w.Since = WarnEmergency, v.validAfter.Add(days)
		w.Text = fmt.Sprintf("the newest snapshot of the network is %s old: it is used only if you say so, and only with the guards you have", ageText(age))
	case Expired:
		w.Kind, w.Since = WarnEmergency, v.validAfter.Add(Scale(v.lab, emergencyAge))
		w.Text = fmt.Sprintf("the newest snapshot of the network is %s old, too old to be used at all", ageText(age))
	default:
		if !v.byFounders {
			return Warning{}, false
		}
		w.Kind, w.Since = WarnFounders, v.validAfter
		w.Text = fmt.Sprintf("emergency: the newest snapshot of the network is signed by founders, not measured; it counts until %s UTC", v.validUntil.UTC().Format(time.DateTime))
	}
	return w, true
}

// ageText says an age in its largest unit, rounded down, so that it changes
// seldom.
func ageText(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / u.unit); n >= 2 || n == 1 && u.unit == time.Second {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "0 seconds"
}

// Shrunk says in words that the network lost more between two views than it does
// by itself: over half of its relays, or over three tenths of its guards. It
// returns an empty string for a change that is usual.
func Shrunk(before, after *View) string {
	if before == nil || len(before.relays) == 0 {
		return ""
	}
	guards, gone := 0, 0
	for i := range before.relays {
		r := &before.relays[i]
		if r.Flags&FlagGuard == 0 {
			continue
		}
		guards++
		if now, ok := after.Relay(r.ID); !ok || now.Flags&FlagGuard == 0 {
			gone++
		}
	}
	switch {
	case 2*len(after.relays) < len(before.relays):
		return fmt.Sprintf("the network shrank from %d relays to %d between two snapshots", len(before.relays), len(after.relays))
	case len(before.relays) >= smallNetwork && 10*gone > 3*guards:
		return fmt.Sprintf("%d of the network's %d guards vanished between two snapshots", gone, guards)
	}
	return ""
}
