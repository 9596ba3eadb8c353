package tui

import tea "charm.land/bubbletea/v2"

func groupKeys() []binding {
	return []binding{
		{"group.add", []string{"a"}, "add a member"},
		{"group.remove", []string{"x"}, "remove the member"},
		{"group.rename", []string{"r"}, "rename"},
		{"group.leave", []string{"l"}, "leave"},
		{"group.down", []string{"down", "j"}, "next"},
		{"group.up", []string{"up", "k"}, "previous"},
		{"group.mark", []string{"space"}, "mark a contact"},
		{"group.take", []string{"enter"}, "go on"},
	}
}

// groupCommand runs /group new|add|remove|rename|leave|list.
func (a *App) groupCommand(args string) tea.Cmd { return nil }

// openGroup shows members of a group, and what can be done with it.
func (a *App) openGroup(id string) tea.Cmd { return nil }
