package chat

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"hearsay/chat/store"
)

// Implementation constants of the keeper.
const (
	opBacklog  = 64 // operations waiting; submitting blocks beyond it
	batchLimit = 64 // operations in one transaction
)

var errClosed = errors.New("chat: the messenger is closed")

// op is one operation of the keeper. A refused operation returns an *Error and
// has changed nothing; every other error means that the store failed.
type op struct {
	run  func(t *turn) error
	read bool       // changes nothing
	done chan error // capacity 1

	reader bool         // of who reads our queues: also while the profile is locked
	alone  func() error // instead of run: outside of transactions
}

// turn is the transaction that operations run in. What they change in the book
// is written at the end of the turn, and what they announce is published once
// the transaction is on disk; if that fails, the book is loaded anew.
type turn struct {
	m      *Messenger
	tx     *store.Tx
	now    time.Time
	hour   uint32 // protocol hour of now; 0: not computed yet
	book   *book
	dirty  map[*contact]struct{}
	reads  bool // all operations only read
	events []Event
	roster bool // the set of queues changed: workers are to be started or ended
	met    bool // a contact was added: circuits are wanted soon

	before map[*queueRecord]uint64 // of a locked profile: what it was before
	boxed  int                     // and bytes that were sealed

	trashed bool // queues are to be deleted that are not on disk as such
}

// touch marks a contact as changed.
func (t *turn) touch(c *contact) { t.dirty[c] = struct{}{} }

// publish announces an event after the commit.
func (t *turn) publish(ev Event) { t.events = append(t.events, ev) }

// do runs an operation that may change state, and returns when it is on disk.
func (m *Messenger) do(ctx context.Context, run func(t *turn) error) error {
	return m.submit(ctx, &op{run: run, done: make(chan error, 1)})
}

// look runs an operation that changes nothing.
func (m *Messenger) look(ctx context.Context, run func(t *turn) error) error {
	return m.submit(ctx, &op{run: run, read: true, done: make(chan error, 1)})
}

func (m *Messenger) submit(ctx context.Context, o *op) error {
	if err := m.hand(ctx, o); err != nil {
		return err
	}
	return m.await(o)
}

// hand gives an operation its place behind those before it.
func (m *Messenger) hand(ctx context.Context, o *op) error {
	select {
	case m.ops <- o:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-m.closing:
		return errClosed
	}
}

// await returns what came of an operation.
func (m *Messenger) await(o *op) error {
	select {
	case err := <-o.done:
		return err
	case <-m.kept:
		select {
		case err := <-o.done:
			return err
		default:
			return errClosed
		}
	}
}

// keep is the keeper: it runs operations one after the other until the
// messenger closes, many in one transaction if many wait.
func (m *Messenger) keep() {
	defer close(m.kept)
	first := &op{run: (*turn).notePlace, done: make(chan error, 1)}
	m.batch([]*op{first})
	if err := <-first.done; err != nil {
		m.fatal(err)
		return // what is not known to be new must not be sealed with
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var rest time.Time // of ticks, after one failed: an operation in between does not end it
	for {
		select {
		case o := <-m.ops:
			m.batch(m.gather(o))
		case o := <-m.lone:
			o.done <- o.alone()
		case <-timer.C:
			if m.book.locked {
				break
			}
			o := &op{run: (*turn).tick, done: make(chan error, 1)}
			if m.batch([]*op{o}); <-o.done != nil {
				rest = time.Now().Add(time.Second) // the disk is in trouble: not in a busy loop
			}
		case <-m.closing:
			return
		}
		timer.Reset(max(0, time.Until(m.book.deadline(m)), time.Until(rest)))
	}
}

func (m *Messenger) gather(first *op) []*op {
	ops := []*op{first}
	for len(ops) < batchLimit {
		select {
		case o := <-m.ops:
			ops = append(ops, o)
		default:
			return ops
		}
	}
	return ops
}

// batch runs operations in one transaction. If it fails, the book is loaded
// anew and each operation gets a transaction of its own, so that one that
// cannot work does not fail the others.
func (m *Messenger) batch(ops []*op) {
	if m.book.locked {
		if ops = m.locksOut(ops); len(ops) == 0 {
			return
		}
	}
	err := m.transact(ops)
	if err == nil {
		return
	}
	m.log.Error("store", errorKey, err)
	if err := m.reload(); err != nil {
		m.fatal(err)
		answer(ops, err)
		return
	}
	if len(ops) == 1 {
		answer(ops, &Error{Kind: KindIO, Text: "cannot write to the store: " + err.Error(), Hint: "look at the free space of the disk"})
		return
	}
	for _, o := range ops {
		m.batch([]*op{o})
	}
}

func answer(ops []*op, err error) {
	for _, o := range ops {
		o.done <- err
	}
}

func (m *Messenger) transact(ops []*op) error {
	results := make([]error, len(ops))
	t := &turn{m: m, now: time.Now(), book: m.book, dirty: make(map[*contact]struct{})}
	run := m.store.View
	t.reads = true
	for _, o := range ops {
		if !o.read {
			run, t.reads = m.store.Update, false
		}
	}
	err := run(func(tx *store.Tx) error {
		t.tx = tx
		if m.unsettled && !t.reads { // what was told before the book was read again is not known
			for _, c := range t.book.contacts {
				t.touch(c)
			}
		}
		for i, o := range ops {
			var refused *Error
			if err := o.run(t); errors.As(err, &refused) {
				results[i] = refused
			} else if err != nil {
				return err
			}
		}
		return t.finish()
	})
	if err != nil {
		m.feed.release(nil, 0)
		t.book.forgetLocked(t.before)
		t.book.boxSize -= t.boxed
		return err
	}
	m.unsettled = m.unsettled && t.reads
	m.feed.release(t.events, t.book.reserved)
	for c := range t.dirty {
		c.wakeAll()
	}
	if t.roster {
		wake(m.roster)
	}
	if t.met {
		m.warmUp()
	}
	for i, o := range ops {
		o.done <- results[i]
	}
	return nil
}

// finish writes the changed contacts, re-evaluates what is proven about their
// messages, and writes the events.
func (t *turn) finish() error {
	if t.book.locked {
		return nil // the box has it
	}
	if err := t.saveTrash(); err != nil {
		return err
	}
	for c := range t.dirty {
		if t.book.contacts[c.id] != c {
			continue // removed in this turn
		}
		if err := t.settle(c); err != nil {
			return err
		}
		if err := t.tx.Bucket(bucketContact).Put(c.id, encode(c.rec)); err != nil {
			return err
		}
		if c.session == nil {
			continue
		}
		if err := t.tx.Bucket(bucketSession).Put(c.id, c.session.Append(nil)); err != nil {
			return err
		}
	}
	if t.reads {
		return nil
	}
	if full := t.m.cfg.testOnlyFull; full != nil && full() {
		return syscall.ENOSPC
	}
	return t.logEvents()
}

// reload replaces the book by what is on disk.
func (m *Messenger) reload() error {
	if m.store.Locked() {
		return nil // what readers noted was taken back
	}
	book, err := loadBook(m.store)
	if err != nil {
		return fmt.Errorf("load the store again: %w", err)
	}
	book.adopt(m.book)
	m.book, m.unsettled = book, true
	wake(m.roster)
	return nil
}

// wake signals a channel of capacity 1; a full one already says it.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
