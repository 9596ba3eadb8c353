package main

import (
	"context"
	"errors"
	"io"
	"net"

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
If a daemon runs for the home, it attaches to it: a script and a person then
share one identity, and the daemon goes on when the script ends.

Methods ("?" marks what may be left out):

  status   consent   cover.set {cover}   contact.path {contact}
  invite.create {name?, key?}   invite.list   invite.revoke {id}
  invite.accept {link, name, as?, text?}
  address.create {label?}   address.list   address.revoke {id}
  request.list   request.accept {id, name}   request.reject {id, block?}
  contact.list   contact.rename {contact, name}
  contact.block | unblock | remove | sas {contact}
  contact.verify {contact, safety_number | words}
  conversation.set {contact, disappear_after?, muted?, archived?, pinned?, draft?}
  conversation.displayed {contact, upto}
  message.send {contact, text, key?}   message.reply {message, text, key?}
  message.list {contact, after?, limit?}   message.why {id}
  message.react {message, emoji}   message.edit {message, text}
  message.delete {message, for: "me" | "both"}
  search {text, contact?, limit?}   export {contact, path}
  file.send {contact, path, key?, burst?}   file.fetch {id, burst?}
  file.save {id, path}   file.cancel {id}   file.list {contact?}
  group.create {name, contacts, key?}   group.add | remove {group, contact}
  group.rename {group, name}   group.leave {group}   group.list
  profile.lock   profile.unlock {passphrase_file}
  profile.passphrase {passphrase_file?, new_passphrase_file}
  profile.backup {path, passphrase_file, history?}   profile.wipe {confirm: "wipe"}
  subscribe {since?}   shutdown

Without --passphrase-file it makes and opens only homes that file mode alone
protects, and warns.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return chatError(runRPC(cmd, f))
		},
	}
}

func runRPC(cmd *cobra.Command, f *flags) error {
	if err := f.configure(); err != nil {
		return err
	}
	log, closeLog, err := f.logger(cmd.ErrOrStderr(), false)
	if err != nil {
		return err
	}
	defer closeLog()
	conn, err := f.dial(cmd.Context())
	if err != nil {
		return err
	}
	if conn != nil {
		return relayRPC(cmd, f, conn)
	}
	cfg := chat.Config{Home: f.dir(), Network: f.network, Cover: f.cover, Log: log}
	if f.passphraseFile != "" {
		if cfg.Passphrase, err = program.ReadPassphrase(f.passphraseFile, "", false); err != nil {
			return err
		}
	} else {
		program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the home is protected by file mode alone")
	}
	p, err := openProfile(cfg)
	if errors.Is(err, chat.ErrHomeInUse) {
		if conn, _ := f.dialHolder(cmd.Context()); conn != nil {
			return relayRPC(cmd, f, conn)
		}
	}
	if err != nil {
		return err
	}
	err = serveRPC(cmd.Context(), p, p, cmd.InOrStdin(), cmd.OutOrStdout())
	return errors.Join(err, p.stop())
}

// relayRPC lets a script speak with the daemon.
func relayRPC(cmd *cobra.Command, f *flags, conn net.Conn) error {
	f.warnIgnored(cmd)
	return rpc.Relay(cmd.Context(), conn, cmd.InOrStdin(), cmd.OutOrStdout())
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
