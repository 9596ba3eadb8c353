package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"hearsay/directory"
	"hearsay/directory/sybil"
)

// Explanation says why a relay stands as it does in a snapshot.
type Explanation struct {
	Relay   directory.RelayID
	Header  *directory.Header
	Listed  bool
	Reasons []sybil.Reason // the first says whether it is listed
	// Differences are those between what was published of the relay, or of the
	// snapshot as a whole, and what votes and rules make. None: the reasons are why.
	Differences []sybil.Difference
	Missing     []string // records that could not be had
}

// Explain judges the snapshot of the case again and says why the relay stands as it
// does. The snapshot must be that of the case's head, verified.
func (c *Case) Explain(s *directory.Snapshot, id directory.RelayID) (*Explanation, error) {
	found, err := sybil.Audit(c.auditInput(s))
	if err != nil {
		return nil, err
	}
	e := &Explanation{Relay: id, Header: &s.Header, Reasons: sybil.Explain(c.Input, found.Output, id), Missing: c.Missing}
	e.Listed = e.Reasons[0].Effect == "listed"
	for _, d := range found.Differences {
		if d.Relay == "" || d.Relay == id.String() {
			e.Differences = append(e.Differences, d)
		}
	}
	return e, nil
}

// PrintText prints an explanation for people.
func PrintText(w io.Writer, e *Explanation) {
	fmt.Fprintf(w, "  epoch %d of %s UTC\n\n", e.Header.Epoch, e.Header.ValidAfter.UTC().Format("2006-01-02 15:04:05"))
	for _, r := range e.Reasons {
		rule := r.Rule
		if r.Effect == "not listed" {
			rule = "not listed, " + rule
		}
		fmt.Fprintf(w, "  %s: %s\n", rule, r.Text)
		for _, s := range r.Signers {
			fmt.Fprintf(w, "      %s: %s\n", s.Signer, signerText(s))
		}
	}
	fmt.Fprintf(w, "\n  next evaluation %s UTC\n", time.Unix(e.Reasons[0].Next, 0).UTC().Format("15:04:05"))
	if len(e.Differences) == 0 && len(e.Missing) == 0 {
		fmt.Fprintf(w, "  verified: %d signed votes and the ledger lead to the signed snapshot\n", len(e.Header.Votes))
	}
	for _, d := range e.Differences {
		fmt.Fprintf(w, "  NOT WHAT THE VOTES SAY: %v\n", d)
	}
	for _, m := range e.Missing {
		fmt.Fprintf(w, "  unchecked: %s\n", m)
	}
}

func signerText(s sybil.SignerVote) string {
	if !s.Said {
		return "does not name it"
	}
	text := fmt.Sprintf("reached %d of %d addresses", s.Reached, s.Tried)
	if s.Bandwidth != 0 {
		text += fmt.Sprintf(", measured %d KiB/s", s.Bandwidth)
	}
	for _, m := range s.Marks {
		text += ", marks it " + m
	}
	if s.Reason != "" {
		text += " (" + s.Reason + ")"
	}
	return text
}

// whyJSON is the first line of an explanation, reasonJSON each other one.
type whyJSON struct {
	V           int                `json:"v"`
	Type        string             `json:"type"`
	Relay       string             `json:"relay"`
	Epoch       uint64             `json:"epoch"`
	Time        string             `json:"time"`
	Listed      bool               `json:"listed"`
	Verified    bool               `json:"verified"`
	Votes       int                `json:"votes"`
	Differences []sybil.Difference `json:"differences"`
	Missing     []string           `json:"missing"`
}

type reasonJSON struct {
	V       int                `json:"v"`
	Type    string             `json:"type"`
	Relay   string             `json:"relay"`
	Rule    string             `json:"rule"`
	Effect  string             `json:"effect"`
	Text    string             `json:"text"`
	Value   uint64             `json:"value"`
	Bound   uint64             `json:"threshold"`
	Unit    string             `json:"unit,omitempty"`
	Group   string             `json:"group,omitempty"`
	Signers []sybil.SignerVote `json:"signers,omitempty"`
	Since   string             `json:"since,omitempty"`
	Until   string             `json:"until,omitempty"`
	Clears  string             `json:"clears,omitempty"`
	Next    string             `json:"next"`
}

// PrintJSON prints an explanation as JSON, one object per line.
func PrintJSON(w io.Writer, e *Explanation) error {
	first := whyJSON{
		V: 1, Type: "why", Relay: e.Relay.String(), Epoch: e.Header.Epoch, Time: jsonTime(e.Header.ValidAfter.Unix()),
		Listed: e.Listed, Verified: len(e.Differences) == 0 && len(e.Missing) == 0, Votes: len(e.Header.Votes),
		Differences: append([]sybil.Difference{}, e.Differences...), Missing: append([]string{}, e.Missing...),
	}
	lines := []any{first}
	for _, r := range e.Reasons {
		lines = append(lines, reasonJSON{
			V: 1, Type: "reason", Relay: e.Relay.String(), Rule: r.Rule, Effect: r.Effect, Text: r.Text, Value: r.Value, Bound: r.Bound,
			Unit: r.Unit, Group: r.Group, Signers: r.Signers, Since: jsonTime(r.Since), Until: jsonTime(r.Until), Clears: r.Clears, Next: jsonTime(r.Next),
		})
	}
	for _, l := range lines {
		b, err := json.Marshal(l)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// jsonTime writes Unix seconds, and nothing for 0.
func jsonTime(t int64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(t, 0).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
