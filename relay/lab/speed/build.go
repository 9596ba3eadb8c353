package main

import (
	"fmt"
	"time"
)

// build measures how long circuits take to build over warm links, and what a
// CREATE costs a relay.
func (b *bench) build() error {
	dir, err := b.temp()
	if err != nil {
		return err
	}
	net, err := startNetwork(dir, relayCount, true)
	if err != nil {
		return err
	}
	defer net.close()
	c, err := spawn("builder", "builder")
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.call("start", openArgs{Link: net.link}, nil); err != nil {
		return err
	}
	builds := func(hops, count int) (q quantiles, err error) {
		err = c.call("build", buildArgs{Path: net.ids[:hops], Count: count}, &q)
		return q, err
	}
	if _, err := builds(4, 5); err != nil { // warms the links between relays
		return err
	}
	three, err := builds(3, 300)
	if err != nil {
		return err
	}
	four, err := builds(4, 150)
	if err != nil {
		return err
	}
	// Relay 2 is always reached over a warm link from relay 1, so that it does
	// nothing here but CREATEs.
	const creates = 600
	second := net.relays[1]
	before, err := second.usage()
	if err != nil {
		return err
	}
	err = profiled("create", []*child{second}, func() error {
		_, err := builds(2, creates)
		return err
	})
	if err != nil {
		return err
	}
	after, err := second.usage()
	if err != nil {
		return err
	}
	all := (after.CPU - before.CPU) / creates
	var alone time.Duration
	if err := c.call("handshakes", creates, &alone); err != nil {
		return err
	}
	b.add(
		figure{name: "build of three hops with ML-KEM, links warm, p50", must: 5, aim: 2.5, unit: "ms", measured: ms(three.P50)},
		figure{name: "the same, p99", must: 12, aim: 6, unit: "ms", measured: ms(three.P99)},
		figure{name: "the same with a fourth hop, p50", unit: "ms", measured: ms(four.P50)},
		figure{name: "the same, p99", unit: "ms", measured: ms(four.P99)},
		figure{
			name: "CREATE at a relay, CPU of the handshake", must: 350, aim: 200, unit: "µs", measured: micros(alone),
			plain: fmt.Sprintf("%.0f µs with its stream, cells, goroutines and closing", micros(all)),
		},
	)
	return nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
