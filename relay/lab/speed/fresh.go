package main

import (
	"fmt"
	"slices"
	"time"
)

// Fresh clients.
const (
	freshRelays  = 50
	freshClients = 7
)

// fresh measures from the start of a client to its first circuit in a network
// of 50 relays.
func (b *bench) fresh() error {
	dir, err := b.temp()
	if err != nil {
		return err
	}
	n, err := spawn("network", "network")
	if err != nil {
		return err
	}
	defer n.stop()
	var link string
	if err := n.call("open", labArgs{Dir: dir, Relays: freshRelays}, &link); err != nil {
		return err
	}
	if err := settle(n); err != nil {
		return err
	}
	c, err := spawn("client", "client")
	if err != nil {
		return err
	}
	defer c.stop()
	var took []time.Duration
	for range freshClients {
		var d time.Duration
		if err := c.call("ready", openArgs{Link: link}, &d); err != nil {
			return err
		}
		took = append(took, d)
	}
	b.say("fresh: %v", took)
	slices.Sort(took)
	b.add(figure{
		name: fmt.Sprintf("fresh client to its first circuit, %d relays, median", freshRelays),
		must: 2, aim: 0.5, unit: "s", measured: took[len(took)/2].Seconds(),
		plain: fmt.Sprintf("slowest of %d: %.2f s", len(took), took[len(took)-1].Seconds()),
	})
	return nil
}

// settle waits until 50 relays have met each other: they share one process, and
// their client is not to pay for that.
func settle(n *child) error {
	before, err := n.usage()
	for range 20 {
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		var now usage
		now, err = n.usage()
		if now.CPU-before.CPU < 200*time.Millisecond {
			break
		}
		before = now
	}
	return err
}
