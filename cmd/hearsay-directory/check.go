package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/cmd/program/figures"
	"hearsay/directory"
	"hearsay/relay"
)

// Implementation constants of the checks.
const (
	keySoon    = 14 * 24 * time.Hour // left of an online key that does not renew itself
	clockLimit = 2 * time.Minute     // a signer further off disturbs the votes
	fullDisk   = 64 << 20            // bytes free, below which snapshots are not written for long
	leastDisk  = 1 << 30
)

// checker runs the checks.
type checker struct{ program.Checker }

func checkCommand(logs *program.LogFlags) *cobra.Command {
	var f runFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check [--home DIR] [--config FILE]",
		Short: "Test configuration, home, keys, port, disk and clock",
		Long: `Test what a directory needs before it is started, with the flags, the environment
and the configuration of run: that they can be used, that the home is nobody else's
to read, that its keys are whole and for how long the online key is good, that the
network file is in force, that the port is free, and that there is disk.

If a directory runs in the home, it is asked and not disturbed: its port is taken by
right, and it knows how its clock compares with those of other directories. Without
one, other directories of the network are asked, if there are any.

It changes nothing and exits with 0, also after warnings.`,
		Example: `  hearsay-directory check --home /var/lib/hearsay-directory
  hearsay-directory check --config /etc/hearsay-directory/directory.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.logLevel, f.logFormat = logs.Level, logs.Format
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			c := &checker{program.Checker{Out: cmd.OutOrStdout(), JSON: f.json}}
			c.all(ctx, f, cmd.Flags().Changed)
			if c.Code != 0 {
				return program.Fail(c.Code, "each fix stands beside what failed", errors.New("the directory would not work like this"))
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait for other directories")
	cmd.Flags().Lookup("json").Usage = "print JSON, one object per line"
	return cmd
}

// fail prints the error of a check with its hint.
func (c *checker) fail(name string, err error) { c.Fail(name, founderError(err)) }

// all runs the checks; those that need another that failed are left out.
func (c *checker) all(ctx context.Context, f runFlags, changed func(string) bool) {
	f, err := f.resolve(changed)
	if err == nil {
		_, err = (&program.LogFlags{Level: f.logLevel, Format: f.logFormat}).Logger(io.Discard)
	}
	if err == nil && f.metrics != "" {
		_, _, err = figures.Parse(f.metrics)
	}
	if err == nil {
		if err = directory.CheckRecommended(slices.Compact(slices.Sorted(slices.Values(f.recommend)))); err != nil {
			err = program.Fail(program.ExitUsage, "at most 16 names of 1 to 24 characters", fmt.Errorf("recommend: %w", err))
		}
	}
	if err != nil {
		c.fail("config", err)
		return
	}
	c.Say("config", program.ResultOK, cmp.Or(f.file, "no file; flags and environment"), "", 0)
	c.Files()
	c.disk(f.home)
	if !c.home(f.home) {
		return
	}
	s, err := relay.AskDirectoryStatus(ctx, f.home)
	running := err == nil
	if !running {
		if err := relay.CheckUnused(f.home); err != nil {
			c.fail("lock", err)
			running = true // what it is, it does not say
		}
	}
	h, err := relay.ReadDirectoryKeys(f.home, running)
	if err != nil {
		c.fail("keys", err)
		return
	}
	c.keys(h, s)
	c.network(h)
	c.port(h, s, running)
	c.clock(ctx, f.home, h, s)
}

// home looks at the modes.
func (c *checker) home(dir string) bool {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		c.fail("home", relay.ErrNoNetwork)
		return false
	}
	if err := relay.CheckHome(dir); err != nil {
		c.fail("home", err)
		return false
	}
	if !program.MayWrite(dir) {
		c.Say("home", program.ResultFailed, "this user cannot write "+dir, "run it as the account of the directory", program.ExitFailure)
		return false
	}
	c.Say("home", program.ResultOK, "private", "", 0)
	return true
}

// keys says until when the online key is good. s is nil if no directory answers.
func (c *checker) keys(h *relay.DirectoryKeys, s *relay.DirectoryReport) {
	ends, id := h.KeyEnds, h.ID.String()
	if s != nil && s.OnlineKeyEnds != "" {
		ends, _ = time.Parse(time.RFC3339, s.OnlineKeyEnds)
	}
	left := time.Until(ends)
	switch day := ends.UTC().Format(time.DateOnly); {
	case !h.Signs:
		c.Say("keys", program.ResultOK, "whole; directory "+id+", which signs nothing", "", 0)
	case h.Renews:
		c.Say("keys", program.ResultOK, "whole; signer "+id+", which renews its online key itself", "", 0)
	case ends.IsZero():
		c.Say("keys", program.ResultWarning, "whole; only the running signer knows when its online key ends", "", 0)
	case left <= 0:
		c.Say("keys", program.ResultFailed, "the online key ended on "+day, "renew it with the identity key: hearsay-directory rotate", program.ExitFailure)
	case left < keySoon:
		c.Say("keys", program.ResultWarning, "the online key ends on "+day, "renew it with the identity key: hearsay-directory rotate", 0)
	default:
		c.Say("keys", program.ResultOK, "whole; signer "+id+", whose online key ends on "+day, "", 0)
	}
}

// network looks at the network file.
func (c *checker) network(h *relay.DirectoryKeys) {
	f, now := h.Chain.Current(), time.Now()
	detail := fmt.Sprintf("%q, version %d, until %s", f.Name, f.Version, f.Expires.UTC().Format(time.DateOnly))
	if f.Lab {
		detail += ", a LAB network: no anonymity"
	}
	switch {
	case !now.Before(f.Expires):
		c.Say("network", program.ResultFailed, detail+": it has expired, and with it the network", "set this computer's clock if that is wrong", program.ExitFailure)
	case f.ExpiresSoon(now):
		c.Say("network", program.ResultWarning, detail+": soon", "its founders renew it: hearsay-directory founder amend --expires 730", 0)
	default:
		c.Say("network", program.ResultOK, detail, "", 0)
	}
}

// port tries to bind the address in the network file, unless a directory runs.
func (c *checker) port(h *relay.DirectoryKeys, s *relay.DirectoryReport, running bool) {
	switch {
	case !h.Bootstrap.IsValid():
		c.Say("port", program.ResultOK, "none: it dials out alone", "", 0)
	case s != nil && s.Listen == h.Bootstrap.String():
		c.Say("port", program.ResultOK, "the running directory has "+s.Listen, "", 0)
	case s != nil:
		c.Say("port", program.ResultWarning, "the running directory has "+s.Listen+", the network file "+h.Bootstrap.String(), "start it again", 0)
	case running:
		c.Say("port", program.ResultSkipped, "the program that uses the home has it, or not", "", 0)
	default:
		c.Port("port", net.UDPAddrFromAddrPort(h.Bootstrap))
	}
}

// disk looks at what is free for snapshots and their log.
func (c *checker) disk(home string) {
	free, _, ok := program.DiskSpace(program.NearestDir(home))
	switch {
	case !ok:
	case free < fullDisk:
		c.Say("disk", program.ResultFailed, fmt.Sprintf("%d MiB free: snapshots that cannot be written are not signed", free>>20), "make room", program.ExitFailure)
	case free < leastDisk:
		c.Say("disk", program.ResultWarning, fmt.Sprintf("%d MiB free", free>>20), "make room: what cannot be written is not signed", 0)
	default:
		c.Say("disk", program.ResultOK, fmt.Sprintf("%d GiB free", free>>30), "", 0)
	}
}

// clock compares the clock with those of other directories, where there are any.
func (c *checker) clock(ctx context.Context, home string, h *relay.DirectoryKeys, s *relay.DirectoryReport) {
	const fix = "set this computer's clock; run a time service"
	if s != nil {
		ahead := (time.Duration(s.ClockAhead) * time.Millisecond).Round(time.Second)
		switch {
		case s.ClocksHeard == 0:
			c.Say("clock", program.ResultSkipped, "no other directory has told its time", "", 0)
		case ahead.Abs() > clockLimit:
			c.Say("clock", program.ResultFailed, fmt.Sprintf("%v off, by those of other directories", ahead.Abs()), fix, program.ExitFailure)
		default:
			c.Say("clock", program.ResultOK, "agrees with those of other directories", "", 0)
		}
		return
	}
	others := 0
	for _, b := range h.Chain.Current().Bootstraps {
		if b.ID != h.ID.Prefix() {
			others++
		}
	}
	if others == 0 {
		c.Say("clock", program.ResultSkipped, "no other directory to compare it with", "", 0)
		return
	}
	age, err := ageOfNewest(ctx, home)
	switch {
	case err != nil:
		c.Say("clock", program.ResultWarning, "no other directory answers with a snapshot", "if they run, see that UDP to them is let out", 0)
	case age < -clockLimit:
		c.Say("clock", program.ResultFailed, fmt.Sprintf("at least %v behind the newest snapshot", (-age).Round(time.Second)), fix, program.ExitFailure)
	default:
		c.Say("clock", program.ResultOK, fmt.Sprintf("not behind the newest snapshot, which is %v old by it", age.Round(time.Second)), "", 0)
	}
}

// ageOfNewest asks the bootstraps of the network for the newest snapshot.
func ageOfNewest(ctx context.Context, home string) (time.Duration, error) {
	r, err := relay.OpenReader(relay.ReaderConfig{Home: home})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if _, err := r.Chain(ctx); err != nil {
		return 0, err
	}
	_, v, err := r.Snapshot(ctx, 0)
	if err != nil {
		return 0, err
	}
	return time.Since(v.ValidAfter()), nil
}
