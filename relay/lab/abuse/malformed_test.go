package abuse

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// malformedArgs say how many cells to send.
type malformedArgs struct {
	Cells, Links int
	Most         time.Duration
}

type malformedResult struct {
	Cells, Connections int64
	Took               time.Duration
}

// window is how many cells fit a stream before the victim has read any.
const window = 56

// malformed sends cells that break every rule there is, on links that are
// replaced when they are used up or closed.
func (a *attacker) malformed(args malformedArgs) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), args.Most)
	defer cancel()
	began := time.Now()
	var cells, connections atomic.Int64
	var wg sync.WaitGroup
	for i := range args.Links {
		wg.Go(func() {
			rnd := mathrand.New(mathrand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil && cells.Load() < int64(args.Cells) {
				f, err := connect(ctx, a.target, 64<<10)
				if err != nil {
					continue
				}
				connections.Add(1)
				f.misbehave(ctx, rnd, func(n int) bool { return cells.Add(int64(n)) < int64(args.Cells) })
				f.close()
			}
		})
	}
	wg.Wait()
	return malformedResult{Cells: cells.Load(), Connections: connections.Load(), Took: time.Since(began)}, nil
}

// misbehave uses a link up. sent counts cells and says whether to go on.
func (f *foe) misbehave(ctx context.Context, rnd *mathrand.Rand, sent func(int) bool) {
	for range 30 {
		kind := rnd.IntN(len(malformations))
		if kind < signed && rnd.IntN(8) > 0 {
			kind = signed + rnd.IntN(len(malformations)-signed) // handshakes cost us, too
		}
		n, err := malformations[kind].send(ctx, f, rnd)
		if !sent(n) || err != nil {
			return
		}
	}
	if rnd.IntN(2) == 0 { // the end of the link: a second control stream
		if s, err := f.hello(); err == nil {
			_, _ = s.Write(junk(rnd, 1, cell.LinkHello))
		}
	}
}

// malformation is one way to break a rule; send returns the cells sent.
type malformation struct {
	name string
	send func(ctx context.Context, f *foe, rnd *mathrand.Rand) (int, error)
}

// signed is the number of malformations at the head of the list that need a
// circuit.
const signed = 5

var malformations = []malformation{
	{"cells that do not open", onCircuit(func(*circuit, *mathrand.Rand) [][]byte { return nil })},
	{"cells of another type", onCircuit(func(_ *circuit, rnd *mathrand.Rand) [][]byte {
		return [][]byte{junk(rnd, 1, cell.Type(4+rnd.IntN(250)))}
	})},
	{"trim too long", onCircuit(func(_ *circuit, rnd *mathrand.Rand) [][]byte {
		b := junk(rnd, 1, cell.Relay)
		b[3] = byte(cell.MaxTrim + 1 + rnd.IntN(200))
		return [][]byte{b}
	})},
	{"commands of relays", onCircuit(func(c *circuit, rnd *mathrand.Rand) [][]byte {
		m := []cell.Message{
			{Command: cell.Pong, Data: make([]byte, 16)},
			{Command: cell.Connected, Stream: 1},
			{Command: cell.ExtendFail, Data: []byte{1}},
			{Command: cell.EchoReply, Data: make([]byte, cell.DataSize)},
			{Command: cell.SendMe, Data: make([]byte, 16)},
			{Command: cell.Data, Stream: 3, Data: make([]byte, 9)},
		}[rnd.IntN(6)]
		b, err := c.seal(0, m)
		if err != nil {
			return nil
		}
		return [][]byte{b}
	})},
	{"cells for a hop that is not there", onCircuit(func(c *circuit, rnd *mathrand.Rand) [][]byte {
		b, err := c.seal(0, cell.Message{Command: cell.Drop})
		if err != nil {
			return nil
		}
		return [][]byte{b, junk(rnd, 1, cell.Create), junk(rnd, 1, cell.Created)}
	})},
	{"CREATE of junk", onStream(func(rnd *mathrand.Rand) []byte {
		b := make([]byte, 2*cell.Size)
		msg := make([]byte, cell.CreateSize)
		fill(rnd, msg)
		if rnd.IntN(2) == 0 {
			copy(msg, []byte{0, 1, 1, 0})
		}
		cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Create, msg)
		return b
	})},
	{"second fragment first", onStream(func(rnd *mathrand.Rand) []byte {
		b := junk(rnd, 1, cell.Create)
		b[2] = cell.SecondOfTwo
		return b
	})},
	{"flags", onStream(func(rnd *mathrand.Rand) []byte {
		b := junk(rnd, 1, cell.Create)
		b[1], b[2] = byte(1+rnd.IntN(255)), cell.FirstOfTwo
		return b
	})},
	{"junk", onStream(func(rnd *mathrand.Rand) []byte { return junk(rnd, 1, cell.Create) })},
	{"unknown kinds", onStream(func(rnd *mathrand.Rand) []byte { return junk(rnd, 1, cell.Type(rnd.IntN(256))) })},
	{"a part of a cell", onStream(func(rnd *mathrand.Rand) []byte { return junk(rnd, 1, cell.Create)[:1+rnd.IntN(cell.Size-1)] })},
}

func fill(rnd *mathrand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
}

var noise = func() []byte {
	b := make([]byte, 2*window*cell.Size)
	rand.Read(b)
	return b
}()

// junk returns random cells with a type byte.
func junk(rnd *mathrand.Rand, n int, typ cell.Type) []byte {
	at := rnd.IntN(window)
	b := append([]byte(nil), noise[at:at+n*cell.Size]...)
	for i := 0; i < len(b); i += cell.Size {
		copy(b[i:], []byte{byte(typ), 0, 0, 0})
	}
	return b
}

// follow fills a stream's window with more junk.
func follow(s *quic.Stream, rnd *mathrand.Rand) int {
	_ = s.SetWriteDeadline(time.Now().Add(2 * time.Second))
	at := rnd.IntN(window)
	n, _ := s.Write(noise[at : at+(window-4)*cell.Size])
	reset(s)
	return n / cell.Size
}

// onStream begins a fresh stream with something.
func onStream(first func(*mathrand.Rand) []byte) func(context.Context, *foe, *mathrand.Rand) (int, error) {
	return func(ctx context.Context, f *foe, rnd *mathrand.Rand) (int, error) {
		s, err := f.conn.OpenStreamSync(ctx)
		if err != nil {
			return 0, err
		}
		n, _ := s.Write(first(rnd))
		return (n+cell.Size-1)/cell.Size + follow(s, rnd), nil
	}
}

// onCircuit begins with something on a good circuit. A link that is refused
// circuits has been found out, and is replaced.
func onCircuit(first func(*circuit, *mathrand.Rand) [][]byte) func(context.Context, *foe, *mathrand.Rand) (int, error) {
	return func(ctx context.Context, f *foe, rnd *mathrand.Rand) (int, error) {
		c, err := f.open(ctx)
		if err != nil {
			return 0, err
		}
		n := 0
		for _, b := range first(c, rnd) {
			if _, err := c.s.Write(b); err == nil {
				n++
			}
		}
		return n + follow(c.s, rnd), nil
	}
}

// TestAbuseMalformedCells sends malformed cells of every kind.
func TestAbuseMalformedCells(t *testing.T) {
	w := newWorld(t, worldConfig{})
	args := malformedArgs{Cells: size(20_000, 1_000_000), Links: size(8, 24), Most: 240 * time.Second}
	var r malformedResult
	w.attacker.call("malformed", args, &r)
	t.Logf("%+v", r)
	results.check(t, "malformed cells: sent", r.Cells >= int64(args.Cells), fmt.Sprintf("%d over %d links", r.Cells, r.Connections), fmt.Sprintf("%d", args.Cells))
	timed(t, "malformed cells: in", r.Took, 120*time.Second, "")
	var honest loadResult
	w.honest.call("build", loadArgs{Links: 2, Count: 3, Every: 20 * time.Millisecond}, &honest)
	if honest.Failed > 0 {
		t.Errorf("%d honest circuits failed afterwards", honest.Failed)
	}
	w.below("malformed cells", 256)
	w.after("malformed cells", 64)
}
