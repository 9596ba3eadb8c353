package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/cmd/program/figures"
	"hearsay/directory"
	"hearsay/relay"
)

type runFlags struct {
	home, network, listen, advertise, token string
	file                                    string // configuration
	vouches, families                       []string
	nickname, contact                       string
	bandwidth, space, memory                string
	metrics                                 string
	logLevel, logFormat                     string
	leaving, json                           bool
}

func runCommand(logs *program.LogFlags) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [--config FILE] [--home DIR] [--network LINK|FILE] [--listen ADDR]",
		Short: "Run the relay until it is told to stop",
		Long: `Run the relay until SIGINT or SIGTERM; it then finishes what it carries, for
at most 30 seconds. A second signal ends it at once.

It prints one ready line once its port is bound and the network file is
verified. Being listed comes with the next snapshot, if the network takes it: by a
token of a founder (--token, or the link has one), by the vouch of an operator of
listed relays (--vouch), because the network file names it, or by a proof of work,
which takes some minutes of one core. What is shown once is remembered. If the
directory does not take or list the relay, the reason is printed on stderr, and the
relay goes on trying.

What it may use is limited by --bandwidth and --memory. With --bandwidth, cells
of circuits take no more than that in each direction, and measurements by others
a quarter of it. With --memory, it refuses and closes circuits, and then links,
before its heap is larger than that; the process takes about a quarter more.

What flags do not say is read from the environment (HEARSAY_LISTEN, and so on, but
no tokens or vouches; blanks part families) and then from relay.toml, which --config
names, or which lies in the home or in the configuration directory of systemd or of
the account:

` + exampleConfig + `

SIGHUP has the relay read it again. Bandwidth, mailbox space, nickname, contact,
families and log level change at once or within ten minutes; other changes are
named in the log and wait for a restart. A family that is no longer named stays:
hearsay-relay family remove takes the relay out. hearsay-relay check tests it first.

Before you take a relay away for good, run it with --leaving for a week. It takes
no new mailboxes then and asks the owners of those it has to move elsewhere, which
they do as soon as they hear it; whoever is offline for longer has a second copy
of everything at another relay.`,
		Example: `  hearsay-relay run --home /var/lib/hearsay-relay --network HEARSAY-NET:… --listen 192.0.2.7:4443
  hearsay-relay run --home /var/lib/hearsay-relay --listen 192.0.2.7:4443 --vouch @vouch.txt
  hearsay-relay run --home /var/lib/hearsay-relay --listen 192.0.2.7:4443 --bandwidth 10MiB --memory 1GiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return program.NodeError(run(cmd, logs, f))
		},
	}
	f.add(cmd)
	return cmd
}

// add puts the flags on a command.
func (f *runFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "config", "", "configuration file (default: relay.toml in the home, if it is there)")
	fl.StringVar(&f.home, "home", "", "directory of keys and state, made if missing (default: systemd's, or one of the account)")
	fl.StringVar(&f.network, "network", "", "network link, or a file that holds one; remembered in the home")
	fl.StringVar(&f.listen, "listen", "", "UDP address to bind, IP:PORT; port 0 takes any")
	fl.StringVar(&f.advertise, "advertise", "", "address that others dial, if it is not the bound one")
	fl.StringVar(&f.token, "token", "", "relay token or vouch, or @FILE that holds it, if the link has none")
	fl.StringArrayVar(&f.vouches, "vouch", nil, "vouch for this relay, or @FILE that holds it (at most two)")
	fl.StringVar(&f.bandwidth, "bandwidth", "", "bytes per second for circuits, each way, such as 10MiB; at least 512KiB (default: no limit)")
	fl.StringVar(&f.space, "mailbox-space", "", "what mailboxes may take on the disk, such as 20GiB; at least 64MiB (default: up to 95 % of the disk)")
	fl.StringVar(&f.nickname, "nickname", "", "a public name for the relay, at most 19 characters")
	fl.StringVar(&f.contact, "contact", "", "how its operator is reached, at most 96 bytes; public")
	fl.StringArrayVar(&f.families, "family", nil, "family certificate of this relay, or a file that holds it (at most two)")
	fl.StringVar(&f.memory, "memory", "", "heap that is not exceeded, such as 1GiB; at least 64MiB (default: a quarter of the machine's memory, at most 2GiB)")
	fl.StringVar(&f.metrics, "metrics", "", "serve rounded figures for Prometheus there: a loopback address, or unix:PATH (default: nowhere)")
	fl.BoolVar(&f.leaving, "leaving", false, "this relay goes for good: take no new mailboxes, ask owners to move")
	fl.BoolVar(&f.json, "json", false, "print the ready line as JSON")
}

func run(cmd *cobra.Command, logs *program.LogFlags, f runFlags) error {
	given := f
	given.logLevel, given.logFormat = logs.Level, logs.Format
	f, err := given.resolve(cmd.Flags().Changed)
	if err != nil {
		return err
	}
	logs.Level, logs.Format = f.logLevel, f.logFormat
	log, err := logs.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	cfg, err := f.config()
	if err != nil {
		return err
	}
	certificates, err := f.certificates()
	if err != nil {
		return err
	}
	cfg.Log = log
	told := noticesTo(cmd.ErrOrStderr())
	cfg.Notice = told.Notice
	relay.TuneProcess(cfg.MaxMemory)
	n, err := relay.NewNode(cfg)
	if err != nil {
		return program.OperatorError(err)
	}
	var measures net.Listener
	if f.metrics != "" {
		if measures, err = figures.Listen(f.metrics); err != nil {
			n.Close()
			return err
		}
		defer measures.Close()
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	done := make(chan error, 1) // Run's one result
	go func() { done <- n.Run(ctx) }()
	select {
	case err := <-done:
		return program.NotServed(cmd.Context(), err)
	case <-n.Ready():
	}
	if err := addFamilies(f.home, certificates); err != nil {
		cancel()
		<-done
		return program.OperatorError(err)
	}
	r := newReloader(given, f, cmd.Flags().Changed, logs, n, log)
	program.OnHangup(cmd.Context(), func() { program.NotifyReloading(r.reload) })
	file := n.Network()
	ready := program.Ready{Program: name, ID: n.ID().String(), Listen: n.Addr().String(), Network: file.Name, Lab: file.Lab}
	if err := ready.Print(cmd.OutOrStdout(), f.json); err != nil {
		cancel()
		<-done
		return err
	}
	if file.Lab {
		program.Warn(cmd.ErrOrStderr(), name, "LAB NETWORK: no anonymity")
	}
	program.NotifyReady()
	context.AfterFunc(ctx, program.NotifyStopping)
	measured := make(chan error, 1)
	if measures == nil {
		measured <- nil
	} else {
		go func() { measured <- serveMetrics(ctx, measures, n) }()
	}
	stop, printed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(printed)
		told.run(stop, n.ID(), n.Network)
	}()
	err = <-done
	close(stop)
	<-printed
	cancel()
	return errors.Join(err, <-measured)
}

// config is what the flags say. MaxMemory is never zero.
func (f *runFlags) config() (cfg relay.NodeConfig, err error) {
	cfg = relay.NodeConfig{Home: f.home, Software: software(), MaxMemory: relay.MemoryLimit(), ServeStatus: true, Leaving: f.leaving}
	if cfg.Link, err = program.ReadLink(f.network); err != nil {
		return cfg, err
	}
	if program.IsVouch(f.token) {
		f.vouches, f.token = append(f.vouches, f.token), ""
	}
	if cfg.Token, err = program.ReadToken(f.token); err != nil {
		return cfg, err
	}
	if len(f.vouches) > 2 {
		return cfg, program.Usage("two vouches are as good as three", "--vouch: at most two")
	}
	for _, text := range f.vouches {
		v, err := program.ReadVouch(text)
		if err != nil {
			return cfg, err
		}
		cfg.Vouches = append(cfg.Vouches, v)
	}
	if cfg.Listen, err = program.ParseListen("listen", f.listen); err != nil {
		return cfg, err
	}
	if f.advertise != "" {
		a, err := program.ParseListen("advertise", f.advertise)
		if err != nil {
			return cfg, err
		}
		cfg.Advertise = []netip.AddrPort{a}
	}
	if cfg.Settings, err = f.settings(); err != nil {
		return cfg, err
	}
	if f.metrics != "" {
		if _, _, err := figures.Parse(f.metrics); err != nil {
			return cfg, err
		}
	}
	memory, err := parseSize("memory", f.memory, leastMemory)
	if memory > 0 {
		cfg.MaxMemory = memory
	}
	return cfg, err
}

// settings are those that may change while the relay runs.
func (f *runFlags) settings() (s relay.Settings, err error) {
	s.Nick, s.Contact = f.nickname, f.contact
	if s.Bandwidth, err = parseSize("bandwidth", f.bandwidth, leastBandwidth); err != nil {
		return s, err
	}
	if s.MailboxSpace, err = parseSize("mailbox-space", f.space, leastSpace); err != nil {
		return s, err
	}
	if err := s.Check(); err != nil {
		return s, program.Fail(program.ExitUsage, "both are public, and short", err)
	}
	return s, nil
}

// certificates are the family certificates that the flags name.
func (f *runFlags) certificates() ([][]byte, error) {
	if len(f.families) > directory.MaxFamilies {
		return nil, program.Usage("a relay belongs to two families at most", "family: %d are given", len(f.families))
	}
	var list [][]byte
	for _, text := range f.families {
		b, err := readText(text, "HEARSAY-FAMILY:")
		if err != nil {
			return nil, program.Fail(program.ExitUsage, "give a certificate, or a file that holds one", fmt.Errorf("family: %w", err))
		}
		list = append(list, b)
	}
	return list, nil
}

// addFamilies puts certificates into the home: all, or none.
func addFamilies(home string, certificates [][]byte) error {
	if err := relay.AddFamilies(home, certificates); err != nil {
		return fmt.Errorf("family: %w", err)
	}
	return nil
}

// software is what the directory shows of this program, at most 24 bytes.
func software() string {
	s := "hearsay " + program.Version()
	return s[:min(len(s), 24)]
}

// addressesOf are the addresses that others dial, as far as they are known before
// the port is bound.
func addressesOf(cfg relay.NodeConfig) []netip.AddrPort {
	if cfg.Advertise != nil {
		return cfg.Advertise
	}
	return []netip.AddrPort{cfg.Listen}
}
