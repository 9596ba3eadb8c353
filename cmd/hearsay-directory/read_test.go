package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/lab"
)

// output runs the program in this process and returns what it prints.
func output(t *testing.T, args ...string) (stdout, stderr string, code int) {
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

// lines parses JSON lines, by type.
func lines(t *testing.T, text string) map[string][]map[string]any {
	t.Helper()
	all := make(map[string][]map[string]any)
	for l := range strings.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		kind := fmt.Sprint(m["type"])
		if m["v"] != 1.0 {
			t.Errorf("no version: %s", l)
		}
		all[kind] = append(all[kind], m)
	}
	return all
}

// has demands that a text has all parts.
func has(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s: %q is missing in\n%s", what, p, text)
		}
	}
}

// TestReadersOfARunningNetwork runs show, why and audit against three directories
// that serve, with the network link alone, and with a home.
func TestReadersOfARunningNetwork(t *testing.T) {
	t.Parallel() // it waits for epochs
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	n, err := lab.Start(ctx, lab.Config{Dir: dir, Lab: true, Relays: 5, Signers: 3, Name: "harbour"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	link := filepath.Join(dir, "link")
	if err := os.WriteFile(link, []byte(n.Link().String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// says runs a command until all of some texts are in what it prints: the signers
	// find each other within some epochs, and where the machine stands still they miss
	// some; what is shown then counts as well, but has less to show.
	says := func(wants []string, args ...string) (text, errs string) {
		t.Helper()
		for {
			text, errs, code := output(t, append(args, "--network", link)...)
			if strings.Contains(text, "NOT WHAT") || strings.Contains(text, "differs") {
				t.Fatalf("%v: exit code %d: %s", args, code, text)
			}
			if code == 0 && !slices.ContainsFunc(wants, func(w string) bool { return !strings.Contains(text, w) }) {
				return text, errs
			}
			select {
			case <-ctx.Done():
				t.Fatalf("%v: exit code %d, wants %q: %s%s", args, code, wants, text, errs)
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	text, _ := says([]string{`"relays":5`, `"state":"fresh"`}, "show", "--json")
	all := lines(t, text)
	if len(all["network"]) != 1 || len(all["snapshot"]) != 1 || len(all["relay"]) != 5 || len(all["group"]) < 2 || len(all["health"]) != 1 {
		t.Fatalf("%d kinds of lines:\n%s", len(all), text)
	}
	if all["network"][0]["link"] != n.Link().String() {
		t.Errorf("network: %v", all["network"][0])
	}
	s := all["snapshot"][0]
	if signed, not := len(s["signed"].([]any)), len(s["not_signed"].([]any)); signed < 2 || signed+not != 3 || s["state"] != "fresh" || s["lab"] != true {
		t.Errorf("snapshot: %v", s)
	}
	_, errs := says([]string{`"harbour", version 1`, "signers     2 of 3 must sign a snapshot", "signed by", "fresh", "relays      5", "largest", "127.0.0.0/16", n.Link().String()}, "show")
	has(t, "show", errs, "LAB NETWORK: no anonymity")

	id := n.Relays()[0].ID().String()
	says([]string{id, "listed: ", "of 3 signers reach it", "verified: ", "signed votes and the ledger lead to the signed snapshot"}, "why", id[:12])
	text, _ = says([]string{`"verified":true`, `"listed":true`}, "why", id, "--json")
	if all = lines(t, text); len(all["why"]) != 1 || len(all["reason"]) < 2 || all["why"][0]["verified"] != true || all["why"][0]["listed"] != true {
		t.Errorf("why: %s", text)
	}
	for _, c := range []struct {
		id   string
		code int
	}{{"nobody", program.ExitNotFound}, {"", program.ExitNotFound}, {strings.Repeat("a", 60), program.ExitNotFound}} {
		if _, errs, code := output(t, "why", c.id, "--network", link); code != c.code {
			t.Errorf("why %q: exit code %d: %s", c.id, code, errs)
		}
	}

	says([]string{"ok", "snapshots are what votes, ledger and rules make them; 0 not wholly checked"}, "audit")
	text, _, _ = output(t, "audit", "--last", "2", "--network", link, "--json")
	for _, a := range lines(t, text)["audit"] {
		if a["ok"] != true {
			t.Errorf("audit: %v", a)
		}
	}
	auditOfAnotherSnapshot(t, n.Link())
	if _, errs, code := output(t, "audit", "--from", "999999999999", "--network", link); code != program.ExitNotFound {
		t.Errorf("a future epoch: exit code %d: %s", code, errs)
	}
}

// forger changes the newest snapshot as signers could that agree on it.
type forger struct {
	published
	id directory.RelayID
}

func (f *forger) Snapshot(ctx context.Context, epoch uint64) (*directory.Snapshot, *directory.View, error) {
	s, v, err := f.published.Snapshot(ctx, epoch)
	if err == nil {
		s.Entries[3].Flags |= directory.FlagWatched
		s.Header.EntriesRoot[0] ^= 1
		f.id = s.Entries[3].ID
	}
	return s, v, err
}

// auditOfAnotherSnapshot runs the command on a snapshot in which a relay has a flag
// that no votes give it.
func auditOfAnotherSnapshot(t *testing.T, l directory.NetworkLink) {
	t.Helper()
	r, err := relay.OpenReader(relay.ReaderConfig{Link: l})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, asJSON := range []bool{false, true} {
		var out, errs bytes.Buffer
		cmd := root()
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		chain, err := r.Chain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f := &forger{published: r}
		code := program.Report(&errs, name, auditAll(t.Context(), cmd, f, chain, readFlags{json: asJSON}, 1, 0))
		if code != program.ExitFailure {
			t.Errorf("exit code %d", code)
		}
		has(t, "audit", errs.String(), "error: 1 of 1 snapshots are not what their votes make them", "hint: ask the founders")
		if !asJSON {
			has(t, "audit", out.String(), "DIFFERS", "differs: relay "+f.id.String()+": flags: published Guard", "Watched, computed Guard")
			continue
		}
		a := lines(t, out.String())["audit"][0]
		has(t, "audit", fmt.Sprint(a["differences"]), f.id.String(), "field:flags")
		if a["ok"] != false {
			t.Errorf("%v", a)
		}
	}
}

// TestReadersWithoutANetwork end with one clear error.
func TestReadersWithoutANetwork(t *testing.T) {
	t.Chdir(t.TempDir())
	if code := exitCode("init", "--home", "lone", "--lab", "--name", "lone", "--listen", "127.0.0.1:9"); code != 0 {
		t.Fatal(code)
	}
	for _, c := range []struct {
		code  int
		wants string
		args  []string
	}{
		{program.ExitUsage, "give --network", []string{"show"}},
		{program.ExitUsage, "give --network", []string{"why", "abc"}},
		{program.ExitUsage, "give --network", []string{"audit", "--home", "nothing"}},
		{program.ExitUsage, "from HEARSAY-NET: to its end", []string{"show", "--network", "HEARSAY-NET:AEAQ"}},
		{program.ExitUsage, "--last: 1 to", []string{"audit", "--last", "0"}},
		{program.ExitUsage, "accepts 1 arg", []string{"why"}},
		{program.ExitTimeout, "did not answer within 300ms", []string{"show", "--home", "lone", "--timeout", "300ms"}},
	} {
		_, errs, code := output(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.wants) || strings.Count(errs, "error: ") != 1 {
			t.Errorf("%v: exit code %d, %s", c.args, code, errs)
		}
	}
}

// TestTableOfTheHome: the AS table is that which was given, or lies in the home.
func TestTableOfTheHome(t *testing.T) {
	dir := t.TempDir()
	f := readFlags{home: dir}
	if table, err := f.table(); table != nil || err != nil {
		t.Errorf("no table: %v, %v", table, err)
	}
	write := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("as-table", "198.18.0.0/15 64500\n")
	write("other", "198.18.0.0/15 64501\n")
	write("bad", "nonsense\n")
	own, err := f.table()
	if err != nil || own == nil {
		t.Fatal(err)
	}
	f.asTable = filepath.Join(dir, "other")
	if other, err := f.table(); err != nil || other.Hash() == own.Hash() {
		t.Errorf("the one that was given: %v", err)
	}
	for _, file := range []string{"bad", "missing"} {
		f.asTable = filepath.Join(dir, file)
		if _, err := f.table(); err == nil {
			t.Errorf("%s is taken", file)
		}
	}
}
