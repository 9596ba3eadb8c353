package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hearsay/cmd/program"
	"hearsay/cmd/program/figures"
	"hearsay/relay"
)

// TestMetricsNameNobody reads the metrics of a running relay over TCP and over a
// unix socket: all figures are multiples of 1024 but the one of being listed, no
// label but the reason is there, and no address.
func TestMetricsNameNobody(t *testing.T) {
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	n := runNode(t, relay.NodeConfig{Home: home, Link: foundNetwork(t), Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	socket := filepath.Join(t.TempDir(), "m.sock")
	for _, where := range []string{"127.0.0.1:0", "unix:" + socket, "unix:" + socket} { // the second time in the place of a crashed one
		l, err := figures.Listen(where)
		if err != nil {
			t.Fatal(err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
			if st, err := os.Stat(socket); err != nil || st.Mode().Perm()&0o007 != 0 {
				t.Errorf("the socket has mode %v, error %v", st.Mode(), err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- serveMetrics(ctx, l, n) }()
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, l.Addr().Network(), l.Addr().String())
			},
		}}
		get := func(path string) string {
			t.Helper()
			r, err := client.Get("http://relay" + path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if err != nil || r.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s, %v", path, r.Status, err)
			}
			return string(b)
		}
		if got := get("/healthz"); got != "ok\n" {
			t.Errorf("health %q", got)
		}
		checkMetrics(t, get("/metrics"))
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func checkMetrics(t *testing.T, text string) {
	t.Helper()
	line := regexp.MustCompile(`^(hearsay_relay_[a-z_]+)(\{reason="[a-z_ ]+"\})? ([0-9.e+]+)$`)
	seen := map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if strings.HasPrefix(l, "#") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("a line tells something else: %q", l)
			continue
		}
		seen[m[1]] = true
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil || m[1] != "hearsay_relay_listed" && int64(v)%1024 != 0 {
			t.Errorf("%s is not rounded: %s", m[1], m[3])
		}
	}
	for _, want := range []string{"listed", "circuits", "cells_total", "queues", "blocks", "mailbox_bytes", "refused_total"} {
		if !seen["hearsay_relay_"+want] {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestMetricsStayHere: no address that others reach is taken.
func TestMetricsStayHere(t *testing.T) {
	for where, code := range map[string]int{
		"0.0.0.0:9464": program.ExitRefused, "192.0.2.7:9464": program.ExitRefused, "[::]:1": program.ExitRefused,
		"localhost:1": program.ExitUsage, ":9464": program.ExitUsage, "unix:/nowhere/at/all/m.sock": program.ExitUsage,
	} {
		l, err := figures.Listen(where)
		if err == nil {
			l.Close()
		}
		if got := program.Report(io.Discard, name, err); err == nil || got != code {
			t.Errorf("%s: exit %d, error %v", where, got, err)
		}
	}
}

// TestMetricsSocketOfAnother: a second start with the configuration of a relay that
// runs, or a path that another program serves, takes nobody's socket away; what is no
// socket stays as well.
func TestMetricsSocketOfAnother(t *testing.T) {
	dir := t.TempDir()
	served, file, link := filepath.Join(dir, "m.sock"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	l, err := figures.Listen("unix:" + served)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Symlink(served, link)); err != nil {
		t.Fatal(err)
	}
	for path, code := range map[string]int{served: program.ExitRefused, file: program.ExitUsage, link: program.ExitUsage} {
		second, err := figures.Listen("unix:" + path)
		if err == nil {
			second.Close()
		}
		if got := program.Report(io.Discard, name, err); err == nil || got != code {
			t.Errorf("%s: exit %d, error %v", filepath.Base(path), got, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if c, err := net.Dial("unix", served); err != nil {
		t.Errorf("the socket of the running relay is gone: %v", err)
	} else {
		c.Close()
	}
}
