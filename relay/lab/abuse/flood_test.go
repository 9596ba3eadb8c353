package abuse

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

// floodArgs say how CREATEs are flooded.
type floodArgs struct {
	Links, Creates int
	Most           time.Duration
}

// floodResult tells what came of it.
type floodResult struct {
	Sent, Answered, Connections int64
	Took                        time.Duration
}

// flood sends the same good CREATE over and over, which costs the victim a
// handshake each time and the attacker nothing. A link that is spent, its burst
// used up, is replaced by a new one.
func (a *attacker) flood(args floodArgs) (any, error) {
	var r floodResult
	var sent, answered, connections atomic.Int64
	ctx, cancel := context.WithTimeout(context.Background(), args.Most)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	for range args.Links {
		wg.Go(func() {
			for ctx.Err() == nil && sent.Load() < int64(args.Creates) {
				f, err := connect(ctx, a.target, 64<<10)
				if err != nil {
					continue
				}
				connections.Add(1)
				f.floodOnce(ctx, &sent, &answered, int64(args.Creates))
				f.close()
			}
		})
	}
	wg.Wait()
	r.Sent, r.Answered, r.Connections, r.Took = sent.Load(), answered.Load(), connections.Load(), time.Since(began)
	return r, nil
}

// floodOnce uses up a link's burst.
func (f *foe) floodOnce(ctx context.Context, sent, answered *atomic.Int64, most int64) {
	c, err := newCreate(f.target, 0)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 30 {
		s, err := f.conn.OpenStreamSync(ctx)
		if err != nil || sent.Load() >= most {
			return
		}
		if _, err := s.Write(c.cells); err != nil {
			return
		}
		sent.Add(1)
		wg.Go(func() {
			defer reset(s)
			_ = s.SetReadDeadline(time.Now().Add(6 * time.Second))
			if readFull(s, make([]byte, 2*cell.Size)) == nil {
				answered.Add(1)
			}
		})
	}
}

// TestAbuseCreateFlood floods the victim with handshakes from many links at
// once. Honest clients go on building circuits.
func TestAbuseCreateFlood(t *testing.T) {
	w := newWorld(t, worldConfig{})
	// As clients do that open a chat now and then, and have been there for half
	// a minute.
	every := time.Duration(size(300, 2000)) * time.Millisecond
	load := loadArgs{Links: size(4, 24), Warm: size(0, 16), Count: size(3, 20), Every: every}
	var idle, busy loadResult
	w.honest.call("build", load, &idle)
	attack := floodArgs{Links: size(8, 48), Creates: size(500, 50_000), Most: 300 * time.Second}
	var r floodResult
	built := w.honest.begin("build", load, &busy)
	<-time.After(time.Duration(load.Warm) * every)
	flooded := w.attacker.begin("flood", attack, &r)
	if err := built(); err != nil {
		t.Fatal(err)
	}
	if err := flooded(); err != nil {
		t.Fatal(err)
	}
	t.Logf("flood: %+v", r)
	t.Logf("honest circuits: idle %v, during the flood %v, %d failed: %s", idle.Took, busy.Took, busy.Failed, busy.Why)
	results.check(t, "CREATE flood: sent", r.Sent >= int64(attack.Creates), fmt.Sprintf("%d in %v", r.Sent, r.Took.Round(time.Millisecond)), fmt.Sprintf("%d", attack.Creates))
	// A relay that is short of time refuses what would wait too long.
	results.check(t, "CREATE flood: honest circuits that failed", busy.Failed == 0 || !full, fmt.Sprintf("%d of %d", busy.Failed, busy.Took.N+busy.Failed), "0")
	timed(t, "CREATE flood: honest circuit, p95", busy.Took.P95, 3*idle.Took.P95, fmt.Sprintf("(idle %v)", idle.Took.P95.Round(10*time.Microsecond)))
	w.below("CREATE flood", 256)
	w.after("CREATE flood", 64)
}
