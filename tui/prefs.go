package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Preferences are what a person chose for the screens. The zero value is not
// usable; take DefaultPreferences.
type Preferences struct {
	LockAfter     time.Duration // of no key; 0: never. A suspended computer locks at once
	Notify        string        // auto, osc, bell or off
	NotifyContent bool          // show who wrote in a notification; false: "new message" alone
	PathInBar     string        // names or count
	Theme         string        // auto, dark, light, contrast or 16
	ASCII         bool          // borders and glyphs in ASCII
	Mouse         bool
	ReducedMotion bool          // nothing moves by itself: the cursor does not blink
	DeleteAfter   time.Duration // of messages in new conversations; 0: keep
	NoColor       bool          // not kept: NO_COLOR and --no-color

	// Keys binds actions to keys by name; see keyTable.
	Keys map[string][]string
}

// DefaultPreferences returns what is in force without a configuration.
func DefaultPreferences() Preferences {
	return Preferences{LockAfter: 15 * time.Minute, Notify: "auto", PathInBar: "names", Theme: "auto"}
}

// MaxLockAfter is the longest time without a key before a lock, short of never.
const MaxLockAfter = 24 * time.Hour

// Themes lists the themes; the first one is the default.
func Themes() []string { return []string{"auto", "dark", "light", "contrast", "16"} }

// NotifyWays lists the ways of notifying; the first one is the default.
func NotifyWays() []string { return []string{"auto", "osc", "bell", "off"} }

// PathStyles lists how the status bar shows a path; the first one is the default.
func PathStyles() []string { return []string{"names", "count"} }

// DeleteTimes lists after how long messages of new conversations may disappear; 0
// keeps them.
func DeleteTimes() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{0, day, 7 * day, 28 * day}
}

// Check tells whether all choices exist. Its errors name the choice as the
// configuration does.
func (p Preferences) Check() error {
	for _, c := range []struct {
		key, value string
		choices    []string
	}{
		{"theme", p.Theme, Themes()},
		{"notify", p.Notify, NotifyWays()},
		{"path_in_bar", p.PathInBar, PathStyles()},
	} {
		if !slices.Contains(c.choices, c.value) {
			return fmt.Errorf("%s is one of %s, not %q", c.key, strings.Join(c.choices, ", "), sanitizeLine(c.value))
		}
	}
	if p.LockAfter < 0 || p.LockAfter > MaxLockAfter || p.LockAfter > 0 && p.LockAfter < time.Minute {
		return fmt.Errorf("lock_after is 1m to 24h, or 0 for never")
	}
	if !slices.Contains(DeleteTimes(), p.DeleteAfter) {
		return fmt.Errorf("delete_after is 0, 1, 7 or 28 days")
	}
	return CheckKeys(p.Keys)
}

// CheckKeys tells whether the bindings of a configuration can be used: it fails if
// an action does not exist, a key cannot be bound, or two actions of one mode
// share a key.
func CheckKeys(overrides map[string][]string) error {
	_, err := newKeys(overrides)
	return err
}

// prefer puts choices in force, at once.
func (a *App) prefer(p Preferences) {
	a.prefs = p
	a.theme = newTheme(p, a.dark)
	a.forgetLayout()
}

// Actions lists the names of what keys can be bound to.
func Actions() []string {
	var names []string
	for _, g := range keyTable() {
		for _, b := range g.bindings {
			names = append(names, string(b.act))
		}
	}
	return names
}
