package mailbox

import (
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"
)

// expireChunk is the number of expiry rows handled in one transaction.
const expireChunk = 512

// expiryPeriod is how often rows that are due are looked for.
func (s *Server) expiryPeriod() time.Duration {
	return Hour(s.cfg.Lab) / 12
}

// expire deletes what is due, then destroys the keys that nothing needs. It runs
// in the committer.
func (s *Server) expire() error {
	more, err := s.anyDue()
	for more && err == nil {
		err = s.update(func(t *tx) (err error) {
			more, err = t.expireSome()
			return err
		})
	}
	if err != nil {
		return err
	}
	return s.store.keys.destroy(s.store.now())
}

// anyDue tells whether there is a row to expire or an hour to keep.
func (s *Server) anyDue() (due bool, err error) {
	now := s.store.now()
	err = s.store.db.View(func(b *bolt.Tx) error {
		k, _ := b.Bucket(bucketExpiry).Cursor().First()
		v := b.Bucket(bucketTime).Get(keyHour)
		due = len(k) >= 4 && be32(k) <= now || len(v) != 4 || be32(v) < now
		return nil
	})
	return due, err
}

// expireSome handles up to expireChunk rows and tells whether more are due.
func (t *tx) expireSome() (more bool, err error) {
	var due [][]byte
	c := t.Bucket(bucketExpiry).Cursor()
	for k, _ := c.First(); len(k) >= 4+1+IDSize && binary.BigEndian.Uint32(k) <= t.now; k, _ = c.Next() {
		if len(due) == expireChunk {
			more = true
			break
		}
		due = append(due, append([]byte(nil), k...))
	}
	for _, k := range due {
		rid := RID(k[5:])
		switch k[4] {
		case expireBlocks:
			err = t.expireBlocks(rid)
		case expireID:
			err = t.expireID(rid, k[5+IDSize:])
		case expireQueue:
			err = t.expireQueue(rid)
		case expireRecord:
			err = t.Bucket(bucketRecords).Delete(k[5:])
		}
		if err != nil {
			return false, err
		}
		if err := t.Bucket(bucketExpiry).Delete(k); err != nil {
			return false, err
		}
	}
	return more, t.keepTime()
}

// keepTime persists the highest hour, and once a day gives the dummy queue a
// fresh key.
func (t *tx) keepTime() error {
	b := t.Bucket(bucketTime)
	var old uint32
	if v := b.Get(keyHour); len(v) == 4 {
		old = binary.BigEndian.Uint32(v)
	}
	if t.now <= old {
		return nil
	}
	if t.now/24 != old/24 {
		if err := t.makeDummy(); err != nil {
			return err
		}
	}
	return b.Put(keyHour, binary.BigEndian.AppendUint32(nil, t.now))
}

// expireBlocks deletes the blocks at the queue's head whose time has come. Times
// never fall along a queue.
func (t *tx) expireBlocks(rid RID) error {
	q, ok, err := t.meta(rid)
	if err != nil || !ok {
		return err // expireQueue sees to a queue whose time has come with its blocks'
	}
	b := t.Bucket(bucketBlocks)
	to := q.lowest - 1
	for seq := q.lowest; seq < q.next; seq++ {
		v := b.Get(seqKey(rid, seq))
		if len(v) >= 4 && binary.BigEndian.Uint32(v) > t.now {
			break
		}
		to = seq
	}
	if to < q.lowest {
		return nil
	}
	if err := t.dropTo(rid, q, to); err != nil {
		return err
	}
	return t.putMeta(rid, q)
}

// expireID forgets a message id, unless it was given anew since.
func (t *tx) expireID(rid RID, id []byte) error {
	if len(id) != MessageIDSize {
		return nil
	}
	k, ok := t.known(rid, MessageID(id))
	if q, lives, err := t.meta(rid); err != nil || ok && lives && k.life == q.life && t.now < q.forgets(k) {
		return err
	}
	return t.Bucket(bucketIDs).Delete(idKey(rid, MessageID(id)))
}

// expireQueue removes the queue if it is dead, else looks again when it will be.
func (t *tx) expireQueue(rid RID) error {
	row := t.Bucket(bucketQueues).Get(rid[:])
	if row == nil || rid == t.store.dummy {
		return nil
	}
	q, err := t.store.openMeta(rid, row)
	if err != nil {
		return err
	}
	if t.now >= q.dies() {
		return t.remove(rid, q)
	}
	return t.schedule(q.dies(), expireQueue, rid, nil)
}
