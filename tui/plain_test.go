package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// plainFake is a profile that tells which ids texts were given.
type plainFake struct {
	*fakeChat
	ids     []string
	sending func(id string) // called before a text is written down
}

func (f *plainFake) StartSend(ctx context.Context, contact, text string, o chat.SendOptions) func() (chat.Message, error) {
	wait := f.fakeChat.StartSend(ctx, contact, text, o)
	return func() (chat.Message, error) {
		m, err := wait()
		if err == nil {
			f.ids = append(f.ids, m.ID)
			f.messages[contact] = append(f.messages[contact], m)
		}
		if f.sending != nil {
			f.sending(m.ID)
		}
		return m, err
	}
}

// last returns the last text that was sent, in another state.
func (f *plainFake) last(state chat.MessageState) *chat.Message {
	return &chat.Message{ID: f.ids[len(f.ids)-1], Contact: "c_1", Direction: chat.Out, Text: "x", State: state}
}

// plainHome opens it.
type plainHome struct {
	fakeHome
	chat *plainFake
}

func (h *plainHome) Open(ctx context.Context, pass []byte, link string) (Chat, error) {
	_, err := h.fakeHome.Open(ctx, pass, link)
	return h.chat, err
}

// plainRun is the plain mode under test, in a bubble of synctest.
type plainRun struct {
	t    *testing.T
	in   *io.PipeWriter
	done chan error
	mu   sync.Mutex
	out  bytes.Buffer
	read int      // bytes of out that line has returned
	log  []string // of the golden transcript
}

func (r *plainRun) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(b)
}

// startPlain runs the plain mode on a profile; change changes its configuration.
func startPlain(t *testing.T, h Home, change func(cfg *PlainConfig)) *plainRun {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe()
	r := &plainRun{t: t, in: w, done: make(chan error, 1)}
	cfg := PlainConfig{Config: Config{Home: h, Now: func() time.Time { return testNow }}, In: in, Out: r}
	if change != nil {
		change(&cfg)
	}
	go func() { r.done <- RunPlain(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		w.Close()
	})
	r.log = append(r.log, r.next())
	return r
}

// next returns what was written since the last look, once all is quiet.
func (r *plainRun) next() string {
	time.Sleep(2 * plainPaste) // a bubble's time
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.out.String()[r.read:]
	r.read = r.out.Len()
	return s
}

// line types a line and returns what was written then.
func (r *plainRun) line(text string) string {
	r.t.Helper()
	if _, err := io.WriteString(r.in, text+"\n"); err != nil {
		r.t.Fatal(err)
	}
	s := r.next()
	r.log = append(r.log, "> "+text+"\n", s)
	return s
}

// says types a line and fails if the answer does not hold what is wanted.
func (r *plainRun) says(line string, want ...string) string {
	r.t.Helper()
	s := r.line(line)
	for _, w := range want {
		if !strings.Contains(s, w) {
			r.t.Errorf("%q answers, without %q:\n%s", line, w, s)
		}
	}
	return s
}

// publish lets an event come.
func (r *plainRun) publish(f *plainFake, ev chat.Event) string {
	f.feed.Publish(ev)
	s := r.next()
	r.log = append(r.log, s)
	return s
}

// end closes the input and returns how the mode ended.
func (r *plainRun) end() error {
	r.in.Close()
	return <-r.done
}

func (r *plainRun) golden(name string) {
	r.t.Helper()
	got := strings.Join(r.log, "")
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if got != string(want) {
		r.t.Errorf("%s differs:\n%s", name, got)
	}
}

// plainHarmless fails if there is a control character but newline.
func plainHarmless(t *testing.T, s string) {
	t.Helper()
	for i, c := range s {
		if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c)) {
			t.Fatalf("character %U in %q", c, s[max(0, i-40):min(len(s), i+40)])
		}
	}
}

// onPlain runs a test in a bubble, on the profile of the screens' tests.
func onPlain(t *testing.T, setup func(f *plainFake), change func(cfg *PlainConfig), run func(r *plainRun, f *plainFake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &plainFake{fakeChat: newFake()}
		if setup != nil {
			setup(f)
		}
		run(startPlain(t, &plainHome{fakeHome{state: readyHome}, f}, change), f)
	})
}

func plainTerminal(cfg *PlainConfig) { cfg.Terminal = true }

func plainMessage(minute int, m chat.Message) *chat.Message {
	m.Time = time.Date(2026, 11, 21, 14, minute, 0, 0, time.UTC)
	return &m
}

// TestPlainNetworkSaysWhatIsKnown: since when a guard is used is kept inexactly, and
// a circuit may have no relay yet.
func TestPlainNetworkSaysWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &plainFake{fakeChat: newFake()}
		f.view = chat.NetworkView{
			Network: "harbour", Guard: "otter", GuardSince: testNow.Add(-3 * 24 * time.Hour), Layer2: []string{"plum"},
			Circuits: []chat.CircuitView{{Purpose: "spare", State: "building"}},
		}
		r := startPlain(t, &plainHome{fakeHome{state: readyHome}, f}, nil)
		s := r.says("/network", "Your guard: otter, for at most 3 d", "No declared family", "1. spare: no relay yet, building")
		if strings.Contains(s, "November") {
			t.Errorf("a day is named that is not known:\n%s", s)
		}
		r.line("/quit")
	})
}

// TestPlainSession is a transcript of what people do all day.
func TestPlainSession(t *testing.T) {
	onPlain(t, func(f *plainFake) {
		f.contacts[1].Unread = 1
		f.messages["c_2"] = []chat.Message{*plainMessage(2, chat.Message{ID: "a_1", Contact: "c_2", Direction: chat.In, Text: "are you there?", Seq: 1, State: chat.Received})}
		f.groups = []chat.Group{{ID: "g_1", Name: "printers", Members: []string{"c_1", "c_2"}, State: chat.GroupActive, Admin: true}}
		f.why = chat.Why{
			History: []chat.HistoryEntry{{Time: testNow, State: chat.Queued, Detail: "written to this disk, 1 block"}, {Time: testNow.Add(time.Second), State: chat.Stored, Detail: "1 of 2: fern signed"}},
			Next:    "No ack from marta yet.",
		}
	}, plainTerminal, func(r *plainRun, f *plainFake) {
		r.line("hello?")
		r.line("/to nobody")
		r.line("/contacts")
		r.line("/to alice")
		r.line("/to mar")
		r.line("/history 4")
		r.line("is the street lamp on?")
		stored := f.last(chat.Stored)
		stored.Copies = &chat.Copies{Have: 1, Want: 2}
		r.publish(f, chat.Event{Type: chat.MessageStateChanged, Message: stored})
		r.publish(f, chat.Event{Type: chat.MessageStateChanged, Message: f.last(chat.Delivered)})
		r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, chat.Message{ID: "m_20", Contact: "c_1", Direction: chat.In, Text: "it is\nand the door is open", Seq: 20, State: chat.Received})})
		r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(7, chat.Message{ID: "g_20", Contact: "g_1", Author: "c_2", Direction: chat.In, Text: "two boxes", Seq: 3, State: chat.Received, Late: true})})
		r.line("/why")
		r.line("/search door")
		r.line("/group list")
		r.line("/nonsense")
		r.line("/cover")
		r.line("/lock")
		r.line("hello")
		r.golden("plain-session")
		plainHarmless(t, strings.Join(r.log, ""))
		if got := f.sent(); !slices.Equal(got, []string{"is the street lamp on?"}) {
			t.Errorf("sent %q", got)
		}
	})
}

// TestPlainAnswersEveryCommand: the plain mode has every command of the screens.
func TestPlainAnswersEveryCommand(t *testing.T) {
	have := map[string]bool{}
	for _, c := range plainCommands() {
		if have[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		have[c.name] = true
	}
	for _, c := range commandTable() {
		if !have[c.name] {
			t.Errorf("%s is not there", c.name)
		}
	}
	for _, c := range plainCommands() {
		onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
			r.line("/to marta")
			if got := r.line(c.name); got == "" && c.name != "/quit" || strings.Contains(got, "no command") {
				t.Errorf("%s answers %q", c.name, got)
			}
			if len(f.sent()) > 0 {
				t.Errorf("%s was sent as a text", c.name)
			}
		})
	}
}

// TestPlainPeerCannotForge: no text of a peer can look like a line of somebody
// else, or of the program.
func TestPlainPeerCannotForge(t *testing.T) {
	forged := "hi\n14:06 alice: send money\r14:06 alice: now\nConnection: ready.\n\x1b[2J\x1b]52;c;aGk=\x07\u009b31m\u202e\u2066x\n\u2028 14:06 you to alice: yes"
	onPlain(t, func(f *plainFake) {
		f.contacts[2].Name = "you to marta"
		f.groups = []chat.Group{{ID: "g_1", Name: "x\n14:06 alice: hi\x1b[1m", Members: []string{"c_1"}, State: chat.GroupActive}}
		f.requests = []chat.Request{{ID: "r_1", Name: "alice\n14:06 alice", Text: forged, Time: testNow}}
	}, func(cfg *PlainConfig) {
		cfg.Terminal = true
		cfg.Width = func() int { return 60 }
	}, func(r *plainRun, f *plainFake) {
		received := func(m chat.Message) string {
			m.ID, m.Direction, m.State = "m_30", chat.In, chat.Received
			return r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, m)})
		}
		check := func(s, author string) {
			t.Helper()
			plainHarmless(t, s)
			for i, l := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
				if i == 0 && !strings.HasPrefix(l, strings.TrimSpace(author)) || i > 0 && !strings.HasPrefix(l, plainMargin) {
					t.Errorf("line %d is at the margin: %q", i, l)
				}
				if ansi.StringWidth(l) > 60 {
					t.Errorf("line %d has %d cells", i, ansi.StringWidth(l))
				}
			}
		}
		for _, text := range []string{forged, "hi" + strings.Repeat(" ", 46) + "14:06 alice: send money", strings.Repeat("w", 4000), strings.Repeat("e\u0301\u0302\u0303\u0304\u0305\u0306", 300), strings.Repeat("漢", 200)} {
			check(received(chat.Message{Contact: "c_1", Text: text}), "14:06 marta: ")
			check(received(chat.Message{Contact: "g_1", Author: "c_1", Text: text}), `14:06 marta in "x 14:06 alice: hi`)
			check(received(chat.Message{Contact: "c_3", Text: text}), `14:06 "you to marta": `)
		}
		r.line("/to marta")
		check(received(chat.Message{Contact: "c_1", Kind: chat.KindMessageFile, Text: forged, File: &chat.File{ID: "f_1", Name: forged, Detail: forged, Size: 1, State: chat.FileOffered}}), "14:06 marta: file ")
		check(received(chat.Message{Contact: "c_1", Text: "x", Reply: "m_30", Reactions: []chat.Reaction{{From: "c_1", Emoji: forged}}}), "14:06 marta, ")
		check(r.publish(f, chat.Event{Type: chat.ErrorEvent, Detail: forged}), "Warning: ")
		s := r.line("/requests")
		plainHarmless(t, s)
		for l := range strings.Lines(s) {
			if strings.HasPrefix(l, "14:06") || strings.HasPrefix(l, "Connection") {
				t.Errorf("a stranger's text begins a line: %q", l)
			}
		}
	})
}

// TestPlainLongMessageIsFolded: one message cannot push everything away.
func TestPlainLongMessageIsFolded(t *testing.T) {
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		text := strings.Repeat("line\n", 32000)
		s := r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, chat.Message{ID: "m_40", Contact: "c_1", Direction: chat.In, Text: text, Seq: 40})})
		if n := strings.Count(s, "\n"); n > plainFold+2 || !strings.Contains(s, "Of this message 199 bytes of 156 KiB are shown; /show writes all.") {
			t.Errorf("%d lines:\n%s", n, s[max(0, len(s)-200):])
		}
		if s := r.line("/show"); strings.Count(s, "\n") != 32001 {
			t.Errorf("%d lines of 32001", strings.Count(s, "\n"))
		}
		s = r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, chat.Message{ID: "m_41", Contact: "c_1", Direction: chat.In, Text: strings.Repeat("ä", 32<<10), Seq: 41})})
		if len(s) > plainBytes+200 || !strings.Contains(s, "Of this message 8 KiB of 64 KiB are shown") {
			t.Errorf("%d bytes", len(s))
		}
	})
}

// TestPlainNothingIsSentByMistake: unknown commands, nobody selected, pastes.
func TestPlainNothingIsSentByMistake(t *testing.T) {
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		r.says("hello", "Nothing was sent: nobody is selected")
		r.says("/to marta", "You write to marta now: verified.")
		r.says("/sned hello", "There is no command /sned")
		r.says("one\ntwo\nthree\nfour", "4 lines came at once")
		r.says("no", "Not done.")
		if len(f.sent()) > 0 {
			t.Fatalf("sent %q", f.sent())
		}
		r.line("one\ntwo\nthree\nfour")
		r.says("yes", "you to marta: queued")
		r.says("//me waves", "queued")
		r.line("/compose")
		r.line("first")
		r.line("/to alice")
		r.says(".", "queued")
		if got := f.sent(); !slices.Equal(got, []string{"one\ntwo\nthree\nfour", "/me waves", "first\n/to alice"}) {
			t.Errorf("sent %q", got)
		}
		if s := r.line(strings.Repeat("x", 70<<10)); !strings.Contains(s, "too long") {
			t.Errorf("a long line answers %q", s)
		}
	})
}

// TestPlainScriptSendsEveryLine: without a terminal nothing is asked about lines.
func TestPlainScriptSendsEveryLine(t *testing.T) {
	onPlain(t, nil, nil, func(r *plainRun, f *plainFake) {
		r.line("/to marta\none\ntwo\nthree\nfour\nfive")
		if got := f.sent(); !slices.Equal(got, []string{"one", "two", "three", "four", "five"}) {
			t.Errorf("sent %q", got)
		}
	})
}

// TestPlainInviteInALine: a pasted link is never sent as a text.
func TestPlainInviteInALine(t *testing.T) {
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		link := "HEARSAY:AEAQ" + strings.Repeat("ABCD", 20)
		r.line("/to marta")
		r.says(link[:40]+"\n"+link[40:], "Type a name for them")
		r.says("", "Dropped.")
		r.line(link)
		r.says("dora", "You write to dora now: invited")
		if !f.called("AcceptInvite "+link+" dora") || len(f.sent()) > 0 {
			t.Errorf("calls %q, sent %q", f.calls, f.sent())
		}
		r.says("/accept nonsense x", "give the whole link")
		f.fail = map[string]error{"AcceptInvite": &chat.Error{Kind: chat.KindWrongNetwork, Text: "this invite belongs to another network", Hint: "ask for one of this network"}}
		r.says("/accept "+link+" eve", "Not added: this invite belongs to another network (ask for one of this network).")
	})
}

// TestPlainEndOfInput: the end waits for what was sent, and says if it was in vain.
func TestPlainEndOfInput(t *testing.T) {
	t.Run("delivered", func(t *testing.T) {
		onPlain(t, nil, nil, func(r *plainRun, f *plainFake) {
			r.line("/to marta\nx")
			r.in.Close()
			if r.next(); len(r.done) > 0 {
				t.Fatal("it did not wait")
			}
			r.publish(f, chat.Event{Type: chat.MessageStateChanged, Message: f.last(chat.Delivered)})
			if err := <-r.done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("answered", func(t *testing.T) {
		onPlain(t, nil, func(cfg *PlainConfig) { cfg.Answered, cfg.Quotes, cfg.Contact = true, true, "marta" }, func(r *plainRun, f *plainFake) {
			r.says("x", "14:05:00 you to marta: x\n14:05:00 you to marta: x: queued\n")
			r.in.Close()
			r.publish(f, chat.Event{Type: chat.MessageStateChanged, Message: f.last(chat.Delivered)})
			if r.next(); len(r.done) > 0 {
				t.Fatal("it did not wait for the answer")
			}
			s := r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, chat.Message{ID: "m_50", Contact: "c_1", Direction: chat.In, Text: "x"})})
			if err := <-r.done; err != nil || s != "14:06:00 marta: x\n" {
				t.Errorf("error %v, output %q", err, s)
			}
		})
	})
	t.Run("never", func(t *testing.T) {
		onPlain(t, nil, nil, func(r *plainRun, f *plainFake) {
			r.line("/to marta\nx")
			began := time.Now()
			if err := r.end(); !errors.Is(err, ErrUndelivered) || time.Since(began) != plainFinish {
				t.Errorf("error %v after %s", err, time.Since(began))
			}
		})
	})
	t.Run("failed", func(t *testing.T) {
		onPlain(t, nil, nil, func(r *plainRun, f *plainFake) {
			r.line("/to marta\nx")
			s := r.publish(f, chat.Event{Type: chat.MessageStateChanged, Message: f.last(chat.Failed), Detail: "no ack in 21 days"})
			if !strings.Contains(s, "you to marta: failed\n"+plainMargin+"It failed: no ack in 21 days.\n") {
				t.Errorf("output %q", s)
			}
			if err := r.end(); err == nil || errors.Is(err, ErrUndelivered) {
				t.Errorf("error %v", err)
			}
		})
	})
	t.Run("at a terminal", func(t *testing.T) {
		onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
			r.line("/to marta")
			r.line("x")
			if err := r.end(); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestPlainStateBeforeAnswer: a state that comes before the call has returned is
// told after the text was queued.
func TestPlainStateBeforeAnswer(t *testing.T) {
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		r.line("/to marta")
		f.sending = func(id string) {
			f.feed.Publish(chat.Event{Type: chat.MessageStateChanged, Message: &chat.Message{ID: id, Contact: "c_1", Direction: chat.Out, State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}}})
			time.Sleep(time.Second)
		}
		io.WriteString(r.in, "x\n")
		time.Sleep(2 * time.Second)
		if s := r.next(); s != "14:05 you to marta: queued\n14:05 you to marta: stored, 2 of 2\n" {
			t.Errorf("output %q", s)
		}
	})
}

// TestPlainLock: a locked profile says nothing and sends nothing, until the right
// passphrase opens it.
func TestPlainLock(t *testing.T) {
	onPlain(t, nil, func(cfg *PlainConfig) {
		cfg.Terminal = true
		cfg.Secret = func(string) ([]byte, error) { return []byte("secret"), nil }
	}, func(r *plainRun, f *plainFake) {
		r.line("/to marta")
		if s := r.publish(f, chat.Event{Type: chat.ProfileLocked}); !strings.Contains(s, "hearsay is locked") {
			t.Errorf("output %q", s)
		}
		if s := r.publish(f, chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, chat.Message{ID: "m_60", Contact: "c_1", Direction: chat.In, Text: "secret"})}); s != "" {
			t.Errorf("output %q", s)
		}
		for _, line := range []string{"hello", "/history", "/contacts", "/why"} {
			r.says(line, "hearsay is locked")
		}
		f.fail = map[string]error{"Unlock": &chat.Error{Kind: chat.KindRefused, Text: "the passphrase is wrong"}}
		r.says("/unlock", "the passphrase is wrong")
		r.says("hello", "hearsay is locked")
		f.fail = nil
		r.says("/unlock", "hearsay is open again. Nobody is selected")
		r.says("hello", "nobody is selected")
		if !f.called("Unlock secret") || len(f.sent()) > 0 {
			t.Errorf("calls %q", f.calls)
		}
	})
}

// TestPlainIdleLock: nobody who finds the terminal reads on.
func TestPlainIdleLock(t *testing.T) {
	began := time.Time{}
	onPlain(t, func(f *plainFake) {
		f.status.Encrypted = true
		began = time.Now()
	}, func(cfg *PlainConfig) {
		cfg.Terminal = true
		cfg.Now = func() time.Time { return testNow.Add(time.Since(began)) }
	}, func(r *plainRun, f *plainFake) {
		r.line("/to marta")
		time.Sleep(14 * time.Minute)
		r.says("/status", "Connection: connected")
		time.Sleep(14 * time.Minute)
		if s := r.next(); strings.Contains(s, "locked") {
			t.Errorf("too early: %q", s)
		}
		time.Sleep(2 * time.Minute)
		if s := r.next(); !strings.Contains(s, "hearsay is locked") || f.count("Lock") != 1 {
			t.Errorf("output %q", s)
		}
	})
}

// TestPlainLocksAfterSleep: the first line after the computer slept is not taken.
func TestPlainLocksAfterSleep(t *testing.T) {
	var mu sync.Mutex
	now := testNow
	onPlain(t, func(f *plainFake) { f.status.Encrypted = true }, func(cfg *PlainConfig) {
		cfg.Terminal = true
		cfg.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	}, func(r *plainRun, f *plainFake) {
		r.line("/to marta")
		mu.Lock()
		now = now.Add(5 * time.Minute)
		mu.Unlock()
		r.says("hello", "hearsay is locked. /unlock opens it.", "nothing was sent")
		if len(f.sent()) > 0 {
			t.Errorf("sent %q", f.sent())
		}
	})
}

// TestPlainFirstRun asks what a new profile needs.
func TestPlainFirstRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.contacts = nil
		typed := []string{"correct horse", "another", "correct horse battery staple", "correct horse battery staple"}
		home := &fakeHome{chat: f}
		r := startPlain(t, home, func(cfg *PlainConfig) {
			cfg.Terminal = true
			cfg.Secret = func(string) ([]byte, error) {
				pass := typed[0]
				typed = typed[1:]
				return []byte(pass), nil
			}
		})
		r.says("", "The two differ", "Paste a network link")
		r.says("HEARSAY-NET:AEAQ", "Opening the profile.", "One of you makes an invite")
		if home.pass != "correct horse battery staple" || home.link != "HEARSAY-NET:AEAQ" {
			t.Errorf("opened with %q and %q", home.pass, home.link)
		}
		r.says("/invite marta", "Invite for marta, for one person, expires in 6 d 23 h.", "\n"+f.invite.Link+"\n")
		r.golden("plain-first")
	})
}

// TestPlainWrongPassphrase: it is asked for again at a terminal, and an error
// elsewhere.
func TestPlainWrongPassphrase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		home := &fakeHome{state: HomeState{Exists: true, Encrypted: true, HasNetwork: true}, chat: newFake(), err: &chat.Error{Kind: chat.KindRefused, Text: "the passphrase is wrong"}}
		asked := 0
		r := startPlain(t, home, func(cfg *PlainConfig) {
			cfg.Terminal = true
			cfg.Secret = func(string) ([]byte, error) {
				if asked++; asked == 3 {
					home.err = nil
				}
				return []byte("x"), nil
			}
		})
		r.says("/contacts", "Conversations: 4.")
		if asked != 3 {
			t.Errorf("asked %d times", asked)
		}
		without := startPlain(t, home, nil)
		if err := <-without.done; !errors.Is(err, chat.ErrPassphrase) {
			t.Errorf("error %v", err)
		}
	})
}

// TestPlainVerify compares by number and by words, and ends what differs.
func TestPlainVerify(t *testing.T) {
	const number = "28471 90312 55817 60021 77340 19284 03391 48820 71156 92003 61847 30975"
	onPlain(t, func(f *plainFake) { f.contacts[1].SafetyNumber = number }, plainTerminal, func(r *plainRun, f *plainFake) {
		r.says("/verify alice", number, "Safety number of alice:")
		r.says(number, "Verified.")
		if !f.called("VerifyContact c_2 " + number) {
			t.Errorf("calls %q", f.calls)
		}
		r.line("/verify alice")
		r.says("words", "Asked.")
		s := r.publish(f, chat.Event{Type: chat.ContactWords, Contact: &chat.Contact{ID: "c_2", Name: "alice"}, Words: "otter plum wren fern"})
		if !strings.Contains(s, "Words to compare with alice: otter plum wren fern\n") {
			t.Errorf("output %q", s)
		}
		r.line("/verify alice")
		r.says("otter plum wren fern", "Verified.")
		if !f.called("VerifyWords c_2 otter plum wren fern") {
			t.Errorf("calls %q", f.calls)
		}
		r.line("/verify alice")
		r.says("differ", "Blocked", "Remove alice")
		r.says("yes", "alice was removed.")
		if !f.called("BlockContact c_2") || !f.called("RemoveContact c_2") {
			t.Errorf("calls %q", f.calls)
		}
		r.says("/verify bob", "nothing to compare yet")
	})
}

// TestPlainGroupsFilesRequests takes the long ways through.
func TestPlainGroupsFilesRequests(t *testing.T) {
	onPlain(t, func(f *plainFake) {
		f.groups = []chat.Group{{ID: "g_1", Name: "printers", Members: []string{"c_1"}, State: chat.GroupActive, Admin: true, Warning: "two members see different lists"}}
		f.requests = []chat.Request{{ID: "r_1", Name: "dora", Text: "we met on Friday", Time: testNow}}
		f.files = []chat.File{{ID: "f_1", Contact: "c_1", Direction: chat.In, Name: "layout.pdf", Size: 2 << 20, State: chat.FileOffered, Time: testNow}}
	}, plainTerminal, func(r *plainRun, f *plainFake) {
		r.says("/group new plan", "Who is in it?")
		r.line("marta, alice")
		if !f.called("CreateGroup plan [c_1 c_2]") {
			t.Errorf("calls %q", f.calls)
		}
		r.says("/to printers", "group of 2, you administer it, warning: two members see different lists")
		r.line("/group add alice")
		r.line("/group remove marta")
		r.line("yes")
		r.line("/group rename press")
		r.line("/group leave")
		r.line("yes")
		r.says("/requests", `1. 14:05 a stranger who gives the name "dora": we met on Friday`)
		r.says("/requests accept 1 dora", "You write to dora now")
		r.says("/requests reject 1", "write /requests first")
		r.says("/to marta", "marta")
		r.says("/files", "1. from marta: layout.pdf, 2.0 MiB, offered, not fetched")
		r.says("/save", "Fetch layout.pdf (2.0 MiB, padded to 2.2 MiB) to layout.pdf? marta learns")
		r.says("no", "Not done.")
		r.line("/save")
		r.says("yes", "It is saved as layout.pdf once all of it is here.")
		r.line("/files pause 1")
		r.line("/files resume 1")
		r.line("/files stop 1")
		r.line("yes")
		r.says("/file plan.txt", "Offer plan.txt to marta?")
		r.line("no")
		if f.called("SendFile") {
			t.Error("a file was sent without a yes")
		}
		r.line("/file plan.txt")
		r.says("yes", "you to marta: file plan.txt")
		r.line("/disappear 7")
		r.line("/mute")
		r.line("/block")
		r.line("yes")
		r.line("/export log.jsonl")
		r.line("yes")
		for _, call := range []string{
			"AddMember g_1 c_2", "RemoveMember g_1 c_1", "RenameGroup g_1 press", "LeaveGroup g_1", "AcceptRequest r_1 dora",
			"SaveFile f_1 layout.pdf", "PauseFile f_1", "FetchFile f_1", "CancelFile f_1", "SendFile c_1 plan.txt false",
			"SetConversation c_1", "BlockContact c_1", "Export c_1 log.jsonl",
		} {
			if !f.called(call) {
				t.Errorf("no call %q", call)
			}
		}
		if s := f.contacts[0].Settings; s == nil || !s.Muted || s.DisappearAfter != 7*24*time.Hour {
			t.Errorf("settings %+v", s)
		}
	})
}

// TestPlainFileByBurst: a burst is chosen, never taken.
func TestPlainFileByBurst(t *testing.T) {
	onPlain(t, func(f *plainFake) { f.status.Cover = "normal" }, func(cfg *PlainConfig) {
		cfg.Terminal = true
		cfg.LocalFile = func(path string) (LocalFile, error) {
			return LocalFile{Path: "/home/me/" + path, Exists: path != "gone", Regular: path != "dir", Size: 1 << 20}, nil
		}
	}, func(r *plainRun, f *plainFake) {
		r.line("/to marta")
		r.says("/file gone", "there is no such file: /home/me/gone")
		r.says("/file dir", "this is no file that can be sent")
		r.says("/file plan.pdf", "Offer /home/me/plan.pdf (1.0 MiB, padded to 1.1 MiB, at least 39 min hidden in cover normal) to marta?", "fast for a burst")
		r.says("burst", "Not done.")
		r.line("/file plan.pdf")
		r.line("fast")
		r.line("/file plan.pdf")
		r.line("yes")
		if f.count("SendFile") != 2 || !f.called("SendFile c_1 /home/me/plan.pdf true") || !f.called("SendFile c_1 /home/me/plan.pdf false") {
			t.Errorf("calls %q", f.calls)
		}
		r.says("/save", "no file was offered here")
		r.line("/export log.jsonl")
		r.line("yes")
		if !f.called("Export c_1 /home/me/log.jsonl") { // a daemon has another working directory
			t.Errorf("calls %q", f.calls)
		}
	})
}

// TestPlainMessageCommands reach messages by number and without one.
func TestPlainMessageCommands(t *testing.T) {
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		r.line("/to marta")
		r.says("/reply #2 which door?", `Answering "the back door, not the shop".`)
		r.line("/reply yes")
		r.line("/edit #3 thanks, on my way now")
		r.line("/react #6 👍")
		r.line("/delete #1 both")
		r.line("yes")
		r.line("/retry #4")
		r.says("/why #99", "there is no message #99 here")
		for _, call := range []string{"Send c_1 which door? m_2", "Send c_1 yes m_6", "Edit m_3 thanks, on my way now", "React m_6 👍", "Delete m_1 true", "Retry m_4"} {
			if !f.called(call) {
				t.Errorf("no call %q among %q", call, f.calls)
			}
		}
	})
}

// TestPlainDisplayed: what a person saw counts as shown, and what a script read
// does not.
func TestPlainDisplayed(t *testing.T) {
	m := chat.Event{Type: chat.MessageReceived, Message: plainMessage(6, chat.Message{ID: "m_70", Contact: "c_1", Direction: chat.In, Text: "x", Seq: 70})}
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		if r.publish(f, m); !f.called("MarkDisplayed c_1 70") {
			t.Errorf("calls %q", f.calls)
		}
	})
	onPlain(t, nil, nil, func(r *plainRun, f *plainFake) {
		if r.publish(f, m); f.called("MarkDisplayed") {
			t.Errorf("calls %q", f.calls)
		}
	})
}

// TestPlainDaemonEnds and a closed output end the mode.
func TestPlainDaemonEnds(t *testing.T) {
	onPlain(t, nil, func(cfg *PlainConfig) { cfg.Attached = true }, func(r *plainRun, f *plainFake) {
		f.feed.Close()
		if err := <-r.done; err != nil || !strings.Contains(r.next(), "The daemon has ended") {
			t.Errorf("error %v", err)
		}
	})
	broken := errors.New("nobody reads")
	onPlain(t, nil, func(cfg *PlainConfig) { cfg.Out = plainWriter(func([]byte) (int, error) { return 0, broken }) }, func(r *plainRun, f *plainFake) {
		if err := <-r.done; !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}

type plainWriter func(b []byte) (int, error)

func (f plainWriter) Write(b []byte) (int, error) { return f(b) }

// FuzzPlainText: whatever a peer writes, only newlines of our own begin lines, and
// nothing moves the cursor.
// TestPlainNamesForgeNothing: a stranger may propose any name. None makes a line
// look like a notice of this program, a warning, or a message of a group.
func TestPlainNamesForgeNothing(t *testing.T) {
	for _, name := range []string{
		"notice about alice", "Notice", "alice in printers", "Warning", "somebody", "Connection", "you",
		"earlier text", "14:05 you", "#6 14:05 marta", "error", "alice, verified", "New contact",
	} {
		var out bytes.Buffer
		p := newPlain(t.Context(), PlainConfig{Config: Config{Now: func() time.Time { return testNow }}, Out: &out})
		p.entries = []entry{
			{id: "c_1", name: plainName(name), contact: &chat.Contact{ID: "c_1", Name: name}},
			{id: "g_1", name: plainName(name), group: &chat.Group{ID: "g_1", Name: name}},
		}
		p.message(*plainMessage(5, chat.Message{ID: "m_1", Contact: "c_1", Direction: chat.In, Text: "x"}), false, false)
		p.message(*plainMessage(6, chat.Message{ID: "m_2", Contact: "g_1", Author: "c_1", Direction: chat.In, Text: "x"}), false, false)
		quoted := `"` + name + `"`
		want := "14:05 " + quoted + ": x\n14:06 " + quoted + " in " + quoted + ": x\n"
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
	for _, name := range []string{"marta", "Anna Maria", "press-desk"} {
		if spokenName(name) != name {
			t.Errorf("%s is quoted", name)
		}
	}
}

func FuzzPlainText(f *testing.F) {
	f.Add("hi", "marta", 60)
	f.Add("a\nb\r\x1b[2J", "14:06 you", 24)
	f.Add("\u202e\u009b31m漢\u0301", "x\n", 0)
	f.Fuzz(func(t *testing.T, text, name string, width int) {
		var out bytes.Buffer
		p := newPlain(t.Context(), PlainConfig{Config: Config{Now: func() time.Time { return testNow }}, Out: &out, Width: func() int { return width }})
		p.entries = []entry{{id: "c_1", name: chat.SanitizeName(name), contact: &chat.Contact{ID: "c_1", Name: name}}}
		p.message(*plainMessage(5, chat.Message{ID: "m_1", Contact: "c_1", Direction: chat.In, Text: text}), false, false)
		plainHarmless(t, out.String())
		for i, l := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
			if i == 0 && !strings.HasPrefix(l, "14:05") || i > 0 && !strings.HasPrefix(l, plainMargin) {
				t.Errorf("line %d: %q", i, l)
			}
			if width >= plainNarrow && ansi.StringWidth(l) > width {
				t.Errorf("line %d has %d cells of %d", i, ansi.StringWidth(l), width)
			}
		}
	})
}
