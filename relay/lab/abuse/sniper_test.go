package abuse

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

// sniperArgs say how memory is pinned.
type sniperArgs struct {
	Mode            sniperMode
	Links, Circuits int // circuits of each link
}

// sniperMode is who does not read, and how what waits was sent.
type sniperMode string

const (
	silentClient sniperMode = "the client reads nothing"
	muteClient   sniperMode = "the client acknowledges nothing"
	silentHop    sniperMode = "the next hop reads nothing"
	oneByte      sniperMode = "frames of one byte, the next hop reads nothing"
)

// foeWindow is what a silent client lets the victim send on each circuit.
const foeWindow = 256 << 10

// sniper holds circuits through the victim to the attacker's relay, on which
// one side does not take what the other sends, until the attack ends. It
// returns how many there are.
func (a *attacker) sniper(args sniperArgs) (any, error) {
	opened := make(chan int, args.Links)
	a.background(func(stop <-chan struct{}) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-stop; cancel() }()
		defer cancel()
		var wg sync.WaitGroup
		for range args.Links {
			wg.Go(func() { a.snipe(ctx, args, opened) })
		}
		wg.Wait()
	})
	n := 0
	for range args.Links {
		n += <-opened
	}
	return n, nil
}

// snipe is one link of the attack.
func (a *attacker) snipe(ctx context.Context, args sniperArgs, opened chan<- int) {
	var f *foe
	var circuits []*circuit
	_ = persist(func() (err error) {
		if f != nil {
			f.close()
		}
		f, circuits, err = a.load(ctx, args)
		return err
	})
	opened <- len(circuits)
	if f == nil {
		return
	}
	defer f.close()
	if args.Mode == silentClient || args.Mode == muteClient {
		for _, c := range circuits {
			if b, err := c.seal(1, cell.Message{Command: cell.Drop}); err == nil {
				_, _ = c.s.Write(b)
			}
		}
	}
	switch args.Mode {
	case muteClient:
		<-time.After(50 * time.Millisecond) // those cells are on their way
		f.mute.Store(true)
	case silentHop:
		var wg sync.WaitGroup
		for _, c := range circuits {
			wg.Go(func() { c.push(ctx) })
		}
		defer wg.Wait()
	case oneByte:
		a.drip(ctx, f, circuits)
	}
	<-ctx.Done()
}

// load makes a link with circuits to the attacker's relay. It returns an error if
// there are fewer than the attack needs.
func (a *attacker) load(ctx context.Context, args sniperArgs) (*foe, []*circuit, error) {
	f, err := connect(ctx, a.target, foeWindow)
	if err != nil {
		return nil, nil, err
	}
	var circuits []*circuit
	for range args.Circuits {
		var c *circuit
		if c, err = f.open(ctx); err != nil {
			break
		}
		if err = c.extend(a.target, a.relay.relay); err != nil {
			break
		}
		circuits = append(circuits, c)
	}
	if len(circuits) < leastSnipers() {
		return f, circuits, err
	}
	return f, circuits, nil
}

// leastSnipers is how many circuits each link of the attack needs.
func leastSnipers() int { return size(4, 20) }

// push sends cells to the second hop until nobody takes them.
func (c *circuit) push(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { c.s.CancelWrite(0) })()
	for {
		b, err := c.seal(1, cell.Message{Command: cell.Drop})
		if err != nil {
			return
		}
		if _, err := c.s.Write(b); err != nil {
			return
		}
	}
}

// drip fills all that lies behind the victim with whole cells, and then its
// own receive windows with STREAM frames of one byte: with each packet one of
// each circuit, since QUIC would join two of the same.
func (a *attacker) drip(ctx context.Context, f *foe, circuits []*circuit) {
	const ahead, behind = 150, 90 // cells
	rest := make([][]byte, len(circuits))
	var wg sync.WaitGroup
	for i, c := range circuits {
		wg.Go(func() {
			_ = c.s.SetWriteDeadline(time.Now().Add(time.Second))
			for n := range ahead + behind {
				b, err := c.seal(1, cell.Message{Command: cell.Drop})
				if err != nil {
					return
				}
				if n < ahead {
					_, _ = c.s.Write(b)
				} else {
					rest[i] = append(rest[i], b...)
				}
			}
		})
	}
	wg.Wait()
	for at := range behind * cell.Size {
		sent, frames := f.conn.ConnectionStats().PacketsSent, 0
		for i, c := range circuits {
			if c == nil || at == len(rest[i]) {
				continue
			}
			_ = c.s.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := c.s.Write(rest[i][at : at+1]); err != nil {
				circuits[i] = nil // its window is full, or it is gone
				continue
			}
			frames++
		}
		a.dripped.Add(int64(frames))
		for range 64 {
			if f.conn.ConnectionStats().PacketsSent != sent {
				break
			}
			runtime.Gosched()
		}
		if ctx.Err() != nil || f.conn.Context().Err() != nil {
			return
		}
	}
}

// snipeFor runs one attack on a victim with little memory, for so long that in
// a full run the victim has ended what stalls.
func snipeFor(t *testing.T, mode sniperMode, relay relayMode) {
	w := newWorld(t, worldConfig{relay: relay, maxMemory: 160 * mib})
	var n int
	links := size(2, 16)
	if mode == oneByte {
		links = 2 // more than it can fill in the time it has
	}
	w.attacker.call("sniper", sniperArgs{Mode: mode, Links: links, Circuits: size(8, 28)}, &n)
	if n < links*leastSnipers() {
		t.Fatalf("only %d circuits", n)
	}
	hold := time.After(time.Duration(size(2, 30)) * time.Second)
	<-hold
	var dripped int64
	w.attacker.call("dripped", none{}, &dripped)
	w.mu.Lock()
	t.Logf("%d circuits, %d frames of one byte, at most %+v", n, dripped, w.peak)
	w.mu.Unlock()
	var s stats
	w.victim.call("stats", none{}, &s)
	if full {
		results.check(t, string(mode)+": circuits that stall afterwards", s.Circuits == 0, itoa(s.Circuits), "0")
	}
	var honest loadResult
	w.honest.call("build", loadArgs{Links: 2, Count: 3, Every: 20 * time.Millisecond}, &honest)
	results.check(t, string(mode)+": honest circuits that failed", honest.Failed == 0, itoa(honest.Failed), "0")
	w.attacker.call("end", none{}, nil)
	w.below(string(mode), 256)
	w.after(string(mode), 64)
}

// TestAbuseSniperSilentClient: clients fetch from a relay of theirs and do not
// read.
func TestAbuseSniperSilentClient(t *testing.T) { snipeFor(t, silentClient, spews) }

// TestAbuseSniperMuteClient: the same, and no packet of theirs comes any more.
func TestAbuseSniperMuteClient(t *testing.T) { snipeFor(t, muteClient, spews) }

// TestAbuseSniperSilentHop: clients send to a relay of theirs that does not
// read.
func TestAbuseSniperSilentHop(t *testing.T) { snipeFor(t, silentHop, deaf) }

// TestAbuseSniperOneByteFrames: the same, in frames of one byte, each of which
// costs the victim a hundred times what it carries.
func TestAbuseSniperOneByteFrames(t *testing.T) { snipeFor(t, oneByte, deaf) }
