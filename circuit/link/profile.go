package link

import (
	"fmt"
	"time"
)

// Profile is how a client's link is shaped. There are only these four, since
// the profile of a link is visible to whoever watches it.
type Profile byte

// The profiles (SPEC.md §8).
const (
	Off    Profile = 0 // no shaping; padding only where the link is idle
	Saver  Profile = 1 // one cell each way per 5 s
	Normal Profile = 2 // one cell each way per 2 s
	Fast   Profile = 3 // one cell each way per second
)

var profiles = [...]struct {
	name string
	tick time.Duration
	day  int // megabytes
}{
	Off:    {"off", time.Second, 32},
	Saver:  {"saver", 5 * time.Second, 44},
	Normal: {"normal", 2 * time.Second, 111},
	Fast:   {"fast", time.Second, 222},
}

// Valid reports whether p is one of the four profiles.
func (p Profile) Valid() bool { return int(p) < len(profiles) }

// Tick returns the time between two cells. Waits that the design counts in
// ticks use it; in the profile Off, which has no ticks, one counts as a second.
func (p Profile) Tick() time.Duration { return profiles[p].tick }

// MegabytesPerDay returns what a link of the profile costs, both ways, in
// millions of bytes with all headers: exactly that on a shaped link, padding
// alone on one that is off.
func (p Profile) MegabytesPerDay() int { return profiles[p].day }

// String returns the name that people choose the profile by.
func (p Profile) String() string {
	if !p.Valid() {
		return fmt.Sprintf("profile %d", byte(p))
	}
	return profiles[p].name
}

// ParseProfile returns the profile of a name.
func ParseProfile(name string) (Profile, error) {
	for i, p := range profiles {
		if p.name == name {
			return Profile(i), nil
		}
	}
	return 0, fmt.Errorf("link: no cover profile %q; there are off, saver, normal and fast", name)
}

// SetProfile changes how the links of a client are shaped: those that exist
// ask their relays for it, new ones begin with it. No circuit is lost. A link
// changes when its SHAPE has gone out, at most once in 15 s. Nodes that are no
// clients have links that are never shaped; there it does nothing.
func (e *Endpoint) SetProfile(p Profile) {
	if e.cfg.Role != RoleClient || !p.Valid() {
		return
	}
	e.profile.Store(uint32(p))
	for _, h := range e.shapers() {
		h.want(p)
	}
}

// Profile returns how the links of a client are to be shaped; Off for others.
func (e *Endpoint) Profile() Profile { return Profile(e.profile.Load()) }

// WarmUp asks for the rate of a link's beginning once more, on all shaped links
// of a client: eight cells a second each way for 20 s, at most once in 10
// minutes. It reports whether any link may have it now.
func (e *Endpoint) WarmUp() bool {
	any := false
	for _, h := range e.shapers() {
		any = h.warmUp() || any
	}
	return any
}

// shapers returns those of all links that have one.
func (e *Endpoint) shapers() []*shaper {
	e.mu.Lock()
	defer e.mu.Unlock()
	var r []*shaper
	for l := range e.links {
		if h := l.shaper.Load(); h != nil {
			r = append(r, h)
		}
	}
	return r
}

// Profile returns how this side of the link is shaped now. It is Off on links
// between relays.
func (l *Link) Profile() Profile {
	h := l.shaper.Load()
	if h == nil {
		return Off
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.profile
}

// Shaped reports whether this side sends on a schedule.
func (l *Link) Shaped() bool { return l.Profile() != Off }
