package relay

import (
	"log/slog"
	"net"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// ReaderConfig says which network to read.
type ReaderConfig struct {
	// Link names the network. Zero: the network that Home remembers.
	Link directory.NetworkLink
	// Home is the home of a relay or directory, which may be in use.
	Home string
	// ListenPacket opens the socket. Nil: UDP.
	ListenPacket func() (net.PacketConn, error)
	Log          *slog.Logger // nil: discard
}

// Reader reads what a network publishes, as an anonymous client of its bootstraps:
// no file of a home is written, and none but the network file read.
type Reader struct {
	*gossip.Reader
	endpoint *link.Endpoint
}

// OpenReader makes a reader; it connects when it is asked. It fails with
// ErrNoNetwork if there is neither a link nor a home that knows a network.
func OpenReader(cfg ReaderConfig) (*Reader, error) {
	l := cfg.Link
	if l.ID == (directory.NetworkID{}) {
		chain, err := FounderChain(cfg.Home)
		if err != nil {
			return nil, err
		}
		l = chain.Link(nil)
	}
	listen := cfg.ListenPacket
	if listen == nil {
		listen = listenAny
	}
	e, err := link.New(link.Config{Role: link.RoleClient, Network: l.ID, ListenPacket: listen, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	return &Reader{
		Reader:   gossip.NewReader(gossip.ReaderConfig{Link: l, Dialer: &dialer{e}, Log: cfg.Log}),
		endpoint: e,
	}, nil
}

// Close ends the connection.
func (r *Reader) Close() {
	r.Reader.Close()
	r.endpoint.Close()
}
