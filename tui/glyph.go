package tui

// glyphs are the signs that screens are drawn with. None carries a meaning alone:
// a word stands beside it.
type glyphs struct {
	h, v                                         string // lines
	tl, tr, bl, br, left, right, up, down, cross string // corners and crossings
	queued, some, all, delivered, failed         string // delivery states
	hop                                          string // between relays of a path
	selected                                     string // mark of the selected row
	verified, unverified, changed, group         string
	connected, partly, offline                   string
	more                                         string // of what is cut
	below                                        string // new messages below
	barDone, barLeft                             string // progress
	on, off                                      string // choices
	dot                                          string // between words
	back                                         string
	secret                                       rune // each character of a passphrase
}

func unicodeGlyphs() glyphs {
	return glyphs{
		h: "─", v: "│", tl: "┌", tr: "┐", bl: "└", br: "┘", left: "├", right: "┤", up: "┴", down: "┬", cross: "┼",
		queued: "·", some: "›", all: "»", delivered: "✓", failed: "!",
		hop: "▸", selected: "▌", verified: "✓", unverified: "?", changed: "‼", group: "#",
		connected: "●", partly: "◐", offline: "○", more: "…", below: "↓", barDone: "█", barLeft: "▁",
		on: "(•)", off: "( )", dot: "·", back: "‹", secret: '·',
	}
}

// asciiGlyphs serve terminals without these signs, and those that draw signs of
// ambiguous width in two cells. Each is as wide as the other, but for all.
func asciiGlyphs() glyphs {
	return glyphs{
		h: "-", v: "|", tl: "+", tr: "+", bl: "+", br: "+", left: "+", right: "+", up: "+", down: "+", cross: "+",
		queued: ".", some: ">", all: ">>", delivered: "+", failed: "!",
		hop: ">", selected: "*", verified: "+", unverified: "?", changed: "!!", group: "#",
		connected: "*", partly: "~", offline: "o", more: "~", below: "v", barDone: "#", barLeft: ".",
		on: "(*)", off: "( )", dot: "-", back: "<", secret: '*',
	}
}
