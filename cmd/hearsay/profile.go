package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// profile is an open messenger that runs until it is stopped.
type profile struct {
	*chat.Messenger
	home    string
	ctx     context.Context // ends with the messenger
	cancel  context.CancelFunc
	done    chan error // Run's one result
	workers sync.WaitGroup
	lent    *lent // the relay beside it; nil: none
	once    sync.Once
	err     error
}

// openProfile opens a home and starts it.
func openProfile(cfg chat.Config) (*profile, error) { return openLending(cfg, nil) }

// openLending opens a home and starts it, with a relay beside it if l is not nil.
func openLending(cfg chat.Config, l *lending) (*profile, error) {
	m, err := chat.Open(cfg)
	if err != nil {
		return nil, nameHolder(cfg.Home, err)
	}
	lent, err := lend(m, cfg.Home, l, cfg.Log)
	if err != nil {
		_, failed := m.Close()
		return nil, errors.Join(err, failed)
	}
	holdHome(cfg.Home)
	ctx, cancel := context.WithCancel(context.Background())
	p := &profile{Messenger: m, home: cfg.Home, ctx: ctx, cancel: cancel, done: make(chan error, 1), lent: lent}
	go func() {
		err := m.Run(ctx)
		if errors.Is(err, chat.ErrWiped) {
			lent.kill() // and drain nothing
		}
		p.done <- err
	}()
	return p, nil
}

// stop ends the messenger and closes its home; it says on stderr what exists
// only here. Idempotent.
func (p *profile) stop() error {
	p.once.Do(func() {
		p.cancel()
		if p.lent != nil {
			p.lent.cancel() // it takes longer: others are on it
		}
		p.workers.Wait()
		p.err = <-p.done
		leaveHome(p.home)
		n, err := p.Close()
		if p.err == nil {
			p.err = err
		}
		p.lent.stop()
		if p.lent != nil && errors.Is(p.err, chat.ErrWiped) {
			p.err = errors.Join(p.err, os.RemoveAll(relayHome(p.home))) // it wrote until now
			_ = os.Remove(p.home)                                       // if nothing else is in it
		}
		if n > 0 {
			program.Warn(os.Stderr, name, "%s: sent when hearsay runs again", count(n, "message exists only on this disk", "messages exist only on this disk"))
		}
	})
	return p.err
}

// Wipe destroys the profile. The relay that is lent beside it ends at once: what it
// still wrote into the home would stand in the way of removing that.
func (p *profile) Wipe(ctx context.Context) error {
	p.lent.kill()
	return p.Messenger.Wipe(ctx)
}

// limitNew lets the messages of each new contact disappear after what after says
// when the contact comes; 0 keeps them. What fails is left to the person: the
// conversation shows after how long messages disappear.
func (p *profile) limitNew(after func() time.Duration) {
	events := p.Subscribe()
	p.workers.Go(func() {
		defer events.Close()
		for {
			ev, err := events.Next(p.ctx)
			if err != nil {
				return
			}
			if ev.Type != chat.ContactAdded || ev.Contact == nil {
				continue
			}
			if d := after(); d > 0 {
				_ = p.SetConversation(p.ctx, ev.Contact.ID, chat.ConversationChange{DisappearAfter: &d})
			}
		}
	})
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// tuiHome lets the screens open a profile.
type tuiHome struct {
	f                   *flags
	dir, network, cover string
	passphrase          []byte // from --passphrase-file
	log                 *slog.Logger
	state               chat.HomeState
	lending             *lending // nil: no relay is lent

	mu     sync.Mutex
	opened *profile
	demo   *demo // started from the first run; nil: none
	end    context.CancelFunc
}

// State tells what the person must still give.
func (h *tuiHome) State() tui.HomeState {
	return tui.HomeState{
		Exists:     h.state.Exists || h.passphrase != nil,
		Encrypted:  h.state.Encrypted && h.passphrase == nil,
		HasNetwork: h.state.HasNetwork || h.network != "",
	}
}

// Open opens the profile and starts it. The link of a demo opens the demo's own
// profile, which is removed at the end: nothing is kept in the home.
func (h *tuiHome) Open(_ context.Context, passphrase []byte, link string) (tui.Chat, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.demo != nil && link == h.demo.net.Link().String() {
		return here{h.demo.self}, nil
	}
	if h.passphrase != nil {
		passphrase = h.passphrase
	}
	if link == "" {
		link = h.network
	}
	p, err := openLending(chat.Config{Home: h.dir, Network: link, Cover: h.cover, Passphrase: passphrase, Log: h.log}, h.lending)
	if err != nil {
		return nil, screenError(err)
	}
	p.limitNew(h.f.deleteAfter)
	h.opened = p
	return here{p}, nil
}

// Restore makes the profile from a backup. A configuration that lies in the home
// stays.
func (h *tuiHome) Restore(_ context.Context, file string, backup, passphrase []byte) error {
	file, err := localPath(file)
	if err != nil {
		return err
	}
	inside := filepath.Join(h.dir, configName)
	kept, readErr := readConfig(inside)
	if readErr == nil {
		if err := os.Remove(inside); err != nil { // a backup goes to an empty directory
			return err
		}
	}
	err = chat.Restore(chat.RestoreConfig{Home: h.dir, Passphrase: passphrase, File: file, BackupPassphrase: backup})
	if readErr == nil {
		err = errors.Join(err, os.MkdirAll(h.dir, 0o700), replaceFile(inside, kept))
	}
	if errors.Is(err, chat.ErrPassphrase) {
		return &chat.Error{Kind: chat.KindRefused, Text: "the passphrase of the backup is wrong", Hint: "it is that which was given when the backup was made"}
	}
	return err
}

// Demo starts a lab network and a profile on it, which last until close.
func (h *tuiHome) Demo(context.Context) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.demo == nil {
		ctx, cancel := context.WithCancel(context.Background())
		d, err := startDemo(ctx, defaultRelays, slog.New(slog.DiscardHandler))
		if err != nil {
			cancel()
			return "", err
		}
		h.demo, h.end = d, cancel
	}
	return h.demo.net.Link().String(), nil
}

// source is what the doctor asks, nil before a profile is open.
func (h *tuiHome) source() (statusSource, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.opened != nil:
		return h.opened, h.dir
	case h.demo != nil:
		return h.demo.source()
	}
	return nil, ""
}

// screenError says what a person at the screen can do about an error of opening.
func screenError(err error) error {
	var holder *holderError
	var told *program.Error
	switch {
	case errors.As(err, &told): // of the relay that is lent
		return &chat.Error{Kind: chat.KindRefused, Text: chat.PlainError(told.Err), Hint: told.Hint}
	case errors.Is(err, chat.ErrPassphrase):
		return &chat.Error{Kind: chat.KindRefused, Text: "the passphrase is wrong", Hint: "type it again; there is no recovery"}
	case errors.As(err, &holder):
		return &chat.Error{Kind: chat.KindRefused, Text: holder.Error(), Hint: "stop it, then try again"}
	case errors.Is(err, chat.ErrHomeInUse):
		return &chat.Error{Kind: chat.KindRefused, Text: "another process has this home open", Hint: "stop it, then try again"}
	}
	return err
}

// close stops what was opened. A profile that the person destroyed ended well.
func (h *tuiHome) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if h.opened != nil {
		if err = h.opened.stop(); errors.Is(err, chat.ErrWiped) {
			err = nil
		}
	}
	if h.demo != nil {
		h.end()
		err = errors.Join(err, h.demo.stop())
	}
	return err
}

// here is a profile whose paths are those of this program: a daemon lies
// elsewhere, and knows no ~.
type here struct{ tui.Chat }

// Backup is the profile's.
func (h here) Backup(ctx context.Context, path string, passphrase []byte, history bool) error {
	path, err := localPath(path)
	if err != nil {
		return err
	}
	return h.Chat.Backup(ctx, path, passphrase, history)
}

// Export is the profile's.
func (h here) Export(ctx context.Context, contact, path string) (int, error) {
	path, err := localPath(path)
	if err != nil {
		return 0, err
	}
	return h.Chat.Export(ctx, contact, path)
}

// SendFile is the profile's.
func (h here) SendFile(ctx context.Context, contact, path string, o chat.SendFileOptions) (chat.File, error) {
	path, err := localPath(path)
	if err != nil {
		return chat.File{}, err
	}
	return h.Chat.SendFile(ctx, contact, path, o)
}

// SaveFile is the profile's.
func (h here) SaveFile(ctx context.Context, id, path string) error {
	path, err := localPath(path)
	if err != nil {
		return err
	}
	return h.Chat.SaveFile(ctx, id, path)
}
