package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearsay/cmd/program"
	"hearsay/relay"
)

// TestReload changes the configuration under a running relay: what may change
// does, what needs a restart is named, and a configuration with an error changes
// nothing.
func TestReload(t *testing.T) {
	home, file := t.TempDir(), filepath.Join(t.TempDir(), configName)
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(lines ...string) {
		t.Helper()
		text := "version = 1\nlisten = \"127.0.0.1:0\"\n" + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`bandwidth = "10MiB"`, `nickname = "one"`)
	logs := &program.LogFlags{Level: "info", Format: "text"}
	given := runFlags{file: file, home: home, network: foundNetwork(t).String(), logLevel: "info", logFormat: "text"}
	changed := func(flag string) bool { return flag == "home" || flag == "network" }
	f, err := given.resolve(changed)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := f.config()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer // written by reload alone
	log, err := logs.Logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	n := runNode(t, cfg)
	r := &reloader{flags: given, changed: changed, logs: logs, node: n, log: log, inUse: f}
	if s := n.Settings(); s.Bandwidth != 10<<20 || s.Nick != "one" {
		t.Errorf("at the start %+v", s)
	}

	write(`bandwidth = "20MiB"`, `mailbox_space = "1GiB"`, `nickname = "two"`, `contact = "ops"`, `log_level = "debug"`, `memory = "1GiB"`)
	r.reload()
	want := relay.Settings{Bandwidth: 20 << 20, MailboxSpace: 1 << 30, Nick: "two", Contact: "ops"}
	if s := n.Settings(); s != want {
		t.Errorf("settings %+v, want %+v", s, want)
	}
	if !log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the log level did not change")
	}
	if said := out.String(); !strings.Contains(said, "need a restart") || !strings.Contains(said, "keys=memory") {
		t.Errorf("log: %s", said)
	}

	for _, bad := range []string{`bandwidth = "lots"`, `bandwith = "30MiB"`, `log_level = "loud"`, `family = ["HEARSAY-FAMILY:A"]`, `nickname = "abcdefghijklmnopqrstuvwxyz"`} {
		out.Reset()
		write(`mailbox_space = "2GiB"`, bad)
		r.reload()
		if s := n.Settings(); s != want {
			t.Errorf("%s: settings %+v", bad, s)
		}
		if !log.Enabled(t.Context(), slog.LevelDebug) {
			t.Errorf("%s: the log level changed", bad)
		}
		if said := out.String(); !strings.Contains(said, "nothing was changed") {
			t.Errorf("%s: log: %s", bad, said)
		}
	}
}

// TestConfigurationThatIsGone: a file that was read at the start and is not there at
// SIGHUP is an error; without it the relay would go on without its limits.
func TestConfigurationThatIsGone(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, configName)
	if err := os.WriteFile(file, []byte("version = 1\nbandwidth = \"10MiB\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	given := runFlags{home: home, listen: "127.0.0.1:0", logLevel: "info", logFormat: "text"}
	changed := func(flag string) bool { return flag == "home" || flag == "listen" }
	f, err := given.resolve(changed)
	if err != nil || f.file != file || f.bandwidth != "10MiB" {
		t.Fatalf("%+v: %v", f, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := newReloader(given, f, changed, &program.LogFlags{}, nil, slog.New(slog.NewTextHandler(&out, nil)))
	r.reload() // it would use the node, which is none, to apply anything
	if said := out.String(); !strings.Contains(said, "nothing was changed") {
		t.Errorf("log: %s", said)
	}
}

// runNode runs a relay until the test ends, and returns it when it serves.
func runNode(t *testing.T, cfg relay.NodeConfig) *relay.Node {
	t.Helper()
	n, err := relay.NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	background(t, n.Run)
	<-n.Ready()
	return n
}
