package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hearsay/chat"
)

// PlainConfig configures RunPlain.
type PlainConfig struct {
	Config
	// In is read line by line; a terminal's own line editing stays in force. Out
	// gets whole lines alone, in UTF-8, without any control character but newline.
	In  io.Reader
	Out io.Writer
	// Terminal says that a person sits at In: what was pasted is asked about, and
	// the end of the input ends the program at once. Else the end waits until what
	// was sent is delivered.
	Terminal bool
	// Secret reads a passphrase without showing it; nil: none can be asked for.
	Secret func(prompt string) ([]byte, error)
	// Typing tells whether a line is begun and not ended; nil: it is not known.
	Typing func() bool
	// Width is how many cells the terminal's lines have, 0 unknown; nil: unknown.
	// Texts are broken there, so that none of their lines begins at the margin.
	Width func() int
	// Quotes writes out each text that is sent, and names it with its states, for a
	// transcript in which the input is not seen. Times then have seconds.
	Quotes bool
	// Answered makes the end of the input wait for an answer to each text too.
	Answered bool
	// FinishTime is how long the end of the input waits; 0: 60 s.
	FinishTime time.Duration
}

// ErrUndelivered is returned by RunPlain if not all was delivered in time after the
// end of the input.
var ErrUndelivered = errors.New("tui: not all was delivered")

// Implementation constants of the plain mode.
const (
	plainFinish  = 60 * time.Second
	plainLineMax = 64 << 10              // bytes of a line: what a message holds
	plainPaste   = 50 * time.Millisecond // lines that follow each other so fast were pasted
	plainStarted = time.Second           // between two looks at the status until all stands
	plainLooks   = 15 * time.Second      // and afterwards
	plainAsleep  = time.Minute           // a look that comes so late: the computer slept
	plainRecent  = 512                   // texts that replies are explained with
)

// RunPlain is the program without screens: it reads lines, each a text for the
// conversation that /to selected or a slash command, and writes lines, which it
// never takes back. It returns nil when the person quits or ctx ends.
func RunPlain(ctx context.Context, cfg PlainConfig) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newPlain(ctx, cfg)
	defer p.closed()
	go p.read()
	err := p.start()
	if err == nil {
		err = p.run()
	}
	if errors.Is(err, errPlainQuit) || ctx.Err() != nil && p.broken == nil {
		return nil
	}
	if p.broken != nil {
		return p.broken
	}
	return err
}

// errPlainQuit ends the program without an error; errPlainEnd says that there is no
// more input.
var (
	errPlainQuit = errors.New("tui: quit")
	errPlainEnd  = errors.New("tui: the input ended")
)

// plain is the plain mode. All of it belongs to the goroutine of RunPlain, but for
// lines and events, which two others fill.
type plain struct {
	ctx   context.Context
	cfg   PlainConfig
	now   func() time.Time
	prefs Preferences

	wanted  chan struct{}     // asks for a line; room for the one that is asked for
	asked   bool              // a line is asked for, and has not come
	lines   chan plainLine    // closed at the end of the input
	ended   bool              // the input is at its end
	changes <-chan chat.Event // nil before the profile is open
	look    *time.Ticker
	looked  time.Time // wall clock of the last look
	used    time.Time // wall clock of the last line

	chat    Chat // nil until the home is open
	sub     *chat.Subscription
	status  chat.Status
	said    map[string]bool // steps and warnings that were told
	entries []entry
	current string // id of the conversation that texts go to; empty: none
	locked  bool

	sending  bool                  // a text is being written down: its states wait in early
	early    []chat.Event          //
	waiting  map[string]*plainSent // by id: what was sent here and is not delivered
	told     map[string]string     // by id: the last state that was told
	last     map[string]string     // by conversation: id of the last text that was sent
	answers  int                   // texts without an answer
	failed   int                   // texts and commands that failed
	recent   map[string]string     // texts by id, for replies
	recentID []string              // in the order of coming
	day      string                // of the last line
	folded   *chat.Message         // the last message that was not written in whole
	listed   []chat.Request        // as /requests numbered them
	shown    []chat.File           // as /files numbered them
	links    []plainLink           // as /invites numbered them
	broken   error                 // of writing
}

// plainSent is a text that was sent here.
type plainSent struct {
	conversation, text string
}

func newPlain(ctx context.Context, cfg PlainConfig) *plain {
	p := &plain{
		ctx: ctx, cfg: cfg, now: cfg.Now, prefs: DefaultPreferences(), wanted: make(chan struct{}, 1), lines: make(chan plainLine),
		said: map[string]bool{}, waiting: map[string]*plainSent{}, told: map[string]string{}, last: map[string]string{}, recent: map[string]string{},
	}
	if cfg.Preferences != nil {
		p.prefs = *cfg.Preferences
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.cfg.FinishTime <= 0 {
		p.cfg.FinishTime = plainFinish
	}
	p.day = p.dayOf(p.now())
	p.used = p.now().Round(0)
	p.looked = p.used
	return p
}

func (p *plain) closed() {
	if p.sub != nil {
		p.sub.Close()
	}
	if p.look != nil {
		p.look.Stop()
	}
}

// run takes lines and events until the end.
func (p *plain) run() error {
	for {
		line, err := p.next(nil)
		if errors.Is(err, errPlainEnd) {
			return p.finish()
		}
		if err != nil {
			return err
		}
		if err := p.line(line); err != nil {
			return err
		}
	}
}

// awaited runs a call into the profile and tells of events meanwhile. The call is
// waited for also when the program ends: it has the program's context.
func awaited[T any](p *plain, limit time.Duration, call func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := p.ctx, context.CancelFunc(func() {})
	if limit > 0 {
		ctx, cancel = context.WithTimeout(p.ctx, limit)
	}
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := call(ctx)
		done <- result{v, err}
	}()
	var ended error
	for {
		select {
		case r := <-done:
			if r.err == nil {
				r.err = ended
			}
			return r.value, r.err
		case ev, ok := <-p.changes:
			if err := p.took(ev, ok); err != nil && ended == nil {
				ended = err
			}
		case <-p.looks():
			p.tick()
		}
	}
}

// do is awaited for calls without a result.
func (p *plain) do(call func(ctx context.Context) error) error {
	_, err := awaited(p, callTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// follow hands the events of the profile to run.
func (p *plain) follow() {
	p.sub = p.chat.Subscribe()
	sub, ctx, changes := p.sub, p.ctx, make(chan chat.Event, batchEvents) // full: the subscription keeps the rest
	p.changes = changes
	go func() {
		defer close(changes)
		for {
			ev, err := sub.Next(ctx)
			if err != nil {
				return
			}
			select {
			case changes <- ev:
			case <-ctx.Done():
				return
			}
		}
	}()
	p.look = time.NewTicker(plainStarted)
}

// took takes what came from the profile; ok is false when it has ended.
func (p *plain) took(ev chat.Event, ok bool) error {
	if ok {
		return p.event(ev)
	}
	p.changes = nil
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	if p.cfg.Attached {
		p.say("The daemon has ended: nothing is sent.")
	}
	return errPlainQuit
}

// looks is when to look at the status; nil before the profile is open.
func (p *plain) looks() <-chan time.Time {
	if p.look == nil {
		return nil
	}
	return p.look.C
}

// send writes a text down for the conversation that is selected.
func (p *plain) send(text, reply string) error {
	e := p.selected()
	if e == nil {
		p.fail("Nothing was sent: nobody is selected. /to NAME selects somebody, /contacts lists them.")
		return nil
	}
	if p.cfg.Quotes {
		p.at(p.now(), "you to "+e.called(), "", text)
	}
	c, id := p.chat, e.id
	p.sending = true
	m, err := awaited(p, callTimeout, func(ctx context.Context) (chat.Message, error) {
		return c.StartSend(ctx, id, text, chat.SendOptions{Reply: reply})()
	})
	p.sending = false
	if err == nil {
		p.remember(m)
		p.last[id] = m.ID
		p.state(m)
		if m.State != chat.Delivered && m.State != chat.Failed {
			p.waiting[m.ID] = &plainSent{id, text}
		}
		if e.contact != nil && !e.isNotes() {
			p.answers++
		}
	} else if !errors.Is(err, errPlainQuit) {
		p.fail("Not sent: " + errorText(err) + ".")
		err = nil
	}
	early := p.early
	p.early = nil
	for _, ev := range early {
		if e := p.event(ev); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// finish waits after the end of the input until all that was sent is delivered. A
// person at a terminal does not wait: what is queued stays on the disk.
func (p *plain) finish() error {
	if p.cfg.Terminal {
		return nil
	}
	late := time.NewTimer(p.cfg.FinishTime)
	defer late.Stop()
	for len(p.waiting) > 0 || p.cfg.Answered && p.answers > 0 {
		select {
		case ev, ok := <-p.changes:
			if err := p.took(ev, ok); err != nil {
				return err
			}
		case <-p.looks():
			p.tick()
		case <-late.C:
			return fmt.Errorf("%w within %s", ErrUndelivered, p.cfg.FinishTime)
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
		if p.broken != nil {
			return p.broken
		}
	}
	switch p.failed {
	case 0:
		return nil
	case 1:
		return errors.New("1 line or message failed")
	}
	return fmt.Errorf("%d lines or messages failed", p.failed)
}
