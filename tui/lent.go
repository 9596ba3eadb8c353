package tui

import (
	"cmp"
	"fmt"

	"hearsay/chat"
)

// lentText says how the relay stands that runs beside this profile, in one line.
func lentText(l *chat.LentView) string {
	if l.Problem != "" {
		return "you lend a relay, which does not run: " + sanitizeLine(l.Problem)
	}
	listed := "not listed yet"
	if l.Waits != "" {
		listed = "not listed: " + sanitizeLine(l.Waits)
	}
	if l.Listed {
		listed = "listed as " + sanitizeLine(cmp.Or(l.Name, "a relay"))
	}
	return fmt.Sprintf("you lend a relay at %s: %s, up to %d KiB/s; no path of yours uses it", sanitizeLine(l.Address), listed, l.Bandwidth>>10)
}
