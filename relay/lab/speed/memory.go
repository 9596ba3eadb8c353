package main

import (
	"fmt"
	"time"
)

// idleBefore is how long circuits are idle before memory is measured.
const idleBefore = 15 * time.Second

// memory measures what idle links and circuits hold at a relay.
func (b *bench) memory() error {
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
	// The first relay is the guard of all; each other one takes a share of the
	// second hops, since a link between relays holds 2040.
	guard := net.relays[0]
	keep := func(links, each int) (live, resident float64, err error) {
		before, err := guard.collect()
		if err != nil {
			return 0, 0, err
		}
		if err := c.call("keep", keepArgs{Guard: net.ids[0], Next: net.ids[1:], Links: links, Each: each}, nil); err != nil {
			return 0, 0, err
		}
		time.Sleep(idleBefore)
		now, err := guard.usage()
		if err != nil {
			return 0, 0, err
		}
		after, err := guard.collect()
		b.say("memory: %d links of %d circuits: heap %.1f MiB, stacks %.1f MiB, %d goroutines", links, each,
			mib(after.Live-after.Stacks), mib(after.Stacks), after.Routines)
		return float64(after.Live - before.Live), mib(now.RSS), err
	}
	// Two mixtures of links and circuits tell apart what each holds.
	const (
		fewLinks, fewEach   = 100, 1
		fullLinks, fullEach = 263, linkCircuits
		few, full           = fewLinks * fewEach, fullLinks * fullEach
	)
	if _, _, err := keep(1, len(net.ids)); err != nil { // the links between relays
		return err
	}
	a, _, err := keep(fewLinks, fewEach)
	if err != nil {
		return err
	}
	z, resident, err := keep(fullLinks, fullEach)
	if err != nil {
		return err
	}
	if err := heapProfile("idle", guard); err != nil {
		return err
	}
	var circuits int
	if err := guard.call("circuits", nil, &circuits); err != nil {
		return err
	}
	// a = fewLinks l + few c; z = fullLinks l + full c.
	circuit := (z*fewLinks - a*fullLinks) / (full*fewLinks - few*fullLinks)
	link := (a - few*circuit) / fewLinks
	b.add(
		figure{name: "idle circuit at a relay, heap and stacks", must: 12, unit: "KiB", measured: circuit / 1024},
		figure{name: "idle client link at a relay, heap and stacks", must: 64, unit: "KiB", measured: link / 1024},
		figure{name: fmt.Sprintf("resident memory of a relay with %d idle circuits", circuits), must: 160, unit: "MiB", measured: resident, plain: "15 s after they were built"},
	)
	return nil
}
