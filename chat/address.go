package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
	"hearsay/relay/mailbox"
)

// Address is a permanent address of ours, which any number of people may use to
// ask for contact.
type Address struct {
	ID     string `json:"id"` // "a_…"
	Link   string `json:"link"`
	Label  string `json:"label,omitempty"`
	Effort int    `json:"effort"`          // bits of work that a request costs at least
	State  string `json:"state,omitempty"` // making, published, with the reason in words if it is not
}

const bucketAddress = "address"

// Limits and times of addresses (SPEC.md §4.3). Lab networks divide the times by
// 60, as the lives of queues.
const (
	addressLimit  = 4                   // addresses of one profile: each is read and published all the time
	addressRotate = 7 * 24 * time.Hour  // between two bundles
	addressLife   = 28 * 24 * time.Hour // a bundle may be opened for so long
	addressKeep   = 28 * 24 * time.Hour // keys of replaced bundles are kept for so long
	addressGone   = time.Hour           // a queue whose relay is not listed for so long is made elsewhere
)

// addressRecord is a permanent address of ours.
type addressRecord struct {
	Label   string         `cbor:"1,keyasint,omitempty"`
	Secret  []byte         `cbor:"2,keyasint"`            // session.Address
	Blob    []byte         `cbor:"3,keyasint"`            // of the newest bundle
	Queues  [2]queueRecord `cbor:"4,keyasint"`            // Link: the relay has that blob
	Order   int64          `cbor:"5,keyasint"`            // Unix nanoseconds of its making
	Rotated int64          `cbor:"6,keyasint"`            // Unix seconds of the newest bundle
	Parts   []byte         `cbor:"7,keyasint,omitempty"`  // session.RequestAssembler
	Records []publicRecord `cbor:"8,keyasint,omitempty"`  // by period, rising
	Stale   bool           `cbor:"9,keyasint,omitempty"`  // a queue of the newest bundle is not the one that is read
	Lost    [2]int64       `cbor:"10,keyasint"`           // Unix seconds since when the queue's relay is not listed; 0: it is
	Least   uint32         `cbor:"11,keyasint,omitempty"` // least seq of the next bundle, after a restore
}

// address is a permanent address of ours, owned by the keeper.
type address struct {
	id      string
	rec     addressRecord
	secret  *session.Address
	parts   *session.RequestAssembler
	problem string // why it cannot be reached, in words; of this run
}

// viaRecord says how a contact came, if not by a one-time invite.
type viaRecord struct {
	Address string `cbor:"1,keyasint,omitempty"` // they asked through this address of ours
	Asked   bool   `cbor:"2,keyasint,omitempty"` // we asked through an address of theirs
}

func (b *book) loadAddresses(tx *store.Tx) error {
	b.addresses = make(map[string]*address)
	return tx.Bucket(bucketAddress).Each(func(id string, raw []byte) error {
		a := &address{id: id, parts: &session.RequestAssembler{}}
		if err := decode(raw, &a.rec); err != nil {
			return err
		}
		var err error
		if a.secret, err = session.ParseSecretAddress(a.rec.Secret); err != nil {
			return fmt.Errorf("read address: %w", err)
		}
		if a.rec.Parts != nil {
			if a.parts, err = session.ParseRequestAssembler(a.rec.Parts); err != nil {
				return fmt.Errorf("read address: %w", err)
			}
		}
		b.addresses[id] = a
		return nil
	})
}

func (t *turn) saveAddress(a *address) error {
	return t.tx.Bucket(bucketAddress).Put(a.id, encode(a.rec))
}

// change changes an address, if it is still there.
func (m *Messenger) changeAddress(ctx context.Context, id string, run func(t *turn, a *address) error) error {
	return m.do(ctx, func(t *turn) error {
		a := t.book.addresses[id]
		if a == nil {
			return nil
		}
		if err := run(t, a); err != nil {
			return err
		}
		return t.saveAddress(a)
	})
}

// addressTime is a time of addresses in this network.
func (m *Messenger) addressTime(d time.Duration) time.Duration {
	if m.isLab() {
		return d / 60
	}
	return d
}

// leastWork is what a request to an address of ours costs at least.
func (m *Messenger) leastWork() int {
	if m.isLab() {
		return 0
	}
	return mailbox.GrantBits
}

// CreateAddress makes a permanent address and returns once a relay has its
// bundle; label stays on this disk. It needs the network as CreateInvite does.
func (m *Messenger) CreateAddress(ctx context.Context, label string) (Address, error) {
	label, refused := checkName(label)
	if refused != nil {
		return Address{}, refused
	}
	err := m.look(ctx, func(t *turn) error {
		if len(t.book.addresses) >= addressLimit {
			return &Error{Kind: KindLimit, Text: fmt.Sprintf("there are %d addresses already", addressLimit), Hint: "revoke one first"}
		}
		return nil
	})
	if err != nil {
		return Address{}, err
	}
	ctx, cancel := m.linkTime(ctx)
	defer cancel()
	m.warmUp()
	a, err := m.createAddress(ctx, label)
	if err != nil && context.Cause(ctx) == errInviteTimeout {
		return Address{}, m.noRelayTook("no relay took the address")
	}
	return a, err
}

func (m *Messenger) createAddress(ctx context.Context, label string) (Address, error) {
	a := &address{id: newID("a_"), parts: &session.RequestAssembler{}}
	queues, err := m.inviteQueues(ctx, a.id, mailbox.KindAddress)
	if err != nil {
		return Address{}, err
	}
	now := time.Now()
	expires := m.snapshotTime(now).Add(m.addressTime(addressLife))
	pair := [2]session.QAddr{queues[0].addr(), queues[1].addr()}
	if a.secret, err = session.NewAddress(rand.Reader, m.link.ID, pair, expires, m.leastWork()); err != nil {
		return Address{}, fmt.Errorf("make address: %w", err)
	}
	a.rec = addressRecord{Label: label, Queues: queues, Order: now.UnixNano(), Rotated: now.Unix()}
	var shape Address
	err = m.do(ctx, func(t *turn) error {
		if err := a.reseal(); err != nil {
			return err
		}
		t.book.addresses[a.id] = a
		t.roster = true
		shape = t.shapeAddress(a)
		return t.saveAddress(a)
	})
	if err != nil {
		return Address{}, err
	}
	select {
	case <-m.linked(a.id):
		shape.State = "published"
		return shape, nil
	case <-ctx.Done():
		_ = m.RevokeAddress(context.WithoutCancel(ctx), a.id)
		return Address{}, ctx.Err()
	}
}

// reseal takes over what changed in the secret half.
func (a *address) reseal() error {
	blob, err := a.secret.SealBlob(rand.Reader)
	if err != nil {
		return fmt.Errorf("seal address: %w", err)
	}
	a.rec.Secret, a.rec.Blob = a.secret.Append(nil), blob
	return nil
}

// rotate makes the next bundle of an address, for the queues that are read now.
func (t *turn) rotate(a *address) error {
	q := &a.rec.Queues
	if !q[0].Made {
		q[0], q[1] = q[1], q[0] // the first one is needed
	}
	if !q[0].Made {
		return nil
	}
	expires := t.m.snapshotTime(t.now).Add(t.m.addressTime(addressLife))
	if err := a.secret.Rotate(rand.Reader, t.now, a.rec.Least, [2]session.QAddr{q[0].addr(), q[1].addr()}, expires, t.m.leastWork()); err != nil {
		return err
	}
	a.rec.Rotated, a.rec.Stale, a.rec.Least = t.now.Unix(), false, 0
	for n := range q {
		q[n].Link = false
	}
	return a.reseal()
}

// renewAddresses has every address told anew after a restore. Strangers may hold
// bundles that this store knows nothing of: theirs must be the lower seqs.
func (t *turn) renewAddresses() error {
	for _, a := range t.book.addresses {
		a.rec.Stale, a.rec.Least = true, uint32(t.m.snapshotTime(t.now).Unix()/3600)
		if err := t.saveAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// tickAddresses erases keys of addresses that nobody may answer any more.
func (t *turn) tickAddresses() error {
	keep := t.m.addressTime(addressKeep)
	for _, a := range t.book.addresses {
		if !a.secret.Forget(t.now, keep) {
			continue
		}
		a.rec.Secret = a.secret.Append(nil)
		if err := t.saveAddress(a); err != nil {
			return err
		}
	}
	return t.forgetStrangers()
}

func (t *turn) shapeAddress(a *address) Address {
	s := Address{ID: a.id, Link: a.secret.Link().String(), Label: a.rec.Label, Effort: a.secret.Bundle().WorkBits(), State: "making"}
	held, places := 0, 0
	for _, r := range a.rec.Records {
		if r.Places > 0 {
			held, places = r.Held, r.Places
			break
		}
	}
	switch {
	case !a.rec.Queues[0].Link && !a.rec.Queues[1].Link && a.problem != "":
		s.State += ": " + a.problem
	case a.rec.Queues[0].Link || a.rec.Queues[1].Link:
		s.State = "published"
		if places > 0 {
			s.State = fmt.Sprintf("published, and on %d of %d relays of the directory", held, places)
		}
	}
	return s
}

// Addresses lists the addresses, oldest first.
func (m *Messenger) Addresses(ctx context.Context) ([]Address, error) {
	list := []Address{}
	err := m.look(ctx, func(t *turn) error {
		for _, id := range slices.SortedFunc(maps.Keys(t.book.addresses), func(x, y string) int {
			return cmp.Compare(t.book.addresses[x].rec.Order, t.book.addresses[y].rec.Order)
		}) {
			list = append(list, t.shapeAddress(t.book.addresses[id]))
		}
		return nil
	})
	return list, err
}

var errNoAddress = &Error{Kind: KindNotFound, Text: "there is no such address"}

// RevokeAddress ends an address; contacts made through it and requests that
// came by it stay.
func (m *Messenger) RevokeAddress(ctx context.Context, id string) error {
	return m.do(ctx, func(t *turn) error {
		a := t.book.addresses[id]
		if a == nil {
			return errNoAddress
		}
		t.discard(a.rec.Queues[:]...)
		delete(t.book.addresses, id)
		t.roster = true
		return t.tx.Bucket(bucketAddress).Delete(id)
	})
}

// addressError is a failure of an address in words.
func addressError(err error) string {
	var refused *mailboxRefusal
	if errors.As(err, &refused) {
		return "its relay refused"
	}
	return "its relay cannot be reached"
}
