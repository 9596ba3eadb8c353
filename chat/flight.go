package chat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"hearsay/chat/session"
	"hearsay/relay/mailbox"
)

// parcel is a job as the relay gets it.
type parcel struct {
	job
	id    mailbox.MessageID
	block [mailbox.BlockSize]byte
	given time.Time    // to its stream
	left  atomic.Int64 // nanoseconds after given when it was handed to the link; 0: it waits
}

// shapedTicks bounds how many ticks a cell waits for its turn among circuits.
const shapedTicks = 24

// outcome is what came of one parcel on one stream, or the end of the stream.
type outcome struct {
	lane    *lane
	parcel  *parcel // nil: the stream ended with err
	receipt mailbox.Receipt
	err     error
}

// opened is a second circuit, or why there is none.
type opened struct {
	post *post
	err  error
}

var errNoAnswer = errors.New("the mailbox relay does not answer")

// flight is what a writer has on its way to a queue: at most a window of
// parcels, to which those are added that become due meanwhile. If answers are
// missing after max(3 round trips, 3 s), it sends the same over a second
// circuit, adds nothing more, and keeps the circuit that answered (SPEC.md §5.2).
// All fields belong to the writer's goroutine.
type flight struct {
	w        *writer
	addr     session.QAddr
	ctx      context.Context // of the lanes and of the opening of the second circuit
	workers  sync.WaitGroup
	outcomes chan outcome
	second   chan opened // capacity 1

	missing  []*parcel // without an answer, oldest first
	done     []sent    // answered and not yet recorded
	tried    []uint64  // seqs that left and were refused or, at the end, not answered
	answered time.Time // when the last answer came
	refusal  error
	kept     *lane // over the writer's stream
	spare    *lane // nil: none
	hedged   bool
	working  int // streams that may still answer, one that is being opened included
}

// send sends the jobs, and what becomes due meanwhile, until nothing is on its
// way. It records the receipts as they come, and lets the queue rest after a
// failure.
func (w *writer) send(ctx context.Context, todo work) {
	if err := w.ensure(ctx, todo.addr, todo.fresh); err != nil {
		if ctx.Err() == nil {
			w.report(ctx, todo.addr, nil, nil, err)
		}
		return
	}
	inner, cancel := context.WithCancel(ctx)
	f := &flight{w: w, addr: todo.addr, ctx: inner, outcomes: make(chan outcome, 2*mailbox.SendWindow), second: make(chan opened, 1)}
	f.kept = f.start(w.post)
	err := f.run(ctx, todo)
	// Whatever still runs ends first: a half-sent command ends its stream.
	cancel()
	f.workers.Wait()
	select {
	case o := <-f.second:
		if o.post != nil {
			o.post.Close()
		}
	default:
	}
	if f.spare != nil {
		f.spare.post.Close()
	}
	for _, p := range f.missing {
		if p.left.Load() != 0 {
			f.tried = append(f.tried, p.seq)
		}
	}
	if len(f.done) > 0 || len(f.tried) > 0 || err != nil && ctx.Err() == nil {
		w.report(ctx, f.addr, f.done, f.tried, err)
	}
}

// run returns when every parcel was answered, or why not.
func (f *flight) run(ctx context.Context, todo work) error {
	if err := f.add(todo.jobs); err != nil {
		return err
	}
	next := todo.next // when more is due; zero: when woken
	timer := time.NewTimer(time.Until(f.deadline()))
	defer timer.Stop()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for len(f.missing) > 0 {
		var wakes <-chan struct{}
		var more <-chan time.Time
		if f.mayAdd() {
			wakes = f.w.wakes.write[f.w.slot]
			if !next.IsZero() {
				due.Reset(time.Until(next))
				more = due.C
			}
		}
		var ended error
		look := false
		select {
		case o := <-f.outcomes:
			ended = f.take(o)
			for ended == nil && len(f.outcomes) > 0 {
				ended = f.take(<-f.outcomes)
			}
		case s := <-f.second:
			if ended = s.err; s.err == nil {
				f.working-- // as one that is being opened
				f.spare = f.start(s.post)
				for _, p := range f.missing {
					f.spare.todo <- p
				}
				timer.Reset(f.patience(s.post, f.w.m.timing().hedgeMore))
			}
		case <-wakes:
			look = true
		case <-more:
			look = true
		case <-timer.C:
			switch late := f.deadline(); {
			case f.hedged:
				f.w.dropFailed()
				return errNoAnswer
			case time.Now().Before(late):
				timer.Reset(time.Until(late))
			default:
				timer.Reset(f.hedge())
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if ended != nil {
			if !f.hedged {
				timer.Reset(f.hedge())
			}
			if f.working--; f.working == 0 {
				f.w.dropFailed()
				return ended
			}
		}
		if len(f.done) > 0 && len(f.missing) > 0 {
			f.w.report(ctx, f.addr, f.done, nil, nil)
			f.w.m.serves(f.w.contact, f.w.post.route.Info())
			f.done = nil
		}
		if look {
			todo, ok := f.w.work(ctx, f.missing)
			if next = todo.next; ok && todo.addr.Equal(f.addr) {
				if err := f.add(todo.jobs); err != nil {
					return err
				}
			}
		}
	}
	if len(f.done) > 0 {
		f.w.m.serves(f.w.contact, f.w.post.route.Info())
	}
	return f.refusal
}

// mayAdd tells whether further parcels may join.
func (f *flight) mayAdd() bool {
	if f.hedged || f.refusal != nil || len(f.missing) >= mailbox.SendWindow {
		return false
	}
	select {
	case <-f.w.post.route.Retire():
		return false
	default:
		return true
	}
}

// add seals jobs and gives them to the stream.
func (f *flight) add(jobs []job) error {
	for _, j := range jobs {
		block, id, err := f.addr.Seal(j.inner)
		if err != nil {
			return fmt.Errorf("seal block: %w", err)
		}
		p := &parcel{job: j, id: id, block: [mailbox.BlockSize]byte(block), given: time.Now()}
		f.missing = append(f.missing, p)
		f.kept.todo <- p
	}
	return nil
}

// take notes an outcome and returns the error of a stream that ended.
func (f *flight) take(o outcome) error {
	if o.parcel == nil {
		return o.err
	}
	at := -1
	for i, p := range f.missing {
		if p == o.parcel {
			at = i
		}
	}
	if at < 0 {
		return nil // the other stream was faster
	}
	f.missing = append(f.missing[:at:at], f.missing[at+1:]...)
	f.answered = time.Now()
	if o.err != nil {
		f.refusal = o.err
		if !mailboxRefusedWith(o.err, mailbox.CodeQuota) && !mailboxRefusedWith(o.err, mailbox.CodeBusy) {
			f.tried = append(f.tried, o.parcel.seq)
		}
		return nil
	}
	f.done = append(f.done, sent{job: o.parcel.job, receipt: &o.receipt})
	if o.lane == f.spare { // the one that answers is the one to keep
		f.kept, f.spare = f.spare, f.kept
		f.w.post = f.kept.post
	}
	return nil
}

// deadline is when the second circuit is opened: patience begins when the oldest
// parcel without an answer has left, and anew with each answer.
func (f *flight) deadline() time.Time {
	oldest := f.missing[0]
	hedge := f.w.m.timing().hedge
	if left := oldest.left.Load(); left != 0 {
		since := oldest.given.Add(time.Duration(left))
		if f.answered.After(since) {
			since = f.answered
		}
		return since.Add(f.w.post.patience(hedge))
	}
	return oldest.given.Add(f.patience(f.w.post, hedge))
}

// patience is how long to wait for an answer to all that is missing, if none of
// it has left.
func (f *flight) patience(p *post, least time.Duration) time.Duration {
	return p.patience(least) + time.Duration(len(f.missing))*shapedTicks*p.route.Tick()
}

// hedge begins to open the second circuit and returns how long that may take.
func (f *flight) hedge() time.Duration {
	f.hedged = true
	f.working++
	f.workers.Go(func() {
		p, err := f.w.open(f.ctx, f.addr)
		f.second <- opened{p, err}
	})
	return f.w.m.timing().openMail
}

// lane is the way of parcels over one stream, in the order of todo.
type lane struct {
	post *post
	todo chan *parcel // holds a window
}

// departed is a parcel that left.
type departed struct {
	*parcel
	send *mailboxSend
}

// start begins to send over a stream what will be given to it.
func (f *flight) start(p *post) *lane {
	l := &lane{post: p, todo: make(chan *parcel, mailbox.SendWindow+1)}
	f.working++
	gone := make(chan departed, mailbox.SendWindow) // all that a stream takes without an answer
	var failure error                               // set before gone is closed
	f.workers.Go(func() {
		defer close(gone)
		for {
			select {
			case x := <-l.todo:
				s, err := p.StartSend(f.ctx, f.addr.SID, f.addr.Capability.Bytes(), x.id, &x.block)
				if err != nil {
					failure = err
					return
				}
				x.left.CompareAndSwap(0, max(1, int64(time.Since(x.given))))
				gone <- departed{x, s}
			case <-p.Done():
				failure = errMailboxClosed
				return
			case <-f.ctx.Done():
				failure = f.ctx.Err()
				return
			}
		}
	})
	f.workers.Go(func() {
		emit := func(o outcome) {
			o.lane = l
			select {
			case f.outcomes <- o:
			case <-f.ctx.Done():
			}
		}
		var err error
		for x := range gone {
			if err != nil {
				continue
			}
			receipt, failed := x.send.Wait(f.ctx)
			var refused *mailboxRefusal
			if failed != nil && !errors.As(failed, &refused) {
				err = failed
				continue
			}
			emit(outcome{parcel: x.parcel, receipt: receipt, err: failed})
		}
		if err == nil {
			err = failure
		}
		emit(outcome{err: err})
	})
	return l
}

// dropFailed drops a stream that does not answer.
func (w *writer) dropFailed() {
	if w.post != nil {
		w.post.fail(errNoAnswer)
	}
	w.drop()
}
