package link

import (
	"context"
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

// long is how long the tests of this file watch a link of Fast after its
// warm-up.
const long = 10 * time.Minute

// traffic is what goes over the circuits of a watched link.
type traffic func(w *world, l *Link)

func silent(*world, *Link) {}

// full never lets a tick of six circuits go by unused.
func full(w *world, l *Link) { w.talk(l, 6) }

// chatty sends a few cells now and then, as people do, and has them answered.
func chatty(w *world, l *Link) {
	s := w.circuit(l)
	go func() {
		c := make([]byte, cell.Size)
		for readTrimmed(s, c) == nil {
		}
	}()
	go func() {
		for i := 1; ; i++ {
			if _, err := s.Write(numbered(i)); err != nil {
				return
			}
			if i%3 != 0 {
				continue
			}
			select {
			case <-time.After(time.Duration(1+i%17) * time.Second):
			case <-s.Context().Done():
				return
			}
		}
	}()
}

// watched runs a link and returns what was seen of it from the end of its
// warm-up on, both ways.
func watched(t *testing.T, p Profile, f traffic) (up, down []sighting) {
	t.Helper()
	return watchedFor(t, p, f, long)
}

func watchedFor(t *testing.T, p Profile, f traffic, length time.Duration) (up, down []sighting) {
	t.Helper()
	simulated(t, func(t *testing.T, w *world) {
		v := w.watchLink("3.0.0.1")
		_, _, l := w.shapedLink(p, cellEcho)
		from := v.now() + warmFor + p.Tick()/2
		w.circuit(l)
		f(w, l)
		pass(from + length - v.now())
		up, down = v.between(from, from+length)
	})
	return up, down
}

func TestSizesAndTimesDoNotTellDataFromPadding(t *testing.T) {
	idleUp, idleDown := watched(t, Fast, silent)
	fullUp, fullDown := watched(t, Fast, full)
	chatUp, chatDown := watched(t, Fast, chatty)
	for _, c := range []struct {
		name       string
		idle, busy []sighting
	}{
		{"full, up", idleUp, fullUp},
		{"full, down", idleDown, fullDown},
		{"chatty, up", idleUp, chatUp},
		{"chatty, down", idleDown, chatDown},
	} {
		idle, busy := withCells(c.idle), withCells(c.busy)
		a := balancedAccuracy(sizes(idle), sizes(busy))
		_, p := kolmogorov(gaps(idle), gaps(busy))
		all := balancedAccuracy(sizes(c.idle), sizes(c.busy))
		_, allP := kolmogorov(gaps(c.idle), gaps(c.busy))
		t.Logf("%-13s cells: %d and %d, sizes %v and %v: accuracy %.3f, times p = %.3f", c.name, len(idle), len(busy), sizes(idle), sizes(busy), a, p)
		t.Logf("%-13s all packets: sizes %v and %v: accuracy %.3f, times p = %.3f", c.name, sizes(c.idle), sizes(c.busy), all, allP)
		if a > 0.55 || all > 0.55 {
			t.Errorf("%s: sizes tell data from padding: %.3f, %.3f of all packets", c.name, a, all)
		}
		if p <= 0.01 || allP <= 0.01 {
			t.Errorf("%s: times tell data from padding: p = %v, %v of all packets", c.name, p, allP)
		}
		if len(idle) != len(busy) {
			t.Errorf("%s: %d cells without data, %d with", c.name, len(idle), len(busy))
		}
	}
}

// hasUpdate tells by its size whether a packet without a cell has an update of a
// window: with an acknowledgement, or in a packet of its own where both were due at
// one instant and QUIC's own goroutine had not waited for the reader.
func hasUpdate(size int) bool { return size == 31 || size == 32 || size > 35 && size < 50 }

// Windows are renewed after so many bytes in all, not on the stream that had
// them: cells that carry data move no window update, and cause none. What else
// has no cell are acknowledgements, of 33 to 35 bytes, and changes of connection
// ids, of 60, at random times.
func TestWindowUpdatesDoNotTellWhoTalks(t *testing.T) {
	hours := 4 * time.Hour
	if raceDetector {
		hours = 130 * time.Minute // one renewal up, several down
	}
	update := func(size int) bool { return hasUpdate(size) || size > 1198 }
	updates := func(s []sighting) (at []time.Duration) {
		for _, x := range s {
			if update(x.size) {
				at = append(at, x.at.Truncate(time.Millisecond))
			}
		}
		return at
	}
	// An update may share its packet with a change of connection ids, which come at
	// random times: then it is larger, but at the time of the others.
	covered := func(want []time.Duration, s []sighting) bool {
		for _, at := range want {
			if !slices.ContainsFunc(s, func(x sighting) bool {
				return x.at.Truncate(time.Millisecond) == at && (update(x.size) || x.size > 60 && x.size < 120)
			}) {
				return false
			}
		}
		return true
	}
	idleUp, idleDown := watchedFor(t, Normal, silent, hours)
	up, down := updates(idleUp), updates(idleDown)
	t.Logf("up at %v, down at %v", up, down)
	if len(up) == 0 || len(down) == 0 {
		t.Error("no window is ever renewed")
	}
	for name, f := range map[string]traffic{"chatty": chatty, "full": full} {
		busyUp, busyDown := watchedFor(t, Normal, f, hours)
		if u := updates(busyUp); !covered(u, idleUp) || !covered(up, busyUp) {
			t.Errorf("%s: up at %v, idle at %v", name, u, up)
		}
		if d := updates(busyDown); !covered(d, idleDown) || !covered(down, busyDown) {
			t.Errorf("%s: down at %v, idle at %v", name, d, down)
		}
	}
}

// churn opens circuits and ends them, after few cells and after many, by either
// side. The relay ends those whose cells are numbered 13.
func churn(w *world, l *Link) {
	go func() {
		for i := 0; ; i++ {
			select {
			case <-time.After(time.Duration(20+i%50) * time.Second):
			case <-l.Done():
				return
			}
			s := w.circuit(l)
			go func() {
				c := make([]byte, cell.Size)
				for readTrimmed(s, c) == nil {
				}
			}()
			for range i % 20 {
				if _, err := s.Write(numbered(1)); err != nil {
					return
				}
			}
			if i%3 == 0 {
				_, _ = s.Write(numbered(13))
			}
			reset(s)
		}
	}()
}

// echoUntil13 is cellEcho that ends after a cell numbered 13.
func echoUntil13(_ context.Context, _ *Link, s *Stream) {
	buf := make([]byte, cell.Size)
	for readTrimmed(s, buf) == nil && numberOf(buf) != 13 {
		if _, err := s.Write(buf); err != nil {
			return
		}
	}
}

// The ends of circuits go beside cells, which are shorter by as much: nothing on
// the wire tells that they end, nor how much they carried. Acknowledgements vary
// by what they count, with and without.
func TestEndsOfCircuitsDoNotShow(t *testing.T) {
	// The cell follows its reset at once, but on several processors QUIC's own
	// goroutine often comes between (SPEC.md §8.5).
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const withUpdate = 38 // bytes, of those that have an update
	look := func(f traffic) (cells, small map[int]int) {
		simulated(t, func(t *testing.T, w *world) {
			v := w.watchLink("3.0.0.1")
			_, _, l := w.shapedLink(Normal, echoUntil13)
			from := v.now() + warmFor + Normal.Tick()/2
			w.circuit(l)
			f(w, l)
			pass(from + time.Hour - v.now())
			if n := l.Streams(); n > 6 {
				t.Errorf("%d circuits have not ended", n)
			}
			up, down := v.between(from, from+time.Hour)
			cells, small = map[int]int{}, map[int]int{}
			for _, s := range append(up, down...) {
				switch {
				case s.size > cell.Size:
					cells[s.size]++
				case hasUpdate(s.size): // alone or not
					small[withUpdate]++
				default:
					small[s.size]++
				}
			}
		})
		return cells, small
	}
	idleCells, idleSmall := look(silent)
	cells, small := look(churn)
	t.Logf("idle: %v %v", idleCells, idleSmall)
	t.Logf("with circuits that come and go: %v %v", cells, small)
	// Of some 240 resets and credits a few may go alone, where the system took the
	// processor away between one and its cell; by design none does.
	const most = 12
	// Acknowledgements vary by a few between two hours of anything.
	const acknowledged = 20
	alone, all := 0, 0
	for size, n := range cells {
		all += n
		if idleCells[size] == 0 {
			alone += n
		}
	}
	if n := slices.Collect(maps.Values(idleCells)); len(n) != 1 || n[0] != all || alone > most {
		t.Errorf("sizes of packets with cells differ: %d of %d", alone, all)
	}
	for size, n := range small {
		d, most := n-idleSmall[size], alone
		if size <= 35 {
			most += acknowledged
		}
		if d > most || d < -most {
			t.Errorf("%d packets of %d bytes, %d on an idle link", n, size, idleSmall[size])
		}
	}
}

// An unshaped link is what the tests above are good for.
func TestSizesAndTimesTellDataOnAnUnshapedLink(t *testing.T) {
	idleUp, _ := watched(t, Off, silent)
	simulated(t, func(t *testing.T, w *world) {
		v := w.watchLink("3.0.0.1")
		_, _, l := w.shapedLink(Off, cellEcho)
		s := w.circuit(l)
		for range 100 {
			if _, err := s.Write(numbered(1)); err != nil {
				t.Fatal(err)
			}
			pass(3 * time.Second)
		}
		up, _ := v.between(0, time.Hour)
		if _, p := kolmogorov(gaps(withCells(idleUp)), gaps(withCells(up))); p > 1e-3 {
			t.Errorf("p = %v", p)
		}
	})
}

func TestBytesPerDay(t *testing.T) {
	const headers = 28 // of IPv4 and UDP
	for _, p := range []Profile{Off, Saver, Normal, Fast} {
		t.Run(p.String(), func(t *testing.T) {
			// Off is random: about 530 cells each way in an hour, ± 9 standard errors.
			length, within := long, 0.03
			if p == Off {
				length, within = time.Hour, 0.10
			}
			up, down := watchedFor(t, p, silent, length)
			n := 0
			for _, x := range append(up, down...) {
				n += x.size + headers
			}
			day := float64(n) / 1e6 * float64(24*time.Hour) / float64(length)
			t.Logf("%.1f MB a day, stated as %d", day, p.MegabytesPerDay())
			if math.Abs(day/float64(p.MegabytesPerDay())-1) > within {
				t.Errorf("%.1f MB a day, stated as %d", day, p.MegabytesPerDay())
			}
		})
	}
}

func TestPaddingOfAnUnshapedLink(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		v := w.watchLink("3.0.0.1")
		_, _, l := w.shapedLink(Off, cellEcho)
		w.circuit(l)
		pass(time.Minute)
		from := v.now()
		pass(2 * time.Hour)
		up, down := v.between(from, v.now())
		cdf := func(x float64) float64 {
			f := min(max((x-paddingMin.Seconds())/(paddingMax-paddingMin).Seconds(), 0), 1)
			return f * f
		}
		for name, s := range map[string][]sighting{"up": up, "down": down} {
			g := gaps(withCells(s))
			_, p := kolmogorovAgainst(g, cdf)
			t.Logf("%s: %d cells, p = %.3f", name, len(g)+1, p)
			if p < 1e-5 {
				t.Errorf("%s: not the larger of two uniform draws: p = %v", name, p)
			}
		}
		// A cell defers the next PAD.
		s := w.circuit(l)
		pass(time.Millisecond)
		from = v.now()
		for range 100 {
			if _, err := s.Write(numbered(1)); err != nil {
				t.Fatal(err)
			}
			pass(paddingMin - time.Millisecond)
		}
		if up, _ := v.between(from, v.now()); len(withCells(up)) != 100 {
			t.Errorf("%d cells where 100 were written with no pause", len(withCells(up)))
		}
	})
}
