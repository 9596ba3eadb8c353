package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/relay"
)

func statusCommand() *cobra.Command {
	var home string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [--home DIR]",
		Short: "Say how the running directory stands",
		Long: `Ask the directory that runs in the home how it stands: whether it signs, how old
the newest snapshot is and how many signed it, whether this signer's signature and
vote are in it, what it knows of relays, who is connected, until when its online key
is good, and what needs attention. The number of clients is rounded up to a power of
two. What it has signed and missed is counted since its start.

It exits with 6 if no directory runs in the home.`,
		Example: `  hearsay-directory status --home /var/lib/hearsay-directory
  hearsay-directory status --home /var/lib/hearsay-directory --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := relay.AskDirectoryStatus(cmd.Context(), home)
			switch {
			case errors.Is(err, relay.ErrNotRunning):
				return program.Fail(program.ExitNotFound, "start it with `hearsay-directory run --home "+home+"`, or give the --home of the running one", fmt.Errorf("no directory runs in %s", home))
			case errors.Is(err, relay.ErrSocketPath):
				return program.Fail(program.ExitUsage, "choose a shorter --home, or go there and give a relative one to both commands", err)
			case err != nil:
				return founderError(err)
			case asJSON:
				return program.PrintJSON(cmd.OutOrStdout(), s)
			}
			printStatus(cmd.OutOrStdout(), s)
			return nil
		},
	}
	homeFlag(cmd, &home)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON")
	return cmd
}

func printStatus(w io.Writer, s *relay.DirectoryReport) {
	line := func(field, format string, args ...any) {
		fmt.Fprintf(w, "  %-9s %s\n", field, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "%s\n", s.ID)
	if s.Lab {
		line("", "LAB NETWORK: no anonymity")
	}
	line("network", "%q, version %d, until %s", s.Network, s.Version, dayText(s.Expires))
	at := "dials out alone"
	if s.Bootstrap {
		at = "at " + s.Listen
	}
	line("runs", "%s, since %s", at, timeText(s.Since))
	if s.Epoch != 0 {
		line("snapshot", "epoch %d, %d s old: %s", s.Epoch, s.SnapshotAge, s.SnapshotState)
		line("signed by", "%d of %d signers, %d are needed", s.Signatures, s.Signers, s.Needed)
	}
	if s.Signer {
		if s.Epoch != 0 {
			line("signer", "yes: its signature is %s it, its vote %s", inOrNot(s.Signed), countedOrNot(s.Voted))
		} else {
			line("signer", "yes")
		}
		line("", "%d snapshots signed since the start, %d made without it", s.SignedSince, s.MissedSince)
		renews := "the identity key is not in this home"
		if s.Renews {
			renews = "renewed by itself before that"
		}
		line("key", "the online key ends on %s, %s", dayText(s.OnlineKeyEnds), renews)
	} else {
		line("signer", "no")
	}
	line("relays", "%d listed, %d known, %d descriptors and notices held", s.Relays, s.Known, s.Records)
	clients := "0"
	if s.ClientLinks > 0 {
		clients = fmt.Sprintf("≤ %d", s.ClientLinks)
	}
	line("links", "%d to relays and directories, %s of clients; %d gossip", s.RelayLinks, clients, s.Peers)
	for _, x := range s.Warnings {
		line("warning", "%s", x.Text)
	}
}

func inOrNot(in bool) string {
	if in {
		return "in"
	}
	return "not in"
}

func countedOrNot(counted bool) string {
	if counted {
		return "counted"
	}
	return "not counted"
}

// timeText writes a time of a report for people.
func timeText(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// dayText writes the day of a time of a report.
func dayText(text string) string {
	day, _, _ := strings.Cut(text, "T")
	return day
}
