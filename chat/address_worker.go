package chat

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// strangerBatch is how many blocks of strangers are fetched at once.
const strangerBatch = 16

// addressLook is how often an address is looked at when nothing is due.
const addressLook = time.Minute

// addressWorker keeps one address reachable: its queues, its bundle at their
// relays and in the directory. It reads the queues from time to time, never by a
// subscription, so that nobody who asks can see by his request when the owner
// is there.
type addressWorker struct {
	m       *Messenger
	address string
	next    map[string]time.Time // a job is not tried before
	fails   map[string]int
	leaves  [2]bool // the queue's relay said that it goes for good

	conflicts map[uint64]int // by period: times in a row that a relay said it holds another record
}

func (m *Messenger) newAddressWorker(id string) *addressWorker {
	return &addressWorker{m: m, address: id, next: make(map[string]time.Time), fails: make(map[string]int), conflicts: make(map[uint64]int)}
}

// addressWorkers adds what keeps addresses to what should run.
func (t *turn) addressWorkers(w *wanted) {
	for id := range t.book.addresses {
		w.others["address/"+id] = t.m.newAddressWorker(id).Run
	}
}

// addressJob is one thing to do for an address.
type addressJob struct {
	name string
	run  func(ctx context.Context) (again time.Duration, err error) // again: when it is due next
}

// Run works until ctx ends or the address is gone.
func (w *addressWorker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		a, ok := w.state(ctx)
		if !ok {
			return
		}
		now := time.Now()
		wait := addressLook
		worked := false
		for _, job := range w.jobs(ctx, &a) {
			if at := w.next[job.name]; now.Before(at) {
				wait = min(wait, at.Sub(now))
				continue
			}
			w.do(ctx, job)
			worked = true
			break
		}
		if worked {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// do runs a job and draws when it is due again.
func (w *addressWorker) do(ctx context.Context, job addressJob) {
	again, err := job.run(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		w.fails[job.name]++
		w.m.log.Debug("keeping an address", errorKey, err)
		tm := w.m.timing()
		again = backoff(w.fails[job.name], tm.retryMin, tm.pollMin)
		_ = w.m.do(ctx, func(t *turn) error {
			if a := t.book.addresses[w.address]; a != nil {
				a.problem = addressError(err)
			}
			return nil
		})
	} else {
		w.fails[job.name] = 0
	}
	w.next[job.name] = time.Now().Add(again)
}

// state returns a copy of the address, whose secret must not be used.
func (w *addressWorker) state(ctx context.Context) (rec addressRecord, ok bool) {
	err := w.m.look(ctx, func(t *turn) error {
		if a := t.book.addresses[w.address]; a != nil {
			rec, ok = a.rec, true
			rec.Records = slices.Clone(rec.Records)
		}
		return nil
	})
	return rec, ok && err == nil
}

// jobs returns what may be due, the most urgent first.
func (w *addressWorker) jobs(ctx context.Context, a *addressRecord) []addressJob {
	var jobs []addressJob
	add := func(name string, run func(ctx context.Context) (time.Duration, error)) {
		jobs = append(jobs, addressJob{name, run})
	}
	view := w.m.views.Current()
	if view == nil {
		return nil
	}
	due := time.Unix(a.Rotated, 0).Add(w.m.addressTime(addressRotate))
	for n := range a.Queues {
		q := a.Queues[n]
		switch {
		case q.exists() && w.replaceable(ctx, a, view, n):
			add(fmt.Sprint("replace", n), func(ctx context.Context) (time.Duration, error) { return w.replace(ctx, n, q) })
		case !q.exists() && n == 1 && w.m.mailboxRelays(view) > 1: // it was not to be had before
			add("replace1", func(ctx context.Context) (time.Duration, error) { return w.replace(ctx, n, q) })
		case q.exists() && !q.Made && listedIn(view, q.Relay):
			add(fmt.Sprint("make", n), func(ctx context.Context) (time.Duration, error) { return w.make(ctx, n, q) })
		}
	}
	if a.Stale || !time.Now().Before(due) {
		add("rotate", w.rotate)
	}
	for n := range a.Queues {
		if q := a.Queues[n]; q.Made && !q.Link && listedIn(view, q.Relay) {
			add(fmt.Sprint("link", n), func(ctx context.Context) (time.Duration, error) { return w.link(ctx, n, q, a.Blob) })
		}
	}
	add("publish", func(ctx context.Context) (time.Duration, error) { return w.publish(ctx, view) })
	for n := range a.Queues {
		if q := a.Queues[n]; q.Made && q.Link && listedIn(view, q.Relay) {
			add(fmt.Sprint("read", n), func(ctx context.Context) (time.Duration, error) { return w.read(ctx, n, q) })
		}
	}
	return jobs
}

// replaceable tells whether a queue has to be made elsewhere: its relay is gone
// for some time or says that it will go.
func (w *addressWorker) replaceable(ctx context.Context, a *addressRecord, view *directory.View, n int) bool {
	q := &a.Queues[n]
	if w.leaves[n] {
		return true
	}
	listed := listedIn(view, q.Relay)
	if listed != (a.Lost[n] == 0) {
		since := int64(0)
		if !listed {
			since = time.Now().Unix()
		}
		a.Lost[n] = since
		_ = w.m.changeAddress(ctx, w.address, func(_ *turn, now *address) error {
			now.rec.Lost[n] = since
			return nil
		})
	}
	return a.Lost[n] != 0 && time.Since(time.Unix(a.Lost[n], 0)) >= w.m.addressTime(addressGone)
}

// replace makes a queue at another relay in place of q. The next bundle names
// it; the link stays good, since the directory has that bundle too.
func (w *addressWorker) replace(ctx context.Context, n int, q queueRecord) (time.Duration, error) {
	view := w.m.views.Current()
	if err := mayPlace(view); err != nil {
		return 0, err
	}
	a, ok := w.state(ctx)
	if !ok {
		return 0, nil
	}
	relay, ok := w.m.drawRelay(view, []directory.RelayID{q.Relay, a.Queues[1-n].Relay}, nil)
	if !ok {
		return 0, errNoRelay
	}
	fresh := newQueue(relay)
	made, err := w.m.makeQueue(ctx, fresh, mailbox.KindAddress, mailbox.LID{}, w.isolation(&fresh))
	if err != nil {
		return 0, err
	}
	fresh.SID, fresh.Made = made.SID, true
	w.leaves[n] = false
	return 0, w.m.changeAddress(ctx, w.address, func(t *turn, a *address) error {
		if a.rec.Queues[n].Seed != q.Seed {
			return nil
		}
		t.discard(a.rec.Queues[n])
		a.rec.Queues[n], a.rec.Lost[n], a.rec.Stale = fresh, 0, true
		return nil
	})
}

// isolation names the circuits to a queue of an address.
func (w *addressWorker) isolation(q *queueRecord) string { return inIsolation(w.address, q) }

// make makes a queue again that its relay does not know any more.
func (w *addressWorker) make(ctx context.Context, n int, q queueRecord) (time.Duration, error) {
	made, err := w.m.makeQueue(ctx, q, mailbox.KindAddress, mailbox.LID{}, w.isolation(&q))
	if err != nil {
		return 0, err
	}
	return 0, w.m.changeAddress(ctx, w.address, func(_ *turn, a *address) error {
		own := &a.rec.Queues[n]
		if own.Seed != q.Seed {
			return nil
		}
		if own.SID != made.SID {
			a.rec.Stale = true // strangers have to learn the new name
		}
		own.SID, own.Made, own.Link = made.SID, true, false
		return nil
	})
}

// rotate makes the next bundle.
func (w *addressWorker) rotate(ctx context.Context) (time.Duration, error) {
	w.next["publish"], w.next["link0"], w.next["link1"] = time.Time{}, time.Time{}, time.Time{}
	return w.m.timing().retryMin, w.m.changeAddress(ctx, w.address, func(t *turn, a *address) error { return t.rotate(a) })
}

// link has the relay of a queue keep the newest bundle.
func (w *addressWorker) link(ctx context.Context, n int, q queueRecord, blob []byte) (time.Duration, error) {
	var lid mailbox.LID
	err := w.m.look(ctx, func(t *turn) error {
		if a := t.book.addresses[w.address]; a != nil {
			lid = mailbox.LID(a.secret.Link().LID())
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	p, err := w.open(ctx, &q, false)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, w.m.timing().openMail)
	defer cancel()
	if _, err := p.New(ctx, mailboxQueue{Kind: mailbox.KindAddress, Key: q.owner(), Cap: q.Cap, LID: lid}); err != nil {
		return 0, err
	}
	if _, _, err := p.Poll(ctx, q.owner(), q.Acked, 0); err != nil {
		return 0, err
	}
	if err := p.SetLink(ctx, q.rid(), (*[mailbox.LinkSize]byte)(blob)); err != nil {
		return 0, err
	}
	err = w.m.changeAddress(ctx, w.address, func(_ *turn, a *address) error {
		if own := &a.rec.Queues[n]; own.Seed == q.Seed && slices.Equal(a.rec.Blob, blob) {
			own.Link = true
		}
		a.problem = ""
		return nil
	})
	w.m.setLinked(w.address)
	return 0, err
}

func (w *addressWorker) open(ctx context.Context, q *queueRecord, patient bool) (*post, error) {
	return w.m.openPost(ctx, circuit.Request{Purpose: circuit.Subscribe, Destination: q.Relay, Isolation: w.isolation(q), Patient: patient})
}

// read takes requests out of a queue, as fast as they may be opened.
func (w *addressWorker) read(ctx context.Context, n int, q queueRecord) (time.Duration, error) {
	if err := w.m.senders.enter(ctx); err != nil {
		return 0, err
	}
	defer w.m.senders.leave()
	p, err := w.open(ctx, &q, true)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*w.m.timing().openMail)
	defer cancel()
	w.leaves[n] = p.Draining()
	tm := w.m.timing()
	for {
		view, blocks, err := p.Poll(ctx, q.owner(), q.Acked, strangerBatch)
		switch {
		case mailboxRefusedWith(err, mailbox.CodeAuth):
			return 0, w.change(ctx, n, q, func(own *queueRecord) { own.Made, own.Link = false, false })
		case err != nil:
			return 0, err
		case view.Next <= q.Acked:
			q.Acked = 0 // the relay began the queue anew
			if err := w.change(ctx, n, q, func(own *queueRecord) { own.Acked, own.Link = 0, false }); err != nil {
				return 0, err
			}
			continue
		case len(blocks) == 0:
			return between(tm.pollMin, tm.pollMax), nil
		}
		taken, full := 0, false
		err = w.m.do(ctx, func(t *turn) (err error) {
			a := t.book.addresses[w.address]
			if a == nil || a.rec.Queues[n].Seed != q.Seed {
				return errGone
			}
			taken, err = t.takeStrangers(a, &a.rec.Queues[n], blocks)
			full = len(t.book.requests) >= requestLimit
			return err
		})
		if err != nil {
			return 0, err
		}
		if taken > 0 {
			q.Acked = blocks[taken-1].Seq
			if err := p.Ack(ctx, q.rid(), q.Acked); err != nil {
				return 0, err
			}
		}
		if taken < len(blocks) {
			if full {
				return between(tm.pollMin, tm.pollMax), nil
			}
			return openEvery, nil
		}
	}
}

// change changes one queue of the address.
func (w *addressWorker) change(ctx context.Context, n int, q queueRecord, run func(own *queueRecord)) error {
	return w.m.changeAddress(ctx, w.address, func(_ *turn, a *address) error {
		if own := &a.rec.Queues[n]; own.Seed == q.Seed {
			run(own)
		}
		return nil
	})
}

// draw returns a random number in [0, n).
func draw(n int) int {
	var b [8]byte
	_, _ = rand.Read(b[:])
	v := uint64(0)
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return int(v % uint64(n))
}
