package chat

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// Constants of transfers (SPEC.md §13.3).
const (
	fileRelays   = 4                      // of one file
	fileLanes    = 4                      // circuits of one file at once, each to another relay
	fileCircuits = 8                      // of all files at once
	laneSegments = 2                      // on their way over one circuit at once
	laneQueues   = mailbox.NewMax         // made or read over one circuit
	fileSync     = 500 * time.Millisecond // progress is on the disk so often
	filePatience = 15 * time.Second       // without any answer a circuit is given up
	slowPatience = 4 * shapedTicks        // and so many ticks more in slots
	slowBlocks   = 16                     // asked for at once in slots; else as many as a poll may
	burstRenew   = 40 * time.Second       // a burst is made longer so long before its end
	burstAgain   = 20 * time.Second       // without a grant the guard is asked again so often
	burstLeast   = 30 * time.Second       // that a burst is asked for
	burstLook    = 5 * time.Second        // a transfer in slots looks for a grant so often
	burstRounds  = 3                      // that bring nothing end a receiver's burst until something comes
	burstRate    = 1 << 20                // bytes a second that bursts are asked for
)

// fileTiming holds the waits of a receiver. Lab networks run the long ones ten
// times as fast.
type fileTiming struct {
	look    time.Duration // for more of a segment that is not all there, doubling
	idle    time.Duration // and so long at most before the segment's other place is tried
	want    time.Duration // without any block, before parts are asked for again
	wantGap time.Duration // and between two such questions, doubling five times
}

func (m *Messenger) fileTiming(bulk bool) fileTiming {
	t := fileTiming{look: 250 * time.Millisecond, idle: 5 * time.Second, want: 10 * time.Minute, wantGap: time.Hour}
	if m.isLab() {
		t.want, t.wantGap = t.want/10, t.wantGap/10
	}
	if !bulk {
		t.look, t.idle = 15*m.tick(), 120*m.tick()
	}
	return t
}

// transfers is what all transfers share.
type transfers struct {
	spools   *spools
	circuits *gate // of files; slow ones take their turn in slow, too
	slow     *gate
	burst    burster
}

func newTransfers(home string) *transfers {
	return &transfers{spools: newSpools(home), circuits: newGate(fileCircuits), slow: newGate(1), burst: burster{turn: make(chan struct{}, 1)}}
}

// transfer is what a worker of either direction has.
type transfer struct {
	m    *Messenger
	id   string
	wake chan struct{}

	opened atomic.Uint64 // circuits, for their names

	mu    sync.Mutex
	rests map[directory.RelayID]*relayRest
	works time.Time // when any relay last did what was asked
}

// relayRest is a relay that failed.
type relayRest struct {
	fails int // in a row
	since time.Time
	until time.Time
}

func (m *Messenger) newTransfer(f *file) *transfer {
	return &transfer{m: m, id: f.id, wake: f.wake, rests: make(map[directory.RelayID]*relayRest)}
}

// failed lets a relay rest, and counts.
func (t *transfer) failed(relay directory.RelayID, asked time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rests[relay]
	if r == nil {
		r = &relayRest{since: time.Now()}
		t.rests[relay] = r
	}
	r.fails++
	tm := t.m.timing()
	r.until = time.Now().Add(max(backoff(r.fails, tm.retryMin, tm.retryMax), asked))
}

// worked ends the rest of a relay.
func (t *transfer) worked(relay directory.RelayID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rests, relay)
	t.works = time.Now()
}

// resting tells whether a relay is to be left alone, and for how long.
func (t *transfer) resting(relay directory.RelayID) (wait time.Duration, resting bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rests[relay]; r != nil {
		wait = time.Until(r.until)
		return wait, wait > 0
	}
	return 0, false
}

// hopeless tells whether a relay failed several times in a row while another one
// worked: then it is the relay, not the way to all of them.
func (t *transfer) hopeless(relay directory.RelayID, fails int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rests[relay]
	return r != nil && r.fails >= fails && t.works.After(r.since)
}

// pace is how a transfer uses the link.
type pace struct {
	bulk  bool // passes the ticks, or there are none
	lanes int
}

// paceOf is slow, one circuit in the slots of the cover profile, unless the user
// chose a burst or links are not shaped.
func (t *transfer) paceOf(burst bool) pace {
	if t.m.tick() == 0 || burst && t.m.transfers.burst.runs() {
		return pace{true, fileLanes}
	}
	return pace{false, 1}
}

// steady returns a context that ends when the pace is to change: a burst that was
// chosen was granted at last, or is over.
func (t *transfer) steady(ctx context.Context, p pace, burst bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if burst && t.m.tick() > 0 {
		go every(ctx, burstLook, func() {
			if t.m.transfers.burst.runs() != p.bulk {
				cancel()
			}
		})
	}
	return ctx, cancel
}

// fileLane is one circuit of a transfer to one relay.
type fileLane struct {
	*post
	blocks  int // asked for at once
	most    int // queues
	leave   func()
	queues  map[uint32]struct{} // read, by part
	refused int                 // AUTH: a relay takes few

	mu    sync.Mutex
	timer *time.Timer
	limit time.Duration
	busy  int
}

// openLane gets a circuit that nobody else uses, nor this transfer for another relay.
func (t *transfer) openLane(ctx context.Context, relay directory.RelayID, p pace) (*fileLane, error) {
	gates := []*gate{t.m.transfers.circuits}
	if !p.bulk {
		gates = append(gates, t.m.transfers.slow)
	}
	left := func() {}
	for _, g := range gates {
		if err := g.enter(ctx); err != nil {
			left()
			return nil, err
		}
		before := left
		left = func() { g.leave(); before() }
	}
	name := fmt.Sprintf("file/%s/%s/%d", t.id, hex.EncodeToString(relay[:16]), t.opened.Add(1))
	post, err := t.m.openPost(ctx, circuit.Request{Isolation: name, Purpose: circuit.File, Destination: relay, Bulk: p.bulk, Patient: !p.bulk})
	if err != nil {
		left()
		return nil, err
	}
	l := &fileLane{post: post, blocks: mailbox.PollWindow, most: laneQueues, queues: make(map[uint32]struct{}), leave: left, limit: post.patience(filePatience)}
	if !p.bulk {
		l.blocks, l.most = slowBlocks, 1 // others have their turn
		l.limit += slowPatience * t.m.tick()
	}
	l.timer = time.AfterFunc(l.limit, func() { post.fail(errNoAnswer) })
	l.timer.Stop()
	return l, nil
}

// begin and end stand around what has to be answered; while something is
// unanswered for too long the circuit is given up. answered begins the wait anew.
func (l *fileLane) begin() { l.watch(1) }

func (l *fileLane) end() { l.watch(-1) }

func (l *fileLane) answered() { l.watch(0) }

func (l *fileLane) watch(more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy += more
	if l.busy > 0 {
		l.timer.Reset(l.limit)
	} else {
		l.timer.Stop()
	}
}

// reads notes that a queue was read: a stream may read only so many.
func (l *fileLane) reads(key uint32) { l.queues[key] = struct{}{} }

// spent tells whether a part needs another circuit.
func (l *fileLane) spent(key uint32) bool {
	if _, known := l.queues[key]; !known && len(l.queues) >= l.most || l.refused >= mailbox.FailuresMax-2 {
		return true
	}
	select {
	case <-l.Done():
		return true
	case <-l.route.Retire():
		return true
	default:
		return false
	}
}

// Close ends the circuit and gives its place to others.
func (l *fileLane) Close() {
	l.timer.Stop()
	l.post.Close()
	l.leave()
}

// burster keeps a burst for those transfers whose user chose so.
type burster struct {
	turn  chan struct{} // capacity 1: held while the guard is asked
	until atomic.Int64  // Unix nanoseconds; until when it was granted
}

// left is how long the burst still runs.
func (b *burster) left() time.Duration { return time.Until(time.Unix(0, b.until.Load())) }

// runs tells whether circuits that are built now pass the ticks.
func (b *burster) runs() bool { return b.left() > 0 }

// keepBurst has a burst run until ctx ends, if links are shaped. ready is closed
// when the guard was asked once. Without a burst a transfer goes on in slots.
func (m *Messenger) keepBurst(ctx context.Context, bytes int64, ready chan<- struct{}) {
	for first := true; ctx.Err() == nil; first = false {
		wait := burstAgain
		if m.tick() > 0 {
			wait = m.transfers.burst.ask(ctx, m, max(burstLeast, time.Duration(bytes/burstRate)*time.Second))
			bytes = 0 // what is left when it has to be made longer takes the least
		}
		if first {
			close(ready)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ask asks for a burst unless one runs for long enough, and returns when to ask
// again.
func (b *burster) ask(ctx context.Context, m *Messenger, d time.Duration) time.Duration {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	defer func() { <-b.turn }()
	if left := b.left(); left > burstRenew {
		return left - burstRenew
	}
	n, ok := m.net.(interface {
		Burst(ctx context.Context, d time.Duration) (time.Time, error)
	})
	if !ok {
		return burstAgain
	}
	until, err := n.Burst(ctx, d)
	if err != nil {
		m.log.Debug("no burst", errorKey, err)
		return burstAgain
	}
	b.until.Store(until.UnixNano())
	return max(burstAgain, time.Until(until)-burstRenew)
}

// Burst asks the guard.
func (n *circuitNetwork) Burst(ctx context.Context, d time.Duration) (time.Time, error) {
	return n.client.Burst(ctx, d)
}
