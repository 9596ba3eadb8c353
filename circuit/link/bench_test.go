package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// BenchmarkLink measures one link over loopback, one stream, by the size of the
// writes: one cell, and the 32 cells that a relay takes at once.
func BenchmarkLink(b *testing.B) {
	for _, cells := range []int{1, 32} {
		b.Run(fmt.Sprintf("write=%d", cells*cell.Size), func(b *testing.B) {
			w := &world{t: b, views: new(directory.Views), lab: true, epoch: time.Now()}
			defer w.end()
			done := make(chan int64, 1)
			a := w.relay("a", "")
			z := w.start("z", "", RoleRelay, func(c *Config) {
				c.Conn = w.socket("", 0)
				c.Handlers[KindCircuit] = func(_ context.Context, _ *Link, s *Stream) {
					n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, 32*cell.Size))
					done <- n
				}
			})
			w.list(a, z)
			l := w.link(a, z)
			s, err := l.Open(w.ctx(time.Minute), KindCircuit)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, cells*cell.Size)
			buf[0] = byte(KindCircuit)
			b.SetBytes(int64(len(buf)))
			var sent int64
			for b.Loop() {
				n, err := s.Write(buf)
				if err != nil {
					b.Fatal(err)
				}
				sent += int64(n)
			}
			_ = s.Close()
			if n := <-done; n != sent {
				b.Fatalf("%d of %d bytes arrived", n, sent)
			}
		})
	}
}

// BenchmarkHandshake measures a whole client link: socket, QUIC, TLS with
// ML-KEM, LINK_HELLO on both sides, close.
func BenchmarkHandshake(b *testing.B) {
	w := &world{t: b, views: new(directory.Views), lab: true, epoch: time.Now()}
	defer w.end()
	a := w.relay("a", "")
	c := w.start("c", "", RoleClient, func(c *Config) {
		c.ListenPacket = func() (net.PacketConn, error) { return net.ListenPacket("udp4", "127.0.0.1:0") }
	})
	for b.Loop() {
		l := w.link(c, a)
		<-l.welcome
		l.Close()
		<-l.Done()
	}
}
