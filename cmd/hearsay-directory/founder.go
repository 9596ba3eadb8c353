package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

func founderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "founder",
		Short: "Found a network together, and change it",
		Long: `Found a network with several founders, none of whom can change it alone.

  1. each founder makes keys and a card:   founder card --label anna --listen ADDR
  2. one makes a draft of all cards:       founder draft CARD... --name harbour
  3. each looks at it and signs it:        founder sign DRAFT
     and compares the ten words it shows with the others, aloud
  4. each puts it into force:              founder assemble DRAFT...
  5. each runs the directory:              run

Later ` + "`founder amend`" + ` drafts a change, which is signed and assembled alike; and
when signers are gone, ` + "`founder emergency`" + ` what keeps the network up meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return program.Usage("see "+name+" founder --help", "which step?")
		},
	}
	cmd.AddCommand(cardCommand(), draftCommand(), signCommand(), assembleCommand(), amendCommand(), successorCommand(), restoreCommand(), emergencyCommand())
	return cmd
}

// failures gives the errors of the ceremony their exit codes and hints; the
// first that fits counts.
var failures = []struct {
	err  error
	code int
	hint string
}{
	{directory.ErrNoProof, program.ExitRefused, "ask that founder for the card again; do not found with this one"},
	{directory.ErrDraftChanged, program.ExitRefused, "ask the founder who made the draft for it again, and compare the ten words"},
	{directory.ErrOtherDraft, program.ExitRefused, "their ten words differ: all must sign copies of one draft"},
	{directory.ErrBadCard, program.ExitUsage, "give a card as `founder card` prints it, or the file that holds it"},
	{directory.ErrBadDraft, program.ExitUsage, "give the file that `founder draft` or `founder amend` wrote, whole and unchanged"},
	{directory.ErrBaseBehind, program.ExitRefused, "bring this home to the newest version first: `founder assemble` it, or `run`; or draft again"},
	{directory.ErrBadEmergency, program.ExitUsage, "give the file that `founder emergency` wrote, whole and unchanged, to a home of its network"},
	{relay.ErrNoSnapshot, program.ExitNotFound, "`run` the directory of this home, or draft in the home of another founder"},
	{directory.ErrBadSuccessor, program.ExitRefused, "give the whole notice, made by founders of this home's network"},
	{directory.ErrBadCertificate, program.ExitUsage, "give the whole text, from HEARSAY-CERT: to its end"},
	{directory.ErrDraftExpired, program.ExitRefused, "founders have 30 days to sign: make a new draft; or set the clock"},
	{directory.ErrExpired, program.ExitRefused, "make a new draft with a later --expires"},
	{directory.ErrOtherNetwork, program.ExitRefused, "this home belongs to another network: give the right --home or the right draft"},
	{directory.ErrRollback, program.ExitRefused, "ask the other founders which versions are in force, and assemble those first"},
	{directory.ErrLabCard, program.ExitRefused, "keys made with --lab serve lab networks alone, and lab networks take no others"},
	{directory.ErrFounderTwice, program.ExitRefused, "each founder brings one card, with a name of its own"},
	{directory.ErrUnknownFounder, program.ExitNotFound, "`founder amend` without a change lists the founders"},
	{directory.ErrUnknownInviter, program.ExitNotFound, "`hearsay-directory inviter list` shows them"},
	{directory.ErrNotRoot, program.ExitRefused, "only founders of this version, or of the one before, can sign it"},
	{directory.ErrNothing, program.ExitUsage, "say what is to change; see hearsay-directory founder amend --help"},
	{directory.ErrBadNetworkFile, program.ExitUsage, ""},
	{directory.ErrBadVote, program.ExitUsage, "--recommend takes a relay's software as its descriptor names it, such as 'hearsay 0.4.0'"},
	{directory.ErrSignature, program.ExitRefused, "it is forged, damaged, or of another network"},
	{relay.ErrWrongPassphrase, program.ExitPassphrase, "without the passphrase, the 24 words still hold the key: `founder restore`"},
	{relay.ErrNoRoot, program.ExitNotFound, "bring root.key back, or type its 24 words: `founder restore`"},
	{relay.ErrHasRoot, program.ExitRefused, "give another --home; keys are never replaced"},
	{relay.ErrNoDirectory, program.ExitRefused, "this founder signs changes of the network alone: there is nothing to run"},
	{relay.ErrNoCard, program.ExitUsage, "make a card with `founder card`, or give the right --home"},
	{relay.ErrNotMine, program.ExitRefused, "ask for a draft that holds your card as you made it; do not sign this one"},
	{relay.ErrSignedOther, program.ExitRefused, "make sure that the other draft is given up by all; then add --replace"},
	{relay.ErrInForce, program.ExitRefused, "there is nothing to sign any more"},
	{relay.ErrIdentityOffline, program.ExitRefused, "see hearsay-directory rotate --help"},
	{relay.ErrHistoryLost, program.ExitRefused, "found another network, and name it to all by `founder successor` with this root key; a second history under one key would prove this signer a liar"},
	{relay.ErrNotSigner, program.ExitRefused, "certify the key that `hearsay-directory rotate` printed, with signer.key of this home"},
	{fs.ErrNotExist, program.ExitNotFound, "check the name of the file"},
}

// founderError gives errors their exit codes and hints.
func founderError(err error) error {
	var e *program.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return program.Fail(f.code, f.hint, err)
		}
	}
	return program.NodeError(err)
}

// maxInput bounds what is read from a file that a command names, in bytes.
const maxInput = directory.MaxEmergencyDraft

// readInput returns the text itself if it begins with the prefix, else what is
// in the file of that name.
func readInput(text, prefix string) ([]byte, error) {
	if prefix != "" && len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		return []byte(text), nil
	}
	f, err := os.Open(text)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("%s: more than %d bytes", text, maxInput)
	}
	return b, err
}

// writeNew writes a file that must not exist yet.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return program.Fail(program.ExitRefused, "give another name with --out", fmt.Errorf("%s exists already", name))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// replaceFile puts b in the place of a file as a whole.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

type cardFlags struct {
	home, label, listen, passphraseFile, out string
	lab, words, json                         bool
}

func cardCommand() *cobra.Command {
	var f cardFlags
	cmd := &cobra.Command{
		Use:   "card --label NAME [--listen ADDR]",
		Short: "Make a founder's keys and card",
		Long: `Make the keys of one founder in a new home, and a card: their public halves, a
name, the address where this founder's directory will listen, if it does, and a
proof that whoever made the card has the keys. A card is no secret; hand it over
in a way that nobody can change it, such as by QR code, face to face.

The root key is sealed with a passphrase; --words prints it as 24 words, for
paper. In a home that has a card, it prints that.

At least one founder of a network must --listen. The others' directories only
dial out, which keeps their addresses to themselves.`,
		Example: `  hearsay-directory founder card --home anna --label anna --listen 192.0.2.7:4443`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(makeCard(cmd, f))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	fl.StringVar(&f.label, "label", "", "name of this founder, at most 32 bytes")
	fl.StringVar(&f.listen, "listen", "", "UDP address that `run` will serve, IP:PORT")
	fl.BoolVar(&f.lab, "lab", false, "keys for a lab network: no anonymity")
	fl.BoolVar(&f.words, "words", false, "print the root key as 24 words")
	passphraseFlag(cmd, &f.passphraseFile)
	fl.StringVar(&f.out, "out", "", "file for the card")
	jsonFlag(cmd, &f.json)
	return cmd
}

func passphraseFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "passphrase-file", "", "file with the passphrase of the root key")
}

func jsonFlag(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "json", false, "print one line of JSON")
}

func makeCard(cmd *cobra.Command, f cardFlags) error {
	raw, err := relay.Card(f.home)
	if errors.Is(err, relay.ErrNoCard) || errors.Is(err, fs.ErrNotExist) {
		raw, err = newCard(cmd, f)
	} else if err == nil && (f.label != "" || f.listen != "") {
		err = program.Fail(program.ExitRefused, "without --label and --listen it is printed; another founder needs another --home", errors.New("this home has a card already"))
	}
	if err != nil {
		return err
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		return err
	}
	var words []string
	if f.words {
		if words, err = rootWords(f.home, f.passphraseFile); err != nil {
			return err
		}
	}
	text := directory.CardText(raw)
	if f.out != "" {
		if err := writeNew(f.out, []byte(text+"\n")); err != nil {
			return err
		}
	}
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), cardJSON{
			V: 1, Type: "card", Card: text, Label: card.Label, Root: directory.FounderKey{Public: card.Root}.ID().String(),
			Signer: directory.FounderKey{Public: card.Signer}.ID().String(), Listen: listenText(card), Lab: card.Lab, RootWords: words,
		})
	}
	w := cmd.OutOrStdout()
	if f.out == "" {
		fmt.Fprintf(w, "The card of %s, for the founder who makes the draft:\n\n  %s\n\n", card.Label, text)
	} else {
		fmt.Fprintf(w, "The card of %s is in %s, for the founder who makes the draft.\n\n", card.Label, f.out)
	}
	printQR(w, text)
	if listenText(card) == nil {
		fmt.Fprintf(w, "It names no address: some other founder must --listen.\n\n")
	}
	printRootWords(w, words)
	fmt.Fprintf(w, "Keep %s and the passphrase: without them you are no founder.\nNext: hearsay-directory founder sign DRAFT --home %s\n", f.home, f.home)
	return nil
}

type cardJSON struct {
	V         int      `json:"v"`
	Type      string   `json:"type"`
	Card      string   `json:"card"`
	Label     string   `json:"label"`
	Root      string   `json:"root"`
	Signer    string   `json:"signer"`
	Listen    *string  `json:"listen"`
	Lab       bool     `json:"lab"`
	RootWords []string `json:"root_words,omitempty"`
}

func listenText(c *directory.Card) *string {
	if c.Bootstrap == nil {
		return nil
	}
	s := c.Bootstrap.Addr.String()
	return &s
}

func newCard(cmd *cobra.Command, f cardFlags) ([]byte, error) {
	if f.label == "" {
		return nil, program.Usage("give --label with the name by which the others know you", "this home has no card yet")
	}
	what := relay.Founder{Home: f.home, Label: f.label, Lab: f.lab}
	var err error
	if f.listen != "" {
		if what.Listen, err = program.ParseListen("listen", f.listen); err != nil {
			return nil, err
		}
		if what.Listen.Port() == 0 {
			return nil, program.Usage("choose a port: the network file holds it", "--listen: port 0 is no address to come back to")
		}
	}
	if what.Passphrase, err = newPassphrase(cmd, f.passphraseFile, f.lab); err != nil {
		return nil, err
	}
	defer clear(what.Passphrase)
	return relay.MakeCard(what)
}

// newPassphrase asks for the passphrase of a root key that is to be made.
func newPassphrase(cmd *cobra.Command, file string, lab bool) ([]byte, error) {
	p, err := program.ReadPassphrase(file, "passphrase for the root key: ", true)
	if err == nil && p == nil && lab {
		program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the root key of this lab network is kept by file mode alone")
	}
	return p, err
}

// rootPassphrase asks for the passphrase of the home's root key, if it has one.
func rootPassphrase(home, file string) ([]byte, error) {
	if !relay.RootSealed(home) {
		return nil, nil
	}
	return program.ReadPassphrase(file, "passphrase of the root key: ", false)
}

func rootWords(home, passphraseFile string) ([]string, error) {
	p, err := rootPassphrase(home, passphraseFile)
	if err != nil {
		return nil, err
	}
	defer clear(p)
	seed, err := relay.RootSeed(home, p)
	if err != nil {
		return nil, err
	}
	defer clear(seed[:])
	return directory.RootWords(seed), nil
}

func printRootWords(w io.Writer, words []string) {
	if len(words) == 0 {
		return
	}
	fmt.Fprintf(w, "The root key in 24 words. Whoever has them has the key: write them on paper,\nkeep them apart from this computer, and clear the screen.\n\n")
	printWords(w, words, 4)
	fmt.Fprintln(w)
}

// printWords prints numbered words in columns.
func printWords(w io.Writer, words []string, columns int) {
	for i, word := range words {
		if (i+1)%columns == 0 || i == len(words)-1 {
			fmt.Fprintf(w, "  %2d %s\n", i+1, word)
		} else {
			fmt.Fprintf(w, "  %2d %-9s", i+1, word)
		}
	}
}
