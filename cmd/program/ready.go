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
	name := r.Network
	if name == "" || strings.ContainsAny(name, " \t\"=") {
		name = strconv.Quote(name)
	}
	_, err := fmt.Fprintf(w, "ready %s id=%s listen=%s network=%s lab=%s\n", r.Program, r.ID, r.Listen, name, lab)
	return err
}
