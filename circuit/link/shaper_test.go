package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"hearsay/circuit/cell"
)

// sighting is a packet that somebody on the path between two nodes saw.
type sighting struct {
	at   time.Duration // since the watch began
	size int           // of the UDP payload
}

// watch records the packets of a world by direction.
type watch struct {
	from time.Time
	mu   sync.Mutex
	up   []sighting // from the client's address
	down []sighting
}

// watchLink records what goes to and from an address of a client.
func (w *world) watchLink(ip string) *watch {
	v := &watch{from: time.Now()}
	w.drop = func(p simnet.Packet) bool {
		s := sighting{time.Since(v.from), len(p.Data)}
		v.mu.Lock()
		defer v.mu.Unlock()
		switch ip {
		case p.From.(*net.UDPAddr).IP.String():
			v.up = append(v.up, s)
		case p.To.(*net.UDPAddr).IP.String():
			v.down = append(v.down, s)
		}
		return false
	}
	return v
}

// since returns copies of what was seen from a time on.
func (v *watch) since(d time.Duration) (up, down []sighting) {
	v.mu.Lock()
	defer v.mu.Unlock()
	late := func(s []sighting) (r []sighting) {
		for _, x := range s {
			if x.at >= d {
				r = append(r, x)
			}
		}
		return r
	}
	return late(v.up), late(v.down)
}

// cells returns the packets that are large enough for one.
func cellsOf(s []sighting) (r []sighting) {
	for _, x := range s {
		if x.size >= cell.Size {
			r = append(r, x)
		}
	}
	return r
}

// shapedClient starts a client with a profile.
func (w *world) shapedClient(ip string, p Profile) *node {
	return w.start("client", ip, RoleClient, func(c *Config) { c.Profile = p })
}

// cellEcho answers each cell of a circuit stream with the same cell.
func cellEcho(_ context.Context, _ *Link, s *Stream) {
	buf := make([]byte, cell.Size)
	for readTrimmed(s, buf) == nil {
		buf[3] = 0
		if _, err := s.Write(buf); err != nil {
			return
		}
	}
}

// readTrimmed reads a cell and takes its trim off.
func readTrimmed(s *Stream, c []byte) error {
	if _, err := io.ReadFull(s, c[:cell.Size]); err != nil {
		return err
	}
	rest := make([]byte, c[3])
	if _, err := io.ReadFull(s, rest); err != nil {
		return err
	}
	for _, b := range rest {
		if b != 0 {
			return fmt.Errorf("trim of %x", rest)
		}
	}
	return nil
}

// relayCell makes a cell of a circuit, numbered.
func relayCell(n int) []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(c)
	for i := cell.HeaderSize; i < cell.Size; i++ {
		c[i] = byte(n*31 + i)
	}
	c[4], c[5] = byte(n>>8), byte(n)
	return c
}

// circuit opens a circuit stream and sends its first fragment, as a relay of
// these tests takes any cell.
func (w *world) circuit(l *Link) *Stream {
	w.t.Helper()
	s, err := l.Open(w.ctx(time.Minute), KindCircuit)
	if err != nil {
		w.t.Fatal(err)
	}
	c := relayCell(0)
	cell.Header{Type: cell.Create, Fragment: cell.FirstOfTwo}.Put(c)
	if _, err := s.Write(c); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestShapedLinkSendsOneCellInEachTick(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		a.cfg.Handlers[KindCircuit] = cellEcho
		v := w.watchLink("3.0.0.1")
		c := w.shapedClient("3.0.0.1", Normal)
		l := w.link(c, a)
		began := time.Since(v.from)
		if !l.Shaped() || l.Profile() != Normal {
			t.Fatal("the link is not shaped")
		}
		s := w.circuit(l)
		go func() {
			for n := range 1000 {
				if _, err := s.Write(relayCell(n)); err != nil {
					return
				}
			}
		}()
		pass(warmFor + 60*time.Second)
		up, down := v.since(began)
		for name, s := range map[string][]sighting{"up": cellsOf(up), "down": cellsOf(down)} {
			t.Log(name, len(s), s[0], s[len(s)-1])
			sizes := map[int]int{}
			for _, x := range s {
				sizes[x.size]++
			}
			t.Log(sizes)
			if n := len(s); n < 190 || n > 192 {
				t.Errorf("%s: %d cells", name, n)
			}
		}
		l.Close()
	})
}
