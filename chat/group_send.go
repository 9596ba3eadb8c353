package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hearsay/chat/session"
)

// groupFlight is a message of ours that not all members have.
type groupFlight struct {
	number uint64
	rec    flightRecord
	told   flightState
	second bool // second copies were let go
}

// flightRecord is the row of a groupFlight.
type flightRecord struct {
	ID      [16]byte     `cbor:"1,keyasint"`
	Content []byte       `cbor:"2,keyasint"`
	Copies  []copyRecord `cbor:"3,keyasint"` // one per member
}

// copyRecord is one member's copy.
type copyRecord struct {
	Member  [16]byte `cbor:"1,keyasint"`
	Contact string   `cbor:"2,keyasint,omitempty"`
	State   byte     `cbor:"3,keyasint,omitempty"`
	Reason  string   `cbor:"4,keyasint,omitempty"`

	have int // relays that provably hold it
	want int
}

// The values of copyRecord.State.
const (
	copyOwed      byte = 0 // there is no session with the member, or their key changed
	copyUnderway  byte = 1
	copyDelivered byte = 2
	copyFailed    byte = 3
)

// flightState is what is told about a message: its weakest copy, and how many
// members have it.
type flightState struct {
	state     MessageState
	copies    Copies
	delivered Copies
}

// sum is what is to be told about a message.
func (f *groupFlight) sum() flightState {
	s := flightState{state: Delivered, delivered: Copies{Want: len(f.rec.Copies)}}
	weakest := -1
	failed := false
	for i := range f.rec.Copies {
		c := &f.rec.Copies[i]
		switch c.State {
		case copyDelivered:
			s.delivered.Have++
			continue
		case copyFailed:
			failed = true
			continue
		case copyOwed:
			c.have = 0
		}
		if weakest < 0 || c.have < f.rec.Copies[weakest].have {
			weakest = i
		}
	}
	switch {
	case weakest >= 0:
		c := &f.rec.Copies[weakest]
		s.copies = Copies{Have: c.have, Want: max(c.want, c.have)}
		if s.state = Stored; c.have == 0 {
			s.state = Queued
		}
	case failed || len(f.rec.Copies) == 0:
		s.state = Failed
	}
	return s
}

// startGroupSend begins to send a text to a group.
func (m *Messenger) startGroupSend(ctx context.Context, id, text string, o SendOptions) func() (Message, error) {
	var sent Message
	run := &op{done: make(chan error, 1), run: func(t *turn) (err error) {
		sent, err = t.sendGroupText(id, text, o)
		return err
	}}
	if err := m.hand(ctx, run); err != nil {
		return func() (Message, error) { return Message{}, err }
	}
	return func() (Message, error) { err := m.await(run); return sent, err }
}

// sendGroupText queues a text for every member of a group.
func (t *turn) sendGroupText(id, text string, o SendOptions) (sent Message, err error) {
	g := t.book.groups[id]
	if g == nil {
		return sent, errNoGroup
	}
	name, err := t.once(o.Key, "message.send\x00"+id+"\x00"+text+"\x00"+o.Reply, func() (string, error) {
		sent, err = t.enqueueGroup(g, text, o.Reply)
		return sent.ID, err
	})
	if err != nil || sent.ID != "" {
		return sent, err
	}
	_, number, rec, err := t.find(name) // sent before, under the same key
	if err != nil {
		return sent, err
	}
	return t.shapeGroupMessage(g, number, *rec), nil
}

func (t *turn) enqueueGroup(g *group, text, reply string) (Message, error) {
	if g.rec.State != GroupActive {
		return Message{}, &Error{Kind: KindRefused, Text: "you are no member of this group any more", Hint: "ask its admin to add you"}
	}
	content := session.GroupText{
		Group: g.roster.Group, Epoch: g.roster.Epoch(), Seq: g.rec.Sent + 1, Text: session.Text{Text: text},
	}
	full := g.roster.Hash(content.Epoch)
	copy(content.Roster[:], full[:])
	rec := messageRecord{Out: true, Text: text, Time: t.now.UnixMilli(), Group: &groupOrigin{Seq: content.Seq, Depth: 1}}
	if err := t.replies(g.id, &rec, reply); err != nil {
		return Message{}, err
	}
	content.Text.Reply = rec.Reply
	for _, h := range g.rec.Heads[:min(len(g.rec.Heads), session.MaxGroupParents)] {
		content.Parents = append(content.Parents, h.ID)
		rec.Group.Depth = max(rec.Group.Depth, h.Depth+1)
	}
	slices.SortFunc(content.Parents, func(x, y [16]byte) int { return bytes.Compare(x[:], y[:]) })
	var err error
	if rec.ID, err = content.ID(g.rec.Me); err != nil {
		return Message{}, err
	}
	f := &groupFlight{rec: flightRecord{ID: rec.ID}}
	if f.rec.Content, err = content.Append(nil); err != nil {
		return Message{}, err
	}
	for i := range g.rec.Members {
		m := &g.rec.Members[i]
		if c := t.book.contacts[m.Contact]; g.here(m) && (c == nil || !c.cutOff() && !c.inviteFailed()) {
			f.rec.Copies = append(f.rec.Copies, copyRecord{Member: m.ID, Contact: m.Contact})
		}
	}
	if len(f.rec.Copies) == 0 {
		return Message{}, &Error{Kind: KindRefused, Text: "nobody is in this group whom you could write to", Hint: "add members first"}
	}
	if f.number, err = t.addRow(g.id, &rec); err != nil {
		return Message{}, err
	}
	g.rec.Sent++
	g.flight[f.number] = f
	if err := t.noteGroup(g, headRecord{rec.ID, rec.Group.Depth}, content.Parents); err != nil {
		return Message{}, err
	}
	if err := t.saveFlight(g, f); err != nil {
		return Message{}, err
	}
	if err := t.sendOwed(g); err != nil {
		return Message{}, err
	}
	f.told = f.sum()
	t.publishGroupState(g, f, "")
	return t.shapeGroupMessage(g, f.number, rec), nil
}

func (t *turn) saveFlight(g *group, f *groupFlight) error {
	return t.tx.Sequence(bucketGroupFlight+g.id).Put(f.number, encode(f.rec))
}

// sendOwed queues the copies that members are owed to whom there is a session
// now.
func (t *turn) sendOwed(g *group) error {
	ready := make(map[session.MemberID]*contact)
	for i := range g.rec.Members {
		m := &g.rec.Members[i]
		c := t.book.contacts[m.Contact]
		if g.here(m) && c != nil && (c.rec.State == ContactActive || c.rec.State == ContactInvited) && !c.cutOff() && !c.inviteFailed() {
			ready[m.ID] = c
		}
	}
	owed := func(k *copyRecord) bool { return k.State == copyOwed && ready[k.Member] != nil }
	var due []uint64
	for number, f := range g.flight {
		for i := range f.rec.Copies {
			if owed(&f.rec.Copies[i]) {
				due = append(due, number)
				break
			}
		}
	}
	slices.Sort(due)
	for _, number := range due {
		f := g.flight[number]
		for i := range f.rec.Copies {
			k := &f.rec.Copies[i]
			if !owed(k) {
				continue
			}
			c := ready[k.Member]
			k.State, k.Contact, k.want = copyUnderway, c.id, c.want()
			w := waitRecord{Type: byte(session.FrameGroup), Number: number, ID: f.rec.ID, Content: f.rec.Content, Group: g.id}
			if err := t.wait(c, w); err != nil {
				return err
			}
		}
		if err := t.saveFlight(g, f); err != nil {
			return err
		}
	}
	return nil
}

// holdSecond keeps the second copy of a frame of a group back: the first copies
// go to all members before (SPEC.md §11.3).
func (t *turn) holdSecond(o *outgoing) {
	if o.rec.Group == "" {
		return
	}
	g := t.book.groups[o.rec.Group]
	if g == nil || g.flight[o.rec.Number] == nil || g.flight[o.rec.Number].second {
		return
	}
	later := 0
	if o.due[1].After(o.due[0]) {
		later = 1
	}
	if at := t.now.Add(t.groupTimer(groupFirstCopies)); o.due[later].Before(at) {
		o.due[later] = at
	}
}

// letSecond lets the second copies of a message go once every member's first one
// is at a relay, or cannot be for now.
func (t *turn) letSecond(g *group, f *groupFlight) {
	if f.second {
		return
	}
	for i := range f.rec.Copies {
		k := &f.rec.Copies[i]
		if k.State != copyUnderway || k.have > 0 {
			continue
		}
		c := t.book.contacts[k.Contact]
		if c == nil || c.session == nil || c.rec.State == ContactInvited || !t.usable(c, 0) && !t.usable(c, 1) {
			continue
		}
		return
	}
	f.second = true
	for i := range f.rec.Copies {
		c := t.book.contacts[f.rec.Copies[i].Contact]
		if c == nil {
			continue
		}
		for _, o := range c.out {
			if o.rec.Group == g.id && o.rec.Number == f.number {
				t.spread(c, o)
				t.touch(c)
			}
		}
	}
}

// weigh counts, for the messages to groups on their way to a contact, the relays
// that hold each: of its fragments the least.
func (c *contact) weigh(count func(*outgoing) int) map[logKey]int {
	var have map[logKey]int
	note := func(k logKey, n int) {
		if have == nil {
			have = make(map[logKey]int)
		}
		if least, ok := have[k]; !ok || n < least {
			have[k] = n
		}
	}
	for _, o := range c.out {
		if o.rec.Group != "" {
			note(logKey{o.rec.Group, o.rec.Number}, count(o))
		}
	}
	for _, w := range c.waiting {
		if w.group != "" {
			note(logKey{w.group, w.number}, 0)
		}
	}
	return have
}

// settleGroups tells what changed about the copies of group messages that go to
// this contact.
func (t *turn) settleGroups(c *contact) error {
	var have map[logKey]int
	want := c.want()
	reached := c.session != nil && c.rec.State != ContactInvited && (t.usable(c, 0) || t.usable(c, 1))
	for _, g := range t.book.groups {
		if len(g.flight) == 0 || g.of(c.id) == nil {
			continue
		}
		if have == nil {
			if have = c.weigh(t.copies); have == nil {
				have = map[logKey]int{}
			}
		}
		var changed []uint64
		for number, f := range g.flight {
			k := f.underway(c.id)
			if k == nil {
				continue
			}
			n, underway := have[logKey{g.id, number}]
			if !underway || n != k.have || want != k.want {
				changed = append(changed, number)
			} else if !f.second && (n > 0 || !reached) {
				t.letSecond(g, f)
			}
		}
		slices.Sort(changed)
		for _, number := range changed {
			f := g.flight[number]
			k := f.underway(c.id)
			var underway bool
			k.have, underway = have[logKey{g.id, number}]
			k.want = want
			if !underway {
				k.State = copyDelivered
				if err := t.endCopy(c, g, f, logRecord{What: logDelivered, Contact: c.id}); err != nil {
					return err
				}
			}
			t.letSecond(g, f)
			if err := t.tellFlight(g, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// underway returns the copy that is on its way to a contact, or nil; a member
// has one at most.
func (f *groupFlight) underway(contact string) *copyRecord {
	for i := range f.rec.Copies {
		if k := &f.rec.Copies[i]; k.State == copyUnderway && k.Contact == contact {
			return k
		}
	}
	return nil
}

// endCopy writes that one copy's way has ended, into the message's ledger too.
func (t *turn) endCopy(c *contact, g *group, f *groupFlight, e logRecord) error {
	rec, err := t.row(g.id, f.number)
	if err != nil {
		return err
	}
	if rec != nil {
		log := c.endLog(g.id, f.number)
		for i := range log {
			log[i].Contact = c.id
		}
		e.At = t.now.Unix()
		rec.Log = appendLog(mergeLogs(rec.Log, log), e)
		if err := t.putRow(g.id, f.number, rec); err != nil {
			return err
		}
	}
	return t.saveFlight(g, f)
}

// failGroupCopy takes that a copy of a group message was given up.
func (t *turn) failGroupCopy(c *contact, id string, number uint64, reason string) error {
	g := t.book.groups[id]
	if g == nil || g.flight[number] == nil {
		return nil
	}
	f := g.flight[number]
	for i := range f.rec.Copies {
		k := &f.rec.Copies[i]
		if k.Contact != c.id || k.State != copyUnderway {
			continue
		}
		k.State, k.Reason = copyFailed, reason
		if err := t.endCopy(c, g, f, logRecord{What: logFailed, Contact: c.id, Text: reason}); err != nil {
			return err
		}
	}
	return t.tellFlight(g, f)
}

// takeLateCopy takes the proof that a contact has a copy which was given up, be
// the message still on its way to others or not.
func (t *turn) takeLateCopy(c *contact, id string, number uint64) error {
	g := t.book.groups[id]
	if g == nil {
		return nil
	}
	if f := g.flight[number]; f != nil {
		for i := range f.rec.Copies {
			if k := &f.rec.Copies[i]; k.Contact == c.id && k.State == copyFailed {
				k.State, k.Reason = copyDelivered, ""
				if err := t.endCopy(c, g, f, logRecord{What: logDelivered, Contact: c.id}); err != nil {
					return err
				}
			}
		}
		return t.tellFlight(g, f)
	}
	rec, err := t.row(id, number)
	if err != nil || rec == nil || rec.Group == nil || !slices.Contains(rec.Group.Failed, c.id) {
		return err // deleted meanwhile, or the copy did not count any more
	}
	o := rec.Group
	o.Failed = slices.DeleteFunc(o.Failed, func(failed string) bool { return failed == c.id })
	o.Delivered++
	if o.Delivered == o.Members {
		rec.Final, rec.Reason = finalDelivered, ""
	} else {
		_, why, _ := strings.Cut(rec.Reason, ": ")
		rec.Reason = missingCopies(o.Delivered, o.Members, why)
	}
	rec.Log = appendLog(rec.Log, logRecord{At: t.now.Unix(), What: logDelivered, Contact: c.id})
	if err := t.putRow(id, number, rec); err != nil {
		return err
	}
	m := t.shapeGroupMessage(g, number, *rec)
	detail := rec.Reason
	if detail == "" {
		detail = fmt.Sprintf("%d of %d members have it", o.Delivered, o.Members)
	}
	t.publish(Event{Type: MessageStateChanged, Message: &m, Detail: detail})
	return nil
}

// missingCopies says how many members have a message, and why not all.
func missingCopies(have, want int, why string) string {
	return fmt.Sprintf("%d of %d members have it: %s", have, want, why)
}

// tellFlight tells what changed about a message, and ends its way once every
// copy's has ended.
func (t *turn) tellFlight(g *group, f *groupFlight) error {
	now := f.sum()
	if now.state != Delivered && now.state != Failed {
		if now != f.told {
			f.told = now
			t.publishGroupState(g, f, "")
		}
		return nil
	}
	f.told = now
	delete(g.flight, f.number)
	if err := t.tx.Sequence(bucketGroupFlight + g.id).Delete(f.number); err != nil {
		return err
	}
	rec, err := t.row(g.id, f.number)
	if rec == nil || err != nil {
		return err
	}
	rec.Final = finalDelivered
	if now.state == Failed {
		rec.Final, rec.Reason = finalFailed, f.reason()
	}
	if rec.Group == nil {
		rec.Group = &groupOrigin{}
	}
	rec.Group.Delivered, rec.Group.Members, rec.Group.Failed = now.delivered.Have, now.delivered.Want, f.failed()
	if err := t.putRow(g.id, f.number, rec); err != nil {
		return err
	}
	t.publishGroupState(g, f, rec.Reason)
	return nil
}

// failed lists the contacts whose copy was given up.
func (f *groupFlight) failed() (contacts []string) {
	for _, k := range f.rec.Copies {
		if k.State == copyFailed && k.Contact != "" {
			contacts = append(contacts, k.Contact)
		}
	}
	return contacts
}

// reason says why not all members have a message.
func (f *groupFlight) reason() string {
	have, why := 0, "they left the group"
	for _, k := range f.rec.Copies {
		switch k.State {
		case copyDelivered:
			have++
		case copyFailed:
			why = k.Reason
		}
	}
	if len(f.rec.Copies) == 0 {
		return why
	}
	return missingCopies(have, len(f.rec.Copies), why)
}

func (t *turn) publishGroupState(g *group, f *groupFlight, detail string) {
	told := f.told
	if detail == "" {
		detail = fmt.Sprintf("%d of %d members have it", told.delivered.Have, told.delivered.Want)
	}
	m := &Message{
		ID: messageID(g.id, f.number), Contact: g.id, Direction: Out, Seq: f.number,
		State: told.state, Copies: &told.copies, Delivered: &told.delivered,
	}
	t.publish(Event{Type: MessageStateChanged, Message: m, Detail: detail})
}

// dropCopies stops sending to a member, and inviting them: what was not acknowledged by then is
// taken back as far as it can be.
func (t *turn) dropCopies(g *group, m *memberRecord) error {
	if i := t.book.invites[m.Invite]; i != nil {
		if err := t.revokeInvite(i); err != nil {
			return err
		}
	}
	m.Invite, m.Wanted = "", false
	for _, number := range sortedKeys(g.flight) {
		f := g.flight[number]
		n := len(f.rec.Copies)
		f.rec.Copies = slices.DeleteFunc(f.rec.Copies, func(k copyRecord) bool {
			return k.Member == m.ID && k.State != copyDelivered && k.State != copyFailed
		})
		if len(f.rec.Copies) == n {
			continue
		}
		if err := t.saveFlight(g, f); err != nil {
			return err
		}
		if err := t.tellFlight(g, f); err != nil {
			return err
		}
	}
	c := t.book.contacts[m.Contact]
	if c == nil {
		return nil
	}
	t.touch(c)
	return t.withdraw(c, func(number uint64, group string) bool { return group == g.id })
}

// withdraw drops what is on its way to a contact and not acknowledged, if it is
// of the messages that which names.
func (t *turn) withdraw(c *contact, which func(number uint64, group string) bool) error {
	if err := t.takeWaiting(c, func(w *waiting) bool { return which(w.number, w.group) }); err != nil {
		return err
	}
	for _, seq := range slices.Clone(c.order) {
		o := c.out[seq]
		if o == nil || seq >= requestSeq || !which(o.rec.Number, o.rec.Group) {
			continue
		}
		c.session.GiveUp(seq)
		if err := t.noteGaveUp(c, o); err != nil {
			return err
		}
		if err := t.dropOutgoing(c, seq); err != nil {
			return err
		}
	}
	return nil
}

// groupsOnlyHere counts the messages to groups of which some copy exists on this
// machine only.
func (b *book) groupsOnlyHere() int {
	n := 0
	for _, g := range b.groups {
		for _, f := range g.flight {
			if f.told.state == Queued {
				n++
			}
		}
	}
	return n
}

// isRefusal tells an *Error from a failure of the store.
func isRefusal(err error) bool {
	var refused *Error
	return errors.As(err, &refused)
}
