package program

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hearsay/relay"
)

// HomeProgram says of which program a home is, for BackupCommand and
// RestoreCommand.
type HomeProgram struct {
	Name  string // of the program
	Kind  relay.HomeKind
	Home  string // default of --home; empty: it must be given
	Lacks string // what is not in a backup and why, for the help
	After string // what to know after a restore, for the help
}

func (p HomeProgram) flags(cmd *cobra.Command, home, file *string, asJSON *bool) {
	fl := cmd.Flags()
	fl.StringVar(home, "home", p.Home, "directory of keys and state")
	fl.StringVar(file, "backup-passphrase-file", "", "file with the passphrase of the backup")
	fl.BoolVar(asJSON, "json", false, "print one line of JSON")
	if p.Home == "" {
		cmd.MarkFlagRequired("home")
	}
}

// BackupCommand returns the command that writes the keys of a home to a file.
func BackupCommand(p HomeProgram) *cobra.Command {
	var home, passphraseFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup FILE --home DIR",
		Short: "Write the keys of a home to one encrypted file",
		Long: `Write the keys of a home, and what else cannot be made anew, to one file, sealed
by a passphrase of its own (age). It never replaces a file. The home may be in use.

` + p.Lacks,
		Example: "  " + p.Name + " backup keys.age --home /var/lib/" + p.Name,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passphrase, err := backupPassphrase(passphraseFile, true)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			b, err := relay.Backup(home, p.Kind, args[0], passphrase)
			if errors.Is(err, relay.ErrNoNetwork) {
				return Fail(ExitNotFound, "give the --home of "+p.Name, fmt.Errorf("there are no keys in %s", home))
			}
			if err != nil {
				return p.backupError(err)
			}
			if asJSON {
				return p.printBackup(cmd, "backup", b, args[0])
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The keys of %s\nare in %s: %s.\nWhoever has it and its passphrase can pose as this node: keep it off this computer.\n", b.ID(), args[0], strings.Join(b.Holds(), ", "))
			return nil
		},
	}
	p.flags(cmd, &home, &passphraseFile, &asJSON)
	return cmd
}

// RestoreCommand returns the command that makes a home from such a file.
func RestoreCommand(p HomeProgram) *cobra.Command {
	var home, passphraseFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE --home DIR",
		Short: "Make a home from a backup",
		Long: `Make a home from a file that ` + p.Name + ` backup wrote. The home must not exist yet,
or be an empty directory.

Only one computer may use the keys: two nodes with one identity take links, circuits
and messages from each other, and the directory sees a node that jumps. Make sure
that the one which the backup was made of is gone for good.

` + p.After,
		Example: "  " + p.Name + " restore keys.age --home /var/lib/" + p.Name,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passphrase, err := backupPassphrase(passphraseFile, false)
			if err != nil {
				return err
			}
			defer clear(passphrase)
			b, err := relay.Restore(home, p.Kind, args[0], passphrase)
			if err != nil {
				return p.backupError(err)
			}
			Warn(cmd.ErrOrStderr(), p.Name, "only one computer may use these keys: the node that the backup was made of must not run any more")
			if asJSON {
				return p.printBackup(cmd, "restored", b, args[0])
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The keys of %s\nof %s are in %s: %s.\nNext: %s run --home %s\n", b.ID(), b.Made.UTC().Format(time.DateOnly), home, strings.Join(b.Holds(), ", "), p.Name, home)
			return nil
		},
	}
	p.flags(cmd, &home, &passphraseFile, &asJSON)
	return cmd
}

func backupPassphrase(file string, twice bool) ([]byte, error) {
	p, err := ReadPassphrase(file, "passphrase of the backup: ", twice)
	if err == nil && p == nil {
		err = Fail(ExitPassphrase, "give --backup-passphrase-file, or run it in a terminal", errors.New("the backup needs a passphrase"))
	}
	return p, err
}

func (p HomeProgram) printBackup(cmd *cobra.Command, kind string, b *relay.HomeBackup, file string) error {
	return PrintJSON(cmd.OutOrStdout(), struct {
		V     int      `json:"v"`
		Type  string   `json:"type"`
		ID    string   `json:"id"`
		Made  string   `json:"made"`
		File  string   `json:"file"`
		Holds []string `json:"holds"`
	}{1, kind, b.ID().String(), JSONTime(b.Made), file, b.Holds()})
}

// backupError gives the errors of backups their exit codes and hints.
func (p HomeProgram) backupError(err error) error {
	switch {
	case errors.Is(err, relay.ErrKeyExists):
		return Fail(ExitRefused, "a backup never replaces a file: give another name", err)
	case errors.Is(err, relay.ErrBackupPassphrase):
		return Fail(ExitPassphrase, "it is that which was given when the backup was made", err)
	case errors.Is(err, relay.ErrBackupKind):
		return Fail(ExitRefused, "a relay's home belongs to hearsay-relay, a founder's to hearsay-directory", err)
	case errors.Is(err, relay.ErrBackup):
		return Fail(ExitRefused, "give a file that "+p.Name+" backup wrote, whole and unchanged", err)
	case errors.Is(err, relay.ErrHomeExists):
		return Fail(ExitRefused, "give another --home, or move the old one away: keys are never replaced", err)
	case errors.Is(err, fs.ErrNotExist):
		return Fail(ExitNotFound, "check the name of the file", err)
	}
	return NodeError(err)
}
