package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
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

// wants tells which texts are missing.
func wants(t *testing.T, what, got string, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", what, want, got)
		}
	}
}

// listing is what lies in a directory, with sizes and times.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, st os.FileInfo, err error) error {
		if err == nil && !st.IsDir() {
			b.WriteString(strings.Join([]string{path, st.ModTime().String(), st.Mode().String()}, " ") + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestOperatorOfADirectory checks a home before and while its directory runs, asks for
// its status and its figures, and asks again after its end. check writes nothing.
func TestOperatorOfADirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	addr, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	if code := exitCode("init", "--home", "home", "--lab", "--join", "open", "--name", "harbour", "--listen", addr); code != 0 {
		t.Fatalf("init: exit %d", code)
	}
	before := listing(t, "home")
	out, errs, code := asked(t, "check", "--home", "home")
	if code != 0 || listing(t, "home") != before {
		t.Errorf("check of a sound home: exit %d: %s%s", code, out, errs)
	}
	wants(t, "check", out, "ok       home      private\n", "ok       keys      whole; signer ", `ok       network   "harbour", version 1`, "port      can be bound", "skipped  clock     no other directory to compare it with\n")
	if _, errs, code = asked(t, "status", "--home", "home"); code != program.ExitNotFound {
		t.Errorf("status before the start: exit %d: %s", code, errs)
	}
	wants(t, "status before the start", errs, "no directory runs in home", "hint: start it with")

	stop, ended, ready := runDirectory(t, "run", "--home", "home", "--metrics", "unix:m.sock", "--json")
	if ready.Listen != addr {
		t.Errorf("it listens at %s", ready.Listen)
	}
	// The signer enters its snapshot soon after the node has it.
	var s relay.DirectoryReport
	for deadline := time.Now().Add(time.Minute); !s.Voted; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no status: exit %d: %s%s", code, out, errs)
		}
		if out, errs, code = asked(t, "status", "--home", "home", "--json"); code == 0 {
			if err := json.Unmarshal([]byte(out), &s); err != nil || strings.Count(out, "\n") != 1 {
				t.Fatalf("%s: %v", out, err)
			}
		}
	}
	if s.V != 1 || s.Type != "directory_status" || s.ID != ready.ID || s.Listen != addr || !s.Lab || !s.Bootstrap || !s.Signer || s.Epoch == 0 || s.Signatures != 1 || s.Signers != 1 || s.Needed != 1 || !s.Signed || s.SignedSince == 0 || s.MissedSince != 0 || !s.Renews || s.Relays != 0 || s.Warnings == nil {
		t.Errorf("%+v", s)
	}
	if st, err := os.Stat(filepath.Join("home", "status.sock")); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", st, err)
	}
	// The epochs go on, and between a snapshot and its entry the status is that of
	// a signer that is behind.
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		out, _, _ = asked(t, "status", "--home", "home")
		if strings.Contains(out, "yes: its signature is in it") || time.Now().After(deadline) {
			break
		}
	}
	wants(t, "status", out, ready.ID, "LAB NETWORK", "signed by 1 of 1 signers, 1 are needed", "yes: its signature is in it, its vote counted", " snapshots signed since the start, 0 made without it", "renewed by itself before that", "0 listed, 0 known, 0 descriptors and notices held")
	out, errs, code = asked(t, "check", "--home", "home")
	if code != 0 {
		t.Errorf("check beside a running directory: exit %d: %s", code, errs)
	}
	wants(t, "check beside a running directory", out, "ok       port      the running directory has "+addr)
	checkFigures(t, "m.sock")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, _, code = asked(t, "status", "--home", "home"); code != program.ExitNotFound {
		t.Errorf("status after the end: exit %d", code)
	}
	checkFindsFaults(t, addr)
}

// runDirectory runs the program until its ready line.
func runDirectory(t *testing.T, args ...string) (stop func(), ended chan error, ready program.Ready) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	out, in := io.Pipe()
	ended = make(chan error, 1)
	go func() {
		cmd := root()
		cmd.SetArgs(args)
		cmd.SetOut(in)
		cmd.SetErr(io.Discard)
		err := cmd.ExecuteContext(ctx)
		in.CloseWithError(errors.Join(err, io.EOF))
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cancel, ended, ready
}

// checkFigures reads the figures: they are those of the specification, name nobody,
// and memory is rounded.
func checkFigures(t *testing.T, socket string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	r, err := client.Get("http://directory/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", r.Status, err)
	}
	seen := map[string]string{}
	line := regexp.MustCompile(`^hearsay_directory_([a-z_]+) ([0-9.e+]+)$`)
	for l := range strings.Lines(string(b)) {
		if m := line.FindStringSubmatch(strings.TrimSpace(l)); m != nil {
			seen[m[1]] = m[2]
		} else if !strings.HasPrefix(l, "#") {
			t.Errorf("a line tells something else: %q", l)
		}
	}
	for figure, want := range map[string]string{
		"signer": "1", "snapshots_signed_total": "", "snapshots_missed_total": "0", "snapshot_signatures": "1", "relays_listed": "0", "descriptors": "0",
		"snapshot_age_seconds": "", "online_key_end_seconds": "", "memory_bytes": "",
	} {
		if got, ok := seen[figure]; !ok || want != "" && got != want {
			t.Errorf("%s is %q, want %q", figure, got, want)
		}
	}
	var memory float64
	if err := json.Unmarshal([]byte(seen["memory_bytes"]), &memory); err != nil || memory == 0 || int64(memory)%(16<<20) != 0 {
		t.Errorf("memory is %q: %v", seen["memory_bytes"], err)
	}
}

// checkFindsFaults spoils what check looks at, one thing after the other.
func checkFindsFaults(t *testing.T, addr string) {
	t.Helper()
	taken, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	out, _, code := asked(t, "check", "--home", "home")
	if code != program.ExitFailure {
		t.Errorf("a port that another program has: exit %d", code)
	}
	wants(t, "a port that another program has", out, "failed   port      cannot be bound")
	taken.Close()

	n, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: "home"}) // one without a socket for status
	if err != nil {
		t.Fatal(err)
	}
	out, _, code = asked(t, "check", "--home", "home")
	if code != program.ExitHomeInUse {
		t.Errorf("a home in use: exit %d", code)
	}
	wants(t, "a home in use", out, "failed   lock ")
	n.Close()

	for _, args := range [][]string{{"--metrics", "0.0.0.0:1"}, {"--metrics", "here"}, {"--config", "missing"}, {"--recommend", strings.Repeat("x", 25)}, {"--log-level", "loud"}} {
		out, _, code = asked(t, append([]string{"check", "--home", "home"}, args...)...)
		if code != program.ExitUsage && code != program.ExitRefused {
			t.Errorf("%v: exit %d", args, code)
		}
		wants(t, strings.Join(args, " "), out, "failed   config ")
	}
	out, _, code = asked(t, "check", "--home", "nowhere")
	if _, err := os.Stat("nowhere"); code != program.ExitUsage || err == nil {
		t.Errorf("no home: exit %d, made: %v", code, err == nil)
	}
	wants(t, "no home", out, "failed   home ")

	// Without the identity key the certificate in the state tells when the online key ends.
	if err := os.Rename(filepath.Join("home", "signer.key"), "signer.key"); err != nil {
		t.Fatal(err)
	}
	out, _, code = asked(t, "check", "--home", "home")
	if code != 0 {
		t.Errorf("the identity key is elsewhere: exit %d", code)
	}
	wants(t, "the identity key is elsewhere", out, "whose online key ends on 2")

	if err := os.WriteFile(filepath.Join("home", "online.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code = asked(t, "check", "--home", "home")
	if code == 0 {
		t.Error("a damaged key passes")
	}
	wants(t, "a damaged key", out, "failed   keys      key file is damaged")
	if runtime.GOOS == "windows" {
		return // modes say nothing there
	}
	if err := os.Chmod(filepath.Join("home", "online.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _, code = asked(t, "check", "--home", "home")
	if code == 0 {
		t.Error("a key that others may read passes")
	}
	wants(t, "a key that others may read", out, "failed   home      others may read")
}
