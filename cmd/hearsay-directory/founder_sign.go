package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

type signFlags struct {
	home, passphraseFile, out string
	yes, replace, json        bool
}

func signCommand() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign DRAFT",
		Short: "Look at a draft and sign it",
		Long: `Show a draft: founders, keys, thresholds, parameters, what it changes, and ten
words drawn from all of it; or an emergency snapshot of ` + "`founder emergency`" + `. Read the words to the other founders, aloud, over
the telephone or face to face: the same words are the same draft. Then it is
signed, in its own file or that of --out, and can go to the next founder.

With --json nothing is asked: --yes says that the words were compared, and
without it the draft is shown and not signed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return founderError(sign(cmd, f, args[0]))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	passphraseFlag(cmd, &f.passphraseFile)
	fl.StringVar(&f.out, "out", "", "file for the signed draft (default: the draft itself)")
	fl.BoolVar(&f.replace, "replace", false, "sign although you have signed another draft of this version, which all have given up")
	fl.BoolVar(&f.yes, "yes", false, "the ten words were compared; with --json only")
	jsonFlag(cmd, &f.json)
	return cmd
}

func sign(cmd *cobra.Command, f signFlags, file string) error {
	if f.yes && !f.json {
		return program.Usage("without --json, `sign` asks you", "--yes is for scripts, with --json")
	}
	raw, err := readInput(file, "")
	if err != nil {
		return fmt.Errorf("draft: %w", err)
	}
	if directory.IsEmergencyDraft(raw) {
		return signEmergency(cmd, f, file, raw)
	}
	d, err := readDraft(file)
	if err != nil {
		return err
	}
	if err := relay.CheckDraft(f.home, d, time.Now()); err != nil {
		return err
	}
	if !f.json {
		printDraft(cmd.OutOrStdout(), d, ownCard(f.home))
		if err := askWords(cmd.OutOrStdout()); err != nil {
			return err
		}
	} else if !f.yes {
		return program.PrintJSON(cmd.OutOrStdout(), describeDraft(d, file))
	}
	if err := signAndKeep(f, d, file); err != nil {
		return err
	}
	if f.out != "" {
		file = f.out
	}
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), describeDraft(d, file))
	}
	w := cmd.OutOrStdout()
	if old, drafted := d.Lacking(); old+drafted == 0 {
		fmt.Fprintf(w, "\nSigned, in %s. It has all the signatures it needs.\n", file)
		fmt.Fprintf(w, "Next: each founder runs hearsay-directory founder assemble %s --home HOME\n", file)
	} else {
		fmt.Fprintf(w, "\nSigned, in %s; %s.\n", file, lackingText(d))
		fmt.Fprintf(w, "Next: hand it to a founder who has not signed it.\n")
	}
	return nil
}

func signAndKeep(f signFlags, d *directory.Draft, file string) error {
	p, err := rootPassphrase(f.home, f.passphraseFile)
	if err != nil {
		return err
	}
	defer clear(p)
	if err := relay.SignDraft(f.home, d, p, f.replace); err != nil {
		return err
	}
	b, err := d.Bytes()
	if err != nil {
		return err
	}
	if f.out != "" {
		return writeNew(f.out, b)
	}
	return replaceFile(file, b)
}

func readDraft(file string) (*directory.Draft, error) {
	b, err := readInput(file, "")
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	d, err := directory.ParseDraft(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// ownCard returns the card of the home, or nil.
func ownCard(home string) *directory.Card {
	raw, err := relay.Card(home)
	if err != nil {
		return nil
	}
	c, err := directory.ParseCard(raw)
	if err != nil {
		return nil
	}
	return c
}

// askWords asks on the terminal whether the words were compared.
func askWords(w io.Writer) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return program.Usage("run it in a terminal; scripts use --json, and --yes once people have compared the words", "somebody must compare the ten words")
	}
	fmt.Fprintf(w, "\nRead them aloud to the other founders. If one word differs, somebody has been\ngiven another draft: do not sign.\n\nDo all founders have these ten words? Type yes to sign: ")
	answer, err := bufio.NewReader(io.LimitReader(os.Stdin, 100)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return program.Fail(program.ExitRefused, "", errors.New("not signed"))
	}
	return nil
}

// lackingText says whose signatures a draft still needs.
func lackingText(d *directory.Draft) string {
	old, drafted := d.Lacking()
	var oldNames, newNames []string
	for _, r := range d.Roots() {
		if r.Signed {
			continue
		}
		if r.Old {
			oldNames = append(oldNames, r.String())
		}
		if r.New {
			newNames = append(newNames, r.String())
		}
	}
	if d.Previous() == nil {
		return "it still needs the signatures of " + strings.Join(newNames, ", ")
	}
	var parts []string
	if old > 0 {
		parts = append(parts, fmt.Sprintf("%d of the founders of version %d (%s)", old, d.File().Version-1, strings.Join(oldNames, ", ")))
	}
	if drafted > 0 {
		parts = append(parts, fmt.Sprintf("%d of those of version %d (%s)", drafted, d.File().Version, strings.Join(newNames, ", ")))
	}
	return "it still needs the signatures of " + strings.Join(parts, " and ")
}

type assembleFlags struct {
	home, out string
	json      bool
}

func assembleCommand() *cobra.Command {
	var f assembleFlags
	cmd := &cobra.Command{
		Use:   "assemble DRAFT...",
		Short: "Put a signed draft into force in this home",
		Long: `Gather the signatures of all copies of a draft and, if they are enough, put the
version into force in this home, whose ` + "`run`" + ` must be stopped: all founders'
signatures for version 1, and later those of more than half of the founders, of
the version before and of the new one. Each founder does so in his own home.

--out writes the draft with all signatures, for founders who have not got them.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return founderError(assemble(cmd, f, args))
		},
	}
	homeFlag(cmd, &f.home)
	cmd.Flags().StringVar(&f.out, "out", "", "file for the draft with all signatures")
	jsonFlag(cmd, &f.json)
	return cmd
}

func assemble(cmd *cobra.Command, f assembleFlags, files []string) error {
	raw, err := readInput(files[0], "")
	if err != nil {
		return fmt.Errorf("draft: %w", err)
	}
	if directory.IsEmergencyDraft(raw) {
		return assembleEmergency(cmd, f, files, raw)
	}
	d, err := readDraft(files[0])
	if err != nil {
		return err
	}
	for _, file := range files[1:] {
		o, err := readDraft(file)
		if err != nil {
			return err
		}
		if err := d.Merge(o); err != nil {
			return fmt.Errorf("%s and %s: %w", files[0], file, err)
		}
	}
	if err := relay.CheckDraft(f.home, d, time.Now()); err != nil && !errors.Is(err, relay.ErrInForce) {
		return err
	}
	if f.out != "" {
		b, err := d.Bytes()
		if err != nil {
			return err
		}
		if err := writeNew(f.out, b); err != nil {
			return err
		}
	}
	if old, drafted := d.Lacking(); old+drafted > 0 {
		return program.Fail(program.ExitFailure, "they run `hearsay-directory founder sign`; give all signed copies to assemble", fmt.Errorf("%s: %s", files[0], lackingText(d)))
	}
	chain, err := relay.InstallDraft(f.home, d)
	if err != nil {
		return err
	}
	return printAssembled(cmd, f, chain)
}

func printAssembled(cmd *cobra.Command, f assembleFlags, chain *directory.Chain) error {
	file := chain.Current()
	link := chain.Link(nil).String()
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), struct {
			V       int    `json:"v"`
			Type    string `json:"type"`
			Name    string `json:"name"`
			ID      string `json:"id"`
			Version uint64 `json:"version"`
			Link    string `json:"link"`
			Join    string `json:"join"`
			Lab     bool   `json:"lab"`
		}{1, "assembled", file.Name, chain.ID().String(), file.Version, link, file.Join.String(), file.Lab})
	}
	w := cmd.OutOrStdout()
	if file.Lab {
		fmt.Fprintln(w, "LAB NETWORK: no anonymity")
	}
	if file.Version == 1 {
		fmt.Fprintf(w, "Founded %q. Its link, for everyone who is to use it:\n\n  %s\n\n", file.Name, link)
		printQR(w, link)
		if file.Join&directory.JoinToken != 0 {
			fmt.Fprintf(w, "Links for those who run relays: hearsay-directory token --home %s\n", f.home)
		}
		fmt.Fprint(w, joinHint(file.Join, f.home))
	} else {
		fmt.Fprintf(w, "Version %d of %q is in force in this home. Relays and clients learn of it once\nthe directory runs.\n\n", file.Version, file.Name)
		fmt.Fprintf(w, "The network link, with the present bootstraps:\n\n  %s\n\n", link)
	}
	fmt.Fprintf(w, "The other founders assemble it in their homes.\nNext: hearsay-directory run --home %s\n", f.home)
	return nil
}
