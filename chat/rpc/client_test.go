package rpc

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"hearsay/chat"
)

// serveFake serves a fake messenger over a socket until stop is called.
func serveFake(t *testing.T, f Backend) (path string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- ServeSocket(ctx, l, f, func() Ready { return Ready{Network: "Harbour", Lab: true, Known: true} }, cancel)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return path, stop
}

func attach(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Attach(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestClientSaysTheSame compares, for each question, the answer over the socket
// with the messenger's own.
func TestClientSaysTheSame(t *testing.T) {
	f := &fakeChat{feed: chat.NewFeed(40)}
	path, _ := serveFake(t, f)
	c := attach(t, path)
	ctx := t.Context()
	ask := func(b Backend) []any {
		p, served := b.Path("c_1")
		_, never := b.Path("c_2")
		answers := []any{b.Status(), p, served, never}
		add := func(v any, err error) { answers = append(answers, v, err) }
		add(b.Invites(ctx))
		add(b.CreateInviteOnce(ctx, "marta", "k"))
		add(b.CreateInviteOnce(ctx, "late", ""))
		add(b.CreateAddress(ctx, "press"))
		add(b.Addresses(ctx))
		add(b.Requests(ctx))
		add(b.Contacts(ctx))
		add(b.Messages(ctx, "c_1", 7, 50))
		add(b.MessagesBefore(ctx, "c_1", 7, 2))
		add(b.NetworkView(ctx))
		add(b.Search(ctx, "lamp", "c_1", 3))
		add(b.Why(ctx, "m_1_3"))
		add(b.Files(ctx, ""))
		add(b.Export(ctx, "c_1", "/tmp/x"))
		for _, err := range []error{
			b.SetCover(ctx, "fast"), b.Consent(ctx), b.RevokeInvite(ctx, "i_none"), b.RevokeAddress(ctx, "a_1"),
			b.RejectRequest(ctx, "r_1", true), b.RenameContact(ctx, "c_1", "m"), b.BlockContact(ctx, "c_1"), b.UnblockContact(ctx, "c_1"),
			b.RemoveContact(ctx, "c_1"), b.VerifyContact(ctx, "c_1", "1"), b.CompareWords(ctx, "c_1"), b.VerifyWords(ctx, "c_1", "a b c d"),
			b.React(ctx, "m_1_3", ""), b.Edit(ctx, "m_1_3", "x"), b.Delete(ctx, "m_1_3", true), b.FetchFile(ctx, "f_1", true),
			b.SaveFile(ctx, "f_1", "/tmp/y"), b.PauseFile(ctx, "f_1"), b.CancelFile(ctx, "f_1"), b.AddMember(ctx, "g_1", "c_1"), b.RemoveMember(ctx, "g_1", "c_1"),
			b.RenameGroup(ctx, "g_1", "y"), b.LeaveGroup(ctx, "g_1"), b.Lock(ctx), b.Unlock(ctx, []byte("right")),
			b.ChangePassphrase(ctx, []byte("o"), []byte("n")), b.ChangePassphrase(ctx, nil, nil), b.Wipe(ctx), b.Backup(ctx, "/tmp/z", []byte("p"), false),
			b.MarkDisplayed(ctx, "c_1", 7), b.NewCircuits(ctx), b.Retry(ctx, "m_1_3"), b.Retry(ctx, "m_none"),
			b.SetConversation(ctx, "c_1", chat.ConversationChange{DisappearAfter: new(24 * time.Hour), Muted: new(true), Draft: new("d")}),
		} {
			answers = append(answers, err)
		}
		answers = append(answers, f.calls)
		f.calls = nil
		return answers
	}
	want, got := ask(f), ask(c)
	for i := range want {
		if w, ok := want[i].(chat.Status); ok { // sent in whole milliseconds, rounded up
			w.Circuits[0].RTT = time.Millisecond
			want[i] = w
		}
		if w, ok := want[i].([]chat.File); ok && len(w) == 0 {
			continue
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("answer %d: %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if err := c.Unlock(ctx, []byte("wrong")); chat.KindOf(err) != chat.KindRefused {
		t.Errorf("error %v", err)
	}
	groups, err := c.Groups(ctx)
	if err != nil || len(groups) != 2 || !groups[0].Admin || groups[0].Members[0] != "c_1" {
		t.Errorf("groups %v, error %v", groups, err)
	}
}

// TestClientHearsTheSame passes one event of each type through the socket.
func TestClientHearsTheSame(t *testing.T) {
	f := &fakeChat{feed: chat.NewFeed(40)}
	path, _ := serveFake(t, f)
	c := attach(t, path)
	here, there := f.feed.Subscribe(), c.Subscribe()
	if there.Seq() != 40 {
		t.Errorf("events follow behind %d", there.Seq())
	}
	raw, err := os.ReadFile("testdata/events.in")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(l, "!") {
			continue
		}
		publish(t, f.feed, strings.TrimSpace(l))
		want, _ := here.Next(t.Context())
		got, err := there.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(shapeEvent(got), shapeEvent(want)) || got.Seq != want.Seq {
			t.Errorf("%s: %+v\nwant %+v", strings.TrimSpace(l), got, want)
		}
	}
	sub, err := c.SubscribeSince(t.Context(), 12)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if ev, err := sub.Next(t.Context()); err != nil || ev.Seq != 13 || ev.Contact.Name != "replayed" {
		t.Errorf("event %+v, error %v", ev, err)
	}
}

// TestManyAttached: each connection has its own subscription, sends keep their
// order, and the end of one does not touch the others.
func TestManyAttached(t *testing.T) {
	f := &fakeChat{feed: chat.NewFeed(0)}
	path, _ := serveFake(t, f)
	var subs []*chat.Subscription
	var clients []*Client
	for range 10 {
		c := attach(t, path)
		clients, subs = append(clients, c), append(subs, c.Subscribe())
	}
	clients[0].Close()
	if err := clients[0].Consent(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
	var waits []func() (chat.Message, error)
	for i := range 200 {
		waits = append(waits, clients[1].StartSend(t.Context(), "c_1", strings.Repeat("x", i+1), chat.SendOptions{}))
	}
	for _, wait := range waits {
		if _, err := wait(); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range f.sent {
		if len(text) != i+1 {
			t.Fatalf("text %d has %d bytes", i, len(text))
		}
	}
	publish(t, f.feed, "!contact.added")
	for _, s := range subs[1:] {
		if ev, err := s.Next(t.Context()); err != nil || ev.Type != chat.ContactAdded {
			t.Errorf("event %v, error %v", ev, err)
		}
	}
	if _, err := subs[0].Next(t.Context()); !errors.Is(err, chat.ErrFeedClosed) {
		t.Errorf("error %v", err)
	}
}

// TestDaemonEnds: calls under way and later ones fail with ErrGone, and the feed
// ends.
func TestDaemonEnds(t *testing.T) {
	f := &fakeChat{feed: chat.NewFeed(0), gate: make(chan struct{})}
	path, stop := serveFake(t, f)
	c := attach(t, path)
	sub := c.Subscribe()
	under := make(chan error, 1)
	go func() { _, err := c.CreateInvite(t.Context(), ""); under <- err }()
	if _, err := c.Contacts(t.Context()); err != nil { // the invite is asked for, or will be
		t.Fatal(err)
	}
	stop()
	if err := <-under; err == nil {
		t.Error("an invite was made by a daemon that ended")
	}
	<-c.Gone()
	if _, err := sub.Next(t.Context()); !errors.Is(err, chat.ErrFeedClosed) {
		t.Errorf("error %v", err)
	}
	if err := c.Lock(t.Context()); !errors.Is(err, ErrGone) || !errors.Is(c.Err(), ErrGone) {
		t.Errorf("errors %v and %v", err, c.Err())
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left")
	}
	if _, err := Attach(t.Context(), path); err == nil {
		t.Error("attached to no daemon")
	}
}

type sealedChat struct{ *fakeChat }

func (f sealedChat) Status() chat.Status {
	s := f.fakeChat.Status()
	s.Encrypted = true
	return s
}

// TestDaemonEndsEncrypted: that the profile has a passphrase is known after its
// daemon ended too. Screens would not hide by themselves any more.
func TestDaemonEndsEncrypted(t *testing.T) {
	path, stop := serveFake(t, sealedChat{&fakeChat{feed: chat.NewFeed(0)}})
	c := attach(t, path)
	if s := c.Status(); !s.Encrypted || s.Health != chat.Connected {
		t.Fatalf("status %+v", s)
	}
	stop()
	<-c.Gone()
	if s := c.Status(); !s.Encrypted || s.Health != chat.Offline {
		t.Errorf("status %+v", s)
	}
}

// TestSocketOfKilledDaemon: a socket that nobody serves is replaced; another file
// is not touched.
func TestSocketOfKilledDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := os.Lstat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", at.Mode(), err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); chat.KindOf(err) != chat.KindExists {
		t.Errorf("error %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", maxSocketPath))); chat.KindOf(err) != chat.KindRefused {
		t.Errorf("error %v", err)
	}
}

// TestRelayTellsDetachingFromDying plays hearsay rpc on a daemon: the end of the
// script's input, and shutdown, end it well; the end of the daemon does not.
func TestRelayTellsDetachingFromDying(t *testing.T) {
	for name, input := range map[string]string{
		"end of input": `{"jsonrpc":"2.0","id":1,"method":"contact.list"}` + "\n",
		"shutdown":     `{"jsonrpc":"2.0","id":1,"method":"shutdown"}` + "\n",
		"daemon dies":  "",
	} {
		t.Run(name, func(t *testing.T) {
			path, stop := serveFake(t, &fakeChat{feed: chat.NewFeed(0)})
			conn, err := Dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			in, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			var out strings.Builder
			done := make(chan error, 1)
			go func() { done <- Relay(t.Context(), conn, in, &out) }()
			if input == "" {
				stop()
				if err := <-done; !errors.Is(err, ErrGone) {
					t.Errorf("error %v", err)
				}
				w.Close()
				return
			}
			if _, err := w.WriteString(input); err != nil {
				t.Fatal(err)
			}
			if name == "end of input" {
				w.Close()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if !strings.Contains(out.String(), `"method":"ready"`) || !strings.Contains(out.String(), `"id":1,"result"`) {
				t.Errorf("out: %s", out.String())
			}
			attach(t, path) // the daemon goes on
		})
	}
}

// lateWriter returns from writing a shutdown request long after the daemon has it.
type lateWriter struct {
	net.Conn
	until chan struct{}
}

func (c lateWriter) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if strings.Contains(string(b), "shutdown") {
		<-c.until
	}
	return n, err
}

// TestShutdownOvertakesItsWriter: a daemon that answers a shutdown request and ends
// the connection before we are back from writing it did not die.
func TestShutdownOvertakesItsWriter(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		_, _ = bufio.NewReader(far).ReadString('\n')
		_, _ = far.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"))
		far.Close()
	}()
	until := make(chan struct{})
	defer close(until)
	var out strings.Builder
	in := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"shutdown"}` + "\n")
	if err := Relay(t.Context(), lateWriter{near, until}, in, &out); err != nil || !strings.Contains(out.String(), `"id":1,"result"`) {
		t.Errorf("error %v, out: %s", err, out.String())
	}
}

// TestPagesFitIntoLines lists long texts: no answer is longer than a line may be,
// and the client puts the pages together.
func TestPagesFitIntoLines(t *testing.T) {
	f := longChat{&fakeChat{feed: chat.NewFeed(0)}}
	page, err := shapePage(f.Messages(t.Context(), "c_1", 0, 100))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	shape := page.(pageShape)
	for _, m := range shape.Messages {
		sum += len(m) + 1
	}
	if !shape.More || sum > maxPage || sum < maxPage/2 {
		t.Errorf("%d messages of %d bytes, more %t", len(shape.Messages), sum, shape.More)
	}
	path, _ := serveFake(t, f)
	c := attach(t, path)
	for limit, want := range map[int]int{0: 30, 7: 7, 1000: 30} {
		list, err := c.Messages(t.Context(), "c_1", 0, limit)
		if err != nil || len(list) != want || list[len(list)-1].Seq != uint64(want) {
			t.Errorf("limit %d: %d messages, error %v", limit, len(list), err)
		}
		back, err := c.MessagesBefore(t.Context(), "c_1", 0, limit)
		if err != nil || len(back) != want || back[0].Seq != uint64(31-want) || back[want-1].Seq != 30 {
			t.Errorf("limit %d: %d messages from the end, error %v", limit, len(back), err)
		}
	}
}

// longChat has 30 messages of 64 KiB that JSON makes six times as long.
type longChat struct{ *fakeChat }

func (longChat) Messages(_ context.Context, contact string, after uint64, limit int) ([]chat.Message, error) {
	var all []chat.Message
	for n := after + 1; n <= 30 && len(all) < limit; n++ {
		all = append(all, chat.Message{ID: "m_1_1", Contact: contact, Text: strings.Repeat("\x01", 64<<10), Seq: n, Time: when})
	}
	return all, nil
}

func (c longChat) MessagesBefore(ctx context.Context, contact string, before uint64, limit int) ([]chat.Message, error) {
	before = min(before, 31)
	all, err := c.Messages(ctx, contact, 0, int(before-1))
	return all[max(0, len(all)-limit):], err
}

// deaf attaches, subscribes, and reads nothing from then on.
func deaf(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := bufio.NewReader(conn)
	if _, err := readLine(r, maxLine); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"subscribe"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := readLine(r, maxLine); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestDeafReader: one who attaches and does not read neither delays others nor
// the end of the daemon.
func TestDeafReader(t *testing.T) {
	f := &fakeChat{feed: chat.NewFeed(0)}
	path, stop := serveFake(t, f)
	other := attach(t, path)
	sub := other.Subscribe()
	deaf(t, path)
	long := strings.Repeat("x", 60_000)
	for n := range 100 { // far more than a socket holds
		f.feed.Publish(chat.Event{Type: chat.MessageReceived, Message: &chat.Message{ID: "m_1", Contact: "c_1", Text: long, Seq: uint64(n)}})
	}
	for n := range 100 {
		if ev, err := sub.Next(t.Context()); err != nil || ev.Message.Seq != uint64(n) {
			t.Fatalf("event %d: %v %v", n, ev.Message, err)
		}
	}
	start := time.Now()
	stop()
	if took := time.Since(start); took > finishGrace+30*time.Second {
		t.Errorf("the daemon ended after %v", took)
	}
}

// TestTooManyAttached: who comes when all places are taken hears why, and a place
// that is free again is given out.
func TestTooManyAttached(t *testing.T) {
	path, _ := serveFake(t, &fakeChat{feed: chat.NewFeed(0)})
	var first *Client
	for n := range maxConnections {
		if c := attach(t, path); n == 0 {
			first = c
		}
	}
	if _, err := Attach(t.Context(), path); chat.KindOf(err) != chat.KindLimit {
		t.Errorf("error %v", err)
	}
	first.Close()
	for {
		c, err := Attach(t.Context(), path)
		if err == nil {
			c.Close()
			return
		}
		if chat.KindOf(err) != chat.KindLimit {
			t.Fatal(err)
		}
	}
}
