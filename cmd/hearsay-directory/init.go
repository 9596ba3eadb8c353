package main

import (
	"encoding/json"
	"fmt"
	"io"

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
	home, name, listen, join, passphraseFile string
	lab, json                                bool
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init --name N --listen ADDR",
		Short: "Found a network of your own",
		Long: `Found a network with one founder: you. It makes the keys, writes version 1 of
the network file into the home, and prints the network link.

The root key is sealed with a passphrase: it is asked for, or read from
--passphrase-file. A lab network may do without.

--lab founds a lab network: 10-second epochs, loopback and private addresses
allowed. It is for trying things out and gives no anonymity.`,
		Example: `  hearsay-directory init --name harbour --listen 192.0.2.7:4443
  hearsay-directory init --lab --join open --name test --listen 127.0.0.1:4443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return program.NodeError(found(cmd, f))
		},
	}
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	fl.StringVar(&f.name, "name", "", "name of the network, at most 64 bytes")
	fl.StringVar(&f.listen, "listen", "", "UDP address that `run` serves, IP:PORT; the link holds it")
	fl.StringVar(&f.join, "join", "token", "who may add a relay: token, or, in a lab network, open")
	fl.BoolVar(&f.lab, "lab", false, "a lab network: no anonymity")
	fl.StringVar(&f.passphraseFile, "passphrase-file", "", "file with the passphrase of the root key")
	fl.BoolVar(&f.json, "json", false, "print one line of JSON")
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
	what := relay.Founding{Name: f.name, Listen: listen, Lab: f.lab}
	switch {
	case f.join == "token":
		what.Join = directory.JoinToken
	case f.join == "open" && f.lab:
		what.Join = directory.JoinOpen
	case f.join == "open":
		return program.Usage("use --join token, or --lab", "--join open is for lab networks")
	default:
		return program.Usage("use token, or, with --lab, open", "--join: no mode %q", f.join)
	}
	if what.Passphrase, err = program.ReadPassphrase(f.passphraseFile, "passphrase for the root key: ", true); err != nil {
		return err
	}
	defer clear(what.Passphrase)
	if what.Passphrase == nil && f.lab {
		program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the root key of this lab network is kept by file mode alone")
	}
	link, err := relay.Found(f.home, what)
	if err != nil {
		return err
	}
	relayLink := ""
	if what.Join == directory.JoinToken {
		l, err := relay.IssueToken(f.home, firstTokenUses, firstTokenDays)
		if err != nil {
			return err
		}
		relayLink = l.String()
	}
	if f.json {
		return printNetworkJSON(cmd.OutOrStdout(), f, link, relayLink)
	}
	printNetwork(cmd.OutOrStdout(), f, link, relayLink)
	return nil
}

func printNetworkJSON(w io.Writer, f initFlags, link directory.NetworkLink, relayLink string) error {
	var token *string
	if relayLink != "" {
		token = &relayLink
	}
	b, err := json.Marshal(struct {
		V         int     `json:"v"`
		Type      string  `json:"type"`
		Name      string  `json:"name"`
		ID        string  `json:"id"`
		Link      string  `json:"link"`
		RelayLink *string `json:"relay_link"`
		Join      string  `json:"join"`
		Lab       bool    `json:"lab"`
	}{1, "network", f.name, link.ID.String(), link.String(), token, f.join, f.lab})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

func printNetwork(w io.Writer, f initFlags, link directory.NetworkLink, relayLink string) {
	if f.lab {
		fmt.Fprintln(w, "LAB NETWORK: no anonymity")
	}
	fmt.Fprintf(w, "Founded %q. Its link, for everyone who is to use it:\n\n  %s\n\n", f.name, link)
	if relayLink != "" {
		fmt.Fprintf(w, "The link for those who run relays; it lists %d relays within %d days:\n\n  %s\n\n", firstTokenUses, firstTokenDays, relayLink)
	}
	fmt.Fprintf(w, "One key is one point of failure: whoever has %s and its passphrase is the\nnetwork, and without them it ends. Keep a copy in a safe place.\n\n", f.home)
	fmt.Fprintf(w, "Next: hearsay-directory run --home %s\n", f.home)
}

func tokenCommand() *cobra.Command {
	var home string
	var uses, days int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "token [--uses N] [--days D]",
		Short: "Make a relay token",
		Long: `Make a token that lets relays join this network, and print it as a relay link:
what a relay takes as --network. It works while ` + "`run`" + ` does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if uses < 1 || uses > 10 {
				return program.Usage("make several tokens for more", "--uses: 1 to 10")
			}
			if days < 1 || days > 30 {
				return program.Usage("", "--days: 1 to 30")
			}
			l, err := relay.IssueToken(home, uses, days)
			if err != nil {
				return program.NodeError(err)
			}
			if asJSON {
				b, err := json.Marshal(map[string]any{"v": 1, "type": "token", "relay_link": l.String(), "uses": uses, "days": days})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), l)
			return err
		},
	}
	homeFlag(cmd, &home)
	cmd.Flags().IntVar(&uses, "uses", 1, "relays that may use it, 1 to 10")
	cmd.Flags().IntVar(&days, "days", 7, "days until it expires, 1 to 30")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON")
	return cmd
}
