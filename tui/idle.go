package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// sleepGap is how long nobody may have asked before the computer counts as having
// slept: an open profile asks every ten seconds, and the clock every minute.
const sleepGap = 75 * time.Second

// idleLock knows when a key was pressed last, by which the profile locks itself,
// and when it looked last, by which it knows that the computer slept. It goes by
// the wall clock: the other one stands still meanwhile.
type idleLock struct {
	last, looked time.Time
	pending      bool // hidden, and not known to be locked
	elsewhere    bool // another terminal unlocked it
}

func (l *idleLock) touch(now time.Time) { l.last = now.Round(0) }

// due tells whether the profile is to be locked, and why.
func (l *idleLock) due(now time.Time, after time.Duration) (why string) {
	now = now.Round(0)
	if l.last.IsZero() || l.last.After(now) { // the start, or a clock set back
		l.last = now
	}
	slept := !l.looked.IsZero() && now.Sub(l.looked) > sleepGap
	l.looked = now
	switch {
	case slept:
		return "locked: the computer slept"
	case after > 0 && now.Sub(l.last) >= after:
		return "locked: no key was pressed for a while"
	}
	return ""
}

// checkIdle locks a profile that nobody used for long, or that slept with its
// computer. It is called at every refresh of the status, at every minute, and
// before a key is taken. A profile without a passphrase stays open: there is
// nothing to unlock it with.
func (a *App) checkIdle() tea.Cmd {
	why := a.idle.due(a.now(), a.prefs.LockAfter)
	if why == "" || a.chat == nil || a.locked || !a.status.Encrypted {
		return nil
	}
	cmd := a.lock()
	a.first.remark = why
	return cmd
}
