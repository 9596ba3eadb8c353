package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

type draftFlags struct {
	contentFlags
	out       string
	lab, json bool
}

func draftCommand() *cobra.Command {
	var f draftFlags
	cmd := &cobra.Command{
		Use:   "draft CARD... --name NAME",
		Short: "Draft a network file of several founders",
		Long: `Draft version 1 of a network file from the cards of all its founders, your own
included: each a file or the text that ` + "`founder card`" + ` printed. The draft is a
file that goes from founder to founder for ` + "`founder sign`" + `; all must sign it.

--lab founds a lab network of cards made with --lab, for instance of several
homes on one computer. It gives no anonymity.`,
		Example: `  hearsay-directory founder draft anna.card ben.card carl.card --name harbour`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.read(cmd)
			return founderError(draft(cmd, f, args))
		},
	}
	f.contentFlags.add(cmd)
	cmd.Flags().BoolVar(&f.lab, "lab", false, "a lab network: no anonymity")
	cmd.Flags().StringVar(&f.out, "out", "network-1.draft", "file for the draft")
	jsonFlag(cmd, &f.json)
	cmd.MarkFlagRequired("name")
	return cmd
}

func draft(cmd *cobra.Command, f draftFlags, cards []string) error {
	now := time.Now()
	file := relay.NewNetworkFile(f.name, directory.JoinToken, f.lab, now)
	for _, text := range cards {
		c, err := readCard(text)
		if err != nil {
			return err
		}
		if err := file.AddFounder(c); err != nil {
			return fmt.Errorf("%s: %w", cardName(text), err)
		}
	}
	if err := f.apply(&file, now); err != nil {
		return err
	}
	if len(file.Bootstraps) == 0 {
		return program.Usage("make one founder's card with --listen: newcomers must reach somebody", "no card names an address")
	}
	d, err := directory.DraftFounding(file)
	if err != nil {
		return err
	}
	return finishDraft(cmd, d, f.out, f.json)
}

func readCard(text string) (*directory.Card, error) {
	b, err := readInput(text, "HEARSAY-CARD:")
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	c, err := directory.ParseCard(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cardName(text), err)
	}
	return c, nil
}

// cardName names a card in an error: its file, or that it was given as text.
func cardName(text string) string {
	if _, err := os.Stat(text); err != nil {
		return "card"
	}
	return text
}

// finishDraft writes a new draft and shows it.
func finishDraft(cmd *cobra.Command, d *directory.Draft, out string, asJSON bool) error {
	b, err := d.Bytes()
	if err != nil {
		return err
	}
	if err := writeNew(out, b); err != nil {
		return err
	}
	if asJSON {
		return program.PrintJSON(cmd.OutOrStdout(), describeDraft(d, out))
	}
	w := cmd.OutOrStdout()
	printDraft(w, d, nil)
	fmt.Fprintf(w, "\nThe draft is in %s; nobody has signed it yet.\n", out)
	if n := len(d.File().Roots); n == 2 {
		fmt.Fprintf(w, "With two founders no loss is tolerated: add a third, if only a cold key that lies\nin a safe place.\n")
	}
	fmt.Fprintf(w, "Next: each founder runs hearsay-directory founder sign %s --home HOME\n", out)
	return nil
}

type amendFlags struct {
	contentFlags
	home, out                        string
	add, addRoot, addSigner          []string
	remove, removeRoot, removeSigner []string
	resetEpochFloor                  uint64
	inDays                           int
	json                             bool
}

func amendCommand() *cobra.Command {
	var f amendFlags
	cmd := &cobra.Command{
		Use:   "amend",
		Short: "Draft a change of the network",
		Long: `Draft the next version of the network file of this home, and show what it
changes. It is signed by ` + "`founder sign`" + ` and put into force by ` + "`founder assemble`" + `:
more than half of the founders of the present version must sign it, and more
than half of those of the new one.

A founder who is lost, or whose keys are stolen, is taken out by the others with
--remove, as long as they are enough. --add takes the card of a new one, whose
directory may serve as a bootstrap. --add-root takes the root key alone: a cold
key, whose owner signs changes and runs no directory.

Signers use the new version from its date on: --in gives them time to install
it. Without a change, the present version is shown.`,
		Example: `  hearsay-directory founder amend --add dora.card --out add-dora.draft
  hearsay-directory founder amend --remove carl --remove-bootstrap 192.0.2.9:4443
  hearsay-directory founder amend --join token+vouch --param epoch=1800 --expires 730`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.read(cmd)
			return founderError(amend(cmd, f))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	f.contentFlags.add(cmd)
	f.addRemovals(cmd)
	fl.StringArrayVar(&f.add, "add", nil, "card of a new founder (repeatable)")
	fl.StringArrayVar(&f.addRoot, "add-root", nil, "card of which the root key alone is added (repeatable)")
	fl.StringArrayVar(&f.addSigner, "add-signer", nil, "card of which the signer key alone is added (repeatable)")
	fl.StringArrayVar(&f.remove, "remove", nil, "name or key of a founder to take out (repeatable)")
	fl.StringArrayVar(&f.removeRoot, "remove-root", nil, "name or key of a root to take out (repeatable)")
	fl.StringArrayVar(&f.removeSigner, "remove-signer", nil, "name or key of a signer to take out (repeatable)")
	fl.Uint64Var(&f.resetEpochFloor, "reset-epoch-floor", 0, "with new signers: accept snapshots from this epoch number on, after thieves published ones of the far future")
	fl.IntVar(&f.inDays, "in", 0, "days until signers use the new version, at most 30")
	fl.StringVar(&f.out, "out", "", "file for the draft (default network-N.draft)")
	jsonFlag(cmd, &f.json)
	return cmd
}

func amend(cmd *cobra.Command, f amendFlags) error {
	if f.inDays < 0 || f.inDays > 30 {
		return program.Usage("", "--in: 0 to 30 days")
	}
	chain, err := relay.FounderChain(f.home)
	if err != nil {
		return err
	}
	now := time.Now()
	file := chain.Next(now.Add(time.Duration(f.inDays) * 24 * time.Hour))
	if err := f.changeFounders(&file); err != nil {
		return err
	}
	if err := f.apply(&file, now); err != nil {
		return err
	}
	file.EpochFloorReset = f.resetEpochFloor
	d, err := directory.DraftAmendment(chain, file)
	if errors.Is(err, directory.ErrNothing) && cmd.Flags().NFlag() == flagsOf(cmd, "home", "json") {
		return showCurrent(cmd, chain, f.json)
	}
	if err != nil {
		return err
	}
	if err := d.CheckTime(now); err != nil {
		return err
	}
	if f.out == "" {
		f.out = fmt.Sprintf("network-%d.draft", d.File().Version)
	}
	return finishDraft(cmd, d, f.out, f.json)
}

// flagsOf counts which of the flags were given.
func flagsOf(cmd *cobra.Command, names ...string) int {
	n := 0
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			n++
		}
	}
	return n
}

func showCurrent(cmd *cobra.Command, chain *directory.Chain, asJSON bool) error {
	if asJSON {
		return program.PrintJSON(cmd.OutOrStdout(), describeFile("version", chain.ID(), chain.Current()))
	}
	printFile(cmd.OutOrStdout(), chain.ID(), chain.Current(), nil, changeRule(chain.Current()))
	return nil
}

// changeFounders takes out first, so that a founder's keys can be replaced
// under the same name.
func (f *amendFlags) changeFounders(file *directory.NetworkFile) error {
	for _, step := range []struct {
		names []string
		do    func(string) error
	}{{f.remove, file.RemoveFounder}, {f.removeRoot, file.RemoveRoot}, {f.removeSigner, file.RemoveSigner}} {
		for _, who := range step.names {
			if err := step.do(who); err != nil {
				return err
			}
		}
	}
	for _, step := range []struct {
		cards []string
		do    func(*directory.Card) error
	}{{f.add, file.AddFounder}, {f.addRoot, file.AddRoot}, {f.addSigner, file.AddSigner}} {
		for _, text := range step.cards {
			c, err := readCard(text)
			if err != nil {
				return err
			}
			if err := step.do(c); err != nil {
				return fmt.Errorf("%s: %w", cardName(text), err)
			}
		}
	}
	return nil
}
