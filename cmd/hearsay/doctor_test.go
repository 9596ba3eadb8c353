package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/cmd/program"
	"hearsay/directory"
)

// doctorLine is a line of `doctor --json`.
type doctorLine struct {
	V                          int
	Type, Name, Result, Detail string
	Fix                        *string
	Stage                      string
	Path                       []string
	Hops                       []struct {
		Relay   string
		Answers int
		Min     *float64 `json:"min_ms"`
		Median  *float64 `json:"median_ms"`
		Added   *float64 `json:"added_ms"`
	}
	Rate     *float64
	EchoHop  *int    `json:"echo_hop"`
	NoRate   *string `json:"no_rate"`
	Failed   int
	Warnings int
	Lab      bool
	Network  *string
}

// doctorLines reads the lines of a doctor that has ended.
func doctorLines(t *testing.T, p *process) []doctorLine {
	t.Helper()
	var all []doctorLine
	for l := range p.lines {
		var d doctorLine
		dec := json.NewDecoder(strings.NewReader(l))
		if err := dec.Decode(&d); err != nil || d.V != 1 {
			t.Fatalf("%q: %v", l, err)
		}
		all = append(all, d)
	}
	return all
}

var allChecks = []string{
	checkModes, checkDisk, checkStore, checkFile, checkSnapshot, checkClock, checkGuard, checkCircuit, checkPaths, checkMailboxes, checkTerminal,
}

// checkResults returns the results of all checks, which must come in order.
func checkResults(t *testing.T, lines []doctorLine) map[string]string {
	t.Helper()
	results := map[string]string{}
	var names []string
	for _, l := range lines {
		if l.Type == "check" {
			names = append(names, l.Name)
			results[l.Name] = l.Result
			if (l.Result == checkFailed || l.Result == checkWarning) != (l.Fix != nil) {
				t.Errorf("%s is %s with the fix %v", l.Name, l.Result, l.Fix)
			}
		}
	}
	if !slices.Equal(names, allChecks) {
		t.Errorf("checks %q", names)
	}
	return results
}

// TestDoctor checks a profile in a network of processes, measures, and then
// spoils one thing after the other.
func TestDoctor(t *testing.T) {
	w := startNetwork(t, 6)
	home := filepath.Join(w.dir, "alice")
	alice := startScript(t, "hearsay", "rpc", "--home", home, "--network", w.link, "--log-level", "warn")
	alice.untilReady()
	alice.must(nil, "invite.create", map[string]any{"name": "bob"})

	// A profile that is in use is left alone.
	busy := start(t, "hearsay", "doctor", "--home", home, "--json")
	if code := busy.wait(); code != program.ExitHomeInUse {
		t.Errorf("exit code %d while another process has the home open: %s", code, busy.errors())
	}
	if r := checkResults(t, doctorLines(t, busy)); r[checkModes] != checkOK || r[checkStore] != checkFailed || r[checkGuard] != checkSkipped {
		t.Errorf("results %v", r)
	}
	alice.shutdown()

	d := start(t, "hearsay", "doctor", "--home", home, "--json", "--speed", "--relays")
	if code := d.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, d.errors())
	}
	lines := doctorLines(t, d)
	for name, r := range checkResults(t, lines) {
		want := checkOK
		switch name {
		case checkStore, checkFile, checkPaths: // no passphrase; a lab network, all of it at one address
			want = checkWarning
		case checkTerminal:
			want = checkSkipped
		}
		if r != want {
			t.Errorf("%s is %s, want %s", name, r, want)
		}
	}
	mail := lines[slices.Index(allChecks, checkMailboxes)]
	if mail.Detail != "all stand" {
		t.Errorf("mailboxes: %q", mail.Detail)
	}
	end := lines[len(lines)-1]
	if end.Type != "summary" || end.Failed != 0 || end.Warnings != 3 || !end.Lab || end.Network == nil || *end.Network != "harbour" {
		t.Errorf("summary %+v", end)
	}
	checkSpeed(t, w, lines)

	// Each test loads four relays, so that the next one has to wait.
	again := start(t, "hearsay", "doctor", "--home", home, "--speed")
	if code := again.wait(); code != program.ExitFailure || !strings.Contains(again.errors(), "hint: try again in") {
		t.Errorf("second speed test: exit code %d: %s", code, again.errors())
	}

	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	open := start(t, "hearsay", "doctor", "--home", home, "--json")
	if code := open.wait(); code != program.ExitRefused {
		t.Errorf("exit code %d for a home that others may read: %s", code, open.errors())
	}
	if r := checkResults(t, doctorLines(t, open)); r[checkModes] != checkFailed || r[checkStore] != checkFailed {
		t.Errorf("results %v", r)
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}

	// An interrupted doctor ends soon and in its own way.
	w.directory.kill()
	for _, r := range w.relays {
		r.kill()
	}
	dead, err := openProfile(chat.Config{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a guard is there to be asked", func() bool { return len(dead.FirstHops()) > 0 })
	var out strings.Builder
	down := &doctor{out: doctorPrinter(&out, false, false), network: time.Second}
	if err := errors.Join(down.connected(t.Context(), dead), dead.stop()); err != nil {
		t.Fatal(err)
	}
	if said := out.String(); down.code != program.ExitNoNetwork || !strings.Contains(said, "failed   guard") ||
		!strings.Contains(said, "its computer answers that no relay runs there") || !strings.Contains(said, "skipped  circuit") {
		t.Errorf("all relays are gone: code %d\n%s", down.code, said)
	}

	alone := start(t, "hearsay", "doctor", "--home", home)
	for !strings.HasPrefix(alone.line(), "ok       snapshot") {
		continue
	}
	alone.cmd.Process.Signal(syscall.SIGINT)
	if code := alone.wait(); code != program.ExitInterrupted {
		t.Errorf("exit code %d after SIGINT: %s", code, alone.errors())
	}
}

// checkSpeed looks at the result of a speed test and at its progress.
func checkSpeed(t *testing.T, w *network, lines []doctorLine) {
	t.Helper()
	var stages []string
	var s doctorLine
	for _, l := range lines {
		if l.Type == "progress" && (len(stages) == 0 || stages[len(stages)-1] != l.Stage) {
			stages = append(stages, l.Stage)
		}
		if l.Type == "speed" {
			s = l
		}
	}
	if want := []string{"building", "round_trips", "rate", "done"}; !slices.Equal(stages, want) {
		t.Errorf("stages %q, want %q", stages, want)
	}
	if s.Type == "" || s.Stage != "done" || len(s.Path) != 3 || len(s.Hops) != 3 {
		t.Fatalf("speed %+v", s)
	}
	for i, h := range s.Hops {
		if w.relays[h.Relay] == nil || h.Relay != s.Path[i] {
			t.Errorf("hop %d is %s", i+1, h.Relay)
		}
		if h.Answers == 0 || h.Min == nil || h.Median == nil || h.Added == nil || *h.Min <= 0 || *h.Median < *h.Min {
			t.Errorf("hop %d: %+v", i+1, h)
		}
	}
	// Relays return at most 1024 cells a second, after a burst of 64. It goes on for
	// four seconds, of which the first does not count; but on a machine that stands
	// still then, what was returned in it comes in the others.
	const most = (4*1024 + 64) / 3.0 * 1072
	if s.Rate == nil || *s.Rate <= 0 || *s.Rate > most || s.EchoHop == nil || s.NoRate != nil {
		t.Errorf("rate %+v", s)
	}
}

// TestDoctorWithoutNetwork reports what is missing, and skips what needs it.
func TestDoctorWithoutNetwork(t *testing.T) {
	dir := t.TempDir()
	founded := start(t, "hearsay-directory", "init", "--home", filepath.Join(dir, "d"), "--lab", "--join", "open", "--name", "dead", "--listen", freePort(t), "--json")
	var made struct{ Link string }
	unmarshal(t, founded.line(), &made)
	p, err := openProfile(chat.Config{Home: filepath.Join(dir, "home"), Network: made.Link})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	var out strings.Builder
	d := &doctor{out: doctorPrinter(&out, true, false), network: 10 * time.Millisecond}
	if err := d.connected(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	d.out.summary(d)
	if d.failed != 1 || d.code != program.ExitNoNetwork || d.reached {
		t.Errorf("%d failed, code %d, reached %v", d.failed, d.code, d.reached)
	}
	for _, want := range []string{
		`"name":"network file","result":"failed"`, "its computer answers that no relay runs there", `"name":"snapshot","result":"skipped"`,
		`"name":"mailboxes","result":"skipped"`, `"failed":1,"warnings":0,"network":null,"lab":false`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in\n%s", want, out.String())
		}
	}
}

// TestDoctorClock tells a small deviation from one with which nothing works.
func TestDoctorClock(t *testing.T) {
	for _, c := range []struct {
		off    time.Duration
		fresh  bool
		result string
		text   string
	}{
		{0, true, checkOK, "agrees"},
		{-3 * time.Hour, true, checkWarning, "3h0m0s behind the network"},
		{37 * time.Hour, true, checkFailed, "37h0m0s ahead of the network"},
		{48 * time.Hour, false, checkSkipped, "only a new snapshot tells"},
		{49 * time.Hour, true, checkWarning, "either the clock is wrong, or the network has published none since"},
	} {
		var out strings.Builder
		d := &doctor{out: doctorPrinter(&out, false, false)}
		st := chat.Status{ClockSkew: c.off, Health: chat.Connected}
		if c.off > 48*time.Hour {
			st.Health = chat.StaleView
		}
		d.clock(st, c.fresh)
		if !strings.HasPrefix(out.String(), c.result) || !strings.Contains(out.String(), c.text) {
			t.Errorf("clock off by %v: %q", c.off, out.String())
		}
	}
}

// TestDoctorMailboxes: behind cover traffic subscriptions come one after the
// other, for minutes, which is no failure.
func TestDoctorMailboxes(t *testing.T) {
	for _, c := range []struct {
		st     chat.Status
		ready  bool
		result string
	}{
		{chat.Status{Cover: "off", Due: 2, Standing: 2}, true, checkOK},
		{chat.Status{Cover: "off", Due: 2, Standing: 1}, false, checkFailed},
		{chat.Status{Cover: "normal", Due: 9, Standing: 4}, false, checkWarning},
		{chat.Status{Cover: "normal"}, true, checkOK},
	} {
		if got := mailCheck(c.st, c.ready); got.Result != c.result || (got.Fix == "") != (c.result == checkOK) {
			t.Errorf("%+v: %+v", c.st, got)
		}
	}
}

// TestDoctorTellsOfTheDirectory: what stands against the network's directory is a
// warning, in its own words.
func TestDoctorTellsOfTheDirectory(t *testing.T) {
	st := chat.Status{Epoch: 412, Relays: 8, SnapshotAge: 14 * time.Second}
	if c := snapshotCheck(st, true); c.Result != checkOK || c.Detail != "epoch 412, 8 relays, 14s old" {
		t.Errorf("%+v", c)
	}
	st.Warnings = []chat.Warning{{Kind: "evidence", Text: "anna signed two different snapshots"}, {Kind: "stale", Text: "it is old"}}
	for _, fresh := range []bool{true, false} {
		c := snapshotCheck(st, fresh)
		if c.Result != checkWarning || !strings.HasSuffix(c.Detail, "anna signed two different snapshots; it is old") || c.Fix == "" {
			t.Errorf("fresh %v: %+v", fresh, c)
		}
	}
}

// TestDoctorNamesNothingOfYours: people show its output to strangers, so it says
// neither which relays they use, the guard above all, nor where the profile lies.
func TestDoctorNamesNothingOfYours(t *testing.T) {
	home := filepath.Join(t.TempDir(), "account-of-anna")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "store.db")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil { // above any umask
		t.Fatal(err)
	}
	path := []directory.RelayID{{1}, {2}, {3}}
	p := &patient{status: chat.Status{
		Network: "harbour", Relays: 9, Health: chat.Connected, Cover: "off", Ready: true, Due: 7, Standing: 7,
		Circuits: []circuit.Info{{State: "open", Path: path}},
	}}
	speed := circuit.SpeedReport{Stage: circuit.SpeedDone, Circuit: circuit.Info{Path: path}, Hops: []circuit.HopSpeed{{Relay: path[0], Answers: 1}, {Relay: path[1]}, {Relay: path[2]}}}
	names := relayNames(path)
	for _, asJSON := range []bool{false, true} {
		for _, named := range []bool{false, true} {
			var out strings.Builder
			d := &doctor{out: doctorPrinter(&out, asJSON, named), home: home, network: time.Second, mail: time.Second}
			d.modes()
			d.disk()
			d.report(diskCheck(0, false, &os.PathError{Op: "open", Path: filepath.Join(home, ".doctor-1"), Err: syscall.EDQUOT}), 0)
			if err := d.connected(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			for stage := circuit.SpeedBuilding; stage <= circuit.SpeedDone; stage++ {
				r := speed
				r.Stage = stage
				d.out.speedProgress(r)
			}
			d.out.speedResult(speed)
			said := out.String()
			if !strings.Contains(said, "store.db") && !(runtime.GOOS == "windows") || !strings.Contains(said, "all stand") {
				t.Errorf("it does not say what is wrong:\n%s", said)
			}
			for _, secret := range append(names, path[0].String(), "anna", home) {
				if isName := secret != "anna" && secret != home; strings.Contains(said, secret) && (!isName || !named) {
					t.Errorf("JSON %v, named %v: it says %q:\n%s", asJSON, named, secret, said)
				}
			}
			if first := map[bool]string{false: names[0], true: path[0].String()}[asJSON]; named && !strings.Contains(said, first) {
				t.Errorf("--relays does not name %s:\n%s", first, said)
			}
		}
	}
}
