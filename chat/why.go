package chat

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// logRecord is one entry of a message's ledger (SPEC.md §6.1). While a frame of
// the message is in the outbox, entries lie in the frame's row, which is written
// anyway when something happens to it; the last frame to go leaves them to the
// message's row in the history.
type logRecord struct {
	At      int64  `cbor:"1,keyasint"`           // Unix seconds
	What    byte   `cbor:"2,keyasint"`           // one of the log constants
	Relay   uint64 `cbor:"3,keyasint,omitempty"` // the first 8 bytes of its id; 0: none
	Until   int64  `cbor:"4,keyasint,omitempty"` // Unix seconds; logStored: when the relay may delete it
	Next    int64  `cbor:"5,keyasint,omitempty"` // Unix seconds; logTry: when it is tried again
	Times   int    `cbor:"6,keyasint,omitempty"` // logTry: how often it failed so; 0: once
	Text    string `cbor:"7,keyasint,omitempty"` // why, in words
	Contact string `cbor:"8,keyasint,omitempty"` // id of the member whose copy it is about, in a group
}

// The values of logRecord.What.
const (
	logStored    byte = 1  // a relay signed for all frames
	logTry       byte = 2  // a relay could not be reached, or refused
	logLost      byte = 3  // a relay is not believed to hold it any more
	logResealed  byte = 4  // relays dropped it: sealed anew
	logDelivered byte = 5  // acknowledged
	logFailed    byte = 6  // given up, for Text
	logNote      byte = 7  // Text alone
	logEdited    byte = 8  // by its author
	logDeleted   byte = 9  // Text says where
	logTold      byte = 10 // the contact has the edit or the wish to delete
)

// Implementation constants of the ledger: what one message may keep.
const (
	maxLog     = 32  // entries
	maxLogText = 160 // bytes of a reason
)

// logKey names a message whose last frame has left the outbox.
type logKey struct {
	group  string
	number uint64
}

// appendLog adds an entry. A try that fails as one before it did, with nothing
// else between, is counted there.
func appendLog(log []logRecord, e logRecord) []logRecord {
	if len(e.Text) > maxLogText {
		e.Text = strings.ToValidUTF8(e.Text[:maxLogText], "")
	}
	if e.What == logTry {
		for i := len(log) - 1; i >= 0 && log[i].What == logTry; i-- {
			if old := log[i]; old.Relay == e.Relay && old.Text == e.Text && old.Contact == e.Contact {
				e.Times = max(old.Times, 1) + 1
				log = slices.Delete(log, i, i+1)
				break
			}
		}
	}
	if len(log) >= maxLog {
		oldest := slices.IndexFunc(log, func(e logRecord) bool { return e.What == logTry || e.What == logLost })
		log = slices.Delete(log, max(0, oldest), max(0, oldest)+1)
	}
	return append(log, e)
}

// mergeLogs joins the entries of two frames of a message, by time.
func mergeLogs(a, b []logRecord) []logRecord {
	all := append(slices.Clone(a), b...)
	slices.SortStableFunc(all, func(x, y logRecord) int { return cmp.Compare(x.At, y.At) })
	var merged []logRecord
	for _, e := range all {
		merged = appendLog(merged, e)
	}
	return merged
}

// logRow adds an entry to a message's row in the history, if it is there.
func (t *turn) logRow(conversation string, number uint64, e logRecord) error {
	e.At = t.now.Unix()
	rec, err := t.row(conversation, number)
	if rec == nil || err != nil {
		return err
	}
	rec.Log = appendLog(rec.Log, e)
	return t.putRow(conversation, number, rec)
}

// span returns the seqs of the frames of o's message: index and count stand at 4
// and 6 of the frame (chat/session/SPEC.md §6.1).
func (o *outgoing) span() (first, count uint64) {
	if len(o.rec.Body) < 8 {
		return o.seq, 1
	}
	return o.seq - uint64(binary.BigEndian.Uint16(o.rec.Body[4:])), uint64(binary.BigEndian.Uint16(o.rec.Body[6:]))
}

// siblings returns the frames of o's message in the outbox, o included.
func (c *contact) siblings(o *outgoing) []*outgoing {
	first, count := o.span()
	if count == 1 {
		return []*outgoing{o}
	}
	var list []*outgoing
	for seq := first; seq < first+count; seq++ {
		if x := c.out[seq]; x != nil && x.rec.Number == o.rec.Number && x.rec.Group == o.rec.Group {
			list = append(list, x)
		}
	}
	return list
}

// logReceipt enters that the relay of a slot holds the message, once it signed
// for all frames that are on their way. The caller saves o.
func (t *turn) logReceipt(c *contact, o *outgoing, slotNumber int) {
	if o.rec.Number == 0 {
		return
	}
	got := o.got[slotNumber]
	until := got.until
	for _, x := range c.siblings(o) {
		g := x.got[slotNumber]
		if g == nil || g.relay != got.relay {
			return
		}
		until = min(until, g.until)
	}
	o.rec.Log = appendLog(o.rec.Log, logRecord{
		At: t.now.Unix(), What: logStored, Relay: relayNumber(got.relay),
		Until: int64(until) * int64(mailbox.Hour(t.m.isLab())/time.Second),
	})
}

// logFailure enters that the queue of a slot could not be written to, with those
// frames that would have gone now.
func (t *turn) logFailure(c *contact, slotNumber int, failure error, next time.Time) error {
	addr := c.slots[slotNumber].addr
	left := mailbox.SendWindow
	for seq := range c.sendOrder() {
		o := c.out[seq]
		if g := o.got[slotNumber]; o.rec.Number == 0 || g != nil && g.sid == mailbox.SID(addr.SID) || o.due[slotNumber].After(t.now) {
			continue
		}
		if left--; left < 0 {
			break
		}
		o.rec.Log = appendLog(o.rec.Log, logRecord{
			At: t.now.Unix(), What: logTry, Relay: relayNumber(addr.Relay), Next: next.Unix(), Text: PlainError(failure),
		})
		if err := t.saveOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}

// logLost enters which relays are not believed to hold a message any more.
func (t *turn) logLost(c *contact, number uint64) error {
	var lost []directory.RelayID
	for _, seq := range c.order {
		o := c.out[seq]
		if o.rec.Number != number || o.rec.Group != "" {
			continue
		}
		for _, g := range o.got {
			if g == nil || t.holds(g) || slices.Contains(lost, g.relay) {
				continue
			}
			lost = append(lost, g.relay)
			text := "its time to keep it is over"
			if t.protocolHour() < g.until {
				text = "it is not listed any more"
			}
			o.rec.Log = appendLog(o.rec.Log, logRecord{At: t.now.Unix(), What: logLost, Relay: relayNumber(g.relay), Text: text})
			if err := t.saveOutgoing(c, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaveLog keeps the entries of a frame that leaves the outbox: in another frame
// of its message, or for who ends the message's way in this turn.
func (t *turn) leaveLog(c *contact, o *outgoing) error {
	if o.rec.Number == 0 || len(o.rec.Log) == 0 {
		return nil
	}
	for _, x := range c.siblings(o) {
		if x.seq != o.seq {
			x.rec.Log = mergeLogs(x.rec.Log, o.rec.Log)
			return t.saveOutgoing(c, x)
		}
	}
	if c.ended == nil {
		c.ended = make(map[logKey][]logRecord)
	}
	key := logKey{o.rec.Group, o.rec.Number}
	c.ended[key] = mergeLogs(c.ended[key], o.rec.Log)
	return nil
}

// endLog returns the entries of a message whose last frame left the outbox in
// this turn.
func (c *contact) endLog(group string, number uint64) []logRecord {
	key := logKey{group, number}
	log := c.ended[key]
	delete(c.ended, key)
	return log
}

// logEnd completes the ledger of a message whose way has ended.
func (t *turn) logEnd(c *contact, number uint64, rec *messageRecord) {
	what := logDelivered
	if rec.Final == finalFailed {
		what = logFailed
	}
	rec.Log = appendLog(mergeLogs(rec.Log, c.endLog("", number)), logRecord{At: t.now.Unix(), What: what, Text: rec.Reason})
}

func relayNumber(id directory.RelayID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// relayWords names the relays of a ledger as people read them.
func (t *turn) relayWords(log []logRecord) map[uint64]string {
	ids := make(map[uint64]directory.RelayID)
	for _, e := range log {
		var id directory.RelayID
		binary.BigEndian.PutUint64(id[:], e.Relay)
		ids[e.Relay] = id
	}
	var all []directory.RelayID
	if view := t.m.views.Current(); view != nil {
		for i := range view.Relays() {
			id := view.Relays()[i].ID
			if _, ok := ids[relayNumber(id)]; ok {
				ids[relayNumber(id)] = id
			}
			all = append(all, id)
		}
	}
	for _, id := range ids {
		all = append(all, id)
	}
	slices.SortFunc(all, func(a, b directory.RelayID) int { return slices.Compare(a[:], b[:]) })
	names := directory.RelayNames(slices.Compact(all))
	words := make(map[uint64]string)
	for number, id := range ids {
		words[number] = names[id]
	}
	return words
}

// Why returns the ledger of a message: each change with its time, the relays in
// words, and what comes next. It fails with not_found.
func (m *Messenger) Why(ctx context.Context, message string) (Why, error) {
	var why Why
	err := m.look(ctx, func(t *turn) (err error) {
		why, err = t.why(message)
		return err
	})
	return why, err
}

func (t *turn) why(message string) (Why, error) {
	conversation, number, rec, err := t.find(message)
	if err != nil {
		return Why{}, err
	}
	log, frames := rec.Log, []*outgoing(nil)
	var owners []*contact // of frames
	for _, c := range t.book.sorted() {
		if !strings.HasPrefix(conversation, "g_") && c.id != conversation {
			continue
		}
		group := ""
		if c.id != conversation {
			group = conversation
		}
		var copied []logRecord
		for _, seq := range c.order {
			if o := c.out[seq]; o.rec.Number == number && o.rec.Group == group {
				copied = mergeLogs(copied, o.rec.Log)
				frames, owners = append(frames, o), append(owners, c)
			}
		}
		for i := range copied {
			if group != "" {
				copied[i].Contact = c.id
			}
		}
		log = mergeLogs(log, copied)
	}
	why := Why{History: t.logWords(conversation, rec, log)}
	if rec.Mark != nil && rec.Mark.Gone == 0 {
		for _, old := range rec.Mark.Earlier {
			why.Earlier = append(why.Earlier, Earlier{Time: time.UnixMilli(old.Time).UTC(), Text: old.Text})
		}
	}
	t.whatNext(&why, conversation, number, rec, frames, owners)
	return why, nil
}

// logWords puts a ledger into words.
func (t *turn) logWords(conversation string, rec *messageRecord, log []logRecord) []HistoryEntry {
	state, detail := Received, "received"
	switch {
	case conversation == NotesID:
		state, detail = Delivered, "kept on this machine, where it belongs"
	case rec.Out:
		state, detail = Queued, "on this machine only"
	case rec.Late:
		detail = "received, after a later one was shown"
	}
	entries := []HistoryEntry{{Time: time.UnixMilli(rec.Time).UTC(), State: state, Detail: detail}}
	names := t.relayWords(log)
	holding := make(map[logKey]struct{}) // copies at relays: number is the relay, group the member
	holds := func(member string) bool {
		for k := range holding {
			if k.group == member {
				return true
			}
		}
		return false
	}
	states := make(map[string]MessageState)
	first := state
	for _, e := range log {
		state := cmp.Or(states[e.Contact], first) // in a group, of that member's copy
		who := "the contact"
		detail := ""
		if c := t.book.contacts[e.Contact]; c != nil {
			who, detail = c.rec.Name, c.rec.Name+": "
		}
		relay := names[e.Relay]
		switch e.What {
		case logStored:
			holding[logKey{e.Contact, e.Relay}] = struct{}{}
			state = Stored
			detail += fmt.Sprintf("%s signed for it and keeps it until %s", relay, clock(e.Until))
		case logTry:
			detail += fmt.Sprintf("%s: %s", relay, cmp.Or(e.Text, "could not be reached"))
			if e.Times > 1 {
				detail += fmt.Sprintf(", %d times", e.Times)
			}
			if e.Next != 0 {
				detail += "; next try at " + clock(e.Next)
			}
		case logLost:
			delete(holding, logKey{e.Contact, e.Relay})
			if state == Stored && !holds(e.Contact) {
				state = Queued
			}
			detail += fmt.Sprintf("%s does not count any more: %s", relay, e.Text)
		case logResealed:
			maps.DeleteFunc(holding, func(k logKey, _ struct{}) bool { return k.group == e.Contact })
			state = Queued
			detail += "the relays dropped it; it was sealed anew"
		case logDelivered:
			state = Delivered
			detail += "acknowledged by " + who
		case logFailed:
			state = Failed
			detail += e.Text
		case logEdited:
			detail += cmp.Or(e.Text, "edited")
		case logDeleted, logNote:
			detail += e.Text
		case logTold:
			detail += who + " has " + e.Text
		default:
			continue // of a later version
		}
		states[e.Contact] = state
		entries = append(entries, HistoryEntry{Time: time.Unix(e.At, 0).UTC(), State: state, Detail: detail})
	}
	return entries
}

// clock writes a time of a ledger.
func clock(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04 UTC") }

// whatNext says what comes next for a message of ours that is on its way.
func (t *turn) whatNext(why *Why, conversation string, number uint64, rec *messageRecord, frames []*outgoing, owners []*contact) {
	if !rec.Out || rec.Final != 0 || conversation == NotesID {
		return
	}
	var next time.Time
	var until uint32
	missing := false
	for i, o := range frames {
		c := owners[i]
		for slotNumber := range c.slots {
			s := &c.slots[slotNumber]
			if g := o.got[slotNumber]; g != nil && t.holds(g) {
				until = max(until, g.until)
				if g.sid == mailbox.SID(s.addr.SID) {
					continue
				}
			}
			if s.addr.IsZero() {
				continue
			}
			missing = true
			at := o.due[slotNumber]
			if s.rests.After(at) {
				at = s.rests
			}
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	if until != 0 {
		at := time.Unix(int64(until)*int64(mailbox.Hour(t.m.isLab())/time.Second), 0).UTC()
		why.Expires = &at
	}
	c, f := t.book.contacts[conversation], t.book.files[rec.File]
	offered := f != nil && c != nil && len(f.rec.Offer) > 0 && !slices.ContainsFunc(c.waiting, func(w waiting) bool { return w.number == number && w.group == "" })
	switch {
	case f != nil && f.rec.Paused:
		why.Next = "you paused this file: it goes on when you say so"
	case missing:
		next = next.UTC().Truncate(time.Millisecond)
		why.NextTry, why.Next = &next, "a copy goes to a relay as soon as one can be reached"
	case len(frames) > 0:
		why.Next = "waits until the contact reads it and acknowledges"
	case offered && f.rec.State == FileSending:
		why.Next = "the contact knows of the file, which is on its way to the relays"
	case offered && f.rec.State == FileStored:
		why.Next = "relays hold all of the file: waits until the contact has fetched it"
	case c != nil && c.rec.State == ContactChanged:
		why.Next = "waits until you have compared the contact's new key and accepted it"
	case c != nil && c.rec.State == ContactInvited:
		why.Next = "waits until the contact answers the invite"
	case c != nil:
		why.Next = "waits until the contact acknowledges what was sent before it"
	}
}
