package main

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hearsay/cmd/program/figures"
	"hearsay/relay"
)

// serveMetrics serves a directory's figures until ctx ends. It closes l.
func serveMetrics(ctx context.Context, l net.Listener, n *relay.DirectoryNode) error {
	m := &metrics{node: n}
	return figures.Serve(ctx, l, m, m.read)
}

// metrics shows a directory's figures. It is safe for concurrent use.
type metrics struct {
	node   *relay.DirectoryNode
	memory atomic.Uint64 // as read last
}

var _ prometheus.Collector = (*metrics)(nil)

func (m *metrics) read() { m.memory.Store(m.node.Figures().MemoryBytes) }

// Describe sends nothing: the figures are those of Collect.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the figures (relay/SPEC.md §14.1). What everybody reads in the
// network's snapshots is of this moment; memory, which grows with who is connected, is
// of the last reading.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	f := m.node.Figures()
	send := func(kind prometheus.ValueType, name, help string, v float64) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("hearsay_directory_"+name, help, nil, nil), kind, v)
	}
	signer := 0.0
	if f.Signer {
		signer = 1
		send(prometheus.CounterValue, "snapshots_signed_total", "Snapshots with this signer's signature since the start.", float64(f.Signed))
		send(prometheus.CounterValue, "snapshots_missed_total", "Snapshots made without this signer since the start.", float64(f.Missed))
		send(prometheus.GaugeValue, "online_key_end_seconds", "When the online key ends, Unix time.", float64(f.KeyEnds.Unix()))
	}
	send(prometheus.GaugeValue, "signer", "1 if this directory signs.", signer)
	if !f.SnapshotAt.IsZero() {
		send(prometheus.GaugeValue, "snapshot_age_seconds", "Age of the newest snapshot.", float64(int64(time.Since(f.SnapshotAt)/time.Second)))
		send(prometheus.GaugeValue, "snapshot_signatures", "Signatures of the newest snapshot.", float64(f.Signatures))
	}
	send(prometheus.GaugeValue, "relays_listed", "Relays in the newest snapshot.", float64(f.Relays))
	send(prometheus.GaugeValue, "descriptors", "Descriptors and notices of relays that are held.", float64(f.Records))
	send(prometheus.GaugeValue, "memory_bytes", "Heap, rounded up to 16 MiB.", float64(m.memory.Load()))
}
