package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/cmd/program/figures"
	"hearsay/directory"
	"hearsay/relay"
)

func runCommand(logs *program.LogFlags) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve the directory until told to stop",
		Long: `Serve the network of this home, at the address that ` + "`init` or `founder card`" + ` was
given, or, without one, by dialling out alone: take descriptors of relays, probe
them, sign a snapshot each epoch, with the other signers if there are any, and hand
it out. Stops at SIGINT or SIGTERM.

--recommend names software of relays that this signer recommends, as it stands in
their descriptors; what more than half of the signers recommend counts. From then on
other software raises a relay's score, and so does being three releases behind. Name
every release that is good.

What flags do not say is read from the environment (HEARSAY_HOME, HEARSAY_METRICS,
HEARSAY_LOG_LEVEL, HEARSAY_LOG_FORMAT) and then from directory.toml, which --config names, or which
lies in the home or in the configuration directory of systemd or of the account:

` + exampleConfig + `

SIGHUP has the log level read again; other changes wait for a restart.`,
		Example: `  hearsay-directory run --home anna
  hearsay-directory run --recommend 'hearsay 0.4.0' --recommend 'hearsay 0.4.1'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(run(cmd, logs, f))
		},
	}
	f.add(cmd)
	return cmd
}

// add puts the flags on a command.
func (f *runFlags) add(cmd *cobra.Command) {
	homeFlag(cmd, &f.home)
	cmd.Flags().StringVar(&f.file, "config", "", "configuration file (default: directory.toml in the home, if it is there)")
	cmd.Flags().StringArrayVar(&f.recommend, "recommend", nil, "software of relays that this signer recommends; may be repeated, up to 16 times")
	cmd.Flags().StringVar(&f.metrics, "metrics", "", "serve figures for Prometheus there: a loopback address, or unix:PATH (default: nowhere)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the ready line as JSON")
}

// patience is how long a directory waits for a snapshot before it says for what.
const patience = 5 * time.Second

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
	if f.metrics != "" {
		if _, _, err := figures.Parse(f.metrics); err != nil {
			return err
		}
	}
	n, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: f.home, Recommended: f.recommend, ServeStatus: true, Log: log})
	if errors.Is(err, relay.ErrNoNetwork) {
		return program.Fail(program.ExitUsage, "`hearsay-directory init` founds one; --home names the home of another", err)
	}
	if err != nil {
		return err
	}
	var measures net.Listener
	if f.metrics != "" {
		if measures, err = figures.Listen(f.metrics); err != nil {
			n.Close()
			return err
		}
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	done := make(chan error, 1) // Run's one result
	go func() { done <- runBoth(ctx, n, measures) }()
	file := n.Network()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	for served := false; !served; {
		select {
		case err := <-done:
			return program.NotServed(cmd.Context(), err)
		case <-n.Ready():
			served = true
		case <-slow.C:
			if k := directory.SignThreshold(len(file.Signers)); k > 1 {
				program.Warn(cmd.ErrOrStderr(), name, "no snapshot yet: %d of the %d signers must run for one; this one serves, and waits for the others", k, len(file.Signers))
			}
		}
	}
	program.OnHangup(cmd.Context(), func() {
		program.NotifyReloading(func() { given.reload(cmd.Flags().Changed, logs, f, log) })
	})
	ready := program.Ready{Program: name, ID: n.ID().String(), Listen: n.Addr().String(), Network: file.Name, Lab: file.Lab}
	if err := ready.Print(cmd.OutOrStdout(), f.json); err != nil {
		cancel()
		<-done
		return err
	}
	if file.Lab {
		program.Warn(cmd.ErrOrStderr(), name, "LAB NETWORK: no anonymity")
	}
	if file.ExpiresSoon(time.Now()) {
		program.Warn(cmd.ErrOrStderr(), name, "the network file expires on %s, and with it the network: `founder amend --expires 730` renews it", file.Expires.UTC().Format(time.DateOnly))
	}
	program.NotifyReady()
	context.AfterFunc(ctx, program.NotifyStopping)
	return <-done
}

// runBoth runs a node, and serves its figures if there is a socket for them, until ctx
// or the node ends. Figures that are served no more end the node too: whoever watches
// them would take silence for the network's.
func runBoth(ctx context.Context, n *relay.DirectoryNode, measures net.Listener) error {
	if measures == nil {
		return n.Run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	measured := make(chan error, 1)
	go func() {
		defer cancel()
		measured <- serveMetrics(ctx, measures, n)
	}()
	err := n.Run(ctx)
	cancel()
	return errors.Join(err, <-measured)
}
