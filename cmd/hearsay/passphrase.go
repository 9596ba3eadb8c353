package main

import (
	"errors"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
)

func passphraseCommand(f *flags) *cobra.Command {
	var file string
	var remove bool
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase of the profile",
		Long: `Give the profile a passphrase, another one, or none (--remove). The old one is
asked for, or read from --passphrase-file; the new one is asked for twice, or
read from --new-passphrase-file. There is no recovery.

A copy of the home that was made before still opens with the old passphrase.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if remove && file != "" {
				return program.Usage("give one of them", "--remove and --new-passphrase-file exclude each other")
			}
			old, err := homePassphrase(f)
			if err != nil {
				return err
			}
			defer clear(old)
			var passphrase []byte
			if !remove {
				if passphrase, err = program.ReadPassphrase(file, "new passphrase: ", true); err != nil {
					return err
				}
				if passphrase == nil {
					return program.Fail(program.ExitPassphrase, "give --new-passphrase-file, or run it in a terminal", errors.New("there is no new passphrase"))
				}
				defer clear(passphrase)
			}
			c, err := f.running(cmd.Context())
			switch {
			case err != nil:
				return err
			case c != nil:
				err = c.ChangePassphrase(cmd.Context(), old, passphrase)
				_ = c.Close()
			default:
				err = nameHolder(f.dir(), chat.ChangePassphrase(f.dir(), old, passphrase))
			}
			if err != nil {
				return chatError(err)
			}
			if remove {
				program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the home is protected by file mode alone")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "new-passphrase-file", "", "file with the new passphrase")
	cmd.Flags().BoolVar(&remove, "remove", false, "protect the home by file mode alone")
	return cmd
}

// homePassphrase returns the passphrase of a profile that is there; nil if it has
// none.
func homePassphrase(f *flags) ([]byte, error) {
	state, err := chat.Inspect(f.dir())
	switch {
	case err != nil:
		return nil, chatError(err)
	case !state.Exists:
		return nil, program.Fail(program.ExitNotFound, "give --home or --profile; hearsay profile list shows those of this account", errors.New("there is no profile in this directory"))
	case !state.Encrypted && f.passphraseFile == "":
		return nil, nil
	}
	passphrase, err := program.ReadPassphrase(f.passphraseFile, "passphrase: ", false)
	if err == nil && passphrase == nil {
		err = chatError(chat.ErrPassphrase)
	}
	return passphrase, err
}

// newHomePassphrase returns the passphrase for a new home; nil, with a warning,
// if there is neither a file nor a terminal.
func newHomePassphrase(cmd *cobra.Command, f *flags) ([]byte, error) {
	passphrase, err := program.ReadPassphrase(f.passphraseFile, "passphrase of the new profile: ", true)
	if err == nil && passphrase == nil {
		program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the home is protected by file mode alone")
	}
	return passphrase, err
}

// backupPassphrase returns the passphrase of a backup.
func backupPassphrase(file string, made bool) ([]byte, error) {
	passphrase, err := program.ReadPassphrase(file, "passphrase of the backup: ", made)
	if err == nil && passphrase == nil {
		err = program.Fail(program.ExitPassphrase, "give --backup-passphrase-file, or run it in a terminal", errors.New("a backup needs a passphrase of its own"))
	}
	return passphrase, err
}
