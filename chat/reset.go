package chat

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/chat/session"
)

// bucketReset holds, by the contact's id, what a reset of its session needs
// (SPEC.md §4.6).
const bucketReset = "reset"

// resetRow is what a reset needs, apart from the contact since it is large and
// seldom changes.
type resetRow struct {
	Own   []ownResetKey `cbor:"1,keyasint,omitempty"` // newest first
	Peer  []byte        `cbor:"2,keyasint,omitempty"` // session.ResetPublic, the contact's newest
	Parts []byte        `cbor:"3,keyasint,omitempty"` // session.RequestAssembler
	Held  []byte        `cbor:"4,keyasint,omitempty"` // container of a reset that came when enough were taken that day
}

// ownResetKey is a reset key of ours.
type ownResetKey struct {
	Key  []byte `cbor:"1,keyasint"` // session.ResetKey
	Made int64  `cbor:"2,keyasint"` // Unix seconds
}

// resetRecord is what is kept for resets of the session. All times are Unix
// seconds.
type resetRecord struct {
	Made    int64   `cbor:"1,keyasint,omitempty"`  // of our newest reset key, which the contact was told
	Peer    bool    `cbor:"2,keyasint,omitempty"`  // the contact gave us a key
	Changed int64   `cbor:"3,keyasint,omitempty"`  // when the session last began anew
	Auto    int64   `cbor:"4,keyasint,omitempty"`  // when we last began it anew
	Strange []int64 `cbor:"5,keyasint,omitempty"`  // when blocks came that the session refused
	Taken   []int64 `cbor:"6,keyasint,omitempty"`  // when resets of the contact were taken
	Due     int64   `cbor:"7,keyasint,omitempty"`  // a reset is planned; 0: none
	Repeats int     `cbor:"8,keyasint,omitempty"`  // of the one that is unanswered
	Held    bool    `cbor:"9,keyasint,omitempty"`  // a reset of the contact waits for the next day
	Behind  int64   `cbor:"10,keyasint,omitempty"` // when this store was last found set back
}

// Specification constants of resets (SPEC.md §4.6), in days of the lifetimes of
// queues where they are times.
const (
	resetKeyDays   = 30 // a new key is told
	resetKeepDays  = 90 // old ones are kept
	strangeLimit   = 3  // blocks within a day that lead to a reset
	takenLimit     = 3  // resets of a contact taken within a day
	resetSeq       = requestSeq + 8
	resetBlocks    = 4
	resetKeysLimit = resetKeepDays/resetKeyDays + 1
)

// resets returns what is kept for resets of a contact.
func (c *contact) resets() *resetRecord {
	if c.rec.Reset == nil {
		c.rec.Reset = &resetRecord{}
	}
	return c.rec.Reset
}

func (t *turn) days(n int) int64 { return int64(t.m.timing().day.Seconds()) * int64(n) }

// lastDay drops times that are more than a day old.
func (t *turn) lastDay(times []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(times), func(at int64) bool { return t.now.Unix()-at >= t.days(1) })
}

func (t *turn) resetRow(c *contact) (row resetRow, err error) {
	raw, err := t.tx.Bucket(bucketReset).Get(c.id)
	if err != nil || raw == nil {
		return row, err
	}
	return row, decode(raw, &row)
}

func (t *turn) putResetRow(c *contact, row resetRow) error {
	return t.tx.Bucket(bucketReset).Put(c.id, encode(row))
}

// tickReset makes and rotates reset keys, and resets a session that needs it.
func (t *turn) tickReset(c *contact) error {
	if c.session == nil || c.rec.State == ContactInvited || c.rec.State == ContactBlocked {
		return nil
	}
	r := c.resets()
	if !c.session.Dormant() && t.now.Unix()-r.Made >= t.days(resetKeyDays) {
		if err := t.giveResetKey(c); err != nil {
			return err
		}
	}
	if r.Held && len(t.lastDay(r.Taken)) < takenLimit {
		if err := t.releaseReset(c); err != nil {
			return err
		}
	}
	if c.session.ResetPending() {
		return t.repeatReset(c)
	}
	if r.Strange != nil {
		r.Strange = t.lastDay(r.Strange)
	}
	switch {
	case r.Due != 0:
		if t.now.Unix() >= r.Due {
			return t.reset(c)
		}
	case c.session.Dormant():
		return t.reset(c)
	case t.now.Unix()-max(r.Auto, r.Changed) < t.days(1):
	case len(r.Strange) >= strangeLimit && t.now.Sub(time.Unix(r.Strange[len(r.Strange)-1], 0)) >= t.m.timing().maintain:
		return t.reset(c)
	case c.session.Stalled():
		return t.reset(c)
	}
	return nil
}

// giveResetKey tells the contact a new reset key, and drops keys that are too
// old.
func (t *turn) giveResetKey(c *contact) error {
	row, err := t.resetRow(c)
	if err != nil {
		return err
	}
	id := uint32(1)
	for _, k := range row.Own {
		if key, err := session.ParseResetKey(k.Key); err == nil {
			id = max(id, key.ID()+1)
		}
	}
	key, err := session.NewResetKey(rand.Reader, id)
	if err != nil {
		return err
	}
	err = t.sealControl(c, session.FrameResetKey, key.Public().Append(nil))
	if errors.Is(err, session.ErrWindowFull) {
		return nil // the next tick tries again
	}
	if err != nil {
		return err
	}
	row.Own = append([]ownResetKey{{Key: key.Append(nil), Made: t.now.Unix()}}, row.Own...)
	row.Own = slices.DeleteFunc(row.Own, func(k ownResetKey) bool { return t.now.Unix()-k.Made >= t.days(resetKeepDays) })
	row.Own = row.Own[:min(len(row.Own), resetKeysLimit)]
	c.resets().Made = t.now.Unix()
	t.touch(c)
	return t.putResetRow(c, row)
}

// takeResetKey takes the contact's new reset key.
func (t *turn) takeResetKey(c *contact, content []byte) error {
	key, err := session.ParseResetPublic(content)
	if err != nil {
		return nil //nolint:nilerr // a contact's malformed key changes nothing
	}
	row, err := t.resetRow(c)
	if err != nil {
		return err
	}
	if known, err := session.ParseResetPublic(row.Peer); err == nil && known.ID >= key.ID && !c.restored() {
		return nil // late
	}
	row.Peer = key.Append(nil)
	c.resets().Peer = true
	t.touch(c)
	return t.putResetRow(c, row)
}

// restored tells whether the contact was set back: its key ids may begin anew.
func (c *contact) restored() bool {
	_, peer := c.session.Device()
	return peer > 0
}

// planReset has the session with a contact begin anew at a time, as after the
// restore of a backup.
func (t *turn) planReset(c *contact, at time.Time) {
	c.resets().Due = at.Unix()
	t.touch(c)
}

// reset begins a new session with the contact: the state, every frame sealed
// anew and the blocks of the reset are one transaction.
func (t *turn) reset(c *contact) error {
	row, err := t.resetRow(c)
	if err != nil {
		return err
	}
	peer, err := session.ParseResetPublic(row.Peer)
	own := &c.rec.Own
	if err != nil || !own[0].Made {
		return nil //nolint:nilerr // without a key of the contact, or a queue for its answer, there is no way
	}
	made, err := c.session.Reset(rand.Reader, t.m.snapshotTime(t.now), peer, [2]session.QAddr{own[0].addr(), own[1].addr()})
	if err != nil {
		return err
	}
	chunks, err := session.SplitReset(made.Container)
	if err != nil {
		return err
	}
	t.m.log.Info("a session begins anew") // never whose
	c.session = made.State
	for n := range own {
		if own[n].Made {
			own[n].Gen = uint32(made.Counter)
			c.moving().Gen = max(c.moving().Gen, own[n].Gen)
		}
	}
	r := c.resets()
	r.Auto, r.Due, r.Repeats = t.now.Unix(), 0, 0
	if err := t.begunAnew(c); err != nil {
		return err
	}
	for n, inner := range chunks {
		o := &outgoing{seq: resetSeq + uint64(n), rec: outRecord{Inner: inner, Sealed: t.now.Unix()}}
		if err := t.putOutgoing(c, o); err != nil {
			return err
		}
	}
	return t.fill(c)
}

// begunAnew seals every frame on its way for the session that has just begun.
func (t *turn) begunAnew(c *contact) error {
	t.touch(c)
	r := c.resets()
	r.Changed, r.Strange = t.now.Unix(), nil
	c.ack, c.rec.AckDue, c.stalled = nil, false, false
	for _, seq := range slices.Clone(c.order) {
		o := c.out[seq]
		if seq >= requestSeq || len(o.rec.Body) == 0 {
			continue
		}
		s, err := c.session.Reseal(rand.Reader, t.now, o.rec.Body)
		if err != nil {
			return fmt.Errorf("seal a frame for the new session: %w", err)
		}
		o.rec.Inner, o.rec.Receipts, o.got = s.Inner, [2][]byte{}, [2]*custody{}
		if err := t.putOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}

// repeatReset sends an unanswered reset again, the same bytes.
func (t *turn) repeatReset(c *contact) error {
	r := c.resets()
	repeats := t.m.timing().repeats
	if r.Repeats >= len(repeats) || t.now.Sub(time.Unix(r.Auto, 0)) < repeats[r.Repeats] {
		return nil
	}
	r.Repeats++
	t.touch(c)
	for n := range uint64(resetBlocks) {
		if o := c.out[resetSeq+n]; o != nil {
			o.rec.Receipts, o.got = [2][]byte{}, [2]*custody{}
			if err := t.putOutgoing(c, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropReset ends the repeats of our reset: it was answered, or another counts.
func (t *turn) dropReset(c *contact) error {
	for n := range uint64(resetBlocks) {
		if c.out[resetSeq+n] == nil {
			continue
		}
		if err := t.dropOutgoing(c, resetSeq+n); err != nil {
			return err
		}
	}
	return nil
}

// takeReset takes an inner block of type RESET.
func (t *turn) takeReset(c *contact, inner []byte) error {
	if c.session == nil || c.rec.State == ContactInvited || c.rec.State == ContactBlocked {
		return nil
	}
	row, err := t.resetRow(c)
	if err != nil {
		return err
	}
	parts := &session.RequestAssembler{}
	if row.Parts != nil {
		if parts, err = session.ParseRequestAssembler(row.Parts); err != nil {
			return err
		}
	}
	container, err := parts.AddReset(t.m.snapshotTime(t.now), inner)
	if err != nil {
		return nil //nolint:nilerr // only the contact could write it, and nobody has to be told
	}
	row.Parts = parts.Append(nil)
	if err := t.putResetRow(c, row); err != nil || container == nil {
		return err
	}
	return t.openReset(c, row, container)
}

// releaseReset takes the reset that had to wait.
func (t *turn) releaseReset(c *contact) error {
	row, err := t.resetRow(c)
	if err != nil {
		return err
	}
	container := row.Held
	row.Held, c.resets().Held = nil, false
	t.touch(c)
	if err := t.putResetRow(c, row); err != nil {
		return err
	}
	return t.openReset(c, row, container)
}

// openReset takes a reset that proves itself. Of those above the limit the
// newest waits: its blocks count as seen and would not be taken again.
func (t *turn) openReset(c *contact, row resetRow, container []byte) error {
	var keys []*session.ResetKey
	for _, k := range row.Own {
		if key, err := session.ParseResetKey(k.Key); err == nil && t.now.Unix()-k.Made < t.days(resetKeepDays) {
			keys = append(keys, key)
		}
	}
	in, err := c.session.OpenReset(t.m.snapshotTime(t.now), keys, container)
	if err != nil {
		t.m.log.Info("a reset does not hold")
		return nil
	}
	r := c.resets()
	t.touch(c)
	if r.Taken = t.lastDay(r.Taken); len(r.Taken) >= takenLimit {
		row.Held, r.Held = container, true
		return t.putResetRow(c, row)
	}
	r.Taken = append(r.Taken, t.now.Unix())
	return t.acceptReset(c, in)
}

// acceptReset goes over to the session that the contact began; or, if ours wins,
// learns what else the contact's reset says.
func (t *turn) acceptReset(c *contact, in *session.Incoming) error {
	t.touch(c)
	behind := in.Wins && !in.Restored && (c.session.InDoubt() || len(c.doubted) > 0)
	var result session.ResetResult
	if !in.Wins {
		result = c.session.NoteReset(in)
	} else {
		var err error
		if result, err = c.session.AcceptReset(t.now, in); err != nil {
			return nil //nolint:nilerr // a key of low order: nothing changed
		}
		t.m.log.Info("a session begins anew, as the contact wants")
		c.resets().Due = 0
		if err := t.dropReset(c); err != nil {
			return err
		}
	}
	if err := t.dropFragments(c, result.Dropped); err != nil {
		return err
	}
	t.tellLost(c, result.Lost)
	if err := t.adoptQueues(c, in); err != nil {
		return err
	}
	if in.Restored {
		if err := t.doubt(c); err != nil {
			return err
		}
	}
	if !in.Wins {
		return nil
	}
	if behind {
		// The contact could not read what this copy of the state sealed.
		if back, err := t.setBack(c); back || err != nil {
			return err
		}
	}
	if err := t.begunAnew(c); err != nil {
		return err
	}
	if err := t.acknowledge(c); err != nil { // SYNC comes first
		return err
	}
	return t.fill(c)
}

// adoptQueues goes over to the queues that a reset names, unless the contact
// named newer ones.
func (t *turn) adoptQueues(c *contact, in *session.Incoming) error {
	gen := uint32(in.Counter)
	var before [2]session.QAddr
	for n := range c.slots {
		before[n] = c.slots[n].addr
	}
	var taken [2]bool
	for n, a := range in.Queues {
		p := &c.rec.Peer[n]
		if max(p.Gen, p.NextGen) >= gen {
			continue
		}
		taken[n] = true
		p.Addr, p.Gen, p.Next, p.NextGen = nil, gen, nil, 0
		if !a.IsZero() {
			p.Addr = a.Append(nil)
		}
	}
	slots := c.slots
	if err := c.address(); err != nil {
		return err
	}
	for n := range c.slots {
		if !taken[n] || c.slots[n].addr.Equal(before[n]) {
			c.slots[n] = slots[n]
			continue
		}
		t.m.left.drop(outIsolation(c.id, n))
		c.slots[n] = slot{addr: c.slots[n].addr, phase: c.slots[n].phase}
	}
	if !in.Wins {
		return nil // ours is answered in a session that has not begun yet
	}
	for n := range taken {
		if !taken[n] || c.slots[n].addr.IsZero() {
			continue
		}
		use := session.QUse{Slot: byte(n), Generation: gen}
		if err := t.sealControl(c, session.FrameQUse, use.Append(nil)); err != nil && !errors.Is(err, session.ErrWindowFull) {
			return err
		}
	}
	return nil
}

// afterOpen takes what a block says about the session itself.
func (t *turn) afterOpen(c *contact, got session.Received) error {
	if c.out[resetSeq] != nil && !c.session.ResetPending() {
		if err := t.dropReset(c); err != nil {
			return err
		}
	}
	if got.SetBack {
		_, err := t.setBack(c)
		return err
	}
	t.endDoubt(c)
	return nil
}

// refused counts a block that the session refused. Some are late copies of what
// was sealed before the session began anew.
func (t *turn) refused(c *contact, err error) {
	if err == nil || !isBadInput(err) || errors.Is(err, session.ErrLater) || errors.Is(err, session.ErrLimit) {
		return
	}
	r := c.resets()
	if t.now.Sub(time.Unix(r.Changed, 0)) < 2*t.m.timing().pollMax {
		return
	}
	r.Strange = append(t.lastDay(r.Strange), t.now.Unix())
	if len(r.Strange) > strangeLimit {
		r.Strange = r.Strange[len(r.Strange)-strangeLimit:]
	}
	t.touch(c)
}

// diverged has the session begin anew with a contact that may not know yet that
// it was set back: the sooner, the less of what it writes is lost.
func (t *turn) diverged(c *contact) {
	if r := c.resets(); r.Peer && r.Due == 0 && t.now.Unix()-max(r.Auto, r.Changed) >= t.days(1) {
		t.planReset(c, t.now)
	}
}

// setBack goes on as a device of a new generation: the contact has received
// frames that this store never sealed. What is on its way gets new seqs, and so
// does what was acknowledged in doubt. It reports false if it may not happen now.
func (t *turn) setBack(c *contact) (bool, error) {
	r := c.resets()
	if !r.Peer || t.now.Unix()-r.Behind < t.days(1) {
		return false, nil // a contact that names what it never got gains one reset a day
	}
	r.Behind = t.now.Unix()
	messages, err := t.takeBack(c)
	if err != nil {
		return true, err
	}
	own, _ := c.session.Device()
	if err := c.session.SetBack(session.NextDevice(own, t.m.snapshotTime(t.now))); err != nil {
		return true, fmt.Errorf("set back: %w", err)
	}
	if err := t.notice(c, noticeSetBack); err != nil {
		return true, err
	}
	if err := t.reset(c); err != nil {
		return true, err
	}
	return true, t.sealAgain(c, messages)
}

// sealAgain seals messages that takeBack returned; without a session they wait
// behind the reset.
func (t *turn) sealAgain(c *contact, messages []unsent) error {
	if c.session.Dormant() {
		for _, m := range messages {
			if err := t.putBack(c, m); err != nil {
				return err
			}
		}
		return nil
	}
	for _, m := range messages {
		sealed, err := c.session.Seal(rand.Reader, t.now, m.message)
		if errors.Is(err, session.ErrWindowFull) {
			err = t.putBack(c, m)
		} else if err == nil {
			err = t.addOutgoing(c, sealed, m.row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unsent is a message that left the outbox without an acknowledgement.
type unsent struct {
	message session.Message
	row     waitRecord
}

// takeBack empties the outbox and returns its messages in order, those that were
// acknowledged in doubt included. One of which a part was acknowledged before
// cannot be sealed again and fails.
func (t *turn) takeBack(c *contact) (messages []unsent, err error) {
	frames := make(map[uint64][]session.Frame)
	rows := make(map[uint64]*outgoing)
	for _, o := range c.doubted {
		there, err := t.reopen(c, o)
		if err != nil {
			return nil, err
		}
		if f, err := session.ParseFrame(o.rec.Body); err == nil && there {
			frames[f.First()] = append(frames[f.First()], f)
			rows[f.First()] = o
		}
	}
	c.doubted = nil
	for _, seq := range slices.Clone(c.order) {
		o := c.out[seq]
		if seq < requestSeq {
			if f, err := session.ParseFrame(o.rec.Body); err == nil {
				frames[f.First()] = append(frames[f.First()], f)
				rows[f.First()] = o
			}
		}
		if err := t.dropOutgoing(c, seq); err != nil {
			return nil, err
		}
	}
	for _, first := range sortedKeys(frames) {
		o := rows[first]
		m, err := session.Join(frames[first])
		if err == nil {
			row := waitRecord{Type: byte(m.Type), Number: o.rec.Number, Group: o.rec.Group, About: o.rec.About, ID: m.ID, Content: m.Content}
			if m.Type != session.FramePQEK && m.Type != session.FramePQCT && m.Type != session.FramePQNO {
				messages = append(messages, unsent{message: m, row: row})
			}
			continue
		}
		switch {
		case o.rec.Group != "":
			err = t.failGroupCopy(c, o.rec.Group, o.rec.Number, reasonSetBack)
		case o.rec.Number != 0 && c.own[o.rec.Number] != nil:
			err = t.finalize(c, o.rec.Number, finalFailed, reasonSetBack)
		default:
			err = nil
		}
		if err != nil {
			return nil, err
		}
	}
	return messages, nil
}

const reasonSetBack = "this profile was set back while a part of it was on its way"

// putBack lets a message wait to be sealed.
func (t *turn) putBack(c *contact, m unsent) error {
	row, err := t.tx.Sequence(bucketWaiting + c.id).Add(encode(m.row))
	if err != nil {
		return err
	}
	c.waiting = append(c.waiting, m.row.waiting(row))
	return nil
}

// tellLost tells that frames of the contact will never come.
func (t *turn) tellLost(c *contact, n uint64) {
	if n > 0 {
		t.publish(Event{Type: ErrorEvent, Kind: KindIO, Detail: fmt.Sprintf("%s: %d parts of messages will never arrive: the sender gave them up, or lost them", c.rec.Name, n)})
	}
}

// dropFragments forgets the held frames of messages that can never be whole.
func (t *turn) dropFragments(c *contact, firsts []uint64) error {
	for _, first := range firsts {
		for _, seq := range sortedKeys(c.held) {
			if h := c.held[seq]; seq-uint64(h.rec.Index) == first {
				if err := t.dropHeld(c, seq); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
