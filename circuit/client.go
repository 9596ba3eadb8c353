package circuit

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// ClientConfig configures a Client.
type ClientConfig struct {
	Network directory.NetworkID
	Lab     bool
	Views   *directory.Views
	// ListenPacket makes the fresh socket of each connection. Nil: a UDP socket
	// on any port.
	ListenPacket func() (net.PacketConn, error)
	// Source returns the address of this computer from which packets to a relay
	// leave now, zero if there is none. Nil: the system is asked, or nobody if
	// ListenPacket is set.
	Source func(to netip.AddrPort) netip.Addr
	// Own is the relay that the user runs, zero if there is none. No circuit has it
	// as a hop (circuit/path/SPEC.md §11).
	Own directory.RelayID
	// Profile shapes the links from the beginning.
	Profile link.Profile
	State   State        // of the Pool
	Log     *slog.Logger // nil: discard
	Events  func(Event)  // of the Pool
}

// Client is the network side of a messenger: its links, its circuits, and the
// dialer by which it fetches directory documents.
type Client struct {
	endpoint *link.Endpoint
	pool     *Pool
	dialer   *dialer
	requests atomic.Uint64 // counts those over circuits
}

// NewClient makes a client. It opens no socket yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.ListenPacket == nil {
		if cfg.Source == nil {
			cfg.Source = sourceAddress
		}
		cfg.ListenPacket = func() (net.PacketConn, error) { return net.ListenUDP("udp", nil) }
	}
	if cfg.Views == nil {
		return nil, errors.New("circuit: a client needs Views")
	}
	e, err := link.New(link.Config{
		Role: link.RoleClient, Network: cfg.Network, Lab: cfg.Lab, Views: cfg.Views,
		ListenPacket: cfg.ListenPacket, Profile: cfg.Profile, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	p, err := NewPool(Config{
		Network: cfg.Network, Views: cfg.Views, Own: cfg.Own, Dial: e.Link, Redial: e.Redial,
		Profile: e.Profile, Burst: e.Burst, Source: cfg.Source,
		State: cfg.State, Lab: cfg.Lab, Log: cfg.Log, Events: cfg.Events,
	})
	if err != nil {
		e.Close()
		return nil, err
	}
	return &Client{endpoint: e, pool: p, dialer: &dialer{endpoint: e, pool: p, open: map[*link.Link]int{}}}, nil
}

// Run serves the client until ctx ends, then closes all circuits and links and
// waits for their goroutines.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	// Circuits end before the links under them, so that relays see them end.
	links, cancel := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() { _ = c.endpoint.Run(links) })
	err := c.pool.Run(ctx)
	cancel()
	wg.Wait()
	return err
}

// Pool returns the circuits.
func (c *Client) Pool() *Pool { return c.pool }

// Dialer returns the dialer for directory requests. It works while Run runs.
func (c *Client) Dialer() gossip.Dialer { return c.dialer }

// SetProfile changes how the links are shaped, from now on and for good.
func (c *Client) SetProfile(f link.Profile) { c.endpoint.SetProfile(f) }

// Profile returns how the links are to be shaped.
func (c *Client) Profile() link.Profile { return c.endpoint.Profile() }

// Guard returns the guard in use, from which directory documents are fetched,
// or false while there is none.
func (c *Client) Guard() (gossip.Peer, bool) { return c.pool.guardPeer() }

// NoPath tells that no path can be chosen now.
func (c *Client) NoPath() bool { return c.pool.Why() != "" }
