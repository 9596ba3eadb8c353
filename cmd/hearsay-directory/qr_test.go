package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"rsc.io/qr"
)

// TestQRRows reads the half blocks back into modules.
func TestQRRows(t *testing.T) {
	code, err := qr.Encode("HEARSAY-NET:ABCDEFG234567", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	rows := qrRows(code.Size, code.Black)
	width := code.Size + 2*quiet
	if want := (width + 1) / 2; len(rows) != want {
		t.Fatalf("%d rows, want %d", len(rows), want)
	}
	dark := 0
	for i, row := range rows {
		text, ok := strings.CutPrefix(row, "\x1b[38;5;16;48;5;231m")
		text, ends := strings.CutSuffix(text, "\x1b[0m")
		if !ok || !ends {
			t.Fatalf("row %d does not choose its colours: %q", i, row)
		}
		if n := utf8.RuneCountInString(text); n != width {
			t.Fatalf("row %d has %d cells, want %d", i, n, width)
		}
		for x, r := range []rune(text) {
			for half, black := range []bool{r == '█' || r == '▀', r == '█' || r == '▄'} {
				y := 2*i + half - quiet
				if black != code.Black(x-quiet, y) {
					t.Errorf("module %d, %d: black %v", x-quiet, y, black)
				}
				if black {
					dark++
				}
			}
		}
	}
	if dark < code.Size*code.Size/4 {
		t.Errorf("%d dark modules", dark)
	}
	var b bytes.Buffer
	printQR(&b, "HEARSAY-NET:ABC")
	if b.Len() != 0 {
		t.Error("a code where no terminal is")
	}
}
