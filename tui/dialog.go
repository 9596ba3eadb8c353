package tui

import (
	"context"
	"slices"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// dialog is one thing that lies over the conversation. Dialogs form a stack; the
// top one gets keys and pastes. Esc closes it, always, and is not passed on.
type dialog interface {
	// mode is the part of the key table that is in force.
	mode() mode
	// update takes a key press, a paste or a mouse message.
	update(a *App, msg tea.Msg) tea.Cmd
	// view draws a box of at most w by h cells, all lines of one width. The cursor
	// is relative to the screen (dialogCursor), nil for none.
	view(a *App, w, h int) ([]string, *tea.Cursor)
}

// eventTaker is a dialog that follows events, wherever it lies in the stack.
type eventTaker interface {
	event(a *App, ev chat.Event) tea.Cmd
}

// push opens a dialog above the others.
func (a *App) push(d dialog) { a.dialogs = append(a.dialogs, d) }

// top returns the dialog that has the keys, or nil.
func (a *App) top() dialog {
	if len(a.dialogs) == 0 {
		return nil
	}
	return a.dialogs[len(a.dialogs)-1]
}

// closer is a dialog that ends something when it is closed.
type closer interface{ closed() }

// drop closes a dialog and those above it.
func (a *App) drop(d dialog) {
	if i := slices.Index(a.dialogs, d); i >= 0 {
		a.dropFrom(i)
	}
}

// dropFrom closes all dialogs but the first n, and lets go of what they hold.
func (a *App) dropFrom(n int) {
	for _, d := range a.dialogs[n:] {
		if c, ok := d.(closer); ok {
			c.closed()
		}
	}
	clear(a.dialogs[n:])
	a.dialogs = a.dialogs[:n]
}

// isOpen tells whether a dialog is on the stack.
func (a *App) isOpen(d dialog) bool { return slices.Contains(a.dialogs, d) }

// resultMsg brings the result of a command back to Update.
type resultMsg struct {
	asked   dialog // nil: nobody in particular
	session int    // of unlocked screens
	then    func() tea.Cmd
	failed  error // of what the person began: said also when asked is closed
}

// ask runs work outside Update, with a context that ends with the program and
// after callTimeout, and passes what it returned to then inside Update. The result
// is dropped if d is closed by then (d may be nil) or the profile was locked in
// between. work must use nothing of a: it runs in a goroutine of its own.
func ask[T any](a *App, d dialog, work func(ctx context.Context) (T, error), then func(v T, err error) tea.Cmd) tea.Cmd {
	parent, session := a.ctx, a.session
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		v, err := work(ctx)
		return resultMsg{asked: d, session: session, then: func() tea.Cmd { return then(v, err) }}
	}
}

// act is ask for work that changes something: if it failed, that is said also when
// d was closed meanwhile.
func act[T any](a *App, d dialog, work func(ctx context.Context) (T, error), then func(v T, err error) tea.Cmd) tea.Cmd {
	var failed error
	cmd := ask(a, d, func(ctx context.Context) (v T, err error) {
		v, failed = work(ctx)
		return v, failed
	}, then)
	return func() tea.Msg {
		msg := cmd().(resultMsg)
		msg.failed = failed
		return msg
	}
}

// do is act for work that returns an error alone. A nil then shows the error as
// the notice.
func (a *App) do(d dialog, work func(ctx context.Context) error, then func(err error) tea.Cmd) tea.Cmd {
	return act(a, d, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) }, func(_ struct{}, err error) tea.Cmd {
		if then != nil {
			return then(err)
		}
		if err != nil {
			a.notice = errorText(err)
		}
		return nil
	})
}

func (a *App) applyResult(msg resultMsg) tea.Cmd {
	switch {
	case msg.session != a.session:
		return nil
	case msg.asked == nil || a.isOpen(msg.asked):
		return msg.then()
	case msg.failed != nil:
		a.notice = errorText(msg.failed)
	}
	return nil
}
