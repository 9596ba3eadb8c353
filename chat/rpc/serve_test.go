package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
)

var update = flag.Bool("update", false, "rewrite the golden transcripts")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeChat is a messenger whose answers are fixed.
type fakeChat struct {
	feed *chat.Feed

	mu    sync.Mutex
	sent  []string
	calls []string
	gate  chan struct{} // CreateInvite waits for it, if set
	disk  chan struct{} // each send takes one before it is answered, if set
}

var when = time.Date(2026, 11, 21, 14, 5, 6, 789_000_000, time.UTC)

func relayID(b byte) directory.RelayID { return directory.RelayID{0: b} }

func (f *fakeChat) Status() chat.Status {
	return chat.Status{
		Network: "Harbour", Lab: true, Ready: true, Relays: 8, Health: chat.Connected, Cover: "off",
		ClockSkew: 1500 * time.Millisecond, Epoch: 412, SnapshotAge: 14 * time.Second, Queued: 2,
		Outlook:  circuit.Outlook{Warnings: []string{"one guard serves you"}},
		Warnings: []chat.Warning{{Kind: "stale", Text: "the snapshot is old", Since: when}},
		Circuits: []circuit.Info{
			{ID: "k1", Purpose: circuit.Send, Path: []directory.RelayID{relayID(1), relayID(2), relayID(3)}, Destination: relayID(4), State: "open", RTT: 900 * time.Microsecond},
			{ID: "k2", Purpose: circuit.Spare, Path: []directory.RelayID{relayID(1)}, State: "building"},
		},
	}
}

func (f *fakeChat) Consent(context.Context) error {
	return &chat.Error{Kind: chat.KindRefused, Text: "nothing waits for your consent", Hint: "it is asked for"}
}

func (f *fakeChat) CreateInviteOnce(ctx context.Context, name, key string) (chat.Invite, error) {
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return chat.Invite{}, ctx.Err()
		}
	}
	if name == "late" {
		return chat.Invite{}, &chat.Error{Kind: chat.KindNoNetwork, Text: "no relay took the invite", Hint: "look at the network view"}
	}
	return chat.Invite{ID: "i_1", Link: "HEARSAY:AAAA", Name: name, Expires: when}, nil
}

func (f *fakeChat) AcceptInvite(ctx context.Context, link, name string) (chat.Contact, error) {
	return f.AskContact(ctx, link, name, "", "")
}

func (f *fakeChat) AskContact(_ context.Context, link, name, as, text string) (chat.Contact, error) {
	if as != "" || text != "" {
		return chat.Contact{ID: "c_3", Name: strings.Join([]string{name, as, text}, "/"), State: chat.ContactInvited}, nil
	}
	if link != "HEARSAY:AAAA" {
		return chat.Contact{}, &chat.Error{Kind: chat.KindRefused, Text: "the invite is mistyped", Hint: "copy it again"}
	}
	c := chat.Contact{ID: "c_1", Name: name, State: chat.ContactInvited}
	f.feed.Publish(chat.Event{Type: chat.ContactAdded, Contact: &c})
	return c, nil
}

func (f *fakeChat) Contacts(context.Context) ([]chat.Contact, error) {
	return []chat.Contact{{ID: "c_1", Name: "marta", State: chat.ContactActive, SafetyNumber: "28471 90312"}}, nil
}

func (f *fakeChat) StartSend(_ context.Context, contact, text string, o chat.SendOptions) func() (chat.Message, error) {
	if o != (chat.SendOptions{}) {
		_ = f.note("send %s %s key %s reply %s", contact, text, o.Key, o.Reply)
	}
	if contact != "c_1" {
		return func() (chat.Message, error) {
			return chat.Message{}, &chat.Error{Kind: chat.KindNotFound, Text: "no such contact"}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, text)
	m := chat.Message{ID: fmt.Sprintf("m_%d", len(f.sent)), Contact: contact, Text: text}
	return func() (chat.Message, error) {
		if f.disk != nil {
			<-f.disk
		}
		return m, nil
	}
}

func (f *fakeChat) Messages(_ context.Context, contact string, after uint64, limit int) ([]chat.Message, error) {
	if contact != "c_1" {
		return nil, errors.New("disk is on fire")
	}
	return []chat.Message{
		{ID: "m_1", Contact: "c_1", Direction: chat.Out, Text: fmt.Sprintf("<after %d limit %d>", after, limit), Seq: 1, Time: when, State: chat.Stored, Copies: &chat.Copies{Have: 1, Want: 2}},
		{ID: "m_2", Contact: "c_1", Direction: chat.In, Text: "\x1b[0m", Seq: 2, Time: when, State: chat.Received, Late: true},
	}, nil
}

func (f *fakeChat) Subscribe() *chat.Subscription { return f.feed.Subscribe() }

// TestTranscripts plays each testdata/*.in, line by line, and compares what
// comes out, and behind it what was asked of the messenger. Lines "!name" publish events; each line is answered before the
// next is read.
func TestTranscripts(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, path := range inputs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(in))
			golden := strings.TrimSuffix(path, ".in") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("transcript differs:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func play(t *testing.T, script string) (transcript string) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeChat{feed: chat.NewFeed(40)}
		inR, inW := io.Pipe()
		var mu sync.Mutex
		var out bytes.Buffer
		done := make(chan error, 1)
		go func() {
			done <- Serve(t.Context(), f, inR, writerFunc(func(b []byte) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				return out.Write(b)
			}), Ready{Network: "Harbour", Lab: true, Known: true})
		}()
		synctest.Wait()
		ended := false
		for _, l := range strings.SplitAfter(script, "\n") {
			if strings.HasPrefix(l, "!") {
				publish(t, f.feed, strings.TrimSpace(l))
			} else if !ended {
				_, err := io.WriteString(inW, l)
				ended = err != nil
			}
			synctest.Wait()
			ended = ended || strings.Contains(l, `"shutdown"`) && len(done) > 0
		}
		inW.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		inR.Close()
		transcript = out.String()
		for _, call := range f.calls {
			transcript += "# " + call + "\n"
		}
	})
	return transcript
}

func publish(t *testing.T, feed *chat.Feed, name string) {
	t.Helper()
	c := &chat.Contact{ID: "c_1", Name: "marta", State: chat.ContactActive}
	info := &circuit.Info{ID: "k1", Purpose: circuit.Subscribe, Path: []directory.RelayID{relayID(1), relayID(2), relayID(3)}, RTT: 7 * time.Millisecond, Reason: "the guard is gone"}
	events := map[string]chat.Event{
		"!message.received": {Type: chat.MessageReceived, Message: &chat.Message{ID: "m_9", Contact: "c_1", Direction: chat.In, Text: "a & <b>", Seq: 3, Time: when, State: chat.Received}},
		"!message.state":    {Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_1", Contact: "c_1", State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}}, Detail: "fern signed"},
		"!contact.added":    {Type: chat.ContactAdded, Contact: c},
		"!contact.state":    {Type: chat.ContactStateChanged, Contact: c},
		"!invite.used":      {Type: chat.InviteUsed, Contact: c, Invite: "i_1"},
		"!network.ready":    {Type: chat.NetworkReady, Relays: 8, Epoch: 412},
		"!circuit.built":    {Type: chat.CircuitBuilt, Circuit: info},
		"!circuit.closed":   {Type: chat.CircuitClosed, Circuit: info},
		"!guard.changed":    {Type: chat.GuardChanged, Detail: "the guard does not answer; the next one takes over"},
		"!error":            {Type: chat.ErrorEvent, Kind: chat.KindInviteUsed, Detail: "somebody else opened the invite first"},
		"!resync":           {Type: chat.Resync, Oldest: 7},

		"!message.changed":      {Type: chat.MessageChanged, Message: &chat.Message{ID: "m_1_3", Contact: "c_1", Direction: chat.In, Seq: 3, Time: when, State: chat.Received, Deleted: chat.DeletedPeer, Reactions: []chat.Reaction{{From: "me", Emoji: "+"}}}},
		"!contact.sas":          {Type: chat.ContactWords, Contact: c, Words: "otter plum wren fern"},
		"!contact.removed":      {Type: chat.ContactRemoved, Contact: c},
		"!conversation.changed": {Type: chat.ConversationChanged, Contact: &chat.Contact{ID: "c_1", Settings: &chat.Conversation{DisappearAfter: 24 * time.Hour, Pinned: true}}, Detail: "marta set it to 1 day"},
		"!request.received":     {Type: chat.RequestReceived, Request: &chat.Request{ID: "r_1", Address: "a_1", Name: "nils", Text: "hello", Time: when, Effort: 22}},
		"!file.progress":        {Type: chat.FileProgress, File: &chat.File{ID: "f_1", Contact: "c_1", Done: 5, Size: 9, State: chat.FileSending, Paused: true, Burst: true, Path: "/tmp/a.pdf"}},
		"!group.changed":        {Type: chat.GroupChanged, Group: &chat.Group{ID: "g_1", Name: "printers"}, Contact: c, Detail: "marta joined"},
		"!profile.locked":       {Type: chat.ProfileLocked},
		"!profile.unlocked":     {Type: chat.ProfileUnlocked},
	}
	ev, ok := events[name]
	if !ok {
		t.Fatalf("no event %q", name)
	}
	feed.Publish(ev)
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

// TestReadyUnknown checks that both members are null before the network file.
func TestReadyUnknown(t *testing.T) {
	var out bytes.Buffer
	if err := Serve(t.Context(), &fakeChat{feed: chat.NewFeed(0)}, strings.NewReader(""), &out, Ready{}); err != nil {
		t.Fatal(err)
	}
	want := `{"jsonrpc":"2.0","method":"ready","params":{"v":1,"network":null,"lab":null}}` + "\n"
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

// TestSendsKeepOrder checks that sends reach the messenger in line order while
// other requests are held up.
func TestSendsKeepOrder(t *testing.T) {
	f := &fakeChat{feed: chat.NewFeed(0)}
	var in strings.Builder
	for i := range 500 {
		fmt.Fprintf(&in, `{"jsonrpc":"2.0","id":%d,"method":"message.send","params":{"contact":"c_1","text":"%d"}}`+"\n", i, i)
		fmt.Fprintf(&in, `{"jsonrpc":"2.0","id":"s%d","method":"status"}`+"\n", i)
	}
	var out bytes.Buffer
	if err := Serve(t.Context(), f, strings.NewReader(in.String()), &out, Ready{}); err != nil {
		t.Fatal(err)
	}
	for i, text := range f.sent {
		if text != fmt.Sprint(i) {
			t.Fatalf("send %d carried %s", i, text)
		}
	}
	if len(f.sent) != 500 || strings.Count(out.String(), "\n") != 1001 {
		t.Errorf("%d sends, %d lines", len(f.sent), strings.Count(out.String(), "\n"))
	}
}

// TestSendsShareDiskSyncs checks that texts get their places without waiting for
// the disk, in the order of their lines, and are answered only when it is done.
func TestSendsShareDiskSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeChat{feed: chat.NewFeed(0), disk: make(chan struct{})}
		inR, inW := io.Pipe()
		var mu sync.Mutex
		var out bytes.Buffer
		done := make(chan error, 1)
		go func() {
			done <- Serve(t.Context(), f, inR, writerFunc(func(b []byte) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				return out.Write(b)
			}), Ready{})
		}()
		const texts = 10
		for i := range texts {
			fmt.Fprintf(inW, `{"jsonrpc":"2.0","id":%d,"method":"message.send","params":{"contact":"c_1","text":"%d"}}`+"\n", i, i)
		}
		synctest.Wait()
		mu.Lock()
		lines := strings.Count(out.String(), "\n")
		mu.Unlock()
		if len(f.sent) != texts || lines != 1 {
			t.Errorf("%d texts have a place, %d lines are out, before the disk is done", len(f.sent), lines)
		}
		for range texts {
			f.disk <- struct{}{}
		}
		inW.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != texts+1 {
			t.Errorf("%d lines at the end", lines)
		}
		for i, text := range f.sent {
			if text != fmt.Sprint(i) {
				t.Errorf("text %d is %s", i, text)
			}
		}
	})
}

// TestAnswersOvertake checks that a slow request does not hold up others, and
// that the end of the input gives it one second.
func TestAnswersOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeChat{feed: chat.NewFeed(0), gate: make(chan struct{})}
		in := `{"jsonrpc":"2.0","id":1,"method":"invite.create"}
{"jsonrpc":"2.0","id":2,"method":"contact.list"}
`
		var out bytes.Buffer
		start := time.Now()
		if err := Serve(t.Context(), f, strings.NewReader(in), &out, Ready{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != finishGrace {
			t.Errorf("took %v", took)
		}
		lines := strings.Split(out.String(), "\n")
		if !strings.Contains(lines[1], `"id":2`) || !strings.Contains(lines[2], "stopped by shutdown") {
			t.Errorf("out:\n%s", out.String())
		}
	})
}

// TestLineLimit checks that a line of 1 MiB is taken, that a longer one is
// refused and skipped, and that the next is served.
func TestLineLimit(t *testing.T) {
	fit := `{"jsonrpc":"2.0","id":1,"method":"message.send","params":{"contact":"c_1","text":"`
	fit += strings.Repeat("a", maxLine-len(fit)-3) + `"}}`
	in := fit + "\n" + fit + " \n" + `{"jsonrpc":"2.0","id":2,"method":"status"}` + "\n"
	var out bytes.Buffer
	f := &fakeChat{feed: chat.NewFeed(0)}
	if err := Serve(t.Context(), f, strings.NewReader(in), &out, Ready{}); err != nil {
		t.Fatal(err)
	}
	if len(f.sent) != 1 || strings.Count(out.String(), "longer than 1 MiB") != 1 || !strings.Contains(out.String(), `"id":2,"result"`) {
		t.Errorf("sent %d, out:\n%.400s", len(f.sent), out.String())
	}
}

// TestOutputGone checks that a reader that is gone ends the service.
func TestOutputGone(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	gone := errors.New("broken pipe")
	err := Serve(t.Context(), &fakeChat{feed: chat.NewFeed(0)}, in, writerFunc(func([]byte) (int, error) { return 0, gone }), Ready{})
	if !errors.Is(err, gone) {
		t.Errorf("Serve: %v", err)
	}
}

// FuzzLine feeds the line decoder: no panic, no line above the limit, and what
// is accepted encodes to a request that parses to the same.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"status","params":{}}` + "\n[]\n{}\n"))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"a","method":"message.list","params":{"contact":"c","after":1,"limit":2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(data), 64)
		for {
			line, err := readLine(r, maxLine)
			if errors.Is(err, errLineTooLong) {
				continue
			}
			if err != nil {
				return
			}
			if len(line) > maxLine {
				t.Fatalf("line of %d bytes", len(line))
			}
			if len(line) == 0 {
				continue
			}
			req, bad := parseRequest(line)
			if bad != nil {
				continue
			}
			again, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": req.method, "params": req.params})
			if req.params == nil {
				again, err = json.Marshal(map[string]any{"jsonrpc": "2.0", "method": req.method})
			}
			if err != nil {
				t.Fatal(err)
			}
			req2, bad := parseRequest(again)
			if bad != nil || req2.method != req.method || len(req2.params) != len(req.params) {
				t.Fatalf("%s does not parse again: %v", again, bad)
			}
			s := &server{backend: &fakeChat{}}
			_, _ = s.prepare(req)
		}
	})
}

// TestDeafScript: a script that reads nothing any more does not keep the program
// from ending when it is told to.
func TestDeafScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeChat{feed: chat.NewFeed(0)}
		ctx, cancel := context.WithCancel(t.Context())
		in, script := io.Pipe()
		answers, out := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, f, in, out, Ready{}) }()
		r := bufio.NewReader(answers)
		_, _ = r.ReadString('\n')
		go func() { _, _ = script.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"subscribe"}` + "\n")) }()
		_, _ = r.ReadString('\n')
		f.feed.Publish(chat.Event{Type: chat.NetworkReady})
		synctest.Wait() // its line is on its way
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > 2*finishGrace {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		answers.Close()
		script.Close()
		f.feed.Close()
	})
}
