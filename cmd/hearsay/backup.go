package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/chat/rpc"
	"hearsay/cmd/program"
)

func backupCommand(f *flags) *cobra.Command {
	var file string
	var short bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the profile to one encrypted file",
		Long: `Write identities, contacts, queues, addresses, groups and messages to one file,
encrypted with a passphrase of its own (age). It never replaces a file.

Whoever has the file and its passphrase can pose as you. Files on their way are
not in it, and messages on their way count as failed there.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.running(cmd.Context())
			if err != nil {
				return err
			}
			var home []byte
			if c != nil {
				defer c.Close()
			} else if home, err = homePassphrase(f); err != nil {
				return err
			}
			defer clear(home)
			passphrase, err := backupPassphrase(file, true)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			if c == nil {
				return profileError(nameHolder(f.dir(), chat.WriteBackup(cmd.Context(), f.dir(), home, args[0], passphrase, !short)))
			}
			path, err := filepath.Abs(args[0]) // the daemon is elsewhere
			if err != nil {
				return err
			}
			return profileError(c.Backup(cmd.Context(), path, passphrase, !short))
		},
	}
	cmd.Flags().StringVar(&file, "backup-passphrase-file", "", "file with the passphrase of the backup")
	cmd.Flags().BoolVar(&short, "no-history", false, "leave the messages out")
	return cmd
}

func restoreCommand(f *flags) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a profile from a backup",
		Long: `Make a profile from a file that hearsay backup wrote. The home must not hold one.

When it next runs, it begins its sessions with all contacts anew and moves all
queues; contacts are told, and should compare the safety number again. That may
take up to three days. The profile that the backup was made of must not be used
any more.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passphrase, err := backupPassphrase(file, false)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			home, err := newHomePassphrase(cmd, f)
			if err != nil {
				return err
			}
			defer clear(home)
			err = chat.Restore(chat.RestoreConfig{Home: f.dir(), Passphrase: home, File: args[0], BackupPassphrase: passphrase})
			if errors.Is(err, chat.ErrPassphrase) {
				return program.Fail(program.ExitPassphrase, "it is that which was given when the backup was made", errors.New("the passphrase of the backup is wrong"))
			}
			return profileError(err)
		},
	}
	cmd.Flags().StringVar(&file, "backup-passphrase-file", "", "file with the passphrase of the backup")
	return cmd
}

// profileError gives what must not be written over the exit code of a refusal.
func profileError(err error) error {
	var e *chat.Error
	if errors.As(err, &e) && e.Kind == chat.KindExists {
		return program.Fail(program.ExitRefused, e.Hint, err)
	}
	return chatError(err)
}

func wipeCommand(f *flags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "wipe",
		Short: "Destroy the profile: keys first, then files",
		Long: `Destroy the profile at once: its keys are overwritten and removed, then its
files. It needs neither the passphrase nor a home that opens. Nothing brings it
back but a backup. Contacts are not told; what they hold stays there.

A process that has the profile open loses it too, but is to be ended. A flash
disk may keep old pages, which without a passphrase may hold the key.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes && isTerminal() {
				fmt.Fprintf(cmd.ErrOrStderr(), "This destroys the profile in %s.\nType wipe to go on: ", chat.Sanitize(f.dir()))
				var word string
				_, _ = fmt.Fscanln(cmd.InOrStdin(), &word)
				yes = word == "wipe"
			}
			if !yes {
				return program.Fail(program.ExitRefused, "give --yes to destroy the profile without a question", errors.New("nothing was destroyed"))
			}
			return chatError(wipe(cmd.Context(), f))
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "ask nothing")
	return cmd
}

// wipeWait is how long a daemon may take to hear of a wipe.
const wipeWait = 500 * time.Millisecond

// wipe destroys the home first, and then tells a daemon that runs on it.
func wipe(ctx context.Context, f *flags) error {
	ctx, cancel := context.WithTimeout(ctx, wipeWait)
	defer cancel()
	c, err := f.running(ctx) // before the socket is gone
	if err == nil && c != nil {
		defer c.Close()
	}
	failed := chat.Wipe(f.dir())
	if err == nil && c != nil {
		_ = c.Wipe(ctx)
	}
	return failed
}

// running returns the daemon of the profile, nil if none runs.
func (f *flags) running(ctx context.Context) (*rpc.Client, error) {
	c, err := f.attach(ctx)
	switch {
	case errors.Is(err, errNoDaemon):
		return nil, nil
	case err != nil:
		return nil, chatError(err)
	}
	return c, nil
}
