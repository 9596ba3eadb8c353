package program

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hearsay/directory"
	"hearsay/relay"
)

// What flags take, by their names, which mean the same in all programs. A flag that
// is not here takes what a shell cannot know.
var (
	directoryFlags = []string{"home"}
	fileFlags      = []string{
		"as-table", "backup-passphrase-file", "certificate", "family", "key", "link-file", "log-file", "network",
		"new-passphrase-file", "out", "passphrase-file", "token", "vouch", "words-file",
	}
	flagValues = map[string][]string{
		"cover":      {"off", "saver", "normal", "fast"},
		"join":       {"token", "vouch", "open", "token+vouch", "token+open", "closed"},
		"log-format": {"text", "json"},
		"log-level":  {"debug", "info", "warn", "error"},
	}
)

// complete tells shells what the flags and arguments of all commands take, unless a
// command says so itself.
func complete(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, ok := cmd.GetFlagCompletionFunc(f.Name); ok || f.Value.Type() == "bool" {
			return
		}
		values := cobra.NoFileCompletions
		switch list := flagValues[f.Name]; {
		case list != nil:
			values = cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
		case f.Name == "config":
			values = cobra.FixedCompletions([]string{"toml"}, cobra.ShellCompDirectiveFilterFileExt)
		case slices.Contains(directoryFlags, f.Name):
			values = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case slices.Contains(fileFlags, f.Name):
			values = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, values) // it is new, and the flag is there
	})
	switch begin := strings.Fields(cmd.Use); {
	case cmd.ValidArgsFunction != nil || cmd.ValidArgs != nil:
	case cmd.Args != nil && cmd.Args(cmd, []string{"x"}) != nil && cmd.Args(cmd, []string{"x", "y"}) != nil:
		cmd.ValidArgsFunction = cobra.NoFileCompletions // it takes none
	case slices.Contains(begin, "RELAY-ID") || slices.Contains(begin, "ID") || slices.Contains(begin, "{RELAY-ID"):
		cmd.ValidArgsFunction = completeRelays
	case slices.Contains(begin, "FAMILY"):
		cmd.ValidArgsFunction = completeFamilies
	}
	for _, c := range cmd.Commands() {
		complete(c)
	}
}

// completeRelays proposes the relays that the --home has heard of. It asks nobody.
func completeRelays(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeIDs(cmd, args, typed, relay.KnownRelays)
}

// completeFamilies proposes the families of the relay of the --home.
func completeFamilies(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeIDs(cmd, args, typed, func(home string) (ids []directory.RelayID, err error) {
		list, err := relay.Families(home)
		for _, f := range list {
			ids = append(ids, directory.RelayID(f.Key))
		}
		return ids, err
	})
}

func completeIDs(cmd *cobra.Command, args []string, typed string, of func(home string) ([]directory.RelayID, error)) (ids []string, what cobra.ShellCompDirective) {
	home := cmd.Flag("home")
	if len(args) > 0 || home == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := of(home.Value.String())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, id := range list {
		if text := id.String(); strings.HasPrefix(text, strings.ToLower(typed)) {
			ids = append(ids, text)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
