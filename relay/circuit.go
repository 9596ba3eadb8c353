package relay

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// state is the state of a circuit at this relay (SPEC.md §3).
type state int32

const (
	stateNew       state = iota // waiting for the fragments of CREATE
	stateHandshake              // a worker computes the answer
	stateLeaf                   // the circuit ends here
	stateExtending              // waiting for the next hop's CREATED
	stateOpen                   // cells go through
	stateClosed
)

// errProtocol says that a peer broke a rule of SPEC.md §3; the circuit ends.
// Errors of a circuit are for its own goroutines: no peer learns them.
var (
	errProtocol = errors.New("relay: not allowed in this state")
	errGone     = errors.New("relay: circuit is gone")
	errLoad     = errors.New("relay: handshakes take too long")
	errRefused  = errors.New("relay: this link may not create a circuit now")
	errFull     = errors.New("relay: no new circuits")
	errTooMuch  = errors.New("relay: over a limit that ends the circuit")
)

// circuit is one circuit at this relay.
//
// The forward goroutine, which is the link handler's, reads the client side
// and owns the forward half of the layer; the backward goroutine owns the
// backward half and alone writes to the client side. Service streams and a
// running extension have goroutines of their own. done ends all of them.
type circuit struct {
	sw   *Switch
	peer *peer
	// release says to whoever gave the client side's stream that it is used up.
	release func()
	num     uint64 // for Trace alone

	prev  stream
	in    cellReader // of prev; forward goroutine
	layer *onion.Layer
	// answered holds the layer that a worker made until the forward goroutine
	// takes it over; whoever finds the circuit closed takes it out and erases it.
	answered atomic.Pointer[onion.Layer]

	state atomic.Int32
	done  chan struct{}  // closed at the end
	wg    sync.WaitGroup // all goroutines but the forward one

	// replies are this hop's own messages on their way to the client. When it
	// is full, whoever has a reply waits, and so reads no more. A nil one says
	// that there is a next hop now.
	replies chan *localCell

	tx *sendCredit
	rx recvCredit

	// Ticks for the janitor.
	born   int64
	active atomic.Int64 // last cell either way
	upSince,
	downSince atomic.Int64 // a Write towards next hop or client began, or 0
	extendSince atomic.Int64 // first fragment of EXTEND is here, or 0

	upPark, downPark parking

	// What was sent to the next hop and towards the client.
	up, down lane

	// Of the janitor (SPEC.md §5.2): ticks since which a direction is stalled,
	// or 0, and what it needs to know that.
	upStalled, downStalled        atomic.Int64
	upHeld, downHeld, repliesFull int64

	// Of the forward goroutine.
	extend   *cell.MessageAssembler // nil before and after
	extended bool                   // an EXTEND was taken; there is only one
	pings    *rate.Limiter
	drops    *rate.Limiter
	upLimit  *rate.Limiter

	snapshotTaken atomic.Bool // on one of the directory streams
	upBusy        atomic.Bool // sent more than a quiet circuit lately

	downLimit *rate.Limiter // backward goroutine
	paced     bool          // rates of bytes may be limited
	attached  bool          // of the backward goroutine: there is a next hop
	slot      int8          // of the layer
	downBusy  atomic.Bool

	mu        sync.Mutex
	echo      *echoer                   // nil before the first ECHO, which the forward goroutine takes
	next      stream                    // set at the end of an extension
	nextRelay directory.RelayID         // whose stream next is
	out       *cellReader               // of next; backward goroutine reads it
	streams   map[uint16]*serviceStream // open service streams
	ended     map[uint16]struct{}       // ids used up; late messages are dropped
}

func (sw *Switch) newCircuit(p *peer, s stream) *circuit {
	c := &circuit{
		sw:      sw,
		peer:    p,
		prev:    s,
		done:    make(chan struct{}),
		replies: make(chan *localCell, replyCells),
		born:    sw.clock.now(),
	}
	c.in.s, c.in.clock = s, &sw.clock
	c.active.Store(c.born)
	c.down.set(s, urgencyFirst)
	if !sw.cfg.InsecureNoRateLimits {
		if !p.relay {
			c.upLimit = rate.NewLimiter(circuitByteRate, circuitByteBurst)
			c.downLimit = rate.NewLimiter(circuitByteRate, circuitByteBurst)
		}
		c.paced = true
	}
	return c
}

// serve answers CREATE and starts the goroutines of the circuit. It returns
// when they run, or the circuit is finished.
func (c *circuit) serve() {
	if err := c.handshake(); err != nil {
		c.finish(err)
		return
	}
	c.wg.Add(1)
	go c.backward()
	go c.parkForward()
}

// finish ends the circuit because of err and clears up after it. The forward
// goroutine calls it at its end.
func (c *circuit) finish(err error) {
	if state(c.state.Load()) != stateClosed { // else somebody else ended it
		c.peer.judge(err)
	}
	c.end(why(err))
	c.in.ring.shut()
	c.wg.Wait()
	c.eraseAnswered()
	if c.layer != nil {
		c.layer.Erase()
	}
	c.sw.forget(c, err)
	c.release()
}

// eraseAnswered erases a layer that the forward goroutine did not take over.
func (c *circuit) eraseAnswered() {
	if l := c.answered.Swap(nil); l != nil {
		l.Erase()
	}
}

// close ends the circuit: both streams are reset in both directions, without a
// reason. It may be called at any time, from any goroutine, again and again.
func (c *circuit) close() { c.end(EndPeer) }

// end is close for a reason, which counts if it is the first.
func (c *circuit) end(why End) {
	if state(c.state.Swap(int32(stateClosed))) == stateClosed {
		return
	}
	c.sw.counts.ended[why].Add(1)
	close(c.done)
	drop := reset
	if why == EndMemory {
		drop = resetNow
	}
	drop(c.prev)
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	if next != nil {
		drop(next)
	}
}

// resetNow is reset that waits for no tick of a shaped link.
func resetNow(s stream) {
	if r, ok := s.(interface{ Reset() }); ok {
		r.Reset()
		return
	}
	reset(s)
}

func reset(s stream) {
	s.CancelWrite(0)
	s.CancelRead(0)
}

// become moves from one state to another; it reports false if the circuit is
// in a third one, which is stateClosed.
func (c *circuit) become(from, to state) bool {
	return c.state.CompareAndSwap(int32(from), int32(to))
}

// handshake takes a circuit from stateNew to stateLeaf.
func (c *circuit) handshake() error {
	if err := c.prev.SetReadDeadline(time.Now().Add(fragmentTimeout)); err != nil {
		return err
	}
	asm := cell.Assembler{Type: cell.Create}
	var create []byte
	for create == nil {
		buf, cells, err := c.in.next()
		if err != nil {
			return err
		}
		for ; len(cells) > 0 && err == nil; cells = cells[cell.Size:] {
			if create != nil {
				err = errProtocol // something after the last fragment
				break
			}
			if t := c.sw.cfg.Trace; t != nil {
				t.Cell(c.num, FromClientSide, cells[:cell.Size])
			}
			var msg []byte
			var whole bool
			if msg, whole, err = asm.Add(cells[:cell.Size]); whole {
				create = msg
			}
		}
		batches.Put(buf)
		if err != nil {
			return err
		}
	}
	c.in.ready() // nobody reads ahead of CREATED
	if c.in.have > 0 || !c.become(stateNew, stateHandshake) {
		return errProtocol
	}
	switch {
	case c.sw.refusing() || c.sw.memory.refusing.Load():
		return errFull
	case !c.peer.mayCreate():
		return errRefused
	}

	// While the worker computes, this goroutine watches the stream: nothing
	// may come, and a reset ends the wait.
	if err := c.prev.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	var created []byte
	var granted cell.Options
	failed := errGone
	ready := make(chan struct{})
	ok := c.sw.workers.submit(c.peer, func(late bool) {
		defer close(ready)
		if late || state(c.state.Load()) != stateHandshake {
			failed = errLoad
		} else {
			created, granted, failed = c.respond(create)
		}
		c.prev.SetReadDeadline(past)
	})
	if !ok {
		return errLoad
	}
	if _, err := c.prev.Peek(c.in.one[:]); err == nil {
		return errProtocol
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	<-ready // its closing follows the deadline at once
	if failed != nil {
		return failed
	}
	if c.layer = c.answered.Swap(nil); c.layer == nil {
		return errGone
	}
	c.slot = int8(c.layer.Slot())
	if err := c.prev.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	c.tx = newSendCredit(int(granted.Initial), int(granted.Max))
	c.rx.init(int(granted.Max))
	if !c.become(stateHandshake, stateLeaf) {
		return errGone
	}
	return c.sendCreated(created)
}

// past is a deadline that has expired.
var past = time.Unix(1, 0)

// respond computes the answer to a CREATE message, on a worker.
func (c *circuit) respond(create []byte) (created []byte, granted cell.Options, err error) {
	cfg := &c.sw.cfg
	layer, _, created, err := onion.Respond(c.sw.random, cfg.Network, cfg.ID, cfg.OnionKeys(), create, func(o cell.Options) cell.Options {
		granted = cfg.grant(o)
		if !o.HasCredit {
			return cell.Options{}
		}
		return granted
	})
	if err != nil {
		return nil, cell.Options{}, err
	}
	c.answered.Store(layer)
	if state(c.state.Load()) == stateClosed {
		c.eraseAnswered() // nobody waits for it any more
	}
	return created, granted, nil
}

// grant returns the credit for a circuit whose client asks for o (SPEC.md
// §3.2).
func (cfg *SwitchConfig) grant(o cell.Options) cell.Options {
	if !o.HasCredit {
		return cell.Options{HasCredit: true, Initial: cell.CreditInitial, Max: cell.CreditInitial}
	}
	if !cfg.InsecureNoRateLimits {
		o.Initial = min(o.Initial, cell.CreditInitial)
	}
	return cell.Options{HasCredit: true, Initial: o.Initial, Max: min(o.Max, cell.CreditMax)}
}

func (c *circuit) sendCreated(created []byte) error {
	buf := batches.Get().(*batch)
	defer batches.Put(buf)
	cell.PutFragments(buf[:cell.Size], buf[cell.Size:2*cell.Size], cell.Created, created)
	c.tx.begun(c.sw.since())
	return c.write(c.prev, &c.downSince, buf[:2*cell.Size], ToClientSide)
}

// write sends whole cells on a stream. since marks a write in progress for the
// janitor, which resets the stream if it lasts too long.
func (c *circuit) write(s stream, since *atomic.Int64, cells []byte, way Way) error {
	now := c.sw.clock.now()
	c.active.Store(now)
	if t := c.sw.cfg.Trace; t != nil {
		for b := cells; len(b) > 0; b = b[cell.Size:] {
			t.Cell(c.num, way, b[:cell.Size])
		}
	}
	if tamper := c.sw.cfg.InsecureTamper; tamper != nil {
		cells = tamper(way, cells)
	}
	since.Store(now)
	_, err := s.Write(cells)
	since.Store(0)
	if way == ToNextHop {
		c.up.sent(len(cells))
	} else {
		c.down.sent(len(cells))
	}
	return err
}

// predecessor reports whether id is the hop towards the client.
func (c *circuit) predecessor(id directory.RelayID) bool {
	return c.peer.id != directory.RelayID{} && c.peer.id == id
}
