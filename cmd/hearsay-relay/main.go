// Command hearsay-relay runs a relay of a hearsay network.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
)

const name = "hearsay-relay"

func main() {
	os.Exit(program.Main(root()))
}

// root returns the command tree.
func root() *cobra.Command {
	logs := &program.LogFlags{}
	cmd := &cobra.Command{
		Use:   name,
		Short: "Run a relay of a hearsay network",
		Long: `A relay carries circuits of people whom it does not know to relays that it
knows, and keeps sealed messages for people who are away. It sees no message,
and never both ends of a circuit.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return program.Usage("see "+name+" --help", "which command?")
		},
	}
	logs.Add(cmd)
	cmd.AddCommand(runCommand(logs), checkCommand(logs), statusCommand(logs), familyCommand(), program.BackupCommand(homeProgram), program.RestoreCommand(homeProgram), program.VouchCommand(""), program.VersionCommand(name))
	return cmd
}
