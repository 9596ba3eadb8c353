package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/audit"
	"hearsay/directory/gossip"
	"hearsay/directory/sybil"
	"hearsay/relay"
)

type statusFlags struct {
	home, asTable string
	why, json     bool
	timeout       time.Duration
}

func statusCommand(logs *program.LogFlags) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status --home DIR",
		Short: "Say how the running relay stands",
		Long: `Ask the relay that runs in the home how it stands: whether it is listed, with
which flags and weights, what it carries, how old its snapshot is, and what needs
attention. Numbers of circuits, clients, queues and blocks are rounded up to powers
of two, and the load to two digits, for the last 15 minutes. Traffic is what the
relay's links have sent and received by day and month (UTC), with the headers of
packets, up to the last quarter of an hour, and outlives restarts.

Then the directory's reasons, as ` + "`hearsay-directory why`" + ` gives them: the votes of
the signers are fetched by their hashes and judged again on this computer.`,
		Example: `  hearsay-relay status --home /var/lib/hearsay-relay
  hearsay-relay status --home /var/lib/hearsay-relay --why=false --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return status(cmd, logs, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.home, "home", "", "home of the running relay")
	fl.BoolVar(&f.why, "why", true, "fetch votes and say why it stands as it does")
	fl.StringVar(&f.asTable, "as-table", "", "file of lines `PREFIX ASN`, where the network file names one")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for the reasons")
	fl.BoolVar(&f.json, "json", false, "print JSON, one object per line")
	cmd.MarkFlagRequired("home")
	return cmd
}

func status(cmd *cobra.Command, logs *program.LogFlags, f statusFlags) error {
	log, err := logs.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	s, err := relay.AskStatus(cmd.Context(), f.home)
	switch {
	case errors.Is(err, relay.ErrNotRunning):
		return program.Fail(program.ExitNotFound, "start it with `hearsay-relay run --home "+f.home+"`, or give the --home of the running one", fmt.Errorf("no relay runs in %s", f.home))
	case errors.Is(err, relay.ErrSocketPath):
		return program.Fail(program.ExitUsage, "choose a shorter --home, or go there and give a relative one to both commands", err)
	case err != nil:
		return program.NodeError(err)
	}
	if f.json {
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
	} else {
		printStatus(cmd.OutOrStdout(), s)
	}
	if !f.why || s.Epoch == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	r, err := relay.OpenReader(relay.ReaderConfig{Home: f.home, Log: log})
	if err != nil {
		return program.NodeError(err)
	}
	defer r.Close()
	e, err := reasons(ctx, r, s.ID, f.asTable)
	if err != nil {
		// What the relay said stands; the reasons are the directory's to give.
		program.Warn(cmd.ErrOrStderr(), name, "the directory's reasons are not to be had: %s", reasonText(err))
		return nil
	}
	if f.json {
		return audit.PrintJSON(cmd.OutOrStdout(), e)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\nWhy, by the votes of the signers\n")
	audit.PrintText(cmd.OutOrStdout(), e)
	return nil
}

// reasonText says in words why there are no reasons.
func reasonText(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time; --timeout gives it longer"
	case errors.Is(err, gossip.ErrNotPublished):
		return "no bootstrap has the votes of the newest snapshot"
	case errors.Is(err, audit.ErrASTable):
		return "the network judges by an AS table; give the founders' one with --as-table"
	}
	return err.Error()
}

// reasons fetches what the newest snapshot was made of and judges it again.
func reasons(ctx context.Context, r *relay.Reader, id, asTable string) (*audit.Explanation, error) {
	own, err := directory.ParseRelayID(id)
	if err != nil {
		return nil, err
	}
	var table *sybil.ASTable
	if asTable != "" {
		b, err := os.ReadFile(asTable)
		if err != nil {
			return nil, err
		}
		if table, err = sybil.ParseASTable(b); err != nil {
			return nil, err
		}
	}
	chain, err := r.Chain(ctx)
	if err != nil {
		return nil, err
	}
	s, _, err := r.Snapshot(ctx, 0)
	if err != nil {
		return nil, err
	}
	c, err := audit.Gather(ctx, r, chain, &s.Head, table)
	if err != nil {
		return nil, err
	}
	return c.Explain(s, own)
}

func printStatus(w io.Writer, s *relay.StatusReport) {
	line := func(field, format string, args ...any) {
		fmt.Fprintf(w, "  %-9s %s\n", field, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "%s\n", s.ID)
	if s.Lab {
		line("", "LAB NETWORK: no anonymity")
	}
	line("network", "%q, at %s since %s", s.Network, s.Listen, timeText(s.Since))
	line("software", "%s", s.Software)
	switch {
	case s.Listed:
		line("listed", "yes: %s", strings.Join(s.Flags, " "))
		line("weight", "guard %d, inner %d, mailbox %d KiB/s", s.GuardKiB, s.InnerKiB, s.MailboxKiB)
	case s.Verdict != "":
		line("listed", "no; the directory says: %s", s.Verdict)
	default:
		line("listed", "no; no directory has answered yet")
	}
	if s.Epoch != 0 {
		line("snapshot", "epoch %d, %d s old: %s, of %d relays", s.Epoch, s.SnapshotAge, s.SnapshotState, s.Relays)
	}
	line("gossip", "%d peers, %d descriptors", s.Peers, s.Records)
	line("circuits", "%s", upTo(s.Circuits))
	line("links", "%d to relays, %s of clients", s.RelayLinks, upTo(s.ClientLinks))
	line("mailbox", "%s queues, %s blocks", upTo(s.Queues), upTo(s.Blocks))
	limit := "no limit"
	if s.LimitKiB > 0 {
		limit = fmt.Sprintf("limit %d KiB/s each way", s.LimitKiB)
	}
	line("load", "%d KiB/s, %s", s.LoadKiB, limit)
	for _, t := range s.Traffic {
		if t.SentMiB+t.ReceivedMiB > 0 {
			line("traffic", "%s: %d MiB out, %d MiB in, with %d MiB of circuits", trafficSpan(t), t.SentMiB, t.ReceivedMiB, t.CellsMiB)
		}
	}
	for _, x := range s.Warnings {
		line("warning", "%s", x.Text)
	}
}

// trafficSpan names a span of days for people.
func trafficSpan(t relay.TrafficReport) string {
	if t.Span == "month" {
		return "since " + t.From
	}
	return t.Span
}

// timeText writes a time for people.
func timeText(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// upTo writes a number that was rounded up.
func upTo(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("≤ %d", n)
}
