package tui

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// Config configures an App. The zero value of an optional field means what its
// comment says.
type Config struct {
	Home Home
	// Notice is shown once on the first screen, such as how to join a demo.
	Notice string
	// Contact is the name of the contact to open first; empty: the first one.
	Contact string
	// Attached says that the profile runs in a daemon, which goes on after the
	// screens close.
	Attached bool
	// Preferences are the person's choices; nil: DefaultPreferences.
	Preferences *Preferences
	// SavePreferences keeps them; file names where, for people. nil: they last as
	// long as the program.
	SavePreferences func(Preferences) (file string, err error)
	// Doctor runs the checks; nil: there is no /doctor.
	Doctor func(ctx context.Context) ([]Check, error)
	// Complete lists the files whose names begin with what was typed, directories
	// with a slash at the end; nil: file names are not completed.
	Complete func(prefix string) []string
	// LocalFile looks at a file that the person named, and finds its absolute path;
	// nil: files can be saved, but not offered.
	LocalFile func(path string) (LocalFile, error)
	// SaveDir is the directory that is proposed for saving files; empty: the
	// working directory.
	SaveDir string
	// WriteFile writes a new file that nobody else may read, and fails if there is
	// one of that name; nil: links cannot be written to files.
	WriteFile func(path string, data []byte) error
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// App is the one model of the program. It is used by Bubble Tea's goroutine
// alone.
type App struct {
	ctx       context.Context
	cfg       Config
	home      Home
	homeState HomeState
	now       func() time.Time
	prefs     Preferences
	keys      *keys
	theme     theme
	dark      bool // what is known of the terminal's background

	width, height int
	focused       bool // the terminal has the focus, as far as it tells

	chat   Chat // nil until the home is open
	events *chat.Subscription
	first  onboarding
	status chat.Status
	path   chat.Path
	served bool
	looked bool // the first status has come
	stood  bool // everything stood once, so that building is reconnecting

	statusAsked, statusTaken int // numbers of the last asking, and of the last answer that was taken

	entries       []entry
	reading       peopleReading
	requests      int    // of strangers that wait
	current       string // id of the conversation on screen; empty: none
	previous      string // the one before it
	wanted        string // id or name of the entry to select when it appears
	conversations map[string]*conversation
	composer      composer
	contacts      contactColumn
	info          bool // the information column is wanted
	bare          bool // no borders
	dialogs       []dialog
	notices       notifier
	idle          idleLock
	answer        tornAnswer
	rates         fileRates

	notice    string
	quitArmed bool
	armedAt   time.Time
	attached  bool
	gone      bool // the daemon ended
	locked    bool // nothing but the lock screen is shown
	session   int  // counts lockings: results of before are dropped
	noWaiting bool // in tests: see waits
}

// New returns an App for a home. ctx ends its commands. It fails if the bindings
// of the preferences cannot be used.
func New(ctx context.Context, cfg Config) (*App, error) {
	prefs := DefaultPreferences()
	if cfg.Preferences != nil {
		prefs = *cfg.Preferences
	}
	keys, err := newKeys(prefs.Keys)
	if err != nil {
		return nil, err
	}
	a := &App{
		ctx: ctx, cfg: cfg, home: cfg.Home, homeState: cfg.Home.State(), now: cfg.Now, prefs: prefs, keys: keys,
		theme: newTheme(prefs, true), dark: true, focused: true,
		wanted: cfg.Contact, notice: cfg.Notice, conversations: map[string]*conversation{}, rates: fileRates{},
		composer: newComposer(), attached: cfg.Attached,
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.first = newOnboarding(a, a.homeState)
	return a, nil
}

// Init starts the clock, and opens a home that needs nothing from the person.
func (a *App) Init() tea.Cmd {
	cmds := []tea.Cmd{a.tickClock(), a.askTerminal()}
	if a.first.step == stepStarting {
		cmds = append(cmds, a.open())
	}
	return tea.Batch(cmds...)
}

// Update applies one message: size and focus, then results and events, then the
// lock, then keys (everywhere, top dialog, conversation).
func (a *App) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	return a, tea.Batch(a.update(msg), a.settle())
}

func (a *App) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		a.width, a.height = msg.Width, msg.Height
		return nil
	case tea.FocusMsg:
		a.focused = true
		return a.seen()
	case tea.BlurMsg:
		a.focused = false
		return nil
	case tea.BackgroundColorMsg:
		a.dark = msg.IsDark()
		a.theme = newTheme(a.prefs, a.dark)
		a.forgetLayout()
		return nil
	case openedMsg:
		return a.opened(msg)
	case eventsMsg:
		return a.applyEvents(msg)
	case lockMsg, unlockedMsg:
		return a.applyLock(msg)
	case resultMsg:
		return a.applyResult(msg)
	case wipedMsg:
		return a.wiped(msg)
	case statusMsg:
		return a.applyStatus(msg)
	case refreshMsg:
		a.ageRates()
		return tea.Batch(a.loadStatus(), a.saveDrafts(), a.refresh(), a.checkIdle())
	case clockMsg:
		return tea.Batch(a.tickClock(), a.checkIdle())
	case notifyMsg:
		return a.notices.tick(a)
	case Terminate:
		return a.quit()
	}
	if k, ok := msg.(tea.KeyPressMsg); ok && a.answer.takes(k, a.now()) {
		return nil
	}
	switch msg.(type) {
	case tea.KeyPressMsg, tea.PasteMsg, tea.MouseMsg:
		if locks := a.checkIdle(); locks != nil {
			return locks // who comes back is asked for the passphrase first
		}
		a.idle.touch(a.now())
	default:
		a.answer.begun(msg, a.now())
		return a.notices.terminal(a, msg)
	}
	if k, ok := msg.(tea.KeyPressMsg); ok {
		k = byLayout(k)
		msg = k
		if cmd, done := a.globalKey(k); done {
			return cmd
		}
	}
	if cmd, done := a.pasteInvite(msg); done {
		return cmd
	}
	if d := a.top(); d != nil {
		return d.update(a, msg)
	}
	if a.first.step != stepNone {
		return a.updateFirst(msg)
	}
	return a.updateChat(msg)
}

// quitWithin is how long a press that clears waits for the one that quits: later it
// clears again.
const quitWithin = 10 * time.Second

// globalKey handles the keys that work everywhere.
func (a *App) globalKey(k tea.KeyPressMsg) (tea.Cmd, bool) {
	act := a.keys.find(modeEverywhere, k.String())
	if act != "clear" {
		a.quitArmed = false
	}
	ready := a.first.step == stepNone
	switch act {
	case "clear":
		if a.quitArmed && a.now().Sub(a.armedAt) < quitWithin {
			return a.quit(), true
		}
		a.quitArmed, a.armedAt = true, a.now()
		a.notice = a.keys.of("clear") + " again quits"
		if a.attached {
			a.notice = a.keys.of("clear") + " again detaches; the daemon goes on"
		}
		switch {
		case a.top() != nil || !ready:
		case a.filters():
			a.contacts.filter, a.contacts.mark = "", listMark{}
			return nil, true
		default:
			a.composer.cancel()
			return nil, true
		}
		return a.clearInput(), true
	case "redraw":
		return tea.ClearScreen, true
	case "lock":
		return a.lock(), true
	case "help":
		if _, open := a.top().(*helpDialog); open {
			a.drop(a.top())
		} else if ready || a.stepMode() != "" {
			a.openHelp("")
		}
		return nil, true
	case "network":
		if _, open := a.top().(*networkDialog); open {
			a.drop(a.top())
		} else if ready {
			return a.openNetwork(), true
		}
		return nil, true
	case "switch":
		if ready {
			return a.openSwitcher(), true
		}
		return nil, true
	case "close":
		if !ready && a.top() == nil {
			return nil, false // a step of the first run goes back
		}
		if d := a.top(); d != nil {
			a.drop(d)
		} else if a.contacts.filtering {
			a.contacts.stop()
		} else if c := a.shown(); c != nil && c.selected != "" {
			c.selected = ""
		} else {
			a.notice = ""
			a.composer.close()
		}
		return nil, true
	}
	return nil, false
}

// clearInput empties the input of the top dialog, or of the step of the first run,
// by the keys that do so in every input.
func (a *App) clearInput() tea.Cmd {
	var cmds []tea.Cmd
	for _, code := range "uk" {
		k := tea.KeyPressMsg{Code: code, Mod: tea.ModCtrl}
		switch d := a.top(); {
		case d == nil:
			if m := a.stepMode(); m == "" || a.keys.find(m, k.String()) == "" {
				cmds = append(cmds, a.updateFirst(k))
			}
		case a.keys.find(d.mode(), k.String()) == "":
			cmds = append(cmds, d.update(a, k))
		}
	}
	return tea.Batch(cmds...)
}

// quit leaves the screen; the program closes the profile then.
func (a *App) quit() tea.Cmd {
	if save := a.saveDrafts(); save != nil {
		return tea.Sequence(save, tea.Quit)
	}
	return tea.Quit
}

// updateChat handles keys, pastes and the mouse on the conversation screen.
func (a *App) updateChat(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.PasteMsg:
		if a.filters() && findInvite(msg.Content) == "" {
			a.contacts.write(msg.Content)
			return nil
		}
		return a.composer.paste(a, msg)
	case tea.MouseMsg:
		return a.mouse(msg)
	case tea.KeyPressMsg:
		a.notice = ""
		return a.chatKey(msg)
	}
	return nil
}

func (a *App) chatKey(k tea.KeyPressMsg) tea.Cmd {
	key := k.String()
	if a.filters() {
		return a.contacts.key(a, k)
	}
	if cmd, done := a.paletteKey(k); done {
		return cmd
	}
	if c := a.shown(); c != nil && c.selected != "" {
		if act := a.keys.find(modeMessage, key); act != "" {
			return a.messageKey(act)
		}
	}
	if act := a.keys.find(modeMoving, key); act != "" {
		return a.moveKey(act, key)
	}
	switch a.keys.find(modePanels, key) {
	case "info":
		return a.toggleInfo()
	case "invite":
		return a.openInvite("")
	case "search":
		return a.openSearch("")
	case "bare":
		a.bare = !a.bare
		a.forgetLayout()
		return nil
	case "requests":
		return a.openRequests()
	}
	return a.composer.key(a, k)
}

// moveKey runs an action of moving between conversations and messages.
func (a *App) moveKey(act action, key string) tea.Cmd {
	switch act {
	case "contact.next":
		return a.selectNext(1)
	case "contact.previous":
		return a.selectNext(-1)
	case "contact.number":
		return a.selectNumber(a.keys.index(act, key))
	case "contact.unread":
		return a.selectUnread()
	case "contact.last":
		if a.find(a.previous) != nil {
			return a.selectEntry(a.previous)
		}
		return nil
	case "contacts.hide":
		a.contacts.hidden = !a.contacts.hidden
		a.forgetLayout()
		return nil
	case "contacts.filter":
		return a.openFilter()
	}
	return a.scrollKey(act)
}

// shown returns the conversation on screen, or nil.
func (a *App) shown() *conversation {
	if a.current == "" {
		return nil
	}
	return a.conversation(a.current)
}

func (a *App) conversation(id string) *conversation {
	c := a.conversations[id]
	if c == nil {
		c = newConversation(id)
		a.conversations[id] = c
	}
	return c
}

// selectEntry shows a conversation, keeping the draft of the one before.
func (a *App) selectEntry(id string) tea.Cmd {
	e := a.find(id)
	if e == nil {
		return nil
	}
	if c := a.shown(); c != nil && a.current != id {
		c.draft, c.reply, c.about = a.composer.draft(), a.composer.reply, a.composer.about
		c.selected = ""
		a.previous = a.current
	}
	changed := a.current != id
	a.current = id
	c := a.shown()
	if changed {
		a.composer.load(c.draft)
		a.composer.reply, a.composer.about = c.reply, c.about
		a.served = false
	}
	return tea.Batch(c.open(a, e), a.loadStatus())
}

// applyEvents takes a batch and asks for the next one.
func (a *App) applyEvents(msg eventsMsg) tea.Cmd {
	if msg.err != nil {
		if a.attached && a.ctx.Err() == nil {
			a.gone = true
			a.freezeNetwork()
			return a.loadStatus()
		}
		return nil // the profile is closing
	}
	if a.chat == nil {
		return nil
	}
	cmds := []tea.Cmd{a.nextEvents(), a.loadStatus()}
	reload := false
	for _, ev := range msg.events {
		switch ev.Type {
		case chat.ProfileLocked:
			a.hide()
			continue
		case chat.ProfileUnlocked:
			a.unlockedElsewhere()
			continue
		}
		if a.locked {
			continue
		}
		if a.applyEvent(ev, &cmds) {
			reload = true
		}
		for _, d := range a.dialogs {
			if t, ok := d.(eventTaker); ok {
				cmds = append(cmds, t.event(a, ev))
			}
		}
	}
	if reload {
		cmds = append(cmds, a.loadPeople())
	}
	return tea.Batch(cmds...)
}

// applyEvent applies one event and tells whether the lists must be read anew.
func (a *App) applyEvent(ev chat.Event, cmds *[]tea.Cmd) (reload bool) {
	switch ev.Type {
	case chat.MessageReceived:
		if ev.Message != nil {
			*cmds = append(*cmds, a.received(*ev.Message))
			reload = a.find(ev.Message.Contact) == nil || a.reading.underWay // which may not count it
		}
	case chat.MessageChanged:
		if ev.Message != nil {
			a.conversation(ev.Message.Contact).changed(*ev.Message)
		}
	case chat.MessageStateChanged:
		if ev.Message != nil {
			c := a.conversation(ev.Message.Contact)
			c.setState(*ev.Message)
			*cmds = append(*cmds, c.readNew(a, ev.Message.ID, ev.Message.Seq))
		}
	case chat.ContactAdded, chat.ContactStateChanged, chat.ConversationChanged:
		reload = true
	case chat.ContactRemoved:
		reload = true
		if ev.Contact != nil {
			a.removed(ev.Contact.ID, a.nameOf(ev.Contact.ID))
		}
	case chat.GroupChanged:
		reload = true
	case chat.RequestReceived:
		a.notice = "a stranger asks to be your contact: " + a.keys.of("requests") + " shows who"
		reload = true
	case chat.InviteUsed:
		reload = true
	case chat.FileProgress:
		if ev.File != nil {
			*cmds = append(*cmds, a.fileChanged(*ev.File))
		}
	case chat.ContactWords:
		if ev.Contact != nil {
			*cmds = append(*cmds, a.wordsKnown(ev.Contact.ID, ev.Words))
		}
	case chat.GuardChanged:
		a.tellGuard(ev.Detail)
	case chat.ErrorEvent:
		a.notice = sanitizeLine(ev.Detail)
		reload = true // a contact may have failed
	case chat.Resync:
		reload = true
		for id, c := range a.conversations {
			c.stale = true
			if id == a.current {
				*cmds = append(*cmds, c.reload(a))
			}
		}
	}
	return reload
}

// removed leaves a conversation that is there no more, as the lists or an event tell,
// whichever is faster.
func (a *App) removed(id, name string) {
	if id == a.current && !a.composer.text.empty() {
		a.wanted = chat.NotesID // what is being typed goes to nobody else
		a.notice = name + " was removed"
	}
	a.forget(id)
}

// forget drops what the screens hold of a conversation that is gone.
func (a *App) forget(id string) {
	if a.current == id {
		a.composer.clear() // it was for them
		a.current = ""
	}
	delete(a.conversations, id)
}

// errorText is what a person reads about an error: the text and the hint.
func errorText(err error) string {
	s := chat.PlainError(err)
	var e *chat.Error
	if errors.As(err, &e) && e.Hint != "" {
		s += " (" + sanitizeLine(e.Hint) + ")"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s = "no answer in time; try again"
	}
	return s
}

// sanitizeLine makes one harmless line of a text that may hold anything.
func sanitizeLine(s string) string {
	return strings.ReplaceAll(chat.Sanitize(s), "\n", " ")
}

// joinLink joins a link that was copied from several lines of a screen: links
// hold neither blanks nor the lines of a box.
func joinLink(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '│' || r == '|' {
			return -1
		}
		return r
	}, s)
}

// dialogCursor moves the cursor of an input into the box that holds it, which
// lies in the middle of the screen; row is the input's line in the box.
func dialogCursor(c *tea.Cursor, box []string, w, h, row int) *tea.Cursor {
	if c == nil || len(box) == 0 {
		return nil
	}
	c.X += max(0, (w-ansi.StringWidth(box[0]))/2) + 2
	c.Y = max(0, (h-len(box))/2) + row
	return c
}
