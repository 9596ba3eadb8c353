//go:build unix && !race

// The processes are no race builds: the detector would see only this file.

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// chaosKills is how often the clients are killed: HEARSAY_KILLS, of which 200
// are a full run, that also kills every relay and waits as long as it should:
// HEARSAY_KILLS=200 go test -v -timeout 60m -run ChaosOfProcesses ./cmd/hearsay.
func chaosKills() (n int, full bool) {
	if n, err := strconv.Atoi(os.Getenv("HEARSAY_KILLS")); err == nil && n > 0 {
		return n, true
	}
	return 4, false
}

// chatter is one side of a conversation that goes on whatever happens to it: what
// was not answered before its process died is sent again under the same key.
type chatter struct {
	t       *testing.T
	w       *network
	home    string
	contact string

	mu   sync.Mutex
	s    *script
	sent int // texts whose sending was answered
}

func (c *chatter) start() {
	s := startScript(c.t, "hearsay", "rpc", "--home", c.home, "--network", c.w.link, "--log-level", "error")
	s.must(nil, "subscribe", nil)
	c.mu.Lock()
	c.s = s
	c.mu.Unlock()
}

func (c *chatter) script() *script {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s
}

// crash is kill -9 and a new process.
func (c *chatter) crash() {
	c.script().kill()
	c.start()
}

func (c *chatter) text(n int) string { return fmt.Sprintf("%s %d", filepath.Base(c.home), n) }

// count tells how many texts were sent.
func (c *chatter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// talk sends a text every so often until stop is closed.
func (c *chatter) talk(stop <-chan struct{}, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		text := c.text(c.count())
		if _, err := c.script().call("message.send", map[string]any{"contact": c.contact, "text": text, "key": text}); err == nil {
			c.mu.Lock()
			c.sent++
			c.mu.Unlock()
		}
	}
}

// received returns the texts of the other side that this one shows.
func (c *chatter) received() (texts []string) {
	for _, m := range c.script().messages(c.contact) {
		if m.Direction == "in" {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// onTheWay counts own messages that are not delivered.
func (c *chatter) onTheWay() (n int) {
	for _, m := range c.script().messages(c.contact) {
		if m.Direction == "out" && m.State != "delivered" {
			n++
		}
	}
	return n
}

// check compares what one side sent with what the other shows.
func (c *chatter) check(other *chatter) {
	c.t.Helper()
	got := other.received()
	count := map[string]int{}
	for _, text := range got {
		count[text]++
	}
	for n := range c.sent {
		if k := count[c.text(n)]; k != 1 {
			c.t.Errorf("%q came %d times", c.text(n), k)
		}
	}
	if extra := len(got) - c.sent; extra > 1 { // one may have been taken without an answer
		c.t.Errorf("%d messages came, %d were sent", len(got), c.sent)
	}
}

// TestChaosOfProcesses kills what a conversation consists of while both sides
// write: the clients at random moments, relays, all relays at once, one of them
// for good. Relays are replaced by those of another release. In the end nothing is lost, nothing came twice, and the databases
// are sound.
func TestChaosOfProcesses(t *testing.T) {
	kills, full := chaosKills()
	rest := 3 * time.Second
	if full {
		rest = time.Minute
	}
	next, built := t.TempDir(), make(chan error, 1)
	go func() { built <- buildNext(next, "hearsay-relay", "hearsay-directory") }() // while the network starts
	w := startNetwork(t, 8)
	a := &chatter{t: t, w: w, home: filepath.Join(w.dir, "alice")}
	b := &chatter{t: t, w: w, home: filepath.Join(w.dir, "bob")}
	a.start()
	b.start()
	a.s.untilReady()
	b.s.untilReady()
	a.contact, b.contact = introduce(t, a.s, b.s, "bob", "alice")

	stop := make(chan struct{})
	var talkers sync.WaitGroup
	for _, c := range []*chatter{a, b} {
		talkers.Go(func() { c.talk(stop, 200*time.Millisecond) })
	}
	settle := func(what string) {
		t.Helper()
		began := time.Now()
		n, k := a.count(), b.count()
		a.script().until(what, func() bool {
			return slices.Contains(b.received(), a.text(n)) && slices.Contains(a.received(), b.text(k))
		})
		t.Logf("%-42s flows again after %6.2f s", what, time.Since(began).Seconds())
	}
	rnd := rand.New(rand.NewPCG(1, 200))
	for i := range kills {
		victim := a
		if i%2 == 1 {
			victim = b
		}
		<-time.After(time.Duration(rnd.IntN(1500)) * time.Millisecond)
		victim.crash()
	}
	settle(fmt.Sprintf("%d times kill -9 of a client", kills))

	ids := make([]string, 0, len(w.relays))
	for id := range w.relays {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if full {
		for _, id := range ids {
			w.relays[id].kill()
			<-time.After(10 * time.Second)
			w.restart(id)
			<-time.After(5 * time.Second)
		}
		settle("kill -9 of each relay in turn")
	}
	for _, id := range ids {
		w.relays[id].kill()
	}
	<-time.After(rest)
	for _, id := range ids {
		w.restart(id)
	}
	settle("kill -9 of all mailbox relays at once")
	if err := <-built; err != nil {
		t.Fatal(err)
	}
	t.Run("UpgradeUnderLoad", func(t *testing.T) { upgradeUnderLoad(t, w, a, b, next) })

	if full {
		// The relay of somebody's subscription goes for good, with its disk.
		id := ""
		a.script().until("a subscription", func() bool {
			var st status
			a.script().must(&st, "status", nil)
			for _, c := range st.Circuits {
				if c.Purpose == "subscribe" && c.State == "open" && c.Destination != nil {
					id = *c.Destination
				}
			}
			return w.relays[id] != nil
		})
		told := b.script().eventCount()
		w.relays[id].kill()
		if err := os.RemoveAll(w.relays[id].home); err != nil {
			t.Fatal(err)
		}
		settle("a mailbox relay is gone with its disk")
		began := time.Now()
		a.script().until("two copies again", func() bool {
			return bothCopies(b.script(), told)
		})
		t.Logf("%-42s two copies again after %.2f s", "  and", time.Since(began).Seconds())
	}
	close(stop)
	talkers.Wait()
	for _, c := range []*chatter{a, b} {
		c.script().until("everything delivered", func() bool { return c.onTheWay() == 0 })
	}
	a.check(b)
	b.check(a)
	t.Logf("%d and %d messages, each came once", a.sent, b.sent)
	if fullUpgrade() {
		t.Run("UpgradeWhileAway", func(t *testing.T) { upgradeWhileAway(t, w, a, b) })
	}
	for _, c := range []*chatter{a, b} {
		c.script().shutdown()
		soundDatabase(t, c.home)
	}
}

// eventCount returns how many events came.
func (s *script) eventCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// bothCopies tells whether the last message whose copies were counted, since so
// many events, had two.
func bothCopies(s *script, since int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range slices.Backward(s.events[since:]) {
		if ev.Type == "message.state" && ev.State == "stored" && ev.Copies != nil {
			return ev.Copies.Have >= 2
		}
	}
	return false
}

// soundDatabase checks every page of the databases in a home.
func soundDatabase(t *testing.T, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".db") {
			return err
		}
		db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bolt.Tx) error {
			for err := range tx.Check() {
				t.Errorf("%s: %v", filepath.Base(path), err)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}
