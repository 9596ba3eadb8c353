package circuit

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Specification constants of the speed test (SPEC.md §5.4).
const (
	speedPings    = 10 // to each hop
	speedPingGap  = 200 * time.Millisecond
	speedPingWait = 10 * time.Second // for the last PONG
	speedEcho     = 4 * time.Second
	speedSettle   = time.Second // of it that does not count
	speedCells    = 1024        // ECHOs a second, as relays allow
	speedBurst    = 32          // of which so many at once
	speedBackOff  = 50 * time.Millisecond
	speedEvery    = 10 * time.Minute // between two tests
	speedAsk      = 15 * time.Second // for the guard's answer about a burst: it takes a question in 10 s
	speedTakes    = 30 * time.Second // of the burst, and a random time between
)

// Speed is the purpose of the circuit of a speed test.
const Speed Purpose = "speed"

// SpeedRequest asks for a speed test.
type SpeedRequest struct {
	// Destination is the relay that the circuit is extended to. Zero: the
	// circuit ends at the middle.
	Destination directory.RelayID
	// Burst accepts, on a shaped link, a burst that whoever watches the link can
	// see. Without it only round trips are measured there, in ticks.
	Burst bool
	// Progress is told what is known so far, by the goroutine of SpeedTest. Nil:
	// nobody.
	Progress func(SpeedReport)
}

// SpeedStage says how far a speed test is.
type SpeedStage int

// The stages.
const (
	SpeedBuilding SpeedStage = iota
	SpeedRoundTrips
	SpeedRate
	SpeedDone
)

// SpeedReport is what a speed test found out.
type SpeedReport struct {
	Stage   SpeedStage
	Circuit Info       // zero while building
	Shaped  bool       // the link is shaped: round trips include the waits for ticks
	Hops    []HopSpeed // from the guard on; those measured so far

	// Rate is the user's data that came back, in bytes a second: as much went
	// out. Zero if NoRate says why it was not measured.
	Rate    float64
	EchoHop int    // the hop that echoed
	AtLeast bool   // a limit was reached before the path was: the path carries at least Rate
	NoRate  string // in words, or ""
}

// HopSpeed is the time to one hop and back.
type HopSpeed struct {
	Relay   directory.RelayID
	Answers int // of 10 PINGs
	Min     time.Duration
	Median  time.Duration
	Added   time.Duration // Min less that of the hop before; may be negative by chance
}

// TooSoonError is what SpeedTest returns when the last test was a short while
// ago: each one loads four relays.
type TooSoonError struct {
	RetryAfter time.Duration
}

func (e *TooSoonError) Error() string {
	return fmt.Sprintf("circuit: the next speed test may run in %v", e.RetryAfter.Round(time.Second))
}

// speedLimit lets a pool run one test at a time, and few of them. Its zero
// value is ready.
type speedLimit struct {
	mu      sync.Mutex
	running bool
	next    time.Time
}

func (l *speedLimit) begin(now time.Time, every time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		return errors.New("circuit: a speed test is running")
	}
	if now.Before(l.next) {
		return &TooSoonError{RetryAfter: l.next.Sub(now)}
	}
	l.running, l.next = true, now.Add(every)
	return nil
}

// end allows the next test at once if this one sent nothing.
func (l *speedLimit) end(used bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
	if !used {
		l.next = time.Time{}
	}
}

// SpeedTest measures a circuit of its own, which never carries messages: the
// time to each hop, and the rate at which one returns data. It takes about
// 15 s, on a shaped link minutes. A pool runs one every 10 minutes at most (a
// lab network every minute), else the error is a *TooSoonError. What was found
// before an error is in the report.
func (p *Pool) SpeedTest(ctx context.Context, r SpeedRequest) (SpeedReport, error) {
	var report SpeedReport
	if err := p.speed.begin(time.Now(), p.wait(speedEvery)); err != nil {
		return report, err
	}
	if r.Burst { // if none is granted the test goes on in ticks
		_, _ = p.burst(ctx, speedTakes)
	}
	used := false
	defer func() { p.speed.end(used) }()
	progress := func() {
		if r.Progress != nil {
			s := report
			s.Hops = slices.Clone(s.Hops)
			r.Progress(s)
		}
	}
	progress()
	var own [16]byte
	crand.Read(own[:])
	c, err := p.Get(ctx, Request{
		Purpose: Speed, Isolation: "speed " + hex.EncodeToString(own[:]), Destination: r.Destination, Fresh: true, Bulk: true, Front: true,
	})
	if err != nil {
		return report, err
	}
	used = true
	defer c.Close()
	return c.measure(ctx, report, func(s SpeedReport) { report = s; progress() })
}

func randomDuration(a, b time.Duration) time.Duration {
	return a + time.Duration(secureSource{}.Uint64()%uint64(b-a))
}

// measure runs both parts of a speed test on a circuit that nobody else uses.
func (c *Circuit) measure(ctx context.Context, report SpeedReport, progress func(SpeedReport)) (SpeedReport, error) {
	report.Stage, report.Circuit = SpeedRoundTrips, c.Info()
	report.Shaped = c.guard.isShaped() && !c.rank.bulk
	c.mu.Lock()
	relays := slices.Clone(c.relays)
	c.mu.Unlock()
	progress(report)
	for hop, id := range relays {
		trips, err := c.roundTrips(ctx, hop, report.Shaped)
		if err != nil {
			return report, err
		}
		s := HopSpeed{Relay: id, Answers: len(trips)}
		if len(trips) > 0 {
			slices.Sort(trips)
			s.Min, s.Median = trips[0], trips[len(trips)/2]
			s.Added = s.Min
			if hop > 0 && report.Hops[hop-1].Answers > 0 {
				s.Added -= report.Hops[hop-1].Min
			}
		}
		report.Hops = append(report.Hops, s)
		progress(report)
	}
	if report.Shaped {
		report.Stage, report.NoRate = SpeedDone, "cover traffic hides how fast the path is"
		progress(report)
		return report, nil
	}
	report.Stage = SpeedRate
	var busy *BusyError
	for hop := len(relays) - 1; hop >= 0; hop-- {
		run := &echoRun{c: c, hop: hop, most: speedCells}
		err := run.run(ctx, func(rate float64, limited bool) {
			report.Rate, report.AtLeast, report.EchoHop = rate, limited, hop
			progress(report)
		})
		if errors.As(err, &busy) { // another hop may have room
			continue
		}
		if err != nil {
			return report, err
		}
		report.Rate, report.AtLeast = run.rate()
		report.EchoHop = hop
		busy = nil
		break
	}
	if busy != nil {
		report.NoRate = "all relays of the path are at their limit for echoes"
	}
	report.Stage = SpeedDone
	progress(report)
	return report, nil
}

// roundTrips sends PINGs to a hop and returns the times of those answered. In
// ticks one waits for the other, or they would measure each other.
func (c *Circuit) roundTrips(ctx context.Context, hop int, shaped bool) ([]time.Duration, error) {
	var trips []time.Duration
	if shaped {
		for range speedPings {
			d, err := c.Ping(ctx, hop)
			if err != nil {
				return trips, err
			}
			trips = append(trips, d)
		}
		return trips, nil
	}
	if err := c.reservePings(ctx, hop); err != nil {
		return nil, err
	}
	pong := make(chan time.Duration, speedPings)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent := 0; len(trips) < speedPings; {
		select {
		case d := <-pong:
			trips = append(trips, d)
		case <-timer.C:
			if sent == speedPings {
				return trips, nil
			}
			now := time.Now()
			c.mu.Lock()
			err := c.noPingLocked(hop)
			if err == nil {
				c.pingLocked(hop, pong, now)
			}
			c.mu.Unlock()
			if err != nil {
				return trips, err
			}
			if sent++; sent < speedPings {
				timer.Reset(speedPingGap)
			} else {
				timer.Reset(speedPingWait)
			}
		case <-c.done:
			return trips, c.closedError()
		case <-ctx.Done():
			return trips, ctx.Err()
		}
	}
	return trips, nil
}

// reservePings waits until no other PING to the hop counts at its relay any
// more, and then keeps all others away until those of the test are forgotten.
func (c *Circuit) reservePings(ctx context.Context, hop int) error {
	for {
		c.mu.Lock()
		if err := c.noPingLocked(hop); err != nil {
			c.mu.Unlock()
			return err
		}
		b := &c.pingRate[hop]
		b.refill(time.Now())
		if b.tokens >= b.burst {
			b.tokens -= speedPings
			c.mu.Unlock()
			return nil
		}
		wait := time.Duration((b.burst-b.tokens)/b.rate*float64(time.Second)) + time.Millisecond
		c.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.done:
		case <-ctx.Done():
		}
		t.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// echoRun sends ECHOs to one hop and counts the replies.
type echoRun struct {
	c     *Circuit
	hop   int
	most  int           // ECHOs a second
	start time.Duration // since the circuit was born

	// Guarded by Circuit.mu.
	replies int // in all
	counted int // after the first second
	last    time.Duration
	refused int
	busy    *BusyError
}

// run echoes for speedEcho. A *BusyError says that the hop answered nothing but
// that.
func (r *echoRun) run(ctx context.Context, progress func(rate float64, limited bool)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, speedEcho, errEchoOver)
	defer cancel()
	var seed [32]byte
	crand.Read(seed[:])
	rnd := rand.NewChaCha8(seed)
	var data [cell.DataSize]byte
	binary.BigEndian.PutUint64(data[0:], rnd.Uint64())

	began := time.Now()
	r.start = began.Sub(r.c.born)
	told := began
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent := 0; ; {
		now := time.Now()
		if now.Sub(told) >= speedSettle/2 {
			told = now
			progress(r.rate())
		}
		r.c.mu.Lock()
		busy, replies := r.busy, r.replies
		r.busy = nil
		r.c.mu.Unlock()
		wait := time.Duration(0)
		switch due := int(now.Sub(began).Seconds()*float64(r.most)) + speedBurst; {
		case busy != nil && (replies == 0 || busy.RetryAfter > speedEcho):
			if replies == 0 {
				return busy
			}
			return nil
		case busy != nil:
			wait = speedBackOff
		case sent >= due:
			wait = speedBurst * time.Second / speedCells / 2
		}
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-r.c.done:
				return r.c.closedError()
			case <-ctx.Done():
			}
		} else {
			binary.BigEndian.PutUint32(data[8:], uint32(sent))
			rnd.Read(data[16:])
			if err := r.c.sendEcho(ctx, r.hop, data[:], r.answer); err != nil && ctx.Err() == nil {
				return err
			}
			sent++
		}
		if ctx.Err() != nil {
			if err := context.Cause(ctx); !errors.Is(err, errEchoOver) {
				return err
			}
			return r.result()
		}
	}
}

var errEchoOver = errors.New("circuit: the time of the echoes is over")

// answer counts a reply; it runs in the reader, under Circuit.mu.
func (r *echoRun) answer(err error) {
	if err != nil {
		r.refused++
		errors.As(err, &r.busy)
		return
	}
	r.replies++
	r.last = r.c.now - r.start
	if r.last >= speedSettle && r.last < speedEcho {
		r.counted++
	}
}

// result is the error of a run whose time is over.
func (r *echoRun) result() error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.replies == 0 && r.busy != nil {
		return r.busy
	}
	return nil
}

// rate returns the bytes a second after the first second, and whether a limit
// held it down.
func (r *echoRun) rate() (bytes float64, limited bool) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	elapsed := min(time.Since(r.c.born)-r.start, speedEcho) - speedSettle
	if elapsed <= 0 {
		return 0, false
	}
	cells := float64(r.counted) / elapsed.Seconds()
	return cells * cell.DataSize, r.refused > 0 || cells >= 0.95*float64(r.most)
}
