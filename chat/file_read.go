package chat

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// errJunk says that a relay gave blocks that are not the file's.
var errJunk = errors.New("a mailbox relay gave blocks that do not open")

// downloadJob is a segment at one of its places.
type downloadJob struct {
	segment uint32
	copy    byte
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
		if l != nil && l.spent(partKey(jobs[at].segment, jobs[at].copy)) {
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
			found.add(p.first+uint64(n), c, l.blocks)
		}
	}
	found.whole = missing == bitmap{}
	return found, nil
}

func (f *finding) add(seq uint64, c uint32, most int) {
	f.blocks++
	if last := len(f.runs) - 1; last >= 0 {
		if r := &f.runs[last]; r.after+uint64(len(r.ids))+1 == seq && len(r.ids) < most {
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
