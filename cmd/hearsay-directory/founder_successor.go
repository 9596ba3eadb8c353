package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

type successorFlags struct {
	home, passphraseFile, out string
	show, json                bool
}

func successorCommand() *cobra.Command {
	var f successorFlags
	cmd := &cobra.Command{
		Use:   "successor LINK|NOTICE",
		Short: "Name the network that succeeds this one",
		Long: `When too few founders are left to change a network, the survivors found a new
one and sign a notice that it succeeds the old. LINK is the link of the new
network; NOTICE is the notice of another founder, as text or file, to which the
signature of this home's root key is added.

` + "`hearsay-directory run`" + ` publishes the notice of its home, also while it runs.
Nobody is moved by it: people are shown who signed, and choose for themselves.
With --show a notice is checked and shown, and not signed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return founderError(successor(cmd, f, args[0]))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	passphraseFlag(cmd, &f.passphraseFile)
	fl.StringVar(&f.out, "out", "", "file for the notice")
	fl.BoolVar(&f.show, "show", false, "show a notice without signing it")
	jsonFlag(cmd, &f.json)
	return cmd
}

const (
	linkPrefix      = "HEARSAY-NET:"
	successorPrefix = "HEARSAY-SUCCESSOR:"
)

func successor(cmd *cobra.Command, f successorFlags, text string) error {
	chain, err := relay.FounderChain(f.home)
	if err != nil {
		return err
	}
	s, err := makeSuccessor(f, chain, text)
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := writeNew(f.out, []byte(s.Text()+"\n")); err != nil {
			return err
		}
	}
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), struct {
			V       int       `json:"v"`
			Type    string    `json:"type"`
			Network string    `json:"network"`
			New     string    `json:"new"`
			Link    string    `json:"link"`
			Made    string    `json:"made"`
			By      []keyJSON `json:"by"`
			Roots   int       `json:"roots"`
			Notice  string    `json:"notice"`
		}{1, "successor", chain.ID().String(), s.Network.String(), s.Link().String(), program.JSONTime(s.Made), keysJSON(s.By), len(chain.Current().Roots), s.Text()})
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%d of the %d founders of %q say that another network succeeds it:\n\n", len(s.By), len(chain.Current().Roots), chain.Current().Name)
	for _, k := range s.By {
		fmt.Fprintf(w, "  %s\n", k)
	}
	fmt.Fprintf(w, "\nIts link:\n\n  %s\n\n", s.Link())
	if f.out != "" {
		fmt.Fprintf(w, "The notice is in %s.\n", f.out)
	} else {
		fmt.Fprintf(w, "The notice, for founders to add their signatures and for everyone to see:\n\n  %s\n", s.Text())
	}
	return nil
}

func makeSuccessor(f successorFlags, chain *directory.Chain, text string) (*directory.Successor, error) {
	var link directory.NetworkLink
	var notice []byte
	if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), linkPrefix) {
		var err error
		if link, err = program.ReadLink(text); err != nil {
			return nil, err
		}
	} else {
		var err error
		if notice, err = readInput(text, successorPrefix); err != nil {
			return nil, fmt.Errorf("notice: %w", err)
		}
	}
	if f.show {
		if notice == nil {
			return nil, program.Usage("give a notice, as text or file", "--show: that is a link")
		}
		return chain.ParseSuccessor(notice)
	}
	p, err := rootPassphrase(f.home, f.passphraseFile)
	if err != nil {
		return nil, err
	}
	defer clear(p)
	return relay.SignSuccessor(f.home, link, notice, p)
}

func restoreCommand() *cobra.Command {
	var home, passphraseFile, wordsFile string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Put a root key back from its 24 words",
		Long: `Read the 24 words of a root key from a file or the terminal, and put the key into
a home that has the network and no root key, sealed with a new passphrase. Words
may be cut to their first four letters.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(restore(cmd, home, passphraseFile, wordsFile))
		},
	}
	homeFlag(cmd, &home)
	passphraseFlag(cmd, &passphraseFile)
	cmd.Flags().StringVar(&wordsFile, "words-file", "", "file with the 24 words (default: the terminal)")
	return cmd
}

func restore(cmd *cobra.Command, home, passphraseFile, wordsFile string) error {
	chain, err := relay.FounderChain(home)
	if err != nil {
		return err
	}
	text, err := readWords(cmd, wordsFile)
	if err != nil {
		return err
	}
	defer clear(text)
	seed, err := directory.ParseRootWords(string(text))
	if err != nil {
		return program.Fail(program.ExitUsage, wordsHint(err), err)
	}
	defer clear(seed[:])
	p, err := newPassphrase(cmd, passphraseFile, chain.Current().Lab)
	if err != nil {
		return err
	}
	defer clear(p)
	if err := relay.RestoreRoot(home, seed, p); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The root key %s is in %s again.\n", directory.FounderKey{Public: directory.RootPublic(seed)}.ID(), home)
	return nil
}

// wordsHint tells how a mistyped word may have been meant. It is shown to who
// typed it.
func wordsHint(err error) string {
	var e *directory.WordError
	if errors.As(err, &e) && len(e.Near) > 0 {
		return "did you mean " + strings.Join(e.Near, " or ") + "?"
	}
	return "copy all 24 words in their order, from 1 to 24"
}
