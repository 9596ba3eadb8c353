package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"
)

// consentMsg tells what came of /consent.
type consentMsg struct{ err error }

// askConsent says once that nothing works without the user's consent.
func (a *App) askConsent(needed bool) {
	if needed && !a.status.Outlook.NeedsConsent {
		a.notice = "the snapshot of the network is more than 3 days old: someone may be keeping newer ones from you; " +
			"/consent uses it all the same, with the guards you have"
	}
}

// consent runs /consent.
func (a *App) consent() tea.Cmd {
	if a.chat == nil {
		return nil
	}
	a.composer.Reset()
	c := a.chat
	return a.call(func(ctx context.Context) tea.Msg { return consentMsg{c.Consent(ctx)} })
}

func (a *App) applyConsent(msg consentMsg) tea.Cmd {
	if msg.err != nil {
		a.notice = errorText(msg.err)
		return nil
	}
	a.notice = "the old snapshot is used until a newer one comes or you quit"
	return a.loadStatus()
}
