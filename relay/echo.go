package relay

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
)

// echoer answers the ECHOs of one circuit, each with one REPLY or one BUSY.
type echoer struct {
	inbox inbox
	limit *rate.Limiter // nil: none
	left  int           // replies left to this circuit
}

// echoLimits are what all circuits of a relay share.
type echoLimits struct {
	bytes *rate.Limiter // nil: no limits

	mu     sync.Mutex
	active map[*circuit]int64 // tick of each circuit's last ECHO
}

// echoRate returns the bytes that a relay echoes per second in all, where
// bandwidth is what it has, 0 for not limited.
func echoRate(bandwidth int64) int64 {
	if bandwidth <= 0 {
		return echoMost
	}
	return min(max(bandwidth/echoShare, echoLeast), echoMost)
}

// Seconds after which a client may try again.
const (
	busyRate    = 1
	busyShared  = 5
	busyForever = 65535 // not on this circuit
)

// takeEcho queues an ECHO; credit bounds the queue.
func (c *circuit) takeEcho(m cell.Message) error {
	if c.echo == nil {
		e := &echoer{left: echoCellsPerCircuit}
		e.inbox.init(&c.sw.clock)
		if !c.sw.cfg.InsecureNoRateLimits {
			e.limit = rate.NewLimiter(echoCellRate, echoCellBurst)
		}
		c.mu.Lock()
		c.echo = e // others read it under mu
		c.mu.Unlock()
		c.wg.Go(func() {
			c.serveEcho(c.echo)
			c.echo.inbox.drain()
			c.sw.echo.leave(c)
		})
	}
	c.echo.inbox.push(newLocal(m))
	return nil
}

func (c *circuit) serveEcho(e *echoer) {
	for {
		l, _ := e.inbox.pop(c.done, nil, nil)
		if l == nil {
			return
		}
		reply := cell.Message{Command: cell.EchoReply, Data: l.m.Data}
		var after [2]byte
		if retry := c.busy(e); retry != 0 {
			c.sw.counts.echoBusy.Add(1)
			binary.BigEndian.PutUint16(after[:], retry)
			reply = cell.Message{Command: cell.EchoBusy, Data: after[:]}
		} else if !c.tx.take(c.done, nil, nil) {
			localCells.Put(l)
			return
		} else {
			c.sw.counts.echoed.Add(1)
		}
		err := c.reply(reply)
		localCells.Put(l)
		if err != nil || c.consumed(1) != nil {
			return
		}
	}
}

// busy takes one cell from each limit; if one is used up it returns when to
// try again.
func (c *circuit) busy(e *echoer) (retry uint16) {
	if e.limit == nil {
		return 0
	}
	switch {
	case e.left == 0:
		return busyForever
	case !e.limit.Allow():
		return busyRate
	case !c.sw.echo.join(c):
		return busyShared
	case !c.sw.echo.bytes.AllowN(time.Now(), cell.Size):
		return busyRate
	}
	e.left--
	return 0
}

// join counts the circuit among those that echo now.
func (e *echoLimits) join(c *circuit) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := c.sw.clock.now()
	if _, ok := e.active[c]; !ok && len(e.active) >= echoCircuits {
		for other, last := range e.active {
			if c.sw.clock.older(last, 2*time.Second) {
				delete(e.active, other)
			}
		}
		if len(e.active) >= echoCircuits {
			return false
		}
	}
	e.active[c] = now
	return true
}

func (e *echoLimits) leave(c *circuit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.active, c)
}
