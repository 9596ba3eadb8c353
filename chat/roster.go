package chat

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// rosterEvery is how often the standing subscriptions are given out anew while
// there are more inboxes than places.
const rosterEvery = time.Minute

// roster keeps one worker for everything that has to reach the network: per
// contact a setup and two writers, per pair of queues two readers, per invite
// two linkers. It alone starts and ends them.
type roster struct {
	m       *Messenger
	workers map[string]*worker
	wg      sync.WaitGroup
}

type worker struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// wanted is what should run, by the book.
type wanted struct {
	contacts map[string]*wakes
	setups   map[string]bool
	inboxes  []wantedInbox // most recently active first
	links    []string      // invites whose blob a relay still lacks
	moves    []string      // contacts with a queue that is to take the place of another
	sweeps   bool          // queues are to be deleted

	// others are workers of other kinds, such as transfers of files, by a name
	// that says what they work on.
	others map[string]func(context.Context)
}

type wantedInbox struct {
	key     inboxKey
	queues  [2]*[32]byte // seeds; nil: none is read
	pushes  bool         // a subscription is wanted
	before  uint32       // see inbox.before; 0: none
	active  int64
	commits chan struct{} // nil for invites
}

// Run keeps the workers until ctx ends, and waits for them.
func (r *roster) Run(ctx context.Context) {
	defer r.wg.Wait()
	ticker := time.NewTicker(rosterEvery)
	defer ticker.Stop()
	for {
		if w, err := r.m.wanted(ctx); err == nil {
			r.apply(ctx, w)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.m.roster:
		case <-ticker.C:
		}
	}
}

func (m *Messenger) wanted(ctx context.Context) (w wanted, err error) {
	w.contacts, w.setups, w.others = make(map[string]*wakes), make(map[string]bool), make(map[string]func(context.Context))
	err = m.reading().look(ctx, func(t *turn) error {
		if t.book.locked {
			t.lockedWorkers(&w)
			return nil
		}
		for _, c := range t.book.contacts {
			w.contacts[c.id] = c.wakes
			w.setups[c.id] = c.rec.Claim != nil || !c.rec.Own[0].Made || !c.rec.Own[1].Made
			if c.session != nil { // else nobody knows the queues yet
				w.addInboxes(c)
			}
			if c.rec.Move != nil && (c.rec.Move.Slots[0].Next != nil || c.rec.Move.Slots[1].Next != nil) {
				w.moves = append(w.moves, c.id)
			}
		}
		w.sweeps = len(t.book.trash) > 0
		life := inviteLife
		if m.isLab() {
			life /= 60
		}
		for _, i := range t.book.invites {
			in := wantedInbox{key: inboxKey{owner: i.id}, pushes: true, active: i.rec.Expires - int64(life/time.Second)}
			for n := range i.rec.Queues {
				q := &i.rec.Queues[n]
				if q.exists() {
					seed := q.Seed
					in.queues[n] = &seed
				}
				if q.exists() && !q.Link {
					w.links = append(w.links, fmt.Sprintf("%s/%d", i.id, n))
				}
			}
			w.inboxes = append(w.inboxes, in)
		}
		t.fileWorkers(&w)
		t.dropWorkers(&w)
		t.addressWorkers(&w)
		t.askWorkers(&w)
		t.introWorkers(&w)
		t.farewellWorkers(&w)
		return nil
	})
	slices.SortFunc(w.inboxes, func(a, b wantedInbox) int {
		return cmp.Or(cmp.Compare(b.active, a.active), cmp.Compare(a.key.owner, b.key.owner), cmp.Compare(a.key.old, b.key.old))
	})
	return w, err
}

// addInboxes adds the pairs of queues of a contact.
func (w *wanted) addInboxes(c *contact) {
	add := func(id uint32, pair *[2]queueRecord, pushes bool) *wantedInbox {
		in := wantedInbox{key: inboxKey{c.id, id}, pushes: pushes, active: c.rec.Active, commits: c.wakes.read}
		for n := range pair {
			if pair[n].exists() && pair[n].Made {
				seed := pair[n].Seed
				in.queues[n] = &seed
			}
		}
		if in.queues[0] == nil && in.queues[1] == nil {
			return nil
		}
		w.inboxes = append(w.inboxes, in)
		return &w.inboxes[len(w.inboxes)-1]
	}
	var before uint32
	for i := range c.rec.Old {
		old := &c.rec.Old[i]
		pushes := old.Left == 0 && old.Queues[0].exists()
		if pushes && old.Queues[0].InUse {
			before = old.ID
		}
		add(old.ID, &old.Queues, pushes)
	}
	if in := add(0, &c.rec.Own, true); in != nil && !c.rec.Own[0].InUse {
		in.before = before
	}
}

// apply starts what is missing and ends what is not wanted.
func (r *roster) apply(ctx context.Context, w wanted) {
	want := make(map[string]func(context.Context))
	for id, wakes := range w.contacts {
		for slot := range 2 {
			want[fmt.Sprintf("write/%s/%d", id, slot)] = (&writer{m: r.m, contact: id, slot: slot, wakes: wakes}).Run
		}
		if w.setups[id] {
			want["setup/"+id] = (&setup{m: r.m, contact: id, wakes: wakes}).Run
		}
	}
	for _, id := range w.links {
		want["link/"+id] = (&linker{m: r.m, invite: id[:len(id)-2], number: int(id[len(id)-1] - '0')}).Run
	}
	place, polled := 0, 0
	for _, in := range w.inboxes {
		b := r.m.inbox(in)
		standing := in.pushes && place < standingLimit
		if in.pushes {
			place++
		}
		b.stand(standing)
		for n, seed := range in.queues {
			if seed == nil {
				continue
			}
			if n == 1 || !standing {
				polled++
			}
			name := fmt.Sprintf("read/%s/%d/%d/%s", in.key.owner, in.key.old, n, (&queueRecord{Seed: *seed}).tag())
			want[name] = func(ctx context.Context) { b.Run(ctx, n, *seed) }
		}
	}
	for _, in := range w.inboxes {
		var before *inbox
		if in.before != 0 {
			before = r.m.inbox(wantedInbox{key: inboxKey{in.key.owner, in.before}, commits: in.commits})
		}
		if b := r.m.inbox(in); b.before.Swap(before) != before {
			b.wake()
		}
	}
	r.m.polled.Store(int32(polled))
	for _, id := range w.moves {
		want["move/"+id] = (&mover{m: r.m, contact: id}).Run
	}
	if w.sweeps {
		want["sweep"] = (&sweeper{m: r.m}).Run
	}
	maps.Copy(want, w.others)
	r.m.keepInboxes(w.inboxes)
	for name, wk := range r.workers {
		select {
		case <-wk.done:
			delete(r.workers, name)
			continue
		default:
		}
		if want[name] == nil {
			wk.cancel()
			<-wk.done
			delete(r.workers, name)
		}
	}
	for name, run := range want {
		if r.workers[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		wk := &worker{cancel: cancel, done: make(chan struct{})}
		r.workers[name] = wk
		r.wg.Go(func() {
			defer close(wk.done)
			defer cancel()
			run(ctx)
		})
	}
}

// inbox returns the reader of a pair of queues.
func (m *Messenger) inbox(in wantedInbox) *inbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.inboxes[in.key]
	if b == nil {
		b = newInbox(m, in.key, in.commits)
		m.inboxes[in.key] = b
	}
	return b
}

// keepInboxes forgets the readers of queues that are not ours any more.
func (m *Messenger) keepInboxes(in []wantedInbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.inboxes {
		if !slices.ContainsFunc(in, func(w wantedInbox) bool { return w.key == key }) {
			delete(m.inboxes, key)
		}
	}
}

// subscribedOwners returns the contacts and invites that have a standing
// subscription on one of their queues.
func (m *Messenger) subscribedOwners() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	up := make(map[string]bool)
	for key, b := range m.inboxes {
		if key.old == 0 && !b.standing.Load() || b.subscribed() {
			up[key.owner] = true // without a place none is due
		}
	}
	return up
}
