package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
)

// contentFlags say what a draft holds beside founders.
type contentFlags struct {
	name, join, asTable            string
	params                         []string
	addSeeds, addRelays            []string
	addBootstraps                  []string
	minProtocol, lifeDays          int
	removeSeeds, removeRelays      []string
	removeBootstraps               []string
	minProtocolSet, lifeSet, asSet bool
}

func (c *contentFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&c.name, "name", "", "name of the network, at most 64 bytes")
	fl.StringVar(&c.join, "join", "", "how relays join: token, vouch, open, or several joined by +, or closed")
	fl.StringArrayVar(&c.params, "param", nil, "parameter, NAME=VALUE or NAME=default (repeatable): "+strings.Join(directory.ParamNames(), ", "))
	fl.StringArrayVar(&c.addBootstraps, "add-bootstrap", nil, "relay that serves newcomers, ID@IP:PORT (repeatable)")
	fl.StringArrayVar(&c.addSeeds, "add-seed", nil, "relay that is exempt from rules of age (repeatable)")
	fl.StringArrayVar(&c.addRelays, "add-relay", nil, "relay of a closed network (repeatable)")
	fl.IntVar(&c.minProtocol, "min-protocol", 1, "lowest protocol that relays must speak")
	fl.IntVar(&c.lifeDays, "expires", 730, "days until the file expires, at most 730")
	fl.StringVar(&c.asTable, "as-table", "", "file of the table of autonomous systems that all signers use, or none")
}

func (c *contentFlags) addRemovals(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&c.removeBootstraps, "remove-bootstrap", nil, "address of a bootstrap to take out (repeatable)")
	fl.StringArrayVar(&c.removeSeeds, "remove-seed", nil, "seed to take out (repeatable)")
	fl.StringArrayVar(&c.removeRelays, "remove-relay", nil, "relay of a closed network to take out (repeatable)")
}

// read notes which flags were given.
func (c *contentFlags) read(cmd *cobra.Command) {
	c.minProtocolSet = cmd.Flags().Changed("min-protocol")
	c.lifeSet = cmd.Flags().Changed("expires")
	c.asSet = cmd.Flags().Changed("as-table")
}

// apply writes what the flags say into a file.
func (c *contentFlags) apply(f *directory.NetworkFile, now time.Time) error {
	if c.name != "" {
		f.Name = c.name
	}
	if c.join != "" {
		j, err := parseJoin(c.join)
		if err != nil {
			return err
		}
		if f.Join = j; j != directory.JoinClosed {
			f.Relays = nil
		}
	}
	if err := c.applyParams(f); err != nil {
		return err
	}
	if c.minProtocolSet {
		if c.minProtocol < 0 || c.minProtocol > math.MaxUint16 {
			return program.Usage("", "--min-protocol: 0 to %d", math.MaxUint16)
		}
		f.MinProtocol = uint16(c.minProtocol)
	}
	if c.lifeSet {
		if c.lifeDays < 1 || c.lifeDays > 730 {
			return program.Usage("", "--expires: 1 to 730 days")
		}
		f.Expires = time.Unix(now.Unix(), 0).Add(time.Duration(c.lifeDays) * 24 * time.Hour)
	}
	if c.asSet {
		f.ASTable = [32]byte{}
		if c.asTable != "none" {
			b, err := readInput(c.asTable, "")
			if err != nil {
				return err
			}
			f.ASTable = sha256.Sum256(b)
		}
	}
	if err := changeIDs(&f.Seeds, "seed", c.addSeeds, c.removeSeeds); err != nil {
		return err
	}
	if err := changeIDs(&f.Relays, "relay", c.addRelays, c.removeRelays); err != nil {
		return err
	}
	return c.applyBootstraps(f)
}

func (c *contentFlags) applyParams(f *directory.NetworkFile) error {
	for _, text := range c.params {
		key, value, ok := strings.Cut(text, "=")
		p, err := directory.ParseParam(key)
		if err != nil || !ok {
			return program.Usage("write NAME=VALUE; the names are "+strings.Join(directory.ParamNames(), ", "), "--param: %q", text)
		}
		if value == "default" {
			delete(f.Params, p)
			continue
		}
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return program.Usage("write a whole number, or default", "--param %s: %q", key, value)
		}
		if f.Params == nil {
			f.Params = make(map[directory.Param]int64)
		}
		f.Params[p] = v
	}
	return nil
}

func (c *contentFlags) applyBootstraps(f *directory.NetworkFile) error {
	for _, text := range c.removeBootstraps {
		a, err := program.ParseListen("remove-bootstrap", text)
		if err != nil {
			return err
		}
		n := len(f.Bootstraps)
		f.Bootstraps = slices.DeleteFunc(f.Bootstraps, func(b directory.Bootstrap) bool { return b.Addr == a })
		if len(f.Bootstraps) == n {
			return program.Fail(program.ExitNotFound, "", fmt.Errorf("--remove-bootstrap: no bootstrap at %v", a))
		}
	}
	for _, text := range c.addBootstraps {
		id, addr, ok := strings.Cut(text, "@")
		b := directory.Bootstrap{}
		relay, err := directory.ParseRelayID(id)
		if err == nil && ok {
			b.ID = relay.Prefix()
			b.Addr, err = netip.ParseAddrPort(addr)
		}
		if err != nil || !ok {
			return program.Usage("write the relay's id, @, and its address: both are in its ready line", "--add-bootstrap: %q", text)
		}
		f.Bootstraps = append(f.Bootstraps, b)
	}
	return nil
}

func changeIDs(list *[]directory.RelayID, what string, add, remove []string) error {
	for _, text := range remove {
		id, err := directory.ParseRelayID(text)
		i := slices.Index(*list, id)
		if err != nil || i < 0 {
			return program.Fail(program.ExitNotFound, "", fmt.Errorf("--remove-%s: the file does not list %q", what, text))
		}
		*list = slices.Delete(*list, i, i+1)
	}
	for _, text := range add {
		id, err := directory.ParseRelayID(text)
		if err != nil {
			return program.Usage("a relay's id is in its ready line", "--add-%s: %q is no relay id", what, text)
		}
		if !slices.Contains(*list, id) {
			*list = append(*list, id)
		}
	}
	return nil
}

// joinModes are the join modes by their names.
var joinModes = map[string]directory.Join{
	"token": directory.JoinToken, "vouch": directory.JoinVouch, "open": directory.JoinOpen, "closed": directory.JoinClosed,
}

// parseJoin reads join modes, several being joined by "+" or ",".
func parseJoin(text string) (directory.Join, error) {
	var j directory.Join
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == '+' || r == ',' }) {
		mode, ok := joinModes[part]
		if !ok {
			return 0, program.Usage("use token, vouch, open, several joined by +, or closed", "--join: no mode %q", part)
		}
		j |= mode
	}
	if j == 0 || j&directory.JoinClosed != 0 && j != directory.JoinClosed {
		return 0, program.Usage("closed stands alone: then only relays that the file names may join", "--join: %q", text)
	}
	return j, nil
}
