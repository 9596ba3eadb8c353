package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"
)

// quiet is the white border of a code, in modules.
const quiet = 2

// printQR draws a code on a terminal, and nothing anywhere else. The text
// stands beside it, so one that is too long for a code is left out.
func printQR(w io.Writer, text string) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && width < code.Size+2*quiet {
		fmt.Fprintln(w, "(make the terminal wider to see a QR code here)")
		return
	}
	for _, row := range qrRows(code.Size, code.Black) {
		fmt.Fprintln(w, row)
	}
	fmt.Fprintln(w)
}

// qrRows draws a code in half blocks, two rows of modules to a line, explicitly
// black on white: a code in the colours of a dark terminal is inverted, and
// many readers do not take it.
func qrRows(size int, black func(x, y int) bool) []string {
	const on, off = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
	var rows []string
	for y := -quiet; y < size+quiet; y += 2 {
		var b strings.Builder
		b.WriteString(on)
		for x := -quiet; x < size+quiet; x++ {
			switch top, bottom := black(x, y), black(x, y+1); {
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
		b.WriteString(off)
		rows = append(rows, b.String())
	}
	return rows
}
