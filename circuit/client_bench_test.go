package circuit_test

import (
	"context"
	"io"
	"testing"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/directory/gossip"
	"hearsay/relay/lab"
)

// echoService does what its first byte says: 'd' sends without end, 'e' sends
// back what it gets, 'u' only takes.
func echoService(_ context.Context, s gossip.Stream) error {
	buf := make([]byte, 32*cell.Size)
	var way byte
	for {
		n, err := s.Read(buf)
		if err != nil {
			return nil // the client has closed the stream
		}
		if way == 0 {
			way = buf[0]
		}
		for way == 'd' && err == nil {
			_, err = s.Write(buf)
		}
		if way == 'e' {
			_, err = s.Write(buf[:n])
		}
		if err != nil {
			return nil
		}
	}
}

// BenchmarkClient uses circuits as messengers do, over relays in this process
// without their rate limits: what is counted is the work of four nodes.
func BenchmarkClient(b *testing.B) {
	n, err := lab.Start(b.Context(), lab.Config{
		Dir: b.TempDir(), Relays: 5, Lab: true, InsecureNoRateLimits: true, InsecureServeRequest: echoService,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	c, err := circuit.NewClient(circuit.ClientConfig{
		Network: n.Link().ID, Lab: true, Views: n.Relays()[0].Node().Views(), ListenPacket: n.ListenPacket,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	stream := func(b *testing.B) io.ReadWriteCloser {
		k, err := c.Pool().Get(b.Context(), circuit.Request{Purpose: circuit.Directory, Isolation: b.Name()})
		if err != nil {
			b.Fatal(err)
		}
		s, err := k.Directory(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	buf := make([]byte, 32*cell.DataSize)
	b.Run("roundtrip", func(b *testing.B) {
		s := stream(b)
		defer s.Close()
		buf[0] = 'e'
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Write(buf[:256]); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(s, buf[:256]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("download", func(b *testing.B) {
		s := stream(b)
		defer s.Close()
		if _, err := s.Write([]byte("d")); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := io.ReadFull(s, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("upload", func(b *testing.B) {
		s := stream(b)
		defer s.Close()
		buf[0] = 'u'
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
