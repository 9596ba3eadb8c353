package chat

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRelay is a mailbox relay without circuits.
type fakeRelay struct {
	id     directory.RelayID
	key    ed25519.PrivateKey
	dir    string
	server *mailbox.Server
	cancel context.CancelFunc
	done   chan error
	routes map[*fakeRoute]struct{}
}

// fakeWorld is a network of mailbox relays in memory, under faults.
type fakeWorld struct {
	t       *testing.T
	network directory.NetworkID
	link    directory.NetworkLink
	lab     bool
	latency time.Duration
	noWork  bool          // NEW costs nothing
	epoch   atomic.Uint64 // of the last view

	mu     sync.Mutex
	relays []*fakeRelay
	lastID int
	// drop, if set, loses a message on its way: to the relay or from it.
	drop func(toRelay bool, relay directory.RelayID, command mailbox.Command) bool
	seen []mailbox.Command // all commands that relays got
	// sent and forge, if set, see what relays get, and change what they answer.
	sent      func(relay directory.RelayID, c mailbox.Command, data []byte)
	forge     func(relay directory.RelayID, c mailbox.Command, data []byte)
	delivered int                     // MSGs
	asked     func(r circuit.Request) // if set, sees requests for circuits
}

func newFakeWorld(t *testing.T, relays int) *fakeWorld {
	w := &fakeWorld{t: t, lab: true, latency: 5 * time.Millisecond}
	w.network = directory.NetworkID(sha256.Sum256([]byte("fake")))
	w.link = directory.NetworkLink{ID: w.network, Bootstraps: []directory.Bootstrap{{Addr: netip.MustParseAddrPort("127.0.0.1:4433")}}}
	for i := range relays {
		seed := sha256.Sum256(fmt.Append(nil, "relay", i))
		r := &fakeRelay{key: ed25519.NewKeyFromSeed(seed[:]), dir: t.TempDir(), routes: make(map[*fakeRoute]struct{})}
		r.id = directory.RelayID(r.key.Public().(ed25519.PublicKey))
		w.relays = append(w.relays, r)
		w.start(r)
	}
	t.Cleanup(func() {
		for _, r := range w.relays {
			w.stop(r)
		}
	})
	return w
}

func (w *fakeWorld) start(r *fakeRelay) {
	w.t.Helper()
	server, err := mailbox.NewServer(mailbox.Config{Dir: r.dir, Network: w.network, Identity: r.key, Lab: w.lab, TestOnlyNoWork: w.noWork})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	r.server, r.cancel, r.done = server, cancel, make(chan error, 1)
	go func() { r.done <- server.Run(ctx) }()
}

// stop ends a relay and all circuits to it.
func (w *fakeWorld) stop(r *fakeRelay) {
	w.mu.Lock()
	if r.server == nil {
		w.mu.Unlock()
		return
	}
	server, cancel := r.server, r.cancel
	r.server = nil
	routes := r.routes
	r.routes = make(map[*fakeRoute]struct{})
	w.mu.Unlock()
	for route := range routes {
		route.Close()
	}
	cancel()
	<-r.done
	_ = server.Close()
}

func (w *fakeWorld) relay(id directory.RelayID) *fakeRelay {
	for _, r := range w.relays {
		if r.id == id {
			return r
		}
	}
	return nil
}

func (w *fakeWorld) view(without ...directory.RelayID) *directory.View {
	var list []directory.Relay
	for i, r := range w.relays {
		gone := false
		for _, id := range without {
			gone = gone || id == r.id
		}
		if !gone {
			list = append(list, directory.Relay{
				ID: r.id, Flags: directory.FlagMailbox | directory.FlagGuard | directory.FlagPlacement, Mailbox: 1, Guard: 1, Inner: 1,
				LinkKey: [32]byte{byte(i + 1)}, Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(1000+i))},
			})
		}
	}
	return directory.InsecureLater(w.network, w.lab, w.epoch.Add(1), time.Now(), list)
}

func (w *fakeWorld) dropped(toRelay bool, relay directory.RelayID, c mailbox.Command) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if toRelay {
		w.seen = append(w.seen, c)
	}
	return w.drop != nil && w.drop(toRelay, relay, c)
}

func (w *fakeWorld) setDrop(drop func(bool, directory.RelayID, mailbox.Command) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop = drop
}

// note shows what a relay gets.
func (w *fakeWorld) note(relay directory.RelayID, m circuit.Message) {
	w.mu.Lock()
	sent := w.sent
	w.mu.Unlock()
	if sent != nil {
		sent(relay, mailbox.Command(m.Command), m.Data)
	}
}

// answer copies what a relay answers, and forges it.
func (w *fakeWorld) answer(relay directory.RelayID, c mailbox.Command, data []byte) []byte {
	data = bytes.Clone(data)
	w.mu.Lock()
	defer w.mu.Unlock()
	if c == mailbox.CmdMsg {
		w.delivered++
	}
	if w.forge != nil {
		w.forge(relay, c, data)
	}
	return data
}

// blocksDelivered counts the blocks that relays handed out.
func (w *fakeWorld) blocksDelivered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delivered
}

func (w *fakeWorld) count(c mailbox.Command) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.seen {
		if s == c {
			n++
		}
	}
	return n
}

// fakeNetwork is one messenger's way to the relays.
type fakeNetwork struct {
	w  *fakeWorld
	m  *Messenger
	mu sync.Mutex
	up bool
	on map[*fakeRoute]struct{}

	asked []string // isolation names of all circuits that were asked for

	grants bool // bursts
	bursts int  // granted
}

func (n *fakeNetwork) Burst(_ context.Context, d time.Duration) (time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.grants {
		return time.Time{}, errors.New("fake: no burst")
	}
	n.bursts++
	return time.Now().Add(d), nil
}

// visits counts the circuits that were asked for under names that begin so.
func (n *fakeNetwork) visits(prefix string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.asked {
		if strings.HasPrefix(name, prefix) {
			count++
		}
	}
	return count
}

func (n *fakeNetwork) Run(ctx context.Context) error {
	n.m.views.Set(n.w.view())
	<-ctx.Done()
	n.mu.Lock()
	routes := n.on
	n.on = make(map[*fakeRoute]struct{})
	n.mu.Unlock()
	for r := range routes {
		r.Close()
	}
	return nil
}

func (n *fakeNetwork) Why() string { return "" }

func (n *fakeNetwork) Circuits() []circuit.Info {
	n.mu.Lock()
	defer n.mu.Unlock()
	infos := []circuit.Info{{ID: "k0", Purpose: circuit.Spare, State: "open"}}
	for r := range n.on {
		infos = append(infos, r.info)
	}
	return infos
}

func (n *fakeNetwork) Circuit(ctx context.Context, req circuit.Request) (mailRoute, error) {
	n.mu.Lock()
	n.asked = append(n.asked, req.Isolation)
	n.mu.Unlock()
	select {
	case <-time.After(n.w.latency * 4):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	up := n.up
	n.mu.Unlock()
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	r := n.w.relay(req.Destination)
	if r == nil || r.server == nil || !up {
		return nil, errors.New("fake: the relay cannot be reached")
	}
	if n.w.asked != nil {
		n.w.asked(req)
	}
	n.w.lastID++
	route := &fakeRoute{
		w: n.w, n: n, relay: r, retire: make(chan struct{}), done: make(chan struct{}),
		in: make(chan circuit.Message, 1024), out: make(chan circuit.Message, 1024),
		info: circuit.Info{ID: fmt.Sprintf("k%d", n.w.lastID), Purpose: req.Purpose, Destination: req.Destination, State: "open", RTT: 2 * n.w.latency},
	}
	route.session = r.server.Open(route.reply)
	r.routes[route] = struct{}{}
	n.mu.Lock()
	n.on[route] = struct{}{}
	n.mu.Unlock()
	go route.forward()
	return route, nil
}

// cut makes everything unreachable, or reachable again.
func (n *fakeNetwork) cut(up bool) {
	n.mu.Lock()
	n.up = up
	var routes []*fakeRoute
	for r := range n.on {
		routes = append(routes, r)
	}
	n.mu.Unlock()
	if !up {
		for _, r := range routes {
			r.Close()
		}
	}
}

// fakeRoute is a circuit with one mailbox stream.
type fakeRoute struct {
	w       *fakeWorld
	n       *fakeNetwork
	relay   *fakeRelay
	info    circuit.Info
	session *mailbox.Session
	retire  chan struct{}
	in, out chan circuit.Message
	once    sync.Once
	done    chan struct{}
}

func (r *fakeRoute) Mailbox(context.Context) (circuit.Stream, error) { return fakeStream{r}, nil }
func (r *fakeRoute) Retire() <-chan struct{}                         { return r.retire }
func (r *fakeRoute) Tick() time.Duration                             { return 0 }
func (r *fakeRoute) Info() circuit.Info                              { return r.info }
func (r *fakeRoute) Done() <-chan struct{}                           { return r.done }

// fakeStream is the stream of a route; closing it leaves the route open.
type fakeStream struct{ *fakeRoute }

func (fakeStream) Close() error { return nil }

func (r *fakeRoute) Close() {
	r.once.Do(func() {
		close(r.done)
		r.session.Close()
		r.n.mu.Lock()
		delete(r.n.on, r)
		r.n.mu.Unlock()
	})
}

// forward carries commands to the relay, each after the latency.
func (r *fakeRoute) forward() {
	for {
		select {
		case m := <-r.out:
			if r.w.dropped(true, r.relay.id, mailbox.Command(m.Command)) {
				continue
			}
			r.w.note(r.relay.id, m)
			if err := r.session.Message(m.Command, m.Flags, 1, m.Data); err != nil {
				r.Close()
				return
			}
		case <-r.done:
			return
		}
	}
}

func (r *fakeRoute) reply(command, flags byte, _ uint16, data []byte) error {
	if r.w.dropped(false, r.relay.id, mailbox.Command(command)) {
		return nil
	}
	data = r.w.answer(r.relay.id, mailbox.Command(command), data)
	select {
	case r.in <- circuit.Message{Command: command, Flags: flags, Data: data}:
		return nil
	case <-r.done:
		return errors.New("fake: circuit closed")
	}
}

func (r *fakeRoute) Send(ctx context.Context, command, flags byte, data []byte) error {
	select {
	case <-time.After(r.w.latency):
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return errors.New("fake: circuit closed")
	}
	select {
	case r.out <- circuit.Message{Command: command, Flags: flags, Data: bytes.Clone(data)}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return errors.New("fake: circuit closed")
	}
}

func (r *fakeRoute) Recv(ctx context.Context) (circuit.Message, error) {
	select {
	case m := <-r.in:
		return m, nil
	case <-ctx.Done():
		return circuit.Message{}, ctx.Err()
	case <-r.done:
		return circuit.Message{}, errors.New("fake: circuit closed")
	}
}

// testLog may be set while hunting a bug.
var testLog *slog.Logger

// user is a person with a home.
type user struct {
	passphrase []byte      // of the home; nil: none
	full       atomic.Bool // its disk is full
	place      uint64      // stands for where the home lies; a crash does not move it
	t          *testing.T
	w          *fakeWorld
	home       string
	*Messenger
	net   *fakeNetwork
	sub   *Subscription
	leave func() // ends the network, but leaves the home open
	stop  func() int
}

func (w *fakeWorld) user(t *testing.T) *user {
	u := &user{t: t, w: w, home: filepath.Join(t.TempDir(), "home")}
	u.start()
	t.Cleanup(func() { u.stop() })
	return u
}

// start opens the home and runs the messenger.
func (u *user) start() {
	u.t.Helper()
	m, err := Open(Config{Home: u.home, Network: u.w.link.String(), Log: testLog, Passphrase: u.passphrase, testOnlyMemory: 64, testOnlyPlace: u.place + 1, testOnlyFull: u.full.Load})
	if err != nil {
		u.t.Fatal(err)
	}
	if err := m.learn(context.Background(), "fake", u.w.lab); err != nil {
		u.t.Fatal(err)
	}
	u.Messenger = m
	u.net = &fakeNetwork{w: u.w, m: m, up: true, on: make(map[*fakeRoute]struct{})}
	u.sub = m.Subscribe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.serve(ctx, u.net) }()
	u.leave = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			u.t.Errorf("serve: %v", err)
		}
	})
	var once sync.Once
	left := 0
	u.stop = func() int {
		once.Do(func() {
			u.leave()
			n, err := m.Close()
			if err != nil {
				u.t.Errorf("close: %v", err)
			}
			left = n
		})
		return left
	}
}

// crash copies the home as it is on disk now, kills the messenger and goes on
// with the copy, as after a SIGKILL.
func (u *user) crash() {
	u.t.Helper()
	copied := filepath.Join(u.t.TempDir(), "home")
	// A turn of the keeper holds no transaction open between operations, so
	// within one the file is as the last commit left it.
	err := u.reading().look(context.Background(), func(*turn) error { return copyHome(u.home, copied) })
	if err != nil {
		u.t.Fatal(err)
	}
	u.stop()
	u.home = copied
	u.start()
}

func copyHome(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// eventually waits in virtual time.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		<-time.After(50 * time.Millisecond)
		synctest.Wait()
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func (u *user) texts(contact, direction string) []string {
	u.t.Helper()
	var texts []string
	for after := uint64(0); ; {
		list, err := u.Messages(context.Background(), contact, after, 1000)
		if err != nil {
			u.t.Fatal(err)
		}
		if len(list) == 0 {
			return texts
		}
		for _, m := range list {
			if m.Seq <= after {
				u.t.Fatalf("seq %d after %d", m.Seq, after)
			}
			after = m.Seq
			if m.Direction == direction {
				texts = append(texts, m.Text)
			}
		}
	}
}

func (u *user) message(contact, id string) Message {
	u.t.Helper()
	list, err := u.Messages(context.Background(), contact, 0, 1000)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, m := range list {
		if m.ID == id {
			return m
		}
	}
	u.t.Fatalf("no message %s", id)
	return Message{}
}

func (u *user) say(contact, text string) Message {
	u.t.Helper()
	m, err := u.Send(context.Background(), contact, text)
	if err != nil {
		u.t.Fatal(err)
	}
	return m
}

func (u *user) only() string {
	u.t.Helper()
	list, err := u.Contacts(context.Background())
	if err != nil || len(list) != 1 {
		u.t.Fatalf("contacts %v, error %v", list, err)
	}
	return list[0].ID
}

// events drains what happened so far.
func (u *user) events() []Event {
	var list []Event
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		ev, err := u.sub.Next(ctx)
		if err != nil {
			return list
		}
		list = append(list, ev)
	}
}

// befriend makes two users contacts by an invite and returns each one's contact.
func befriend(t *testing.T, alice, bob *user) (bobOfAlice, aliceOfBob string) {
	t.Helper()
	inv, err := alice.CreateInvite(context.Background(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	c, err := bob.AcceptInvite(context.Background(), inv.Link, "alice")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "both active", func() bool {
		list, _ := alice.Contacts(context.Background())
		return len(list) == 1 && bob.state(c.ID) == ContactActive
	})
	return alice.only(), c.ID
}

func (u *user) state(contact string) ContactState {
	list, _ := u.Contacts(context.Background())
	for _, c := range list {
		if c.ID == contact {
			return c.State
		}
	}
	return ""
}

func (u *user) settled(contact string, state MessageState) bool {
	list, err := u.Messages(context.Background(), contact, 0, 1000)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, m := range list {
		if m.Direction == Out && m.State != state {
			return false
		}
	}
	return true
}
