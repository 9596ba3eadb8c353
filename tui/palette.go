package tui

// The palette of commands opens with / on empty input.

func paletteKeys() []binding {
	return []binding{
		{"palette.down", []string{"down", "ctrl+n"}, "next command"},
		{"palette.up", []string{"up", "ctrl+p"}, "previous command"},
		{"palette.take", []string{"enter"}, "run it, or write its arguments"},
		{"palette.complete", []string{"tab"}, "complete"},
	}
}
