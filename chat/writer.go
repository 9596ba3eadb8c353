package chat

import (
	"context"
	"errors"
	"strconv"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/relay/mailbox"
)

// writer sends to one queue of one contact. While it has work, and for a while
// after, it keeps a mailbox stream open; it takes part in the gate meanwhile.
type writer struct {
	m       *Messenger
	contact string
	slot    int
	wakes   *wakes
	post    *post         // nil: none is open
	addr    session.QAddr // that post leads to
	fresh   bool          // what is sent was typed just now
}

// Run sends until ctx ends or the contact is gone.
func (w *writer) Run(ctx context.Context) {
	defer w.drop()
	for ctx.Err() == nil {
		todo, ok := w.work(ctx, nil)
		if !ok {
			return
		}
		if len(todo.jobs) == 0 {
			w.wait(ctx, todo.next)
			continue
		}
		w.send(ctx, todo)
	}
}

// work returns what is due beside what is on its way.
func (w *writer) work(ctx context.Context, busy []*parcel) (todo work, ok bool) {
	err := w.m.look(ctx, func(t *turn) error {
		if c := t.book.contacts[w.contact]; c != nil {
			todo, ok = t.due(c, w.slot, busy), true
		}
		return nil
	})
	return todo, ok && err == nil
}

// report records receipts and which frames left in vain, and lets the queue rest
// after a failure.
func (w *writer) report(ctx context.Context, addr session.QAddr, done []sent, tried []uint64, failure error) {
	_ = w.m.do(context.WithoutCancel(ctx), func(t *turn) error {
		c := t.book.contacts[w.contact]
		if c == nil {
			return nil
		}
		s := &c.slots[w.slot]
		if err := t.noteTries(c, w.slot, addr, tried); err != nil {
			return err
		}
		if !s.addr.Equal(addr) {
			return t.record(c, w.slot, done) // the contact named another queue meanwhile
		}
		if failure == nil {
			s.fails, s.reason, s.full, s.rests = 0, "", false, time.Time{}
		} else {
			if len(done) > 0 {
				s.fails = 0
			}
			if s.fails++; s.fails == 1 {
				s.since = t.now
			}
			tm := t.m.timing()
			wait, full := backoff(s.fails, tm.retryMin, tm.retryMax), false
			s.refused = mailboxRefusedWith(failure, mailbox.CodeAuth)
			var refused *mailboxRefusal
			if errors.As(failure, &refused) {
				switch refused.Code {
				case mailbox.CodeQuota:
					wait, full = backoff(s.fails, tm.quotaMin, tm.quotaMax), true
				case mailbox.CodeBusy:
					wait = max(wait, time.Duration(refused.Argument)*time.Second)
				}
			}
			c.rest(w.slot, t.now.Add(wait), failure.Error(), full)
			if err := t.unwritable(c, w.slot, full); err != nil {
				return err
			}
		}
		if err := t.record(c, w.slot, done); err != nil || failure == nil {
			return err
		}
		return t.logFailure(c, w.slot, failure, s.rests)
	})
}

// wait waits for work. An open stream ends when it was idle for long, when
// others wait for a place, or when its circuit is gone or to be replaced.
func (w *writer) wait(ctx context.Context, next time.Time) {
	var at <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		at = timer.C
	}
	var idle <-chan time.Time
	var gone, retire, pressed <-chan struct{}
	if w.post != nil {
		timer := time.NewTimer(between(w.m.timing().idleSend*4/5, w.m.timing().idleSend*6/5))
		defer timer.Stop()
		idle, gone, retire, pressed = timer.C, w.post.Done(), w.post.route.Retire(), w.m.senders.pressed
	}
	select {
	case <-ctx.Done():
	case <-w.wakes.write[w.slot]:
	case <-at:
	case <-idle:
		w.drop()
	case <-gone:
		w.drop()
	case <-retire:
		w.drop()
	case <-pressed:
		w.drop()
	}
}

func (w *writer) drop() {
	if w.post != nil {
		w.post.Close()
		w.post = nil
		w.m.senders.leave()
	}
}

// ensure opens the stream to the queue's relay, if it is not open.
func (w *writer) ensure(ctx context.Context, addr session.QAddr, fresh bool) error {
	w.fresh = fresh
	if w.post != nil {
		select {
		case <-w.post.Done():
		case <-w.post.route.Retire():
		default:
			if w.addr.Equal(addr) {
				return nil
			}
		}
		w.drop()
	}
	if err := w.m.senders.enter(ctx); err != nil {
		return err
	}
	p, err := w.open(ctx, addr)
	if err != nil {
		w.m.senders.leave()
		return err
	}
	w.post, w.addr = p, addr
	return nil
}

func (w *writer) open(ctx context.Context, addr session.QAddr) (*post, error) {
	return w.m.openPost(ctx, circuit.Request{Front: w.fresh, Purpose: circuit.Send, Destination: addr.Relay, Isolation: outIsolation(w.contact, w.slot)})
}

// outIsolation names the circuits to a queue of a contact.
func outIsolation(contact string, slot int) string {
	return "out/" + contact + "/" + strconv.Itoa(slot)
}
