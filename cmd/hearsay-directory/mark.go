package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/signer"
	"hearsay/relay"
)

// Days that acts of a signer's operator count if nothing else is said.
const (
	approveDays = 14 // as long as a burst stops the age of a relay
	markDays    = 30
	mostDays    = int(signer.MaxMarkLife / (24 * time.Hour))
)

func approveCommand() *cobra.Command {
	var home string
	var days int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "approve RELAY-ID",
		Short: "Say that a relay which came in a burst is all right",
		Long: `Relays that come in a burst gain no age for up to 14 days: signers may look at
them first. If enough signers approve a relay, its age counts again. This signer
says so in its votes until the days are over.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return setMark(cmd, home, args[0], directory.VoteApprove, "", days, asJSON)
		},
	}
	homeFlag(cmd, &home)
	cmd.Flags().IntVar(&days, "days", approveDays, fmt.Sprintf("days for which to say so, at most %d", mostDays))
	jsonFlag(cmd, &asJSON)
	return cmd
}

type markFlags struct {
	home, reason               string
	days                       int
	watch, middleOnly, exclude bool
	list, clear, json          bool
}

func markCommand() *cobra.Command {
	var f markFlags
	cmd := &cobra.Command{
		Use:   "mark {RELAY-ID {--watch|--middle-only|--exclude} --reason TEXT | RELAY-ID --clear | --list}",
		Short: "Say in this signer's votes what is wrong with a relay",
		Long: `Mark a relay: --watch takes the flags Guard and Mailbox from it, --middle-only
leaves it the middle of circuits, --exclude keeps it out of snapshots. A mark has
effect if more than half of the signers bear it. The reason is public: operators,
and everybody who looks, read it with the votes.

Marks lie in the home and are read for each vote, also while ` + "`run`" + ` does. A new one
takes the place of the one that the relay has. --clear takes back marks and approval.`,
		Example: `  hearsay-directory mark 7q2m... --watch --reason "its mailbox loses blocks" --days 30
  hearsay-directory mark --list
  hearsay-directory mark 7q2m... --clear`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return mark(cmd, f, args) },
	}
	homeFlag(cmd, &f.home)
	fl := cmd.Flags()
	fl.BoolVar(&f.watch, "watch", false, "no Guard, no Mailbox")
	fl.BoolVar(&f.middleOnly, "middle-only", false, "the middle of circuits alone")
	fl.BoolVar(&f.exclude, "exclude", false, "not listed")
	fl.StringVar(&f.reason, "reason", "", "why, in plain words, at most 120 bytes")
	fl.IntVar(&f.days, "days", markDays, fmt.Sprintf("days until the mark ends, at most %d", mostDays))
	fl.BoolVar(&f.list, "list", false, "show the marks of this home")
	fl.BoolVar(&f.clear, "clear", false, "take back what this signer says of the relay")
	jsonFlag(cmd, &f.json)
	cmd.MarkFlagsMutuallyExclusive("watch", "middle-only", "exclude", "list", "clear")
	cmd.MarkFlagsOneRequired("watch", "middle-only", "exclude", "list", "clear")
	return cmd
}

func mark(cmd *cobra.Command, f markFlags, args []string) error {
	if f.list != (len(args) == 0) {
		return program.Usage("give --list alone, or the id of a relay", "which relay?")
	}
	switch {
	case f.list:
		return listMarks(cmd, f.home, f.json)
	case f.clear:
		id, err := program.RelayArgument(args[0])
		if err != nil {
			return err
		}
		if err := signerHome(f.home); err != nil {
			return err
		}
		return markError(signer.ClearMarks(f.home, id, time.Now()))
	case f.reason == "":
		return program.Usage("operators read it: say what they can do", "--reason is missing")
	}
	kind := directory.VoteWatch
	switch {
	case f.middleOnly:
		kind = directory.VoteMiddleOnly
	case f.exclude:
		kind = directory.VoteExclude
	}
	return setMark(cmd, f.home, args[0], kind, f.reason, f.days, f.json)
}

// signerHome refuses a home in which no network is, where no signer would read
// the marks.
func signerHome(home string) error {
	_, err := relay.FounderChain(home)
	return program.OperatorError(err)
}

func setMark(cmd *cobra.Command, home, relayID string, kind directory.VoteFlags, reason string, days int, asJSON bool) error {
	id, err := program.RelayArgument(relayID)
	if err != nil {
		return err
	}
	if days < 1 || days > mostDays {
		return program.Usage("", "--days: 1 to %d", mostDays)
	}
	if err := signerHome(home); err != nil {
		return err
	}
	now := time.Now()
	m := signer.Mark{Relay: id, Flags: kind, Reason: reason, Until: signer.MarkEnd(now, days)}
	if err := signer.SaveMark(home, m, now); err != nil {
		return markError(err)
	}
	if asJSON {
		return program.PrintJSON(cmd.OutOrStdout(), describeMark(m))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "This signer says it from its next vote until %s.\n", m.Until.Format(time.DateOnly))
	return err
}

func markError(err error) error {
	switch {
	case errors.Is(err, signer.ErrNoMark):
		return program.Fail(program.ExitNotFound, "hearsay-directory mark --list shows what there is", err)
	case errors.Is(err, signer.ErrBadMark):
		return program.Fail(program.ExitUsage, "a reason has at most 120 bytes of plain words", err)
	}
	return program.OperatorError(err)
}

type markJSON struct {
	V      int    `json:"v"`
	Type   string `json:"type"`
	Relay  string `json:"relay"`
	Kind   string `json:"kind"`
	Reason string `json:"reason,omitempty"`
	Until  string `json:"until"`
}

func describeMark(m signer.Mark) markJSON {
	return markJSON{1, "mark", m.Relay.String(), m.Kind(), m.Reason, program.JSONTime(m.Until)}
}

func listMarks(cmd *cobra.Command, home string, asJSON bool) error {
	if err := signerHome(home); err != nil {
		return err
	}
	list, err := signer.LoadMarks(home)
	if err != nil {
		return markError(err)
	}
	w := cmd.OutOrStdout()
	shown := 0
	for _, m := range list {
		if !m.Until.After(time.Now()) {
			continue
		}
		shown++
		if asJSON {
			if err := program.PrintJSON(w, describeMark(m)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s %s until %s", m.Relay, m.Kind(), m.Until.Format(time.DateOnly))
		if m.Reason != "" {
			fmt.Fprintf(w, ": %s", m.Reason)
		}
		fmt.Fprintln(w)
	}
	if shown == 0 && !asJSON {
		fmt.Fprintln(w, "This signer has marked no relay.")
	}
	return nil
}
