// Package figures serves the figures of a program for Prometheus, to its operator
// alone: on loopback or on a unix socket.
package figures

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hearsay/cmd/program"
)

// Implementation constants of the metrics.
const (
	every   = 15 * time.Minute // what is read in between is the reading before
	timeout = 10 * time.Second // of a request
)

// Parse returns the network and the address of unix:PATH, or of an address
// of this computer alone.
func Parse(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return "unix", path, nil
	}
	a, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return "", "", program.Usage("write unix:PATH, or an address such as 127.0.0.1:9464", "metrics: %q is no address", text)
	case !a.Addr().IsLoopback():
		return "", "", program.Fail(program.ExitRefused, "figures are for the operator: 127.0.0.1, ::1 or unix:PATH", errors.New("metrics: not an address of this computer alone"))
	}
	return "tcp", text, nil
}

// Listen opens the socket for metrics.
func Listen(text string) (net.Listener, error) {
	network, address, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := removeStale(address); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, address)
	switch {
	case err != nil && network == "unix":
		return nil, program.Fail(program.ExitUsage, "give a path of at most 100 bytes in a directory that is there, where nothing is", fmt.Errorf("metrics: %w", err))
	case err != nil:
		return nil, program.Fail(program.ExitUsage, "another program may have the port", fmt.Errorf("metrics: %s", program.PlainNetError(err)))
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil {
			l.Close()
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return l, nil
}

// removeStale removes a socket that a crash left. One that somebody serves stays:
// it may be another node's, or another program's.
func removeStale(path string) error {
	if st, err := os.Lstat(path); err != nil || st.Mode()&fs.ModeSocket == 0 {
		return nil
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, program.ErrRefused) {
		return program.Fail(program.ExitRefused, "give another path, or stop the program that serves there", errors.New("metrics: another program has the socket"))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Serve serves what the collector sends, and /healthz, until ctx ends. It calls read
// at once and then every quarter of an hour, for what must not be seen at every
// moment. It closes l.
func Serve(ctx context.Context, l net.Listener, m prometheus.Collector, read func()) error {
	read()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: timeout}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	s := &http.Server{Handler: mux, ReadTimeout: timeout, WriteTimeout: timeout, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	tick := time.NewTicker(every)
	defer tick.Stop()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for {
		select {
		case err := <-served:
			return err
		case <-tick.C:
			read()
		case <-ctx.Done():
			s.Close()
			<-served
			return nil
		}
	}
}
