package mailbox

import (
	"crypto/ed25519"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// meta is the row of a queue (SPEC.md §7.2). Times are protocol hours.
type meta struct {
	kind    Kind
	deleted bool // a tombstone
	ttl     uint16
	opens   uint16
	rpk     [32]byte
	cap     [32]byte
	lid     LID
	reader  [32]byte // bound by the first GETLINK; zeros before
	created uint32
	seen    uint32 // last SUB
	last    uint32 // the latest `until` that was promised
	ended   uint32 // time of DEL
	life    uint32 // random, tells apart two lives of one RID
	lowest  uint64 // seq of the oldest block held; next if none
	next    uint64
}

const metaSize = 8 + 32 + 32 + IDSize + 32 + 5*4 + 2*8

func (m *meta) append(b []byte) []byte {
	b = append(b, 1, byte(m.kind), bit(m.deleted), 0)
	b = binary.BigEndian.AppendUint16(b, m.ttl)
	b = binary.BigEndian.AppendUint16(b, m.opens)
	b = append(b, m.rpk[:]...)
	b = append(b, m.cap[:]...)
	b = append(b, m.lid[:]...)
	b = append(b, m.reader[:]...)
	for _, v := range [...]uint32{m.created, m.seen, m.last, m.ended, m.life} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = binary.BigEndian.AppendUint64(b, m.lowest)
	return binary.BigEndian.AppendUint64(b, m.next)
}

func parseMeta(d []byte) (*meta, error) {
	if len(d) != metaSize || d[0] != 1 || d[2] > 1 || d[3] != 0 {
		return nil, errUnreadable
	}
	m := &meta{
		kind: Kind(d[1]), deleted: d[2] == 1, ttl: binary.BigEndian.Uint16(d[4:]), opens: binary.BigEndian.Uint16(d[6:]),
		rpk: [32]byte(d[8:]), cap: [32]byte(d[40:]), lid: LID(d[72:]), reader: [32]byte(d[96:]),
	}
	d = d[128:]
	for i, v := range [...]*uint32{&m.created, &m.seen, &m.last, &m.ended, &m.life} {
		*v = binary.BigEndian.Uint32(d[4*i:])
	}
	m.lowest, m.next = binary.BigEndian.Uint64(d[20:]), binary.BigEndian.Uint64(d[28:])
	if _, ok := m.kind.Limits(); !ok || m.lowest == 0 || m.lowest > m.next {
		return nil, errUnreadable
	}
	return m, nil
}

// closes returns the hour from which the queue takes no blocks any more.
func (m *meta) closes() uint32 {
	l, _ := m.kind.Limits()
	if l.Idle == 0 {
		return m.created + uint32(m.ttl)
	}
	return m.seen + l.Idle
}

// dies returns the hour at which the row goes: no promised block is lost by it,
// and until then a SUB opens a closed queue again.
func (m *meta) dies() uint32 {
	if m.deleted {
		return m.ended + TombstoneHours
	}
	return max(m.closes(), m.last)
}

// until returns how long a block that comes at the hour now is kept.
func (m *meta) until(now uint32) uint32 {
	if l, _ := m.kind.Limits(); l.Idle == 0 {
		return m.closes()
	}
	return now + uint32(m.ttl)
}

// class returns the key class of the queue's blocks.
func (m *meta) class() keyClass {
	switch m.kind {
	case KindInvite:
		return classLong
	case KindFile, KindDrop:
		return classBrief
	}
	return classShort
}

// ownClass returns the key class of the queue's own row and its link.
func (m *meta) ownClass() keyClass {
	if m.kind == KindAddress {
		return classAddress
	}
	return classLong
}

// forgets returns the hour at which an id stored at that hour is forgotten.
func (m *meta) forgets(k known) uint32 {
	if l, _ := m.kind.Limits(); l.Held {
		return k.until
	}
	return k.stored + RememberHours
}

func (s *store) openMeta(rid RID, row []byte) (*meta, error) {
	plain, err := s.open(bucketQueues, rid[:], row)
	if err != nil {
		return nil, err
	}
	return parseMeta(plain)
}

func (s *store) sealMeta(rid RID, m *meta, now uint32) ([]byte, error) {
	return s.seal(m.ownClass(), now, bucketQueues, rid[:], m.append(make([]byte, 0, metaSize)))
}

// bySID finds the queue of a sender. A missing one costs the same two reads, one
// decryption and, by the caller, one verification under a key nobody has
// (SPEC.md §4.2).
func (s *store) bySID(sid SID, now uint32) (rid RID, m *meta, ok bool, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		rid = s.dummy
		if v := tx.Bucket(bucketSenders).Get(sid[:]); len(v) == IDSize {
			rid, ok = RID(v), true
		}
		if tx.Bucket(bucketQueues).Get(rid[:]) == nil { // left over from another secret
			rid, ok = s.dummy, false
		}
		m, err = s.readMeta(tx, rid)
		return err
	})
	if err != nil {
		return rid, nil, false, err
	}
	return rid, m, ok && !m.deleted && now < m.closes(), nil
}

// byRID finds the queue of an owner; tombstones are found too. A missing one
// costs the same.
func (s *store) byRID(rid RID, now uint32) (m *meta, ok bool, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		q := tx.Bucket(bucketQueues)
		got, dummy := q.Get(rid[:]), q.Get(s.dummy[:])
		id, row := rid, got
		ok = got != nil && rid != s.dummy
		if !ok {
			id, row = s.dummy, dummy
		}
		s.reads.Add(1)
		m, err = s.openMeta(id, row)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return m, ok && now < m.dies(), nil
}

func (s *store) readMeta(tx *bolt.Tx, rid RID) (*meta, error) {
	s.reads.Add(1)
	return s.openMeta(rid, tx.Bucket(bucketQueues).Get(rid[:]))
}

// makeDummy writes the dummy queue, whose keys nobody has.
func (t *tx) makeDummy() error {
	m := &meta{kind: KindChat, created: t.now, seen: t.now, lowest: 1, next: 1}
	key := ed25519.NewKeyFromSeed(keyed(t.store.secret, labelDummy, []byte{1})) // a valid point, as real keys are
	copy(m.rpk[:], key.Public().(ed25519.PublicKey))
	copy(m.cap[:], keyed(t.store.secret, labelDummy, []byte{2}))
	return t.putMeta(t.store.dummy, m)
}
