//go:build !man

package program

import "github.com/spf13/cobra"

// manualCommand is the name of a command that this build does not have.
const manualCommand = "man"

func addManual(*cobra.Command) {}
