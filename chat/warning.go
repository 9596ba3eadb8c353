package chat

import (
	"time"

	"hearsay/directory"
)

// Warning is something about the network that people should know: its directory
// was caught lying, is too old, or asks them something.
type Warning struct {
	Kind  string // one of directory's kinds of warnings
	Text  string // in plain words, one line
	Since time.Time
}

// warnings returns what stands now.
func (m *Messenger) warnings() []Warning {
	var list []Warning
	for _, w := range m.views.Warnings(time.Now()) {
		list = append(list, Warning{Kind: string(w.Kind), Text: Sanitize(w.Text), Since: w.Since})
	}
	return list
}

// tellWarnings publishes the warnings that were not told yet in this run, and
// returns what is told now. The age of a snapshot is no event: status shows it.
func (m *Messenger) tellWarnings(told map[string]bool) map[string]bool {
	now := make(map[string]bool)
	for _, w := range m.warnings() {
		if w.Kind == string(directory.WarnStale) || w.Kind == string(directory.WarnEmergency) {
			continue
		}
		now[w.Text] = true
		if !told[w.Text] {
			m.log.Warn("a warning stands against the network's directory", kindKey, w.Kind, errorKey, w.Text)
			m.feed.Publish(Event{Type: ErrorEvent, Kind: KindRefused, Detail: w.Text})
		}
	}
	return now
}

// mayPlace tells whether new mailbox relays may be chosen from a view: not from a
// stale one, whose relays may be what is left of the network for this client alone.
// Local time counts here: a clock that is ahead is for people to find out.
func mayPlace(view *directory.View) error {
	if view.State(time.Now()) < directory.Stale {
		return nil
	}
	return &Error{
		Kind: KindNoNetwork, Text: "the snapshot of the network is more than a day old, so no new mailboxes are chosen",
		Hint: "wait for a newer one, and look at this computer's clock and connection",
	}
}
