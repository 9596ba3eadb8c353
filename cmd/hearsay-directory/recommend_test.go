package main

import (
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

// TestRunRecommendsSoftware: what a signer's operator recommends stands in the
// snapshots; what no vote can name is refused at the start.
func TestRunRecommendsSoftware(t *testing.T) {
	t.Parallel()
	address, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "anna")
	_, err = relay.Found(home, relay.Founding{
		Name: "harbour", Listen: netip.MustParseAddrPort(address), Join: directory.JoinOpen, Lab: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, stderr, code := output(t, "run", "--home", home, "--recommend", "a name of twenty-five bytes")
	has(t, "run", stderr, "recommended software", "hint: --recommend takes")
	if code != program.ExitUsage {
		t.Errorf("exit code %d", code)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ready, w := io.Pipe()
	cmd := root()
	cmd.SetArgs([]string{"run", "--home", home, "--recommend", "hearsay 9.1", "--recommend", "hearsay 9.0"})
	cmd.SetOut(w)
	cmd.SetErr(io.Discard)
	done := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	if _, err := ready.Read(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	text, stderr, code := output(t, "show", "--home", home, "--json")
	if code != 0 {
		t.Fatalf("show: %d: %s", code, stderr)
	}
	list := lines(t, text)["snapshot"][0]["recommended"].([]any)
	if !slices.Equal(list, []any{"hearsay 9.0", "hearsay 9.1"}) {
		t.Errorf("recommended %q", list)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
