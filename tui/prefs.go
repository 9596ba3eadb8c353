package tui

import "time"

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
	ReducedMotion bool          // nothing moves by itself
	DeleteAfter   time.Duration // of messages in new conversations; 0: keep
	NoColor       bool          // not kept: NO_COLOR and --no-color

	// Keys binds actions to keys by name; see keyTable.
	Keys map[string][]string
}

// DefaultPreferences returns what is in force without a configuration.
func DefaultPreferences() Preferences {
	return Preferences{LockAfter: 15 * time.Minute, Notify: "auto", PathInBar: "names", Theme: "auto"}
}

// CheckKeys tells whether the bindings of a configuration can be used: it fails if
// an action does not exist, a key cannot be bound, or two actions of one mode
// share a key.
func CheckKeys(overrides map[string][]string) error {
	_, err := newKeys(overrides)
	return err
}
