package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// Waits of the doctor. A check that takes longer has failed.
const (
	doctorNetwork = 45 * time.Second // network file, snapshot, guard and circuit together
	doctorMail    = 60 * time.Second // mailboxes
	doctorLook    = 50 * time.Millisecond
)

func doctorCommand(f *flags) *cobra.Command {
	var speed, relays, asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this profile and its way through the network",
		Long: `Open the profile as hearsay itself does, connect, and name each check, its
result and how to mend it: file modes, disk, store, network file, snapshot, clock,
guard, circuit, paths, mailboxes, terminal. Meanwhile messages come and go as always.
Where a daemon runs, it is asked instead: then rows of the store are not read, and
neither UDP nor speed is measured.

What it prints names no relay of yours, no contact and no directory, so that it
can be shown to who helps you; --relays names those that --speed measures, of
which the first is your guard: keep that to yourself.

All that the store holds is read. If no relay answers, the addresses to which this
profile sends in vain are asked by UDP, to tell a blocked network from a relay that
is away; no other address is asked.

With --speed, measure a circuit of its own afterwards: the round trip to each
hop, and the rate at which its last relay returns data. It takes about 15
seconds and loads four relays, so a profile runs one test in 10 minutes. Where
cover traffic is on, only round trips are measured, which takes minutes, unless
you accept on the terminal a burst that whoever watches this link can see.

Exit status: 0 all is well, 3 passphrase, 4 the network cannot be reached, 6 no
profile, 7 others may read it, 8 another process has it open, else 1.`,
		Example: `  hearsay doctor
  hearsay doctor --speed
  hearsay doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return chatError(runDoctor(cmd, f, speed, relays, asJSON))
		},
	}
	cmd.Flags().BoolVar(&speed, "speed", false, "measure the speed of a circuit as well")
	cmd.Flags().BoolVar(&relays, "relays", false, "name the relays that --speed measures, your guard among them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func runDoctor(cmd *cobra.Command, f *flags, speed, relays, asJSON bool) error {
	log, closeLog, err := f.logger(cmd.ErrOrStderr(), f.logFile == "" && !cmd.Flags().Changed("log-level"))
	if err != nil {
		return err
	}
	defer closeLog()
	if err := f.configure(); err != nil {
		return err
	}
	d := &doctor{
		out: doctorPrinter(cmd.OutOrStdout(), asJSON, relays), home: f.dir(),
		network: doctorNetwork, mail: doctorMail,
	}
	state, err := chat.Inspect(d.home)
	if err == nil && !state.Exists {
		return program.Fail(program.ExitNotFound, "open `hearsay` once, or give --home", fmt.Errorf("there is no profile in %s", d.home))
	}
	d.modes()
	d.disk()
	if c, none := f.attach(cmd.Context()); none == nil {
		defer c.Close()
		return d.attached(cmd.Context(), c, speed)
	}
	p, err := d.open(cmd.Context(), chat.Config{Home: d.home, Network: f.network, Cover: f.cover, Log: log}, state, err, f.passphraseFile)
	if err != nil {
		return err
	}
	if p != nil {
		err = d.connected(cmd.Context(), p)
		if err == nil && speed {
			if d.reached {
				err = d.speed(cmd.Context(), p, !asJSON)
			} else {
				d.out.note("no speed test: there is no circuit")
			}
		}
		err = errors.Join(err, p.stop())
	}
	if cmd.Context().Err() != nil {
		return program.Fail(program.ExitInterrupted, "", errors.New("interrupted"))
	}
	d.out.summary(d)
	if err == nil && d.failed > 0 {
		return program.Fail(d.code, "", fmt.Errorf("%s", count(d.failed, "check failed", "checks failed")))
	}
	return err
}

// attached checks the profile of a daemon, which goes on.
func (d *doctor) attached(ctx context.Context, p statusSource, speed bool) error {
	err := d.store(ctx, p)
	if err == nil {
		err = d.connected(ctx, p)
	}
	switch {
	case ctx.Err() != nil:
		return program.Fail(program.ExitInterrupted, "", errors.New("interrupted"))
	case err != nil:
		return err
	case speed:
		d.out.note("no speed test beside a daemon: stop it first with hearsay daemon stop")
	}
	d.out.summary(d)
	if d.failed > 0 {
		return program.Fail(d.code, "", fmt.Errorf("%s", count(d.failed, "check failed", "checks failed")))
	}
	return nil
}

// statusSource is an open profile, here or in a daemon.
type statusSource interface{ Status() chat.Status }

// doctor runs the checks, one after the other.
type doctor struct {
	out           doctorOutput
	home          string
	network, mail time.Duration // patience, see doctorNetwork

	failed, warnings int
	code             int    // exit code, of the first check that failed
	reached          bool   // a circuit is open
	name             string // of the network
	lab              bool
}

// Results of a check.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkFailed  = "failed"
	checkSkipped = "skipped" // could not be done
)

// check is one check with its result.
type check struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"` // what to do; empty if nothing
}

// report prints a check; code is the exit code if it failed.
func (d *doctor) report(c check, code int) {
	c.Detail, c.Fix = chat.Sanitize(c.Detail), chat.Sanitize(c.Fix)
	switch c.Result {
	case checkFailed:
		d.failed++
		if d.code == 0 {
			d.code = code
		}
	case checkWarning:
		d.warnings++
	}
	d.out.check(c)
}

// skip reports checks that could not be done.
func (d *doctor) skip(why string, names ...string) {
	for _, n := range names {
		d.report(check{Name: n, Result: checkSkipped, Detail: why}, 0)
	}
}

// await asks for the status until ok holds, the time is over or ctx ends. It
// returns the last status and whether ok held.
func (d *doctor) await(ctx context.Context, p statusSource, within time.Duration, ok func(chat.Status) bool) (chat.Status, bool) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(doctorLook)
	defer tick.Stop()
	for {
		st := p.Status()
		if ok(st) {
			return st, true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return st, false
		}
	}
}

// Waits of the checks on the screen, where the profile runs already.
const (
	screenNetwork = 15 * time.Second
	screenMail    = 15 * time.Second
)

// checks returns the checks of the profile that the screens show. source tells
// which one that is, and its home; nil while none is open.
func (f *flags) checks(source func() (statusSource, string)) func(context.Context) ([]tui.Check, error) {
	return func(ctx context.Context) ([]tui.Check, error) {
		src, home := source()
		if src == nil {
			return nil, &chat.Error{Kind: chat.KindRefused, Text: "there is no profile to look at yet"}
		}
		out := &doctorList{}
		d := &doctor{out: out, home: home, network: screenNetwork, mail: screenMail}
		d.modes()
		d.disk()
		err := d.store(ctx, src)
		if err == nil {
			err = d.connected(ctx, src)
		}
		return out.checks, err
	}
}
