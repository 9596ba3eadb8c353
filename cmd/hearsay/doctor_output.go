package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/tui"
)

// doctorOutput prints what the doctor finds.
type doctorOutput interface {
	check(check)
	note(text string) // for people
	speedProgress(circuit.SpeedReport)
	speedResult(circuit.SpeedReport)
	summary(*doctor)
}

// doctorPrinter prints what the doctor finds. relays has it name those of the circuit
// that is measured.
func doctorPrinter(w io.Writer, asJSON, relays bool) doctorOutput {
	if asJSON {
		return &doctorJSON{json.NewEncoder(w), relays}
	}
	return &doctorText{w: w, relays: relays}
}

// doctorList collects checks for the screens.
type doctorList struct{ checks []tui.Check }

func (o *doctorList) check(c check) {
	detail := strings.ReplaceAll(c.Detail, "▸", ">") // the screens may be in ASCII
	o.checks = append(o.checks, tui.Check{Name: c.Name, Result: c.Result, Detail: detail, Fix: c.Fix})
}

func (*doctorList) note(string)                       {}
func (*doctorList) speedProgress(circuit.SpeedReport) {}
func (*doctorList) speedResult(circuit.SpeedReport)   {}
func (*doctorList) summary(*doctor)                   {}

// doctorText prints for people. Each result is a word.
type doctorText struct {
	w      io.Writer
	relays bool // names them
	stage  circuit.SpeedStage
	hops   int
	begun  bool
}

func (o *doctorText) check(c check) {
	fmt.Fprintf(o.w, "%-8s %-13s %s\n", c.Result, c.Name, c.Detail)
	if c.Fix != "" {
		fmt.Fprintf(o.w, "%22s fix: %s\n", "", c.Fix)
	}
}

func (o *doctorText) note(text string) { fmt.Fprintln(o.w, text) }

// speedProgress prints a line when something new is known.
func (o *doctorText) speedProgress(r circuit.SpeedReport) {
	switch {
	case !o.begun:
		o.begun = true
		fmt.Fprintln(o.w, "speed: building a circuit")
	case r.Stage == circuit.SpeedRoundTrips && o.stage == circuit.SpeedBuilding && !o.relays:
		fmt.Fprintln(o.w, "speed: round trips to each hop")
	case r.Stage == circuit.SpeedRoundTrips && o.stage == circuit.SpeedBuilding:
		fmt.Fprintf(o.w, "speed: round trips to you ▸ %s\n", strings.Join(relayNames(r.Circuit.Path), " ▸ "))
	case r.Stage == circuit.SpeedRate && o.stage != circuit.SpeedRate:
		fmt.Fprintln(o.w, "speed: rate, for 4 seconds")
	case r.Stage == circuit.SpeedRate && r.Rate > 0:
		fmt.Fprintf(o.w, "  so far %s\n", perSecond(r.Rate))
	}
	for ; o.hops < len(r.Hops); o.hops++ {
		h := r.Hops[o.hops]
		name := ""
		if o.relays {
			name = relayNames(speedPath(r))[o.hops]
		}
		if h.Answers == 0 {
			fmt.Fprintf(o.w, "  hop %d %-12s no answer\n", o.hops+1, name)
			continue
		}
		fmt.Fprintf(o.w, "  hop %d %-12s least %8s   median %8s   added %8s   %d answers\n", o.hops+1, name, short(h.Min), short(h.Median), short(h.Added), h.Answers)
	}
	o.stage = r.Stage
}

func (o *doctorText) speedResult(r circuit.SpeedReport) {
	switch {
	case r.NoRate != "":
		fmt.Fprintf(o.w, "speed: no rate: %s\n", r.NoRate)
	case r.AtLeast:
		fmt.Fprintf(o.w, "speed: at least %s each way: a limit of the relays was reached first\n", perSecond(r.Rate))
	default:
		fmt.Fprintf(o.w, "speed: %s each way\n", perSecond(r.Rate))
	}
}

func (o *doctorText) summary(d *doctor) {
	if d.failed == 0 && d.warnings == 0 {
		fmt.Fprintln(o.w, "all is well")
	}
}

// speedPath returns the relays of the circuit that was measured.
func speedPath(r circuit.SpeedReport) []directory.RelayID {
	path := append([]directory.RelayID(nil), r.Circuit.Path...)
	if r.Circuit.Destination != (directory.RelayID{}) {
		path = append(path, r.Circuit.Destination)
	}
	for i := len(path); i < len(r.Hops); i++ {
		path = append(path, r.Hops[i].Relay)
	}
	return path
}

func perSecond(rate float64) string {
	if rate >= 1<<20 {
		return fmt.Sprintf("%.1f MiB/s", rate/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB/s", rate/(1<<10))
}

// short writes a duration in milliseconds.
func short(d time.Duration) string {
	if d.Abs() < 100*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// doctorJSON prints one object per line.
type doctorJSON struct {
	enc    *json.Encoder
	relays bool // names them
}

// head begins each object.
type head struct {
	V    int    `json:"v"`
	Type string `json:"type"`
}

// jsonCheck is a check; fix is null if there is nothing to do.
type jsonCheck struct {
	head
	Name   string  `json:"name"`
	Result string  `json:"result"`
	Detail string  `json:"detail"`
	Fix    *string `json:"fix"`
}

func (o *doctorJSON) check(c check) {
	j := jsonCheck{head{1, "check"}, c.Name, c.Result, c.Detail, nil}
	if c.Fix != "" {
		j.Fix = &c.Fix
	}
	o.enc.Encode(j)
}

func (*doctorJSON) note(string) {}

// jsonSpeed is a speed test, under way (type progress) or done (type speed).
type jsonSpeed struct {
	head
	Stage   string    `json:"stage"`
	Shaped  bool      `json:"shaped"`
	Path    []string  `json:"path"` // empty if relays are not named
	Hops    []jsonHop `json:"hops"`
	Rate    *float64  `json:"rate"` // bytes a second each way, null if not measured
	AtLeast bool      `json:"at_least"`
	EchoHop *int      `json:"echo_hop"` // counted from 1, null if none
	NoRate  *string   `json:"no_rate"`
}

// jsonHop is the round trip to one hop; times are null without an answer, and the
// relay if it is not named.
type jsonHop struct {
	Relay   *string  `json:"relay"`
	Answers int      `json:"answers"`
	Min     *float64 `json:"min_ms"`
	Median  *float64 `json:"median_ms"`
	Added   *float64 `json:"added_ms"`
}

var speedStages = [...]string{
	circuit.SpeedBuilding: "building", circuit.SpeedRoundTrips: "round_trips",
	circuit.SpeedRate: "rate", circuit.SpeedDone: "done",
}

func (o *doctorJSON) speedProgress(r circuit.SpeedReport) { o.enc.Encode(o.speed("progress", r)) }

func (o *doctorJSON) speedResult(r circuit.SpeedReport) { o.enc.Encode(o.speed("speed", r)) }

func (o *doctorJSON) speed(kind string, r circuit.SpeedReport) jsonSpeed {
	j := jsonSpeed{head: head{1, kind}, Stage: speedStages[r.Stage], Shaped: r.Shaped, Path: []string{}, Hops: []jsonHop{}}
	if o.relays {
		for _, id := range speedPath(r) {
			j.Path = append(j.Path, id.String())
		}
	}
	for _, h := range r.Hops {
		x := jsonHop{Answers: h.Answers}
		if o.relays {
			id := h.Relay.String()
			x.Relay = &id
		}
		if h.Answers > 0 {
			x.Min, x.Median, x.Added = millis(h.Min), millis(h.Median), millis(h.Added)
		}
		j.Hops = append(j.Hops, x)
	}
	if r.Stage >= circuit.SpeedRate && r.NoRate == "" {
		rate, hop := r.Rate, r.EchoHop+1
		j.Rate, j.EchoHop, j.AtLeast = &rate, &hop, r.AtLeast
	}
	if r.NoRate != "" {
		j.NoRate = &r.NoRate
	}
	return j
}

func millis(d time.Duration) *float64 {
	ms := float64(d.Microseconds()) / 1000
	return &ms
}

func (o *doctorJSON) summary(d *doctor) {
	var network *string
	if d.name != "" {
		name := chat.Sanitize(d.name)
		network = &name
	}
	o.enc.Encode(struct {
		head
		Failed   int     `json:"failed"`
		Warnings int     `json:"warnings"`
		Network  *string `json:"network"`
		Lab      bool    `json:"lab"`
	}{head{1, "summary"}, d.failed, d.warnings, network, d.lab})
}
