package chat

import (
	"cmp"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

// Names of buckets in the store (SPEC.md §3). Those that end in a slash are
// followed by a contact's id.
const (
	bucketMeta    = "meta"
	bucketContact = "contact"
	bucketSession = "session"
	bucketInvite  = "invite"
	bucketOutbox  = "outbox/"
	bucketWaiting = "waiting/"
	bucketHeld    = "held/"
	bucketSeen    = "seen/"
	bucketParked  = "parked/"

	metaCover   = "cover"
	metaEvents  = "events"
	metaNetwork = "network"
	metaOrder   = "order"
	metaSpeed   = "speed"
)

// book is all durable state in memory, with what can be had again after a
// crash beside it. The keeper owns it.
type book struct {
	contacts  map[string]*contact
	invites   map[string]*invite
	farewells map[string]*farewellRecord
	groups    map[string]*group
	files     map[string]*file
	filesDue  time.Time // when they are next looked at
	erased    []string  // spools of files that are gone
	requests  map[string]*request
	addresses map[string]*address
	strangers *strangers
	trash     map[string]*trashRecord // queues to be deleted
	order     uint64                  // of the last contact
	reserved  uint64                  // event numbers below or at it are reserved on disk
	events    eventLog
	keyEpochs []int64               // epochs that have rows of idempotency keys
	tails     map[string]*indexTail // by conversation; made when first needed
	expiry    time.Time             // when a message disappears next; zero: look
	planned   uint64                // removals that were planned in this run, and a random number

	locked   bool // only queues of ours are known
	queued   int  // while locked: messages that exist only here
	restored int  // 0, restoredBackup or restoredCopy: sessions are to begin anew

	boxed   bool // there is something that came while the profile was locked
	boxSize int  // bytes of it that were sealed since the lock
}

// contact is one contact. All fields belong to the keeper but for wakes, whose
// channels anybody may use.
type contact struct {
	id      string
	rec     contactRecord
	session *session.State // nil until the request was made
	out     map[uint64]*outgoing
	order   []uint64  // keys of out, rising
	waiting []waiting // messages not yet sealed, in order
	held    map[uint64]*held
	seen    seen
	parked  map[uint64]parked
	gaveUp  map[uint64]gaveUpRecord // by seq
	doubted []*outgoing             // acknowledged while the session was in doubt (SPEC.md §15.4)
	trusts  time.Time               // when they are dropped; zero: the session is in doubt
	alive   time.Time               // when a block of the contact last opened

	own   map[uint64]*ownMessage // own messages that are neither delivered nor failed
	left  map[uint64]struct{}    // those of which a frame left the outbox since they were settled
	wants int                    // copies of each, when they were settled; 0: none were
	slots [2]slot
	wakes *wakes

	ended map[logKey][]logRecord // ledgers of messages whose last frame left the outbox in this turn

	safety   string    // the safety number, once asked for: it is slow to compute
	ack      []byte    // inner block of a pure acknowledgement for the writer
	ackTries int       // how often it left without an answer
	ackAt    time.Time // when the next one is due; zero: none
	ackLast  time.Time
	ackAgain time.Time // when a repeated block was last acknowledged again
	stalled  bool      // it was logged that the contact withholds a post-quantum step
	controls time.Time // when the session is next asked for control messages
	gapEnds  time.Time // when held messages stop waiting; zero: nothing waits
	gapSince time.Time // since when a seq is missing; zero: none is
}

// wakes are the signals of a contact's workers; they survive a reload.
type wakes struct {
	write [2]chan struct{}
	read  chan struct{}
	setup chan struct{}
}

func newWakes() *wakes {
	w := &wakes{read: make(chan struct{}, 1), setup: make(chan struct{}, 1)}
	for i := range w.write {
		w.write[i] = make(chan struct{}, 1)
	}
	return w
}

func (c *contact) wakeAll() {
	for _, ch := range c.wakes.write {
		wake(ch)
	}
	wake(c.wakes.setup)
	wake(c.wakes.read)
}

// outgoing is a frame or a block of a request on its way.
type outgoing struct {
	seq    uint64
	rec    outRecord
	due    [2]time.Time // not sent to this slot before
	passed bool         // the contact has three later frames
	got    [2]*custody  // the parsed receipts
}

// waiting is a message that is not sealed yet. The content stays on disk.
type waiting struct {
	row    uint64 // of bucketWaiting
	number uint64 // as in waitRecord
	group  string
	says   uint64 // number of a message whose new text or reaction it is; 0: none
	need   int    // frames; 0: not known
}

// addOut puts a frame into the outbox in memory, or replaces it.
func (c *contact) addOut(o *outgoing) {
	if at, found := slices.BinarySearch(c.order, o.seq); !found {
		c.order = slices.Insert(c.order, at, o.seq)
	}
	c.out[o.seq] = o
}

// dropOut takes a frame out of the outbox in memory.
func (c *contact) dropOut(seq uint64) {
	if at, found := slices.BinarySearch(c.order, seq); found {
		c.order = slices.Delete(c.order, at, at+1)
	}
	delete(c.out, seq)
}

// held is a received frame that waits, with the time of its arrival.
type held struct {
	rec    heldRecord
	since  time.Time
	stored bool
}

type parked struct {
	inner []byte
	since time.Time
}

// ownMessage is what was last told about a message of ours.
type ownMessage struct {
	number uint64
	state  MessageState
	copies Copies
}

// slot is one queue of the contact that we write to.
type slot struct {
	addr    session.QAddr // zero: none
	phase   time.Duration // of the steps on which second copies go out to addr, in this run
	rests   time.Time     // not tried before
	fails   int           // in a row
	reason  string        // why it rests, in words
	full    bool          // it rests because it is full
	since   time.Time     // since when it fails
	refused bool          // by its relay, which does not know the queue
	worked  time.Time     // when its relay last signed for a block
}

// invite is an open invite of ours.
type invite struct {
	id     string
	rec    inviteRecord
	secret *session.Invite
	parts  *session.RequestAssembler
	tried  [2]bool // to store the blob at this relay, in this run
}

func newContact(id string) *contact {
	return &contact{
		id: id, out: make(map[uint64]*outgoing), held: make(map[uint64]*held), seen: newSeen(),
		parked: make(map[uint64]parked), gaveUp: make(map[uint64]gaveUpRecord), own: make(map[uint64]*ownMessage), left: make(map[uint64]struct{}), wakes: newWakes(),
	}
}

// sorted returns the contacts in the order in which they were added.
func (b *book) sorted() []*contact {
	return slices.SortedFunc(maps.Values(b.contacts), func(x, y *contact) int { return cmp.Compare(x.rec.Order, y.rec.Order) })
}

// adopt takes over what lives only in memory from the book that b replaces.
func (b *book) adopt(old *book) {
	b.adoptFiles(old)
	for id, c := range b.contacts {
		if o, ok := old.contacts[id]; ok {
			c.wakes = o.wakes
			c.ackLast, c.ackAgain = o.ackLast, o.ackAgain
			for i := range c.slots {
				c.slots[i].rests, c.slots[i].fails, c.slots[i].reason = o.slots[i].rests, o.slots[i].fails, o.slots[i].reason
			}
			c.wakeAll()
		}
	}
}

// loadBook reads everything but the history.
func loadBook(s *store.Store) (*book, error) {
	b := &book{
		planned:  mathrand.Uint64(),
		contacts: make(map[string]*contact), invites: make(map[string]*invite),
		groups: make(map[string]*group), files: make(map[string]*file), requests: make(map[string]*request),
		trash: make(map[string]*trashRecord),
	}
	return b, s.View(func(tx *store.Tx) error {
		empty, err := tx.Box(bucketBox).Empty()
		if err != nil {
			return err
		}
		b.boxed = !empty
		if err := b.loadRestored(tx); err != nil {
			return err
		}
		meta := tx.Bucket(bucketMeta)
		for name, v := range map[string]*uint64{metaEvents: &b.reserved, metaOrder: &b.order} {
			raw, err := meta.Get(name)
			if err != nil {
				return err
			}
			if raw != nil {
				if err := decode(raw, v); err != nil {
					return err
				}
			}
		}
		err = tx.Bucket(bucketContact).Each(func(id string, raw []byte) error {
			c, err := loadContact(tx, id, raw)
			b.contacts[id] = c
			return err
		})
		if err != nil {
			return err
		}
		err = tx.Bucket(bucketInvite).Each(func(id string, raw []byte) error {
			i, err := loadInvite(id, raw)
			b.invites[id] = i
			return err
		})
		if err != nil {
			return err
		}
		err = tx.Bucket(bucketTrash).Each(func(tag string, raw []byte) error {
			b.trash[tag] = &trashRecord{}
			return decode(raw, b.trash[tag])
		})
		if err != nil {
			return err
		}
		for _, load := range []func(*store.Tx) error{b.loadGroups, b.loadFarewells, b.loadFiles, b.loadRequests, b.loadEvents} {
			if err := load(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func loadInvite(id string, raw []byte) (*invite, error) {
	i := &invite{id: id, parts: &session.RequestAssembler{}}
	if err := decode(raw, &i.rec); err != nil {
		return nil, err
	}
	var err error
	if i.secret, err = session.ParseInvite(i.rec.Secret); err != nil {
		return nil, fmt.Errorf("read invite: %w", err)
	}
	if i.rec.Parts != nil {
		if i.parts, err = session.ParseRequestAssembler(i.rec.Parts); err != nil {
			return nil, fmt.Errorf("read invite: %w", err)
		}
	}
	return i, nil
}

func loadContact(tx *store.Tx, id string, raw []byte) (*contact, error) {
	c := newContact(id)
	if err := decode(raw, &c.rec); err != nil {
		return nil, err
	}
	if err := c.address(); err != nil {
		return nil, err
	}
	state, err := tx.Bucket(bucketSession).Get(id)
	if err != nil {
		return nil, err
	}
	if state != nil {
		if c.session, err = session.ParseState(state); err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
	}
	now := time.Now()
	err = each(tx, bucketOutbox+id, func(seq uint64, raw []byte) error {
		o := &outgoing{seq: seq}
		c.addOut(o)
		if err := decode(raw, &o.rec); err != nil {
			return err
		}
		return o.parse()
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketWaiting+id, func(n uint64, raw []byte) error {
		var w waitRecord
		if err := decode(raw, &w); err != nil {
			return err
		}
		c.waiting = append(c.waiting, w.waiting(n))
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketHeld+id, func(seq uint64, raw []byte) error {
		h := &held{since: now, stored: true}
		c.held[seq] = h
		return decode(raw, &h.rec)
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketParked+id, func(n uint64, inner []byte) error {
		c.parked[n] = parked{inner: inner, since: now}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketGaveUp+id, func(seq uint64, raw []byte) error {
		var g gaveUpRecord
		err := decode(raw, &g)
		c.gaveUp[seq] = g
		return err
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketSeen+id, func(n uint64, raw []byte) error {
		row, err := parseSeen(raw)
		c.seen.add(n, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.recount()
	if len(c.held) > 0 {
		c.gapEnds = now
	}
	if c.rec.AckDue || c.session != nil && c.session.AckOwed() {
		c.ackAt = now
	}
	return c, nil
}

// recount takes the receipts on disk for what was last told about the messages
// that are on their way.
func (c *contact) recount() {
	want := c.want()
	for _, w := range c.waiting {
		if w.number != 0 && w.group == "" {
			c.own[w.number] = &ownMessage{number: w.number, state: Queued, copies: Copies{Want: want}}
		}
	}
	for _, o := range c.out {
		number, have := o.rec.Number, 0
		if number == 0 || o.rec.Group != "" {
			continue
		}
		for _, g := range o.got {
			if g != nil {
				have++
			}
		}
		if own := c.own[number]; own == nil || have < own.copies.Have {
			c.own[number] = &ownMessage{number: number, state: Stored, copies: Copies{Have: have, Want: want}}
		}
		if have == 0 {
			c.own[number].state = Queued
		}
	}
}

// address parses the contact's queues.
func (c *contact) address() error {
	for i, p := range c.rec.Peer {
		c.slots[i].addr = session.QAddr{}
		if len(p.Addr) == 0 {
			continue
		}
		a, err := session.ParseQAddr(p.Addr)
		if err != nil {
			return fmt.Errorf("read contact: %w", err)
		}
		c.slots[i].addr, c.slots[i].phase = a, between(0, time.Minute)
	}
	return nil
}

// want is how many copies of a message are made.
func (c *contact) want() int {
	n := 0
	for i := range c.slots {
		if !c.slots[i].addr.IsZero() {
			n++
		}
	}
	return n
}

func each(tx *store.Tx, name string, fn func(n uint64, value []byte) error) error {
	return tx.Sequence(name).Up(0, func(n uint64, value []byte) (bool, error) {
		return true, fn(n, value)
	})
}
