package main

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"hearsay/cmd/program/figures"
	"hearsay/relay"
)

// serveMetrics serves a relay's figures until ctx ends. It closes l.
func serveMetrics(ctx context.Context, l net.Listener, n *relay.Node) error {
	m := &metrics{node: n}
	return figures.Serve(ctx, l, m, m.read)
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
