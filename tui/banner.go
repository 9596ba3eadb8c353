package tui

import (
	"fmt"
	"strings"

	"hearsay/chat"
)

// banner is the line above the status bar that says in words what people should
// know of the network; empty if there is nothing. The whole text of what stands
// against the network is told once in the conversation.
func (a *App) banner() string {
	if a.gone {
		return "! the daemon has ended: nothing is sent. " + a.keys.of("clear") + " twice leaves; start it again with hearsay daemon"
	}
	list := a.states()
	if len(list) == 0 {
		return ""
	}
	if n := len(list); n > 1 {
		return fmt.Sprintf("! (1 of %d) %s", n, list[0])
	}
	return "! " + list[0]
}

// states is what people should know now, the gravest first.
func (a *App) states() []string {
	var list []string
	clock := false
	for _, w := range a.status.Warnings {
		list = append(list, sanitizeLine(w.Text))
		clock = clock || w.Kind == "clock"
	}
	if s := a.healthWords(); s != "" {
		list = append([]string{s}, list...)
	}
	if d := a.status.ClockSkew; d != 0 && !clock {
		if d < 0 {
			list = append(list, "this computer's clock is "+ageText(-d)+" behind the network: set it")
		} else {
			list = append(list, "this computer's clock is "+ageText(d)+" ahead of the network, or newer snapshots do not come: look at the clock")
		}
	}
	return list
}

// healthWords says in words that nothing can be sent now, and why.
func (a *App) healthWords() string {
	why := strings.TrimSuffix(sanitizeLine(a.status.Why), ".")
	switch {
	case a.status.Health == chat.Offline && why != "":
		return "offline: " + why + "; what you write waits on this disk"
	case a.status.Health == chat.Offline:
		return "offline; what you write waits on this disk"
	case a.status.Health == chat.Building && a.stood:
		return "reconnecting: no circuit stands now; what you write waits on this disk"
	}
	return ""
}

// bannerRows is how many rows the banner takes.
func (a *App) bannerRows() int {
	if a.banner() == "" {
		return 0
	}
	return 1
}

// tellWarnings shows the whole text of a warning that was not there before.
func (a *App) tellWarnings(list []chat.Warning) {
	for _, w := range list {
		known := false
		for _, old := range a.status.Warnings {
			known = known || old.Kind == w.Kind && (old.Text == w.Text || old.Kind == "stale" || old.Kind == "emergency")
		}
		if !known {
			a.notice = sanitizeLine(w.Text)
			return
		}
	}
}
