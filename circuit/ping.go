package circuit

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"hearsay/circuit/cell"
)

// Specification constants of PING (SPEC.md §5.2), for each hop of a circuit. A
// relay allows one a second and a burst of 10; the client stays below, since
// delays on the way may gather what was sent apart.
const (
	pingRate  = 0.9 // a second
	pingBurst = 7
)

// bucket is a token bucket.
type bucket struct {
	tokens, burst float64
	rate          float64 // tokens a second
	last          time.Time
}

func (b *bucket) refill(now time.Time) {
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
}

// take takes a token, or returns how long to wait for one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	b.refill(now)
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / b.rate * float64(time.Second))
	}
	b.tokens--
	return 0
}

// ping is a PING that waits for its PONG.
type ping struct {
	text [16]byte
	sent time.Time
	pong chan time.Duration // capacity 1; nil if nobody waits
}

// Ping asks a hop, counted from 0, for a PONG and returns the time it took. It
// waits for its turn: a circuit allows about one PING a second.
func (c *Circuit) Ping(ctx context.Context, hop int) (time.Duration, error) {
	pong := make(chan time.Duration, 1)
	for {
		wait, err := c.sendPing(hop, pong)
		if err != nil {
			return 0, err
		}
		if wait == 0 {
			break
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.done:
			t.Stop()
			return 0, c.closedError()
		case <-ctx.Done():
			t.Stop()
			return 0, ctx.Err()
		}
	}
	select {
	case d := <-pong:
		return d, nil
	case <-c.done:
		return 0, c.closedError()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// sendPing queues a PING unless the rate forbids it: then it returns how long
// to wait.
func (c *Circuit) sendPing(hop int, pong chan time.Duration) (wait time.Duration, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.noPingLocked(hop); err != nil {
		return 0, err
	}
	if wait := c.pingRate[hop].take(now); wait > 0 {
		return wait, nil
	}
	c.pingLocked(hop, pong, now)
	return 0, nil
}

func (c *Circuit) noPingLocked(hop int) error {
	if c.closed {
		return c.closedErrorLocked()
	}
	if hop < 0 || hop >= len(c.relays) {
		return fmt.Errorf("circuit: no hop %d", hop)
	}
	return nil
}

func (c *Circuit) pingLocked(hop int, pong chan time.Duration, now time.Time) {
	p := ping{sent: now, pong: pong}
	rand.Read(p.text[:])
	c.pings[hop] = append(c.pings[hop], p)
	c.enqueueLocked(outbound{hop: hop, m: cell.Message{Command: cell.Ping, Data: p.text[:]}})
}

// pingLeftLocked notes that a PING left the shaper.
func (c *Circuit) pingLeftLocked(hop int, text []byte, now time.Time) {
	for i := range c.pings[hop] {
		if p := &c.pings[hop][i]; subtle.ConstantTimeCompare(p.text[:], text) == 1 {
			p.sent = now
			return
		}
	}
}

// pongLocked takes a PONG, which must answer the oldest PING to the hop.
func (c *Circuit) pongLocked(hop int, data []byte) error {
	if len(c.pings[hop]) == 0 || subtle.ConstantTimeCompare(c.pings[hop][0].text[:], data) != 1 {
		return violation("PONG without PING")
	}
	p := c.pings[hop][0]
	c.pings[hop] = c.pings[hop][1:]
	d := time.Since(p.sent)
	if hop == len(c.relays)-1 {
		c.rtt = d
	}
	if p.pong != nil {
		p.pong <- d
	}
	return nil
}

// echo is an ECHO that waits for its answer.
type echo struct {
	data   [cell.DataSize]byte
	answer func(error) // under Circuit.mu; must not block
}

var echoes = sync.Pool{New: func() any { return new(echo) }}

// Echo sends cell.DataSize bytes to a hop, counted from 0, which returns them,
// and gives the time that took. A *BusyError says that the hop is at its limit.
func (c *Circuit) Echo(ctx context.Context, hop int, data []byte) (time.Duration, error) {
	answer := make(chan error, 1)
	start := time.Now()
	if err := c.sendEcho(ctx, hop, data, func(err error) { answer <- err }); err != nil {
		return 0, err
	}
	select {
	case err := <-answer:
		return time.Since(start), err
	case <-c.done:
		return 0, c.closedError()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// sendEcho queues an ECHO when there is credit. If it returns nil and the
// circuit lives on, answer is called once, under c.mu.
func (c *Circuit) sendEcho(ctx context.Context, hop int, data []byte, answer func(error)) error {
	if len(data) != cell.DataSize {
		return fmt.Errorf("circuit: an echo has %d bytes, not %d", cell.DataSize, len(data))
	}
	if hop < 0 || hop >= c.Hops() {
		return fmt.Errorf("circuit: no hop %d", hop)
	}
	e := echoes.Get().(*echo)
	copy(e.data[:], data)
	e.answer = answer
	return c.send(ctx, hop, cell.Message{Command: cell.Echo, Data: data}, false, nil, func() {
		c.echoes[hop].push(e)
	})
}

// echoReplyLocked takes an ECHO_REPLY, which must return the oldest ECHO to the
// hop unchanged.
func (c *Circuit) echoReplyLocked(hop int, data []byte) error {
	if c.echoes[hop].n == 0 || subtle.ConstantTimeCompare((*c.echoes[hop].first()).data[:], data) != 1 {
		return violation("ECHO_REPLY without ECHO")
	}
	c.echoedLocked(hop, nil)
	return nil
}

func (c *Circuit) echoBusyLocked(hop int, data []byte) error {
	if c.echoes[hop].n == 0 {
		return violation("ECHO_BUSY without ECHO")
	}
	after := time.Duration(binary.BigEndian.Uint16(data)) * time.Second
	c.echoedLocked(hop, &BusyError{RetryAfter: after})
	return nil
}

// echoedLocked answers the oldest ECHO to the hop.
func (c *Circuit) echoedLocked(hop int, err error) {
	e := c.echoes[hop].pop()
	answer := e.answer
	e.answer = nil
	echoes.Put(e)
	answer(err)
}
