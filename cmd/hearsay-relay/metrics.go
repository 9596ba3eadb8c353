package main

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
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hearsay/cmd/program"
	"hearsay/relay"
)

// Implementation constants of the metrics.
const (
	metricsEvery   = 15 * time.Minute // what is read in between is the reading before
	metricsTimeout = 10 * time.Second // of a request
)

// parseMetrics returns the network and the address of unix:PATH, or of an address
// of this computer alone.
func parseMetrics(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return "unix", path, nil
	}
	a, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return "", "", program.Usage("write unix:PATH, or an address such as 127.0.0.1:9464", "metrics: %q is no address", text)
	case !a.Addr().IsLoopback():
		return "", "", program.Fail(program.ExitRefused, "figures of a relay are for its operator: 127.0.0.1, ::1 or unix:PATH", errors.New("metrics: not an address of this computer alone"))
	}
	return "tcp", text, nil
}

// listenMetrics opens the socket for metrics.
func listenMetrics(text string) (net.Listener, error) {
	network, address, err := parseMetrics(text)
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
		return nil, program.Fail(program.ExitUsage, "another program may have the port", fmt.Errorf("metrics: %s", plainNetError(err)))
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
// it may be another relay's, or another program's.
func removeStale(path string) error {
	if st, err := os.Lstat(path); err != nil || st.Mode()&fs.ModeSocket == 0 {
		return nil
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, errRefused) {
		return program.Fail(program.ExitRefused, "give another path, or stop the program that serves there", errors.New("metrics: another program has the socket"))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// serveMetrics serves figures and /healthz until ctx ends. It closes l.
func serveMetrics(ctx context.Context, l net.Listener, n *relay.Node) error {
	m := &metrics{node: n}
	m.read()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: metricsTimeout}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	s := &http.Server{Handler: mux, ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	tick := time.NewTicker(metricsEvery)
	defer tick.Stop()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for {
		select {
		case err := <-served:
			return err
		case <-tick.C:
			m.read()
		case <-ctx.Done():
			s.Close()
			<-served
			return nil
		}
	}
}

// metrics shows the last reading of a node's figures. It is safe for concurrent
// use.
type metrics struct {
	node *relay.Node
	last atomic.Pointer[relay.Figures]
}

var _ prometheus.Collector = (*metrics)(nil)

func (m *metrics) read() {
	f := m.node.Figures()
	m.last.Store(&f)
}

// Describe sends nothing: the figures are those of Collect.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the last reading (relay/SPEC.md §14).
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	f := m.last.Load()
	send := func(kind prometheus.ValueType, name, help string, v uint64) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("hearsay_relay_"+name, help, nil, nil), kind, float64(v))
	}
	listed := uint64(0)
	if f.Listed {
		listed = 1
	}
	send(prometheus.GaugeValue, "listed", "1 if the newest snapshot has the relay.", listed)
	send(prometheus.GaugeValue, "circuits", "Open circuits, rounded up to 1024.", f.Circuits)
	send(prometheus.CounterValue, "cells_total", "Cells of circuits, both ways, rounded up to 1024.", f.Cells)
	send(prometheus.GaugeValue, "queues", "Mailbox queues, rounded up to 1024.", f.Queues)
	send(prometheus.GaugeValue, "blocks", "Mailbox blocks, rounded up to 1024.", f.Blocks)
	send(prometheus.GaugeValue, "mailbox_bytes", "About what so many queues and blocks take on the disk.", f.MailboxBytes)
	refused := prometheus.NewDesc("hearsay_relay_refused_total", "Circuits and mailbox commands that a rule or a limit ended, rounded up to 1024.", []string{"reason"}, nil)
	for reason, v := range f.Refused {
		out <- prometheus.MustNewConstMetric(refused, prometheus.CounterValue, float64(v), reason)
	}
}
