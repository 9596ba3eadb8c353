package main

import (
	"fmt"
	"time"

	"hearsay/circuit/cell"
)

// limits shows that the byte limits of a client's circuits and link hold.
func (b *bench) limits() error {
	dir, err := b.temp()
	if err != nil {
		return err
	}
	net, err := startNetwork(dir, relayCount, false)
	if err != nil {
		return err
	}
	defer net.close()
	c, err := spawn("client", "client")
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.call("start", openArgs{Link: net.link, Clients: 1}, nil); err != nil {
		return err
	}
	const circuits = 8
	if err := c.call("open", openArgs{Circuits: 1 + circuits}, nil); err != nil {
		return err
	}
	// Cells, not data, are limited. The burst is left out.
	cells := func(a useArgs) (float64, error) {
		var r transferResult
		err := c.call("transfer", a, &r)
		return r.Rate * cell.Size / cell.DataSize / (1 << 20), err
	}
	one, err := cells(useArgs{First: 0, Count: 1, transferArgs: transferArgs{Bytes: 16 << 20, Skip: 2 * time.Second, For: 4 * time.Second}})
	if err != nil {
		return err
	}
	link, err := cells(useArgs{First: 1, Count: circuits, transferArgs: transferArgs{Bytes: 48 << 20 / circuits, Skip: 3 * time.Second, For: 4 * time.Second}})
	if err != nil {
		return err
	}
	b.add(
		figure{name: "limits on: cells of one circuit, at most", must: 2.05, unit: "MiB/s", measured: one, plain: "limit 2 MiB/s after a burst of 4 MiB"},
		figure{name: fmt.Sprintf("limits on: cells of %d circuits of one link, at most", circuits), must: 4.1, unit: "MiB/s", measured: link, plain: "limit 4 MiB/s after a burst of 16 MiB"},
	)
	return nil
}
