package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/audit"
	"hearsay/relay"
)

// Epochs that are audited if nothing else is said, and at most.
const (
	auditDefault = 12
	auditMost    = 10_000
)

func auditCommand(logs *program.LogFlags) *cobra.Command {
	var f readFlags
	var from uint64
	var last int
	cmd := &cobra.Command{
		Use:   "audit [--from EPOCH] [--last N]",
		Short: "Compute snapshots again from votes and ledger",
		Long: `Compute snapshots again: fetch the counted votes, the ledger before and the
descriptors by their hashes, verify them, judge by the rules, and compare the
result with what the signers published, relay by relay. Check that each header
stands in the network's log where it says, and that the log goes back to the first
version of the network file. Name evidence against signers and relays, if any is
held.

It shows that a snapshot follows from its votes, not that votes are true. Exits
with 1 if something differs, with 5 if something could not be had in time.`,
		Example: `  hearsay-directory audit --network HEARSAY-NET:…
  hearsay-directory audit --last 72 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case last < 1 || last > auditMost:
				return program.Usage("", "--last: 1 to %d", auditMost)
			case cmd.Flags().Changed("from") && !cmd.Flags().Changed("last"):
				last = auditMost
			}
			return f.read(cmd, logs, func(ctx context.Context, r *relay.Reader, chain *directory.Chain) error {
				return auditAll(ctx, cmd, r, chain, f, last, from)
			})
		},
	}
	f.add(cmd, 30*time.Minute)
	f.addTable(cmd)
	cmd.Flags().Uint64Var(&from, "from", 0, "first epoch to look at; without --last, all from there on")
	cmd.Flags().IntVar(&last, "last", auditDefault, "how many snapshots to look at, the newest last")
	return cmd
}

type auditJSON struct {
	V           int        `json:"v"`
	Type        string     `json:"type"`
	Epoch       uint64     `json:"epoch"`
	Time        string     `json:"time"`
	OK          bool       `json:"ok"`
	Differences []diffJSON `json:"differences"`
	Faults      []string   `json:"faults"`
	Unchecked   []string   `json:"unchecked"`
	Signed      []string   `json:"signed"`
}

type diffJSON struct {
	Relay     string `json:"relay,omitempty"`
	Field     string `json:"field"`
	Published string `json:"published"`
	Computed  string `json:"computed"`
}

// published is what an audit reads from.
type published interface {
	audit.Source
	Notices(ctx context.Context) ([]*directory.Evidence, []*directory.Successor, error)
}

func auditAll(ctx context.Context, cmd *cobra.Command, r published, chain *directory.Chain, f readFlags, last int, from uint64) error {
	table, err := f.table()
	if err != nil {
		return err
	}
	wrong, open, all := 0, 0, 0
	gone, err := audit.Walk(ctx, r, chain, table, last, from, func(rep *audit.Report) error {
		all++
		if len(rep.Differences) > 0 {
			wrong++
		} else if len(rep.Unchecked) > 0 {
			open++
		}
		if f.json {
			return program.PrintJSON(cmd.OutOrStdout(), reportJSON(rep, chain))
		}
		printReport(cmd.OutOrStdout(), rep, chain)
		return nil
	})
	if err != nil {
		return err
	}
	evidence, _, err := r.Notices(ctx)
	if err != nil {
		return err
	}
	blamed := 0
	for _, e := range evidence {
		if f.json {
			err = program.PrintJSON(cmd.OutOrStdout(), evidenceJSON{1, "evidence", e.Text(), labelList(e.Culprits()), e.Severe(), e.Severe() && chain.Answered(e)})
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "evidence: %s%s\n", e.Text(), answeredText(chain, e))
		}
		if err != nil {
			return err
		}
		if e.Severe() && !chain.Answered(e) {
			blamed++
		}
	}
	if gone != nil {
		program.Warn(cmd.ErrOrStderr(), name, "%v: no snapshot before it is looked at", gone)
	}
	switch {
	case wrong > 0:
		return program.Fail(program.ExitFailure, "ask the founders; their signatures stand under it, and the log keeps it for ever", fmt.Errorf("%d of %d snapshots are not what their votes make them", wrong, all))
	case blamed > 0:
		return program.Fail(program.ExitFailure, "founders answer it with a version of the network file without those keys", errors.New("signers signed two histories"))
	case all == 0:
		return program.Fail(program.ExitNotFound, "", errors.New("there is no snapshot of that epoch or later"))
	}
	if !f.json {
		fmt.Fprintf(cmd.OutOrStdout(), "%d snapshots are what votes, ledger and rules make them; %d not wholly checked\n", all-open, open)
	}
	return nil
}

func reportJSON(r *audit.Report, chain *directory.Chain) auditJSON {
	h := &r.Head.Header
	signed, _ := r.Head.Signers(chain)
	j := auditJSON{
		V: 1, Type: "audit", Epoch: h.Epoch, Time: program.JSONTime(h.ValidAfter), OK: r.OK(),
		Differences: []diffJSON{}, Faults: []string{}, Unchecked: texts(r.Unchecked), Signed: labelList(signed),
	}
	for _, d := range r.Differences {
		j.Differences = append(j.Differences, diffJSON(d))
	}
	for _, f := range r.Faults {
		j.Faults = append(j.Faults, f.String())
	}
	return j
}

func printReport(w io.Writer, r *audit.Report, chain *directory.Chain) {
	h := &r.Head.Header
	signed, _ := r.Head.Signers(chain)
	verdict := "ok"
	switch {
	case len(r.Differences) > 0:
		verdict = "DIFFERS"
	case len(r.Unchecked) > 0:
		verdict = "not wholly checked"
	}
	fmt.Fprintf(w, "epoch %d of %s UTC, %d relays, signed by %s: %s\n", h.Epoch, h.ValidAfter.UTC().Format("2006-01-02 15:04:05"), h.N, labels(signed), verdict)
	for _, d := range r.Differences {
		fmt.Fprintf(w, "  differs: %v\n", d)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "  fault: %v\n", f)
	}
	for _, u := range r.Unchecked {
		fmt.Fprintf(w, "  unchecked: %s\n", u)
	}
}
