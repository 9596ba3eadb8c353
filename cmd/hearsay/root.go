package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// flags are the flags of all commands here.
type flags struct {
	home, profile, network, passphraseFile, logFile, cover string
	plain, ascii, noColor                                  bool
	logs                                                   program.LogFlags
	contribute                                             contributeFlags

	prefs tui.Preferences // by configure
}

// root returns the command tree.
func root() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   name,
		Short: "Anonymous messages through onion circuits",
		Long: `hearsay carries messages through three relays that do not know each other,
sealed from end to end. Without a command it opens the terminal interface, on the
daemon of the profile if one runs.

Choices lie in config.toml, in the configuration directory of this account or in
the --home, as in:

  version = 1
  theme = "auto"            # dark, light, contrast, 16
  lock_after = "15m"        # or "never"
  notify = "auto"           # osc, bell, off
  notify_content = false    # show who wrote
  path_in_bar = "names"     # or "count"
  delete_after = "keep"     # of new conversations: "1d", "7d" or "28d"
  ascii = false
  mouse = false
  reduced_motion = false
  network = "HEARSAY-NET:..."   # of a home that is made; so is cover
  [keys]
  switch = ["ctrl+k", "f2"] # names of actions: see the help, F1

Flags stand above variables such as HEARSAY_THEME, and these above the file.`,
		Args: cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			keepMemory()
			return f.checkProfile()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return chatError(runTUI(cmd, f))
		},
	}
	fl := cmd.PersistentFlags()
	fl.StringVar(&f.home, "home", "", "directory of the profile (default: the data directory of this account)")
	fl.StringVar(&f.profile, "profile", "", "name of a profile in the data directory; its first use makes it")
	fl.StringVar(&f.network, "network", "", "network link, or a file that holds one; remembered in the home")
	fl.StringVar(&f.cover, "cover", "", "cover traffic: off, saver, normal or fast; remembered in the home (default: normal, off in lab networks)")
	fl.StringVar(&f.passphraseFile, "passphrase-file", "", "file with the passphrase of the profile")
	fl.StringVar(&f.logFile, "log-file", "", "write the log there, not to stderr")
	fl.BoolVar(&f.plain, "plain", false, "line by line, without a screen: for screen readers and simple terminals")
	fl.BoolVar(&f.ascii, "ascii", false, "draw borders and signs in ASCII")
	fl.BoolVar(&f.noColor, "no-color", false, "no colours (also: NO_COLOR)")
	f.logs.Add(cmd)
	f.contribute.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("profile", completeProfiles) // the flag is there
	cmd.AddCommand(passphraseCommand(f), backupCommand(f), restoreCommand(f), wipeCommand(f), profileCommand())
	cmd.AddCommand(rpcCommand(f), daemonCommand(f), attachCommand(f), demoCommand(f), doctorCommand(f), program.VersionCommand(name))
	return cmd
}

// dir returns the home of the profile.
func (f *flags) dir() string {
	if f.home != "" {
		return f.home
	}
	if f.profile != "" {
		return filepath.Join(dataDir(), profilesDir, f.profile)
	}
	return dataDir()
}

// logger opens the log. screen says that stderr is a screen which must not be
// written to.
func (f *flags) logger(stderr io.Writer, screen bool) (*slog.Logger, func(), error) {
	if f.logFile == "" {
		if screen {
			stderr = io.Discard
		}
		l, err := f.logs.Logger(stderr)
		return l, func() {}, err
	}
	file, err := os.OpenFile(f.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, program.Fail(program.ExitUsage, "give a file that can be written", err)
	}
	l, err := f.logs.Logger(file)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return l, func() { file.Close() }, nil
}

// chatError gives the errors of a profile their exit codes and hints.
func chatError(err error) error {
	var done *program.Error
	var e *chat.Error
	var holder *holderError
	switch {
	case err == nil || errors.As(err, &done):
		return err
	case errors.Is(err, chat.ErrPassphrase):
		return program.Fail(program.ExitPassphrase, "give --passphrase-file with the right one; there is no recovery", chat.ErrPassphrase)
	case errors.As(err, &holder):
		return program.Fail(program.ExitHomeInUse, "stop it, or give another --home", holder)
	case errors.Is(err, chat.ErrHomeInUse):
		return program.Fail(program.ExitHomeInUse, "stop the other process, or give another --home", chat.ErrHomeInUse)
	case errors.Is(err, chat.ErrHomeOpen):
		return program.Fail(program.ExitRefused, "chmod 700 the directory and 600 its files: keys lie there", err)
	case errors.Is(err, chat.ErrNoNetwork):
		return program.Fail(program.ExitUsage, "give --network with the link of the network", chat.ErrNoNetwork)
	case errors.As(err, &e):
		code := map[string]int{
			chat.KindNotFound: program.ExitNotFound, chat.KindNoNetwork: program.ExitNoNetwork,
			chat.KindRefused: program.ExitUsage, chat.KindWrongNetwork: program.ExitRefused,
		}[e.Kind]
		if code == 0 {
			code = program.ExitFailure
		}
		return program.Fail(code, e.Hint, err)
	}
	return err
}

// isTerminal tells whether a person sits at both ends.
func isTerminal() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
}
