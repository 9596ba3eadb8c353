package circuit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// conn is the QUIC stream under a circuit.
type conn interface {
	io.Reader
	io.Writer
	Peek([]byte) (int, error)
	SetReadDeadline(time.Time) error
	CancelRead(quic.StreamErrorCode)
	CancelWrite(quic.StreamErrorCode)
	SetPriority(urgency int8, incremental bool)
}

// Circuit is one circuit of a Pool. All methods are safe for concurrent use.
//
// Two goroutines serve it: one reads cells and one writes them. A circuit that
// was closed, by either side, stays closed.
type Circuit struct {
	id      string
	network directory.NetworkID
	conn    conn
	guard   *guardLink
	born    time.Time
	onClose func(*Circuit)

	// The reader opens and adds layers, the writer seals. sealing is held while
	// cells are sealed and while a layer is added.
	sealing sync.Mutex
	onion   onion.Client
	users   atomic.Int32 // goroutines that may still touch the layers

	now  time.Duration // since born, when the reader got the last bytes; the reader's
	rank *rank         // among the circuits of the link

	done   chan struct{}
	retire chan struct{}

	mu        sync.Mutex
	closed    bool
	reason    string // why it closed, in words
	broken    bool   // a relay closed it, or did not answer: its destination may be at fault
	retired   bool
	purpose   Purpose
	dest      directory.RelayID
	relays    []directory.RelayID // of the hops, at most 4
	flows     []flow              // by hop
	credit    chan struct{}       // closed and replaced when credit comes or a stream may go on
	awaited   bool                // somebody waits for credit
	out       queue[outbound]     // waiting for the writer; bounded by credit and rate limits
	wake      chan struct{}       // capacity 1: out has grown
	streams   map[uint16]*stream
	changed   []*stream // whose users are to be woken
	lastID    uint16
	extending *extension
	pings     [cell.Slots][]ping // unanswered, in order
	echoes    [cell.Slots]queue[*echo]
	pingRate  [cell.Slots]bucket
	rtt       time.Duration
	asked     time.Time // when the oldest cell went out that nothing came back after
	heard     time.Time // when the last cell came
	probed    bool      // the guard was asked since asked
	pinged    time.Time // when the pool last asked for a PING
	waited    time.Time // when cells were last seen to wait for their tick
	spoke     time.Time // when the last mailbox message left in its tick

	idle chan struct{} // for the next outbound.written, or nil
}

// guardLink is what circuits over one link have in common.
type guardLink struct {
	id      directory.RelayID
	done    <-chan struct{} // closed when the link is gone
	heard   atomic.Int64    // Unix nanoseconds of the last cell on any circuit
	tick    atomic.Int64    // nanoseconds between two cells on a shaped link, 0 on others
	shaped  func() bool     // tells whether the link is shaped now
	trimmed atomic.Bool     // it was shaped once, so cells may still have trim
	ranking ranking
}

func newGuardLink(id directory.RelayID, l *link.Link) *guardLink {
	return &guardLink{id: id, done: l.Done(), shaped: l.Shaped}
}

// isShaped tells whether cells leave in ticks now.
func (g *guardLink) isShaped() bool {
	if !g.shaped() {
		return false
	}
	if !g.trimmed.Load() {
		g.trimmed.Store(true)
	}
	return true
}

// mayTrim tells whether zero bytes may follow a cell: only if the link is or
// was shaped.
func (g *guardLink) mayTrim() bool { return g.trimmed.Load() || g.isShaped() }

func newCircuit(id string, network directory.NetworkID, s conn, g *guardLink, now time.Time, onClose func(*Circuit)) *Circuit {
	c := &Circuit{
		id: id, network: network, conn: s, guard: g, born: now, onClose: onClose,
		rank: &rank{set: s.SetPriority, at: now},
		done: make(chan struct{}), retire: make(chan struct{}),
		credit: make(chan struct{}), wake: make(chan struct{}, 1),
		purpose: Spare, streams: map[uint16]*stream{},
		asked: now, heard: now, pinged: now,
	}
	for i := range c.pingRate {
		c.pingRate[i] = bucket{tokens: pingBurst, burst: pingBurst, rate: pingRate, last: now}
	}
	return c
}

// Done is closed when the circuit is gone. Info then says why.
func (c *Circuit) Done() <-chan struct{} { return c.done }

// Retire is closed when the circuit should be replaced: ask the pool again with
// the same Request and move over. The pool closes the circuit a while later
// (SPEC.md §6).
func (c *Circuit) Retire() <-chan struct{} { return c.retire }

// Tick is the time between two cells on the circuit's link, or zero if it is
// not shaped. Whoever waits for an answer waits some ticks longer.
func (c *Circuit) Tick() time.Duration { return time.Duration(c.guard.tick.Load()) }

// Info describes the circuit.
func (c *Circuit) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := Info{ID: c.id, Purpose: c.purpose, Destination: c.dest, RTT: c.rtt, Reason: c.reason, State: "building"}
	hops := len(c.relays)
	if c.dest != (directory.RelayID{}) && hops == cell.Slots {
		hops--
	}
	i.Path = append(i.Path, c.relays[:hops]...)
	switch {
	case c.closed:
		i.State = "closed"
	case c.dest == (directory.RelayID{}) && len(c.relays) >= 3, len(c.relays) == cell.Slots:
		i.State = "open"
	}
	return i
}

// Hops returns the number of hops, the destination included.
func (c *Circuit) Hops() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.relays)
}

// Close destroys the circuit in both directions. It is idempotent and does not
// block.
func (c *Circuit) Close() { c.destroy("closed by this side") }

// destroy ends the circuit: DESTROY is a reset in both directions, which
// overtakes queued cells and tells no reason (SPEC.md §3).
func (c *Circuit) destroy(reason string) { c.end(reason, false) }

func (c *Circuit) end(reason string, broken bool) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed, c.reason, c.broken = true, reason, broken
	close(c.done)
	c.mu.Unlock()
	c.conn.CancelRead(0)
	c.conn.CancelWrite(0)
	if c.onClose != nil {
		c.onClose(c)
	}
}

// fail ends the circuit for an error of the stream or of the peer.
func (c *Circuit) fail(err error) {
	reason, broken := "a relay of the circuit closed it", false
	var idle *quic.IdleTimeoutError
	var reset *quic.StreamError
	switch {
	case errors.Is(err, errViolation), errors.Is(err, cell.ErrFormat), errors.Is(err, onion.ErrLayer):
		reason, broken = errViolation.Error(), true
	case errors.As(err, &idle):
		reason = "the link to the guard was lost"
	default:
		select {
		case <-c.guard.done:
			reason = "the link to the guard was lost"
		default:
			broken = errors.As(err, &reset) || errors.Is(err, io.EOF)
		}
	}
	c.end(reason, broken)
}

// wasBroken tells whether a relay ended the circuit.
func (c *Circuit) wasBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// closedError is what methods return on a closed circuit.
func (c *Circuit) closedError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closedErrorLocked()
}

func (c *Circuit) closedErrorLocked() error {
	return fmt.Errorf("%w: %s", ErrClosed, c.reason)
}

// start runs the two goroutines of the circuit; wg counts them.
func (c *Circuit) start(wg *sync.WaitGroup) {
	c.users.Store(2)
	c.guard.ranking.add(c.rank)
	wg.Go(func() { defer c.leave(); c.read() })
	wg.Go(func() { defer c.leave(); c.write() })
}

// leave erases the keys when the last goroutine that uses them has ended.
func (c *Circuit) leave() {
	if c.users.Add(-1) == 0 {
		c.guard.ranking.remove(c.rank)
		c.onion.Erase()
	}
}

// addHop puts the layer of the next hop on the circuit. Only the reader, or
// the builder before the goroutines start, calls it.
func (c *Circuit) addHop(id directory.RelayID, l *onion.Layer, o cell.Options) error {
	c.sealing.Lock()
	err := c.onion.Add(l)
	c.sealing.Unlock()
	if err != nil {
		return err
	}
	if !o.HasCredit { // never: the handshake demands what was asked
		o.Initial, o.Max = cell.CreditMin, cell.CreditMin
	}
	c.mu.Lock()
	c.relays = append(c.relays, id)
	c.flows = append(c.flows, newFlow(o))
	c.mu.Unlock()
	return nil
}

// handshake starts a handshake with the relay of the next slot.
func (c *Circuit) handshake(r *directory.Relay, slot int) (*onion.ClientHandshake, []byte, error) {
	initial, maximum := askedCredit(c.guard.isShaped(), c.rank.bulk)
	return onion.NewClientHandshake(rand.Reader, onion.Params{
		Network:    c.network,
		Identity:   r.ID,
		OnionKey:   r.OnionKey,
		OnionEpoch: r.OnionEpoch,
		Options: cell.Options{
			HasSlot: true, Slot: slot,
			HasCredit: true, Initial: initial, Max: maximum,
		},
	})
}

// extension is an EXTEND that waits for its answer.
type extension struct {
	hop       int // that extends
	relay     *directory.Relay
	handshake *onion.ClientHandshake
	assembler cell.MessageAssembler
	result    chan error // capacity 1
}

// extendError says why EXTEND failed, by the code of EXTEND_FAIL or 0 if the
// circuit went silent or was closed.
type extendError struct {
	code byte
	why  string
}

func (e *extendError) Error() string { return e.why }

var failTexts = [...]string{
	cell.FailUnknown:     "the relay before it does not know it",
	cell.FailUnreachable: "it cannot be reached",
	cell.FailRefused:     "it refused",
	cell.FailTimeout:     "it did not answer in time",
}

// extend adds one hop and returns when it is there. Any error means that the
// circuit must be destroyed; it is an *extendError or that of ctx.
func (c *Circuit) extend(ctx context.Context, r *directory.Relay) error {
	c.mu.Lock()
	hop := len(c.relays) - 1
	if c.closed || c.extending != nil || hop < 0 || hop+1 >= cell.Slots || len(c.streams) > 0 {
		c.mu.Unlock()
		return &extendError{why: "the circuit was closed"}
	}
	c.mu.Unlock()
	h, create, err := c.handshake(r, hop+1)
	if err != nil {
		return &extendError{code: cell.FailUnknown, why: "its onion key is unusable"}
	}
	x := &extension{
		hop: hop, relay: r, handshake: h,
		assembler: cell.MessageAssembler{Command: cell.Extended},
		result:    make(chan error, 1),
	}
	start := time.Now()
	c.mu.Lock()
	c.extending = x
	for _, m := range cell.SplitExtend(r.ID, create) {
		c.enqueueLocked(outbound{hop: hop, m: m})
	}
	c.mu.Unlock()

	// A hop that says nothing at all is given up sooner than one that answers
	// PING while it dials.
	probe := time.NewTimer(probeAfter + 4*c.Tick())
	defer probe.Stop()
	probed := false
	for {
		select {
		case err := <-x.result:
			if err == nil {
				c.mu.Lock()
				c.rtt = time.Since(start)
				c.mu.Unlock()
			}
			return err
		case <-c.done:
			return &extendError{why: "the circuit was closed"}
		case <-ctx.Done():
			return &extendError{code: cell.FailTimeout, why: failTexts[cell.FailTimeout]}
		case <-probe.C:
			if c.Tick() > 0 {
				continue // a PING would cost a tick; the builder's time ends this
			}
			if probed {
				if c.heardSince(start) {
					continue
				}
				return &extendError{why: "the circuit fell silent"}
			}
			probed = true
			_, _ = c.sendPing(hop, nil)
			probe.Reset(silentAfter - probeAfter + 4*c.Tick())
		}
	}
}

func (c *Circuit) heardSince(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard.After(t)
}

// extended takes one EXTENDED message in the reader.
func (c *Circuit) extended(hop int, m cell.Message) error {
	c.mu.Lock()
	x := c.extending
	c.mu.Unlock()
	if x == nil || x.hop != hop {
		return violation("EXTENDED without EXTEND")
	}
	created, done, err := x.assembler.Add(m)
	if err != nil || !done {
		return err
	}
	layer, o, err := x.handshake.Finish(created)
	if err != nil {
		return violation("a handshake that does not verify")
	}
	if err := c.addHop(x.relay.ID, layer, o); err != nil {
		return err
	}
	c.mu.Lock()
	c.extending = nil
	c.mu.Unlock()
	x.result <- nil
	return nil
}

// extendFailed takes an EXTEND_FAIL. The builder destroys the circuit.
func (c *Circuit) extendFailed(hop int, code byte) error {
	c.mu.Lock()
	x := c.extending
	c.extending = nil
	c.mu.Unlock()
	if x == nil || x.hop != hop || code == 0 || int(code) >= len(failTexts) {
		return violation("EXTEND_FAIL without EXTEND")
	}
	x.result <- &extendError{code: code, why: failTexts[code]}
	return nil
}
