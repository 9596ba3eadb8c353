package tui

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is the margin of a code in cells.
const quietZone = 2

// qrLines draws a code as this terminal shows it best. A theme with colours sets
// black on white itself; without colours the code is drawn so that light cells are
// light on the terminal's own background. It is empty if it can not be drawn: the
// signs of ASCII have no half blocks.
func (a *App) qrLines(text string) []string {
	if a.prefs.ASCII {
		return []string{}
	}
	light := a.prefs.NoColor && a.dark // signs are light then, and blanks dark
	rows := qrCells(text, light)
	for i, r := range rows {
		if !a.prefs.NoColor {
			r = a.theme.qr.Render(r)
		}
		rows[i] = r
	}
	if rows == nil {
		rows = []string{}
	}
	return rows
}

// qrRows draws a code in half blocks, two rows of cells to a line, with a quiet
// zone of two. Level L: an invite link gives 41 by 21 cells.
func qrRows(text string) []string { return qrCells(text, false) }

// qrCells is qrRows; with light, signs stand for the light cells.
func qrCells(text string, light bool) []string {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil // longer than any code holds: the text is shown alone
	}
	n := code.Size + 2*quietZone
	sign := func(x, y int) bool {
		if y >= n {
			return false
		}
		return code.Black(x-quietZone, y-quietZone) != light
	}
	var rows []string
	for y := 0; y < n; y += 2 {
		var b strings.Builder
		for x := range n {
			switch top, bottom := sign(x, y), sign(x, y+1); {
			case top && bottom:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case bottom:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		rows = append(rows, b.String())
	}
	return rows
}
