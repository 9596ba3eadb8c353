package mailbox

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"math"

	bolt "go.etcd.io/bbolt"
)

// The kinds of rows in the expiry bucket.
const (
	expireBlocks byte = 0
	expireID     byte = 1
	expireQueue  byte = 2
	expireRecord byte = 3
)

func seqKey(rid RID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, IDSize+8), rid[:]...), seq)
}

func idKey(rid RID, id MessageID) []byte {
	return append(append(make([]byte, 0, IDSize+8), rid[:]...), id[:]...)
}

// meta returns the queue if it is there and not deleted.
func (t *tx) meta(rid RID) (*meta, bool, error) {
	row := t.Bucket(bucketQueues).Get(rid[:])
	if row == nil || rid == t.store.dummy {
		return nil, false, nil
	}
	m, err := t.store.openMeta(rid, row)
	if err != nil {
		return nil, false, err
	}
	return m, !m.deleted && t.now < m.dies(), nil
}

func (t *tx) putMeta(rid RID, m *meta) error {
	row, err := t.store.sealMeta(rid, m, t.now)
	if err != nil {
		return err
	}
	return t.Bucket(bucketQueues).Put(rid[:], row)
}

// schedule adds a row to the expiry bucket unless it is there.
func (t *tx) schedule(hour uint32, kind byte, rid RID, id []byte) error {
	key := binary.BigEndian.AppendUint32(make([]byte, 0, 4+1+IDSize+8), hour)
	key = append(append(append(key, kind), rid[:]...), id...)
	b := t.Bucket(bucketExpiry)
	if b.Get(key) != nil {
		return nil
	}
	return b.Put(key, []byte{})
}

// create makes a queue (SPEC.md §3.5). full refuses it for want of space unless
// it is there already.
func (t *tx) create(m New, ttl uint16, full bool) (OKNew, error) {
	rid := RIDOf(m.RPK)
	sid := sidOf(t.store.secret, rid)
	limits, _ := m.Kind.Limits()
	ok := OKNew{Capacity: limits.Capacity, TTL: ttl, RID: rid, SID: sid}
	if row := t.Bucket(bucketQueues).Get(rid[:]); row != nil {
		q, err := t.store.openMeta(rid, row)
		switch {
		case err != nil:
			return ok, err
		case t.now >= q.dies():
			if err := t.remove(rid, q); err != nil {
				return ok, err
			}
		case q.deleted:
			return ok, &refusal{code: CodeUsed}
		case q.kind != m.Kind || q.ttl != ttl || !equal(q.cap[:], m.Cap[:]):
			return ok, &refusal{code: CodeConflict}
		case m.LID == q.lid || m.LID == (LID{}):
			return ok, nil
		case q.lid != (LID{}):
			return ok, &refusal{code: CodeConflict}
		default:
			// The link's id follows from the bundle, which names the SID: an
			// invite learns the one first and tells the other with a second NEW.
			if err := t.reserveLink(rid, m.LID); err != nil {
				return ok, err
			}
			q.lid = m.LID
			return ok, t.putMeta(rid, q)
		}
	}
	if full {
		return ok, &refusal{code: CodeFull}
	}
	if m.LID != (LID{}) {
		if err := t.reserveLink(rid, m.LID); err != nil {
			return ok, err
		}
	}
	var life [4]byte
	_, _ = rand.Read(life[:])
	q := &meta{
		kind: m.Kind, ttl: ttl, rpk: m.RPK, cap: m.Cap, lid: m.LID, created: t.now, seen: t.now,
		life: binary.BigEndian.Uint32(life[:]), lowest: 1, next: 1,
	}
	t.queues++
	if err := t.Bucket(bucketSenders).Put(sid[:], rid[:]); err != nil {
		return ok, err
	}
	if err := t.schedule(q.dies(), expireQueue, rid, nil); err != nil {
		return ok, err
	}
	return ok, t.putMeta(rid, q)
}

// reserveLink gives the id of a link to an invite.
func (t *tx) reserveLink(rid RID, lid LID) error {
	l := t.Bucket(bucketLinks)
	if l.Get(lid[:]) != nil {
		return &refusal{code: CodeConflict}
	}
	return l.Put(lid[:], rid[:])
}

// known is what was answered to a SEND.
type known struct {
	life          uint32
	hash          [32]byte
	stored, until uint32
}

const knownSize = 4 + 32 + 4 + 4

func (t *tx) known(rid RID, id MessageID) (known, bool) {
	key := idKey(rid, id)
	row := t.Bucket(bucketIDs).Get(key)
	if row == nil {
		return known{}, false
	}
	d, err := t.store.open(bucketIDs, key, row)
	if err != nil || len(d) != knownSize {
		t.store.dropped.Add(1)
		return known{}, false
	}
	return known{
		life: binary.BigEndian.Uint32(d), hash: [32]byte(d[4:]),
		stored: binary.BigEndian.Uint32(d[36:]), until: binary.BigEndian.Uint32(d[40:]),
	}, true
}

func (t *tx) putKnown(rid RID, q *meta, id MessageID, k known) error {
	d := binary.BigEndian.AppendUint32(make([]byte, 0, knownSize), k.life)
	d = append(d, k.hash[:]...)
	d = binary.BigEndian.AppendUint32(d, k.stored)
	d = binary.BigEndian.AppendUint32(d, k.until)
	key := idKey(rid, id)
	row, err := t.store.seal(classShort, t.now, bucketIDs, key, d)
	if err != nil {
		return err
	}
	if err := t.schedule(q.forgets(k), expireID, rid, id[:]); err != nil {
		return err
	}
	return t.Bucket(bucketIDs).Put(key, row)
}

// put stores a block whose sender was authenticated (SPEC.md §3.8) and returns
// the times for the receipt. g is what the sender paid, zero if nothing.
func (t *tx) put(rid RID, m *Send, hash [32]byte, g grant) (stored, until uint32, err error) {
	q, ok, err := t.meta(rid)
	if err != nil {
		return 0, 0, err
	}
	if !ok || t.now >= q.closes() {
		return 0, 0, &refusal{code: CodeAuth}
	}
	if k, ok := t.known(rid, m.ID); ok && k.life == q.life && t.now < q.forgets(k) {
		if k.hash != hash {
			return 0, 0, &refusal{code: CodeConflict}
		}
		return k.stored, k.until, nil
	}
	limits, _ := q.kind.Limits()
	if limits.Work {
		if err := t.admit(rid, q, g); err != nil {
			return 0, 0, err
		}
	} else if q.next-q.lowest >= uint64(limits.Capacity) {
		return 0, 0, &refusal{code: CodeQuota}
	}
	stored, until = t.now, q.until(t.now)
	key := seqKey(rid, q.next)
	plain := append(append(make([]byte, 0, paidSize), m.ID[:]...), m.Block[:]...)
	if limits.Work {
		plain = g.append(plain)
	}
	row, err := t.store.seal(q.class(), t.now, bucketBlocks, key, plain)
	if err != nil {
		return 0, 0, err
	}
	row = append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(row)), until), row...)
	if err := t.Bucket(bucketBlocks).Put(key, row); err != nil {
		return 0, 0, err
	}
	if err := t.putKnown(rid, q, m.ID, known{life: q.life, hash: hash, stored: stored, until: until}); err != nil {
		return 0, 0, err
	}
	if err := t.schedule(until, expireBlocks, rid, nil); err != nil {
		return 0, 0, err
	}
	q.next++
	q.last = max(q.last, until)
	t.blocks++
	t.written = append(t.written, rid)
	return stored, until, t.putMeta(rid, q)
}

// touch notes that the owner subscribed; it opens a closed queue again.
func (t *tx) touch(rid RID) error {
	q, ok, err := t.meta(rid)
	if err != nil {
		return err
	}
	if !ok {
		return &refusal{code: CodeAuth}
	}
	if q.seen >= t.now {
		return nil
	}
	q.seen = t.now
	return t.putMeta(rid, q)
}

// ackTo deletes all blocks up to seq.
func (t *tx) ackTo(rid RID, seq uint64) error {
	q, ok, err := t.meta(rid)
	if err != nil || !ok {
		return err
	}
	seq = min(seq, q.next-1)
	if seq < q.lowest {
		return nil
	}
	if limits, _ := q.kind.Limits(); limits.Work {
		t.noteRead(rid, seq)
	}
	if err := t.dropTo(rid, q, seq); err != nil {
		return err
	}
	return t.putMeta(rid, q)
}

// dropTo deletes the block rows up to seq, which is below next.
func (t *tx) dropTo(rid RID, q *meta, seq uint64) error {
	limits, _ := q.kind.Limits()
	for ; q.lowest <= seq; q.lowest++ {
		if err := t.drop(rid, q.lowest, limits.Held); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes one block, if it is there, and with it its message id if forget.
func (t *tx) drop(rid RID, seq uint64, forget bool) error {
	b := t.Bucket(bucketBlocks)
	key := seqKey(rid, seq)
	row := b.Get(key)
	if row == nil {
		return nil // displaced: only queues of addresses have gaps
	}
	if h, ok := t.store.readBlock(key, row); ok && forget {
		if err := t.Bucket(bucketIDs).Delete(idKey(rid, h.id)); err != nil {
			return err
		}
	}
	t.blocks--
	return b.Delete(key)
}

// rotate replaces the send capability.
func (t *tx) rotate(rid RID, capability [32]byte) error {
	q, ok, err := t.meta(rid)
	if err != nil {
		return err
	}
	if !ok {
		return &refusal{code: CodeAuth}
	}
	q.cap = capability
	return t.putMeta(rid, q)
}

// delete leaves a tombstone of the queue; doing it again changes nothing.
func (t *tx) delete(rid RID) error {
	q, ok, err := t.meta(rid)
	if err != nil {
		return err
	}
	if !ok {
		if q != nil && q.deleted {
			return nil
		}
		return &refusal{code: CodeAuth}
	}
	if err := t.empty(rid, q); err != nil {
		return err
	}
	t.queues--
	t.ended = append(t.ended, endedQueue{rid, EndDeleted})
	tomb := &meta{kind: q.kind, deleted: true, ttl: q.ttl, rpk: q.rpk, ended: t.now, life: q.life, lowest: q.next, next: q.next}
	if err := t.schedule(tomb.dies(), expireQueue, rid, nil); err != nil {
		return err
	}
	return t.putMeta(rid, tomb)
}

// empty deletes all rows of the queue but its own and the known message ids,
// which go at their own time.
func (t *tx) empty(rid RID, q *meta) error {
	if err := t.dropTo(rid, q, q.next-1); err != nil {
		return err
	}
	if q.lid != (LID{}) {
		if err := t.Bucket(bucketLinks).Delete(q.lid[:]); err != nil {
			return err
		}
	}
	sid := sidOf(t.store.secret, rid)
	return t.Bucket(bucketSenders).Delete(sid[:])
}

// remove deletes the queue without a trace.
func (t *tx) remove(rid RID, q *meta) error {
	if !q.deleted {
		if err := t.empty(rid, q); err != nil {
			return err
		}
		t.queues--
		t.ended = append(t.ended, endedQueue{rid, EndExpired})
	}
	return t.Bucket(bucketQueues).Delete(rid[:])
}

// setLink replaces the blob of an invite.
func (t *tx) setLink(rid RID, blob []byte) error {
	q, ok, err := t.meta(rid)
	if err != nil {
		return err
	}
	if !ok {
		return &refusal{code: CodeAuth}
	}
	if q.lid == (LID{}) {
		return &refusal{code: CodeLimit}
	}
	row, err := t.store.seal(q.ownClass(), t.now, bucketLinks, q.lid[:], blob)
	if err != nil {
		return err
	}
	return t.Bucket(bucketLinks).Put(q.lid[:], append(rid[:], row...))
}

// openLink returns the blob of an invite to the reader that is bound to it, and
// binds the first one (SPEC.md §3.13).
func (t *tx) openLink(m GetLink) (blob []byte, opens uint16, err error) {
	row := t.Bucket(bucketLinks).Get(m.LID[:])
	if len(row) <= IDSize {
		return nil, 0, &refusal{code: CodeAuth}
	}
	rid := RID(row)
	q, ok, err := t.meta(rid)
	if err != nil {
		return nil, 0, err
	}
	if !ok || q.lid != m.LID {
		return nil, 0, &refusal{code: CodeAuth}
	}
	limits, _ := q.kind.Limits()
	if limits.Lock == (m.Reader == [32]byte{}) {
		return nil, 0, &refusal{code: CodeAuth}
	}
	if blob, err = t.store.open(bucketLinks, m.LID[:], row[IDSize:]); err != nil || len(blob) != LinkSize {
		t.store.dropped.Add(1)
		return nil, 0, &refusal{code: CodeAuth}
	}
	switch {
	case !limits.Lock:
		return blob, 0, nil
	case q.reader == ([32]byte{}):
		q.reader, q.opens = m.Reader, 1
	case equal(q.reader[:], m.Reader[:]):
		return blob, q.opens, nil
	default:
		if q.opens == math.MaxUint16 {
			return nil, 0, &refusal{code: CodeUsed}
		}
		q.opens++
		if err := t.putMeta(rid, q); err != nil {
			return nil, 0, err
		}
		return nil, 0, &refusal{code: CodeUsed}
	}
	return blob, q.opens, t.putMeta(rid, q)
}

// held is one block as it is read.
type held struct {
	seq   uint64
	id    MessageID
	block []byte
	paid  grant // of blocks in a queue of an address
}

// paidSize is the size of an opened block row with what its sender paid.
const paidSize = MessageIDSize + BlockSize + grantSize

// readBlock opens the row of a block.
func (s *store) readBlock(key, row []byte) (held, bool) {
	if len(row) < 4+rowHead {
		return held{}, false
	}
	d, err := s.open(bucketBlocks, key, row[4:])
	if err != nil || len(d) != MessageIDSize+BlockSize && len(d) != paidSize {
		return held{}, false
	}
	h := held{seq: binary.BigEndian.Uint64(key[IDSize:]), id: MessageID(d), block: d[MessageIDSize : MessageIDSize+BlockSize]}
	if len(d) == paidSize {
		h.paid = parseGrant(d[MessageIDSize+BlockSize:])
	}
	return h, true
}

// peek returns up to limit readable blocks above after, oldest first, and how
// many readable ones follow them.
func (s *store) peek(b *bolt.Tx, rid RID, after uint64, limit int) (got []held, behind int) {
	c := b.Bucket(bucketBlocks).Cursor()
	if after == math.MaxUint64 {
		return nil, 0
	}
	for k, v := c.Seek(seqKey(rid, after+1)); len(k) == IDSize+8 && bytes.HasPrefix(k, rid[:]); k, v = c.Next() {
		if len(v) < 4+rowHead {
			s.dropped.Add(1)
			continue
		}
		if len(got) == limit {
			if _, ok := s.keys.get(keyID{class: keyClass(v[4]), day: binary.BigEndian.Uint32(v[4:]) & 0xFFFFFF}); ok {
				behind++
			}
			continue
		}
		h, ok := s.readBlock(k, v)
		if !ok {
			s.dropped.Add(1)
			continue
		}
		got = append(got, h)
	}
	return got, behind
}
