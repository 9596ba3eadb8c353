package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
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
}

// Run sends until ctx ends or the contact is gone.
func (w *writer) Run(ctx context.Context) {
	defer w.drop()
	for ctx.Err() == nil {
		todo, ok := w.work(ctx)
		if !ok {
			return
		}
		if len(todo.jobs) == 0 {
			w.wait(ctx, todo.next)
			continue
		}
		done, err := w.send(ctx, todo)
		if ctx.Err() != nil && len(done) == 0 {
			return
		}
		w.report(context.WithoutCancel(ctx), todo, done, err)
	}
}

func (w *writer) work(ctx context.Context) (todo work, ok bool) {
	err := w.m.look(ctx, func(t *turn) error {
		if c := t.book.contacts[w.contact]; c != nil {
			todo, ok = t.due(c, w.slot), true
		}
		return nil
	})
	return todo, ok && err == nil
}

// report records receipts, and lets the queue rest after a failure.
func (w *writer) report(ctx context.Context, todo work, done []sent, failure error) {
	_ = w.m.do(ctx, func(t *turn) error {
		c := t.book.contacts[w.contact]
		if c == nil {
			return nil
		}
		s := &c.slots[w.slot]
		if !s.addr.Equal(todo.addr) {
			return t.record(c, w.slot, done) // the contact named another queue meanwhile
		}
		if failure == nil {
			s.fails, s.reason, s.full, s.rests = 0, "", false, time.Time{}
		} else {
			if len(done) > 0 {
				s.fails = 0
			}
			s.fails++
			tm := t.m.timing()
			wait, full := backoff(s.fails, tm.retryMin, tm.retryMax), false
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
		}
		return t.record(c, w.slot, done)
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
func (w *writer) ensure(ctx context.Context, addr session.QAddr) error {
	if w.post != nil {
		select {
		case <-w.post.Done():
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
	return w.m.openPost(ctx, circuit.Request{Purpose: circuit.Send, Destination: addr.Relay, Isolation: "out/" + w.contact + "/" + strconv.Itoa(w.slot)})
}

// parcel is a job as the relay gets it.
type parcel struct {
	job
	id    mailbox.MessageID
	block [mailbox.BlockSize]byte
}

// shapedTicks bounds how many ticks a cell waits for its turn among circuits.
const shapedTicks = 24

// allLeft is the index of an outcome that says that all parcels of a stream are
// on their way.
const allLeft = -2

// outcome is what came of one parcel on one stream, or the end of the stream.
type outcome struct {
	post    *post
	index   int
	receipt mailbox.Receipt
	err     error
}

// opened is a second circuit, or why there is none.
type opened struct {
	post *post
	err  error
}

var errNoAnswer = errors.New("the mailbox relay does not answer")

// send sends the jobs and returns those that the relay signed for. If answers
// are missing after max(3 round trips, 3 s), it sends the same over a second
// circuit, and keeps the circuit that answered (SPEC.md §5.2).
func (w *writer) send(ctx context.Context, todo work) (done []sent, failure error) {
	if err := w.ensure(ctx, todo.addr); err != nil {
		return nil, err
	}
	parcels, err := pack(todo)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	second := make(chan opened, 1)
	// Whatever still runs when this returns ends first: a half-sent command
	// ends its stream.
	var spare *post
	defer func() {
		cancel()
		workers.Wait()
		select {
		case o := <-second:
			if o.post != nil {
				o.post.Close()
			}
		default:
		}
		if spare != nil {
			spare.Close()
		}
	}()
	outcomes := make(chan outcome, 2*len(parcels)+4) // all that two streams can bring
	missing := make(map[int]bool, len(parcels))
	for i := range parcels {
		missing[i] = true
	}
	push := func(p *post, only []int) {
		workers.Go(func() { pushParcels(ctx, p, todo.addr, parcels, only, outcomes) })
	}
	push(w.post, sortedKeys(missing))
	tm := w.m.timing()
	// On a shaped link the patience begins when the last parcel has left.
	timer := time.NewTimer(w.post.patience(tm.hedge) + time.Duration(len(parcels))*shapedTicks*w.post.route.Tick())
	defer timer.Stop()
	working := 1 // streams that may still answer, the one being opened included
	hedged := false
	hedge := func() {
		hedged = true
		working++
		timer.Reset(tm.openMail)
		workers.Go(func() {
			p, err := w.open(ctx, todo.addr)
			second <- opened{p, err}
		})
	}
	var refusal error
	for len(missing) > 0 {
		var ended error
		select {
		case o := <-outcomes:
			var refused *mailboxRefusal
			switch {
			case o.index == allLeft:
				switch {
				case !hedged && o.post == w.post:
					timer.Reset(w.post.patience(tm.hedge))
				case o.post == spare:
					timer.Reset(spare.patience(tm.hedgeMore))
				}
			case o.index < 0:
				ended = o.err
			case !missing[o.index]:
			case errors.As(o.err, &refused):
				delete(missing, o.index)
				refusal = o.err
			default:
				delete(missing, o.index)
				done = append(done, sent{job: parcels[o.index].job, receipt: &o.receipt})
				if o.post == spare { // the one that answers is the one to keep
					w.post, spare = spare, w.post
				}
			}
		case s := <-second:
			if ended = s.err; s.err == nil {
				spare = s.post
				push(spare, sortedKeys(missing))
				timer.Reset(spare.patience(tm.hedgeMore) + time.Duration(len(parcels))*shapedTicks*spare.route.Tick())
			}
		case <-timer.C:
			if hedged {
				w.dropFailed()
				return done, errNoAnswer
			}
			hedge()
		case <-ctx.Done():
			return done, ctx.Err()
		}
		if ended == nil {
			continue
		}
		if !hedged {
			hedge()
		}
		if working--; working == 0 {
			w.dropFailed()
			return done, ended
		}
	}
	if len(done) > 0 {
		w.m.serves(w.contact, w.post.route.Info())
	}
	return done, refusal
}

// dropFailed drops a stream that does not answer.
func (w *writer) dropFailed() {
	if w.post != nil {
		w.post.fail(errNoAnswer)
	}
	w.drop()
}

func pack(todo work) ([]parcel, error) {
	parcels := make([]parcel, len(todo.jobs))
	for i, j := range todo.jobs {
		block, id, err := todo.addr.Seal(j.inner)
		if err != nil {
			return nil, fmt.Errorf("seal block: %w", err)
		}
		parcels[i] = parcel{job: j, id: id, block: [mailbox.BlockSize]byte(block)}
	}
	return parcels, nil
}

// pushParcels sends parcels in order over one stream and reports each answer,
// and the end of the stream with the index -1.
func pushParcels(ctx context.Context, p *post, addr session.QAddr, parcels []parcel, only []int, outcomes chan<- outcome) {
	started := make([]*mailboxSend, 0, len(only))
	var err error
	for _, i := range only {
		var s *mailboxSend
		if s, err = p.StartSend(ctx, addr.SID, addr.Capability.Bytes(), parcels[i].id, &parcels[i].block); err != nil {
			break
		}
		started = append(started, s)
	}
	if err == nil {
		outcomes <- outcome{post: p, index: allLeft}
	}
	for n, s := range started {
		receipt, failed := s.Wait(ctx)
		var refused *mailboxRefusal
		if failed != nil && !errors.As(failed, &refused) {
			err = failed
			break
		}
		outcomes <- outcome{post: p, index: only[n], receipt: receipt, err: failed}
	}
	if err != nil {
		outcomes <- outcome{post: p, index: -1, err: err}
	}
}
