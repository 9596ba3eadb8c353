package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

type tokenFlags struct {
	home, key, network string
	uses, days         int
	json               bool
}

func tokenCommand() *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use:   "token [--uses N] [--days D]",
		Short: "Make a relay token",
		Long: `Make a token that lets relays join this network, and print it as a relay link:
what a relay takes as --network, or as --token. It is a secret: whoever has the link
can bring in as many relays as it has uses left. What relays show of it to others is
of no use to them.

With --key, an inviter makes it with the key that the founders have written into the
network file (hearsay-directory inviter).`,
		Example: `  hearsay-directory token --uses 3 --days 7
  hearsay-directory token --key inviter.key --network HEARSAY-NET:...`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return token(cmd, f) },
	}
	homeFlag(cmd, &f.home)
	fl := cmd.Flags()
	fl.StringVar(&f.key, "key", "", "file of an inviter's key, in place of the signer key of the home")
	fl.StringVar(&f.network, "network", "", "network link, or a file that holds one; with --key")
	fl.IntVar(&f.uses, "uses", 1, "relays that may use it, 1 to 10")
	fl.IntVar(&f.days, "days", 7, "days until it expires, 1 to 30")
	jsonFlag(cmd, &f.json)
	return cmd
}

func token(cmd *cobra.Command, f tokenFlags) error {
	if f.uses < 1 || f.uses > directory.MaxTokenUses {
		return program.Usage("make several tokens for more", "--uses: 1 to 10")
	}
	if f.days < 1 || f.days > 30 {
		return program.Usage("", "--days: 1 to 30")
	}
	l, err := f.issue()
	if err != nil {
		return program.OperatorError(err)
	}
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), map[string]any{"v": 1, "type": "token", "relay_link": l.String(), "uses": f.uses, "days": f.days})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), l)
	return err
}

func (f *tokenFlags) issue() (directory.NetworkLink, error) {
	if f.key == "" {
		if f.network != "" {
			return directory.NetworkLink{}, program.Usage("give --key with the inviter's key too", "--network is for inviters, who have no founder's home")
		}
		return relay.IssueToken(f.home, f.uses, f.days)
	}
	link, err := program.ReadLink(f.network)
	if err != nil {
		return link, err
	}
	if link.ID == (directory.NetworkID{}) {
		chain, err := relay.FounderChain(f.home)
		if errors.Is(err, relay.ErrNoNetwork) {
			return link, program.Usage("give --network with the link of the network", "which network?")
		}
		if err != nil {
			return link, err
		}
		link = chain.Link(nil)
	}
	return relay.IssueTokenBy(f.key, link, f.uses, f.days)
}
