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

// watch records the packets of one client's link.
type watch struct {
	from time.Time
	mu   sync.Mutex
	up   []sighting // from the client's address
	down []sighting // to it
	cut  bool       // packets are lost
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
		return v.cut
	}
	return v
}

// now is the time on the clock of the watch.
func (v *watch) now() time.Duration { return time.Since(v.from) }

// lose says whether packets are lost from now on.
func (v *watch) lose(yes bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cut = yes
}

// between returns what was seen from one time to before another.
func (v *watch) between(from, to time.Duration) (up, down []sighting) {
	v.mu.Lock()
	defer v.mu.Unlock()
	cut := func(s []sighting) (r []sighting) {
		for _, x := range s {
			if x.at >= from && x.at < to {
				r = append(r, x)
			}
		}
		return r
	}
	return cut(v.up), cut(v.down)
}

// withCells returns the packets that are large enough for a cell.
func withCells(s []sighting) (r []sighting) {
	for _, x := range s {
		if x.size >= cell.Size {
			r = append(r, x)
		}
	}
	return r
}

// sizes counts packets by size.
func sizes(s []sighting) map[int]int {
	m := map[int]int{}
	for _, x := range s {
		m[x.size]++
	}
	return m
}

// gaps are the times between packets, in seconds.
func gaps(s []sighting) (r []float64) {
	for i := 1; i < len(s); i++ {
		r = append(r, (s[i].at - s[i-1].at).Seconds())
	}
	return r
}

// shapedLink starts a relay whose circuits serve, a client with a profile, and
// the link between them, which has been used.
func (w *world) shapedLink(p Profile, serve Handler) (client, relay *node, l *Link) {
	relay = w.start("relay", "1.0.0.1", RoleRelay, func(c *Config) { c.Handlers[KindCircuit] = serve })
	client = w.start("client", "3.0.0.1", RoleClient, func(c *Config) { c.Profile = p })
	return client, relay, w.link(client, relay)
}

// cellEcho answers each cell of a circuit stream with the same cell.
func cellEcho(_ context.Context, _ *Link, s *Stream) {
	buf := make([]byte, cell.Size)
	for readTrimmed(s, buf) == nil {
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
	c[3] = 0
	for _, b := range rest {
		if b != 0 {
			return fmt.Errorf("trim of %x", rest)
		}
	}
	return nil
}

// numbered makes a cell of a circuit with a number in it.
func numbered(n int) []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(c)
	for i := cell.HeaderSize; i < cell.Size; i++ {
		c[i] = byte(n*31 + i*7)
	}
	c[4], c[5], c[6] = byte(n>>16), byte(n>>8), byte(n)
	return c
}

func numberOf(c []byte) int { return int(c[4])<<16 | int(c[5])<<8 | int(c[6]) }

// circuit opens a circuit stream. Its first cell makes the relay serve it.
func (w *world) circuit(l *Link) *Stream {
	w.t.Helper()
	s, err := l.Open(w.ctx(time.Hour), KindCircuit)
	if err != nil {
		w.t.Fatal(err)
	}
	first := numbered(0)
	cell.Header{Type: cell.Create, Fragment: cell.SecondOfTwo}.Put(first)
	if _, err := s.Write(first); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// talk keeps n circuits busy until the world ends: each sends as fast as it may,
// and takes what comes back.
func (w *world) talk(l *Link, n int) {
	for range n {
		s := w.circuit(l)
		go func() {
			c := make([]byte, cell.Size)
			for readTrimmed(s, c) == nil {
			}
		}()
		go func() {
			for i := 1; ; i++ {
				if _, err := s.Write(numbered(i)); err != nil {
					return
				}
			}
		}()
	}
}

// A shaped link sends one cell each way in each tick and nothing else of that
// size, whether nobody talks or five circuits would fill it.
func TestTicksAreOnSchedule(t *testing.T) {
	const after = 10 // ticks after the warm-up
	for _, p := range []Profile{Saver, Normal, Fast} {
		for _, circuits := range []int{0, 5} {
			t.Run(fmt.Sprint(p, circuits), func(t *testing.T) {
				simulated(t, func(t *testing.T, w *world) {
					v := w.watchLink("3.0.0.1")
					_, _, l := w.shapedLink(p, cellEcho)
					began := v.now()
					w.circuit(l) // says nothing
					w.talk(l, circuits)
					pass(warmFor + (after+1)*p.Tick())
					up, down := v.between(began+time.Millisecond, began+warmFor+after*p.Tick()+p.Tick()/2)
					up, down = withCells(up), withCells(down)[1:] // LINK_HELLO came before
					for way, s := range map[string][]sighting{"up": up, "down": down} {
						if len(s) != 160+after {
							t.Fatalf("%s: %d cells, want %d", way, len(s), 160+after)
						}
						for i := 1; i < len(s); i++ {
							want := warmTick
							if i >= 160 {
								want = p.Tick()
							}
							if got := s[i].at - s[i-1].at; got != want {
								t.Errorf("%s: %v between cells %d and %d, want %v", way, got, i-1, i, want)
							}
						}
					}
					if got := up[0].at - began; got != warmTick {
						t.Errorf("the first tick of the client came after %v", got)
					}
				})
			})
		}
	}
}
