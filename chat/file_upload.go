package chat

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// uploader stores a file at relays, out of the spool. What relays signed for is
// on the disk twice a second, so it may end at any time.
type uploader struct {
	*transfer
	spool *spool

	began time.Time // with first copies, in this run
	first time.Time // when all first copies were stored

	mu    sync.Mutex
	fresh map[uint32]*part // what relays signed for and is not committed
}

// secondPause is the longest pause between first and second copies. It lasts as
// long as the first copies took: a contact who fetches at once is done by then,
// and the second copies need not be made.
const secondPause = time.Minute

// uploadPlan is what is to be stored.
type uploadPlan struct {
	offer session.File
	key   [32]byte
	burst bool
	jobs  []uploadJob
	lost  []uint32 // parts whose relay is not listed, or hopeless
	bytes int64
	next  time.Duration // until a relay that rests may be tried
}

// uploadJob is one part.
type uploadJob struct {
	segment uint32
	copy    byte
	relay   directory.RelayID
	missing bitmap
}

// Run works until everything is stored, ctx ends, or the transfer does.
func (u *uploader) Run(ctx context.Context) {
	defer u.close()
	u.fresh = make(map[uint32]*part)
	var stopBurst context.CancelFunc
	for fails := 0; ctx.Err() == nil; {
		plan, ok := u.plan(ctx)
		if !ok {
			break
		}
		if u.spool == nil {
			if err := u.openSpool(ctx, &plan); err != nil {
				break
			}
		}
		if len(plan.lost) > 0 {
			_ = u.change(ctx, func(t *turn, f *file) error { return t.replace(f, plan.lost) })
		}
		if plan.burst && stopBurst == nil {
			stopBurst = u.startBurst(ctx, plan.bytes)
			defer stopBurst()
		}
		if wait := u.secondWait(&plan); wait > 0 {
			u.pause(ctx, wait)
			continue
		}
		wait := plan.next
		if len(plan.jobs) > 0 {
			worked := u.round(ctx, &plan)
			u.flush(ctx)
			if fails++; worked {
				fails = 0
				continue
			}
			wait = backoff(fails, u.m.timing().retryMin, u.m.timing().retryMax)
		}
		u.pause(ctx, wait)
	}
}

// secondWait is how long second copies still wait.
func (u *uploader) secondWait(plan *uploadPlan) time.Duration {
	switch {
	case len(plan.jobs) == 0 || u.began.IsZero() && plan.jobs[0].copy == 1:
		return 0
	case u.began.IsZero():
		u.began = time.Now()
	}
	if plan.jobs[0].copy != 1 {
		u.first = time.Time{}
		return 0
	}
	if u.first.IsZero() {
		u.first = time.Now()
	}
	return time.Until(u.first.Add(min(u.first.Sub(u.began), secondPause)))
}

func (u *uploader) close() {
	if u.spool != nil {
		_ = u.spool.Close()
	}
}

// startBurst begins to keep a burst and returns what ends that.
func (t *transfer) startBurst(ctx context.Context, bytes int64) (stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t.m.keepBurst(ctx, bytes, ready)
	}()
	select {
	case <-ready:
	case <-ctx.Done():
	}
	return func() { cancel(); <-done }
}

// change changes the transfer, if it goes on.
func (t *transfer) change(ctx context.Context, run func(t *turn, f *file) error) error {
	return t.m.do(context.WithoutCancel(ctx), func(turn *turn) error {
		if f := turn.book.files[t.id]; f != nil && !f.final() {
			return run(turn, f)
		}
		return nil
	})
}

// openSpool opens the spool; without it the transfer is over.
func (u *uploader) openSpool(ctx context.Context, plan *uploadPlan) (err error) {
	u.spool, err = u.m.transfers.spools.reopen(u.id, plan.key, plan.offer.Size)
	if err == nil {
		return nil
	}
	reason := diskError(err).Text
	if errors.Is(err, fs.ErrNotExist) {
		reason = "the copy in the home is gone"
	}
	u.giveUp(ctx, reason)
	return err
}

// giveUp ends a transfer that cannot go on, and tells the contact.
func (t *transfer) giveUp(ctx context.Context, reason string) {
	_ = t.change(ctx, func(t *turn, f *file) error {
		if err := t.control(f, session.FileControl{Op: session.FileCancel}); err != nil {
			return err
		}
		return t.endFile(f, FileFailed, reason)
	})
}

// plan reads what is to be stored: first copies and those stored anew, and, when
// none of them can go on, second copies.
func (u *uploader) plan(ctx context.Context) (plan uploadPlan, ok bool) {
	offer := func(t *turn, f *file) error {
		if f.rec.Paused {
			return nil
		}
		return t.offer(f)
	}
	if err := u.change(ctx, offer); err != nil {
		return plan, false
	}
	plan.next = u.m.timing().retryMax
	err := u.m.look(ctx, func(t *turn) error {
		f := t.book.files[u.id]
		if f == nil || f.final() || f.rec.Paused {
			return nil
		}
		ok = true
		plan.key, plan.burst, plan.offer = f.rec.Key, f.rec.Burst, f.offer
		if len(f.rec.Offer) == 0 {
			plan.offer = session.File{Size: uint64(f.rec.Size)}
			return nil // no snapshot yet
		}
		view := t.m.views.Current()
		keys := f.owed()
		ok = len(keys) > 0
		for _, key := range keys {
			p := f.parts[key]
			plan.bytes += int64(p.want.count()-p.have.count()) * session.FileBlockSize
			relay, found := directory.RelayID{}, false
			for _, at := range f.places(key >> 8) {
				if at.copy == byte(key) {
					relay, found = listedPrefix(view, at.relay)
				}
			}
			if !found && view != nil || found && u.hopeless(relay, 4) {
				plan.lost = append(plan.lost, key)
				continue
			}
			if wait, resting := u.resting(relay); resting {
				plan.next = min(plan.next, wait)
				continue
			}
			if n := len(plan.jobs); n > 0 && byte(key) == 1 && plan.jobs[0].copy != 1 {
				continue // behind the first copy
			}
			j := uploadJob{segment: key >> 8, copy: byte(key), relay: relay, missing: p.want}
			for i := range j.missing {
				j.missing[i] &^= p.have[i]
			}
			plan.jobs = append(plan.jobs, j)
		}
		return nil
	})
	return plan, ok && err == nil
}

// round runs the jobs, those of one relay over one circuit after the other, and
// tells whether anything was stored.
func (u *uploader) round(ctx context.Context, plan *uploadPlan) (worked bool) {
	p := u.paceOf(plan.burst)
	ctx, cancel := u.steady(ctx, p, plan.burst)
	var flusher sync.WaitGroup
	flusher.Go(func() { every(ctx, fileSync, func() { u.flush(ctx) }) })
	defer flusher.Wait()
	defer cancel()
	byRelay := make(map[directory.RelayID][]uploadJob)
	var relays []directory.RelayID
	for _, j := range plan.jobs {
		if byRelay[j.relay] == nil {
			relays = append(relays, j.relay)
		}
		byRelay[j.relay] = append(byRelay[j.relay], j)
	}
	lanes := newGate(p.lanes)
	results := make(chan bool, len(relays))
	var wg sync.WaitGroup
	for _, relay := range relays {
		wg.Go(func() {
			if lanes.enter(ctx) != nil {
				return
			}
			defer lanes.leave()
			n, err := u.store(ctx, relay, byRelay[relay], plan, p)
			if results <- n > 0; err != nil && ctx.Err() == nil {
				u.m.log.Debug("a part of a file cannot be stored", errorKey, withoutPath(err))
				u.failed(relay, restAsked(err))
				if errors.Is(err, errSpoolDamaged) {
					u.giveUp(ctx, "the copy in the home is damaged")
				}
			}
		})
	}
	wg.Wait()
	close(results)
	for ok := range results {
		worked = worked || ok
	}
	return worked
}

// every runs f again and again until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// restAsked is how long a relay asked to be left alone.
func restAsked(err error) time.Duration {
	var r *mailboxRefusal
	if errors.As(err, &r) && r.Code == mailbox.CodeBusy {
		return time.Duration(r.Argument) * time.Second
	}
	return 0
}

// store stores the jobs of one relay and returns how many blocks it signed for.
func (u *uploader) store(ctx context.Context, relay directory.RelayID, jobs []uploadJob, plan *uploadPlan, p pace) (n int, err error) {
	for len(jobs) > 0 && ctx.Err() == nil {
		l, err := u.openLane(ctx, relay, p)
		if err != nil {
			return n, err
		}
		batch := jobs[:min(len(jobs), l.most)]
		m, err := u.storeOver(ctx, l, batch, plan)
		l.Close()
		if n += m; err != nil {
			return n, err
		}
		jobs = jobs[len(batch):]
	}
	return n, ctx.Err()
}

// storeOver stores a few parts over one circuit, two at a time, so that one is
// prepared while the other is sent.
func (u *uploader) storeOver(ctx context.Context, l *fileLane, jobs []uploadJob, plan *uploadPlan) (n int, err error) {
	todo := make(chan uploadJob, len(jobs))
	for _, j := range jobs {
		todo <- j
	}
	close(todo)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range laneSegments {
		wg.Go(func() {
			for j := range todo {
				m, failed := u.storePart(ctx, l, j, plan)
				mu.Lock()
				if n += m; failed != nil && err == nil {
					err = failed
				}
				stop := err != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return n, err
}

// storePart makes the queue of a part and sends its missing blocks.
func (u *uploader) storePart(ctx context.Context, l *fileLane, j uploadJob, plan *uploadPlan) (n int, err error) {
	l.begin()
	defer l.end()
	seed, capability := plan.offer.Queue(j.segment, j.copy)
	made, err := l.New(ctx, mailboxQueue{Kind: mailbox.KindFile, Key: ed25519.NewKeyFromSeed(seed[:]), Cap: capability})
	if err != nil {
		return 0, err
	}
	type underWay struct {
		c    uint32 // in the segment
		send *mailboxSend
	}
	gone := make(chan underWay, mailbox.SendWindow)
	done := make(chan error, 1)
	go func() {
		var failed error
		for x := range gone {
			receipt, err := x.send.Wait(ctx)
			if err != nil {
				if failed == nil {
					failed = err
				}
				continue
			}
			l.answered()
			n++
			u.signed(partKey(j.segment, j.copy), x.c, receipt.Until)
			u.worked(j.relay)
		}
		done <- failed
	}()
	err = u.sendBlocks(ctx, l, j, plan, made.SID, capability, func(c uint32, s *mailboxSend) { gone <- underWay{c, s} })
	close(gone)
	if failed := <-done; failed != nil {
		err = failed
	}
	return n, err
}

// sendBlocks seals and sends the missing blocks of a part.
func (u *uploader) sendBlocks(ctx context.Context, l *fileLane, j uploadJob, plan *uploadPlan, sid mailbox.SID, capability [32]byte, sent func(uint32, *mailboxSend)) error {
	sealer := plan.offer.Sealer(j.copy)
	first, count := plan.offer.SegmentBlocks(j.segment)
	for i := range count {
		if !j.missing.has(i) {
			continue
		}
		plain, err := u.spool.get(first + i)
		if err != nil {
			return err
		}
		block := sealer.Seal(first+i, plain)
		s, err := l.StartSend(ctx, sid, capability, session.FileMessageID(first+i), &block)
		if err != nil {
			return err
		}
		sent(i, s)
	}
	return nil
}

// signed notes a receipt.
func (u *uploader) signed(key, c, until uint32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.fresh[key]
	if p == nil {
		p = &part{until: until}
		u.fresh[key] = p
	}
	p.have.set(c)
	p.until = min(p.until, until)
}

// flush writes what relays signed for.
func (u *uploader) flush(ctx context.Context) {
	u.mu.Lock()
	fresh := u.fresh
	u.fresh = make(map[uint32]*part)
	u.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	_ = u.change(ctx, func(t *turn, f *file) error { return t.uploaded(f, fresh) })
}

// uploaded takes what relays signed for.
func (t *turn) uploaded(f *file, fresh map[uint32]*part) error {
	for _, key := range sortedKeys(fresh) {
		p := f.parts[key]
		if p == nil {
			continue
		}
		if p.have == (bitmap{}) || fresh[key].until < p.until {
			p.until = fresh[key].until
		}
		p.have.join(&fresh[key].have)
		if err := t.savePart(f, key); err != nil {
			return err
		}
	}
	if err := t.tellMoved(f); err != nil {
		return err
	}
	t.restate(f)
	t.tellFile(f, false)
	return t.saveFile(f)
}
