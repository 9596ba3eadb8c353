package main

import (
	"context"
	"errors"
	"io"
	"math"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"testing"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

// TestInterruptBeforeReady ends a relay that waits for a network which nobody serves:
// an interrupt is no success, but being told to stop is.
func TestInterruptBeforeReady(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64); debug.SetGCPercent(100) })
	link, err := relay.Found(filepath.Join(t.TempDir(), "founder"), relay.Founding{
		Name: "silent", Label: "f", Listen: netip.MustParseAddrPort("127.0.0.1:9"), Lab: true, Join: directory.JoinOpen,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(program.ErrInterrupted, context.Canceled) {
		t.Error("one that serves would take the interrupt for a failure")
	}
	for cause, want := range map[error]int{program.ErrInterrupted: program.ExitInterrupted, errors.New("told to stop"): program.ExitOK} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		cmd := root()
		cmd.SetArgs([]string{"run", "--home", filepath.Join(t.TempDir(), "relay"), "--network", link.String(), "--listen", "127.0.0.1:0"})
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		code := program.ExitOK
		if err := cmd.ExecuteContext(ctx); err != nil {
			code = program.Report(io.Discard, name, err)
		}
		if code != want {
			t.Errorf("%v: exit %d, want %d", cause, code, want)
		}
	}
}
