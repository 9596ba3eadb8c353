package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

// The relay token that init prints: uses and days.
const (
	firstTokenUses = 10
	firstTokenDays = 30
)

type initFlags struct {
	home, name, label, listen, join, passphraseFile string
	linkFile                                        string
	lab, words, json, unlessFounded                 bool
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init --name N --listen ADDR",
		Short: "Found a network of your own",
		Long: `Found a network with one founder: you. It makes the keys, writes version 1 of
the network file into the home, and prints the network link. Several founders
found a network with hearsay-directory founder.

The root key is sealed with a passphrase: it is asked for, or read from
--passphrase-file. A lab network may do without. --words prints the key as 24
words, for paper.

--lab founds a lab network: 10-second epochs, loopback and private addresses
allowed. It is for trying things out and gives no anonymity.`,
		Example: `  hearsay-directory init --name harbour --listen 192.0.2.7:4443
  hearsay-directory init --lab --join open --name test --listen 127.0.0.1:4443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(found(cmd, f))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	fl.StringVar(&f.name, "name", "", "name of the network, at most 64 bytes")
	fl.StringVar(&f.label, "label", "founder", "your name among the founders, at most 32 bytes")
	fl.StringVar(&f.listen, "listen", "", "UDP address that `run` serves, IP:PORT; the link holds it")
	fl.StringVar(&f.join, "join", "token", "how relays join: token, vouch, open, or several joined by +, or closed")
	fl.BoolVar(&f.lab, "lab", false, "a lab network: no anonymity")
	fl.BoolVar(&f.words, "words", false, "print the root key as 24 words")
	fl.StringVar(&f.linkFile, "link-file", "", "write the link for relays there as well, into a new file with mode 0600, for their --network")
	fl.BoolVar(&f.unlessFounded, "unless-founded", false, "if the home has its network already, do nothing but write a --link-file that is missing, for scripts that run again")
	passphraseFlag(cmd, &f.passphraseFile)
	jsonFlag(cmd, &f.json)
	cmd.MarkFlagRequired("name")
	cmd.MarkFlagRequired("listen")
	return cmd
}

func found(cmd *cobra.Command, f initFlags) error {
	listen, err := program.ParseListen("listen", f.listen)
	if err != nil {
		return err
	}
	if listen.Port() == 0 {
		return program.Usage("choose a port: the network link holds it", "--listen: port 0 is no address to come back to")
	}
	if f.unlessFounded {
		switch c, err := relay.FounderChain(f.home); {
		case err == nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: the home has its network already: %q\n", name, c.Current().Name)
			return completeLink(c, f)
		case !errors.Is(err, relay.ErrNoNetwork) && !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if err := freeForLink(f.linkFile, f.home); err != nil {
		return err
	}
	what := relay.Founding{Name: f.name, Label: f.label, Listen: listen, Lab: f.lab}
	if what.Join, err = parseJoin(f.join); err != nil {
		return err
	}
	if what.Passphrase, err = newPassphrase(cmd, f.passphraseFile, f.lab); err != nil {
		return err
	}
	defer clear(what.Passphrase)
	link, err := relay.Found(f.home, what)
	if err != nil {
		return err
	}
	relayLink := ""
	if what.Join&directory.JoinToken != 0 {
		l, err := relay.IssueToken(f.home, firstTokenUses, firstTokenDays)
		if err != nil {
			return err
		}
		relayLink = l.String()
	}
	if f.linkFile != "" {
		text := cmp.Or(relayLink, link.String())
		if err := replaceFile(f.linkFile, []byte(text+"\n")); err != nil {
			return program.Fail(program.ExitFailure, "the network is founded; `hearsay-directory show` has its link", fmt.Errorf("write the link: %w", err))
		}
	}
	var words []string
	if f.words {
		seed, err := relay.RootSeed(f.home, what.Passphrase)
		if err != nil {
			return err
		}
		defer clear(seed[:])
		words = directory.RootWords(seed)
	}
	if f.json {
		return printNetworkJSON(cmd.OutOrStdout(), what, link, relayLink, words)
	}
	printNetwork(cmd.OutOrStdout(), f, what.Join, link, relayLink, words)
	return nil
}

// completeLink writes the link of a network that is founded, if its file is missing: an
// init before this one was interrupted, and relays wait for it.
func completeLink(c *directory.Chain, f initFlags) error {
	if f.linkFile == "" {
		return nil
	}
	if _, err := os.Lstat(f.linkFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := freeForLink(f.linkFile, f.home); err != nil {
		return err
	}
	link := c.Link(nil)
	if c.Current().Join&directory.JoinToken != 0 {
		var err error
		if link, err = relay.IssueToken(f.home, firstTokenUses, firstTokenDays); err != nil {
			return err
		}
	}
	if err := replaceFile(f.linkFile, []byte(link.String()+"\n")); err != nil {
		return fmt.Errorf("write the link: %w", err)
	}
	return nil
}

// freeForLink refuses a file for the link that is there already, or would lie among
// the files of the home, which have names of their own.
func freeForLink(file, home string) error {
	if file == "" {
		return nil
	}
	dir, err1 := filepath.Abs(filepath.Dir(file))
	in, err2 := filepath.Abs(home)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if dir == in {
		return program.Usage("give a name in another directory", "--link-file: %s lies in the home", file)
	}
	if _, err := os.Lstat(file); err == nil {
		return program.Fail(program.ExitRefused, "remove it, or give another name", fmt.Errorf("--link-file: %s exists already", file))
	}
	return nil
}

func printNetworkJSON(w io.Writer, f relay.Founding, link directory.NetworkLink, relayLink string, words []string) error {
	var token *string
	if relayLink != "" {
		token = &relayLink
	}
	return program.PrintJSON(w, struct {
		V         int      `json:"v"`
		Type      string   `json:"type"`
		Name      string   `json:"name"`
		ID        string   `json:"id"`
		Link      string   `json:"link"`
		RelayLink *string  `json:"relay_link"`
		Join      string   `json:"join"`
		Lab       bool     `json:"lab"`
		RootWords []string `json:"root_words,omitempty"`
	}{1, "network", f.Name, link.ID.String(), link.String(), token, f.Join.String(), f.Lab, words})
}

func printNetwork(w io.Writer, f initFlags, join directory.Join, link directory.NetworkLink, relayLink string, words []string) {
	if f.lab {
		fmt.Fprintln(w, "LAB NETWORK: no anonymity")
	}
	fmt.Fprintf(w, "Founded %q. Its link, for everyone who is to use it:\n\n  %s\n\n", f.name, link)
	printQR(w, link.String())
	if relayLink != "" {
		fmt.Fprintf(w, "The link for those who run relays; it lists %d relays within %d days:\n\n  %s\n\n", firstTokenUses, firstTokenDays, relayLink)
	}
	printRootWords(w, words)
	fmt.Fprint(w, joinHint(join, f.home))
	if join&directory.JoinOpen != 0 && !f.lab {
		fmt.Fprintf(w, "Anybody may add relays. The first 60 days of an open network are weak: whoever\nbrings the most relays sees the most. Better found with tokens and open later:\nhearsay-directory founder amend --join token+open\n\n")
	}
	fmt.Fprintf(w, "One key is one point of failure: whoever has %s and its passphrase is the\nnetwork, and without them it ends. Keep a copy in a safe place, and add founders:\neach makes a card with `hearsay-directory founder card`, and\n`hearsay-directory founder amend --add CARD` takes it up.\n\n", f.home)
	fmt.Fprintf(w, "Next: hearsay-directory run --home %s\n", f.home)
}

// joinHint says how the first relays come into a network that founders give no
// tokens for, and that is not open.
func joinHint(join directory.Join, home string) string {
	switch {
	case join == directory.JoinClosed:
		return fmt.Sprintf("Relays join when the network file names them, by the id in their ready line:\nhearsay-directory founder amend --add-relay ID --home %s\n\n", home)
	case join == directory.JoinVouch:
		return fmt.Sprintf("Relays join when operators of listed relays vouch for them. The first ones are\nseeds, which the network file names, by the id in their ready line:\nhearsay-directory founder amend --add-seed ID --home %s\n\n", home)
	}
	return ""
}
