package gossip

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"hearsay/directory"
)

// A town is a network of nodes that run, over links with a delay and a
// bandwidth. It can be cut in two, and its silent nodes take streams, greet and
// then say nothing. Use it in a synctest bubble.
type town struct {
	t      testing.TB
	f      *founder
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	nodes   map[directory.RelayID]*townNode
	streams map[*lagStream]struct{} // dialers' ends
	cut     bool                    // no link between nodes of different sides
}

type townNode struct {
	*Node
	name   string
	side   int
	silent bool
}

// Links of a town: 50 ms each way, 10 Mbit/s.
const (
	townDelay = 50 * time.Millisecond
	townRate  = 10_000_000 / 8
)

func newTown(t testing.TB, f *founder) *town {
	ctx, cancel := context.WithCancel(context.Background())
	w := &town{t: t, f: f, ctx: ctx, cancel: cancel, nodes: make(map[directory.RelayID]*townNode), streams: make(map[*lagStream]struct{})}
	t.Cleanup(w.stop)
	return w
}

func (w *town) stop() {
	w.cancel()
	w.wg.Wait()
	for _, n := range w.nodes {
		if n.Node != nil {
			_ = n.Close()
		}
	}
	clear(w.nodes)
}

// add adds a node that serves; run starts it.
func (w *town) add(name string, role Role) *townNode {
	w.t.Helper()
	n := &townNode{name: name}
	var err error
	n.Node, err = NewNode(NodeConfig{
		Role: role, Self: idOf(name), Link: w.f.link(), Files: [][]byte{w.f.raw}, Dialer: townDialer{w, n},
		Views: &directory.Views{}, Dir: w.t.TempDir(),
	})
	check(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[idOf(name)] = n
	return n
}

// addSilent adds a node that says nothing.
func (w *town) addSilent(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[idOf(name)] = &townNode{name: name, silent: true}
}

func (w *town) run(n *townNode) { w.wg.Go(func() { _ = n.Run(w.ctx) }) }

// set cuts the town in two, which ends the links between the sides, or joins it.
func (w *town) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for s := range w.streams {
		if w.apartLocked(s.from, s.to) {
			s.fail()
		}
	}
}

func (w *town) apartLocked(a, b *townNode) bool {
	return w.cut && a.side != b.side
}

type townDialer struct {
	w    *town
	self *townNode
}

func (d townDialer) dial(ctx context.Context, p Peer) (*lagStream, *lagStream, *townNode, directory.RelayID, error) {
	d.w.mu.Lock()
	var to *townNode
	var id directory.RelayID
	for other, n := range d.w.nodes {
		if p.Partial && other.Prefix() == p.ID.Prefix() || other == p.ID {
			to, id = n, other
		}
	}
	apart := to == nil || d.w.apartLocked(d.self, to)
	d.w.mu.Unlock()
	if apart {
		<-ctx.Done()
		return nil, nil, nil, id, errNoAnswer
	}
	if !sleep(ctx, 4*townDelay) { // two round trips make a link
		return nil, nil, nil, id, ctx.Err()
	}
	up, back := newLagPipe(), newLagPipe()
	a := &lagStream{in: back, out: up, from: d.self, to: to}
	b := &lagStream{in: up, out: back, from: to, to: d.self}
	a.ended = func() {
		d.w.mu.Lock()
		delete(d.w.streams, a)
		d.w.mu.Unlock()
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.w.apartLocked(d.self, to) {
		return nil, nil, nil, id, errLinkDown
	}
	d.w.streams[a] = struct{}{}
	return a, b, to, id, nil
}

func (d townDialer) Gossip(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	a, b, to, id, err := d.dial(ctx, p)
	if err != nil {
		return nil, id, err
	}
	d.w.wg.Go(func() {
		if to.silent {
			_, _ = b.Write(appendMessage(nil, TypeHello, hello{role: RoleRelay, network: d.w.f.id, time: time.Now()}.append(nil)))
			_, _ = io.Copy(io.Discard, b)
			_ = b.Close()
			return
		}
		_ = to.ServeGossip(d.w.ctx, d.self.cfg.Self, b)
	})
	return a, id, nil
}

func (d townDialer) Request(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	a, b, to, id, err := d.dial(ctx, p)
	if err != nil {
		return nil, id, err
	}
	d.w.wg.Go(func() {
		if to.silent {
			_ = b.Close()
			return
		}
		_ = to.ServeLinkRequest(d.w.ctx, b, nil)
	})
	return a, id, nil
}

// lagStream is one end of a stream over a link.
type lagStream struct {
	in, out  *lagPipe
	from, to *townNode
	ended    func() // may be nil
}

func (s *lagStream) Read(b []byte) (int, error) { return s.in.read(b) }

func (s *lagStream) Write(b []byte) (int, error) { return s.out.write(b) }

func (s *lagStream) Close() error {
	s.out.close()
	s.in.stopRead(os.ErrClosed)
	if s.ended != nil {
		s.ended()
	}
	return nil
}

func (s *lagStream) SetDeadline(t time.Time) error {
	if !t.After(time.Now()) {
		s.in.stopRead(os.ErrDeadlineExceeded)
		s.out.stopWrite(os.ErrDeadlineExceeded)
	}
	return nil
}

var errLinkDown = errors.New("the link went down")

// fail is the end of the link, which both ends notice.
func (s *lagStream) fail() {
	for _, p := range []*lagPipe{s.in, s.out} {
		p.stopRead(errLinkDown)
		p.stopWrite(errLinkDown)
	}
}

// lagPipe is one direction of a stream.
type lagPipe struct {
	wake chan struct{} // capacity 1: the only reader looks again

	mu       sync.Mutex
	queue    []lagChunk
	free     time.Time // when the link has sent what was written before
	closed   bool
	readErr  error
	writeErr error
}

type lagChunk struct {
	at time.Time // when it arrives
	b  []byte
}

func newLagPipe() *lagPipe { return &lagPipe{wake: make(chan struct{}, 1)} }

func (p *lagPipe) signalLocked() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *lagPipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr != nil || p.closed {
		return 0, errors.Join(p.writeErr, io.ErrClosedPipe)
	}
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(len(b)) * time.Second / townRate)
	p.queue = append(p.queue, lagChunk{p.free.Add(townDelay), append([]byte(nil), b...)})
	p.signalLocked()
	return len(b), nil
}

func (p *lagPipe) read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		if p.readErr != nil {
			p.mu.Unlock()
			return 0, p.readErr
		}
		wait := time.Hour
		switch {
		case len(p.queue) > 0:
			c := &p.queue[0]
			if wait = time.Until(c.at); wait <= 0 {
				n := copy(b, c.b)
				if c.b = c.b[n:]; len(c.b) == 0 {
					p.queue = p.queue[1:]
				}
				p.mu.Unlock()
				return n, nil
			}
		case p.closed:
			p.mu.Unlock()
			return 0, io.EOF
		}
		p.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-p.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

func (p *lagPipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.signalLocked()
}

func (p *lagPipe) stopRead(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readErr == nil {
		p.readErr = err
	}
	p.signalLocked()
}

func (p *lagPipe) stopWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr == nil {
		p.writeErr = err
	}
}
