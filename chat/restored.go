package chat

import (
	"errors"
	"math"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

const (
	metaPlace    = "place"    // of the database, by which a copy is told
	metaCopied   = "copied"   // when it last lay elsewhere (copiedRecord)
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
	var rec copiedRecord
	if raw, err = meta.Get(metaCopied); err != nil {
		return err
	}
	if raw != nil {
		if err := decode(raw, &rec); err != nil {
			return err
		}
	}
	if t.now.Unix()-rec.At < t.days(1<<min(rec.Times, copiedRests))/2 {
		t.m.log.Warn("the profile lies in another file than before, again: numbers of files mean little here")
		return nil // what was lost without it is found by doubt (SPEC.md §15.4)
	}
	rec = copiedRecord{At: t.now.Unix(), Times: rec.Times + 1}
	return errors.Join(meta.Put(metaCopied, encode(rec)), t.copied())
}

// copiedRecord bounds how often the number of the file alone makes sessions begin
// anew: on a file system without lasting numbers each start would.
type copiedRecord struct {
	At    int64 `cbor:"1,keyasint"` // Unix seconds of the last time
	Times int   `cbor:"2,keyasint"`
}

// copiedRests is how often the time to the next doubles.
const copiedRests = 7

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

// doubtLimit bounds the frames of one contact that are kept in doubt.
const doubtLimit = 512

// keepDoubted keeps a frame that was acknowledged while the session was in doubt: if
// this store is an old copy, the acknowledgement was for another one. The copies
// are in memory only; a contact that never ends the doubt gains no more.
func (c *contact) keepDoubted(o *outgoing) {
	if o.seq >= requestSeq || len(o.rec.Body) == 0 || !c.session.InDoubt() {
		return
	}
	if len(c.doubted) == doubtLimit {
		c.doubted = c.doubted[1:]
	}
	c.doubted = append(c.doubted, o)
}

// endDoubt drops what was kept in doubt, some time after the doubt ended: a
// contact that found out that this store is an old copy has said so by then.
func (t *turn) endDoubt(c *contact) {
	switch {
	case len(c.doubted) == 0 || c.session.InDoubt():
		c.trusts = time.Time{}
	case c.trusts.IsZero():
		c.trusts = t.now.Add(t.m.timing().pollMax)
	case t.now.After(c.trusts):
		c.doubted = nil
	}
}

// reopen takes back that the message of a frame was delivered. It reports false
// if the message is gone: what people deleted is not sent again.
func (t *turn) reopen(c *contact, o *outgoing) (there bool, err error) {
	if o.rec.Number == 0 || o.rec.Group != "" || c.own[o.rec.Number] != nil {
		return true, nil
	}
	rec, err := t.row(c.id, o.rec.Number)
	if err != nil || rec == nil || rec.Mark != nil && rec.Mark.Gone != 0 {
		return false, err
	}
	if rec.Final != finalDelivered {
		return true, nil
	}
	rec.Final = 0
	own := &ownMessage{number: o.rec.Number, state: Queued, copies: Copies{Want: c.want()}}
	c.own[o.rec.Number] = own
	t.publishState(c, own.number, Queued, own.copies, "")
	return true, t.putRow(c.id, o.rec.Number, rec)
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
