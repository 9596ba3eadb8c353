package chat

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// errJunk says that a relay gave blocks that are not the file's.
var errJunk = errors.New("a mailbox relay gave blocks that do not open")

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

// downloadJob is a segment at one of its places.
type downloadJob struct {
	segment uint32
	copy    byte
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
	var stopBurst context.CancelFunc
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
		if plan.burst && stopBurst == nil {
			stopBurst = d.startBurst(ctx, plan.size)
			defer stopBurst()
		}
		if len(plan.want) > 0 {
			d.ask(ctx, &plan)
		}
		before := d.moved
		d.round(ctx, &plan)
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
		if f == nil || f.rec.State != FileFetching {
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
		for part := range slices.Chunk(plan.want, session.MaxFileRanges) {
			if err := t.control(f, session.FileControl{Op: session.FileWant, Ranges: part}); err != nil {
				return err
			}
		}
		t.tellFile(f, true)
		return t.saveFile(f)
	})
}

// round reads from all relays of the plan.
func (d *downloader) round(ctx context.Context, plan *downloadPlan) {
	ctx, cancel := context.WithCancel(ctx)
	var flusher sync.WaitGroup
	flusher.Go(func() { every(ctx, fileSync, func() { d.flush(ctx) }) })
	defer func() {
		cancel()
		flusher.Wait()
		d.flush(context.WithoutCancel(ctx))
	}()
	p := d.paceOf(plan.burst)
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
				d.m.log.Debug("a part of a file cannot be fetched", errorKey, err)
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

// readRelay reads segments from one relay, in their order. Where one is not all
// there yet, it waits for more for a while. It returns those that are not whole.
func (d *downloader) readRelay(ctx context.Context, relay directory.RelayID, jobs []downloadJob, p pace) (left []downloadJob, err error) {
	var l *fileLane
	var fetches sync.WaitGroup
	var mu sync.Mutex
	var failed error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && failed == nil {
			failed = err
		}
	}
	broken := func() error { mu.Lock(); defer mu.Unlock(); return failed }
	closeLane := func() {
		fetches.Wait()
		if l != nil {
			l.Close()
			l = nil
		}
	}
	defer closeLane()
	slots := make(chan struct{}, laneSegments)
	tm := d.m.fileTiming(p.bulk)
	wait, idle := tm.look, time.Duration(0)
	for at := 0; at < len(jobs); {
		if err := broken(); err != nil || ctx.Err() != nil {
			fetches.Wait()
			return d.unfinished(jobs), err
		}
		if l != nil && l.spent() {
			closeLane()
		}
		if l == nil {
			if l, err = d.openLane(ctx, relay, p); err != nil {
				return d.unfinished(jobs), err
			}
		}
		found, err := d.list(ctx, l, jobs[at])
		if err != nil {
			fetches.Wait()
			return d.unfinished(jobs), err
		}
		if found.blocks > 0 {
			d.worked(relay)
		}
		if found.whole { // the next segment is listed while this one comes
			lane, j := l, jobs[at]
			slots <- struct{}{}
			fetches.Go(func() {
				defer func() { <-slots }()
				note(d.fetch(ctx, lane, j, &found))
			})
			at++
			wait, idle = tm.look, 0
			continue
		}
		if found.blocks > 0 {
			if err := d.fetch(ctx, l, jobs[at], &found); err != nil {
				fetches.Wait()
				return d.unfinished(jobs), err
			}
			wait, idle = tm.look, 0
			continue
		}
		if idle >= tm.idle {
			break
		}
		d.pauseQuiet(ctx, wait)
		idle += wait
		wait *= 2
	}
	fetches.Wait()
	return d.unfinished(jobs), broken()
}

// pauseQuiet waits whatever changes.
func (d *downloader) pauseQuiet(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// unfinished are the jobs whose segment is not whole.
func (d *downloader) unfinished(jobs []downloadJob) (left []downloadJob) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range jobs {
		if d.missingLocked(j.segment) != (bitmap{}) {
			left = append(left, j)
		}
	}
	return left
}

// finding is what a queue holds of the missing blocks.
type finding struct {
	runs   []run
	blocks int
	whole  bool // all that is missing
}

// run is blocks that follow each other in a queue.
type run struct {
	after uint64   // the seq before the first
	ids   []uint32 // the blocks
}

// page is the ids of blocks that follow each other in a queue.
type page struct {
	first uint64
	ids   []mailbox.MessageID
}

// maxPages bounds what is listed of a queue. It holds one segment; a contact who
// owns it, too, could empty and fill it again.
const maxPages = 8

// list asks a relay which blocks of a segment it holds. A queue that is not
// there holds none.
func (d *downloader) list(ctx context.Context, l *fileLane, j downloadJob) (found finding, err error) {
	l.begin()
	defer l.end()
	d.mu.Lock()
	missing := d.missingLocked(j.segment)
	first, _ := d.offer.SegmentBlocks(j.segment)
	seed, _ := d.offer.Queue(j.segment, j.copy)
	d.mu.Unlock()
	key := ed25519.NewKeyFromSeed(seed[:])
	view, _, err := l.Poll(ctx, key, 0, 0)
	if mailboxRefusedWith(err, mailbox.CodeAuth) {
		l.refused++
		return found, nil
	}
	if err != nil {
		return found, err
	}
	l.reads(partKey(j.segment, j.copy))
	rid := mailboxRID(key)
	pages := make([]page, min((view.Next-1+mailbox.ListMax-1)/mailbox.ListMax, maxPages))
	errs := make([]error, len(pages))
	var wg sync.WaitGroup
	for n := range pages {
		wg.Go(func() {
			pages[n].first, pages[n].ids, errs[n] = l.List(ctx, rid, uint64(n)*mailbox.ListMax)
			l.answered()
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return found, err
	}
	for _, p := range pages {
		for n, id := range p.ids {
			c, ok := session.ParseFileMessageID(id)
			if !ok || c < first || c-first >= session.FileSegment || !missing.has(c-first) {
				continue
			}
			missing[(c-first)/8] &^= 1 << ((c - first) % 8)
			found.add(p.first+uint64(n), c)
		}
	}
	found.whole = missing == bitmap{}
	return found, nil
}

func (f *finding) add(seq uint64, c uint32) {
	f.blocks++
	if last := len(f.runs) - 1; last >= 0 {
		if r := &f.runs[last]; r.after+uint64(len(r.ids))+1 == seq && len(r.ids) < mailbox.PollWindow {
			r.ids = append(r.ids, c)
			return
		}
	}
	f.runs = append(f.runs, run{after: seq - 1, ids: []uint32{c}})
}

// fetch downloads what was found, several polls at once.
func (d *downloader) fetch(ctx context.Context, l *fileLane, j downloadJob, found *finding) error {
	l.begin()
	defer l.end()
	seed, _ := d.offer.Queue(j.segment, j.copy)
	key, sealer := ed25519.NewKeyFromSeed(seed[:]), d.offer.Sealer(j.copy)
	polls := newGate(mailbox.OtherWindow / (laneSegments + 1)) // room for what lists the next one
	var wg sync.WaitGroup
	errs := make([]error, len(found.runs))
	for n := range found.runs {
		if err := polls.enter(ctx); err != nil {
			errs[n] = err
			break
		}
		wg.Go(func() {
			defer polls.leave()
			errs[n] = d.poll(ctx, l, key, sealer, j.segment, &found.runs[n])
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (d *downloader) poll(ctx context.Context, l *fileLane, key ed25519.PrivateKey, sealer *session.FileSealer, segment uint32, r *run) error {
	_, blocks, err := l.Poll(ctx, key, r.after, len(r.ids))
	if err != nil {
		return err
	}
	l.answered()
	for n := range blocks {
		i := blocks[n].Seq - r.after - 1
		if i >= uint64(len(r.ids)) {
			return errJunk
		}
		c := r.ids[i]
		plain, err := sealer.Open(nil, c, &blocks[n].Block)
		if err != nil {
			return errJunk
		}
		if err := d.put(segment, c, plain); err != nil {
			return err
		}
	}
	if len(blocks) < len(r.ids) {
		return errJunk // it listed them
	}
	return nil
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
