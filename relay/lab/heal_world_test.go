package lab_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/lab"
)

// repetitions is how often each fault is tried in one run. HEAL_RUNS multiplies
// it, for percentiles that deserve the name.
func repetitions(n int) int {
	if k, err := strconv.Atoi(os.Getenv("HEAL_RUNS")); err == nil && k > 0 {
		return n * k
	}
	if raceDetector {
		return (n + 3) / 4
	}
	return n
}

// testLog returns where a person's log goes: nowhere, unless HEAL_LOG is set.
func testLog(home string) *slog.Logger {
	if os.Getenv("HEAL_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("who", filepath.Base(home))
}

// weather is what befalls the packets of a simulated network.
type weather struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	loss   int // percent, each way on every link
	frozen map[netip.AddrPort]bool
	dark   *person // who has no network
}

func newWeather(seed uint64) *weather {
	return &weather{rnd: rand.New(rand.NewPCG(seed, 7)), frozen: map[netip.AddrPort]bool{}}
}

func (w *weather) drop(from, to netip.AddrPort, _ []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dark != nil && (w.dark.has(from) || w.dark.has(to)) {
		return true
	}
	return w.frozen[from] || w.frozen[to] || w.loss > 0 && w.rnd.IntN(100) < w.loss
}

func (w *weather) setLoss(percent int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss = percent
}

// freeze cuts addresses off, silently, as SIGSTOP or a change of network does.
func (w *weather) freeze(on bool, addrs ...netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range addrs {
		if on {
			w.frozen[a] = true
		} else {
			delete(w.frozen, a)
		}
	}
}

// setDark takes a person's network away, or gives it back; the person's system
// knows.
func (w *weather) setDark(on bool, p *person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dark = nil
	if on {
		w.dark = p
		p.setSource(netip.Addr{})
	}
}

// person is a running messenger.
type person struct {
	*chat.Messenger
	t    *testing.T
	stop func()

	mu       sync.Mutex
	received map[string]time.Time // by text
	times    map[string]int
	stored   map[string][3]time.Time // by id: when 1 and 2 copies were proven
	builds   []time.Time             // circuits that opened
	addrs    []netip.AddrPort        // of its sockets, dead ones included
	source   netip.Addr              // as its system tells
	moves    byte
}

func newPerson(t *testing.T, n *lab.Network, home, cover string) *person {
	t.Helper()
	p := &person{t: t, source: netip.AddrFrom4([4]byte{192, 0, 2, 1}), received: map[string]time.Time{}, times: map[string]int{}, stored: map[string][3]time.Time{}}
	m, err := chat.Open(chat.Config{Home: home, Network: n.Link().String(), Cover: cover, Log: testLog(home), Source: p.sourceNow, ListenPacket: func() (net.PacketConn, error) {
		c, err := n.ListenPacket()
		if err == nil {
			p.mu.Lock()
			p.addrs = append(p.addrs, c.LocalAddr().(*net.UDPAddr).AddrPort())
			p.mu.Unlock()
		}
		return c, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.Messenger = m
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	events := m.Subscribe()
	wg.Go(func() { p.listen(ctx, events) })
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		wg.Wait()
		events.Close()
		if _, err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	return p
}

// listen notes what the messenger tells, until ctx ends.
func (p *person) listen(ctx context.Context, events *chat.Subscription) {
	for {
		ev, err := events.Next(ctx)
		if err != nil {
			return
		}
		now := time.Now()
		p.mu.Lock()
		switch ev.Type {
		case chat.MessageReceived:
			p.times[ev.Message.Text]++
			if p.received[ev.Message.Text].IsZero() {
				p.received[ev.Message.Text] = now
			}
		case chat.MessageStateChanged:
			s := p.stored[ev.Message.ID]
			have := 0
			if ev.Message.Copies != nil {
				have = ev.Message.Copies.Have
			}
			if ev.Message.State == chat.Delivered { // nothing is repeated any more
				have = 2
			}
			for k := 1; k <= min(have, 2); k++ {
				if s[k].IsZero() {
					s[k] = now
				}
			}
			p.stored[ev.Message.ID] = s
		case chat.CircuitBuilt:
			p.builds = append(p.builds, now)
		}
		p.mu.Unlock()
	}
}

// until waits in virtual time.
func (p *person) until(what string, within time.Duration, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(within); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not within %v: %s; status %+v", within, what, p.Status())
		}
	}
}

// built counts circuits that opened since a time.
func (p *person) built(since time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.builds {
		if at.After(since) {
			n++
		}
	}
	return n
}

func (p *person) has(a netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.addrs, a)
}

// move gives the person's system another address.
func (p *person) move() {
	p.moves++
	p.setSource(netip.AddrFrom4([4]byte{192, 0, 2, 1 + p.moves}))
}

func (p *person) setSource(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source = a
}

func (p *person) sourceNow(netip.AddrPort) netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.source
}

// sockets returns all addresses that the person had.
func (p *person) sockets() []netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.addrs)
}

// awaitsGuard tells whether the person is told that a message waits because the
// mailbox relay is one of the first two guards and the other one is down: no
// third serves (circuit/path/SPEC.md §2.2), so it takes as long as the fault.
func (p *person) awaitsGuard() bool {
	return slices.ContainsFunc(p.Status().Outlook.Warnings, func(w string) bool {
		return strings.Contains(w, "the mailbox relay is your guard")
	})
}

// open returns the open circuits of a purpose that lead to a mailbox relay.
func (p *person) open(purpose circuit.Purpose) []circuit.Info {
	return slices.DeleteFunc(p.Status().Circuits, func(c circuit.Info) bool {
		return c.State != "open" || c.Purpose != purpose || c.Destination == (directory.RelayID{})
	})
}

// talk is two people in a network.
type talk struct {
	t        *testing.T
	n        *lab.Network
	weather  *weather
	a, b     *person
	atA, atB string // how each calls the other
	count    int
}

// talking runs f with two people who are contacts, in an ordinary network in
// virtual time.
func talking(t *testing.T, relays int, f func(t *testing.T, k *talk)) {
	t.Helper()
	talkingBehind(t, "off", relays, f)
}

func talkingBehind(t *testing.T, cover string, relays int, f func(t *testing.T, k *talk)) {
	t.Helper()
	talkingIn(t, cover, lab.Config{Relays: relays}, f)
}

// talkingIn is talkingBehind in a network of another kind.
func talkingIn(t *testing.T, cover string, cfg lab.Config, f func(t *testing.T, k *talk)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWeather(uint64(cfg.Relays))
		sim := lab.NewSimNet(lab.SimConfig{Drop: w.drop})
		defer sim.Close()
		cfg.Dir, cfg.Sim = filepath.Join(dir, "network"), sim
		n, err := lab.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		k := &talk{t: t, n: n, weather: w, a: newPerson(t, n, filepath.Join(dir, "a"), cover), b: newPerson(t, n, filepath.Join(dir, "b"), cover)}
		defer k.a.stop()
		defer k.b.stop()
		k.meet()
		f(t, k)
		for _, p := range []*person{k.a, k.b} {
			for text, n := range p.times {
				if n != 1 {
					t.Errorf("%q arrived %d times", text, n)
				}
			}
		}
	})
}

func (k *talk) meet() {
	k.t.Helper()
	for _, p := range []*person{k.a, k.b} {
		p.until("a path", 5*time.Minute, func() bool {
			return slices.ContainsFunc(p.Status().Circuits, func(c circuit.Info) bool { return c.State == "open" })
		})
	}
	inv, err := k.a.CreateInvite(k.t.Context(), "b")
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := k.b.AcceptInvite(k.t.Context(), inv.Link, "a")
	if err != nil {
		k.t.Fatal(err)
	}
	k.atB = c.ID
	k.a.until("contacts", 5*time.Minute, func() bool {
		as, _ := k.a.Contacts(k.t.Context())
		bs, _ := k.b.Contacts(k.t.Context())
		if len(as) == 1 {
			k.atA = as[0].ID
		}
		return len(as) == 1 && as[0].State == chat.ContactActive && bs[0].State == chat.ContactActive
	})
}

// sent is how long a message took.
type sent struct {
	id, text               string
	start                  time.Time
	stored, both, received time.Duration
}

// say sends one message from a to b and waits until it is stored and there, or
// until within has passed: then what is missing is zero.
func (k *talk) say(within time.Duration) sent {
	k.t.Helper()
	return k.sayCopies(1, within)
}

// sayCopies is say, but waits for so many copies.
func (k *talk) sayCopies(copies int, within time.Duration) sent {
	k.t.Helper()
	k.count++
	text := fmt.Sprint("message ", k.count)
	start := time.Now()
	m, err := k.a.Send(k.t.Context(), k.atA, text)
	if err != nil {
		k.t.Fatal(err)
	}
	return k.follow(m.ID, text, start, copies, within)
}

// sayThrough is say while a fault lasts. It tells whether somebody had to wait for a
// guard meanwhile (see awaitsGuard).
func (k *talk) sayThrough(within time.Duration) (s sent, awaits bool) {
	k.t.Helper()
	s = k.say(time.Second)
	for d := time.Second; d < within && (s.received == 0 || s.stored == 0); d += time.Second {
		awaits = awaits || k.a.awaitsGuard() || k.b.awaitsGuard()
		s = k.follow(s.id, s.text, s.start, 1, d+time.Second)
	}
	return s, awaits
}

func (k *talk) follow(id, text string, start time.Time, copies int, within time.Duration) sent {
	s := sent{id: id, text: text, start: start}
	for end := start.Add(within); time.Now().Before(end) && (s.received == 0 || s.stored == 0 || copies > 1 && s.both == 0); <-time.After(10 * time.Millisecond) {
		k.b.mu.Lock()
		if at := k.b.received[text]; !at.IsZero() {
			s.received = max(at.Sub(start), 1)
		}
		k.b.mu.Unlock()
		k.a.mu.Lock()
		for n, d := range []*time.Duration{&s.stored, &s.both} {
			if at := k.a.stored[id][n+1]; !at.IsZero() {
				*d = max(at.Sub(start), 1)
			}
		}
		k.a.mu.Unlock()
	}
	return s
}

// settle lets everything heal and waits until messages flow as ever.
func (k *talk) settle(d time.Duration) {
	k.t.Helper()
	<-time.After(d)
	for range 20 {
		if s := k.sayCopies(2, time.Minute); s.received > 0 && s.received < 5*time.Second && s.both > 0 && len(k.b.open(circuit.Subscribe)) > 0 {
			return
		}
		<-time.After(20 * time.Second)
	}
	k.t.Fatalf("messages do not flow: %+v", k.a.Status())
}

// list of durations, of which percentiles are told.
type list []time.Duration

// p returns a percentile: the smallest value that so many percent do not
// exceed. A message that never came (zero) counts as a day.
func (l list) p(percent int) time.Duration {
	s := slices.Clone(l)
	for i := range s {
		if s[i] == 0 {
			s[i] = 24 * time.Hour
		}
	}
	slices.Sort(s)
	return s[max(0, (len(s)*percent+99)/100-1)]
}

func (l list) String() string {
	if len(l) == 0 {
		return "none"
	}
	r := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	return fmt.Sprintf("p50 %v, p95 %v, p99 %v, worst %v of %d", r(l.p(50)), r(l.p(95)), r(l.p(99)), r(l.p(100)), len(l))
}

// most fails the test if a percentile is over its target. A short run has too
// few values for that; there it fails if so many are over the target as would
// happen once in ten thousand runs if the percentile were exactly the target.
func (l list) most(t *testing.T, what string, percent int, target time.Duration) {
	t.Helper()
	over := 0
	for _, d := range l {
		if d == 0 || d > target {
			over++
		}
	}
	if len(l) >= 100 && l.p(percent) <= target || len(l) < 100 && over <= plausible(len(l), 1-float64(percent)/100) {
		return
	}
	t.Errorf("%s: p%d is %v, target %v, %d of %d are over it", what, percent, l.p(percent), target, over, len(l))
}

// plausible is the most of n that one in ten thousand runs exceeds, if each is
// over with the given probability.
func plausible(n int, probability float64) int {
	if probability == 0 {
		return 0
	}
	each, sum := math.Pow(1-probability, float64(n)), 0.0
	for k := range n {
		if sum += each; 1-sum < 1e-4 {
			return k
		}
		each *= float64(n-k) / float64(k+1) * probability / (1 - probability)
	}
	return n
}
