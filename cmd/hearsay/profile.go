package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// profile is an open messenger that runs until it is stopped.
type profile struct {
	*chat.Messenger
	cancel context.CancelFunc
	done   chan error // Run's one result
	once   sync.Once
	err    error
}

// openProfile opens a home and starts it.
func openProfile(cfg chat.Config) (*profile, error) {
	m, err := chat.Open(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &profile{Messenger: m, cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- m.Run(ctx) }()
	return p, nil
}

// stop ends the messenger and closes its home; it says on stderr what exists
// only here. Idempotent.
func (p *profile) stop() error {
	p.once.Do(func() {
		p.cancel()
		p.err = <-p.done
		n, err := p.Close()
		if p.err == nil {
			p.err = err
		}
		if n > 0 {
			program.Warn(os.Stderr, name, "%s: sent when hearsay runs again", count(n, "message exists only on this disk", "messages exist only on this disk"))
		}
	})
	return p.err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// tuiHome lets the screens open a profile.
type tuiHome struct {
	noFirstRun
	dir, network, cover string
	passphrase          []byte // from --passphrase-file
	log                 *slog.Logger
	state               chat.HomeState
	mu                  sync.Mutex
	opened              *profile
}

// State tells what the person must still give.
func (h *tuiHome) State() tui.HomeState {
	return tui.HomeState{
		Exists:     h.state.Exists || h.passphrase != nil,
		Encrypted:  h.state.Encrypted && h.passphrase == nil,
		HasNetwork: h.state.HasNetwork || h.network != "",
	}
}

// Open opens the profile and starts it.
func (h *tuiHome) Open(_ context.Context, passphrase []byte, link string) (tui.Chat, error) {
	if h.passphrase != nil {
		passphrase = h.passphrase
	}
	if link == "" {
		link = h.network
	}
	p, err := openProfile(chat.Config{Home: h.dir, Network: link, Cover: h.cover, Passphrase: passphrase, Log: h.log})
	if err != nil {
		return nil, screenError(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened = p
	return p, nil
}

// screenError says what a person at the screen can do about an error of opening.
func screenError(err error) error {
	switch {
	case errors.Is(err, chat.ErrPassphrase):
		return &chat.Error{Kind: chat.KindRefused, Text: "the passphrase is wrong", Hint: "type it again; there is no recovery"}
	case errors.Is(err, chat.ErrHomeInUse):
		return &chat.Error{Kind: chat.KindRefused, Text: "another process has this home open", Hint: "stop it, then press enter"}
	}
	return err
}

// close stops what was opened.
func (h *tuiHome) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opened == nil {
		return nil
	}
	return h.opened.stop()
}
