package main

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay/lab"
)

// The slow link of TestInteractiveBesideBulk, from the second relay to the
// first one: what waits beyond one round trip of the link is lost.
const (
	slowRate    = 50e6 / 8 // bytes a second
	slowLatency = 5 * time.Millisecond
	slowQueue   = 2 * slowLatency
)

// slowLink is a direction between two sockets that carries no more than
// slowRate.
type slowLink struct {
	mu       sync.Mutex
	from, to netip.AddrPort
	free     time.Time // when all that was sent before is gone
	wait     time.Duration
}

// drop loses a packet that finds the queue full. A socket sends one packet
// after the other, so that delay is asked about the same one.
func (l *slowLink) drop(from, to netip.AddrPort, packet []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from != l.from || to != l.to {
		return false
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	if l.free.Sub(now) > slowQueue {
		return true
	}
	l.free = l.free.Add(time.Duration(float64(len(packet)+28) / slowRate * float64(time.Second)))
	l.wait = l.free.Sub(now)
	return false
}

func (l *slowLink) delay(from, to netip.AddrPort, _ []byte) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from != l.from || to != l.to {
		return 0
	}
	return l.wait
}

// TestInteractiveBesideBulk sends single cells through three relays while 64
// circuits on the same path download all that a link of 50 Mbit/s carries.
func TestInteractiveBesideBulk(t *testing.T) {
	const (
		bulkLinks, bulkEach = 4, 16
		probes              = 40
		probeEvery          = 25 * time.Millisecond
		settle              = time.Second
		most                = 1.7
	)
	synctest.Test(t, func(t *testing.T) {
		slow := new(slowLink)
		sim := lab.NewSimNet(lab.SimConfig{Latency: slowLatency, Drop: slow.drop, Delay: slow.delay})
		defer sim.Close()
		n, err := lab.Start(context.Background(), lab.Config{
			Dir: t.TempDir(), Relays: 3, Lab: true, Sim: sim, InsecureNoRateLimits: true,
			InsecureServeRequest: func(_ context.Context, s gossip.Stream) error { serveBytes(s); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		var path []directory.RelayID
		for _, r := range n.Relays() {
			if err := awaitView(r.Node().Views(), 3); err != nil {
				t.Fatal(err)
			}
			path = append(path, r.ID())
		}
		b := &builder{view: n.Relays()[0].Node().Views().Current(), listen: n.ListenPacket}
		rs, err := b.relays(path)
		if err != nil {
			t.Fatal(err)
		}

		// The interactive circuit shares its link with bulk circuits.
		e, l, err := b.dial(rs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		talk, err := b.circuit(l, rs)
		if err != nil {
			t.Fatal(err)
		}
		var bulk []*handCircuit
		for i := range bulkLinks {
			if i > 0 {
				if e, l, err = b.dial(rs[0]); err != nil {
					t.Fatal(err)
				}
				defer e.Close()
			}
			for range bulkEach {
				c, err := b.circuit(l, rs)
				if err != nil {
					t.Fatal(err)
				}
				bulk = append(bulk, c)
			}
		}
		slow.mu.Lock()
		slow.from, slow.to = n.Relays()[1].Addr(), n.Relays()[0].Addr()
		slow.mu.Unlock()

		alone := probe(t, talk, probes, probeEvery)
		var moved sync.WaitGroup
		counts := make([]int64, len(bulk))
		for i, c := range bulk {
			moved.Go(func() { counts[i] = pull(c) })
		}
		<-time.After(settle) // until the queues are full
		start := time.Now()
		beside := probe(t, talk, probes, probeEvery)
		took := time.Since(start)
		talk.close()
		for _, c := range bulk {
			c.close()
		}
		moved.Wait()
		var total int64
		for _, c := range counts {
			total += c
		}
		ratio := float64(beside.P50) / float64(alone.P50)
		t.Logf("interactive p50 %v alone, %v beside %d bulk circuits, p99 %v; ratio %.2f; bulk %.1f MB/s in all",
			alone.P50, beside.P50, len(bulk), beside.P99, ratio, float64(total)/(took+settle).Seconds()/1e6)
		if ratio > most {
			t.Errorf("p50 is %.2f times that without bulk, at most %.1f", ratio, most)
		}
	})
}

// probe measures PINGs to the third hop.
func probe(t *testing.T, c *handCircuit, n int, every time.Duration) quantiles {
	t.Helper()
	var took []time.Duration
	x := make([]byte, cell.Size)
	for range n {
		start := time.Now()
		if err := c.seal(x, 2, cell.Message{Command: cell.Ping, Data: make([]byte, 16)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.s.Write(x); err != nil {
			t.Fatal(err)
		}
		m, err := c.receive()
		if err != nil || m.Command != cell.Pong {
			t.Fatal(m.Command, err)
		}
		took = append(took, time.Since(start))
		<-time.After(every)
	}
	slices.Sort(took)
	return quantilesOf(took)
}

// pull downloads over a stream until the circuit is closed, and returns the
// bytes.
func pull(c *handCircuit) (n int64) {
	x := make([]byte, cell.Size)
	send := func(m cell.Message) error {
		if err := c.seal(x, 2, m); err != nil {
			return err
		}
		_, err := c.s.Write(x)
		return err
	}
	var ask [askSize]byte
	ask[0] = kindDownload
	binary.BigEndian.PutUint64(ask[1:], 1<<40)
	if send(cell.Message{Command: cell.Begin, Stream: 1, Data: []byte{cell.ServiceDirectory, 0, 0, 0}}) != nil {
		return 0
	}
	for credited := 0; ; {
		m, err := c.receive()
		switch {
		case err != nil:
			return n
		case m.Command == cell.Connected:
			err = send(cell.Message{Command: cell.Data, Stream: 1, Data: ask[:]})
		case m.Command == cell.Data:
			n += int64(len(m.Data))
			if credited++; credited%cell.CreditStep == 0 {
				tag := c.onion.BackwardTag(2)
				err = send(cell.Message{Command: cell.SendMe, Data: tag[:]})
			}
		}
		if err != nil {
			return n
		}
	}
}
