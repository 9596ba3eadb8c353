package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/relay/lab"
	"hearsay/tui"
)

// Limits of --relays.
const (
	minRelays     = 5
	defaultRelays = 8
	maxRelays     = 64
)

// echoName is the demo's contact on our side, demoName we on its side.
const (
	echoName = "echo"
	demoName = "demo"
)

func demoCommand(f *flags) *cobra.Command {
	var relays int
	var asRPC bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a private network on this computer, with an echo to talk to",
		Long: `Start a whole lab network in this process, over real QUIC on loopback: a
directory, relays, and a contact called echo that answers each text with the
same text. Then open the terminal interface, or serve --rpc.

With --plain it reads lines, as hearsay --plain does. Without a terminal too: it
sends each to echo, prints the states and the answers, and exits once all are
delivered and answered.

Everything lies in a temporary directory that is removed at the end. All relays
run on one computer: a demo gives no anonymity.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if relays < minRelays || relays > maxRelays {
				return program.Usage("", "--relays: %d to %d", minRelays, maxRelays)
			}
			if f.home != "" || f.network != "" || f.passphraseFile != "" || f.cover != "" {
				return program.Usage("`hearsay` opens a profile of yours", "a demo makes its own home and network")
			}
			return chatError(runDemo(cmd, f, relays, asRPC))
		},
	}
	cmd.Flags().IntVar(&relays, "relays", defaultRelays, "number of relays, 5 to 64")
	cmd.Flags().BoolVar(&asRPC, "rpc", false, "JSON-RPC on stdin and stdout in place of the terminal interface")
	return cmd
}

// demo is a running demo: network, echo, and the person's own profile.
type demo struct {
	dir  string
	net  *lab.Network
	echo *profile
	self *profile
	met  atomic.Bool // both sides of the echo contact are active
}

// Status is the profile's, but not ready before echo is there.
func (d *demo) Status() chat.Status {
	s := d.self.Status()
	s.Ready = s.Ready && d.met.Load()
	return s
}

func runDemo(cmd *cobra.Command, f *flags, relays int, asRPC bool) (err error) {
	if err := f.configure(); err != nil {
		return err
	}
	screen := !asRPC && isTerminal() && !f.wantsPlain()
	log, closeLog, err := f.logger(cmd.ErrOrStderr(), screen)
	if err != nil {
		return err
	}
	defer closeLog()
	if f.logFile == "" && !cmd.Flags().Changed("log-level") {
		log = slog.New(slog.DiscardHandler) // eight relays talk too much
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: starting a lab network of %d relays on this computer (no anonymity)\n", name, relays)
	d, err := startDemo(ctx, relays, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()

	join := d.joinCommand(asRPC)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: to join as a second person, run in another terminal:\n%s\n", name, join)
	switch {
	case asRPC:
		return serveRPC(ctx, d.self, demoBackend{d.self, d}, cmd.InOrStdin(), cmd.OutOrStdout())
	case screen:
		return f.show(ctx, tui.Config{
			Home: demoHome{p: d.self}, Contact: echoName, Doctor: f.checks(d.source),
			Notice: "LAB network on this computer. A second person joins with: " + join,
		})
	}
	return d.plain(ctx, f)
}

// plain reads lines and sends them to echo. Without a terminal it writes out what it
// sends, and ends when all is delivered and answered.
func (d *demo) plain(ctx context.Context, f *flags) error {
	if err := d.waitForEcho(ctx); err != nil {
		return err
	}
	cfg := tui.PlainConfig{Config: f.interfaceConfig(tui.Config{Home: demoHome{p: d.self}, Contact: echoName})}
	if !isTerminal() {
		cfg.Quotes, cfg.Answered = true, true
	}
	return showPlain(ctx, cfg)
}

// waitForEcho returns once echo is a contact.
func (d *demo) waitForEcho(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		cs, err := d.self.Contacts(ctx)
		if err != nil {
			return err
		}
		for _, c := range cs {
			if c.Name == echoName {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// source is what the doctor looks at.
func (d *demo) source() (statusSource, string) { return d, filepath.Join(d.dir, "you") }

// demoBackend is the profile with the demo's own status.
type demoBackend struct {
	*profile
	d *demo
}

// Status hides the profile's.
func (b demoBackend) Status() chat.Status { return b.d.Status() }

// demoHome is a home that is open already.
type demoHome struct {
	noFirstRun
	p *profile
}

func (h demoHome) State() tui.HomeState { return tui.HomeState{Exists: true, HasNetwork: true} }

func (h demoHome) Open(context.Context, []byte, string) (tui.Chat, error) { return here{h.p}, nil }

// startDemo starts network and profiles, and introduces echo in the
// background.
func startDemo(ctx context.Context, relays int, log *slog.Logger) (_ *demo, err error) {
	d := &demo{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	if d.dir, err = os.MkdirTemp("", "hearsay-demo-"); err != nil {
		return nil, err
	}
	if d.net, err = lab.Start(ctx, lab.Config{Relays: relays, Dir: filepath.Join(d.dir, "network"), Lab: true, Name: "demo", Log: log}); err != nil {
		return nil, err
	}
	link := d.net.Link().String()
	if d.echo, err = openProfile(chat.Config{Home: filepath.Join(d.dir, "echo"), Network: link, Log: log}); err != nil {
		return nil, err
	}
	if d.self, err = openProfile(chat.Config{Home: filepath.Join(d.dir, "you"), Network: link, Log: log}); err != nil {
		return nil, err
	}
	answers := d.echo.Subscribe()
	go d.introduce(ctx)
	go d.answer(ctx, answers)
	return d, nil
}

// introduce makes echo and the person contacts of each other.
func (d *demo) introduce(ctx context.Context) {
	events := d.self.Subscribe()
	defer events.Close()
	for {
		inv, err := d.echo.CreateInvite(ctx, demoName)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // it waited 30 s for the network
		}
		if _, err := d.self.AcceptInvite(ctx, inv.Link, echoName); err != nil {
			return
		}
		break
	}
	for {
		ev, err := events.Next(ctx)
		if err != nil {
			return
		}
		if ev.Type == chat.ContactStateChanged && ev.Contact.Name == echoName && ev.Contact.State == chat.ContactActive {
			d.met.Store(true)
			return
		}
	}
}

// answer sends each text back to who sent it.
func (d *demo) answer(ctx context.Context, events *chat.Subscription) {
	defer events.Close()
	for {
		ev, err := events.Next(ctx)
		if err != nil {
			return
		}
		if ev.Type == chat.MessageReceived && ev.Message.Kind == "" { // no notices of our own program
			_, _ = d.echo.Send(ctx, ev.Message.Contact, ev.Message.Text)
		}
	}
}

// joinCommand is what a second person runs.
func (d *demo) joinCommand(asRPC bool) string {
	exe, err := os.Executable()
	if err != nil {
		exe = name
	}
	if asRPC {
		exe += " rpc"
	}
	return fmt.Sprintf("%s --home %s --network %s", exe, filepath.Join(d.dir, "second"), d.net.Link())
}

// stop ends everything and removes the directory, but for a second person's
// home that is still in use.
func (d *demo) stop() error {
	var errs []error
	for _, p := range []*profile{d.self, d.echo} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	if d.net != nil {
		errs = append(errs, d.net.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}
