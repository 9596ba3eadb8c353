package link

import (
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"
)

// Specification constants (SPEC.md §2, §5).
const (
	alpn = "h3" // SPEC.md §2.1

	helloTimeout     = 5 * time.Second  // LINK_HELLO, either way, before a stream of another kind
	firstUse         = 10 * time.Second // first circuit, gossip or request stream; stops slowloris
	cellTimeout      = 5 * time.Second  // whole control cell after its first byte; stops slowloris
	firstByteTimeout = 10 * time.Second // first byte of a stream

	handshakeIdle   = 5 * time.Second // the hard limit is twice this
	clientIdle      = 60 * time.Second
	relayIdle       = 15 * time.Second
	relayKeepAlive  = 5 * time.Second
	idleClose       = 15 * time.Minute // relay link without a stream, ± idleCloseJitter
	idleCloseJitter = 3 * time.Minute
	drainClose      = 5 * time.Second // draining link without a stream

	// simultaneous is how old a link may be for a new one to count as dialed
	// at the same time. A peer that dials later has lost the old one.
	simultaneous = 5 * time.Second
)

// Specification constants of shaping (SPEC.md §8).
const (
	warmTick = 125 * time.Millisecond // between cells while a shaped link is young
	warmFor  = 20 * time.Second

	paddingMin = 1500 * time.Millisecond // of a draw of netflow padding
	paddingMax = 9500 * time.Millisecond

	shapeEvery  = 10 * time.Second // between two SHAPEs of a client
	warmEvery   = 10 * time.Minute // between two warm-ups that it asks for
	closeWithin = 60 * time.Second // in which a cancelled circuit stream is reset
	endWithin   = 3 * time.Minute  // in which the peer has to reset its direction
	creditAfter = 10 * time.Second // after the end of a stream, when its last frame is acknowledged
)

// Implementation constants of shaping.
const (
	shapeSlack   = 5 * time.Second  // a client keeps to more than shapeEvery, since packets may be late
	answerWithin = 60 * time.Second // for the answer to SHAPE, else the client ends the link
	maxOrders    = 4                // control cells that wait; a client has one SHAPE under way
	retryOrder   = time.Second      // for a control cell that an unshaped link did not take
)

// Streams that a peer may have open, by what it is to us (SPEC.md §5.1).
const (
	clientCircuits = 32
	relayCircuits  = 2040
	maxRequests    = 2
	maxGossip      = 2

	// Circuits that have ended may wait a minute for the tick of their reset, or
	// their credit.
	clientEnding  = 29
	clientStreams = clientCircuits + clientEnding + 1 + maxRequests // and the control stream
	relayStreams  = relayCircuits + 8
)

// Receive windows in bytes. Initial and maximum are equal, so that quic-go
// never tunes them. Between relays the connection window stays above the sum of
// all streams. On a client's link that of a stream is never used up, so that
// nothing is sent when it would be, and that of the connection bounds the memory
// (SPEC.md §5.2).
const (
	relayWindow      = 128 << 10
	relayConnWindow  = 512 << 20
	openWindow       = 1 << 40    // of each stream of a client's link, both ways
	clientConnWindow = 2304 << 10 // towards a client
	selfConnWindow   = 16 << 20   // of a client, towards its guard
)

// Rates at which streams of a peer are taken up (SPEC.md §5.3). The stream
// credit goes back at the same rate, which stops rapid reset.
const (
	clientStreamRate  = rate.Limit(3)
	clientStreamBurst = 30
	relayStreamRate   = rate.Limit(200)
	relayStreamBurst  = 1000
)

// Implementation constants.
const (
	connectionIDLength = 8
	// udpBuffer is asked from the kernel for reading and writing; less works,
	// but drops packets when many circuits burst.
	udpBuffer = 7680 << 10
)

// baseConfig holds what all connections share: no unidirectional streams, no
// datagrams, no 0-RTT, no token store.
func baseConfig() *quic.Config {
	return &quic.Config{
		Versions:                   []quic.Version{quic.Version1},
		HandshakeIdleTimeout:       handshakeIdle,
		MaxIncomingUniStreams:      -1,
		RequireStreamCreditRelease: true,
	}
}

// clientSideConfig is for a connection to a client, or to any node that is not
// a listed relay at an address of its own.
func clientSideConfig() *quic.Config {
	c := baseConfig()
	c.MaxIdleTimeout = clientIdle
	c.MaxIncomingStreams = clientStreams
	c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = openWindow, openWindow
	c.InitialConnectionReceiveWindow, c.MaxConnectionReceiveWindow = clientConnWindow, clientConnWindow
	return c
}

// relayConfig is for connections between nodes: all that a node dials, and
// those that listed relays dial to it.
func relayConfig() *quic.Config {
	c := baseConfig()
	c.MaxIdleTimeout = relayIdle
	c.KeepAlivePeriod = relayKeepAlive
	c.MaxIncomingStreams = relayStreams
	c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = relayWindow, relayWindow
	c.InitialConnectionReceiveWindow, c.MaxConnectionReceiveWindow = relayConnWindow, relayConnWindow
	return c
}

// dialingClientConfig is for the connections of a client, on which nobody else
// opens streams. It sends no keepalive, which would stand out.
func dialingClientConfig() *quic.Config {
	c := baseConfig()
	c.MaxIdleTimeout = clientIdle
	c.MaxIncomingStreams = -1
	c.InitialStreamReceiveWindow, c.MaxStreamReceiveWindow = openWindow, openWindow
	c.InitialConnectionReceiveWindow, c.MaxConnectionReceiveWindow = selfConnWindow, selfConnWindow
	return c
}
