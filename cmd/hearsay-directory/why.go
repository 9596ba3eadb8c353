package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/audit"
	"hearsay/directory/sybil"
	"hearsay/relay"
)

func whyCommand(logs *program.LogFlags) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "why ID",
		Short: "Say why a relay stands as it does",
		Long: `Say whether a relay is listed, with which flags and weights, and why: each rule
with the value, the limit, what each signer said, and what would clear it.

Nothing is taken on trust: the votes of the signers, the ledger and the
descriptors are fetched by their hashes, verified, and judged again.

ID is the relay's id, a beginning of it that no other has, or its nick.`,
		Example: `  hearsay-directory why 7q2mfx --network HEARSAY-NET:…
  hearsay-directory why fern --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, logs, func(ctx context.Context, r *relay.Reader, chain *directory.Chain) error {
				table, err := f.table()
				if err != nil {
					return err
				}
				return why(ctx, cmd, r, chain, table, strings.ToLower(args[0]), f.json)
			})
		},
	}
	f.add(cmd, 5*time.Minute)
	f.addTable(cmd)
	return cmd
}

func why(ctx context.Context, cmd *cobra.Command, r *relay.Reader, chain *directory.Chain, table *sybil.ASTable, text string, asJSON bool) error {
	s, _, err := r.Snapshot(ctx, 0)
	if err != nil {
		return err
	}
	c, err := audit.Gather(ctx, r, chain, &s.Head, table)
	if err != nil {
		return err
	}
	id, nick, err := findRelay(c, text)
	if err != nil {
		return err
	}
	e, err := c.Explain(s, id)
	if err != nil {
		return err
	}
	if asJSON {
		return audit.PrintJSON(cmd.OutOrStdout(), e)
	}
	printWhy(cmd.OutOrStdout(), e, nick)
	return nil
}

// findRelay finds the one relay that a text names. A whole id that no vote names
// is taken too: then that is the answer.
func findRelay(c *audit.Case, text string) (id directory.RelayID, nick string, err error) {
	found := c.Find(text)
	switch {
	case len(found) == 1:
		if found[0].Descriptor != nil {
			nick = found[0].Descriptor.Nick
		}
		return found[0].ID, nick, nil
	case len(found) > 1:
		return id, "", program.Usage("give more of the id", "%q names %d relays", text, len(found))
	}
	if id, err = directory.ParseRelayID(text); err != nil {
		return id, "", program.Fail(program.ExitNotFound, "`hearsay-directory show` lists the relays; a relay's ready line has its id", fmt.Errorf("no vote names a relay %q", text))
	}
	return id, "", nil
}

func printWhy(w io.Writer, e *audit.Explanation, nick string) {
	if nick != "" {
		nick = fmt.Sprintf(" (%s)", nick)
	}
	fmt.Fprintf(w, "%s%s\n", e.Relay, nick)
	audit.PrintText(w, e)
}
