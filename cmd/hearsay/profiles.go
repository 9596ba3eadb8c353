package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"text/tabwriter"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
)

// profilesDir is where homes of profiles with names lie, under the data directory.
const profilesDir = "profiles"

// profileName is what a profile may be called: the name is that of a directory.
var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// dataDir is the home of the profile without a name.
func dataDir() string { return filepath.Join(xdg.DataHome, "hearsay") }

// checkProfile refuses flags that do not name one home.
func (f *flags) checkProfile() error {
	switch {
	case f.profile == "":
		return nil
	case f.home != "":
		return program.Usage("give one of them", "--home and --profile both name a home")
	case !profileName.MatchString(f.profile):
		return program.Usage("letters a to z, digits, - and _, 32 at most", "no profile can be called that")
	}
	return nil
}

func profileCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "profile", Short: "Profiles on this computer", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	cmd.AddCommand(profileListCommand())
	return cmd
}

func profileListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the profiles of this account",
		Long: `List the profiles in the data directory of this account. Each has its own
identities, contacts and network. Another one is made by its first use:
hearsay --profile NAME. Homes elsewhere (--home) are not listed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := listProfiles(dataDir())
			if err != nil {
				return err
			}
			if asJSON {
				for _, p := range list {
					if err := program.PrintJSON(cmd.OutOrStdout(), p); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, p := range list {
				name, protection := p.Name, "file mode alone"
				if name == "" {
					name = "(default)"
				}
				switch {
				case p.Problem != "":
					protection = p.Problem
				case p.Encrypted:
					protection = "passphrase"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", name, protection, chat.Sanitize(p.Home))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// listedProfile is one line of profile list.
type listedProfile struct {
	V         int    `json:"v"`
	Type      string `json:"type"`
	Name      string `json:"name"` // empty: that without a name
	Home      string `json:"home"`
	Encrypted bool   `json:"encrypted"`
	Problem   string `json:"problem,omitempty"`
}

// listProfiles returns that without a name, if there is one, and then the others
// by name.
func listProfiles(data string) ([]listedProfile, error) {
	names := []string{""}
	entries, err := os.ReadDir(filepath.Join(data, profilesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, program.Fail(program.ExitFailure, "look at the directory's owner and mode", err)
	}
	for _, e := range entries {
		if e.IsDir() && profileName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	var list []listedProfile
	for _, name := range names {
		p := listedProfile{V: 1, Type: "profile", Name: name, Home: data}
		if name != "" {
			p.Home = filepath.Join(data, profilesDir, name)
		}
		state, err := chat.Inspect(p.Home)
		if err != nil {
			p.Problem = "damaged, or open to others"
		} else if !state.Exists {
			continue
		}
		p.Encrypted = state.Encrypted
		list = append(list, p)
	}
	return list, nil
}
