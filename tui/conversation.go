package tui

import (
	"context"
	"slices"
	"sort"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// conversation is the window that the screen holds of one conversation: some
// hundred messages around what is looked at. The whole is in chat.
type conversation struct {
	id       string
	messages []chat.Message // rising by number, nothing missing between the first and the last
	loaded   bool
	stale    bool   // events were lost: read anew when it is shown next
	selected string // id of the selected message; empty: none is
	draft    string
	saved    string // of the draft, on the disk
	drafted  bool   // the draft was brought back from the disk, or there was none
	reply    string // id of the message that the draft answers; empty: none
	about    string // of that message, one line

	first, last bool   // the window reaches the beginning, the end of the history
	heard       uint64 // highest number of a message of the other side
	at          anchor
	placed      string          // the selected message that was brought in sight
	opened      map[string]bool // long messages that are shown whole
	unread      unreadLine
	displayed   uint64          // everything up to this number was shown, or needs no showing
	shown       map[uint64]bool // what was shown beyond that
	told        uint64          // what the profile knows of that
	telling     bool
	used        int // when it was opened, in counts of openings

	index map[string]int // of messages by id; nil: made when it is needed
	laid  map[string]laid
	side  map[string]string // quotes and reasons that were read; see settle
	asked map[string]bool

	reading    int // pages that are on their way
	generation int // of the window: pages for an earlier one are dropped
	above      bool
	below      bool    // a page above, below the window is on its way
	failed     bool    // reading failed: not again before the person moves
	meanwhile  []heard // what came while pages were read, which may be older

	// early holds states whose message is not here yet: the event may be faster
	// than the answer to sending. At most earlyStates, then all are dropped and
	// the next reading of the history brings them.
	early map[string]chat.Message
}

// heard is one thing that an event told of a message.
type heard struct {
	take func(c *conversation, m chat.Message)
	m    chat.Message
}

// unreadLine stands above the first message that was unread when the conversation
// was opened, or that came while nobody looked. It stays until one leaves.
type unreadLine struct {
	after uint64
	count int // 0: there is none
}

// mostUnread is how far the profile counts what is unread.
const mostUnread = 999

// Limits of a window.
const (
	earlyStates   = 1024
	pageSize      = 200
	keepMessages  = 3 * pageSize
	keepWindows   = 24 // conversations that keep theirs
	keepText      = 2 << 20
	nearEnd       = 80  // messages from the end of a window at which the next page is read
	maxMeanwhile  = 512 // more, and the history is read again
	keepLaid      = 4 * keepMessages
	keepAsides    = 2 * keepMessages
	asidesAtOnce  = 8
	keepShown     = 8192
	firstUnreadAt = 2 // row of the first unread message when its conversation is opened
)

func newConversation(id string) *conversation { return &conversation{id: id} }

// find returns the place of a message in the window.
func (c *conversation) find(id string) (int, bool) {
	if c.index == nil {
		c.index = make(map[string]int, len(c.messages))
		for i := range c.messages {
			c.index[c.messages[i].ID] = i
		}
	}
	i, ok := c.index[id]
	return i, ok
}

// after returns the place of the first message with a number above n.
func (c *conversation) after(n uint64) int {
	return sort.Search(len(c.messages), func(i int) bool { return c.messages[i].Seq > n })
}

// forgetMessage drops what was laid out of a message that changed.
func (c *conversation) forgetMessage(id string) {
	delete(c.laid, id)
	for _, name := range []string{id, causeOf(id)} {
		delete(c.side, name)
		delete(c.asked, name)
	}
}

// hear applies what an event says, and again to the pages that are being read:
// they may be older.
func (c *conversation) hear(m chat.Message, take func(c *conversation, m chat.Message)) {
	take(c, m)
	switch {
	case c.reading == 0:
	case len(c.meanwhile) < maxMeanwhile:
		c.meanwhile = append(c.meanwhile, heard{take, m})
	default:
		c.stale = true
	}
}

// add inserts or replaces a message by its id. It tells whether it was not here
// before, as far as that is known.
func (c *conversation) add(m chat.Message) (isNew bool) {
	_, have := c.find(m.ID)
	isNew = !have && (c.reaches(m.Seq) || m.Seq > c.heard)
	if m.Direction == chat.In {
		c.heard = max(c.heard, m.Seq)
	}
	c.hear(m, (*conversation).insert)
	return isNew
}

func (c *conversation) insert(m chat.Message) {
	if i, have := c.find(m.ID); have {
		if m.Direction == chat.In { // of our own ones the states come by themselves
			c.messages[i] = m
			c.forgetMessage(m.ID)
		}
		return
	}
	if !c.reaches(m.Seq) {
		return // its page brings it
	}
	if e, ok := c.early[m.ID]; ok {
		m.State, m.Copies, m.Delivered = e.State, e.Copies, e.Delivered
		delete(c.early, m.ID)
	}
	i := c.after(m.Seq)
	c.messages = slices.Insert(c.messages, i, m)
	if i == len(c.messages)-1 && c.index != nil {
		c.index[m.ID] = i
	} else {
		c.index = nil
	}
}

// reaches tells whether a message of that number would lie in the window.
func (c *conversation) reaches(number uint64) bool {
	n := len(c.messages)
	switch {
	case !c.loaded:
		return false
	case n == 0:
		return c.first && c.last
	}
	return (c.first || number > c.messages[0].Seq) && (c.last || number < c.messages[n-1].Seq)
}

// trim keeps the window from growing without end: what is far from what is looked
// at goes.
func (c *conversation) trim() {
	n := len(c.messages)
	if n <= 2*keepMessages {
		return
	}
	at := n - 1
	if c.at.held {
		at = c.anchored()
	}
	from, to := max(0, at-keepMessages/2), min(n, at+keepMessages/2)
	c.messages = slices.Clone(c.messages[from:to])
	c.first, c.last = c.first && from == 0, c.last && to == n
	c.anew()
}

// anew marks that the window is another one: pages that are on their way would
// leave a gap.
func (c *conversation) anew() {
	c.generation++
	c.above, c.below, c.index = false, false, nil
}

// sent takes a message of our own that is on the disk: what one wrote is looked
// at.
func (c *conversation) sent(a *App, m chat.Message) tea.Cmd {
	if _, have := c.find(m.ID); !have { // else its event was faster, and knows more
		c.add(m)
	}
	a.wrote(c.id, m.Time)
	if c.id != a.current {
		return nil
	}
	return c.goEnd(a)
}

// changed takes a message as it is now: edited, deleted, reacted to, gone.
func (c *conversation) changed(m chat.Message) { c.hear(m, (*conversation).replace) }

func (c *conversation) replace(m chat.Message) {
	c.forgetMessage(m.ID)
	i, have := c.find(m.ID)
	switch {
	case !have:
	case m.Deleted == chat.DeletedExpired:
		c.messages = slices.Delete(c.messages, i, i+1)
		c.index = nil
		if c.selected == m.ID {
			c.selected = ""
		}
	default:
		c.messages[i] = m
	}
}

// setState takes what an event says of a message: its state and copies.
func (c *conversation) setState(m chat.Message) { c.hear(m, (*conversation).step) }

func (c *conversation) step(m chat.Message) {
	if i, have := c.find(m.ID); have {
		have := &c.messages[i]
		have.State, have.Copies, have.Delivered = m.State, m.Copies, m.Delivered
		c.forgetMessage(m.ID)
		return
	}
	if c.early == nil || len(c.early) >= earlyStates {
		c.early = map[string]chat.Message{}
	}
	c.early[m.ID] = m
}

// received takes a message of the other side.
func (a *App) received(m chat.Message) tea.Cmd {
	c := a.conversation(m.Contact)
	if !c.add(m) || m.Direction != chat.In {
		return nil
	}
	e := a.find(m.Contact)
	if e == nil {
		return a.notices.message(a, m)
	}
	if m.Time.After(e.latest) {
		e.latest = m.Time
	}
	if m.Kind != chat.KindMessageNotice {
		watched := c.id == a.current && a.looking() && c.loaded && !c.at.held
		if c.id == a.current && !watched {
			if e.unread == 0 || c.unread.count == 0 {
				c.unread = unreadLine{after: m.Seq - 1}
			}
			c.unread.count++
		}
		if !watched {
			e.unread++
		}
	}
	if a.entries[0].id != m.Contact {
		sortEntries(a.entries)
	}
	return a.notices.message(a, m)
}

// looking tells whether somebody can see the conversation now.
func (a *App) looking() bool {
	return a.focused && !a.locked && a.first.step == stepNone && len(a.dialogs) == 0 &&
		a.width >= minWidth && a.height >= minHeight
}

// isUnread tells whether a message is one that people are told of.
func isUnread(m *chat.Message) bool {
	return m.Direction == chat.In && m.Kind != chat.KindMessageNotice
}

// seen tells the profile up to where messages were on the screen, if somebody
// looks. What was skipped stays unread: times of disappearing messages begin here.
func (a *App) seen() tea.Cmd {
	c, e := a.shown(), a.selected()
	if c == nil || e == nil || !a.looking() || !c.loaded || len(c.messages) == 0 {
		return nil
	}
	return c.markShown(a, e, a.place(c))
}

func (c *conversation) markShown(a *App, e *entry, v placed) tea.Cmd {
	c.displayed = max(c.displayed, e.settings.Displayed)
	if c.shown == nil || len(c.shown) > keepShown {
		c.shown = map[uint64]bool{}
	}
	for i := v.from; i <= v.to; i++ {
		if n := c.messages[i].Seq; n > c.displayed {
			c.shown[n] = true
		}
	}
	from := c.after(c.displayed)
	if from == 0 && !c.first {
		left := 0
		for i := range c.messages {
			if isUnread(&c.messages[i]) {
				left++
			}
		}
		if left < e.unread {
			return nil // there is something unread above the window
		}
	}
	upto, read := c.displayed, 0
	for i := from; i < len(c.messages); i++ {
		m := &c.messages[i]
		if isUnread(m) {
			if !c.shown[m.Seq] {
				break
			}
			read++
		}
		delete(c.shown, m.Seq)
		upto = m.Seq
	}
	e.unread = max(0, e.unread-read)
	if c.last && upto >= c.messages[len(c.messages)-1].Seq {
		e.unread = 0
	}
	c.displayed, e.settings.Displayed = upto, upto
	return c.tellShown(a)
}

// tellShown writes down what was shown, one call at a time.
func (c *conversation) tellShown(a *App) tea.Cmd {
	if c.telling || c.displayed <= c.told {
		return nil
	}
	c.telling = true
	backend, id, upto := a.chat, c.id, c.displayed
	return a.do(nil, func(ctx context.Context) error { return backend.MarkDisplayed(ctx, id, upto) }, func(err error) tea.Cmd {
		c.telling, c.told = false, upto
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		return c.tellShown(a)
	})
}
