package tui

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// notifyPause is the least time between two notifications: what comes in it is
// told by one at its end.
const notifyPause = 5 * time.Second

// notifyLength bounds the text of a notification, cells.
const notifyLength = 120

// notifyID names our notifications to a terminal that knows OSC 99.
const notifyID = "hearsay"

// notifier tells the person of messages that come while they look elsewhere.
type notifier struct {
	kitty   bool // the terminal answered that it knows OSC 99
	rxvt    bool // its name says that it knows OSC 777
	pausing bool
	waiting string // to be told after the pause; empty: nothing
}

// notifyMsg wakes the notifier.
type notifyMsg struct{}

// message takes a message that has come.
func (n *notifier) message(a *App, m chat.Message) tea.Cmd {
	if a.focused || a.locked || a.prefs.Notify == "off" || !isUnread(&m) {
		return nil
	}
	text := "new message"
	e := a.find(m.Contact)
	switch {
	case e != nil && e.settings.Muted:
		return nil
	case e != nil && a.prefs.NotifyContent:
		what := m.Text
		if m.File != nil {
			what = "file " + fileName(m.File)
		}
		text = notifyText(e.name + ": " + what)
	}
	if n.pausing {
		if n.waiting != "" {
			text = "new messages"
		}
		n.waiting = text
		return nil
	}
	return n.tell(a, text)
}

// notifyText makes one short harmless line of what a peer wrote.
func notifyText(s string) string {
	return ansi.Truncate(strings.ReplaceAll(sanitizeLine(s), ";", ","), notifyLength, "...")
}

// tell notifies, and starts the pause.
func (n *notifier) tell(a *App, text string) tea.Cmd {
	n.pausing, n.waiting = true, ""
	return tea.Batch(
		tea.Raw(n.sequence(a.prefs.Notify, text)),
		a.after(notifyPause, notifyMsg{}),
	)
}

// sequence is what makes the terminal notify; the text is harmless.
func (n *notifier) sequence(way, text string) string {
	switch {
	case way == "bell", way == "auto" && !n.kitty && !n.rxvt:
		return "\a"
	case n.kitty:
		return fmt.Sprintf("\x1b]99;i=%s:d=1;hearsay: %s\x1b\\", notifyID, text)
	default:
		return fmt.Sprintf("\x1b]777;notify;hearsay;%s\x1b\\", text)
	}
}

// forget drops what the notifier knows of messages, at a lock.
func (n *notifier) forget() { n.waiting = "" }

// tick takes a notifyMsg.
func (n *notifier) tick(a *App) tea.Cmd {
	n.pausing = false
	text := n.waiting
	n.waiting = ""
	if text == "" || a.focused || a.locked {
		return nil
	}
	return n.tell(a, text)
}

// terminal takes what a terminal answers, such as whether it knows
// notifications; everything else that reaches it is ignored.
func (n *notifier) terminal(a *App, msg tea.Msg) tea.Cmd {
	if env, ok := msg.(tea.EnvMsg); ok {
		n.rxvt = knowsRxvt(env)
		if t := env.Getenv("TERM"); t == "" || t == "dumb" || t == "linux" {
			return nil // it would print the question
		}
		return tea.Raw("\x1b]99;i=" + notifyID + ":p=?;\x1b\\")
	}
	// The library passes on what it does not know as texts of its own types.
	if v := reflect.ValueOf(msg); v.IsValid() && v.Kind() == reflect.String && isKittyAnswer(v.String()) {
		n.kitty = true
	}
	return nil
}

// isKittyAnswer recognises the answer to our question for OSC 99.
func isKittyAnswer(s string) bool {
	rest, ok := strings.CutPrefix(s, "\x1b]99;")
	meta, _, _ := strings.Cut(rest, ";")
	keys := strings.Split(meta, ":")
	return ok && slices.Contains(keys, "i="+notifyID) && slices.Contains(keys, "p=?")
}

// knowsRxvt tells by the environment whether a terminal knows OSC 777, which none
// can be asked. Within tmux and screen the bell alone reaches the person.
func knowsRxvt(env tea.EnvMsg) bool {
	if env.Getenv("TMUX") != "" || env.Getenv("STY") != "" {
		return false
	}
	name := strings.ToLower(env.Getenv("TERM_PROGRAM") + " " + env.Getenv("TERM"))
	for _, known := range []string{"foot", "ghostty", "wezterm", "rxvt", "contour"} {
		if strings.Contains(name, known) {
			return true
		}
	}
	return false
}

// askTerminal asks the terminal for its background. What else it can do is asked
// once its name is known.
func (a *App) askTerminal() tea.Cmd { return tea.RequestBackgroundColor }

// title is the title of the terminal's window: how much is unread, but never a
// name.
func (a *App) title() string {
	n := 0
	if !a.locked && a.first.step == stepNone {
		for i := range a.entries {
			if !a.entries[i].settings.Muted {
				n += a.entries[i].unread
			}
		}
	}
	if n == 0 {
		return "hearsay"
	}
	return fmt.Sprintf("hearsay (%d)", n)
}
