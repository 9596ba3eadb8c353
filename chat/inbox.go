package chat

import (
	"crypto/sha256"
	"errors"
	"slices"

	"hearsay/chat/session"
	"hearsay/relay/mailbox"
)

// errGone tells a reader that its queues belong to nobody any more.
var errGone = &Error{Kind: KindNotFound, Text: "the queue is no longer read"}

// receive takes blocks that came out of one of our queues, and notes the
// highest relay seq, which the reader acknowledges once this is on disk.
func (t *turn) receive(key inboxKey, number int, seed [32]byte, blocks []mailboxMessage) error {
	c, i, q := t.book.inbox(key, number)
	if q == nil || q.Seed != seed {
		return errGone
	}
	if t.book.locked {
		return t.boxBlocks(key, number, q, blocks)
	}
	fresh := 0
	for n := range blocks {
		inner, err := session.OpenBlock(session.QueueKeyFrom(q.Key), q.SID, blocks[n].Block[:])
		switch {
		case err != nil: // only who holds the capability could write it
			t.m.log.Debug("a block does not open on the outside")
		case c != nil:
			known := c.seen.added
			if err := t.takeInner(c, inner); err != nil {
				return err
			}
			fresh += c.seen.added - known
		default:
			if c, err = t.takeEarly(i, inner); err != nil && !isBadInput(err) {
				return err
			}
			if c != nil { // what follows in this batch is the contact's
				q = &c.rec.Old[0].Queues[number]
			}
		}
		q.Acked = max(q.Acked, blocks[n].Seq)
	}
	if c == nil {
		return t.saveInvite(i)
	}
	t.touch(c)
	t.noteRead(c, key, number, fresh)
	if err := t.retryParked(c); err != nil {
		return err
	}
	if err := t.fill(c); err != nil {
		return err
	}
	t.oweAck(c)
	return t.release(c)
}

// acknowledged notes that blocks up to a relay seq are known and need not be
// read again.
func (t *turn) acknowledged(key inboxKey, number int, seed [32]byte, seq uint64) error {
	c, i, q := t.book.inbox(key, number)
	if q == nil || q.Seed != seed {
		return errGone
	}
	q.Acked = max(q.Acked, seq)
	if c == nil {
		return t.saveInvite(i)
	}
	t.touch(c)
	return nil
}

// renumbered notes that the relay began the queue anew.
func (t *turn) renumbered(key inboxKey, number int, seed [32]byte) error {
	c, i, q := t.book.inbox(key, number)
	if q == nil || q.Seed != seed {
		return errGone
	}
	if t.book.locked {
		return t.box(boxRecord{Owner: key.owner, Old: key.old, Number: number, Seed: seed, Anew: true}, q)
	}
	q.Acked = 0
	if c == nil {
		return t.saveInvite(i)
	}
	t.touch(c)
	return nil
}

// isBadInput tells errors that a peer's bytes cause from those of the store.
func isBadInput(err error) bool {
	for _, bad := range []error{
		session.ErrFormat, session.ErrAuth, session.ErrDuplicate, session.ErrUndecryptable,
		session.ErrLimit, session.ErrLater, session.ErrExpired, session.ErrOtherNetwork,
	} {
		if errors.Is(err, bad) {
			return true
		}
	}
	return false
}

// takeInner takes an inner block of a contact, once.
func (t *turn) takeInner(c *contact, inner []byte) error {
	hash := sha256.Sum256(inner)
	if c.seen.hash(hash) {
		t.repeated(c, inner)
		return nil
	}
	if err := t.remember(c, hash, inner); err != nil {
		return err
	}
	kind, err := session.ParseInner(inner)
	if err == nil && kind == session.InnerReset {
		return t.takeReset(c, inner)
	}
	if err != nil || kind != session.InnerRatchet {
		return nil //nolint:nilerr // dummies and repeats of the request: nothing to do; junk: nobody to tell
	}
	err = t.open(c, inner)
	t.refused(c, err)
	if session.Park(err) {
		return t.park(c, inner)
	}
	if isBadInput(err) {
		return nil
	}
	return err
}

// repeated answers a block that came before: the contact may not know that it
// arrived, since our acknowledgement was lost with a relay. Seldom, since a
// relay could push a block again and again to see us answer (SPEC.md §5.5).
func (t *turn) repeated(c *contact, inner []byte) {
	kind, err := session.ParseInner(inner)
	if err != nil || kind != session.InnerRatchet || c.session == nil || t.now.Sub(c.ackAgain) < t.m.timing().resealGap {
		return
	}
	c.ackAgain = t.now
	c.session.OweAck()
}

// remember keeps, of the last 4096 inner blocks of a contact, the hash and the
// ids under which our queues hold them.
func (t *turn) remember(c *contact, hash [32]byte, inner []byte) error {
	row := seenRow{hash: hash}
	for q := range c.read() {
		row.ids = append(row.ids, session.QAddr{Key: session.QueueKeyFrom(q.Key)}.MessageID(inner))
	}
	rows := t.tx.Sequence(bucketSeen + c.id)
	n, err := rows.Add(row.append(nil))
	if err != nil {
		return err
	}
	c.seen.add(n, row)
	for len(c.seen.rows) > seenLimit {
		if err := rows.Delete(c.seen.drop()); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) park(c *contact, inner []byte) error {
	rows := t.tx.Sequence(bucketParked + c.id)
	for len(c.parked) >= parkedLimit {
		oldest := sortedKeys(c.parked)[0]
		delete(c.parked, oldest)
		if err := rows.Delete(oldest); err != nil {
			return err
		}
	}
	n, err := rows.Add(inner)
	if err != nil {
		return err
	}
	c.parked[n] = parked{inner: inner, since: t.now}
	return nil
}

// retryParked tries parked blocks until none opens, and drops old ones.
func (t *turn) retryParked(c *contact) error {
	rows := t.tx.Sequence(bucketParked + c.id)
	for again := true; again; {
		again = false
		for _, n := range sortedKeys(c.parked) {
			p := c.parked[n]
			err := t.open(c, p.inner)
			if err != nil && !isBadInput(err) {
				return err
			}
			if session.Park(err) && t.now.Sub(p.since) < t.m.timing().parkKeep {
				continue
			}
			again = again || err == nil
			delete(c.parked, n)
			if err := rows.Delete(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// open opens one ratchet block and takes what it brought.
func (t *turn) open(c *contact, inner []byte) error {
	got, err := c.session.Open(t.now, inner)
	if err != nil {
		return err
	}
	t.touch(c)
	t.heard(c)
	if err := t.activate(c); err != nil {
		return err
	}
	if err := t.acked(c, got.Acked); err != nil {
		return err
	}
	if err := t.afterOpen(c, got); err != nil {
		return err
	}
	if got.Diverged {
		t.publish(Event{Type: ErrorEvent, Kind: KindRefused, Detail: c.rec.Name + ": the contact's history differs from what was received; it was copied or set back"})
		t.diverged(c)
	}
	t.tellLost(c, got.Lost)
	if err := t.dropFragments(c, got.Dropped); err != nil {
		return err
	}
	if !got.Fresh || got.Handled || got.Frame.Seq == 0 {
		return nil
	}
	f := got.Frame
	switch {
	case f.Type == session.FrameQAdd:
		return t.takeQueue(c, f.Content)
	case f.Type == session.FrameQUse:
		return t.takeUse(c, f.Content)
	}
	c.held[f.Seq] = &held{since: t.now, rec: heldRecord{Type: byte(f.Type), Index: f.Index, Count: f.Count, ID: f.ID, Content: slices.Clone(f.Content)}}
	return nil
}

// activate makes the contact active at the first block that opens.
func (t *turn) activate(c *contact) error {
	if c.rec.State != ContactInvited {
		return nil // a block does not unblock, nor does it compare keys
	}
	c.rec.State, c.rec.Claim = ContactActive, nil
	for i := range 4 {
		if err := t.dropOutgoing(c, requestSeq+uint64(i)); err != nil {
			return err
		}
	}
	shape := shapeContact(c)
	t.publish(Event{Type: ContactStateChanged, Contact: &shape})
	return nil
}

// takeQueue takes a queue that the contact wants us to write to from now on. A
// contact that names one after the other, to walk us over all relays, is
// followed only so often; the newest wish waits (SPEC.md §5.1).
func (t *turn) takeQueue(c *contact, content []byte) error {
	add, err := session.ParseQAdd(content)
	if err != nil || int(add.Slot) >= len(c.rec.Peer) || add.Addr.IsZero() {
		return nil //nolint:nilerr // a contact's malformed wish changes nothing
	}
	p := &c.rec.Peer[add.Slot]
	if add.Generation <= max(p.Gen, p.NextGen) {
		return nil // late
	}
	p.Next, p.NextGen = add.Addr.Append(nil), add.Generation
	t.touch(c)
	return t.followQueue(c, int(add.Slot))
}

// followQueue goes over to the queue that the contact named last, if the limit
// allows it now.
func (t *turn) followQueue(c *contact, slotNumber int) error {
	p := &c.rec.Peer[slotNumber]
	if len(p.Next) == 0 {
		return nil
	}
	if !t.spend(&p.Used, &p.Since) {
		return nil
	}
	p.Addr, p.Gen, p.Next, p.NextGen = p.Next, p.NextGen, nil, 0
	t.touch(c)
	if err := c.address(); err != nil {
		return err
	}
	t.m.left.drop(outIsolation(c.id, slotNumber))
	s := &c.slots[slotNumber]
	*s = slot{addr: s.addr, phase: s.phase}
	p.Bad, p.Untold = 0, true
	return t.tellUse(c, slotNumber)
}

// tellUse tells the contact that we write to its queue, once the window has room:
// it reads the old one, and moves nothing more, until it knows.
func (t *turn) tellUse(c *contact, slotNumber int) error {
	p := &c.rec.Peer[slotNumber]
	if !p.Untold || c.session == nil {
		return nil
	}
	use := session.QUse{Slot: byte(slotNumber), Generation: p.Gen}
	err := t.sealControl(c, session.FrameQUse, use.Append(nil))
	if errors.Is(err, session.ErrWindowFull) {
		return nil
	}
	p.Untold = false
	t.touch(c)
	return err
}

// takeUse takes the contact's word that it writes to a queue of ours.
func (t *turn) takeUse(c *contact, content []byte) error {
	use, err := session.ParseQUse(content)
	if err != nil || int(use.Slot) >= len(c.rec.Own) {
		return nil //nolint:nilerr // as above
	}
	q := &c.rec.Own[use.Slot]
	if q.exists() && q.Gen != 0 && q.Gen == use.Generation && !q.InUse {
		q.InUse = true
		t.touch(c)
		t.settleMove(c, int(use.Slot))
	}
	return nil
}

// inboxKey names a pair of queues that are read together.
type inboxKey struct {
	owner string // contact or invite
	old   uint32 // of an oldQueues; 0: the queues that the owner has now
}

// inbox finds a queue of ours: of a contact, or of an invite.
func (b *book) inbox(key inboxKey, number int) (*contact, *invite, *queueRecord) {
	if c := b.contacts[key.owner]; c != nil {
		pair := &c.rec.Own
		if key.old != 0 {
			old := c.oldQueues(key.old)
			if old == nil {
				return nil, nil, nil
			}
			pair = &old.Queues
		}
		if q := &pair[number]; q.exists() {
			return c, nil, q
		}
		return nil, nil, nil
	}
	if i := b.invites[key.owner]; i != nil && i.rec.Queues[number].exists() {
		return nil, i, &i.rec.Queues[number]
	}
	return nil, nil, nil
}

// known tells which of the blocks in a queue we have received already, by the
// ids under which the relay holds them.
func (t *turn) known(key inboxKey, number int, ids []mailbox.MessageID) ([]bool, error) {
	c, _, q := t.book.inbox(key, number)
	if q == nil {
		return nil, errGone
	}
	known := make([]bool, len(ids))
	for n, id := range ids {
		known[n] = c != nil && c.seen.id(id)
	}
	return known, nil
}
