package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// inbox reads a pair of our queues: a standing push subscription on the first
// and a look at the second from time to time, or the subscription on the second
// while the first fails. Inboxes without a place among the standing ones look
// at both from time to time.
type inbox struct {
	m        *Messenger
	key      inboxKey
	standing atomic.Bool
	changed  [2]chan struct{} // capacity 1: standing or up changed, or a gap grew old

	commits chan struct{} // wakes after commits that concern the contact; nil for invites

	again [2]chan struct{} // capacity 1: try now, whatever failed
	taken atomic.Int32     // blocks out of the first queue since the second was polled
	soon  atomic.Bool      // the second queue is to be polled at once

	// before reads the first queue that the contact still writes to, until it
	// knows the new one; nil: it does.
	before atomic.Pointer[inbox]

	mu    sync.Mutex
	up    [2]bool // a push subscription stands on the queue
	since [2]time.Time
	relay [2]directory.RelayID
	down  bool // the last try to subscribe to the first queue failed, or the subscription broke; never without a place
}

func newInbox(m *Messenger, key inboxKey, commits chan struct{}) *inbox {
	return &inbox{m: m, key: key, commits: commits, changed: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}, again: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}}
}

// subscribed tells whether one of the queues pushes.
func (b *inbox) subscribed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up[0] || b.up[1]
}

// subscribedElsewhere tells whether a queue at another relay pushes.
func (b *inbox) subscribedElsewhere(relay directory.RelayID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up[0] && b.relay[0] != relay || b.up[1] && b.relay[1] != relay
}

// pushedFor tells for how long the first queue has pushed.
func (b *inbox) pushedFor() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up[0] {
		return 0
	}
	return time.Since(b.since[0])
}

// pushedFor tells for how long the first queue of a pair has pushed.
func (m *Messenger) pushedFor(key inboxKey) time.Duration {
	m.mu.Lock()
	b := m.inboxes[key]
	m.mu.Unlock()
	if b == nil {
		return 0
	}
	return b.pushedFor()
}

// firstDown tells whether the second queue has to push in place of the first.
func (b *inbox) firstDown() bool {
	if before := b.before.Load(); before != nil && before.isDown() {
		return true
	}
	return b.isDown()
}

func (b *inbox) isDown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

// note records whether a queue pushes, and that the first one failed.
func (b *inbox) note(number int, relay directory.RelayID, up, failed bool) {
	b.mu.Lock()
	before, beforeDown := b.up[number], b.down
	b.up[number], b.relay[number] = up, relay
	if up && !before {
		b.since[number] = time.Now()
	}
	if number == 0 {
		b.down = b.standing.Load() && (failed || b.down && !up)
	}
	after, afterDown := b.up[number], b.down
	b.mu.Unlock()
	if before != after || beforeDown != afterDown {
		wake(b.changed[1-number])
	}
	if beforeDown != afterDown && b.key.old != 0 {
		b.m.wakeInboxes() // the second queue of now may have to stand in
	}
}

// stand gives the pair a place among the standing subscriptions, or takes it: it
// misses none then, such as queues that the contact has left.
func (b *inbox) stand(standing bool) {
	if b.standing.Swap(standing) == standing {
		return
	}
	if !standing {
		b.mu.Lock()
		b.down = false
		b.mu.Unlock()
	}
	b.wake()
}

// retry has both queues tried now.
func (b *inbox) retry() {
	wake(b.again[0])
	wake(b.again[1])
}

func (b *inbox) wake() {
	wake(b.changed[0])
	wake(b.changed[1])
}

// queueState is what a reader knows of its queue.
type queueState struct {
	queue    queueRecord
	gapSince time.Time // zero: nothing is missing
	early    bool      // an invite whose blob is being stored: its reader takes over the circuit
	left     bool      // the contact does not write there any more
}

// state returns the queue of a seed, or false if it is not to be read any more.
func (b *inbox) state(ctx context.Context, number int, seed [32]byte) (queueState, bool) {
	var s queueState
	ok := false
	err := b.m.reading().look(ctx, func(t *turn) error {
		c, i, q := t.book.inbox(b.key, number)
		if q == nil || q.Seed != seed {
			return nil
		}
		s.queue, ok = *q, true
		if c != nil && b.key.old != 0 {
			s.left = c.oldQueues(b.key.old).Left != 0
		}
		s.early = i != nil && !q.Link && !i.tried[number]
		if c != nil {
			s.gapSince = c.gapSince
		}
		return nil
	})
	return s, ok && err == nil
}

// Run reads one of the queues, that of a seed, until ctx ends or the queue is
// not read any more.
func (b *inbox) Run(ctx context.Context, number int, seed [32]byte) {
	fails := 0
	var row failures               // of reading the queue
	var polled, nextPoll time.Time // when the queue was last read empty, and is next
	var ended time.Time            // until when a subscription that was taken over is left alone
	left := false
	for ctx.Err() == nil {
		s, ok := b.state(ctx, number, seed)
		if !ok {
			return
		}
		tm := b.m.timing()
		if s.left && !left {
			left, nextPoll = true, time.Time{}
		}
		wait := time.Hour // for a change
		var err error
		switch {
		case s.early || !s.queue.Made || !b.m.listed(s.queue.Relay):
		case time.Now().Before(ended):
			wait = time.Until(ended)
		case b.standing.Load() && !s.left && (number == 0 || b.firstDown()):
			var stood bool
			began := time.Now()
			stood, err = b.push(ctx, number, s.queue)
			elsewhere := takenOver(err)
			b.note(number, s.queue.Relay, false, err != nil && !elsewhere && ctx.Err() == nil)
			if stood {
				row.clear()
			}
			if stood && time.Since(began) >= tm.steady {
				fails = 0
			}
			if err == nil {
				nextPoll = time.Time{}
				continue
			}
			if elsewhere {
				ended = b.leaveAlone(s.queue.Relay)
				continue
			}
			if stood && fails == 0 && ctx.Err() == nil {
				fails++
				b.failed(ctx, number, &s.queue, &row, err)
				continue // replaced at once, unless that becomes a habit
			}
		default:
			next := nextPoll
			if number == 1 && (b.taken.Load() >= pollBlocks || b.soon.Swap(false)) {
				next = time.Time{}
			}
			if at := s.gapSince.Add(tm.listGap); !s.gapSince.IsZero() && at.After(polled) && at.Before(next) {
				next = at
			}
			if wait = time.Until(next); wait > 0 {
				break
			}
			if err = b.poll(ctx, number, s.queue); err == nil {
				row.clear()
				if left {
					_ = b.m.do(ctx, func(t *turn) error { return t.emptied(b.key, number, s.queue.Seed) })
				}
				fails, polled = 0, time.Now()
				nextPoll = polled.Add(b.m.pollWait(left))
				if number == 1 {
					b.taken.Store(0)
				}
				continue
			}
		}
		if err != nil {
			if fails++; ctx.Err() == nil {
				b.m.log.Debug("a queue cannot be read", errorKey, err)
			}
			b.failed(ctx, number, &s.queue, &row, err)
			wait = backoff(fails, tm.retryMin, tm.retryMax)
			if left { // nothing is expected there
				wait = backoff(fails, tm.quotaMin, tm.quotaMax)
			}
		}
		b.pause(ctx, number, wait, err != nil)
	}
}

// pause waits for a change, or for a time. After a failure only the time counts.
func (b *inbox) pause(ctx context.Context, number int, wait time.Duration, failed bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	changed, commits := b.changed[number], b.commits
	if failed {
		changed = nil
	}
	if failed || number == 0 {
		commits = nil // a gap is a matter of the second queue
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-changed:
	case <-commits:
	case <-b.again[number]:
	}
}

// failed notes what a failure says about the queue: the relay does not know it,
// or cannot be reached while others can.
func (b *inbox) failed(ctx context.Context, number int, q *queueRecord, row *failures, err error) {
	if mailboxRefusedWith(err, mailbox.CodeAuth) {
		_ = b.m.do(ctx, func(t *turn) error { return t.vanished(b.key, number, q.Seed) })
		return
	}
	tm := b.m.timing()
	now := time.Now()
	row.add(now, tm.moveFail)
	if first, enough := row.since(now, tm.moveSpan); enough && b.key.old == 0 && ctx.Err() == nil && b.m.othersWork(q.Relay, first) {
		row.clear()
		_ = b.m.do(ctx, func(t *turn) error { return t.fails(b.key, number, q.Seed, moveUnread) })
	}
}

// takenOver tells whether a relay said that a subscription was opened elsewhere.
func takenOver(err error) bool {
	var ended *mailboxEnded
	return errors.As(err, &ended) && ended.Reason == mailbox.EndTakenOver
}

// leaveAlone says that somebody else subscribed, and returns until when this
// program does not do it again: two that have one profile open would take each
// other's place without end. The second queue is polled meanwhile. A relay can
// lie about it, and is named.
func (b *inbox) leaveAlone(relay directory.RelayID) time.Time {
	if b.key.old == 0 {
		name := directory.RelayNames([]directory.RelayID{relay})[relay]
		b.m.feed.Publish(Event{Type: ErrorEvent, Kind: KindRefused, Detail: "this profile is open elsewhere, says the relay " + Sanitize(name)})
		b.soon.Store(true)
		wake(b.changed[1])
	}
	return time.Now().Add(b.m.timing().takenOver)
}

// pollWait draws when a queue is polled next. All polls together take at most a
// quarter of the ticks of a shaped link. Queues that a contact has left are
// looked at seldom.
func (m *Messenger) pollWait(left bool) time.Duration {
	tm := m.timing()
	if left {
		return between(tm.oldKeep/5, tm.oldKeep/4)
	}
	share := time.Duration(m.polled.Load()) * pollCells * pollShare * m.tick()
	return max(between(tm.pollMin, tm.pollMax), between(share, share*3/2))
}

// open reaches one of the queues; polls let others go first.
func (b *inbox) open(ctx context.Context, number int, q *queueRecord, poll bool) (*post, error) {
	name := inIsolation(b.key.owner, q)
	if strings.HasPrefix(b.key.owner, "i_") {
		name = "in/" + b.key.owner + "/" + strconv.Itoa(number) // as who made it
	}
	p, err := b.m.openPost(ctx, circuit.Request{Isolation: name, Purpose: circuit.Subscribe, Destination: q.Relay, Patient: poll})
	if err == nil && p.Draining() {
		seed := q.Seed
		_ = b.m.do(ctx, func(t *turn) error { return t.fails(b.key, number, seed, moveDraining) })
	}
	return p, err
}

// push keeps a subscription until it fails, until it is not wanted any more (no
// error), or ctx ends, and tells whether it ever stood. Before a circuit grows
// old it opens the next and moves the subscription there.
func (b *inbox) push(ctx context.Context, number int, q queueRecord) (stood bool, err error) {
	p, err := b.open(ctx, number, &q, false)
	if err != nil {
		return false, err
	}
	defer func() { p.Close() }()
	sub, err := b.subscribe(ctx, p, number, &q)
	if err != nil {
		return false, err
	}
	b.note(number, q.Relay, true, false)
	retire := p.route.Retire()
	// The next circuit is opened while the old one serves on.
	ctx, cancel := context.WithCancel(ctx)
	next := make(chan opened, 1)
	opening := false
	defer func() {
		cancel()
		if opening {
			if o := <-next; o.post != nil {
				o.post.Close()
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case first, ok := <-sub.Messages:
			if !ok {
				return true, fmt.Errorf("subscription: %w", sub.Err())
			}
			if err := b.take(ctx, p, number, &q, sub, first); err != nil {
				return true, err
			}
		case <-retire:
			retire, opening = nil, true
			go func() {
				p, err := b.open(ctx, number, &q, false)
				next <- opened{p, err}
			}()
		case o := <-next:
			opening = false
			if o.err != nil {
				continue // the old one serves until it ends
			}
			s, ok := b.state(ctx, number, q.Seed)
			if !ok {
				o.post.Close()
				return true, nil
			}
			if sub, err = b.subscribe(ctx, o.post, number, &s.queue); err != nil {
				o.post.Close()
				return true, err
			}
			p.Close()
			p, retire = o.post, o.post.route.Retire()
		case <-b.changed[number]:
			if !b.standing.Load() || number == 1 && !b.firstDown() {
				return true, nil
			}
			if s, ok := b.state(ctx, number, q.Seed); !ok || s.left {
				return true, nil
			}
		}
	}
}

// subscribe subscribes from the first block that is not committed.
func (b *inbox) subscribe(ctx context.Context, p *post, number int, q *queueRecord) (*mailboxSub, error) {
	ctx, cancel := context.WithTimeout(ctx, b.m.timing().openMail)
	defer cancel()
	sub, err := p.Subscribe(ctx, q.owner(), q.Acked, mailbox.PushWindow)
	if err != nil {
		return nil, err
	}
	b.m.noteOpened(ctx, b.key.owner, number, sub.Opens)
	if sub.Next <= q.Acked {
		if err := b.m.reading().do(ctx, func(t *turn) error { return t.renumbered(b.key, number, q.Seed) }); err != nil {
			return nil, err
		}
		return nil, errors.New("the relay began the queue anew")
	}
	return sub, nil
}

// take commits the blocks that are there, and only then lets the relay delete
// them.
func (b *inbox) take(ctx context.Context, p *post, number int, q *queueRecord, sub *mailboxSub, first mailboxMessage) error {
	blocks := []mailboxMessage{first}
	for len(blocks) < mailbox.PushWindow {
		select {
		case m, ok := <-sub.Messages:
			if ok {
				blocks = append(blocks, m)
				continue
			}
		default:
		}
		break
	}
	if err := b.m.reading().do(ctx, func(t *turn) error { return t.receive(b.key, number, q.Seed, blocks) }); err != nil {
		return err
	}
	if number == 0 && b.taken.Add(int32(len(blocks))) >= pollBlocks {
		wake(b.changed[1])
	}
	b.m.serves(b.key.owner, p.route.Info())
	return p.Ack(ctx, sub.RID, blocks[len(blocks)-1].Seq)
}

// poll reads a queue empty: it lists the ids, fetches what is unknown, and lets
// the relay delete the rest unseen.
func (b *inbox) poll(ctx context.Context, number int, q queueRecord) error {
	if err := b.m.senders.enter(ctx); err != nil {
		return err
	}
	defer b.m.senders.leave()
	p, err := b.open(ctx, number, &q, true)
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*b.m.timing().openMail)
	defer cancel()
	view, _, err := p.Poll(ctx, q.owner(), q.Acked, 0)
	if err != nil {
		return err
	}
	b.m.noteOpened(ctx, b.key.owner, number, view.Opens)
	after := q.Acked
	if view.Next <= after {
		if err := b.m.reading().do(ctx, func(t *turn) error { return t.renumbered(b.key, number, q.Seed) }); err != nil {
			return err
		}
		after = 0
	}
	rid := q.rid()
	for {
		first, ids, err := p.List(ctx, rid, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		last := first + uint64(len(ids)) - 1
		if err := b.fetch(ctx, p, number, q, first, ids); err != nil {
			return err
		}
		if err := p.Ack(ctx, rid, last); err != nil {
			return err
		}
		after = last
	}
}

// fetch downloads and commits the unknown ones of consecutive blocks.
func (b *inbox) fetch(ctx context.Context, p *post, number int, q queueRecord, first uint64, ids []mailbox.MessageID) error {
	var known []bool
	err := b.m.reading().look(ctx, func(t *turn) (err error) {
		known, err = t.known(b.key, number, ids)
		return err
	})
	if err != nil {
		return err
	}
	for at := 0; at < len(ids); {
		run := at
		for run < len(ids) && known[run] == known[at] && run-at < mailbox.PollWindow {
			run++
		}
		last := first + uint64(run) - 1
		if known[at] {
			err = b.m.do(ctx, func(t *turn) error { return t.acknowledged(b.key, number, q.Seed, last) })
		} else {
			err = b.download(ctx, p, number, q, first+uint64(at)-1, run-at)
		}
		if err != nil {
			return err
		}
		at = run
	}
	return nil
}

func (b *inbox) download(ctx context.Context, p *post, number int, q queueRecord, after uint64, count int) error {
	_, blocks, err := p.Poll(ctx, q.owner(), after, count)
	if err != nil || len(blocks) == 0 {
		return err
	}
	return b.m.reading().do(ctx, func(t *turn) error { return t.receive(b.key, number, q.Seed, blocks) })
}
