package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

func familyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "family",
		Short: "Declare relays to be run by one operator",
		Long: `A family is a key of yours. By it you certify each of your relays, so that no
circuit takes two of them, and you vouch for the relays of others. Operators who
declare their families are no cluster of strangers to the directory.

  1. once, on a computer of yours:   family new family.key
  2. for each relay, where its home and the key are:
                                     family add --home HOME --key family.key
     or, if the key stays elsewhere: family certify RELAY-ID --key family.key --network LINK
     and then, at the relay:         family add --home HOME HEARSAY-FAMILY:...

Keep a copy of the key in a safe place, and off the relays: whoever has it speaks
for you.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return program.Usage("see "+name+" family --help", "which step?")
		},
	}
	cmd.AddCommand(familyNewCommand(), familyCertifyCommand(), familyAddCommand(), familyListCommand(), familyRemoveCommand())
	return cmd
}

type familyKeyJSON struct {
	V      int    `json:"v"`
	Type   string `json:"type"`
	Family string `json:"family"`
	File   string `json:"file"`
}

func familyNewCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a family key",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pub, err := relay.NewFamilyKey(args[0])
			if err != nil {
				return program.OperatorError(err)
			}
			family := directory.RelayID(pub).String()
			if asJSON {
				return program.PrintJSON(cmd.OutOrStdout(), familyKeyJSON{1, "family_key", family, args[0]})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The key of family %s\nis in %s. Keep a copy in a safe place.\nNext, for each relay: %s family add --home HOME --key %s\n", family, args[0], name, args[0])
			return nil
		},
	}
	familyJSON(cmd, &asJSON)
	return cmd
}

func familyJSON(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "json", false, "print JSON, one object per line")
}

type familyJSONLine struct {
	V           int    `json:"v"`
	Type        string `json:"type"`
	Family      string `json:"family"`
	Relay       string `json:"relay"`
	Expires     string `json:"expires"`
	Certificate string `json:"certificate"`
}

func lineOf(f directory.Family, id directory.RelayID) familyJSONLine {
	return familyJSONLine{1, "family", directory.RelayID(f.Key).String(), id.String(), program.JSONTime(f.Expires), f.Text(id)}
}

func familyCertifyCommand() *cobra.Command {
	var key, link, home string
	var days int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "certify RELAY-ID --key FILE",
		Short: "Certify a relay of yours that is elsewhere",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := program.RelayArgument(args[0])
			if err != nil {
				return err
			}
			network, err := program.NetworkOf(link, home)
			if err != nil {
				return program.OperatorError(err)
			}
			f, err := relay.CertifyFamily(key, network, id, days)
			if err != nil {
				return program.OperatorError(err)
			}
			if asJSON {
				return program.PrintJSON(cmd.OutOrStdout(), lineOf(f, id))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), f.Text(id))
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&key, "key", "", "file of the family key")
	fl.StringVar(&link, "network", "", "network link, or a file that holds one")
	fl.StringVar(&home, "home", "", "home of a relay of the network, in place of its link")
	fl.IntVar(&days, "days", 365, "days until it expires, at most 730")
	familyJSON(cmd, &asJSON)
	cmd.MarkFlagRequired("key")
	return cmd
}

func familyAddCommand() *cobra.Command {
	var key, home string
	var days int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add --home DIR {--key FILE | CERTIFICATE}",
		Short: "Put a family certificate into a relay's home",
		Long: `Certify the relay of a home with the family key in a file, or put a certificate,
text or file, into the home that was made elsewhere. One of the same family is
replaced. A running relay publishes it within ten minutes. A relay that has never
run has no network yet: run it first.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, id, err := addFamily(home, key, days, args)
			if err != nil {
				return program.OperatorError(err)
			}
			if asJSON {
				return program.PrintJSON(cmd.OutOrStdout(), lineOf(f, id))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The relay %s…\nbelongs to family %s…\nuntil %s. If it runs, it says so within ten minutes.\n", id.String()[:16], directory.RelayID(f.Key).String()[:16], f.Expires.UTC().Format(time.DateOnly))
			return nil
		},
	}
	fl := cmd.Flags()
	familyHome(cmd, &home)
	fl.StringVar(&key, "key", "", "file of the family key")
	fl.IntVar(&days, "days", 365, "days until it expires, at most 730; with --key")
	familyJSON(cmd, &asJSON)
	return cmd
}

func familyHome(cmd *cobra.Command, home *string) {
	cmd.Flags().StringVar(home, "home", "", "home of the relay")
	cmd.MarkFlagRequired("home")
}

func addFamily(home, key string, days int, args []string) (f directory.Family, id directory.RelayID, err error) {
	if (key == "") == (len(args) == 0) {
		return f, id, program.Usage("give --key with the family key, or a certificate that `family certify` printed", "either a key or a certificate")
	}
	if id, err = relay.HomeID(home); err != nil {
		return f, id, err
	}
	var certificate []byte
	if key == "" {
		certificate, err = readText(args[0], "HEARSAY-FAMILY:")
	} else {
		var network directory.NetworkID
		if network, err = program.NetworkOf("", home); err == nil {
			f, err = relay.CertifyFamily(key, network, id, days)
			certificate = f.Append(nil, id)
		}
	}
	if err != nil {
		return f, id, err
	}
	f, err = relay.AddFamily(home, certificate)
	return f, id, err
}

// readText returns the text itself if it begins with the prefix, else what is in
// the file of that name, at most 8 KiB.
func readText(text, prefix string) ([]byte, error) {
	if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), prefix) {
		return []byte(text), nil
	}
	f, err := os.Open(text)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 8192))
}

func familyListCommand() *cobra.Command {
	var home string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list --home DIR",
		Short: "Show the families of a relay",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := relay.Families(home)
			if err != nil {
				return program.OperatorError(err)
			}
			id, err := relay.HomeID(home)
			if err != nil {
				return program.OperatorError(err)
			}
			for _, f := range list {
				if asJSON {
					if err := program.PrintJSON(cmd.OutOrStdout(), lineOf(f, id)); err != nil {
						return err
					}
					continue
				}
				state := "until"
				if !f.Expires.After(time.Now()) {
					state = "expired on"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s\n", directory.RelayID(f.Key), state, f.Expires.UTC().Format(time.DateOnly))
			}
			if len(list) == 0 && !asJSON {
				fmt.Fprintf(cmd.OutOrStdout(), "The relay declares no family.\n")
			}
			return nil
		},
	}
	familyHome(cmd, &home)
	familyJSON(cmd, &asJSON)
	return cmd
}

func familyRemoveCommand() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "remove FAMILY --home DIR",
		Short: "Take a relay out of a family",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := directory.ParseRelayID(args[0])
			if err != nil {
				return program.Usage("`family list` shows the 52 characters", "%q is no family", args[0])
			}
			return program.OperatorError(relay.RemoveFamily(home, key))
		},
	}
	familyHome(cmd, &home)
	return cmd
}
