package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/directory"
	"hearsay/relay"
)

// Exit codes and hints of what operators do with keys of their own; the first
// that fits counts.
var operatorFailures = []struct {
	err  error
	code int
	hint string
}{
	{relay.ErrKeyExists, ExitRefused, "give another name, or use the key that is there"},
	{relay.ErrWrongKey, ExitUsage, "give the file that `hearsay-relay family new` or `hearsay-directory inviter new` made"},
	{relay.ErrOtherRelay, ExitRefused, "it serves the one relay that it names: ask for one with this relay's id"},
	{relay.ErrManyFamilies, ExitRefused, "take one out first: hearsay-relay family remove"},
	{relay.ErrNoFamily, ExitNotFound, "hearsay-relay family list shows those that the relay belongs to"},
	{relay.ErrDays, ExitUsage, ""},
	{directory.ErrBadFamily, ExitRefused, "give the whole text, from HEARSAY-FAMILY: to its end, made for this network"},
	{directory.ErrBadVouch, ExitRefused, "give the whole text, from HEARSAY-VOUCH: to its end, made for this network and this relay"},
	{fs.ErrNotExist, ExitNotFound, "check the name of the file"},
}

// OperatorError gives the errors of operators' keys their exit codes and hints.
func OperatorError(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	for _, f := range operatorFailures {
		if errors.Is(err, f.err) {
			return Fail(f.code, f.hint, err)
		}
	}
	return NodeError(err)
}

// NetworkOf returns the id of the network of a link, or of a home if the link is
// not given.
func NetworkOf(link, home string) (directory.NetworkID, error) {
	l, err := ReadLink(link)
	if err != nil {
		return directory.NetworkID{}, err
	}
	if l.ID != (directory.NetworkID{}) {
		return l.ID, nil
	}
	c, err := relay.FounderChain(home)
	if errors.Is(err, relay.ErrNoNetwork) {
		return directory.NetworkID{}, Usage("give --network with the link of the network, or the --home of a relay or directory", "which network?")
	}
	if err != nil {
		return directory.NetworkID{}, err
	}
	return c.ID(), nil
}

// RelayArgument parses a relay id that a command is given.
func RelayArgument(text string) (directory.RelayID, error) {
	id, err := directory.ParseRelayID(text)
	if err != nil {
		return id, Usage("a relay's id is in its ready line: 52 characters", "%q is no relay id", text)
	}
	return id, nil
}

// JSONTime writes a time as all JSON of the programs does.
func JSONTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// PrintJSON prints one object on a line.
func PrintJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", b)
	}
	return err
}

// VouchCommand returns the command by which operators of listed relays vouch for
// another relay: founders look for it beside their other acts, operators beside
// their families.
func VouchCommand(home string) *cobra.Command {
	var key, link string
	var days int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "vouch RELAY-ID --key FILE",
		Short: "Vouch for somebody's relay",
		Long: `Vouch for another operator's relay, with the key of your own family, and print
the vouch: a text that its operator gives to hearsay-relay run --vouch. It serves
that relay alone and is no secret.

A vouch counts where the network takes vouches, if one of your family's relays is
listed for 30 days. You can bring in three relays in 90 days. All that you bring in
share a limit of weight, and everybody sees who vouched: vouch for people, not for
addresses.`,
		Example: `  hearsay-relay vouch 7q2m... --key family.key --home /var/lib/hearsay-relay`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := RelayArgument(args[0])
			if err != nil {
				return err
			}
			network, err := NetworkOf(link, home)
			if err != nil {
				return OperatorError(err)
			}
			v, err := relay.Vouch(key, network, id, days)
			if err != nil {
				return OperatorError(err)
			}
			if asJSON {
				return PrintJSON(cmd.OutOrStdout(), struct {
					V       int    `json:"v"`
					Type    string `json:"type"`
					Relay   string `json:"relay"`
					Family  string `json:"family"`
					Expires string `json:"expires"`
					Vouch   string `json:"vouch"`
				}{1, "vouch", id.String(), directory.RelayID(v.Voucher).String(), JSONTime(v.Expires), v.Text()})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), v.Text())
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&home, "home", home, "home of a relay or directory of the network")
	fl.StringVar(&link, "network", "", "network link, or a file that holds one, in place of a home")
	fl.StringVar(&key, "key", "", "file of the family key, made by hearsay-relay family new")
	fl.IntVar(&days, "days", 180, "days until it expires, at most 180")
	fl.BoolVar(&asJSON, "json", false, "print one line of JSON")
	cmd.MarkFlagRequired("key")
	return cmd
}

// ReadVouch parses a vouch, or the one in a file if text starts with @.
func ReadVouch(text string) (directory.Vouch, error) {
	b := []byte(text)
	if file, ok := strings.CutPrefix(text, "@"); ok {
		var err error
		if b, err = readSmall(file); err != nil {
			return directory.Vouch{}, Fail(ExitUsage, "", fmt.Errorf("vouch: %w", err))
		}
	}
	v, err := directory.ParseVouchText(b)
	return v, Fail(ExitUsage, "give the whole text, from HEARSAY-VOUCH: to its end", err)
}

// IsVouch tells whether a text, or the file that it names by @, is a vouch and not
// a token.
func IsVouch(text string) bool {
	if file, ok := strings.CutPrefix(text, "@"); ok {
		b, err := readSmall(file)
		if err != nil {
			return false
		}
		text = string(b)
	}
	return strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "HEARSAY-VOUCH:")
}
