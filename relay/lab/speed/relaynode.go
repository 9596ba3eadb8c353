package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay"
)

// relayArgs says which relay to start.
type relayArgs struct {
	Home   string
	Link   string
	Files  [][]byte
	Lifted bool // rate limits
}

// relayResult is the relay before it serves.
type relayResult struct {
	ID         directory.RelayID
	Descriptor []byte
}

// relayNode is the role of a relay: a whole one, but for the directory streams
// of its circuits, which carry bytes for measuring.
func relayNode() operations {
	var n *relay.Node
	return operations{
		"open": operation(func(a relayArgs) (any, error) {
			link, err := directory.ParseNetworkLink(a.Link)
			if err != nil {
				return nil, err
			}
			n, err = relay.NewNode(relay.NodeConfig{
				Home: a.Home, Link: link, Files: a.Files, Listen: loopback(),
				InsecureNoRateLimits: a.Lifted,
				InsecureServeRequest: func(_ context.Context, s gossip.Stream) error {
					serveBytes(s) // ends when the client closes the stream
					return nil
				},
			})
			if err != nil {
				return nil, err
			}
			return relayResult{n.ID(), n.Descriptor()}, nil
		}),
		"serve": operation(func(struct{}) (any, error) {
			failed := make(chan error, 1)
			go func() { failed <- n.Run(context.Background()) }()
			select {
			case <-n.Ready():
				return nil, nil
			case err := <-failed:
				return nil, fmt.Errorf("relay ended: %w", err)
			}
		}),
		"circuits": operation(func(struct{}) (any, error) { return n.Status().Circuits, nil }),
		"listed": operation(func(want int) (any, error) {
			return nil, awaitView(n.Views(), want)
		}),
	}
}

// awaitView waits until a view lists so many relays.
func awaitView(views *directory.Views, want int) error {
	late := time.After(time.Minute)
	for {
		changed := views.Changed()
		if v := views.Current(); v != nil && len(v.Relays()) >= want {
			return nil
		}
		select {
		case <-changed:
		case <-late:
			return fmt.Errorf("no snapshot with %d relays came", want)
		}
	}
}

func loopback() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
}

// listen opens a UDP socket on loopback.
func listen() (net.PacketConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback()))
}
