//go:build man

package program

import (
	"fmt"

	"github.com/spf13/cobra"
)

// manualCommand is the name of the command that writes the page of a program. Only
// builds with the tag man have it: it is for those who make packages.
const manualCommand = "man"

// addManual puts the command under the others.
func addManual(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use:    manualCommand + " DIR",
		Short:  "Write the page of the manual into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := WriteManual(root, args[0])
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), file)
			}
			return err
		},
	})
}
