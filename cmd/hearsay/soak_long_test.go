//go:build long && linux && !race

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	soakEvery = 30 * time.Second       // a fault
	soakPace  = 100 * time.Millisecond // a text of each of two people: 20 a second
	soakCalm  = 20                     // minutes from which memory is judged
)

// vitals are what a process holds.
type vitals struct{ memory, descriptors, threads int } // memory in KiB, without that of mapped files

func (p *process) vitals() (v vitals) {
	p.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		f := strings.Fields(string(line))
		switch {
		case len(f) < 2:
		case f[0] == "RssAnon:":
			v.memory, _ = strconv.Atoi(f[1])
		case f[0] == "Threads:":
			v.threads, _ = strconv.Atoi(f[1])
		}
	}
	open, err := os.ReadDir(dir + "fd")
	if err != nil {
		p.t.Fatal(err)
	}
	v.descriptors = len(open)
	return v
}

// untilDelivered waits until everything that was sent is delivered, and reads
// what was no second time.
func (c *chatter) untilDelivered(within time.Duration) {
	c.t.Helper()
	after := uint64(0)
	for end := time.Now().Add(within); ; {
		var r struct{ Messages []message }
		c.script().must(&r, "message.list", map[string]any{"contact": c.contact, "after": after, "limit": 1000})
		waits := slices.IndexFunc(r.Messages, func(m message) bool { return m.Direction == "out" && m.State != "delivered" })
		switch {
		case len(r.Messages) == 0:
			return
		case waits < 0:
			after = r.Messages[len(r.Messages)-1].Seq
			continue
		case waits > 0:
			after = r.Messages[waits-1].Seq
			continue
		case time.Now().After(end):
			c.t.Fatalf("%q is %s after %v", r.Messages[0].Text, r.Messages[0].State, within)
		}
		<-time.After(time.Second)
	}
}

// TestSoak lets two people write 20 messages a second for HEARSAY_SOAK minutes,
// while every half a minute a relay is killed, frozen, stopped or a client is
// killed. Nothing is lost, nothing comes twice, and who was not killed holds no more
// at the end than at the beginning.
func TestSoak(t *testing.T) {
	minutes, _ := strconv.Atoi(os.Getenv("HEARSAY_SOAK"))
	minutes = max(2, minutes)
	w := startNetwork(t, 8)
	a := &chatter{t: t, w: w, home: filepath.Join(w.dir, "alice")}
	b := &chatter{t: t, w: w, home: filepath.Join(w.dir, "bob")}
	a.start()
	b.start()
	a.s.untilReady()
	b.s.untilReady()
	a.contact, b.contact = introduce(t, a.s, b.s, "bob", "alice")

	var ids []string
	for id := range w.relays {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	mortal, spared := ids[:5], ids[5:]
	watched := map[string]*process{"alice": a.s.process, "directory": w.directory}
	for i, id := range spared {
		watched[fmt.Sprint("relay ", i)] = w.relays[id].process
	}

	stop := make(chan struct{})
	var talkers sync.WaitGroup
	for _, c := range []*chatter{a, b} {
		talkers.Go(func() { c.talk(stop, soakPace) })
	}
	faults := []struct {
		name string
		do   func(id string)
	}{
		{"kill -9 of a relay for 5 s", func(id string) {
			w.relays[id].kill()
			<-time.After(5 * time.Second)
			w.restart(id)
		}},
		{"SIGSTOP of a relay for 10 s", func(id string) {
			freeze(w, id)
			<-time.After(10 * time.Second)
			thaw(w, id)
		}},
		{"kill -9 of a client", func(string) { b.crash() }},
		{"stop of a relay for 2 s", func(id string) {
			w.relays[id].terminate()
			if code := w.relays[id].wait(); code != 0 {
				t.Errorf("a relay exited with %d", code)
			}
			<-time.After(2 * time.Second)
			w.restart(id)
		}},
	}
	samples := map[string][]vitals{}
	sample := time.NewTicker(5 * time.Second)
	defer sample.Stop()
	fault := time.NewTicker(soakEvery)
	defer fault.Stop()
	began, total, n := time.Now(), time.Duration(minutes)*time.Minute, 0
	for time.Since(began) < total {
		select {
		case <-sample.C:
			if time.Since(began) < min(total/4, time.Minute) {
				continue // all is still being set up
			}
			for name, p := range watched {
				samples[name] = append(samples[name], p.vitals())
			}
		case <-fault.C:
			f := faults[n%len(faults)]
			f.do(mortal[n%len(mortal)])
			n++
			if n <= len(faults) || n%20 == 0 {
				t.Logf("%6.0f s  %3d. %-28s %6d and %6d messages", time.Since(began).Seconds(), n, f.name, a.count(), b.count())
			}
		}
	}
	close(stop)
	talkers.Wait()
	a.untilDelivered(3 * time.Minute)
	b.untilDelivered(3 * time.Minute)
	a.check(b)
	b.check(a)
	t.Logf("%d minutes, %d faults: %d messages (%.1f a second), none lost, none twice", minutes, n, a.sent+b.sent, float64(a.sent+b.sent)/total.Seconds())

	// The least of a part counts: what is held is held in all of it.
	least := func(part []vitals, of func(vitals) int) int {
		return of(slices.MinFunc(part, func(x, y vitals) int { return of(x) - of(y) }))
	}
	most := func(part []vitals, of func(vitals) int) int {
		return of(slices.MaxFunc(part, func(x, y vitals) int { return of(x) - of(y) }))
	}
	memory := func(v vitals) int { return v.memory }
	descriptors := func(v vitals) int { return v.descriptors }
	threads := func(v vitals) int { return v.threads }
	names := []string{}
	for name := range samples {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		all := samples[name]
		third := max(1, len(all)/3)
		first, last := all[:third], all[len(all)-third:]
		grown := float64(least(last, memory)-least(first, memory)) / 1024
		per := grown / (float64(len(all)-third) * 5 / 600)
		t.Logf("%-10s memory %5.1f MiB, %+5.2f MiB in 10 min (target 1); descriptors %d, then %d; threads %d, then %d", name,
			float64(least(last, memory))/1024, per, least(first, descriptors), least(last, descriptors), least(first, threads), least(last, threads))
		if least(last, descriptors) > most(first, descriptors) {
			t.Errorf("%s: %d descriptors or more, and %d at most before", name, least(last, descriptors), most(first, descriptors))
		}
		if minutes >= soakCalm && per > 1 { // before, heaps are still becoming as large as they will be
			t.Errorf("%s: %.2f MiB more in 10 minutes", name, per)
		}
	}
	for _, c := range []*chatter{a, b} {
		c.script().shutdown()
		soundDatabase(t, c.home)
	}
}
