package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/chat/rpc"
	"hearsay/cmd/program"
)

func rpcCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "rpc",
		Short: "Serve the profile to a script: JSON-RPC on stdin and stdout",
		Long: `Speak JSON-RPC 2.0 on stdin and stdout, one object per line. The first line is
a notification named ready. The end of stdin, or the method shutdown, ends it.

Methods: status, invite.create, invite.accept, contact.list, message.send,
message.list, subscribe, shutdown.

Without --passphrase-file it makes and opens only homes that file mode alone
protects, and warns.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return chatError(runRPC(cmd, f))
		},
	}
}

func runRPC(cmd *cobra.Command, f *flags) error {
	log, closeLog, err := f.logger(cmd.ErrOrStderr(), false)
	if err != nil {
		return err
	}
	defer closeLog()
	cfg := chat.Config{Home: f.dir(), Network: f.network, Cover: f.cover, Log: log}
	if f.passphraseFile != "" {
		if cfg.Passphrase, err = program.ReadPassphrase(f.passphraseFile, "", false); err != nil {
			return err
		}
	} else {
		program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the home is protected by file mode alone")
	}
	p, err := openProfile(cfg)
	if err != nil {
		return err
	}
	err = serveRPC(cmd.Context(), p, p, cmd.InOrStdin(), cmd.OutOrStdout())
	return errors.Join(err, p.stop())
}

// serveRPC serves a profile until the script ends it, or the messenger fails.
func serveRPC(ctx context.Context, p *profile, backend rpc.Backend, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan struct{})
	go func() {
		select {
		case err := <-p.done: // the store failed: nothing can be accepted any more
			p.done <- err
			cancel()
		case <-failed:
		}
	}()
	defer close(failed)
	network, lab, known := p.Network()
	return rpc.Serve(ctx, backend, in, out, rpc.Ready{Network: network, Lab: lab, Known: known})
}
