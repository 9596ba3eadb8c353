package lab

import (
	"context"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/directory"
)

// patience is how long things may take on loopback that take milliseconds on an
// idle machine: it ends what hangs.
const patience = 2 * time.Minute

// get waits at most a minute for a circuit.
func get(t testing.TB, c *client, r circuit.Request) *circuit.Circuit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	circ, err := c.Pool().Get(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return circ
}

func echo(t testing.TB, c *circuit.Circuit, hop int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	data := make([]byte, cell.DataSize)
	rand.Read(data)
	if _, err := c.Echo(ctx, hop, data); err != nil {
		t.Fatalf("echo at hop %d: %v", hop, err)
	}
}

// TestCircuitsInAnOrdinaryNetwork builds three hops and a destination in
// virtual time, and uses every hop.
func TestCircuitsInAnOrdinaryNetwork(t *testing.T) {
	simulated(t, Config{Relays: 6, Late: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		v := waitListed(t, c.views, 6, 3*time.Minute)
		x := v.Relays()[0].ID
		circ := get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x})
		info := circ.Info()
		if len(info.Path) != 3 || info.Destination != x {
			t.Fatalf("path %v, destination %v", info.Path, info.Destination)
		}
		seen := map[directory.RelayID]bool{x: true}
		for _, id := range info.Path {
			if seen[id] {
				t.Errorf("%v twice on one path", id)
			}
			seen[id] = true
		}
		for hop := range 4 {
			echo(t, circ, hop)
			if _, err := circ.Ping(context.Background(), hop); err != nil {
				t.Fatal(err)
			}
		}
		readHead(t, circ)
	})
}

// readHead asks the last hop for the newest head over the circuit.
func readHead(t testing.TB, circ *circuit.Circuit) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := circ.Directory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// HEAD of the newest epoch: type, flags, length, epoch.
	if _, err := s.Write([]byte{0x11, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	// The answering side says HELLO first.
	for {
		var h [4]byte
		if _, err := io.ReadFull(s, h[:]); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(h[2])<<8|int(h[3]))
		if _, err := io.ReadFull(s, body); err != nil {
			t.Fatal(err)
		}
		if h[0] == 0x91 {
			if _, err := directory.ParseHead(body); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// TestCircuitsOnLoopback is the same over real sockets.
func TestCircuitsOnLoopback(t *testing.T) {
	n, err := Start(t.Context(), Config{Dir: t.TempDir(), Relays: 6, Lab: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	c := newClient(t, n)
	defer c.stop()
	x := waitListed(t, c.views, 6, patience).Relays()[0].ID
	// A machine that stands still for seconds loses a circuit.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		circ, err := c.Pool().Get(ctx, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x})
		if err != nil {
			t.Fatal(err)
		}
		hop := 0
		for err == nil && hop < 4 {
			_, err = circ.Echo(ctx, hop, make([]byte, cell.DataSize))
			hop++
		}
		if err == nil {
			readHead(t, circ)
			return
		}
		select {
		case <-circ.Done():
		default:
			t.Fatalf("echo at hop %d: %v", hop-1, err)
		}
	}
}
