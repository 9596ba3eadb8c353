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
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/mailbox"
)

// Results of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning"
	resultFailed  = "failed"
	resultSkipped = "skipped"
)

// Implementation constants of the checks.
const (
	clockLimit  = 5 * time.Minute // a relay further off is not listed for long
	leastBuffer = 2 << 20         // bytes of a socket's buffers; QUIC asks for 7 MiB
	leastFiles  = 4096            // open files: one for each disk file and socket, with room
	leastDisk   = 1 << 30         // bytes free
)

// check is one thing that was looked at.
type check struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // check
	Name   string `json:"name"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// checker runs the checks and remembers how they ended.
type checker struct {
	out  io.Writer
	json bool
	code int // of the first failure
}

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
		Example: `  hearsay-relay check --config /etc/hearsay/relay.toml
  hearsay-relay check --home /var/lib/hearsay-relay --listen 192.0.2.7:4443 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.logLevel, f.logFormat = logs.Level, logs.Format
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			c := &checker{out: cmd.OutOrStdout(), json: f.json}
			c.all(ctx, f, cmd.Flags().Changed)
			if c.code != 0 {
				return program.Fail(c.code, "each fix stands beside what failed", errors.New("the relay would not work like this"))
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the network")
	cmd.Flags().Lookup("json").Usage = "print JSON, one object per line"
	return cmd
}

// say prints a check.
func (c *checker) say(name, result, detail, fix string, code int) {
	if result == resultFailed && c.code == 0 {
		c.code = code
	}
	if c.json {
		_ = program.PrintJSON(c.out, check{1, "check", name, result, detail, fix})
		return
	}
	fmt.Fprintf(c.out, "%-8s %-9s %s\n", result, name, detail)
	if fix != "" {
		fmt.Fprintf(c.out, "%18s fix: %s\n", "", fix)
	}
}

// fail prints the error of a check with its hint.
func (c *checker) fail(name string, err error) {
	err = program.OperatorError(err)
	code, hint := program.ExitFailure, ""
	if e := (*program.Error)(nil); errors.As(err, &e) {
		code, hint = e.Code, e.Hint
	}
	c.say(name, resultFailed, program.ErrorText(err), hint, code)
}

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
	c.say("config", resultOK, cmp.Or(f.file, "no file; flags and environment"), "", 0)
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
		c.say("reached", resultSkipped, "only others can tell, once the relay runs", "", 0)
	}
}

// home looks at modes and keys, and tells whether there are any.
func (c *checker) home(dir string) bool {
	switch _, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		if !mayWrite(nearest(dir)) {
			c.say("home", resultFailed, "cannot be made in "+nearest(dir), "run it as another user, or give another --home", program.ExitFailure)
			return false
		}
		c.say("home", resultOK, "is made at the first start", "", 0)
		return false
	case err != nil:
		c.fail("home", err)
		return false
	}
	if err := relay.CheckHome(dir); err != nil {
		c.fail("home", err)
		return false
	}
	if !mayWrite(dir) {
		c.say("home", resultFailed, "this user cannot write "+dir, "check who owns the home", program.ExitFailure)
		return false
	}
	id, err := relay.HomeID(dir)
	switch {
	case errors.Is(err, relay.ErrNoNetwork):
		c.say("home", resultOK, "private; keys are made at the first start", "", 0)
		return false
	case err != nil:
		c.fail("home", err)
		return false
	}
	c.say("home", resultOK, "private; relay "+id.String(), "", 0)
	return true
}

// port tries to bind the address, unless a relay runs in the home, and tells
// whether one does.
func (c *checker) port(ctx context.Context, f *runFlags, cfg relay.NodeConfig) (running bool) {
	s, err := relay.AskStatus(ctx, f.home)
	running = err == nil
	switch {
	case running && cfg.Listen.Port() == 0, running && s.Listen == cfg.Listen.String():
		c.say("port", resultOK, "the running relay has "+s.Listen, "", 0)
		return running
	case !running:
		if err := relay.CheckUnused(f.home); err != nil {
			c.fail("home", err)
		}
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(cfg.Listen))
	if err != nil {
		c.say("port", resultFailed, "cannot be bound: "+plainNetError(err), "another program has the port, or the address is none of this computer's", program.ExitFailure)
		return running
	}
	defer conn.Close()
	size, err := bufferSize(conn)
	switch {
	case err != nil || size >= leastBuffer:
		c.say("port", resultOK, "can be bound", "", 0)
	default:
		c.say("port", resultWarning, fmt.Sprintf("can be bound; the system gives its socket a buffer of %d KiB", size>>10), "sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000", 0)
	}
	return running
}

// plainNetError is the reason alone: the text of a network error names addresses.
func plainNetError(err error) string {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err.Error()
	}
	return "the system refuses it"
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
		c.say("network", resultFailed, "no directory answers from here", "check that UDP to the addresses in the network link is let out", program.ExitNoNetwork)
		return
	}
	file := chain.Current()
	detail := fmt.Sprintf("%q, version %d", file.Name, file.Version)
	if file.Lab {
		detail += ", a LAB network: no anonymity"
	}
	c.say("network", resultOK, detail, "", 0)
	for _, a := range addressesOf(cfg) {
		if a.Port() == 0 { // the system gives one
			a = netip.AddrPortFrom(a.Addr(), 1)
		}
		if err := directory.CheckAddr(a, file.Lab); err != nil {
			c.say("address", resultFailed, program.ErrorText(err), "give --advertise an address that others reach", program.ExitRefused)
		}
	}
	_, v, err := r.Snapshot(ctx, 0)
	if err != nil {
		c.say("clock", resultWarning, "no snapshot to compare it with: "+err.Error(), "if the network is not new, compare this computer's clock with another one", 0)
		return
	}
	age, epoch := time.Since(v.ValidAfter()), v.EpochLength()
	switch {
	case age < -clockLimit:
		c.say("clock", resultFailed, fmt.Sprintf("at least %s behind the network", (-age).Round(time.Second)), "set this computer's clock; run a time service", program.ExitFailure)
	case age > 2*epoch+clockLimit:
		c.say("clock", resultWarning, fmt.Sprintf("the newest snapshot is %s old: the clock is ahead, or the directory has paused", age.Round(time.Second)), "compare this computer's clock with another one", 0)
	default:
		c.say("clock", resultOK, "agrees with the network", "", 0)
	}
}

// system looks at what the system gives.
func (c *checker) system(home string) {
	if n, ok := openFiles(); ok && n < leastFiles {
		c.say("files", resultWarning, fmt.Sprintf("%d open files at most", n), fmt.Sprintf("LimitNOFILE=%d in the unit, or ulimit -n", 16*leastFiles), 0)
	} else if ok {
		c.say("files", resultOK, fmt.Sprintf("%d open files at most", n), "", 0)
	}
	free, total, ok := disk(nearest(home))
	switch {
	case !ok:
	case free < mailbox.MinFree:
		c.say("disk", resultFailed, fmt.Sprintf("%d MiB free: mailboxes take no messages", free>>20), fmt.Sprintf("give it %d MiB at least, and better some GiB", mailbox.MinFree>>20), program.ExitFailure)
	case free < leastDisk:
		c.say("disk", resultWarning, fmt.Sprintf("%d MiB free", free>>20), fmt.Sprintf("mailboxes refuse messages below %d MiB", mailbox.MinFree>>20), 0)
	case total > 0 && (total-free)*100/total >= mailbox.FullForNew:
		c.say("disk", resultWarning, fmt.Sprintf("%d %% used", (total-free)*100/total), fmt.Sprintf("mailboxes take no queues from %d %% on, and no messages from %d %%", mailbox.FullForNew, mailbox.FullForSend), 0)
	default:
		c.say("disk", resultOK, fmt.Sprintf("%d GiB free", free>>30), "", 0)
	}
}

// nearest returns dir, or what is there of the path to it.
func nearest(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// reached says what the directory found of a running relay.
func (c *checker) reached(ctx context.Context, home string) {
	s, err := relay.AskStatus(ctx, home)
	switch {
	case err != nil:
		c.fail("reached", err)
	case s.Listed:
		c.say("reached", resultOK, "listed: the directory's probes reach it", "", 0)
	case s.Verdict != "":
		c.say("reached", resultWarning, "not listed; the directory says: "+s.Verdict, "hearsay-relay status has the reasons", 0)
	default:
		c.say("reached", resultWarning, "not listed; no directory has answered yet", "wait some minutes after the start; see that UDP to the port is let in", 0)
	}
}
