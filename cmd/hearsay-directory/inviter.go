package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

func inviterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inviter",
		Short: "Let others invite relays",
		Long: `An inviter makes relay tokens as founders do. The founders name its key in the
network file, for a time, with the signatures that any change of the network has.
All relays that an inviter brings in share a limit of weight.

  1. the inviter makes a key, and tells founders its public half:  inviter new FILE
  2. a founder drafts the change:                                  inviter add KEY --label NAME
  3. the founders sign it and put it into force:                   founder sign, founder assemble
  4. the inviter makes tokens:                                     token --key FILE --network LINK

` + "`inviter remove`" + ` drafts the end of it: from then on its tokens admit nobody, and
relays that are listed stay.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return program.Usage("see "+name+" inviter --help", "which step?")
		},
	}
	cmd.AddCommand(inviterNewCommand(), inviterAddCommand(), inviterRemoveCommand(), inviterListCommand())
	return cmd
}

func inviterNewCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make an inviter's key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pub, err := relay.NewInviterKey(args[0])
			if err != nil {
				return program.OperatorError(err)
			}
			key := directory.RelayID(pub).String()
			if asJSON {
				return program.PrintJSON(cmd.OutOrStdout(), struct {
					V    int    `json:"v"`
					Type string `json:"type"`
					Key  string `json:"key"`
					File string `json:"file"`
				}{1, "inviter_key", key, args[0]})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The key is in %s. Its public half, for a founder:\n\n  %s\n\nNext, by a founder: hearsay-directory inviter add KEY --label NAME\n", args[0], key)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

type inviterFlags struct {
	home, label, out string
	days             int
	json             bool
}

func (f *inviterFlags) add(cmd *cobra.Command) {
	homeFlag(cmd, &f.home)
	cmd.Flags().StringVar(&f.out, "out", "", "file for the draft (default network-N.draft)")
	jsonFlag(cmd, &f.json)
}

func inviterAddCommand() *cobra.Command {
	var f inviterFlags
	cmd := &cobra.Command{
		Use:   "add KEY --label NAME [--days D]",
		Short: "Draft the naming of an inviter, or another end for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := directory.ParseRelayID(args[0])
			if err != nil {
				return program.Usage("give the 52 characters that `inviter new` printed", "%q is no key", args[0])
			}
			if f.days < 1 || f.days > 730 {
				return program.Usage("", "--days: 1 to 730")
			}
			return founderError(draftChange(cmd, f, func(file *directory.NetworkFile, now time.Time) error {
				file.AddInviter(directory.Inviter{Public: key, Label: f.label, Expires: time.Unix(now.Unix(), 0).AddDate(0, 0, f.days)})
				return nil
			}))
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.label, "label", "", "the inviter's name in the network file, at most 32 bytes")
	cmd.Flags().IntVar(&f.days, "days", 365, "days until its tokens admit nobody any more, at most 730")
	cmd.MarkFlagRequired("label")
	return cmd
}

func inviterRemoveCommand() *cobra.Command {
	var f inviterFlags
	cmd := &cobra.Command{
		Use:   "remove NAME|KEY",
		Short: "Draft the end of an inviter",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return founderError(draftChange(cmd, f, func(file *directory.NetworkFile, _ time.Time) error {
				return file.RemoveInviter(args[0])
			}))
		},
	}
	f.add(cmd)
	return cmd
}

// draftChange drafts the next version of the home's network file.
func draftChange(cmd *cobra.Command, f inviterFlags, change func(*directory.NetworkFile, time.Time) error) error {
	chain, err := relay.FounderChain(f.home)
	if err != nil {
		return err
	}
	now := time.Now()
	file := chain.Next(now)
	if err := change(&file, now); err != nil {
		return err
	}
	d, err := directory.DraftAmendment(chain, file)
	if err != nil {
		return err
	}
	if f.out == "" {
		f.out = fmt.Sprintf("network-%d.draft", d.File().Version)
	}
	return finishDraft(cmd, d, f.out, f.json)
}

func inviterListCommand() *cobra.Command {
	var home string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the inviters of the network",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chain, err := relay.FounderChain(home)
			if errors.Is(err, relay.ErrNoNetwork) {
				return program.Usage("give the --home of a founder", "this home has no network")
			}
			if err != nil {
				return program.OperatorError(err)
			}
			list := chain.Current().Inviters
			for _, i := range list {
				key := directory.RelayID(i.Public).String()
				if asJSON {
					err := program.PrintJSON(cmd.OutOrStdout(), struct {
						V    int    `json:"v"`
						Type string `json:"type"`
						inviterJSON
					}{1, "inviter", inviterJSON{i.Label, key, program.JSONTime(i.Expires)}})
					if err != nil {
						return err
					}
					continue
				}
				state := "until"
				if !i.Expires.After(time.Now()) {
					state = "ended on"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s\n", i.Label, key, state, i.Expires.UTC().Format(time.DateOnly))
			}
			if len(list) == 0 && !asJSON {
				fmt.Fprintln(cmd.OutOrStdout(), "The network names no inviters.")
			}
			return nil
		},
	}
	homeFlag(cmd, &home)
	jsonFlag(cmd, &asJSON)
	return cmd
}
