package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one line of the table. Targets of 0 are none.
type figure struct {
	name      string
	must, aim float64
	more      bool   // more is better
	unit      string // of all values
	measured  float64
	plain     string // the same of the plain chain, or a remark
}

// verdict says how a figure stands to its targets.
func (f figure) verdict() string {
	reaches := func(target float64) bool {
		if f.more {
			return f.measured >= target
		}
		return f.measured <= target
	}
	switch {
	case f.must == 0 && f.aim == 0:
		return ""
	case f.aim != 0 && reaches(f.aim):
		return "aim"
	case f.must == 0:
		return "missed aim"
	case reaches(f.must):
		return "must"
	}
	return "MISSED"
}

// value writes a number with three figures.
func value(x float64, unit string) string {
	if x == 0 && unit != "" && unit != "allocations" {
		return "–"
	}
	var s string
	switch {
	case x >= 100 || x == 0:
		s = fmt.Sprintf("%.0f", x)
	case x >= 10:
		s = fmt.Sprintf("%.1f", x)
	default:
		s = fmt.Sprintf("%.2f", x)
	}
	if unit == "" {
		return s
	}
	return s + " " + unit
}

// printTable writes all figures.
func printTable(w io.Writer, figures []figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tmust\taim\tmeasured\tmet?\tplain QUIC chain beside it, remark")
	for _, f := range figures {
		target := func(x float64) string {
			if x == 0 {
				return ""
			}
			return value(x, "")
		}
		fmt.Fprintln(t, strings.Join([]string{f.name, target(f.must), target(f.aim), value(f.measured, f.unit), f.verdict(), f.plain}, "\t"))
	}
	return t.Flush()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mib(n int64) float64 { return float64(n) / (1 << 20) }
