package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"hearsay/chat/rpc"
	"hearsay/cmd/program"
	"hearsay/tui"
)

func attachCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "attach",
		Short: "Open the terminal interface on a running daemon",
		Long: `Open the terminal interface on the daemon of the profile (see hearsay daemon).
Plain "hearsay" does the same when a daemon runs; this command fails when none
does. ctrl+c twice detaches: the daemon goes on, and so do other terminals.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.plain && !isTerminal() {
				return program.Usage("scripts use `hearsay rpc`, which attaches too", "the terminal interface needs a terminal")
			}
			if err := f.configure(); err != nil {
				return err
			}
			c, err := f.attach(cmd.Context())
			if err != nil {
				return chatError(err)
			}
			return chatError(showAttached(cmd, f, c))
		},
	}
}

// showAttached runs the screens on a daemon until the person detaches.
func showAttached(cmd *cobra.Command, f *flags, c *rpc.Client) error {
	f.warnIgnored(cmd)
	err := f.show(cmd.Context(), tui.Config{
		Home: attachedHome{client: c}, Attached: true, Doctor: f.checks(func() (statusSource, string) { return c, f.dir() }),
	})
	gone := c.Err()
	_ = c.Close()
	return errors.Join(err, gone)
}

// warnIgnored says which flags a running daemon makes meaningless.
func (f *flags) warnIgnored(cmd *cobra.Command) {
	for _, flag := range []string{"network", "cover", "passphrase-file", "contribute"} {
		if cmd.Flags().Changed(flag) {
			program.Warn(cmd.ErrOrStderr(), name, "a daemon runs for this home: --%s is ignored", flag)
		}
	}
}

// attachedHome is the home of a daemon: open already.
type attachedHome struct {
	noFirstRun
	client *rpc.Client
}

// State says that nothing is missing.
func (attachedHome) State() tui.HomeState { return tui.HomeState{Exists: true, HasNetwork: true} }

// Open returns the daemon's messenger.
func (h attachedHome) Open(context.Context, []byte, string) (tui.Chat, error) {
	return here{h.client}, nil
}
