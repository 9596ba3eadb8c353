package chat

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

// Request is a stranger's wish to become a contact.
type Request struct {
	ID      string    `json:"id"` // "r_…"
	Address string    `json:"address,omitempty"`
	Name    string    `json:"name"` // as the stranger calls themselves
	Text    string    `json:"text"`
	Time    time.Time `json:"time"`
	Effort  int       `json:"effort"` // bits of work, as the relay says
}

const (
	bucketRequest  = "request"
	bucketStranger = "stranger"
)

// Limits of what strangers can make us do (SPEC.md §4.4).
const (
	openRate      = 8                   // containers opened in openEvery
	openEvery     = time.Minute         // not scaled in labs: it bounds work
	requestLimit  = 50                  // pending requests
	recentLimit   = 1024                // containers known to be opened, in memory
	strangersKeep = 35 * 24 * time.Hour // cores of requests are remembered; not scaled, as requests have days
)

// requestRecord is a pending request: a session in which nothing was sent.
type requestRecord struct {
	Address string    `cbor:"1,keyasint"`
	Name    string    `cbor:"2,keyasint,omitempty"` // not sanitized
	Text    string    `cbor:"3,keyasint,omitempty"` // not sanitized
	Time    int64     `cbor:"4,keyasint"`           // Unix milliseconds
	Work    byte      `cbor:"5,keyasint,omitempty"`
	Guest   [32]byte  `cbor:"6,keyasint"` // SHA-256 of the identity key
	State   []byte    `cbor:"7,keyasint"` // session.State
	Queues  [2][]byte `cbor:"8,keyasint"` // session.QAddr; empty: none
}

// request is a pending request, owned by the keeper.
type request struct {
	id  string
	rec requestRecord
}

// strangers is what is remembered of people who are no contacts.
type strangers struct {
	cores   map[[32]byte]int64    // requests that were taken: Unix seconds
	blocked map[[32]byte]struct{} // hashes of identity keys

	// Of this run.
	opened []time.Time           // when containers were opened, in the last minute
	recent map[[32]byte]struct{} // containers that were opened
	order  [][32]byte            // keys of recent, oldest first
}

func (b *book) loadRequests(tx *store.Tx) error {
	if err := b.loadAddresses(tx); err != nil {
		return err
	}
	b.strangers = &strangers{cores: make(map[[32]byte]int64), blocked: make(map[[32]byte]struct{}), recent: make(map[[32]byte]struct{})}
	err := tx.Bucket(bucketRequest).Each(func(id string, raw []byte) error {
		r := &request{id: id}
		b.requests[id] = r
		return decode(raw, &r.rec)
	})
	if err != nil {
		return err
	}
	return tx.Bucket(bucketStranger).Each(func(name string, raw []byte) error {
		var at int64
		hash, err := hex.DecodeString(name[min(1, len(name)):])
		if err != nil || len(hash) != 32 {
			return nil //nolint:nilerr // no row of ours
		}
		if err := decode(raw, &at); err != nil {
			return err
		}
		if name[0] == strangerBlocked {
			b.strangers.blocked[[32]byte(hash)] = struct{}{}
		} else {
			b.strangers.cores[[32]byte(hash)] = at
		}
		return nil
	})
}

// The kinds of rows in bucketStranger, before the hash.
const (
	strangerCore    = 'c'
	strangerBlocked = 'b'
)

func (t *turn) rememberStranger(kind byte, hash [32]byte) error {
	if kind == strangerBlocked {
		t.book.strangers.blocked[hash] = struct{}{}
	} else {
		t.book.strangers.cores[hash] = t.now.Unix()
	}
	return t.tx.Bucket(bucketStranger).Put(string(rune(kind))+hex.EncodeToString(hash[:]), encode(t.now.Unix()))
}

// forgetStrangers forgets cores of requests that would be refused for their age.
func (t *turn) forgetStrangers() error {
	for core, at := range t.book.strangers.cores {
		if t.now.Sub(time.Unix(at, 0)) < strangersKeep+24*time.Hour {
			continue
		}
		delete(t.book.strangers.cores, core)
		if err := t.tx.Bucket(bucketStranger).Delete(string(rune(strangerCore)) + hex.EncodeToString(core[:])); err != nil {
			return err
		}
	}
	return nil
}

// mayOpen tells whether a container may be opened now, and counts it.
func (s *strangers) mayOpen(now time.Time) bool {
	for len(s.opened) > 0 && now.Sub(s.opened[0]) >= openEvery {
		s.opened = s.opened[1:]
	}
	return len(s.opened) < openRate
}

// once tells whether a container was opened before, and notes that it is now.
func (s *strangers) once(container []byte) bool {
	sum := sha256.Sum256(container)
	if _, known := s.recent[sum]; known {
		return false
	}
	if len(s.order) >= recentLimit {
		delete(s.recent, s.order[0])
		s.order = s.order[1:]
	}
	s.recent[sum] = struct{}{}
	s.order = append(s.order, sum)
	return true
}

// takeStrangers takes blocks out of a queue of an address, as far as containers
// may be opened now and there is room for requests, and returns how many it
// took. What there is no room for stays at the relay, where the price rises: it
// would not come again, since relays know it for longer than it is repeated.
// Nothing goes back to who sent them, whatever they hold.
func (t *turn) takeStrangers(a *address, q *queueRecord, blocks []mailboxMessage) (taken int, err error) {
	s := t.book.strangers
	for _, b := range blocks {
		if !s.mayOpen(t.now) || len(t.book.requests) >= requestLimit && t.leastRequest().rec.Work >= b.Work {
			break
		}
		q.Acked = max(q.Acked, b.Seq)
		taken++
		inner, err := session.OpenBlock(session.QueueKeyFrom(q.Key), q.SID, b.Block[:])
		if err != nil {
			continue // only who has the link could write it
		}
		container, err := a.parts.Add(t.now, inner)
		if err != nil || container == nil || !s.once(container) {
			continue
		}
		s.opened = append(s.opened, t.now)
		got, err := a.secret.Accept(t.m.snapshotTime(t.now), session.Config{Lab: t.m.isLab()}, container)
		if err != nil {
			t.m.log.Debug("a contact request does not hold")
			continue
		}
		if err := t.addRequest(a, got, b.Work); err != nil {
			return taken, err
		}
	}
	a.rec.Parts = a.parts.Append(nil)
	return taken, t.saveAddress(a)
}

// addRequest keeps a request that proved itself, unless it came before or its
// sender is blocked. When there are too many, the one with the least work gives
// way to one with more.
func (t *turn) addRequest(a *address, got *session.Accepted, work byte) error {
	s := t.book.strangers
	if _, known := s.cores[got.Core]; known {
		return nil
	}
	if _, blocked := s.blocked[got.Guest()]; blocked {
		return nil
	}
	if len(t.book.requests) >= requestLimit {
		least := t.leastRequest()
		if least.rec.Work >= work {
			return nil
		}
		if err := t.dropRequest(least); err != nil {
			return err
		}
	}
	if err := t.rememberStranger(strangerCore, got.Core); err != nil {
		return err
	}
	r := &request{id: newID("r_"), rec: requestRecord{
		Address: a.id, Name: got.Name, Text: got.Hello, Time: t.now.UnixMilli(), Work: work,
		Guest: got.Guest(), State: got.State.Append(nil),
	}}
	for n, q := range got.Queues {
		if !q.IsZero() {
			r.rec.Queues[n] = q.Append(nil)
		}
	}
	t.book.requests[r.id] = r
	shape := shapeRequest(r)
	t.publish(Event{Type: RequestReceived, Request: &shape})
	return t.tx.Bucket(bucketRequest).Put(r.id, encode(r.rec))
}

// leastRequest is the pending request with the least work, the youngest of several.
func (t *turn) leastRequest() *request {
	return slices.MinFunc(slices.Collect(maps.Values(t.book.requests)), func(x, y *request) int {
		return cmp.Or(cmp.Compare(x.rec.Work, y.rec.Work), cmp.Compare(y.rec.Time, x.rec.Time), cmp.Compare(x.id, y.id))
	})
}

func (t *turn) dropRequest(r *request) error {
	delete(t.book.requests, r.id)
	return t.tx.Bucket(bucketRequest).Delete(r.id)
}

func shapeRequest(r *request) Request {
	return Request{
		ID: r.id, Address: r.rec.Address, Name: SanitizeName(r.rec.Name), Text: Sanitize(r.rec.Text),
		Time: time.UnixMilli(r.rec.Time).UTC(), Effort: int(r.rec.Work),
	}
}

// Requests lists the pending requests, oldest first.
func (m *Messenger) Requests(ctx context.Context) ([]Request, error) {
	list := []Request{}
	err := m.look(ctx, func(t *turn) error {
		for _, r := range t.book.requests {
			list = append(list, shapeRequest(r))
		}
		return nil
	})
	slices.SortFunc(list, func(x, y Request) int { return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.ID, y.ID)) })
	return list, err
}

var errNoRequest = &Error{Kind: KindNotFound, Text: "there is no such request"}

// AcceptRequest makes a contact of a request, under the given name or else the
// one that the stranger chose. It fails with not_found or exists.
func (m *Messenger) AcceptRequest(ctx context.Context, id, name string) (Contact, error) {
	name, refused := checkName(name)
	if refused != nil {
		return Contact{}, refused
	}
	var shape Contact
	err := m.do(ctx, func(t *turn) (err error) {
		shape, err = t.acceptRequest(id, name)
		return err
	})
	return shape, err
}

func (t *turn) acceptRequest(id, name string) (Contact, error) {
	r := t.book.requests[id]
	if r == nil {
		return Contact{}, errNoRequest
	}
	if name != "" && t.book.nameTaken(name, "") {
		return Contact{}, &Error{Kind: KindExists, Text: "there is a contact of that name", Hint: "choose another name"}
	}
	state, err := session.ParseState(r.rec.State)
	if err != nil {
		return Contact{}, err
	}
	c := newContact(newID("c_"))
	c.session = state
	c.rec = contactRecord{
		Name: t.book.freeName(cmp.Or(name, SanitizeName(r.rec.Name)), ""), State: ContactActive, Active: t.now.Unix(),
		Via: &viaRecord{Address: r.rec.Address},
	}
	for n := range r.rec.Queues {
		c.rec.Peer[n].Addr = r.rec.Queues[n]
	}
	if err := c.address(); err != nil {
		return Contact{}, err
	}
	if err := t.addContact(c); err != nil {
		return Contact{}, err
	}
	if err := t.rotateIdentity(c); err != nil {
		return Contact{}, err
	}
	if err := t.dropRequest(r); err != nil {
		return Contact{}, err
	}
	t.roster, t.met = true, true
	shape := shapeContact(c)
	t.publish(Event{Type: ContactAdded, Contact: &shape})
	if text := r.rec.Text; text != "" {
		if err := t.addMessage(c, messageRecord{Kind: kindNotice, Text: "asked through your address: " + text}); err != nil {
			return Contact{}, err
		}
	}
	return shape, t.fill(c)
}

// RejectRequest drops a request without a word to the stranger; block refuses the
// same key for ever.
func (m *Messenger) RejectRequest(ctx context.Context, id string, block bool) error {
	return m.do(ctx, func(t *turn) error {
		r := t.book.requests[id]
		if r == nil {
			return errNoRequest
		}
		if block {
			if err := t.rememberStranger(strangerBlocked, r.rec.Guest); err != nil {
				return err
			}
		}
		return t.dropRequest(r)
	})
}
