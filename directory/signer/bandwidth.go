package signer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"hearsay/directory"
)

// Specification constants of measuring (SPEC.md §6).
const (
	measureFor     = 4 * time.Second     // echoes of one measurement
	measureEvery   = 3 * 24 * time.Hour  // of one relay, on average
	measureStretch = 14 * 24 * time.Hour // at most, where the budget asks for it
	measureFirst   = 6 * time.Hour       // a relay not measured yet comes within so long
	measureAgain   = 6 * time.Hour       // after a failure
	measureKeep    = 2 * measureStretch  // a measurement counts for so long
	measureWait    = 60 * time.Second    // for one, its circuits included
	rateLeast      = 512 << 10           // bytes a second sent to a relay
	rateMost       = 4 << 20
	rateFloor      = 64 << 10 // where the budget leaves less, nothing is measured
	rateMedians    = 8        // times the median of what was measured
	medianOf       = 3        // measurements, at least
	budgetBurst    = 8        // parts of a day's budget that may be used at once
)

// lookEvery is how often new relays are looked for, and measurements saved.
const lookEvery = 10 * time.Minute

// Meter measures relays through ordinary circuits.
type Meter interface {
	// Measure sends cells through circuits that end at the relay, which echoes
	// them, for four seconds at the given rate, and returns how many bytes a
	// second came back. Safe for concurrent use.
	Measure(ctx context.Context, relay directory.RelayID, rate uint64) (bytesPerSecond uint64, err error)
}

// bandwidths are this signer's measurements (SPEC.md §6). run is called once; code
// is safe for concurrent use.
type bandwidths struct {
	meter Meter
	path  string // of the file
	log   *slog.Logger

	// Of run.
	allowed float64 // bytes that may be sent now
	asOf    time.Time
	saved   time.Time
	unsaved bool

	mu sync.Mutex
	of map[directory.RelayID]measurement
}

// measurement is what is known of one relay.
type measurement struct {
	speed uint64    // bytes a second that came back, if at is set
	rate  uint64    // that were sent
	at    time.Time // zero: never
	next  time.Time // when it is due
}

// run measures at random times until ctx ends. In a lab network nothing is
// measured.
func (b *bandwidths) run(ctx context.Context, views *directory.Views, chain func() *directory.Chain) {
	if b.meter == nil || chain().Current().Lab {
		return
	}
	b.schedule(ctx, func() []directory.RelayID {
		v := views.Current()
		if v == nil {
			return nil
		}
		var ids []directory.RelayID
		for _, r := range v.Relays() {
			if len(r.Addrs) > 0 {
				ids = append(ids, r.ID)
			}
		}
		return ids
	}, func(n int) uint64 { return uint64(chain().Current().Param(directory.ParamProbeMiB, n)) << 20 })
}

// schedule measures the listed relays, one after the other, within a budget of
// bytes a day.
func (b *bandwidths) schedule(ctx context.Context, listed func() []directory.RelayID, budget func(n int) uint64) {
	b.asOf = time.Now()
	defer b.keep()
	for {
		now := time.Now()
		if now.Sub(b.saved) >= lookEvery {
			b.keep()
			b.saved = now
		}
		ids := listed()
		perDay := budget(len(ids))
		rate, period := measurePlan(len(ids), b.median(ids, now), perDay)
		b.enter(ids, rate, now)
		wait := lookEvery
		if id, at, ok := b.due(ids, now); ok && rate > 0 {
			wait = min(wait, at.Sub(now))
			if wait <= 0 {
				wait = min(lookEvery, b.afford(rate, perDay, now))
			}
			if wait <= 0 {
				b.measure(ctx, id, rate, period)
			}
		}
		if wait > 0 && !sleepUntil(ctx, now.Add(wait)) || ctx.Err() != nil {
			return
		}
	}
}

// measurePlan returns the rate of measurements, and how long it takes on average until
// all n relays had theirs: what the budget cannot pay for in three days takes up
// to fourteen, and then is sent slower. A rate of 0: nothing is measured.
func measurePlan(n int, median, perDay uint64) (rate uint64, period time.Duration) {
	rate = min(max(rateMedians*median, rateLeast), rateMost)
	if n == 0 || perDay == 0 {
		return 0, measureEvery
	}
	// Days that the budget needs for all relays at that rate.
	days := float64(n) * float64(cost(rate)) / float64(perDay)
	period = measureEvery
	if need := days * float64(24*time.Hour); need > float64(measureStretch) {
		period = measureStretch
		rate = uint64(float64(rate) * float64(measureStretch) / need)
	} else if need > float64(period) {
		period = time.Duration(need)
	}
	if rate < rateFloor {
		return 0, period
	}
	return rate, period
}

// cost is what one measurement sends, in bytes.
func cost(rate uint64) uint64 { return rate * uint64(measureFor/time.Second) }

// afford returns how long to wait until the budget allows a measurement.
func (b *bandwidths) afford(rate, perDay uint64, now time.Time) time.Duration {
	perSecond := float64(perDay) / (24 * time.Hour).Seconds()
	need := float64(cost(rate))
	b.allowed = min(b.allowed+now.Sub(b.asOf).Seconds()*perSecond, max(need, float64(perDay)/budgetBurst))
	b.asOf = now
	if b.allowed >= need {
		return 0
	}
	return time.Duration((need-b.allowed)/perSecond*float64(time.Second)) + time.Millisecond
}

// enter draws the time of relays that are new, and of those that returned all that
// was sent when it was less than half of what is sent now; it forgets those long
// unlisted.
func (b *bandwidths) enter(ids []directory.RelayID, rate uint64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		m, ok := b.of[id]
		capped := m.speed >= m.rate-m.rate/8 && 2*m.rate <= rate
		if !ok || capped && !m.at.IsZero() && m.next.Sub(now) > measureFirst {
			m.next = now.Add(rand.N(measureFirst))
			b.of[id], b.unsaved = m, true
		}
	}
	if len(b.of) == len(ids) {
		return
	}
	for id, m := range b.of {
		if now.Sub(m.next) > measureKeep && !slices.Contains(ids, id) {
			delete(b.of, id)
		}
	}
}

// keep saves the measurements if they changed.
func (b *bandwidths) keep() {
	if !b.unsaved {
		return
	}
	if err := b.save(); err != nil {
		b.log.Warn("measurements are not saved", logReason, err)
		return
	}
	b.unsaved = false
}

// due returns a relay of those whose time has come, at random so that nobody
// can tell who is next, or else the one that is next.
func (b *bandwidths) due(ids []directory.RelayID, now time.Time) (id directory.RelayID, at time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := 0
	for _, x := range ids {
		switch next := b.of[x].next; {
		case !next.After(now):
			if count++; rand.N(count) == 0 {
				id, at, ok = x, now, true
			}
		case count == 0 && (!ok || next.Before(at)):
			id, at, ok = x, next, true
		}
	}
	return id, at, ok
}

// measure measures one relay. Where much less comes back than before, or than
// was sent the first time, a slow relay on the way may be why: it is measured
// once more over others, and the better counts.
func (b *bandwidths) measure(ctx context.Context, id directory.RelayID, rate uint64, period time.Duration) {
	b.mu.Lock()
	m := b.of[id]
	b.mu.Unlock()
	expect := rate / 2
	if !m.at.IsZero() {
		expect = min(m.speed, rate) * 3 / 4
	}
	speed, err := b.once(ctx, id, rate)
	if err == nil && speed < expect {
		if again, e := b.once(ctx, id, rate); e == nil {
			speed = max(speed, again)
		}
	}
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if err != nil {
		b.log.Debug("relay not measured", logRelay, id.String(), logReason, err)
		m.next = now.Add(rand.N(measureAgain))
	} else {
		spread := time.Duration((0.75 + rand.Float64()/2) * float64(period))
		m = measurement{speed: speed, rate: rate, at: now, next: now.Add(min(spread, measureStretch))}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of[id], b.unsaved = m, true
}

func (b *bandwidths) once(ctx context.Context, id directory.RelayID, rate uint64) (uint64, error) {
	b.allowed -= float64(cost(rate))
	ctx, cancel := context.WithTimeout(ctx, measureWait)
	defer cancel()
	return b.meter.Measure(ctx, id, rate)
}

// median returns the median of what was measured, 0 if that is too little.
func (b *bandwidths) median(ids []directory.RelayID, now time.Time) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var speeds []uint64
	for _, id := range ids {
		if m := b.of[id]; m.counts(now) {
			speeds = append(speeds, m.speed)
		}
	}
	if len(speeds) < medianOf {
		return 0
	}
	slices.Sort(speeds)
	return speeds[(len(speeds)-1)/2]
}

func (m measurement) counts(now time.Time) bool {
	return !m.at.IsZero() && now.Sub(m.at) <= measureKeep
}

// code returns the weight code of what was measured, 0 if nothing was.
func (b *bandwidths) code(relay directory.RelayID) byte {
	b.mu.Lock()
	m := b.of[relay]
	b.mu.Unlock()
	if !m.counts(time.Now()) {
		return 0
	}
	return weightCode(m.speed)
}

// weightCode is the highest code whose weight is at most the speed, at least 1.
func weightCode(speed uint64) byte {
	code, weight := byte(1), min(speed, 1<<50)*1024
	for directory.Weight(code+1) > 0 && directory.Weight(code+1) <= weight {
		code++
	}
	return code
}
