package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// Receive windows of links, so that the chain has those of circuits
// (circuit/link/SPEC.md §5.2).
const (
	relayStreamWindow, relayConnWindow   = 128 << 10, 512 << 20
	guardStreamWindow, guardConnWindow   = 1 << 40, 2304 << 10 // of the first node, towards the client
	clientStreamWindow, clientConnWindow = 1 << 40, 16 << 20

	udpBuffer = 7680 << 10
)

func chainConfig(stream, conn uint64) *quic.Config {
	return &quic.Config{
		InitialStreamReceiveWindow: stream, MaxStreamReceiveWindow: stream,
		InitialConnectionReceiveWindow: conn, MaxConnectionReceiveWindow: conn,
		MaxIncomingStreams: 2048, MaxIncomingUniStreams: -1,
		KeepAlivePeriod: 5 * time.Second, // a chain waits while circuits have their turn
	}
}

// chainNodeArgs says which node of a chain to start.
type chainNodeArgs struct {
	Next  string // address of the next node; empty for the last
	First bool   // clients dial it
}

// chainNode is the role of a node that stores and forwards, or of the last one
// of a chain, which is source and sink.
func chainNode() operations {
	return operations{
		"open": operation(func(a chainNodeArgs) (any, error) {
			server, _, err := chainTLS()
			if err != nil {
				return nil, err
			}
			conn, err := listen()
			if err != nil {
				return nil, err
			}
			u := conn.(*net.UDPConn)
			_ = u.SetReadBuffer(udpBuffer) // as links do; the kernel may grant less
			_ = u.SetWriteBuffer(udpBuffer)
			tr := &quic.Transport{Conn: conn, ConnectionIDLength: 8}
			conf := chainConfig(relayStreamWindow, relayConnWindow)
			if a.First {
				conf = chainConfig(guardStreamWindow, guardConnWindow)
			}
			ln, err := tr.Listen(server, conf)
			if err != nil {
				return nil, err
			}
			c := &chainRelay{tr: tr, next: a.Next}
			go c.accept(ln)
			return conn.LocalAddr().String(), nil
		}),
	}
}

// chainRelay is one node of a chain. One connection leads to the next.
type chainRelay struct {
	tr   *quic.Transport
	next string // address, empty for the last node

	mu  sync.Mutex
	out *quic.Conn
}

func (c *chainRelay) accept(ln *quic.Listener) {
	for {
		conn, err := ln.Accept(context.Background())
		if err != nil {
			return
		}
		go func() {
			for {
				s, err := conn.AcceptStream(context.Background())
				if err != nil {
					return
				}
				go c.serve(s)
			}
		}()
	}
}

func (c *chainRelay) serve(s *quic.Stream) {
	if c.next == "" {
		serveBytes(s)
		s.Close()
		return
	}
	conn, err := c.connect()
	if err != nil {
		s.CancelRead(0)
		s.CancelWrite(0)
		return
	}
	out, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		s.CancelRead(0)
		s.CancelWrite(0)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { forward(out, s) })
	wg.Go(func() { forward(s, out) })
	wg.Wait()
}

func (c *chainRelay) connect() (*quic.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		return c.out, nil
	}
	var err error
	c.out, err = chainDial(c.tr, c.next, chainConfig(relayStreamWindow, relayConnWindow))
	return c.out, err
}

func chainDial(tr *quic.Transport, addr string, conf *quic.Config) (*quic.Conn, error) {
	_, client, err := chainTLS()
	if err != nil {
		return nil, err
	}
	a, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return nil, err
	}
	return tr.Dial(context.Background(), a, client, conf)
}

// forward stores and forwards what is there, at most what a relay takes at
// once.
func forward(to io.WriteCloser, from io.Reader) {
	buf := make([]byte, batchSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// chainOpenArgs says where a chain begins.
type chainOpenArgs struct {
	Addr           string
	Links, Streams int // links, and streams on each
}

// chainClient is the role of the client of a chain.
func chainClient() operations {
	t := &transfers{}
	return t.operations(operations{
		"open": operation(func(a chainOpenArgs) (any, error) {
			for range a.Links {
				pc, err := listen()
				if err != nil {
					return nil, err
				}
				conn, err := chainDial(&quic.Transport{Conn: pc}, a.Addr, chainConfig(clientStreamWindow, clientConnWindow))
				if err != nil {
					return nil, err
				}
				for range a.Streams {
					s, err := conn.OpenStreamSync(context.Background())
					if err != nil {
						return nil, err
					}
					t.streams = append(t.streams, s)
				}
			}
			return nil, nil
		}),
	})
}

// chainTLS has the key exchange and the kind of certificate of links.
func chainTLS() (server, client *tls.Config, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		return nil, nil, err
	}
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"speed"}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768},
	}
	client = &tls.Config{
		NextProtos: []string{"speed"}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768},
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) != 1 {
				return fmt.Errorf("%d certificates", len(s.PeerCertificates))
			}
			return nil
		},
	}
	return server, client, nil
}
