package tui

import (
	"fmt"

	"hearsay/chat"
)

// banner is the line above the status bar that says in words what people should
// know of the network; empty if there is nothing. Its whole text is told once in
// the conversation.
func (a *App) banner() string {
	if a.gone {
		return "! the daemon has ended: nothing is sent. ctrl+c twice leaves; start it again with hearsay daemon"
	}
	list := a.status.Warnings
	if len(list) == 0 {
		return ""
	}
	text := "! " + sanitizeLine(list[0].Text)
	if n := len(list) - 1; n > 0 {
		text = fmt.Sprintf("! (1 of %d) %s", n+1, sanitizeLine(list[0].Text))
	}
	return text
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
