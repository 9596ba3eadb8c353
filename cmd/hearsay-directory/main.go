// Command hearsay-directory founds a hearsay network and runs its directory.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
)

const name = "hearsay-directory"

func main() {
	os.Exit(program.Main(root()))
}

// root returns the command tree.
func root() *cobra.Command {
	logs := &program.LogFlags{}
	cmd := &cobra.Command{
		Use:   name,
		Short: "Found a hearsay network and run its directory",
		Long: `The directory lists the relays of a network: it probes them, signs a snapshot
of those that run, and hands it to everybody. It carries no circuits.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return program.Usage("see "+name+" --help", "which command?")
		},
	}
	logs.Add(cmd)
	cmd.AddCommand(initCommand(), runCommand(logs), checkCommand(logs), statusCommand(), tokenCommand(), program.VersionCommand(name), founderCommand(), rotateCommand())
	cmd.AddCommand(program.BackupCommand(homeProgram), program.RestoreCommand(homeProgram))
	cmd.AddCommand(program.VouchCommand("hearsay-directory"), inviterCommand(), approveCommand(), markCommand())
	cmd.AddCommand(showCommand(logs), whyCommand(logs), auditCommand(logs))
	return cmd
}

// home adds the flag that all commands here have.
func homeFlag(cmd *cobra.Command, home *string) {
	cmd.Flags().StringVar(home, "home", "hearsay-directory", "directory of keys and state")
}
