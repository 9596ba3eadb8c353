package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"charm.land/bubbles/v2/textarea"
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
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// dialog is the top thing on the screen.
type dialog interface {
	update(a *App, msg tea.Msg) tea.Cmd
	view(a *App, w, h int) ([]string, *tea.Cursor)
}

// App is the one model of the program. It is used by Bubble Tea's goroutine
// alone.
type App struct {
	ctx       context.Context
	home      Home
	homeState HomeState
	now       func() time.Time
	theme     theme

	width, height int

	chat   Chat // nil until the home is open
	events *chat.Subscription
	first  onboarding
	status chat.Status
	path   chat.Path
	served bool

	contacts      []chat.Contact
	current       int    // index into contacts, -1 none
	wanted        string // id or name of the contact to select when it appears
	conversations map[string]*conversation
	composer      textarea.Model
	dialog        dialog
	generation    int // of dialogs: late results of closed ones are dropped
	notice        string
	quitArmed     bool
	attached      bool
	gone          bool // the daemon ended
	locked        bool // nothing but the lock screen is shown
	looked        bool // the first status has come
}

// New returns an App for a home. ctx ends its commands.
func New(ctx context.Context, cfg Config) *App {
	a := &App{
		ctx: ctx, home: cfg.Home, homeState: cfg.Home.State(), now: cfg.Now, theme: newTheme(),
		current: -1, wanted: cfg.Contact, notice: cfg.Notice, conversations: map[string]*conversation{},
		composer: newComposer(), attached: cfg.Attached,
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.first = newOnboarding(a.homeState)
	return a
}

// Init starts the clock, and opens a home that needs nothing from the person.
func (a *App) Init() tea.Cmd {
	if a.first.step == stepStarting {
		return tea.Batch(tickClock(), a.open())
	}
	return tickClock()
}

// Update applies one message: size, then results and events, then the top
// dialog, then global keys, then the pane in focus.
func (a *App) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	return a, a.update(msg)
}

func (a *App) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		a.width, a.height = msg.Width, msg.Height
		return nil
	case openedMsg:
		return a.opened(msg)
	case eventsMsg:
		return a.applyEvents(msg)
	case lockMsg, unlockedMsg:
		return a.applyLock(msg)
	case statusMsg:
		if msg.status.Locked && !a.looked { // somebody locked it before we came
			a.hide()
		}
		a.looked = true
		a.tellWarnings(msg.status.Warnings)
		a.askConsent(msg.status.Outlook.NeedsConsent)
		a.status, a.path, a.served = msg.status, msg.path, msg.served
		return nil
	case consentMsg:
		return a.applyConsent(msg)
	case refreshMsg:
		return tea.Batch(a.loadStatus(), a.saveDrafts(), a.refresh())
	case clockMsg:
		return tickClock()
	case contactsMsg:
		if a.locked {
			return nil // asked for before
		}
		return a.applyContacts(msg)
	case historyMsg:
		if !a.locked {
			a.applyHistory(msg)
		}
		return nil
	case coverMsg:
		return a.applyCover(msg)
	case sentMsg:
		a.applySent(msg)
		return nil
	case inviteMsg, acceptedMsg:
		if a.dialog != nil {
			return a.dialog.update(a, msg)
		}
		return nil
	}
	if k, ok := msg.(tea.KeyPressMsg); ok {
		if cmd, done := a.globalKey(k); done {
			return cmd
		}
	}
	if a.first.step != stepNone {
		return a.updateFirst(msg)
	}
	if a.dialog != nil {
		return a.dialog.update(a, msg)
	}
	return a.updateChat(msg)
}

// globalKey handles the keys that work everywhere.
func (a *App) globalKey(k tea.KeyPressMsg) (tea.Cmd, bool) {
	key := k.String()
	if key != "ctrl+c" {
		a.quitArmed = false
	}
	switch key {
	case "ctrl+c":
		if a.quitArmed {
			return a.quit(), true
		}
		a.quitArmed = true
		a.notice = "ctrl+c again quits"
		if a.attached {
			a.notice = "ctrl+c again detaches; the daemon goes on"
		}
		a.composer.Reset()
		return nil, true
	case "ctrl+l":
		return tea.ClearScreen, true
	case "f9":
		return a.lock(), true
	case "f1":
		if _, open := a.dialog.(*helpDialog); open {
			a.dialog = nil
		} else if a.first.step == stepNone {
			a.dialog = &helpDialog{}
		}
		return nil, true
	case "esc":
		if a.first.step == stepNone && a.dialog != nil {
			a.dialog = nil
			return nil, true
		}
	}
	return nil, false
}

// quit leaves the screen; the program closes the profile then.
func (a *App) quit() tea.Cmd {
	if save := a.saveDrafts(); save != nil {
		return tea.Sequence(save, tea.Quit)
	}
	return tea.Quit
}

// updateChat handles keys and pastes on the conversation screen.
func (a *App) updateChat(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.PasteMsg:
		if isInvite(msg.Content) {
			return a.openAccept(msg.Content)
		}
		return a.typed(msg)
	case tea.KeyPressMsg:
		a.notice = ""
		return a.chatKey(msg)
	}
	return nil
}

func (a *App) chatKey(k tea.KeyPressMsg) tea.Cmd {
	switch key := k.String(); key {
	case "enter":
		return a.submit()
	case "ctrl+j", "alt+enter", "shift+enter":
		a.composer.InsertString("\n")
		return nil
	case "ctrl+n":
		return a.selectContact(a.current + 1)
	case "ctrl+p":
		return a.selectContact(a.current - 1)
	case "alt+a":
		for i := range a.contacts {
			at := (a.current + 1 + i) % len(a.contacts)
			if a.conversation(a.contacts[at].ID).unread > 0 {
				return a.selectContact(at)
			}
		}
		return nil
	case "alt+n":
		return a.openInvite("")
	case "pgup":
		a.scrollBy(a.paneHeight() - 1)
		return nil
	case "pgdown":
		a.scrollBy(1 - a.paneHeight())
		return nil
	case "alt+home":
		a.scrollBy(1 << 20)
		return nil
	case "alt+end":
		a.scrollBy(-1 << 30)
		return nil
	default:
		if n := len("alt+1"); len(key) == n && strings.HasPrefix(key, "alt+") && key[4] >= '1' && key[4] <= '9' {
			return a.selectContact(int(key[4] - '1'))
		}
	}
	return a.typed(k)
}

func (a *App) typed(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	a.composer, cmd = a.composer.Update(msg)
	return cmd
}

// scrollBy moves the pane by lines towards older messages.
func (a *App) scrollBy(n int) {
	c := a.shown()
	if c == nil {
		return
	}
	c.scroll = max(0, c.scroll+n)
	if c.scroll == 0 {
		c.below = 0
	}
}

// selected returns the contact on screen, or nil.
func (a *App) selected() *chat.Contact {
	if a.current < 0 || a.current >= len(a.contacts) {
		return nil
	}
	return &a.contacts[a.current]
}

// shown returns the conversation on screen, or nil.
func (a *App) shown() *conversation {
	if c := a.selected(); c != nil {
		return a.conversation(c.ID)
	}
	return nil
}

func (a *App) conversation(id string) *conversation {
	c := a.conversations[id]
	if c == nil {
		c = &conversation{}
		a.conversations[id] = c
	}
	return c
}

// selectContact shows a contact, keeping the draft of the one before.
func (a *App) selectContact(i int) tea.Cmd {
	if len(a.contacts) == 0 {
		return nil
	}
	if c := a.shown(); c != nil {
		c.draft = a.composer.Value()
	}
	a.current = (i + len(a.contacts)) % len(a.contacts)
	c := a.shown()
	c.unread = 0
	a.composer.SetValue(c.draft)
	a.served = false
	if c.loaded {
		return a.loadStatus()
	}
	return tea.Batch(a.loadHistory(a.selected().ID), a.loadStatus())
}

func (a *App) applyContacts(msg contactsMsg) tea.Cmd {
	if msg.err != nil {
		a.notice = errorText(msg.err)
		return nil
	}
	id := ""
	if c := a.selected(); c != nil {
		id = c.ID
	}
	a.contacts = msg.contacts
	a.takeDrafts()
	a.current = slices.IndexFunc(a.contacts, func(c chat.Contact) bool { return c.ID == id })
	if a.wanted != "" {
		if i := slices.IndexFunc(a.contacts, func(c chat.Contact) bool { return c.ID == a.wanted || c.Name == a.wanted }); i >= 0 {
			a.wanted = ""
			return a.selectContact(i)
		}
	}
	if a.current < 0 && len(a.contacts) > 0 {
		return a.selectContact(0)
	}
	return nil
}

func (a *App) applyHistory(msg historyMsg) {
	if msg.err != nil {
		a.notice = errorText(msg.err)
		return
	}
	a.conversation(msg.contact).merge(msg.messages)
}

func (a *App) applySent(msg sentMsg) {
	if msg.err != nil {
		// Nothing typed is lost: it comes back, unless something new stands there.
		a.notice = errorText(msg.err)
		if c := a.selected(); c != nil && c.ID == msg.contact && a.composer.Value() == "" {
			a.composer.SetValue(msg.text)
		}
		return
	}
	c := a.conversation(msg.contact)
	for _, m := range c.messages {
		if m.ID == msg.message.ID {
			return // its event was faster, and knows more
		}
	}
	c.add(msg.message)
	c.scroll, c.below = 0, 0
}

// applyEvents takes a batch and asks for the next one.
func (a *App) applyEvents(msg eventsMsg) tea.Cmd {
	if msg.err != nil {
		if a.attached && a.ctx.Err() == nil {
			a.gone = true
			return a.loadStatus()
		}
		return nil // the profile is closing
	}
	cmds := []tea.Cmd{a.nextEvents(), a.loadStatus()}
	reload := false
	for _, ev := range msg.events {
		switch ev.Type {
		case chat.ProfileLocked:
			a.hide()
			continue
		case chat.ProfileUnlocked:
			cmds = append(cmds, a.show())
			continue
		}
		if a.locked {
			continue
		}
		switch ev.Type {
		case chat.MessageReceived:
			if ev.Message != nil {
				a.applyMessage(*ev.Message)
			}
		case chat.MessageChanged:
			switch m := ev.Message; {
			case m == nil || !a.conversation(m.Contact).loaded:
			case m.Deleted == chat.DeletedExpired:
				a.conversation(m.Contact).remove(m.ID)
			default:
				a.conversation(m.Contact).replace(*m)
			}
		case chat.MessageStateChanged:
			if ev.Message != nil {
				a.conversation(ev.Message.Contact).setState(*ev.Message)
			}
		case chat.ContactAdded, chat.ContactStateChanged:
			reload = true
		case chat.ContactRemoved:
			reload = true
			if ev.Contact != nil {
				if c := a.selected(); c != nil && c.ID == ev.Contact.ID {
					a.composer.Reset() // it was for them
				}
				delete(a.conversations, ev.Contact.ID)
			}
		case chat.RequestReceived:
			a.notice = "a stranger asks to be your contact; `hearsay rpc` answers them: request.list"
		case chat.InviteUsed:
			reload = true
			if d, ok := a.dialog.(*inviteDialog); ok && d.invite.ID == ev.Invite {
				d.used = true
			}
		case chat.ErrorEvent:
			a.notice = sanitizeLine(ev.Detail)
			reload = true // a contact may have failed
		case chat.Resync:
			reload = true
			for id, c := range a.conversations {
				if c.loaded {
					cmds = append(cmds, a.loadHistory(id))
				}
			}
		}
	}
	if reload {
		cmds = append(cmds, a.loadContacts())
	}
	return tea.Batch(cmds...)
}

func (a *App) applyMessage(m chat.Message) {
	c := a.conversation(m.Contact)
	isNew := c.add(m)
	if !isNew || m.Direction != chat.In {
		return
	}
	if sel := a.selected(); sel == nil || sel.ID != m.Contact {
		c.unread++
		return
	}
	if c.scroll > 0 {
		c.below++
		c.scroll += a.heightOf(c, a.selected().Name, a.paneWidth())
	}
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

// isInvite recognises a pasted invite link.
func isInvite(s string) bool {
	s = strings.ToUpper(joinLink(s))
	return strings.HasPrefix(s, "HEARSAY:") && len(s) <= 200
}

// joinLink joins a link that was copied from several lines of a screen: links
// hold neither blanks nor the lines of a box.
func joinLink(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '│' {
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
