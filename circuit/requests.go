package circuit

import (
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

var _ gossip.CircuitDialer = (*Client)(nil)

// RequestOver opens a directory stream to a relay over a three-hop circuit that
// nothing else uses, so that the relay cannot tell who asks and nobody can tell
// which circuits are of one client. It waits for its turn behind what people wait
// for. Stream and circuit end together.
func (c *Client) RequestOver(ctx context.Context, relay directory.RelayID) (gossip.Stream, error) {
	n := c.requests.Add(1)
	circ, err := c.pool.Get(ctx, Request{
		Purpose: Directory, Isolation: "request " + strconv.FormatUint(n, 10), Destination: relay, Patient: true,
	})
	if err != nil {
		return nil, err
	}
	s, err := circ.Directory(ctx)
	if err != nil {
		circ.Close()
		return nil, err
	}
	return &requestOver{ReadWriteCloser: s, circuit: circ}, nil
}

// requestOver is a directory stream that has a circuit to itself.
type requestOver struct {
	io.ReadWriteCloser
	circuit *Circuit

	mu    sync.Mutex
	timer *time.Timer // closes the circuit at the deadline
}

// Close ends the stream and its circuit.
func (s *requestOver) Close() error {
	_ = s.SetDeadline(time.Time{})
	err := s.ReadWriteCloser.Close()
	s.circuit.Close()
	return err
}

// SetDeadline closes the circuit at t; zero means never.
func (s *requestOver) SetDeadline(t time.Time) error {
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
