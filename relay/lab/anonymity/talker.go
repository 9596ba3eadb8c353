package anonymity

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// sendIdle is how long a sending stream stays open without work, as in chat.
const sendIdle = 10 * time.Minute

// talker is the messenger of one client: it reads its own queue and sends to
// that of its contact.
type talker struct {
	pool  *circuit.Pool
	rnd   *rand.Rand // owned by read
	own   address
	other address
	ready chan struct{} // closed when the queue is subscribed

	wake chan struct{} // capacity 1: there is something to send

	mu      sync.Mutex
	number  uint64
	queue   []block   // not confirmed by the mailbox relay, in order
	ackAt   time.Time // when an acknowledgement is due; zero: none
	ways    []float64 // seconds from the mailbox relay to this client, of each block
	ends    []float64 // seconds from writing to reading, of each message
	highest uint64    // read
	quiet   bool      // nothing is measured yet
}

// address is where a queue lies.
type address struct {
	relay directory.RelayID
	queue uint32
}

func newTalker(pool *circuit.Pool, rnd *rand.Rand, own, other address) *talker {
	return &talker{pool: pool, rnd: rnd, own: own, other: other, ready: make(chan struct{}), wake: make(chan struct{}, 1), quiet: true}
}

// measure begins to note delays.
func (t *talker) measure() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quiet = false
}

// run sends and reads until ctx ends.
func (t *talker) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { t.read(ctx) })
	wg.Go(func() { t.send(ctx) })
	wg.Wait()
}

// write puts a message into the outbox. An acknowledgement that is due goes
// along with it.
func (t *talker) write(ack bool) {
	t.mu.Lock()
	t.ackAt = time.Time{}
	t.number++
	t.queue = append(t.queue, block{queue: t.other.queue, number: t.number, made: time.Now(), ack: ack})
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// read keeps a subscription to the own queue, a new one before the old ends.
func (t *talker) read(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	once := sync.OnceFunc(func() { close(t.ready) })
	for ctx.Err() == nil {
		c, err := t.pool.Get(ctx, circuit.Request{Purpose: circuit.Subscribe, Isolation: "own", Destination: t.own.relay})
		if err != nil {
			if !pause(ctx, 2*time.Second) {
				return
			}
			continue
		}
		s, err := open(ctx, c)
		if err == nil {
			err = s.Send(ctx, msgSubscribe, 0, binary.BigEndian.AppendUint32(nil, t.own.queue))
		}
		if err != nil {
			c.Close()
			pause(ctx, time.Second)
			continue
		}
		once()
		wg.Go(func() { t.receive(ctx, s) })
		select {
		case <-c.Retire():
		case <-c.Done():
		case <-ctx.Done():
		}
	}
}

// open opens a mailbox stream and waits for the relay's greeting.
func open(ctx context.Context, c *circuit.Circuit) (circuit.Stream, error) {
	s, err := c.Mailbox(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Send(ctx, msgOpen, 0, nil); err != nil {
		return nil, err
	}
	if m, err := s.Recv(ctx); err != nil || m.Command != msgHello {
		return nil, errors.Join(err, errBlock)
	}
	return s, nil
}

// receive takes what one subscription pushes.
func (t *talker) receive(ctx context.Context, s circuit.Stream) {
	for {
		m, err := s.Recv(ctx)
		if err != nil {
			return
		}
		if m.Command == msgOK {
			continue
		}
		b, err := parseBlock(m.Data)
		if err != nil || m.Command != msgPush {
			return
		}
		t.took(ctx, b)
		if s.Send(ctx, msgAck, 0, binary.BigEndian.AppendUint64(nil, b.number)) != nil {
			return
		}
	}
}

// took notes a block and lets a message be acknowledged some seconds later.
func (t *talker) took(ctx context.Context, b block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.number <= t.highest {
		return
	}
	t.highest = b.number
	if !t.quiet {
		t.ways = append(t.ways, time.Since(b.sent).Seconds())
		if !b.ack {
			t.ends = append(t.ends, time.Since(b.made).Seconds())
		}
	}
	if b.ack || !t.ackAt.IsZero() {
		return
	}
	d := ackMin + time.Duration(t.rnd.Int64N(int64(ackMax-ackMin)))
	due := time.Now().Add(d)
	t.ackAt = due
	time.AfterFunc(d, func() {
		t.mu.Lock()
		ours := t.ackAt.Equal(due)
		t.mu.Unlock()
		if ours && ctx.Err() == nil {
			t.write(true)
		}
	})
}

// send keeps a circuit to the contact's mailbox relay while there is something
// to send, and sends again what was not confirmed when a circuit ends.
func (t *talker) send(ctx context.Context) {
	for {
		select {
		case <-t.wake:
		case <-ctx.Done():
			return
		}
		for t.pending(0) != nil && ctx.Err() == nil {
			c, err := t.pool.Get(ctx, circuit.Request{Purpose: circuit.Send, Isolation: "contact", Destination: t.other.relay})
			if err != nil {
				pause(ctx, 2*time.Second)
				continue
			}
			s, err := open(ctx, c)
			if err != nil {
				pause(ctx, time.Second)
				continue
			}
			t.sendOver(ctx, c, s)
			_ = s.Close()
		}
	}
}

// pending returns the first block after a number that is not confirmed.
func (t *talker) pending(after uint64) *block {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.queue {
		if b.number > after {
			return &b
		}
	}
	return nil
}

// sendOver sends over one stream until its circuit ends or should be replaced,
// or nothing was to send for a while.
func (t *talker) sendOver(ctx context.Context, c *circuit.Circuit, s circuit.Stream) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { t.confirm(ctx, s) })
	idle := time.NewTimer(sendIdle)
	defer idle.Stop()
	var last uint64
	for {
		for b := t.pending(last); b != nil; b = t.pending(last) {
			b.sent = time.Now()
			if s.Send(ctx, msgSend, 0, b.append(nil)) != nil {
				return
			}
			last = b.number
			idle.Reset(sendIdle)
		}
		select {
		case <-t.wake:
		case <-idle.C:
			return
		case <-c.Retire():
			return
		case <-c.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// confirm takes the answers of the mailbox relay.
func (t *talker) confirm(ctx context.Context, s circuit.Stream) {
	for {
		m, err := s.Recv(ctx)
		if err != nil || m.Command != msgOK || len(m.Data) != 8 {
			return
		}
		number := binary.BigEndian.Uint64(m.Data)
		t.mu.Lock()
		for len(t.queue) > 0 && t.queue[0].number <= number {
			t.queue = t.queue[1:]
		}
		t.mu.Unlock()
	}
}

// pause waits; it returns false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
