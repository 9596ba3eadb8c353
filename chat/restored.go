package chat

import (
	"math"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

const (
	metaPlace    = "place"    // of the database, by which a copy is told
	metaRestored = "restored" // 1 or 2 until the sessions of a restored profile begin anew
)

// Why sessions have to begin anew.
const (
	restoredBackup = 1
	restoredCopy   = 2
)

// restoreGap is the time between two resets after a restore: all at once would
// show a relay, or whoever watches the link, how many contacts there are.
const restoreGap = 5 * time.Second

// neverReset is the time of a reset that waits for the device's generation.
const neverReset = math.MaxInt64

// What is said in each conversation.
const (
	noticeRestored = "This profile was restored from a backup: messages since then may be missing here."
	noticeCopied   = "This profile was copied, or put back to an older state: messages may be missing here."
)

// waitForDevice keeps a session from being reset before the device has its
// generation.
func (rec *contactRecord) waitForDevice() {
	if rec.Reset == nil {
		rec.Reset = &resetRecord{}
	}
	rec.Reset.Due, rec.Reset.Repeats, rec.Reset.Strange = neverReset, 0, nil
}

// loadRestored notes whether a restore is to be ended.
func (b *book) loadRestored(tx *store.Tx) error {
	raw, err := tx.Bucket(bucketMeta).Get(metaRestored)
	if raw == nil || err != nil {
		return err
	}
	return decode(raw, &b.restored)
}

// notePlace tells, at the start, whether the database lies where it lay. A copy
// may be older than what contacts have received: it seals nothing before its
// sessions began anew. A file system that numbers files anew at each mount looks
// the same.
func (t *turn) notePlace() error {
	place := t.m.cfg.testOnlyPlace
	if place == 0 {
		place = t.m.store.Place()
	}
	meta := t.tx.Bucket(bucketMeta)
	raw, err := meta.Get(metaPlace)
	if place == 0 || err != nil {
		return err
	}
	before := place
	if raw != nil {
		if err := decode(raw, &before); err != nil {
			return err
		}
	}
	if raw != nil && before == place {
		return nil
	}
	if err := meta.Put(metaPlace, encode(place)); err != nil || before == place {
		return err
	}
	return t.copied()
}

// copied puts all sessions to sleep that can begin anew.
func (t *turn) copied() error {
	t.m.log.Warn("the profile lies in another file than before: it was copied, or put back")
	found := false
	for _, c := range t.book.contacts {
		if c.session == nil || c.session.Dormant() || c.rec.Claim != nil || !c.resets().Peer {
			continue
		}
		found = true
		messages, err := t.takeBack(c)
		if err != nil {
			return err
		}
		if c.session, err = session.ParseState(c.session.Backup()); err != nil {
			return err
		}
		c.ack, c.rec.AckDue = nil, false
		c.rec.waitForDevice()
		t.touch(c)
		for _, m := range messages {
			if err := t.putBack(c, m); err != nil {
				return err
			}
		}
	}
	if !found || t.book.restored != 0 {
		return nil
	}
	t.book.restored = restoredCopy
	return t.tx.Bucket(bucketMeta).Put(metaRestored, encode(t.book.restored))
}

// endRestore gives the device its generation, once a snapshot tells the time, and
// plans the resets and the moves of all queues.
func (t *turn) endRestore() error {
	last := uint32(0)
	for _, c := range t.book.contacts {
		if c.session != nil {
			own, _ := c.session.Device()
			last = max(last, own)
		}
	}
	device := session.NextDevice(last, t.m.snapshotTime(t.now))
	gap := restoreGap
	if t.m.isLab() {
		gap /= 10
	}
	notice := noticeRestored
	if t.book.restored == restoredCopy {
		notice = noticeCopied
	}
	at := t.now
	for _, c := range t.book.sorted() {
		if c.session == nil || !c.session.Dormant() || c.rec.Reset == nil || c.rec.Reset.Due != neverReset {
			continue
		}
		if err := c.session.SetBack(device); err != nil {
			t.m.log.Error("a session cannot be set back", errorKey, err)
			continue
		}
		due := at.Add(between(0, gap))
		at = at.Add(gap)
		t.planReset(c, due)
		c.controls = minTime(c.controls, due.Add(time.Second)) // Due has whole seconds
		t.moveAll(c)
		if err := t.notice(c, notice); err != nil {
			return err
		}
	}
	if err := t.renewAddresses(); err != nil {
		return err
	}
	for _, g := range t.book.groups { // nor is a number of the author's used again
		g.rec.Sent = max(g.rec.Sent, uint64(device)<<32)
		if err := t.saveGroup(g); err != nil {
			return err
		}
	}
	t.book.restored = 0
	return t.tx.Bucket(bucketMeta).Delete(metaRestored)
}

// cameBefore tells whether a message of a contact that was set back came already:
// what was on its way then comes again under another seq, but with its id.
func (t *turn) cameBefore(c *contact, rec *messageRecord) (bool, error) {
	if rec.Kind == kindNotice || c.session == nil || !c.restored() || t.now.Sub(time.Unix(c.resets().Changed, 0)) > t.m.timing().expire {
		return false, nil
	}
	number, _, err := t.byID(c.id, rec.ID, func(r *messageRecord) bool { return !r.Out })
	return number != 0, err
}
