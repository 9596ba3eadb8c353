package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"hearsay/cmd/program"
	"hearsay/relay"
)

// asked runs the program in this process.
func asked(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		code = program.Report(&errs, name, err)
	}
	return out.String(), errs.String(), code
}

// TestStatusOfTheProgram asks a running relay, before and after the directory has
// said why it stands as it does, and one that has ended.
func TestStatusOfTheProgram(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64); debug.SetGCPercent(100) })
	network := foundNetwork(t)
	home := filepath.Join(t.TempDir(), "relay")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		cmd := root()
		cmd.SetArgs([]string{"run", "--home", home, "--network", network.String(), "--listen", "127.0.0.1:0", "--bandwidth", "2MiB", "--json"})
		cmd.SetOut(in)
		cmd.SetErr(io.Discard)
		err := cmd.ExecuteContext(ctx)
		in.CloseWithError(err)
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready program.Ready
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}
	text, errs, code := asked(t, "status", "--home", home, "--why=false", "--json") // the socket is there
	if code != 0 {
		t.Fatalf("no status: %s", errs)
	}
	var s relay.StatusReport
	if err := json.Unmarshal([]byte(text), &s); err != nil || strings.Count(text, "\n") != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	if s.V != 1 || s.Type != "status" || s.ID != ready.ID || s.Listen != ready.Listen || s.Network != "limits" || !s.Lab || s.LimitKiB != 2048 || s.Warnings == nil || s.Flags == nil {
		t.Errorf("%+v", s)
	}
	// With the first snapshot come the directory's reasons, and soon the traffic.
	deadline := time.Now().Add(4 * time.Minute)
	for !strings.Contains(text, "Why, by the votes of the signers") || !strings.Contains(text, "  traffic   today: 1 MiB out, 1 MiB in, with 0 MiB of circuits\n") {
		if time.Now().After(deadline) {
			t.Fatalf("no reasons, or no traffic: %s%s", text, errs)
		}
		<-time.After(20 * time.Millisecond)
		text, errs, code = asked(t, "status", "--home", home)
		if code != 0 || !strings.Contains(text, ready.ID) || !strings.Contains(text, "LAB NETWORK") || !strings.Contains(text, `network   "limits"`) {
			t.Fatalf("exit code %d: %s%s", code, text, errs)
		}
	}
	if !strings.Contains(text, "verified: 1 signed votes") {
		t.Errorf("the reasons are not verified:\n%s", text)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, errs, code = asked(t, "status", "--home", home); code != program.ExitNotFound || !strings.Contains(errs, "no relay runs in") {
		t.Errorf("after the end: exit code %d: %s", code, errs)
	}
}
