package circuit

import (
	"context"
	"testing"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
)

// TestTickBudget fills ten minutes with builds and PINGs: 30 % and 10 % of the
// ticks and no more, and all of it again ten minutes later. Links without ticks
// have no such limit.
func TestTickBudget(t *testing.T) {
	for _, f := range []link.Profile{link.Saver, link.Normal, link.Fast} {
		ticks := int(10 * time.Minute / f.Tick())
		now := time.Unix(1_000_000_020, 0)
		var b budget
		for round := range 3 {
			builds, pings := 0, 0
			for ; b.mayBuild(now, f, 100); builds++ {
				b.build(now, 4)
			}
			if b.mayBuild(now, f, 66) || b.mayBuild(now, f, 50) {
				t.Errorf("%v: requests that can wait build when others may not", f)
			}
			for ; b.mayPing(now, f, 1); pings++ {
				b.ping(now, 1)
			}
			if cells := builds * buildCells; cells > ticks*30/100 || cells <= ticks*30/100-buildCells {
				t.Errorf("%v, round %d: builds took %d of %d ticks", f, round, cells, ticks)
			}
			if pings != ticks*10/100 {
				t.Errorf("%v, round %d: %d PINGs in %d ticks", f, round, pings, ticks)
			}
			if later := now.Add(9 * time.Minute); b.mayPing(later, f, 1) {
				t.Errorf("%v: ten minutes are over after nine", f)
			}
			now = now.Add(10 * time.Minute)
		}
	}
	var b budget
	now := time.Unix(1_000_000_000, 0)
	for range 10_000 {
		b.build(now, 4)
		b.ping(now, 1)
	}
	if !b.mayBuild(now, link.Off, 1) || !b.mayPing(now, link.Off, 100) {
		t.Error("a link without ticks has a budget of them")
	}
}

// TestHedgesArePaced: a burst, then one at a time.
func TestHedgesArePaced(t *testing.T) {
	b := tokens{burst: 4, every: 20 * time.Second}
	now := time.Unix(1_000_000_000, 0)
	took := 0
	for range 10 * 60 { // ten minutes, asked each second
		if b.take(now) {
			took++
		}
		now = now.Add(time.Second)
	}
	if took < 4+28 || took > 4+30 {
		t.Errorf("%d in ten minutes", took)
	}
}

// TestSilentLinkIsSeen looks at counters of packets: what only acknowledges
// needs no answer, and any packet that comes ends the silence.
func TestSilentLinkIsSeen(t *testing.T) {
	var w watched
	now := time.Unix(1_000_000_000, 0)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	w.look(link.Traffic{Sent: 10, Received: 10}, at(0))
	if !w.asking.IsZero() || !w.heard.Equal(at(0)) {
		t.Fatal("asked before anything was sent")
	}
	w.look(link.Traffic{Sent: 11, Received: 10}, at(time.Second))
	w.look(link.Traffic{Sent: 15, Received: 10}, at(2*time.Second))
	if !w.asking.Equal(at(time.Second)) || w.sent != 10 {
		t.Errorf("asking since %v, sent %d before", w.asking, w.sent)
	}
	w.look(link.Traffic{Sent: 15, Received: 11}, at(3*time.Second))
	if !w.asking.IsZero() || !w.heard.Equal(at(3*time.Second)) || w.sent != 15 {
		t.Error("an answer did not end the silence")
	}
}

// TestTraceIsConclusive: only a hop behind one that answered is blamed, and only
// after it had much more time than that one took.
func TestTraceIsConclusive(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	tr := &trace{began: now, near: -1}
	for range 4 {
		tr.pongs = append(tr.pongs, make(chan time.Duration, 1))
	}
	if tr.collect() || tr.conclusive(now.Add(time.Hour), 0) {
		t.Fatal("nothing answered, so the link may be at fault")
	}
	tr.pongs[0] <- 10 * time.Millisecond
	tr.pongs[1] <- 400 * time.Millisecond
	if tr.collect() || tr.near != 1 || tr.conclusive(now.Add(1500*time.Millisecond), 0) {
		t.Error("a slow path was blamed too soon")
	}
	if !tr.conclusive(now.Add(1600*time.Millisecond), 0) || tr.conclusive(now.Add(1600*time.Millisecond), 8*time.Second) {
		t.Error("a dead hop was not blamed, or before its ticks")
	}
	tr.pongs[3] <- time.Second
	if !tr.collect() {
		t.Error("the end answered: the circuit works")
	}
}

// TestSleepIsNoticed: the wall clock ran on while the monotonic one stood.
func TestSleepIsNoticed(t *testing.T) {
	p, err := NewPool(Config{Views: testViews(), Dial: noDial})
	if err != nil {
		t.Fatal(err)
	}
	now, wall := time.Now(), time.Unix(1_000_000_000, 0)
	p.wall = func() time.Time { return wall }
	step := func(mono, slept time.Duration) bool {
		p.warmUntil = time.Time{}
		now, wall = now.Add(mono), wall.Add(mono+slept)
		p.checkSleep(now)
		return !p.warmUntil.IsZero() // all is built anew
	}
	step(0, 0)
	for _, k := range []struct {
		mono, slept time.Duration
		want        bool
	}{{time.Second, 0, false}, {time.Hour, 0, false}, {time.Second, 20 * time.Second, false}, {time.Second, time.Hour, true}, {time.Second, -time.Hour, false}} {
		if got := step(k.mono, k.slept); got != k.want {
			t.Errorf("%v after a sleep of %v: noticed %v", k.mono, k.slept, got)
		}
	}
}

func testViews() *directory.Views { return new(directory.Views) }

func noDial(context.Context, link.Target) (*link.Link, error) { return nil, link.ErrUnreachable }

// TestLateCircuitIsClosed: a circuit that is handed over when its only user has
// just given up would be open for an hour, with nobody to use or close it.
func TestLateCircuitIsClosed(t *testing.T) {
	p, err := NewPool(Config{Network: directory.NetworkID{1}, Views: testViews(), Dial: noDial})
	if err != nil {
		t.Fatal(err)
	}
	for _, fresh := range []bool{true, false} {
		c := newRig(t, 3).c
		w := &waiter{req: Request{Fresh: fresh}, result: make(chan result, 1)}
		p.answer(w, result{c: c})
		p.leave(w)
		if c.alive() == fresh {
			t.Errorf("fresh %v: the circuit lives: %v", fresh, c.alive())
		}
		c.Close()
	}
}

// TestUserGoesFirst: what a user waits for may be built when the ticks of all
// others are used up, but not without end.
func TestUserGoesFirst(t *testing.T) {
	p, err := NewPool(Config{
		Network: directory.NetworkID{1}, Views: testViews(), Dial: noDial,
		Profile: func() link.Profile { return link.Normal },
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	count := func(r Request) (n int) {
		for ; p.mayBuild(now, p.share(&waiter{req: r})).Equal(p.nextBuild); n++ {
			if r.Front {
				p.budget.buildFront(now, link.Normal, 4)
			} else {
				p.budget.build(now, 4)
			}
		}
		return n
	}
	if patient, others, user := count(Request{Patient: true}), count(Request{}), count(Request{Front: true}); patient != 5 || others != 4 || user != 9 {
		t.Errorf("%d patient ones, %d more, and %d more for a user", patient, others, user)
	}
	// When the others are forgotten, those of the user hold up nobody.
	now = now.Add(5 * time.Minute)
	if n := count(Request{Front: true}); n != 0 {
		t.Errorf("%d more for a user", n)
	}
	p.budget.builds = [budgetMinutes]int{}
	if others := count(Request{}); others != 9 {
		t.Errorf("%d for others after those of a user", others)
	}
	now = now.Add(budgetMinutes * time.Minute)
	if user := count(Request{Front: true}); user != 18 {
		t.Errorf("%d for a user alone", user)
	}
}
