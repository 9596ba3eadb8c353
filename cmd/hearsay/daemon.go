package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/chat/rpc"
	"hearsay/cmd/program"
)

// startupTime is how long another process that holds the home may take to
// listen, before it is taken for one that is no daemon.
const startupTime = 2 * time.Second

func daemonCommand(f *flags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Keep the profile running; terminals and scripts come and go",
		Long: `Run the messenger of a profile without a screen. Messages come and go while no
terminal is open. "hearsay", "hearsay attach" and "hearsay rpc" attach to it, as
many at once as you like: they share one identity, and all are locked together.

It listens on hearsay.sock in the home, for processes of this account only, and
prints one line when it does. SIGTERM and "hearsay daemon stop" end it.

Under systemd it is a user unit, hearsay.service: see the README. A passphrase is
read from the credential of that name.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return chatError(runDaemon(cmd, f, asJSON)) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the ready line as JSON")
	f.contribute.add(cmd)
	cmd.AddCommand(&cobra.Command{
		Use:   "stop",
		Short: "End the daemon of the profile",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return chatError(stopDaemon(cmd.Context(), f)) },
	})
	return cmd
}

// socket is where the daemon of the profile listens.
func (f *flags) socket() string { return filepath.Join(f.dir(), rpc.SocketName) }

func runDaemon(cmd *cobra.Command, f *flags, asJSON bool) error {
	if err := f.configure(); err != nil {
		return err
	}
	log, closeLog, err := f.logger(cmd.ErrOrStderr(), false)
	if err != nil {
		return err
	}
	defer closeLog()
	if conn, err := f.dial(cmd.Context()); err != nil {
		return err
	} else if conn != nil {
		conn.Close()
		return program.Fail(program.ExitHomeInUse, "hearsay attach opens it; hearsay daemon stop ends it", errors.New("a daemon runs for this home already"))
	}
	relay, err := f.lending(cmd)
	if err != nil {
		return err
	}
	cfg := chat.Config{Home: f.dir(), Network: f.network, Cover: f.cover, Log: log}
	if cfg.Passphrase, err = f.daemonPassphrase(); err != nil {
		return err
	}
	if cfg.Passphrase == nil {
		program.Warn(cmd.ErrOrStderr(), name, "no passphrase: the home is protected by file mode alone")
	}
	p, err := openLending(cfg, relay)
	clear(cfg.Passphrase)
	if err != nil {
		return err
	}
	p.limitNew(f.deleteAfter)
	err = serveDaemon(cmd, f, p, asJSON)
	return errors.Join(err, p.stop())
}

// daemonPassphrase takes the passphrase from the file, from systemd, or from the
// terminal if the home has one; nil: none.
func (f *flags) daemonPassphrase() ([]byte, error) {
	file := f.passphraseFile
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); file == "" && dir != "" {
		if credential := filepath.Join(dir, "passphrase"); isFile(credential) {
			file = credential
		}
	}
	state, err := chat.Inspect(f.dir())
	if err != nil {
		return nil, err
	}
	if file == "" && !state.Encrypted {
		return nil, nil
	}
	return program.ReadPassphrase(file, "passphrase: ", false)
}

func isFile(path string) bool {
	at, err := os.Stat(path)
	return err == nil && at.Mode().IsRegular()
}

// serveDaemon serves the socket until the process is told to stop, the store
// fails, or an attached program ends the daemon.
func serveDaemon(cmd *cobra.Command, f *flags, p *profile, asJSON bool) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	l, err := rpc.Listen(f.socket())
	if err != nil {
		return err
	}
	ready := func() rpc.Ready {
		network, lab, known := p.Network()
		return rpc.Ready{Network: network, Lab: lab, Known: known}
	}
	done := make(chan error, 1)
	go func() { done <- rpc.ServeSocket(ctx, l, p, ready, cancel) }()
	if err := printReady(cmd.OutOrStdout(), f.socket(), ready(), asJSON); err != nil {
		cancel()
		return errors.Join(err, <-done)
	}
	program.NotifyReady()
	select {
	case err := <-p.done: // the store failed, or it was wiped
		p.done <- err
		cancel()
		return <-done
	case err := <-done:
		program.NotifyStopping()
		return err
	}
}

// printReady prints the line that says that the home is open. The network is
// unknown, null in JSON, until its file was fetched once.
func printReady(w io.Writer, socket string, r rpc.Ready, asJSON bool) error {
	if path, err := filepath.Abs(socket); err == nil {
		socket = path
	}
	network, lab := "unknown", "unknown"
	line := struct {
		V       int     `json:"v"`
		Type    string  `json:"type"`
		Program string  `json:"program"`
		Listen  string  `json:"listen"`
		Network *string `json:"network"`
		Lab     *bool   `json:"lab"`
	}{V: 1, Type: "ready", Program: name, Listen: socket}
	if r.Known {
		line.Network, line.Lab = &r.Network, &r.Lab
		network, lab = r.Network, "no"
		if r.Lab {
			lab = "LAB"
		}
	}
	if !asJSON {
		_, err := fmt.Fprintf(w, "ready %s listen=%s network=%s lab=%s\n", name, program.ReadyText(socket), program.ReadyText(network), lab)
		return err
	}
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// stopDaemon ends the daemon of the profile and waits until it is gone.
func stopDaemon(ctx context.Context, f *flags) error {
	c, err := f.attach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.StopDaemon(ctx); err != nil {
		return err
	}
	select {
	case <-c.Gone():
		return nil
	case <-ctx.Done():
		return nil
	}
}

// errNoDaemon says that nobody listens.
var errNoDaemon = errors.New("no daemon runs for this home")

// attach attaches to the daemon of the profile; errNoDaemon if there is none.
func (f *flags) attach(ctx context.Context) (*rpc.Client, error) {
	if err := f.checkHome(); err != nil {
		return nil, err
	}
	c, err := rpc.Attach(ctx, f.socket())
	if noDaemon(err) {
		return nil, program.Fail(program.ExitNotFound, "start one with hearsay daemon, or look at --home", errNoDaemon)
	}
	return c, err
}

// dial connects to the daemon of the profile, nil if there is none.
func (f *flags) dial(ctx context.Context) (net.Conn, error) {
	if err := f.checkHome(); err != nil {
		return nil, err
	}
	conn, err := rpc.Dial(ctx, f.socket())
	if noDaemon(err) {
		return nil, nil
	}
	return conn, err
}

// dialHolder waits for a process that has the home open to listen: it may be a
// daemon that is just starting. nil: it is none.
func (f *flags) dialHolder(ctx context.Context) (net.Conn, error) {
	for end := time.Now().Add(startupTime); time.Now().Before(end); {
		conn, err := f.dial(ctx)
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

// checkHome refuses to trust a socket in a directory that others may write to.
func (f *flags) checkHome() error {
	at, err := os.Stat(f.dir())
	if err != nil || !at.IsDir() || at.Mode().Perm()&0o077 == 0 || filepath.Separator == '\\' {
		return nil //nolint:nilerr // no home, no socket
	}
	return fmt.Errorf("%w: mode %o", chat.ErrHomeOpen, at.Mode().Perm())
}

// noDaemon tells that nobody listens from other failures.
func noDaemon(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR)
}
