package chat

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"hearsay/chat/store"
)

// errLocked is what all but the readers get while the profile is locked.
var errLocked = &Error{Kind: KindLocked, Text: "the profile is locked", Hint: "unlock it with its passphrase"}

// errWrongPassphrase is ErrPassphrase and, for scripts, an error of kind refused.
var errWrongPassphrase = fmt.Errorf("%w: %w", ErrPassphrase, &Error{Kind: KindRefused, Text: "the passphrase is wrong", Hint: "type it again; there is no recovery"})

// Lock erases the keys of history and sessions from memory, and the book with
// them. What arrives is sealed to a key of this disk and opened after Unlock;
// nothing is sent meanwhile. It needs no network. A profile without a passphrase
// is refused.
func (m *Messenger) Lock(ctx context.Context) error {
	return m.alone(ctx, func() error {
		if m.book.locked {
			return nil
		}
		switch err := m.store.Lock(); {
		case errors.Is(err, store.ErrNoPassphrase):
			return &Error{Kind: KindRefused, Text: "a profile without a passphrase cannot be locked", Hint: "give it a passphrase first"}
		case err != nil:
			return storeError(err)
		}
		open := m.book
		m.book = open.lock()
		for _, c := range open.contacts {
			c.wakeAll() // workers find out and end
		}
		wake(m.roster)
		m.feed.Publish(Event{Type: ProfileLocked})
		open = nil
		debug.FreeOSMemory() // what held keys goes back to the system
		return nil
	})
}

// Unlock ends what Lock began, and returns when all that arrived meanwhile is
// shown. It takes as long as the passphrase is made to take. It fails with
// ErrPassphrase if the passphrase is wrong.
func (m *Messenger) Unlock(ctx context.Context, passphrase []byte) error {
	switch err := m.store.Unlock(passphrase); {
	case errors.Is(err, store.ErrPassphrase), errors.Is(err, store.ErrPassphraseNeeded):
		return errWrongPassphrase
	case err != nil:
		return storeError(err)
	}
	return m.alone(ctx, func() error {
		if !m.book.locked || m.store.Locked() {
			return nil // or locked again meanwhile
		}
		if err := m.reload(); err != nil {
			m.fatal(err)
			return storeError(err)
		}
		m.feed.Publish(Event{Type: ProfileUnlocked})
		for m.book.boxed {
			o := &op{run: (*turn).unbox, done: make(chan error, 1)}
			m.batch([]*op{o})
			if err := <-o.done; err != nil {
				return err // the rows stay; the next tick tries again
			}
		}
		return nil
	})
}

// ChangePassphrase protects the store with another passphrase; an empty one
// leaves file mode alone, and an empty old one says that there is none. It fails
// with ErrPassphrase if the old one is wrong.
func (m *Messenger) ChangePassphrase(_ context.Context, old, passphrase []byte) error {
	return passphraseError(m.store.ChangePassphrase(old, passphrase))
}

// ChangePassphrase changes the passphrase of a home that no process has open.
// It fails as Open does.
func ChangePassphrase(home string, old, passphrase []byte) error {
	st, err := store.Open(store.Config{Dir: home, Passphrase: old})
	if err != nil {
		return homeError(err)
	}
	err = passphraseError(st.ChangePassphrase(old, passphrase))
	if e := st.Close(); err == nil && e != nil {
		err = storeError(e)
	}
	return err
}

func passphraseError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrPassphrase), errors.Is(err, store.ErrPassphraseNeeded), errors.Is(err, store.ErrNoPassphrase):
		return errWrongPassphrase
	}
	return storeError(err)
}

// storeError says what went wrong with the disk.
func storeError(err error) error {
	switch {
	case errors.Is(err, store.ErrLocked):
		return errLocked
	case errors.Is(err, store.ErrWiped):
		return ErrWiped
	}
	return &Error{Kind: KindIO, Text: "cannot write to the store: " + err.Error(), Hint: "look at the free space of the disk"}
}

// alone runs something between two transactions of the keeper.
func (m *Messenger) alone(ctx context.Context, run func() error) error {
	o := &op{alone: run, done: make(chan error, 1)}
	select {
	case m.lone <- o:
		return m.await(o)
	case <-ctx.Done():
		return ctx.Err()
	case <-m.kept:
		return errClosed
	}
}

// lock returns what readers need while the profile is locked: our queues.
func (b *book) lock() *book {
	locked := &book{
		contacts: make(map[string]*contact), invites: make(map[string]*invite), groups: make(map[string]*group), files: make(map[string]*file),
		requests: make(map[string]*request), trash: make(map[string]*trashRecord),
		order: b.order, reserved: b.reserved, locked: true, queued: b.onlyHere(),
	}
	for id, c := range b.contacts {
		if c.session == nil {
			continue // nobody knows the queues yet
		}
		kept := newContact(id)
		kept.wakes = c.wakes
		kept.rec = contactRecord{State: c.rec.State, Order: c.rec.Order, Own: c.rec.Own, Old: c.rec.Old, Active: c.rec.Active}
		locked.contacts[id] = kept
	}
	for id, i := range b.invites {
		locked.invites[id] = &invite{id: id, rec: inviteRecord{Queues: i.rec.Queues, Expires: i.rec.Expires}}
	}
	return locked
}

// lockedWorkers adds the readers, which alone go on while the profile is locked.
func (t *turn) lockedWorkers(w *wanted) {
	for _, c := range t.book.contacts {
		w.addInboxes(c)
	}
	for _, i := range t.book.invites {
		in := wantedInbox{key: inboxKey{owner: i.id}, pushes: true, active: i.rec.Expires - int64(inviteLife/time.Second)}
		for n := range i.rec.Queues {
			if q := &i.rec.Queues[n]; q.exists() {
				seed := q.Seed
				in.queues[n] = &seed
			}
		}
		w.inboxes = append(w.inboxes, in)
	}
}

// locksOut answers those operations that need what Lock erased, and returns the
// others.
func (m *Messenger) locksOut(ops []*op) (rest []*op) {
	for _, o := range ops {
		if o.reader {
			rest = append(rest, o)
		} else {
			o.done <- errLocked
		}
	}
	return rest
}

// readers do and look, also while the profile is locked.
type readers struct{ *Messenger }

func (m *Messenger) reading() readers { return readers{m} }

func (m readers) do(ctx context.Context, run func(t *turn) error) error {
	return m.submit(ctx, &op{run: run, reader: true, done: make(chan error, 1)})
}

func (m readers) look(ctx context.Context, run func(t *turn) error) error {
	return m.submit(ctx, &op{run: run, reader: true, read: true, done: make(chan error, 1)})
}

// forgetLocked restores what readers noted in a transaction that failed.
func (*book) forgetLocked(acked map[*queueRecord]uint64) {
	for q, seq := range acked {
		q.Acked = seq
	}
}
