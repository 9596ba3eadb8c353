package program

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Ready is the one line that a long-running program prints on stdout once it
// serves.
type Ready struct {
	Program string `json:"program"`
	ID      string `json:"id"`
	Listen  string `json:"listen"`
	Network string `json:"network"`
	Lab     bool   `json:"lab"`
}

// Print writes the line, as text or as one JSON object.
func (r Ready) Print(w io.Writer, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(struct {
			V    int    `json:"v"`
			Type string `json:"type"`
			Ready
		}{1, "ready", r})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	lab := "no"
	if r.Lab {
		lab = "LAB"
	}
	_, err := fmt.Fprintf(w, "ready %s id=%s listen=%s network=%s lab=%s\n", r.Program, r.ID, r.Listen, ReadyText(r.Network), lab)
	return err
}

// ReadyText returns a value as it stands in the ready line: in quotes where it
// would not end at the next blank.
func ReadyText(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\"=") {
		return strconv.Quote(s)
	}
	return s
}
