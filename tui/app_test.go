package tui

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

var update = flag.Bool("update", false, "write testdata again")

var testNow = time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC)

// fakeChat answers from memory.
type fakeChat struct {
	feed     *chat.Feed
	status   chat.Status
	path     chat.Path
	contacts []chat.Contact
	messages map[string][]chat.Message
	sent     []string
	sendErr  error
	invite   chat.Invite
	invErr   error
	accErr   error
	covErr   error
	consents int

	locks     int
	unlockErr error
}

func (f *fakeChat) SetConversation(_ context.Context, id string, change chat.ConversationChange) error {
	for i := range f.contacts {
		if f.contacts[i].ID == id && change.Draft != nil {
			f.contacts[i].Settings = &chat.Conversation{Draft: *change.Draft}
		}
	}
	return nil
}

func (f *fakeChat) Lock(context.Context) error           { f.locks++; return nil }
func (f *fakeChat) Unlock(context.Context, []byte) error { return f.unlockErr }

func (f *fakeChat) Status() chat.Status           { return f.status }
func (f *fakeChat) Path(string) (chat.Path, bool) { return f.path, len(f.path.Relays) > 0 }
func (f *fakeChat) Subscribe() *chat.Subscription { return f.feed.Subscribe() }
func (f *fakeChat) SetCover(_ context.Context, name string) error {
	if f.covErr == nil {
		f.status.Cover = name
	}
	return f.covErr
}

func (f *fakeChat) Consent(context.Context) error {
	if !f.status.Outlook.NeedsConsent {
		return errors.New("nothing waits for your consent")
	}
	f.consents++
	f.status.Outlook.NeedsConsent = false
	return nil
}

func (f *fakeChat) Contacts(context.Context) ([]chat.Contact, error) {
	return append([]chat.Contact(nil), f.contacts...), nil
}

func (f *fakeChat) CreateInvite(_ context.Context, name string) (chat.Invite, error) {
	inv := f.invite
	inv.Name = name
	return inv, f.invErr
}

func (f *fakeChat) AcceptInvite(_ context.Context, _, name string) (chat.Contact, error) {
	if f.accErr != nil {
		return chat.Contact{}, f.accErr
	}
	c := chat.Contact{ID: "c_new", Name: name, State: chat.ContactInvited}
	f.contacts = append(f.contacts, c)
	return c, nil
}

func (f *fakeChat) Send(_ context.Context, contact, text string) (chat.Message, error) {
	if f.sendErr != nil {
		return chat.Message{}, f.sendErr
	}
	f.sent = append(f.sent, text)
	m := chat.Message{ID: fmt.Sprintf("m_%d", len(f.sent)+1000), Contact: contact, Direction: chat.Out, Text: text, Seq: uint64(len(f.sent) + 1000), Time: testNow, State: chat.Queued}
	return m, nil
}

func (f *fakeChat) Messages(_ context.Context, contact string, after uint64, limit int) ([]chat.Message, error) {
	var out []chat.Message
	for _, m := range f.messages[contact] {
		if m.Seq > after && len(out) < limit {
			out = append(out, m)
		}
	}
	return out, nil
}

type fakeHome struct {
	state HomeState
	chat  *fakeChat
	err   error
	pass  string
	link  string
}

func (h *fakeHome) State() HomeState { return h.state }

func (h *fakeHome) Open(_ context.Context, pass []byte, link string) (Chat, error) {
	h.pass, h.link = string(pass), link
	if h.err != nil {
		return nil, h.err
	}
	return h.chat, nil
}

func newFake() *fakeChat {
	at := func(h, m int) time.Time { return time.Date(2026, 11, 21, h, m, 0, 0, time.UTC) }
	return &fakeChat{
		feed: chat.NewFeed(0),
		status: chat.Status{
			Network: "harbour", Lab: true, Ready: true, Relays: 8, Health: chat.Connected, Cover: "off", Queued: 1,
			Steps: []chat.Step{
				{Name: "network file", State: "done", Took: 400 * time.Millisecond, Detail: `"harbour", version 1`},
				{Name: "snapshot", State: "done", Took: 300 * time.Millisecond, Detail: "epoch 412"},
				{Name: "guard", State: "running", Took: 200 * time.Millisecond},
				{Name: "circuit", State: "waiting"},
				{Name: "mailboxes", State: "waiting"},
			},
		},
		path: chat.Path{Relays: []string{"otter", "plum", "wren"}, Mailbox: "fern", RTT: 212 * time.Millisecond, Open: true},
		contacts: []chat.Contact{
			{ID: "c_1", Name: "marta", State: chat.ContactActive, Verified: true},
			{ID: "c_2", Name: "alice", State: chat.ContactActive},
			{ID: "c_3", Name: "bob", State: chat.ContactInvited},
		},
		messages: map[string][]chat.Message{"c_1": {
			{ID: "m_1", Contact: "c_1", Direction: chat.In, Text: "pick up after six", Seq: 1, Time: at(14, 1).AddDate(0, 0, -1), State: chat.Received},
			{ID: "m_2", Contact: "c_1", Direction: chat.In, Text: "the back door, not the shop", Seq: 2, Time: at(14, 1), State: chat.Received},
			{ID: "m_3", Contact: "c_1", Direction: chat.Out, Text: "thanks, on my way", Seq: 3, Time: at(14, 2), State: chat.Delivered},
			{ID: "m_4", Contact: "c_1", Direction: chat.Out, Text: "is the street lamp on?", Seq: 4, Time: at(14, 3), State: chat.Stored, Copies: &chat.Copies{Have: 1, Want: 2}},
			{ID: "m_5", Contact: "c_1", Direction: chat.Out, Text: "and does anybody have the key to the little door beside the stairs, or must I ask again?", Seq: 5, Time: at(14, 3), State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}},
			{ID: "m_6", Contact: "c_1", Direction: chat.In, Text: "yes", Seq: 6, Time: at(14, 4), State: chat.Received, Late: true},
			{ID: "m_7", Contact: "c_1", Direction: chat.Out, Text: "good", Seq: 7, Time: at(14, 5), State: chat.Queued},
			{ID: "m_8", Contact: "c_1", Direction: chat.Out, Text: "lost", Seq: 8, Time: at(14, 5), State: chat.Failed},
		}},
		invite: chat.Invite{ID: "i_1", Link: "HEARSAY:" + strings.Repeat("AEAQ2", 23) + "AB", Expires: testNow.Add(6*24*time.Hour + 23*time.Hour)},
	}
}

// driver runs an App without a program: commands run at once, but for the ones
// that wait.
type driver struct {
	t *testing.T
	a *App
}

func drive(t *testing.T, h Home, w, hh int) *driver {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	a := New(ctx, Config{Home: h, Now: func() time.Time { return testNow }})
	d := &driver{t, a}
	d.msg(tea.WindowSizeMsg{Width: w, Height: hh})
	if a.first.step == stepStarting {
		d.run(a.open())
	}
	return d
}

// run executes a command and applies what it returns. Commands that wait for
// time or events are told by their not returning soon, so they are not run:
// the tests feed events themselves.
func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	done := make(chan tea.Msg, 1)
	go func() { done <- cmd() }()
	select {
	case m := <-done:
		if b, ok := m.(tea.BatchMsg); ok {
			for _, c := range b {
				d.run(c)
			}
			return
		}
		if m != nil {
			d.msg(m)
		}
	case <-time.After(20 * time.Millisecond):
	}
}

func (d *driver) msg(m tea.Msg) {
	_, cmd := d.a.Update(m)
	d.run(cmd)
}

func (d *driver) key(keys ...string) {
	for _, k := range keys {
		d.msg(keyPress(k))
	}
}

func (d *driver) typeText(s string) {
	for _, r := range s {
		d.msg(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

// keyPress makes the message of a key by its name.
func keyPress(name string) tea.KeyPressMsg {
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown,
		"home": tea.KeyHome, "end": tea.KeyEnd, "f1": tea.KeyF1, "up": tea.KeyUp, "down": tea.KeyDown,
	}
	k := tea.Key{}
	for {
		if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
			k.Mod |= tea.ModCtrl
			name = rest
		} else if rest, ok := strings.CutPrefix(name, "alt+"); ok {
			k.Mod |= tea.ModAlt
			name = rest
		} else {
			break
		}
	}
	if c, ok := special[name]; ok {
		k.Code = c
	} else {
		k.Code = []rune(name)[0]
		if k.Mod == 0 {
			k.Text = name
		}
	}
	return tea.KeyPressMsg(k)
}

// screen returns the text on screen and checks that it fills it exactly.
func (d *driver) screen() string {
	d.t.Helper()
	lines, _ := d.a.draw()
	if len(lines) != d.a.height {
		d.t.Errorf("%d lines on a screen of %d", len(lines), d.a.height)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n != d.a.width {
			d.t.Errorf("line %d has %d cells, want %d: %q", i, n, d.a.width, ansi.Strip(l))
		}
		lines[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (d *driver) golden(name string) {
	d.t.Helper()
	got := d.screen()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	if got != string(want) {
		d.t.Errorf("%s differs:\n%s", name, got)
	}
}

func (d *driver) has(want string) {
	d.t.Helper()
	if s := d.screen(); !strings.Contains(s, want) {
		d.t.Errorf("%q is not on screen:\n%s", want, s)
	}
}

var readyHome = HomeState{Exists: true, HasNetwork: true}

func TestGoldenScreens(t *testing.T) {
	for _, size := range [][2]int{{100, 28}, {80, 24}, {58, 20}, {30, 8}} {
		name := func(s string) string { return fmt.Sprintf("%s-%dx%d", s, size[0], size[1]) }
		d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, size[0], size[1])
		d.golden(name("conversation"))
		d.key("f1")
		d.golden(name("help"))
		d.key("esc", "alt+n")
		d.typeText("carol")
		d.golden(name("invite-name"))
		d.key("enter")
		d.golden(name("invite"))
		d.key("esc")
		d.msg(tea.PasteMsg{Content: "HEARSAY:AEAQ"})
		d.golden(name("accept"))

		d = drive(t, &fakeHome{chat: newFake()}, size[0], size[1])
		d.golden(name("first-1"))
		d.key("enter")
		d.typeText("correct horse battery")
		d.golden(name("first-2"))
		d.key("enter")
		d.typeText("correct horse battery")
		d.key("enter")
		d.golden(name("first-3"))
		d.typeText("HEARSAY-NET:AEBQ")
		d.key("enter")
		d.golden(name("first-3-starting"))
		d.key("esc")
		d.golden(name("first-4"))
	}
}

// TestErrorsAreForPeople checks that no error shows the name of a package.
func TestErrorsAreForPeople(t *testing.T) {
	err := fmt.Errorf("open: %w", &chat.Error{Kind: chat.KindRefused, Text: "the link is not good: directory: mistyped\x1b[31m", Hint: "copy it again"})
	if got, want := errorText(err), "open: the link is not good: mistyped[31m (copy it again)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLinksFromSeveralLines pastes links as they are copied from a screen: in
// several lines, within a box.
func TestLinksFromSeveralLines(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.msg(tea.PasteMsg{Content: "HEARSAY:AEAQ │\n│ 4KQ7\r\n2MZP │"})
	d.has("HEARSAY:AEAQ4KQ72MZP")
	if got, want := networkText(" HEARSAY-NET:AE\nBQ "), "HEARSAY-NET:AEBQ"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := networkText(" my file\n"), "my file"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestUsedInviteIsNotOfferedAgain checks what the dialog says once somebody
// came by the invite.
func TestUsedInviteIsNotOfferedAgain(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("alt+n", "enter")
	d.has("it stays")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.InviteUsed, Invite: f.invite.ID}}})
	d.has("used: your contact is here")
	if strings.Contains(d.screen(), "it stays") || strings.Contains(d.screen(), "[c] copy") {
		t.Error("a used invite is offered again")
	}
}

func TestFirstRunOpensWithWhatWasTyped(t *testing.T) {
	h := &fakeHome{chat: newFake()}
	d := drive(t, h, 80, 24)
	d.key("enter")
	d.key("enter")
	d.has("type a passphrase")
	d.typeText("secret")
	d.key("enter")
	d.typeText("other")
	d.key("enter")
	d.has("the two differ")
	d.typeText("secret")
	d.key("enter")
	h.err = &chat.Error{Kind: chat.KindRefused, Text: "that is no network link", Hint: "it starts with HEARSAY-NET:"}
	d.typeText("junk")
	d.key("enter")
	d.has("that is no network link (it starts with HEARSAY-NET:)")
	h.err = nil
	for range 4 {
		d.msg(tea.KeyPressMsg{Code: tea.KeyBackspace})
	}
	d.typeText("HEARSAY-NET:X")
	d.key("enter")
	if h.pass != "secret" || h.link != "HEARSAY-NET:X" {
		t.Errorf("opened with %q and %q", h.pass, h.link)
	}
	d.has("snapshot")
	d.key("esc", "s")
	d.has("marta")
	if strings.Contains(fmt.Sprintf("%+v", d.a.first.passphrase.Value()+d.a.first.again.Value()), "secret") {
		t.Error("the passphrase stays in the input")
	}
}

func TestUnlockShowsNothingElse(t *testing.T) {
	h := &fakeHome{state: HomeState{Exists: true, Encrypted: true, HasNetwork: true}, chat: newFake(), err: errors.New("the passphrase is wrong")}
	d := drive(t, h, 80, 24)
	for _, leak := range []string{"marta", "harbour", "otter"} {
		if strings.Contains(d.screen(), leak) {
			t.Errorf("%q is on the unlock screen", leak)
		}
	}
	d.typeText("wrong")
	if strings.Contains(d.screen(), "wrong") {
		t.Error("the passphrase is echoed")
	}
	d.key("enter")
	d.has("the passphrase is wrong")
	h.err = nil
	d.key("enter")
	d.has("marta")
}

func TestSendAndStates(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("see you")
	d.key("ctrl+j")
	d.typeText("there")
	d.key("enter")
	if len(f.sent) != 1 || f.sent[0] != "see you\nthere" {
		t.Fatalf("sent %q", f.sent)
	}
	d.has("· queued")
	// The event of a state has no text and no time.
	m := chat.Message{ID: "m_1001", Contact: "c_1", State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}}
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &m}}})
	d.has("» stored 2/2")
	m.State = chat.Delivered
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &m}}})
	d.has("✓ delivered")
	if n := strings.Count(d.screen(), "see you"); n != 1 {
		t.Errorf("the message stands %d times", n)
	}
}

// TestStateBeforeAnswer lets the event of a state come before the answer to
// sending.
func TestStateBeforeAnswer(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_1001", Contact: "c_1", State: chat.Delivered}}}})
	d.typeText("quick")
	d.key("enter")
	if s := d.screen(); !strings.Contains(s, "quick") || strings.Contains(strings.Split(s, "quick")[1][:60], "queued") {
		t.Errorf("the older state stands on screen:\n%s", s)
	}
}

// TestNothingTypedIsLost keeps the text when chat refuses it.
func TestNothingTypedIsLost(t *testing.T) {
	f := newFake()
	f.sendErr = &chat.Error{Kind: chat.KindIO, Text: "the disk is full"}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("precious")
	d.key("enter")
	d.has("the disk is full")
	if d.a.composer.Value() != "precious" {
		t.Errorf("the composer holds %q", d.a.composer.Value())
	}
	d.key("ctrl+n")
	if d.a.composer.Value() != "" {
		t.Error("the draft followed to another contact")
	}
	d.key("ctrl+p")
	if d.a.composer.Value() != "precious" {
		t.Error("the draft is gone")
	}
}

func TestCommandsAreNeverSent(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/nonsense x")
	d.key("enter")
	d.has("no command /nonsense")
	d.key("ctrl+c")
	d.typeText("//path")
	d.key("enter")
	if len(f.sent) != 1 || f.sent[0] != "/path" {
		t.Errorf("sent %q", f.sent)
	}
	d.typeText("/accept HEARSAY:X dora")
	d.key("enter", "enter")
	if f.contacts[len(f.contacts)-1].Name != "dora" {
		t.Errorf("contacts %+v", f.contacts)
	}
	d.has("dora … invited")
}

func TestCoverIsChosenAndShown(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.has("cover off")
	d.typeText("/cover normal")
	d.key("enter")
	d.has("cover is normal from now on, about 111 MB a day")
	d.has("cover normal")
	d.typeText("/cover off")
	d.key("enter")
	d.has("cover off")
	d.typeText("/cover")
	d.key("enter")
	d.has("cover is off; in MB a day: off 32, saver 44, normal 111, fast 222")
	d.key("ctrl+c")
	f.covErr = errors.New("no disk")
	d.typeText("/cover fast")
	d.key("enter")
	d.has("cover off")
	d.key("ctrl+c")
	d.typeText("/cover loud")
	d.key("enter")
	d.has("no cover profile is called loud")
	if f.status.Cover != "off" || len(f.sent) > 0 {
		t.Errorf("cover %s, sent %q", f.status.Cover, f.sent)
	}
}

func TestConsentIsAskedForAndGiven(t *testing.T) {
	f := newFake()
	f.status.Outlook.NeedsConsent = true
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.has("/consent uses it all the same")
	d.typeText("/consent")
	d.key("enter")
	d.has("the old snapshot is used")
	d.typeText("/consent")
	d.key("enter")
	d.has("nothing waits for your consent")
	if f.consents != 1 || len(f.sent) > 0 {
		t.Errorf("%d consents, sent %q", f.consents, f.sent)
	}
}

func TestIncomingMessage(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	in := chat.Message{ID: "m_50", Contact: "c_2", Direction: chat.In, Text: "psst", Seq: 1, Time: testNow, State: chat.Received}
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &in}}})
	d.has("1 new")
	d.key("alt+a")
	d.has("psst")
	if strings.Contains(d.screen(), "1 new") {
		t.Error("still unread after it was shown")
	}
	// The same event again changes nothing.
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &in}}})
	if n := strings.Count(d.screen(), "psst"); n != 1 {
		t.Errorf("the message stands %d times", n)
	}
}

// TestPeerCannotForge puts terminal codes into everything that a peer can name.
// TestWhatBecameOfMessages: what was changed, deleted or said by the program is
// shown as that, and never as the contact's own words; events of what has no
// screen yet break nothing.
func TestWhatBecameOfMessages(t *testing.T) {
	f := newFake()
	a := New(t.Context(), Config{Home: &fakeHome{state: HomeState{Exists: true, HasNetwork: true}, chat: f}})
	a.update(tea.WindowSizeMsg{Width: 100, Height: 28})
	a.update(openedMsg{chat: f})
	a.update(contactsMsg{contacts: f.contacts})
	a.update(a.loadHistory("c_1")())
	msg := func(id string, seq uint64) *chat.Message {
		return &chat.Message{ID: id, Contact: "c_1", Direction: chat.In, Seq: seq, Time: testNow, State: chat.Received}
	}
	reply, mine, notice, goes := msg("m_90", 90), msg("m_91", 91), msg("m_92", 92), msg("m_93", 93)
	reply.Text, reply.Reply = "to that", "m_1"
	mine.Direction, mine.State, mine.Text = chat.Out, chat.Delivered, "in my name"
	notice.Kind, notice.Text = chat.KindMessageNotice, "marta has a new key"
	goes.Text = "gone soon"
	for _, m := range []*chat.Message{reply, mine, notice, goes} {
		a.update(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: m}}})
	}
	edited, asked, gone := *reply, *mine, *goes
	edited.Text, edited.Edited, edited.Reactions = "to this", true, []chat.Reaction{{From: "me", Emoji: "+1"}}
	asked.Text, asked.Deleted = "", chat.DeletedAsked
	gone.Text, gone.Deleted = "", chat.DeletedExpired
	a.update(eventsMsg{events: []chat.Event{
		{Type: chat.MessageChanged, Message: &edited},
		{Type: chat.MessageChanged, Message: &asked},
		{Type: chat.MessageChanged, Message: &gone},
		{Type: chat.GroupChanged, Group: &chat.Group{ID: "g_1"}},
		{Type: chat.MessageReceived, Message: &chat.Message{ID: "m_g", Contact: "g_1"}},
		{Type: chat.FileProgress, File: &chat.File{ID: "f_1"}},
		{Type: chat.RequestReceived},
		{Type: chat.ContactWords},
		{Type: chat.ConversationChanged},
		{Type: chat.ContactStateChanged},
		{Type: chat.ContactRemoved},
	}})
	screen := ansi.Strip(a.View().Content)
	for _, want := range []string{"(reply) to this (edited)", "you: +1", "(deleted here; the copy of marta was asked to delete it)", "note     marta has a new key"} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
	for _, not := range []string{"to that", "in my name", "gone soon", "marta    marta has a new key"} {
		if strings.Contains(screen, not) {
			t.Errorf("%q in\n%s", not, screen)
		}
	}
	for state, word := range map[chat.ContactState]string{chat.ContactChanged: "key changed", chat.ContactBlocked: "blocked"} {
		if got := contactWord(chat.Contact{State: state, Verified: true}); !strings.Contains(got, word) {
			t.Errorf("%s is shown as %q", state, got)
		}
	}
}

func TestPeerCannotForge(t *testing.T) {
	f := newFake()
	evil := "x\x1b]0;owned\x07\x1b[2J\rmarta: hi\u202e\u0085\u009b31m"
	f.contacts[0].Name = evil
	f.messages["c_1"][1].Text = evil
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	lines, _ := d.a.draw()
	for _, l := range lines {
		for _, r := range ansi.Strip(l) {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x202e {
				t.Fatalf("%q reached the screen", r)
			}
		}
		if strings.Contains(l, "\x1b]") || strings.Contains(l, "\x1b[2J") {
			t.Fatal("a control sequence of the peer reached the screen")
		}
	}
}

func TestScrollKeepsItsPlace(t *testing.T) {
	f := newFake()
	f.messages["c_1"] = nil
	for i := range 100 {
		f.messages["c_1"] = append(f.messages["c_1"], chat.Message{ID: fmt.Sprint("m_", i), Contact: "c_1", Direction: chat.In, Text: fmt.Sprint("line ", i), Seq: uint64(i + 1), Time: testNow, State: chat.Received})
	}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.has("line 99")
	d.key("pgup", "pgup")
	before := strings.Split(d.screen(), "\n")[3]
	in := chat.Message{ID: "m_new", Contact: "c_1", Direction: chat.In, Text: "newest", Seq: 500, Time: testNow, State: chat.Received}
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &in}}})
	if after := strings.Split(d.screen(), "\n")[3]; after != before {
		t.Errorf("the pane moved: %q became %q", before, after)
	}
	d.has("↓ 1 new")
	d.key("alt+home")
	d.has("line 0")
	d.key("alt+end")
	d.has("newest")
}

// TestEveryKeyOfTheHelpActs presses each key of the table: it must change the
// screen or the state.
func TestEveryKeyOfTheHelpActs(t *testing.T) {
	for _, g := range keyTable() {
		for _, b := range g.bindings {
			f := newFake()
			for i := range 60 {
				f.messages["c_1"] = append(f.messages["c_1"], chat.Message{ID: fmt.Sprint("x", i), Contact: "c_1", Direction: chat.In, Text: "t", Seq: uint64(100 + i), Time: testNow, State: chat.Received})
			}
			d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
			d.a.conversation("c_2").unread = 1
			d.typeText("text")
			switch b.keys {
			case "esc":
				d.key("f1")
			case "pgdown", "alt+end":
				d.key("pgup")
			case "alt+1":
				d.key("ctrl+n")
			case "ctrl+l":
				if _, cmd := d.a.Update(keyPress("ctrl+l")); cmd == nil {
					t.Error("ctrl+l does nothing")
				}
				continue
			}
			before := d.screen()
			d.key(b.keys)
			if d.screen() == before {
				t.Errorf("%s (%s) changes nothing", b.keys, b.does)
			}
		}
	}
}

func TestQuitNeedsTwo(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.typeText("half a line")
	if _, cmd := d.a.Update(keyPress("ctrl+c")); cmd != nil {
		t.Error("the first ctrl+c quits")
	}
	if d.a.composer.Value() != "" {
		t.Error("the first ctrl+c does not clear the input")
	}
	d.has("ctrl+c again quits")
	_, cmd := d.a.Update(keyPress("ctrl+c"))
	if cmd == nil {
		t.Fatal("the second ctrl+c does not quit")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("the second ctrl+c does not quit")
	}
}

func TestInviteQR(t *testing.T) {
	rows := qrRows("HEARSAY:" + strings.Repeat("A", 117))
	if len(rows) != 21 || ansi.StringWidth(rows[0]) != 41 {
		t.Errorf("%d rows of %d cells, want 21 of 41", len(rows), ansi.StringWidth(rows[0]))
	}
}

// FuzzScreen gives keys, pastes, sizes and texts of peers in any order: every
// line fits, and no control byte but styling reaches the screen.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("\x00hello\x01\x02\x03"), "text", uint8(80), uint8(24))
	f.Add([]byte{9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8}, "\x1b[31m\u202e家族👨‍👩‍👧", uint8(31), uint8(9))
	names := []string{"enter", "esc", "tab", "f1", "ctrl+n", "ctrl+p", "alt+n", "alt+a", "pgup", "pgdown", "alt+home", "alt+end", "ctrl+j", "ctrl+c", "up", "down"}
	f.Fuzz(func(t *testing.T, ops []byte, text string, w, h uint8) {
		fake := newFake()
		fake.contacts[1].Name = text
		fake.messages["c_1"][2].Text = text
		home := &fakeHome{state: readyHome, chat: fake}
		if len(ops) > 0 && ops[0]&1 == 1 {
			home.state = HomeState{}
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		a := New(ctx, Config{Home: home, Now: func() time.Time { return testNow }})
		a.Update(tea.WindowSizeMsg{Width: int(w), Height: int(h)})
		if home.state.Exists {
			a.opened(openedMsg{chat: fake})
			a.Update(contactsMsg{contacts: fake.contacts})
			a.Update(historyMsg{contact: "c_1", messages: fake.messages["c_1"]})
		}
		if len(ops) > 64 {
			ops = ops[:64]
		}
		for _, op := range ops {
			switch {
			case int(op) < len(names):
				a.Update(keyPress(names[op]))
			case op == 200:
				a.Update(tea.PasteMsg{Content: text})
			case op == 201:
				a.Update(tea.WindowSizeMsg{Width: int(h), Height: int(w)})
			case op == 202:
				m := chat.Message{ID: "z", Contact: "c_1", Direction: chat.In, Text: text, Seq: 99, Time: testNow}
				a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &m}, {Type: chat.ErrorEvent, Detail: text}}})
			default:
				a.Update(tea.KeyPressMsg{Code: rune(op), Text: string(rune(op))})
			}
			lines, _ := a.draw()
			for _, l := range lines {
				if n := ansi.StringWidth(l); n != a.width {
					t.Fatalf("a line of %d cells on a screen of %d: %q", n, a.width, l)
				}
				for _, r := range ansi.Strip(l) {
					if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
						t.Fatalf("%q reached the screen", r)
					}
				}
			}
		}
	})
}

func BenchmarkView200x60(b *testing.B) {
	fake := newFake()
	for i := range 2000 {
		fake.messages["c_1"] = append(fake.messages["c_1"], chat.Message{ID: fmt.Sprint("y", i), Contact: "c_1", Direction: chat.In, Text: strings.Repeat("word ", 30), Seq: uint64(100 + i), Time: testNow})
	}
	a := New(context.Background(), Config{Home: &fakeHome{state: readyHome, chat: fake}, Now: func() time.Time { return testNow }})
	a.Update(tea.WindowSizeMsg{Width: 200, Height: 60})
	a.opened(openedMsg{chat: fake})
	a.Update(contactsMsg{contacts: fake.contacts})
	a.Update(historyMsg{contact: "c_1", messages: fake.messages["c_1"]})
	b.ReportAllocs()
	for b.Loop() {
		a.View()
	}
}

// TestFailedInviteIsNamed shows a contact whose invite somebody else used.
func TestFailedInviteIsNamed(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("alt+3")
	d.has("You may write at once")
	f.contacts[2].Problem = "the invite was used by somebody else"
	d.msg(contactsMsg{contacts: f.contacts})
	d.has("the invite was used by somebody else.")
	d.has("bob ! invite failed")
	if strings.Contains(d.screen(), "You may write at once") {
		t.Error("it still says that messages will be sent")
	}
}
