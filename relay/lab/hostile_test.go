package lab

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/directory"
	"hearsay/relay"
)

// hostile makes the middle of a circuit tamper with cells until the circuit ends,
// in real QUIC: the circuit ends before anything reaches an end, and the next one
// works.
func hostile(t *testing.T, way relay.Way, change func(cells []byte) []byte) {
	t.Helper()
	type victim struct {
		middle directory.RelayID
		ended  <-chan struct{}
	}
	var target atomic.Pointer[victim]
	var n *Network
	cfg := Config{Relays: 6, Lab: true, InsecureTamper: func(i int) func(relay.Way, []byte) []byte {
		return func(w relay.Way, cells []byte) []byte {
			v := target.Load()
			if v == nil || w != way || n.Relays()[i].ID() != v.middle {
				return cells
			}
			select {
			case <-v.ended:
				return cells
			default: // relays have circuits of their own: the first cells may be theirs
				return change(bytes.Clone(cells))
			}
		}
	}}
	simulated(t, cfg, SimConfig{}, func(t *testing.T, net *Network) {
		n = net
		c := newClient(t, n)
		defer c.stop()
		x := waitListed(t, c.views, 6, time.Minute).Relays()[0].ID
		req := circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x}
		circ := get(t, c, req)
		echo(t, circ, 3)
		target.Store(&victim{circ.Info().Path[2], circ.Done()})
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		// Two, so that what is held back or left out shows at the second.
		for range 2 {
			if _, err := circ.Echo(ctx, 3, make([]byte, cell.DataSize)); err != nil {
				break
			}
		}
		select {
		case <-circ.Done():
		case <-ctx.Done():
			t.Fatal("the circuit survived")
		}
		again := get(t, c, req)
		if again == circ {
			t.Fatal("the same circuit again")
		}
		echo(t, again, 3)
	})
}

// TestHostileMiddle covers what a middle can do to cells, both ways.
func TestHostileMiddle(t *testing.T) {
	for _, k := range []struct {
		name   string
		change func([]byte) []byte
	}{
		{"flips a bit", func(b []byte) []byte { b[cell.HeaderSize+77] ^= 4; return b }},
		{"replays", func(b []byte) []byte { return append(b, b...) }},
		{"inserts", func(b []byte) []byte {
			x := make([]byte, cell.Size)
			cell.Header{Type: cell.Relay}.Put(x)
			return append(x, b...)
		}},
		{"answers for the mailbox relay", func(b []byte) []byte { clear(b[cell.HeaderSize:]); return b }},
	} {
		for _, way := range []relay.Way{relay.ToNextHop, relay.ToClientSide} {
			t.Run(fmt.Sprintf("%s/%d", k.name, way), func(t *testing.T) { hostile(t, way, k.change) })
		}
	}
}
