package main

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/tui"
)

// TestSavingKeepsComments changes what was changed, and nothing else.
func TestSavingKeepsComments(t *testing.T) {
	const old = `# mine
version = 1
theme = "dark"   # at night
mouse = false
notify = 'bell'

[keys]
switch = "f2" # as elsewhere
theme = 1
`
	const want = `# mine
version = 1
theme = "light"   # at night
mouse = true
notify = 'bell'
delete_after = "7d"

[keys]
switch = "f2" # as elsewhere
`
	file := filepath.Join(t.TempDir(), "config.toml")
	before := strings.Replace(old, "theme = 1\n", "", 1)
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config{prefs: tui.DefaultPreferences()}
	if err := c.parse([]byte(before)); err != nil {
		t.Fatal(err)
	}
	w := configWriter{file: file, saved: c.prefs}
	p := c.prefs
	p.Theme, p.Mouse, p.DeleteAfter = "light", true, 7*24*time.Hour
	if name, err := w.save(p); err != nil || name != file {
		t.Fatalf("%q, %v", name, err)
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	// Once more, back: nothing is doubled.
	p.Theme = "dark"
	if _, err := w.save(p); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != strings.Replace(want, `"light"`, `"dark"`, 1) {
		t.Errorf("%s", got)
	}
}

// TestSavingRefusesWhatItCannotChange: a value that it cannot write over stays, and
// the file as a whole.
func TestSavingRefusesWhatItCannotChange(t *testing.T) {
	for _, old := range []string{"theme = \"\"\"\ndark\"\"\"\n", "theme = \"dark\"\nversion = 7\n", "theme = [\"dark\"]\n"} {
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		p := tui.DefaultPreferences()
		w := configWriter{file: file, saved: p}
		p.Theme = "light"
		if _, err := w.save(p); err == nil {
			t.Errorf("%q: saved", old)
		}
		if got, _ := os.ReadFile(file); string(got) != old {
			t.Errorf("%q became %q", old, got)
		}
	}
}

// TestSavingMakesAConfiguration for this account alone, that can be read again.
func TestSavingMakesAConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "config.toml")
	p := tui.DefaultPreferences()
	w := configWriter{file: file, saved: p}
	p.LockAfter, p.NotifyContent, p.PathInBar, p.Notify = 0, true, "count", "off"
	if _, err := w.save(p); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := config{prefs: tui.DefaultPreferences()}
	if err := c.parse(b); err != nil {
		t.Fatal(err)
	}
	if c.prefs.LockAfter != 0 || !c.prefs.NotifyContent || c.prefs.PathInBar != "count" || c.prefs.Notify != "off" {
		t.Errorf("%+v", c.prefs)
	}
}

// TestPrecedence: a variable stands above the file, and a flag above both.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("theme = \"dark\"\nmouse = true\nascii = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HEARSAY_THEME", "light")
	t.Setenv("HEARSAY_COVER", "saver")
	t.Setenv("NO_COLOR", "yes please")
	f := flags{home: dir, ascii: true, network: "mine"}
	t.Setenv("HEARSAY_NETWORK", "other")
	if err := f.configure(); err != nil {
		t.Fatal(err)
	}
	p := f.prefs
	if p.Theme != "light" || !p.Mouse || !p.ASCII || !p.NoColor || f.network != "mine" || f.cover != "saver" || p.Notify != "auto" {
		t.Errorf("%+v, network %q, cover %q", p, f.network, f.cover)
	}
	t.Setenv("HEARSAY_THEME", "plaid")
	var e *program.Error
	if err := f.configure(); !errors.As(err, &e) || e.Code != program.ExitUsage || !strings.Contains(err.Error(), "HEARSAY_THEME") {
		t.Errorf("%v", err)
	}
}

// deadLink is the link of a network that nobody serves.
func deadLink() string {
	return directory.NetworkLink{Bootstraps: []directory.Bootstrap{{Addr: netip.MustParseAddrPort("127.0.0.1:9")}}}.String()
}

// TestHomeInUseNamesTheProcess by its number, as long as it runs.
func TestHomeInUseNamesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	cfg := chat.Config{Home: dir, Network: deadLink(), Log: slog.New(slog.DiscardHandler)}
	p, err := openProfile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openProfile(cfg)
	var holder *holderError
	if !errors.As(err, &holder) || holder.pid != os.Getpid() {
		t.Errorf("%v", err)
	}
	var e *program.Error
	if !errors.As(chatError(err), &e) || e.Code != program.ExitHomeInUse || !strings.Contains(e.Error(), "process") {
		t.Errorf("%v", e)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, holderName)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the process is named after its end")
	}
}

// TestWriteNewFile replaces nothing.
func TestWriteNewFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "invite")
	if err := writeNewFile(file, []byte("a link")); err != nil {
		t.Fatal(err)
	}
	if err := writeNewFile(file, []byte("another")); err == nil {
		t.Error("a file was replaced")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "a link" {
		t.Errorf("%q, %v", b, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v", st.Mode())
	}
}
