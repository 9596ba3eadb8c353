package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/directory/audit"
	"hearsay/directory/gossip"
	"hearsay/directory/sybil"
	"hearsay/relay"
)

// readFlags are those of the commands that read what a network publishes.
type readFlags struct {
	home, network, asTable string
	timeout                time.Duration
	json                   bool
}

// maxASTable bounds an AS table, bytes (directory/sybil/SPEC.md §2.3).
const maxASTable = 64 << 20

// add puts the flags on a command.
func (f *readFlags) add(cmd *cobra.Command, timeout time.Duration) {
	fl := cmd.Flags()
	homeFlag(cmd, &f.home)
	fl.StringVar(&f.network, "network", "", "network link, or a file that holds one (default: the network of the home)")
	fl.DurationVar(&f.timeout, "timeout", timeout, "how long to wait for the network")
	fl.BoolVar(&f.json, "json", false, "print JSON, one object per line")
}

// addTable puts the flag for an AS table on a command that judges.
func (f *readFlags) addTable(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.asTable, "as-table", "", "file of lines `PREFIX ASN`, where the network file names one (default: as-table in the home)")
}

// read opens a reader and runs f with it.
func (f *readFlags) read(cmd *cobra.Command, logs *program.LogFlags, do func(ctx context.Context, r *relay.Reader, chain *directory.Chain) error) error {
	log, err := logs.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	l, err := program.ReadLink(f.network)
	if err != nil {
		return err
	}
	r, err := relay.OpenReader(relay.ReaderConfig{Link: l, Home: f.home, Log: log})
	if errors.Is(err, relay.ErrNoNetwork) {
		return program.Fail(program.ExitUsage, "give --network with the link of the network, or --home of a directory", err)
	}
	if err != nil {
		return program.NodeError(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	chain, err := r.Chain(ctx)
	if err == nil {
		err = do(ctx, r, chain)
	}
	return f.readError(cmd.Context(), ctx, err)
}

// readError gives the errors of reading their exit codes and hints.
func (f *readFlags) readError(outer, ctx context.Context, err error) error {
	var e *program.Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case outer.Err() != nil:
		return program.Fail(program.ExitInterrupted, "", errors.New("interrupted"))
	case ctx.Err() != nil:
		return program.Fail(program.ExitTimeout, "--timeout gives it longer", fmt.Errorf("the network did not answer within %v", f.timeout))
	case errors.Is(err, audit.ErrASTable):
		return program.Fail(program.ExitUsage, "give the founders' table with --as-table", err)
	case errors.Is(err, gossip.ErrNotPublished):
		return program.Fail(program.ExitNotFound, "directories keep what computes a snapshot again for 72 epochs", err)
	case errors.Is(err, directory.ErrExpired), errors.Is(err, directory.ErrSlowClock):
		return program.Fail(program.ExitRefused, "check this computer's clock", err)
	}
	return program.Fail(program.ExitNoNetwork, "check that a bootstrap of the network runs and that UDP gets through", err)
}

// table reads the AS table that was given, or that of the home, if there is one. It
// is used only where the network file names it.
func (f *readFlags) table() (*sybil.ASTable, error) {
	file := f.asTable
	if file == "" {
		file = filepath.Join(f.home, "as-table")
		if _, err := os.Stat(file); err != nil {
			return nil, nil
		}
	}
	st, err := os.Stat(file)
	if err == nil && st.Size() > maxASTable {
		err = fmt.Errorf("%s: more than 64 MiB", file)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(file)
	}
	var t *sybil.ASTable
	if err == nil {
		t, err = sybil.ParseASTable(b)
	}
	return t, program.Fail(program.ExitUsage, "lines of prefix and AS number, such as 192.0.2.0/24 64500", err)
}
