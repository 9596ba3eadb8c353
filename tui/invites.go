package tui

import tea "charm.land/bubbletea/v2"

func inviteKeys() []binding {
	return []binding{
		{"invite.copy", []string{"c"}, "copy the link"},
		{"invite.write", []string{"w"}, "write it to a file"},
		{"invite.new", []string{"n"}, "another one"},
		{"invite.revoke", []string{"x"}, "revoke"},
	}
}

func invitesKeys() []binding {
	return []binding{
		{"invites.down", []string{"down", "j"}, "next"},
		{"invites.up", []string{"up", "k"}, "previous"},
		{"invites.show", []string{"enter"}, "show it"},
		{"invites.revoke", []string{"x"}, "revoke"},
		{"invites.invite", []string{"n"}, "new invite"},
		{"invites.address", []string{"a"}, "new address"},
	}
}

func acceptKeys() []binding {
	return []binding{
		{"accept.take", []string{"enter"}, "go on"},
		{"accept.field", []string{"tab", "shift+tab", "up", "down"}, "other field"},
	}
}

// openInvites lists invites and addresses of our own.
func (a *App) openInvites() tea.Cmd { return nil }
