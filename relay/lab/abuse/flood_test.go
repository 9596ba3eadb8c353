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
// once. Honest clients go on building circuits, as clients do that open a chat
// now and then and have been there for half a minute.
//
// All processes share this machine, so that a flood takes time from everybody.
// What the victim could do about is seen beside a second relay that nobody
// floods, with as many honest clients of its own, at the same moment.
func TestAbuseCreateFlood(t *testing.T) {
	w := newWorld(t, worldConfig{})
	control, calm := spawn(t, "victim"), spawn(t, "honest")
	var to target
	control.call("start", startArgs{Home: t.TempDir(), MaxMemory: 192 * mib}, &to)
	calm.call("target", to, nil)

	load := loadArgs{Links: size(4, 24), Every: time.Duration(size(300, 2000)) * time.Millisecond}
	w.honest.call("steady", load, nil)
	calm.call("steady", load, nil)
	sample := func() (honest, other loadResult) {
		w.honest.call("sample", none{}, &honest)
		calm.call("sample", none{}, &other)
		return honest, other
	}
	<-time.After(time.Duration(size(500, 16_000)) * time.Millisecond)
	sample()
	<-time.After(time.Duration(size(1000, 20_000)) * time.Millisecond)
	idle, idleControl := sample()

	processes := []*process{w.victim, w.attacker, w.honest, control, calm}
	var used [5]time.Duration
	for i, p := range processes {
		used[i] = p.cpu()
	}
	attack := floodArgs{Links: size(8, 48), Creates: size(500, 50_000), Most: 300 * time.Second}
	var r floodResult
	w.attacker.call("flood", attack, &r)
	busy, busyControl := sample()
	for i, p := range processes {
		used[i] = p.cpu() - used[i]
	}
	w.honest.call("rest", none{}, nil)
	calm.call("rest", none{}, nil)

	t.Logf("flood: %+v", r)
	t.Logf("honest circuits: idle %v, during the flood %v", idle.Took, busy.Took)
	t.Logf("beside it, at a relay that nobody floods: before %v, meanwhile %v", idleControl.Took, busyControl.Took)
	t.Logf("processor time: victim %v, attacker %v, its honest clients %v, the other relay %v, its clients %v", used[0], used[1], used[2], used[3], used[4])
	results.check(t, "CREATE flood: sent", r.Sent >= int64(attack.Creates), fmt.Sprintf("%d in %v", r.Sent, r.Took.Round(time.Millisecond)), fmt.Sprintf("%d", attack.Creates))
	// A relay that is short of time refuses what would wait too long.
	results.check(t, "CREATE flood: honest circuits that failed", busy.Failed == 0 || !full, fmt.Sprintf("%d of %d", busy.Failed, busy.Took.N+busy.Failed), "0")
	timed(t, "CREATE flood: honest circuit, p95", busy.Took.P95, 3*idle.Took.P95, fmt.Sprintf("(idle %v)", idle.Took.P95.Round(10*time.Microsecond)))
	timed(t, "CREATE flood: honest circuit, p95 beside an unflooded relay", busy.Took.P95, 3*busyControl.Took.P95, fmt.Sprintf("(there %v)", busyControl.Took.P95.Round(10*time.Microsecond)))
	w.below("CREATE flood", 256)
	w.after("CREATE flood", 64)
}
