package chat

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// chaosHours is how long TestDayOfChaos runs, in virtual hours: HEARSAY_DAY, or
// a quarter of one.
func chaosHours() float64 {
	if h, err := strconv.ParseFloat(os.Getenv("HEARSAY_DAY"), 64); err == nil && h > 0 {
		return h
	}
	return 0.25
}

// chaosSeed is HEARSAY_SEED, or 1: a seed gives the same events, though not the
// same moments of all goroutines.
func chaosSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("HEARSAY_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}

// chaosEvery is the time between two events.
const chaosEvery = 30 * time.Second

// chaosPair is a conversation in one direction.
type chaosPair struct {
	from, to         *user
	contact, inverse string // what each calls the other
	sent             []string
	ids              []string
}

// chaos is a world under random trouble.
type chaos struct {
	t     *testing.T
	w     *fakeWorld
	rnd   *mathrand.Rand
	users []*user
	pairs []*chaosPair
	log   []string // the last events, for who has to find out
	heal  []timed  // what ends trouble
	count map[string]int
	born  int // relays so far
}

type timed struct {
	at time.Time
	do func()
}

// TestDayOfChaos lets ten people talk while something breaks every 30 seconds:
// relays die and come back, or are lost with their disks, people's programs are
// killed at any moment and their networks vanish, commands are lost both ways.
// In the end every message has arrived once, every state is delivered, and
// nothing is left over. It has people and relays for real, but no circuits.
func TestDayOfChaos(t *testing.T) {
	files := openFiles(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		hours, seed := chaosHours(), chaosSeed()
		people := 10
		if hours < 1 {
			people = 4
		}
		w := newFakeWorld(t, 8)
		w.lab, w.noWork = false, true
		for _, r := range w.relays { // as ordinary relays, not those of a lab
			w.stop(r)
			w.start(r)
		}
		c := &chaos{t: t, w: w, rnd: mathrand.New(mathrand.NewPCG(seed, 24)), count: map[string]int{}, born: len(w.relays)}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("seed %d; events %v; the last ones:\n%s", seed, c.count, strings.Join(c.log, "\n"))
			}
		})
		for i := range people {
			u := &user{t: t, w: w, home: filepath.Join(dir, fmt.Sprint("person", i))}
			u.start()
			c.users = append(c.users, u)
			t.Cleanup(func() { u.stop() })
		}
		for i, u := range c.users {
			c.meet(u, c.users[(i+1)%people])
			if people > 4 && i%2 == 0 {
				c.meet(u, c.users[(i+5)%people])
			}
		}
		began := time.Now()
		end := began.Add(time.Duration(hours * float64(time.Hour)))
		for next := time.Now(); time.Now().Before(end); next = next.Add(chaosEvery) {
			c.event()
			for time.Now().Before(next.Add(chaosEvery)) {
				<-time.After(time.Duration(c.rnd.Int64N(int64(6 * time.Second))))
				c.repair()
				if c.rnd.IntN(3) == 0 {
					c.say()
				}
			}
			c.show() // as each epoch does
			if c.rnd.IntN(20) == 0 {
				c.check(false)
			}
		}
		for _, h := range c.heal {
			h.do()
		}
		c.heal = nil
		w.setDrop(nil)
		waited := time.Now()
		for !c.quiet() {
			<-time.After(time.Minute)
			c.show()
			if time.Since(waited) > 80*time.Hour {
				c.report()
				t.Fatal("messages are on their way 80 hours after the last trouble")
			}
		}
		t.Logf("%d people, %.2f hours, %d messages, all delivered %v after the last trouble; events %v",
			people, hours, c.messages(), time.Since(waited).Round(time.Second), c.count)
		c.check(true)
		for _, u := range c.users {
			if n := u.stop(); n != 0 {
				t.Errorf("%d messages exist on one machine only", n)
			}
		}
	})
	runtime.GC()
	if n := openFiles(t); n > files {
		t.Errorf("%d files are open, %d were before", n, files)
	}
}

// openFiles counts the open files of this process; 0 where that cannot be asked.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// meet makes two people contacts.
func (c *chaos) meet(a, b *user) {
	c.t.Helper()
	name := fmt.Sprint("pair ", len(c.pairs))
	var inv Invite
	var err error
	if inv, err = a.CreateInvite(context.Background(), name); err != nil {
		c.t.Fatal(err)
	}
	atB, err := b.AcceptInvite(context.Background(), inv.Link, name)
	if err != nil {
		c.t.Fatal(err)
	}
	atA := ""
	for end := time.Now().Add(time.Hour); atA == "" || b.state(atB.ID) != ContactActive; <-time.After(time.Second) {
		list, _ := a.Contacts(context.Background())
		for _, one := range list {
			if one.Name == name {
				atA = one.ID
			}
		}
		if time.Now().After(end) {
			c.t.Fatal("no contact within an hour")
		}
	}
	c.pairs = append(c.pairs, &chaosPair{from: a, to: b, contact: atA, inverse: atB.ID}, &chaosPair{from: b, to: a, contact: atB.ID, inverse: atA})
}

// say sends one message of somebody.
func (c *chaos) say() {
	p := c.pairs[c.rnd.IntN(len(c.pairs))]
	text := fmt.Sprintf("message %d of %s", len(p.sent), p.contact)
	if c.rnd.IntN(20) == 0 {
		text += strings.Repeat(" and on", 400) // of several frames
	}
	m, err := p.from.Send(context.Background(), p.contact, text)
	if err != nil {
		c.t.Fatalf("send: %v", err)
	}
	p.sent, p.ids = append(p.sent, text), append(p.ids, m.ID)
}

func (c *chaos) messages() (n int) {
	for _, p := range c.pairs {
		n += len(p.sent)
	}
	return n
}

// note remembers what happened.
func (c *chaos) note(kind, detail string) {
	c.count[kind]++
	c.log = append(c.log, fmt.Sprintf("%s %s %s", time.Now().Format(time.TimeOnly), kind, detail))
	if len(c.log) > 60 {
		c.log = c.log[1:]
	}
}

// later ends a trouble after a random time.
func (c *chaos) later(low, high time.Duration, do func()) {
	at := time.Now().Add(low + time.Duration(c.rnd.Int64N(int64(high-low))))
	c.heal = append(c.heal, timed{at, do})
}

// repair ends what is due to end.
func (c *chaos) repair() {
	now := time.Now()
	for i := 0; i < len(c.heal); i++ {
		if h := c.heal[i]; !now.Before(h.at) {
			c.heal = slices.Delete(c.heal, i, i+1)
			i--
			h.do()
		}
	}
}

// up returns the relays that run.
func (c *chaos) up() (list []*fakeRelay) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, r := range c.w.relays {
		if r.server != nil {
			list = append(list, r)
		}
	}
	return list
}

// event is one trouble.
func (c *chaos) event() {
	u := c.users[c.rnd.IntN(len(c.users))]
	up := c.up()
	switch c.rnd.IntN(12) {
	case 0, 1, 2: // a relay dies and comes back
		if len(up) < 4 {
			return
		}
		r := up[c.rnd.IntN(len(up))]
		c.note("relay down", r.id.String()[:8])
		c.w.stop(r)
		c.later(5*time.Second, 10*time.Minute, func() {
			if r.server == nil && c.w.has(r) {
				c.w.start(r)
			}
		})
	case 3: // a relay restarts
		if len(up) < 4 {
			return
		}
		r := up[c.rnd.IntN(len(up))]
		c.note("relay restarted", r.id.String()[:8])
		c.w.stop(r)
		c.later(time.Second, time.Minute, func() {
			if r.server == nil && c.w.has(r) {
				c.w.start(r)
			}
		})
	case 4: // a relay is lost with its disk, seldom, and another one joins
		if len(up) < 5 || c.rnd.IntN(8) != 0 {
			return
		}
		r := up[c.rnd.IntN(len(up))]
		c.note("relay lost for good", r.id.String()[:8])
		c.w.stop(r)
		c.w.replace(r, c.fresh())
		c.show()
	case 5, 6, 7: // somebody's program is killed
		c.note("client killed", filepath.Base(u.home))
		u.crashInPlace()
		u.views.Set(c.w.view())
	case 8, 9: // somebody's network vanishes
		c.note("client offline", filepath.Base(u.home))
		u.net.cut(false)
		c.later(5*time.Second, 20*time.Minute, func() { u.net.cut(true) })
	case 10: // commands are lost
		c.note("commands lost", "")
		rate := 1 + c.rnd.IntN(20)
		rnd := mathrand.New(mathrand.NewPCG(c.rnd.Uint64(), 1))
		c.w.setDrop(func(bool, directory.RelayID, mailbox.Command) bool { return rnd.IntN(100) < rate })
		c.later(10*time.Second, time.Minute, func() { c.w.setDrop(nil) })
	case 11: // somebody closes the program and opens it much later
		c.note("client closed", filepath.Base(u.home))
		u.stop()
		u.start()
		u.views.Set(c.w.view())
		u.net.cut(false)
		c.later(time.Minute, time.Hour, func() { u.net.cut(true) })
	}
}

// show gives everybody the present snapshot.
func (c *chaos) show() {
	v := c.w.view()
	for _, u := range c.users {
		u.views.Set(v)
	}
}

// fresh makes a relay that nobody knows.
func (c *chaos) fresh() *fakeRelay {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	c.born++
	r := &fakeRelay{key: key, dir: c.t.TempDir(), routes: make(map[*fakeRoute]struct{})}
	r.id = directory.RelayID(key.Public().(ed25519.PublicKey))
	c.w.start(r)
	return r
}

func (w *fakeWorld) has(r *fakeRelay) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.relays, r)
}

// replace puts a relay in the place of another.
func (w *fakeWorld) replace(old, fresh *fakeRelay) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relays = slices.Clone(w.relays)
	w.relays[slices.Index(w.relays, old)] = fresh
}

// crashInPlace is crash, but the copy takes the place of the home, so that a
// day of crashes does not fill the disk.
func (u *user) crashInPlace() {
	u.t.Helper()
	copied, up := u.home+".crashed", u.net.isUp()
	if err := u.look(context.Background(), func(*turn) error { return copyHome(u.home, copied) }); err != nil {
		u.t.Fatal(err)
	}
	u.stop()
	if err := os.RemoveAll(u.home); err != nil {
		u.t.Fatal(err)
	}
	if err := os.Rename(copied, u.home); err != nil {
		u.t.Fatal(err)
	}
	u.start()
	u.net.cut(up)
}

func (n *fakeNetwork) isUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// quiet tells whether all is delivered.
func (c *chaos) quiet() bool {
	for _, p := range c.pairs {
		waiting := false
		if err := p.from.look(context.Background(), func(t *turn) error {
			waiting = len(t.book.contacts[p.contact].own) > 0
			return nil
		}); err != nil {
			c.t.Fatal(err)
		}
		if waiting {
			return false
		}
	}
	return true
}

// report says what is still on its way.
func (c *chaos) report() {
	for _, p := range c.pairs {
		_ = p.from.look(context.Background(), func(t *turn) error {
			one := t.book.contacts[p.contact]
			for _, own := range one.own {
				c.t.Logf("%s: message %d is %s %+v; queues rest: %q, %q", filepath.Base(p.from.home), own.number, own.state, own.copies, one.slots[0].reason, one.slots[1].reason)
			}
			return nil
		})
	}
}

// check compares what was said with what came: nothing twice, nothing that was
// not said, and nothing shown as delivered that did not come; in the end, all.
func (c *chaos) check(end bool) {
	c.t.Helper()
	for _, p := range c.pairs {
		delivered := map[string]bool{}
		for after := uint64(0); ; {
			list, err := p.from.Messages(context.Background(), p.contact, after, 1000)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, m := range list {
				after = m.Seq
				if m.Direction == Out && m.Kind == "" && m.State == Delivered {
					delivered[m.Text] = true
				}
				if m.Direction == Out && m.State == Failed {
					c.t.Errorf("a message failed: %q", m.Text[:20])
				}
			}
			if len(list) < 1000 {
				break
			}
		}
		came := c.came(p)
		if slices.ContainsFunc(slices.Collect(maps.Keys(delivered)), func(text string) bool { return came[text] == 0 }) {
			<-time.After(20 * time.Second) // it is there, and waits for one before it
			came = c.came(p)
		}
		for text, n := range came {
			if n != 1 {
				c.t.Errorf("%q came %d times", text[:20], n)
			}
		}
		for text := range delivered {
			if came[text] == 0 {
				c.t.Errorf("%q is shown as delivered and did not come", text[:20])
			}
		}
		if end && len(came) != len(p.sent) {
			c.t.Errorf("%d of %d messages came", len(came), len(p.sent))
		}
	}
}

// came counts the texts of a conversation that are shown at the other side, and
// checks their order.
func (c *chaos) came(p *chaosPair) map[string]int {
	c.t.Helper()
	came := map[string]int{}
	last := -1
	for after := uint64(0); ; {
		list, err := p.to.Messages(context.Background(), p.inverse, after, 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, m := range list {
			after = m.Seq
			if m.Direction != In || m.Kind != "" {
				continue
			}
			came[m.Text]++
			i := slices.Index(p.sent, m.Text)
			if i < 0 {
				c.t.Fatalf("%q was never said", m.Text)
			}
			if !m.Late && i < last {
				c.t.Errorf("message %d is shown after %d and not marked as late", i, last)
			}
			last = max(last, i)
		}
		if len(list) < 1000 {
			break
		}
	}
	return came
}
