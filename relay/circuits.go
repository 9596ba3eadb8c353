package relay

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	clientside "hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/directory/signer"
)

// Specification constants of measuring (SPEC.md §8.2).
const (
	meterPaths = 2    // circuits at least, so that one slow relay on the way decides little
	meterCells = 1000 // ECHOs a second on one circuit at most; relays allow 1024
)

// circuits are the circuits of a node itself: for requests that must not show
// who asks, and for measuring relays. They go out from fresh sockets as those of
// clients do, over relays drawn anew for each (SPEC.md §8.1).
type circuits struct {
	endpoint *link.Endpoint
	router   *clientside.Router
}

var (
	_ gossip.CircuitDialer = (*circuits)(nil)
	_ signer.Meter         = (*circuits)(nil)
)

// newCircuits makes the circuits of the node self, which is never a hop of them.
// listen opens sockets, nil: UDP.
func newCircuits(network directory.NetworkID, lab bool, self directory.RelayID, views *directory.Views, listen func() (net.PacketConn, error), log *slog.Logger) (*circuits, error) {
	if listen == nil {
		listen = listenAny
	}
	e, err := link.New(link.Config{Role: link.RoleClient, Network: network, Lab: lab, Views: views, ListenPacket: listen, Log: log})
	if err != nil {
		return nil, err
	}
	return &circuits{e, clientside.NewRouter(clientside.RouterConfig{Network: network, Views: views, Self: self, Dial: e.Link, Lab: lab})}, nil
}

// Run serves links until ctx ends; then all circuits end before their links.
func (c *circuits) Run(ctx context.Context) error {
	links, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { c.endpoint.Run(links) })
	<-ctx.Done()
	c.router.Close()
	cancel()
	wg.Wait()
	return ctx.Err()
}

// Close frees what was never run.
func (c *circuits) Close() {
	c.router.Close()
	c.endpoint.Close()
}

// RequestOver opens a directory stream to the relay through a circuit of its own.
func (c *circuits) RequestOver(ctx context.Context, relay directory.RelayID) (gossip.Stream, error) {
	circ, err := c.router.Build(ctx, relay)
	if err != nil {
		return nil, err
	}
	s, err := circ.Directory(ctx)
	if err != nil {
		circ.Close()
		return nil, err
	}
	return &circuitStream{ReadWriteCloser: s, circuit: circ}, nil
}

// circuitStream is a directory stream that has a circuit to itself: both end
// together, and a deadline that passes ends both.
type circuitStream struct {
	io.ReadWriteCloser
	circuit *clientside.Circuit

	mu    sync.Mutex
	timer *time.Timer
}

// Close ends the stream and its circuit.
func (s *circuitStream) Close() error {
	_ = s.SetDeadline(time.Time{})
	err := s.ReadWriteCloser.Close()
	s.circuit.Close()
	return err
}

// SetDeadline ends the circuit at t; zero means no limit.
func (s *circuitStream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), s.circuit.Close)
	}
	return nil
}

// Measure has a relay echo cells over several circuits at once and returns the
// bytes of cells a second that came back. rate is the sum over all circuits. A
// circuit that cannot be built leaves its share to the others.
func (c *circuits) Measure(ctx context.Context, relay directory.RelayID, rate uint64) (uint64, error) {
	cells := max(1, int(rate/cell.Size))
	paths := max(meterPaths, (cells+meterCells-1)/meterCells)
	built := make([]*clientside.Circuit, paths)
	errs := make([]error, paths)
	each(paths, func(i int) { built[i], errs[i] = c.router.Build(ctx, relay) })
	open := built[:0]
	var failed error
	for i, circ := range built {
		if errs[i] != nil {
			failed = errs[i]
			continue
		}
		defer circ.Close()
		open = append(open, circ)
	}
	if len(open) == 0 {
		return 0, failed
	}
	rates := make([]float64, len(open))
	errs = errs[:len(open)]
	each(len(open), func(i int) { rates[i], errs[i] = open[i].EchoRate(ctx, (cells+len(open)-1)/len(open)) })
	sum, worked := 0.0, false
	for i := range open {
		if errs[i] == nil {
			sum, worked = sum+rates[i], true
		} else {
			failed = errs[i]
		}
	}
	if !worked {
		return 0, failed
	}
	return uint64(sum), nil
}

// each calls f for 0 to n−1 at once and waits.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
