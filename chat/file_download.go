package chat

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
)

// downloader fetches a file into the spool. What is in the spool is noted on the
// disk twice a second, so it may end at any time.
type downloader struct {
	*transfer
	spool *spool

	mu    sync.Mutex
	offer session.File
	have  map[uint32]*bitmap // by segment, in the spool
	fresh map[uint32]*bitmap // of those, what is not committed
	tries map[uint32]int     // of a segment: says which of its places is next
	blank map[uint32]int     // tries of a segment that brought nothing, in a row
	moved time.Time          // when the last block came
	full  error              // the spool cannot be written
}

// downloadPlan is where missing segments are to be had.
type downloadPlan struct {
	key    [32]byte
	burst  bool
	size   int64
	jobs   map[directory.RelayID][]downloadJob
	first  []directory.RelayID // order of jobs
	next   time.Duration       // until a relay that rests may be tried
	want   []session.FileRange // cannot be had at any place
	wanted time.Time           // when that was last told
	wants  int
	whole  bool
}

// Run works until the file is whole, ctx ends, or the transfer does.
func (d *downloader) Run(ctx context.Context) {
	d.have, d.fresh = make(map[uint32]*bitmap), make(map[uint32]*bitmap)
	d.tries, d.blank, d.moved = make(map[uint32]int), make(map[uint32]int), time.Now()
	defer func() {
		if d.spool != nil {
			_ = d.spool.Close()
		}
	}()
	bursts, stopBurst := false, func() {}
	defer func() { stopBurst() }()
	for fails := 0; ctx.Err() == nil; {
		plan, ok := d.plan(ctx)
		if !ok {
			return
		}
		if d.spool == nil {
			if err := d.openSpool(ctx, &plan); err != nil {
				d.say(ctx, diskError(err).Text)
				d.pause(ctx, d.m.timing().retryMax)
				continue
			}
			continue // plan again: what was fetched may be gone
		}
		if plan.whole {
			d.finish(ctx)
			return
		}
		if want := plan.burst && fails < burstRounds; want && !bursts {
			bursts, stopBurst = true, d.startBurst(ctx, plan.size)
		} else if !want && bursts {
			stopBurst()
			bursts, stopBurst = false, func() {}
		}
		if len(plan.want) > 0 {
			d.ask(ctx, &plan)
		}
		before := d.moved
		d.round(ctx, &plan, plan.burst && !bursts)
		switch {
		case d.full != nil:
			d.say(ctx, diskError(d.full).Text)
			d.full = nil
			d.pause(ctx, d.m.timing().retryMax)
		case d.moved != before:
			fails = 0
		default:
			fails++
			tm := d.m.timing()
			wait := backoff(fails, tm.retryMin, tm.pollMax)
			if len(plan.jobs) == 0 {
				wait = max(min(wait, plan.next), tm.retryMin)
			}
			d.pause(ctx, wait)
		}
	}
}

// pause waits, or until something changed.
func (t *transfer) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-t.wake:
	}
}

// say notes why a transfer waits.
func (t *transfer) say(ctx context.Context, note string) {
	_ = t.change(ctx, func(t *turn, f *file) error {
		f.note = note
		t.tellFile(f, false)
		return nil
	})
}

// openSpool opens the spool, or makes it; then nothing was fetched yet.
func (d *downloader) openSpool(ctx context.Context, plan *downloadPlan) (err error) {
	d.spool, err = d.m.transfers.spools.reopen(d.id, plan.key, uint64(plan.size))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = d.change(ctx, func(t *turn, f *file) error {
		f.parts = make(map[uint32]*part)
		return t.tx.Sequence(bucketParts + f.id).Drop()
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	clear(d.have)
	d.mu.Unlock()
	d.spool, err = d.m.transfers.spools.create(d.id, plan.key, uint64(plan.size))
	return err
}

// plan reads what is missing and where it may be had.
func (d *downloader) plan(ctx context.Context) (plan downloadPlan, ok bool) {
	plan.jobs = make(map[directory.RelayID][]downloadJob)
	plan.next = d.m.timing().retryMax
	err := d.m.look(ctx, func(t *turn) error {
		f := t.book.files[d.id]
		if f == nil || f.rec.State != FileFetching || f.rec.Paused {
			return nil
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		ok, d.offer = true, f.offer
		plan.key, plan.burst, plan.size = f.rec.Key, f.rec.Burst, f.rec.Size
		plan.wanted, plan.wants = time.Unix(f.rec.Wanted, 0), f.rec.Wants
		for key, p := range f.parts {
			if d.have[key>>8] == nil {
				b := p.have
				d.have[key>>8] = &b
			}
		}
		plan.whole = true
		for i := range f.offer.Segments() {
			missing := d.missingLocked(i)
			if missing == (bitmap{}) {
				continue
			}
			plan.whole = false
			d.placeLocked(t, f, i, &missing, &plan)
		}
		return nil
	})
	return plan, ok && err == nil
}

// missingLocked are the blocks of a segment that are not in the spool.
func (d *downloader) missingLocked(segment uint32) bitmap {
	_, count := d.offer.SegmentBlocks(segment)
	missing := firstBits(count)
	if have := d.have[segment]; have != nil {
		for i := range missing {
			missing[i] &^= have[i]
		}
	}
	return missing
}

// placeLocked plans to fetch a segment at its next place, or to ask for it anew if
// every place failed and nothing came for a while.
func (d *downloader) placeLocked(t *turn, f *file, segment uint32, missing *bitmap, plan *downloadPlan) {
	view := t.m.views.Current()
	var usable []place
	for _, at := range f.places(segment) {
		if _, listed := listedPrefix(view, at.relay); listed && t.stillOwed(at.until) {
			usable = append(usable, at)
		}
	}
	gone := view != nil && len(usable) == 0
	if gone || d.blank[segment] >= 2*len(usable) && t.now.Sub(d.moved) >= t.m.fileTiming(true).want {
		plan.want = appendRanges(plan.want, segment, missing)
	}
	for range usable {
		at := usable[d.tries[segment]%len(usable)]
		relay, _ := listedPrefix(view, at.relay)
		if wait, resting := d.resting(relay); resting {
			plan.next = min(plan.next, wait)
			d.tries[segment]++
			continue
		}
		if plan.jobs[relay] == nil {
			plan.first = append(plan.first, relay)
		}
		plan.jobs[relay] = append(plan.jobs[relay], downloadJob{segment, at.copy})
		return
	}
}

// appendRanges adds the blocks of a segment.
func appendRanges(list []session.FileRange, segment uint32, blocks *bitmap) []session.FileRange {
	for i := uint32(0); i < session.FileSegment; i++ {
		if !blocks.has(i) {
			continue
		}
		if last := len(list) - 1; last >= 0 && list[last].Segment == segment && uint32(list[last].First+list[last].Count) == i {
			list[last].Count++
			continue
		}
		list = append(list, session.FileRange{Segment: segment, First: uint16(i), Count: 1})
	}
	return list
}

// ask asks the sender to store anew what cannot be had, at most so often.
func (d *downloader) ask(ctx context.Context, plan *downloadPlan) {
	gap := d.m.fileTiming(true).wantGap << min(plan.wants, 5)
	if plan.wants > 0 && time.Since(plan.wanted) < gap {
		return
	}
	_ = d.change(ctx, func(t *turn, f *file) error {
		f.rec.Wanted, f.rec.Wants = t.now.Unix(), f.rec.Wants+1
		f.note = "asked the contact to send parts again"
		most := min(len(plan.want), wantMost*session.MaxFileRanges) // a sender chooses how many holes there are
		for part := range slices.Chunk(plan.want[:most], session.MaxFileRanges) {
			if err := t.control(f, session.FileControl{Op: session.FileWant, Ranges: part}); err != nil {
				return err
			}
		}
		t.tellFile(f, true)
		return t.saveFile(f)
	})
}

// round reads from all relays of the plan; with once, it ends soon after something
// came.
func (d *downloader) round(ctx context.Context, plan *downloadPlan, once bool) {
	p := d.paceOf(plan.burst)
	ctx, cancel := d.steady(ctx, p, plan.burst)
	if before := d.moved; once {
		go every(ctx, burstLook, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.moved != before {
				cancel()
			}
		})
	}
	var flusher sync.WaitGroup
	flusher.Go(func() { every(ctx, fileSync, func() { d.flush(ctx) }) })
	defer func() {
		cancel()
		flusher.Wait()
		d.flush(context.WithoutCancel(ctx))
	}()
	lanes := newGate(p.lanes)
	var wg sync.WaitGroup
	for _, relay := range plan.first {
		wg.Go(func() {
			if lanes.enter(ctx) != nil {
				return
			}
			defer lanes.leave()
			left, err := d.readRelay(ctx, relay, plan.jobs[relay], p)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				d.m.log.Debug("a part of a file cannot be fetched", errorKey, withoutPath(err))
				d.failed(relay, restAsked(err))
			}
			d.mu.Lock()
			for _, j := range left { // the next place of these
				d.tries[j.segment]++
				d.blank[j.segment]++
			}
			d.mu.Unlock()
		})
	}
	wg.Wait()
}

// put keeps a block.
func (d *downloader) put(segment, c uint32, plain []byte) error {
	err := d.spool.put(c, plain)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.full = err
		return err
	}
	for _, m := range []map[uint32]*bitmap{d.have, d.fresh} {
		if m[segment] == nil {
			m[segment] = new(bitmap)
		}
		m[segment].set(c % session.FileSegment)
	}
	d.moved = time.Now()
	delete(d.blank, segment)
	return nil
}

// flush syncs the spool and then notes what is in it.
func (d *downloader) flush(ctx context.Context) {
	d.mu.Lock()
	fresh := d.fresh
	d.fresh = make(map[uint32]*bitmap)
	d.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	err := d.spool.Sync()
	if err == nil {
		err = d.change(ctx, func(t *turn, f *file) error { return t.downloaded(f, fresh) })
	}
	if err == nil {
		return
	}
	d.mu.Lock() // fetched again
	defer d.mu.Unlock()
	for segment, b := range fresh {
		for i := range b {
			d.have[segment][i] &^= b[i]
		}
	}
}

// downloaded notes what is in the spool.
func (t *turn) downloaded(f *file, fresh map[uint32]*bitmap) error {
	for _, segment := range sortedKeys(fresh) {
		key := partKey(segment, 0)
		if f.parts[key] == nil {
			f.parts[key] = &part{}
		}
		f.parts[key].have.join(fresh[segment])
		if err := t.savePart(f, key); err != nil {
			return err
		}
	}
	f.note = ""
	t.tellFile(f, false)
	return nil
}

// finish compares the hash and only then calls the file complete.
func (d *downloader) finish(ctx context.Context) {
	sum, err := d.spool.copyTo(io.Discard)
	switch {
	case errors.Is(err, errSpoolDamaged): // by the disk: all anew
		_ = d.spool.Close()
		d.spool = nil
		_ = d.m.transfers.spools.remove(d.id)
		return
	case err != nil:
		d.say(ctx, diskError(err).Text)
		d.pause(ctx, d.m.timing().retryMax)
		return
	case sum != d.offer.Hash:
		d.giveUp(ctx, "it is not the file that was offered")
		return
	}
	err = d.change(ctx, func(t *turn, f *file) error {
		if err := t.control(f, session.FileControl{Op: session.FileDone}); err != nil {
			return err
		}
		return t.endFile(f, FileComplete, "")
	})
	if err != nil {
		d.m.log.Debug("a file cannot be ended", errorKey, err)
	}
}
