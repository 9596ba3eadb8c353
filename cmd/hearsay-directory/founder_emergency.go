package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

type emergencyFlags struct {
	home, out string
	days      int
	json      bool
}

func emergencyCommand() *cobra.Command {
	var f emergencyFlags
	cmd := &cobra.Command{
		Use:   "emergency",
		Short: "Draft a snapshot that founders sign because the signers are gone",
		Long: `When too few signers are left to sign snapshots, clients work on with the last
one for three days, and for seven with their users' consent. Founders can take it
further, for at most two weeks, until signers are back or ` + "`founder amend`" + ` has
replaced them: this drafts a snapshot that lists the same relays as the last one.
Nobody measures anything for it, and clients say so.

It is made of what the directory of this home holds, whose ` + "`run`" + ` must be
stopped; let it run for a minute before, if it can, so that it knows the present
keys of the relays. More than half of the founders sign it, by ` + "`founder sign`" + `
with their root keys; one who runs a directory at an address of the network file
puts it into force by ` + "`founder assemble`" + ` and ` + "`run`" + `.`,
		Example: `  hearsay-directory founder emergency --days 7 --home anna
  hearsay-directory founder sign emergency.draft --home ben
  hearsay-directory founder assemble emergency.draft --home anna`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(emergency(cmd, f))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	fl.IntVar(&f.days, "days", 7, "days for which it counts, 1 to 14 (of 240 seconds in a lab network)")
	fl.StringVar(&f.out, "out", "emergency.draft", "file for the draft")
	jsonFlag(cmd, &f.json)
	return cmd
}

func emergency(cmd *cobra.Command, f emergencyFlags) error {
	if f.days < 1 || f.days > 14 {
		return program.Usage("founders take a network further for 14 days at most", "--days: %d", f.days)
	}
	d, err := relay.DraftEmergency(f.home, f.days)
	if err != nil {
		return err
	}
	b, err := d.Bytes()
	if err != nil {
		return err
	}
	if err := writeNew(f.out, b); err != nil {
		return err
	}
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), describeEmergency(d, f.out))
	}
	w := cmd.OutOrStdout()
	printEmergency(w, d, ownCard(f.home))
	fmt.Fprintf(w, "\nThe draft is in %s; nobody has signed it yet.\n", f.out)
	fmt.Fprintf(w, "Next: each founder runs hearsay-directory founder sign %s --home HOME\n", f.out)
	return nil
}

type emergencyJSON struct {
	V        int      `json:"v"`
	Type     string   `json:"type"`
	Network  string   `json:"network"`
	Epoch    uint64   `json:"epoch"`
	From     string   `json:"from"`
	Until    string   `json:"until"`
	Base     string   `json:"base"`
	Relays   uint64   `json:"relays"`
	Renewed  int      `json:"renewed"`
	LeftOut  int      `json:"left_out"`
	File     string   `json:"file"`
	Words    []string `json:"words"`
	Hash     string   `json:"sha256"`
	Signed   []string `json:"signed"`
	Unsigned []string `json:"unsigned"`
	Lacking  int      `json:"lacking"`
}

func describeEmergency(d *directory.EmergencyDraft, file string) emergencyJSON {
	h, hash := d.Header(), d.Hash()
	j := emergencyJSON{
		V: 1, Type: "emergency", Network: h.Network.String(), Epoch: h.Epoch, From: program.JSONTime(h.ValidAfter), Until: program.JSONTime(h.ValidUntil),
		Base: program.JSONTime(d.Base().Header.ValidAfter), Relays: h.N, File: file, Words: d.Words(), Hash: fmt.Sprintf("%x", hash),
		Signed: []string{}, Unsigned: []string{}, Lacking: d.Lacking(),
	}
	j.Renewed, j.LeftOut = d.Changes()
	for _, r := range d.Roots() {
		if r.Signed {
			j.Signed = append(j.Signed, r.Label)
		} else {
			j.Unsigned = append(j.Unsigned, r.Label)
		}
	}
	return j
}

// printEmergency shows a draft to a founder who is to judge it; own is the card
// of the home, nil if there is none.
func printEmergency(w io.Writer, d *directory.EmergencyDraft, own *directory.Card) {
	line := func(field, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s %s\n", field, fmt.Sprintf(format, args...))
	}
	h, base := d.Header(), &d.Base().Header
	roots := d.Roots()
	fmt.Fprintf(w, "Emergency snapshot: founders sign in place of the signers, nothing is measured\n\n")
	if h.Lab() {
		line("", "LAB NETWORK: no anonymity")
	}
	const layout = "2006-01-02 15:04"
	line("network", "%s", h.Network)
	line("counts", "from %s to %s UTC", h.ValidAfter.UTC().Format(layout), h.ValidUntil.UTC().Format(layout))
	by := "signed by signers"
	if base.Emergency() {
		by = "itself an emergency snapshot"
	}
	line("goes on from", "the snapshot of %s UTC, %s old, %s", base.ValidAfter.UTC().Format(layout), ageText(h.ValidAfter.Sub(base.ValidAfter)), by)
	renewed, gone := d.Changes()
	line("relays", "%d, as that snapshot had them; %d with newer keys", h.N, renewed)
	if gone > 0 {
		line("", "%d are left out, which said that they left or moved", gone)
	}
	line("founders", "%d of %d must sign it", directory.RootThreshold(len(roots)), len(roots))
	for _, r := range roots {
		signed := ""
		if r.Signed {
			signed = "  signed"
		}
		line("", "%s%s%s", r.FounderKey, mine(own != nil && own.Root == r.Public), signed)
	}
	fmt.Fprintf(w, "\nThe ten words of this draft:\n\n")
	printWords(w, d.Words(), 5)
}

// ageText says a length of time in its greatest unit.
func ageText(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// signEmergency is sign for an emergency draft.
func signEmergency(cmd *cobra.Command, f signFlags, file string, raw []byte) error {
	d, err := relay.ParseEmergency(f.home, raw)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := d.CheckTime(time.Now()); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if !f.json {
		printEmergency(w, d, ownCard(f.home))
		if err := askWords(w); err != nil {
			return err
		}
	} else if !f.yes {
		return program.PrintJSON(w, describeEmergency(d, file))
	}
	p, err := rootPassphrase(f.home, f.passphraseFile)
	if err != nil {
		return err
	}
	defer clear(p)
	if err := relay.SignEmergency(f.home, d, p, f.replace); err != nil {
		return err
	}
	b, err := d.Bytes()
	if err != nil {
		return err
	}
	if f.out != "" {
		file, err = f.out, writeNew(f.out, b)
	} else {
		err = replaceFile(file, b)
	}
	if err != nil {
		return err
	}
	if f.json {
		return program.PrintJSON(w, describeEmergency(d, file))
	}
	if d.Lacking() == 0 {
		fmt.Fprintf(w, "\nSigned, in %s. It has all the signatures it needs.\n", file)
		fmt.Fprintf(w, "Next: a founder who runs a directory: hearsay-directory founder assemble %s --home HOME\n", file)
		return nil
	}
	fmt.Fprintf(w, "\nSigned, in %s; %s.\nNext: hand it to a founder who has not signed it.\n", file, lackingEmergency(d))
	return nil
}

func lackingEmergency(d *directory.EmergencyDraft) string {
	var names []string
	for _, r := range d.Roots() {
		if !r.Signed {
			names = append(names, r.String())
		}
	}
	return fmt.Sprintf("it still needs the signatures of %d of %s", d.Lacking(), strings.Join(names, ", "))
}

// assembleEmergency is assemble for emergency drafts, of which first is the
// content of the first file.
func assembleEmergency(cmd *cobra.Command, f assembleFlags, files []string, first []byte) error {
	d, err := relay.ParseEmergency(f.home, first)
	if err != nil {
		return fmt.Errorf("%s: %w", files[0], err)
	}
	for _, file := range files[1:] {
		raw, err := readInput(file, "")
		if err != nil {
			return fmt.Errorf("draft: %w", err)
		}
		o, err := relay.ParseEmergency(f.home, raw)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := d.Merge(o); err != nil {
			return fmt.Errorf("%s and %s: %w", files[0], file, err)
		}
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
	if d.Lacking() > 0 {
		return program.Fail(program.ExitFailure, "they run `hearsay-directory founder sign`; give all signed copies to assemble", fmt.Errorf("%s: %s", files[0], lackingEmergency(d)))
	}
	if err := relay.InstallEmergency(f.home, d); err != nil && !errors.Is(err, relay.ErrInForce) {
		return err
	}
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), describeEmergency(d, files[0]))
	}
	w := cmd.OutOrStdout()
	h := d.Header()
	fmt.Fprintf(w, "The emergency snapshot is in this home, for %d relays, until %s UTC.\n", h.N, h.ValidUntil.UTC().Format("2006-01-02 15:04"))
	fmt.Fprintf(w, "Relays and clients take it once the directory runs, until signers sign again.\nNext: hearsay-directory run --home %s\n", f.home)
	return nil
}
