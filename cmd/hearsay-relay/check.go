package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/mailbox"
)

// Implementation constants of the checks.
const (
	clockLimit = 5 * time.Minute // a relay further off is not listed for long
	leastDisk  = 1 << 30         // bytes free
)

// checker runs the checks.
type checker struct{ program.Checker }

func checkCommand(logs *program.LogFlags) *cobra.Command {
	var f runFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check [--config FILE] [--home DIR] [--listen ADDR]",
		Short: "Test configuration, keys, port, clock and reachability",
		Long: `Test what a relay needs before it is started, with the flags, the environment and
the configuration of run: that they can be used, that the home is nobody else's to
read, that its keys are whole, that the port can be bound, that the directory
answers from here and agrees about the time, and that the system gives enough
buffers, files and disk.

Whether others reach the port from outside only they can tell: the directory's
probes do, and a running relay's status shows what they found. check asks for it if
a relay runs in the home.

It changes nothing and exits with 0, also after warnings.`,
		Example: `  hearsay-relay check --config /etc/hearsay-relay/relay.toml
  hearsay-relay check --home /var/lib/hearsay-relay --listen 192.0.2.7:4443 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.logLevel, f.logFormat = logs.Level, logs.Format
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			c := &checker{program.Checker{Out: cmd.OutOrStdout(), JSON: f.json}}
			c.all(ctx, f, cmd.Flags().Changed)
			if c.Code != 0 {
				return program.Fail(c.Code, "each fix stands beside what failed", errors.New("the relay would not work like this"))
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the network")
	cmd.Flags().Lookup("json").Usage = "print JSON, one object per line"
	return cmd
}

// fail prints the error of a check with its hint.
func (c *checker) fail(name string, err error) { c.Fail(name, program.OperatorError(err)) }

// all runs the checks; those that need another that failed are skipped.
func (c *checker) all(ctx context.Context, f runFlags, changed func(string) bool) {
	f, err := f.resolve(changed)
	var cfg relay.NodeConfig
	if err == nil {
		cfg, err = f.config()
	}
	if err == nil {
		_, err = (&program.LogFlags{Level: f.logLevel, Format: f.logFormat}).Logger(io.Discard)
	}
	var certificates [][]byte
	if err == nil {
		certificates, err = f.certificates()
	}
	if err != nil {
		c.fail("config", err)
		return
	}
	c.Say("config", program.ResultOK, cmp.Or(f.file, "no file; flags and environment"), "", 0)
	known := c.home(f.home)
	if known {
		// A home without a network cannot tell whose certificates they are.
		if err := relay.CheckFamilies(f.home, certificates); err != nil && !errors.Is(err, relay.ErrNoNetwork) {
			c.fail("family", err)
		}
	}
	running := c.port(ctx, &f, cfg)
	c.network(ctx, &f, cfg, known)
	c.system(f.home)
	if running {
		c.reached(ctx, f.home)
	} else {
		c.Say("reached", program.ResultSkipped, "only others can tell, once the relay runs", "", 0)
	}
}

// home looks at modes and keys, and tells whether there are any.
func (c *checker) home(dir string) bool {
	switch _, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		if !program.MayWrite(program.NearestDir(dir)) {
			c.Say("home", program.ResultFailed, "cannot be made in "+program.NearestDir(dir), "run it as another user, or give another --home", program.ExitFailure)
			return false
		}
		c.Say("home", program.ResultOK, "is made at the first start", "", 0)
		return false
	case err != nil:
		c.fail("home", err)
		return false
	}
	if err := relay.CheckHome(dir); err != nil {
		c.fail("home", err)
		return false
	}
	if !program.MayWrite(dir) {
		c.Say("home", program.ResultFailed, "this user cannot write "+dir, "check who owns the home", program.ExitFailure)
		return false
	}
	id, err := relay.HomeID(dir)
	switch {
	case errors.Is(err, relay.ErrNoNetwork):
		c.Say("home", program.ResultOK, "private; keys are made at the first start", "", 0)
		return false
	case err != nil:
		c.fail("home", err)
		return false
	}
	c.Say("home", program.ResultOK, "private; relay "+id.String(), "", 0)
	return true
}

// port tries to bind the address, unless a relay runs in the home, and tells
// whether one does.
func (c *checker) port(ctx context.Context, f *runFlags, cfg relay.NodeConfig) (running bool) {
	s, err := relay.AskStatus(ctx, f.home)
	running = err == nil
	switch {
	case running && cfg.Listen.Port() == 0, running && s.Listen == cfg.Listen.String():
		c.Say("port", program.ResultOK, "the running relay has "+s.Listen, "", 0)
		return running
	case !running:
		if err := relay.CheckUnused(f.home); err != nil {
			c.fail("home", err)
		}
	}
	c.Port("port", net.UDPAddrFromAddrPort(cfg.Listen))
	return running
}

// network asks the directory for its newest snapshot and compares clocks.
func (c *checker) network(ctx context.Context, f *runFlags, cfg relay.NodeConfig, known bool) {
	if cfg.Link.ID == (directory.NetworkID{}) && !known {
		c.fail("network", relay.ErrNoNetwork)
		return
	}
	r, err := relay.OpenReader(relay.ReaderConfig{Home: f.home, Link: cfg.Link})
	if err != nil {
		c.fail("network", err)
		return
	}
	defer r.Close()
	chain, err := r.Chain(ctx)
	if err != nil {
		c.Say("network", program.ResultFailed, "no directory answers from here", "check that UDP to the addresses in the network link is let out", program.ExitNoNetwork)
		return
	}
	file := chain.Current()
	detail := fmt.Sprintf("%q, version %d", file.Name, file.Version)
	if file.Lab {
		detail += ", a LAB network: no anonymity"
	}
	c.Say("network", program.ResultOK, detail, "", 0)
	for _, a := range addressesOf(cfg) {
		if a.Port() == 0 { // the system gives one
			a = netip.AddrPortFrom(a.Addr(), 1)
		}
		if err := directory.CheckAddr(a, file.Lab); err != nil {
			c.Say("address", program.ResultFailed, program.ErrorText(err), "give --advertise an address that others reach", program.ExitRefused)
		}
	}
	_, v, err := r.Snapshot(ctx, 0)
	if err != nil {
		c.Say("clock", program.ResultWarning, "no snapshot to compare it with: "+err.Error(), "if the network is not new, compare this computer's clock with another one", 0)
		return
	}
	age, epoch := time.Since(v.ValidAfter()), v.EpochLength()
	switch {
	case age < -clockLimit:
		c.Say("clock", program.ResultFailed, fmt.Sprintf("at least %s behind the network", (-age).Round(time.Second)), "set this computer's clock; run a time service", program.ExitFailure)
	case age > 2*epoch+clockLimit:
		c.Say("clock", program.ResultWarning, fmt.Sprintf("the newest snapshot is %s old: the clock is ahead, or the directory has paused", age.Round(time.Second)), "compare this computer's clock with another one", 0)
	default:
		c.Say("clock", program.ResultOK, "agrees with the network", "", 0)
	}
}

// system looks at what the system gives.
func (c *checker) system(home string) {
	c.Files()
	free, total, ok := program.DiskSpace(program.NearestDir(home))
	switch {
	case !ok:
	case free < mailbox.MinFree:
		c.Say("disk", program.ResultFailed, fmt.Sprintf("%d MiB free: mailboxes take no messages", free>>20), fmt.Sprintf("give it %d MiB at least, and better some GiB", mailbox.MinFree>>20), program.ExitFailure)
	case free < leastDisk:
		c.Say("disk", program.ResultWarning, fmt.Sprintf("%d MiB free", free>>20), fmt.Sprintf("mailboxes refuse messages below %d MiB", mailbox.MinFree>>20), 0)
	case total > 0 && (total-free)*100/total >= mailbox.FullForNew:
		c.Say("disk", program.ResultWarning, fmt.Sprintf("%d %% used", (total-free)*100/total), fmt.Sprintf("mailboxes take no queues from %d %% on, and no messages from %d %%", mailbox.FullForNew, mailbox.FullForSend), 0)
	default:
		c.Say("disk", program.ResultOK, fmt.Sprintf("%d GiB free", free>>30), "", 0)
	}
}

// reached says what the directory found of a running relay.
func (c *checker) reached(ctx context.Context, home string) {
	s, err := relay.AskStatus(ctx, home)
	switch {
	case err != nil:
		c.fail("reached", err)
	case s.Listed:
		c.Say("reached", program.ResultOK, "listed: the directory's probes reach it", "", 0)
	case s.Verdict != "":
		c.Say("reached", program.ResultWarning, "not listed; the directory says: "+s.Verdict, "hearsay-relay status has the reasons", 0)
	default:
		c.Say("reached", program.ResultWarning, "not listed; no directory has answered yet", "wait some minutes after the start; see that UDP to the port is let in", 0)
	}
}
