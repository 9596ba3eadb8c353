package path

import (
	"fmt"

	"hearsay/directory"
)

// maxNotices bounds what waits for Notices; the oldest are dropped.
const maxNotices = 16

// shareTold is the part of a client's circuits from which it is told that one
// operator has both ends of them.
const shareTold = 0.01

// Notice is something about the choice of relays that people should know.
type Notice struct {
	Guard    directory.RelayID
	Disabled bool   // the guard is not used any more
	Text     string // in words
}

// Notices returns what was noticed since the last call, oldest first.
func (s *Selector) Notices() []Notice {
	list := s.notices
	s.notices = nil
	return list
}

func (s *Selector) notice(n Notice) {
	if len(s.notices) == maxNotices {
		s.notices = s.notices[1:]
	}
	s.notices = append(s.notices, n)
}

// Warnings says in words what now weakens the choice of relays, for a status
// display. It is empty if nothing does.
func (s *Selector) Warnings() []string {
	if s.view == nil {
		return nil
	}
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if s.fresh == directory.Emergency && s.consent {
		add("circuits are built from a snapshot that is more than 3 days old, as you allowed")
	}
	if s.reachable == minRelays {
		add("the network has four usable relays: there is no spare, and no second copy of a message outside its path")
	}
	if n := len(s.order); n == 1 {
		add("one guard serves you: nothing reaches mailboxes on it, and there is none to take its place")
	}
	disabled := 0
	for i := range s.state.Guards {
		if s.state.Guards[i].Disabled {
			disabled++
		}
	}
	if disabled > 0 {
		add("%d of your guards are not used, because most circuits over them failed", disabled)
	}
	if len(s.primaries) > 0 && !s.primaryUp() && s.inUse() {
		add("none of your first %d guards answers; another one is in use", len(s.primaries))
	}
	if share := s.OneOperator(); share >= shareTold {
		add("one operator has both ends of %.0f %% of your circuits", 100*share)
	}
	if like := s.closest(); like > unrelated {
		add("guards or layer-2 guards %s: the network has too few others", map[likeness]string{
			sameAS: "share an AS", samePrefix: "share an address prefix", sameFamily: "belong to one operator",
		}[like])
	}
	return list
}

// closest returns the most telling thing that two primaries, or two layer-2
// guards, or one and the first primary, share.
func (s *Selector) closest() likeness {
	most := unrelated
	k := newKin(nil)
	for _, r := range s.primaries {
		most = max(most, k.like(r))
		k.add(r)
	}
	k = newKin(s.primaries[:min(1, len(s.primaries))])
	for _, r := range s.layer2 {
		if len(s.primaries) > 0 && r == s.primaries[0] {
			continue
		}
		most = max(most, k.like(r))
		k.add(r)
	}
	return most
}
