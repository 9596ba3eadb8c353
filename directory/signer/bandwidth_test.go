package signer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// fakeMeter has relays echo as fast as speed says, and takes the time of a real
// measurement.
type fakeMeter struct {
	speed func(id directory.RelayID, nth int, rate uint64) (uint64, error)

	mu    sync.Mutex
	at    map[directory.RelayID][]time.Time
	rates []uint64
	bytes uint64
}

func (f *fakeMeter) Measure(ctx context.Context, id directory.RelayID, rate uint64) (uint64, error) {
	f.mu.Lock()
	if f.at == nil {
		f.at = make(map[directory.RelayID][]time.Time)
	}
	f.at[id] = append(f.at[id], time.Now())
	f.rates = append(f.rates, rate)
	f.bytes += cost(rate)
	n := len(f.at[id])
	f.mu.Unlock()
	sleepUntil(ctx, time.Now().Add(6*time.Second))
	return f.speed(id, n, rate)
}

func relayIDs(n int) []directory.RelayID {
	ids := make([]directory.RelayID, n)
	for i := range ids {
		ids[i] = directory.RelayID{byte(i), byte(i >> 8), 1}
	}
	return ids
}

// measuring runs the schedule for a while of virtual time.
func measuring(t *testing.T, dir string, f *fakeMeter, n int, mib uint64, during time.Duration) *bandwidths {
	t.Helper()
	b, err := openBandwidths(f, dir, nil)
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	ids := relayIDs(n)
	b.schedule(ctx, func() []directory.RelayID { return ids }, func(int) uint64 { return mib << 20 })
	return b
}

const day = 24 * time.Hour

// TestEachRelayEveryThreeDays: the first time within six hours, at the least
// rate, then about every three days, eight times as fast as the median.
func TestEachRelayEveryThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &fakeMeter{speed: func(_ directory.RelayID, _ int, rate uint64) (uint64, error) { return min(rate, 200<<10), nil }}
		b := measuring(t, t.TempDir(), f, 12, 2048, 60*day)
		for _, id := range relayIDs(12) {
			times := f.at[id]
			// A relay that returns less than half is asked twice at first.
			if len(times) < 2 || times[0].Sub(began) > 6*time.Hour+10*time.Minute {
				t.Fatalf("measured at %v", times)
			}
			times = times[1:]
			for i := range times[1:] {
				if d := times[i+1].Sub(times[i]); d < 54*time.Hour || d > 91*time.Hour {
					t.Errorf("%v between two measurements", d)
				}
			}
			if n := len(times); n < 16 || n > 26 {
				t.Errorf("%d measurements in 60 days", n)
			}
			if got, want := b.code(id), weightCode(200<<10); got != want {
				t.Errorf("code %d, not %d", got, want)
			}
		}
		if first, last := f.rates[0], f.rates[len(f.rates)-1]; first != 512<<10 || last != 8*200<<10 {
			t.Errorf("first %d B/s, last %d B/s", first, last)
		}
		if b.code(directory.RelayID{9, 9, 9}) != 0 {
			t.Error("a relay that nobody measured has a code")
		}
	})
}

// TestEarlyMeasurementsAreNoCap: a relay that returned all that was sent while
// little was sent is measured again soon when more is, or those measured first
// would weigh less for days.
func TestEarlyMeasurementsAreNoCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMeter{speed: func(_ directory.RelayID, _ int, rate uint64) (uint64, error) { return rate, nil }}
		b := measuring(t, t.TempDir(), f, 8, 2048, 13*time.Hour)
		for _, id := range relayIDs(8) {
			if b.code(id) != weightCode(rateMost) {
				t.Errorf("code %d after 13 h, not %d", b.code(id), weightCode(rateMost))
			}
			if n := len(f.at[id]); n > 2 {
				t.Errorf("measured %d times", n)
			}
		}
	})
}

// TestBudgetOfADay: where the budget does not pay for three days, relays are
// measured more rarely, at most every 14 days, and then slower; what is sent
// never exceeds the budget.
func TestBudgetOfADay(t *testing.T) {
	for _, c := range []struct {
		relays int
		mib    uint64
		days   int
		least  int // measurements of each relay
		rate   uint64
	}{
		{200, 341, 40, 3, 4 << 20},                  // 16 MiB each: 9.4 days for all
		{200, 85, 40, 2, (85 << 20) * 14 / 200 / 4}, // 14 days at 1.5 MiB/s
		{200, 3, 40, 0, 0},                          // too little for anything
		{0, 2048, 3, 0, 0},                          // nobody to measure
	} {
		if raceDetector && c.days == 40 && c.least == 3 {
			continue // another budget shows the same
		}
		t.Run(fmt.Sprint(c.relays, " relays, ", c.mib, " MiB"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeMeter{speed: func(_ directory.RelayID, _ int, rate uint64) (uint64, error) { return rate, nil }}
				measuring(t, t.TempDir(), f, c.relays, c.mib, time.Duration(c.days)*day)
				if most := (uint64(c.days) + 1) * c.mib << 20; f.bytes > most {
					t.Errorf("%d bytes sent, the budget is %d", f.bytes, most)
				}
				for _, id := range relayIDs(c.relays) {
					if len(f.at[id]) < c.least {
						t.Fatalf("a relay was measured %d times in %d days", len(f.at[id]), c.days)
					}
				}
				if c.rate == 0 {
					if len(f.rates) != 0 {
						t.Errorf("%d measurements", len(f.rates))
					}
					return
				}
				if last := f.rates[len(f.rates)-1]; last < c.rate*9/10 || last > c.rate*11/10 {
					t.Errorf("last at %d B/s, not %d", last, c.rate)
				}
			})
		})
	}
}

// TestPlan holds the plan to its limits.
func TestPlan(t *testing.T) {
	for _, c := range []struct {
		n              int
		median, perDay uint64
		rate           uint64
		period         time.Duration
	}{
		{10, 0, 2048 << 20, 512 << 10, 3 * day},
		{10, 100 << 10, 2048 << 20, 800 << 10, 3 * day},
		{10, 10 << 20, 2048 << 20, 4 << 20, 3 * day},
		{1000, 10 << 20, 2000 << 20, 4 << 20, 8 * day},
		{10_000, 10 << 20, 2000 << 20, 4 << 20 * 14 / 80, 14 * day},
		{10, 0, 0, 0, 3 * day},
	} {
		rate, period := measurePlan(c.n, c.median, c.perDay)
		if d := int64(rate) - int64(c.rate); d < -1 || d > 1 || (period-c.period).Abs() > time.Second {
			t.Errorf("%d relays, median %d: %d B/s in %v, not %d in %v", c.n, c.median, rate, period, c.rate, c.period)
		}
	}
}

// TestSlowRelayOnTheWay: a result far below the last one is taken only if it
// comes twice.
func TestSlowRelayOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			second, third uint64 // results after a first good one
			want          uint64
		}{
			"once":  {10 << 10, 300 << 10, 300 << 10},
			"twice": {10 << 10, 20 << 10, 20 << 10},
		} {
			f := &fakeMeter{speed: func(_ directory.RelayID, nth int, _ uint64) (uint64, error) {
				return []uint64{400 << 10, c.second, c.third}[(nth-1)%3], nil
			}}
			// The first comes within a quarter of a day, the second 2.25 to 3.75
			// days after it, one more 4.5 days after the first at the earliest.
			b := measuring(t, t.TempDir(), f, 1, 2048, 4*day+day/4)
			if id := relayIDs(1)[0]; len(f.at[id]) != 3 || b.code(id) != weightCode(c.want) {
				t.Errorf("%s: %d measurements, code %d", name, len(f.at[id]), b.code(id))
			}
		}
	})
}

// TestRelayThatEchoesNothing stays unmeasured, is asked again within hours, and
// what was known of it ends after 28 days.
func TestRelayThatEchoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &fakeMeter{speed: func(_ directory.RelayID, _ int, rate uint64) (uint64, error) {
			if time.Since(began) > 20*day {
				return 0, errors.New("busy")
			}
			return rate, nil
		}}
		dir := t.TempDir()
		b := measuring(t, dir, f, 1, 2048, 22*day)
		id := relayIDs(1)[0]
		if b.code(id) == 0 {
			t.Error("one failure made it forget what was measured")
		}
		tries := len(f.at[id])
		b = measuring(t, dir, f, 1, 2048, 27*day)
		if b.code(id) != 0 {
			t.Error("it still counts after four weeks")
		}
		if more := len(f.at[id]) - tries; more < 27*3 || more > 27*12 {
			t.Errorf("asked %d times in 27 days of failures", more)
		}
	})
}

// TestMeasurementsSurviveARestart, and a damaged file stops nothing.
func TestMeasurementsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &fakeMeter{speed: func(_ directory.RelayID, _ int, rate uint64) (uint64, error) { return rate, nil }}
		b := measuring(t, dir, f, 5, 2048, day)
		again, err := openBandwidths(f, dir, nil)
		check(t, err)
		if !maps.EqualFunc(b.of, again.of, func(a, b measurement) bool {
			return a.speed == b.speed && a.rate == b.rate && a.at.Unix() == b.at.Unix() && a.next.Unix() == b.next.Unix()
		}) {
			t.Errorf("%v read, %v written", again.of, b.of)
		}
		before := len(f.rates)
		measuring(t, dir, f, 5, 2048, day)
		if len(f.rates) != before {
			t.Error("measured again at once after a restart")
		}
		raw, err := os.ReadFile(filepath.Join(dir, bandwidthName))
		check(t, err)
		for i := range raw {
			bad := append([]byte(nil), raw...)
			bad[i] ^= 1
			if _, err := parseMeasurements(bad); err == nil {
				t.Fatalf("byte %d flipped, and read", i)
			}
		}
		check(t, os.WriteFile(filepath.Join(dir, bandwidthName), raw[1:], 0o600))
		if b, err := openBandwidths(f, dir, nil); err != nil || len(b.of) != 0 {
			t.Errorf("a damaged file: %v", err)
		}
	})
}

// TestLabsMeasureNothing.
func TestLabsMeasureNothing(t *testing.T) {
	n := newNetwork(t, true, directory.JoinOpen)
	b, err := openBandwidths(&fakeMeter{}, t.TempDir(), nil)
	check(t, err)
	b.run(t.Context(), &directory.Views{}, func() *directory.Chain { return n.chain }) // returns at once
}

func TestWeightCode(t *testing.T) {
	for _, speed := range []uint64{0, 1, 2, 1023, 4096, 512 << 10, 4 << 20, 1 << 36} {
		c := weightCode(speed)
		if c == 0 || c > 1 && directory.Weight(c) > speed*1024 || directory.Weight(c+1) != 0 && directory.Weight(c+1) <= speed*1024 {
			t.Errorf("%d B/s has code %d: %d/1024 B/s", speed, c, directory.Weight(c))
		}
	}
}

func FuzzParseMeasurements(f *testing.F) {
	f.Add(appendMeasurements(nil, nil))
	f.Add(appendMeasurements(nil, map[directory.RelayID]measurement{{1}: {speed: 5, rate: 6, at: time.Unix(7, 0), next: time.Unix(9, 0)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		of, err := parseMeasurements(b)
		if err != nil {
			return
		}
		again, err := parseMeasurements(appendMeasurements(nil, of))
		if err != nil || !maps.Equal(of, again) {
			t.Errorf("%v: %v read, %v written", err, again, of)
		}
	})
}
