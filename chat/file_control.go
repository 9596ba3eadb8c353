package chat

import (
	"context"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
)

// Specification constants of what sender and receiver say to each other (SPEC.md
// §12.4).
const (
	maxPlaces   = 1024 // further places of a file, on either side: the largest has 576 segments
	maxFurther  = 16   // relays beyond those of FILE that a receiver visits for one file
	againFactor = 4    // a file is stored anew at most so often, because of wants
	wantMost    = 8    // messages that ask for parts again at a time: the largest file has 576 segments
	endedOffers = 100  // transfers from one contact that ended and left nothing in the spool
)

// takeFile takes an offer. Nothing is fetched before the user asks.
func (t *turn) takeFile(c *contact, m session.Message, late bool) error {
	o, err := session.ParseFile(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: nothing to show
	}
	open, ended := 0, 0
	var oldest *file
	for _, f := range t.book.files {
		if f.rec.Contact != c.id || f.rec.Out {
			continue
		}
		if f.rec.Msg == m.ID {
			return nil // offered before
		}
		if f.rec.State == FileOffered {
			open++
		}
		if f.final() && f.rec.Key == [32]byte{} {
			if ended++; oldest == nil || f.rec.Time < oldest.rec.Time {
				oldest = f
			}
		}
	}
	if ended >= endedOffers { // its message stays
		if err := t.dropTransfer(oldest.id); err != nil {
			return err
		}
	}
	name := SanitizeFileName(o.Name)
	if name == "" {
		name = "file"
	}
	rec := messageRecord{ID: m.ID, Late: late, Kind: kindFile, Text: offerText(name, int64(o.Size))}
	if open >= openOffers {
		return t.addMessage(c, rec)
	}
	f := &file{id: newID("f_"), wake: make(chan struct{}, 1)}
	f.rec = fileRecord{
		Contact: c.id, State: FileOffered, Msg: m.ID, Offer: m.Content, Name: name, Size: int64(o.Size), Hash: o.Hash, Time: t.now.UnixMilli(),
	}
	f.open(o)
	t.book.files[f.id] = f
	if err := t.saveFile(f); err != nil {
		return err
	}
	rec.File = f.id
	if err := t.addMessage(c, rec); err != nil {
		return err
	}
	t.tellFile(f, true)
	return nil
}

// takeFileControl takes what the contact says about a file.
func (t *turn) takeFileControl(c *contact, m session.Message) error {
	ctl, err := session.ParseFileControl(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: changes nothing
	}
	for _, id := range sortedKeys(t.book.files) {
		f := t.book.files[id]
		if f.rec.Contact != c.id || f.rec.Msg != ctl.File || f.final() {
			continue
		}
		switch {
		case ctl.Op == session.FileDone && f.rec.Out:
			return t.endFile(f, FileComplete, "")
		case ctl.Op == session.FileCancel && f.rec.Out:
			return t.endFile(f, FileFailed, "the contact does not want it")
		case ctl.Op == session.FileCancel:
			return t.endFile(f, FileFailed, "withdrawn by the contact")
		case ctl.Op == session.FileWant && f.rec.Out:
			return t.takeWant(f, ctl.Ranges)
		case ctl.Op == session.FileMoved && !f.rec.Out:
			return t.takeMoved(f, ctl)
		}
	}
	return nil
}

// control sends the contact a message about a file.
func (t *turn) control(f *file, ctl session.FileControl) error {
	c := t.book.contacts[f.rec.Contact]
	if c == nil || len(f.rec.Offer) == 0 {
		return nil // nobody to tell, or it was never offered
	}
	ctl.File = f.rec.Msg
	content, err := ctl.Append(nil)
	if err != nil {
		return err
	}
	return t.wait(c, waitRecord{Type: byte(session.FrameFileCtl), Content: content})
}

// takeWant plans to store anew what the contact cannot have. Blocks that no
// relay signed for yet are on their way anyway.
func (t *turn) takeWant(f *file, ranges []session.FileRange) error {
	if len(f.rec.Offer) == 0 {
		return nil
	}
	wanted := make(map[uint32]bitmap)
	for _, g := range ranges {
		_, count := f.offer.SegmentBlocks(g.Segment)
		var had bitmap
		for _, at := range f.places(g.Segment) {
			if p := f.parts[partKey(g.Segment, at.copy)]; p != nil {
				if at.copy >= session.MaxFileCopies && !p.have.covers(&p.want) {
					had = bitmap{} // it is being stored anew
					break
				}
				had.join(&p.have)
			}
		}
		b := wanted[g.Segment]
		for i := uint32(g.First); i < min(count, uint32(g.First)+uint32(g.Count)); i++ {
			if had.has(i) {
				b.set(i)
			}
		}
		wanted[g.Segment] = b
	}
	had, note := len(f.rec.Places), f.note
	for _, segment := range sortedKeys(wanted) {
		b := wanted[segment]
		n := uint32(b.count())
		if n == 0 {
			continue
		}
		if f.rec.Again+n > againFactor*f.offer.Blocks() {
			f.note = "the contact wants it too often"
			break
		}
		before := len(f.rec.Places)
		if err := t.placeAgain(f, segment, b, nil); err != nil {
			return err
		}
		if len(f.rec.Places) > before {
			f.rec.Again += n
		}
	}
	if len(f.rec.Places) == had && f.note == note {
		return nil // nothing to do, nothing to tell
	}
	t.roster = true
	wake(f.wake)
	t.restate(f)
	t.tellFile(f, true)
	return t.saveFile(f)
}

// placeAgain plans a further copy of blocks of a segment, at a relay that has
// none of the segment, if there is one; where others are stored anew, if it can
// be. never is a relay that cannot be used.
func (t *turn) placeAgain(f *file, segment uint32, blocks bitmap, never []directory.RelayID) error {
	view := t.m.views.Current()
	if view == nil || len(f.rec.Places) >= maxPlaces {
		return nil
	}
	next, taken := byte(session.MaxFileCopies), slices.Clone(never)
	for _, at := range f.places(segment) {
		if at.copy == 255 {
			return nil
		}
		next = max(next, at.copy+1)
		if id, ok := listedPrefix(view, at.relay); ok {
			taken = append(taken, id)
		}
	}
	var relay [16]byte
	for i := range f.rec.Places { // few relays, not many
		p := &f.rec.Places[i]
		id, listed := listedPrefix(view, p.Relay)
		if listed && !p.Told && !slices.Contains(taken, id) {
			relay = p.Relay
		}
	}
	if relay == [16]byte{} {
		id, ok := t.m.drawRelay(view, taken, t.offerRelays(f, view))
		if !ok {
			id, ok = t.m.drawRelay(view, never, nil) // one that lost it, perhaps: the keys are others
		}
		if !ok {
			return nil
		}
		relay = id.Prefix()
	}
	f.rec.Places = append(f.rec.Places, placeRecord{Segment: segment, Count: 1, Copy: next, Relay: relay})
	key := partKey(segment, next)
	f.parts[key] = &part{want: blocks}
	return t.savePart(f, key)
}

// offerRelays are relays that a further copy should not lie on.
func (t *turn) offerRelays(f *file, view *directory.View) (ids []directory.RelayID) {
	for _, prefix := range f.offer.Relays {
		if id, ok := listedPrefix(view, prefix); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// replace gives up parts at relays that cannot be used and plans them elsewhere.
func (t *turn) replace(f *file, keys []uint32) error {
	for _, key := range keys {
		p := f.parts[key]
		if p == nil || p.have.covers(&p.want) {
			continue
		}
		var never []directory.RelayID
		for _, at := range f.places(key >> 8) {
			if id, ok := listedPrefix(t.m.views.Current(), at.relay); ok && at.copy == byte(key) {
				never = append(never, id)
			}
		}
		before := len(f.rec.Places)
		if err := t.placeAgain(f, key>>8, p.want, never); err != nil {
			return err
		}
		if len(f.rec.Places) == before {
			continue // there is no other relay
		}
		*p = part{}
		if err := t.savePart(f, key); err != nil {
			return err
		}
	}
	return t.saveFile(f)
}

// tellMoved tells the contact of further copies that relays hold now.
func (t *turn) tellMoved(f *file) error {
	ctl := session.FileControl{Op: session.FileMoved}
	flush := func() error {
		if len(ctl.Places) == 0 {
			return nil
		}
		err := t.control(f, ctl)
		ctl = session.FileControl{Op: session.FileMoved}
		return err
	}
	for i := range f.rec.Places {
		at := &f.rec.Places[i]
		p := f.parts[partKey(at.Segment, at.Copy)]
		if at.Told || p == nil || p.have == (bitmap{}) || !p.have.covers(&p.want) {
			continue
		}
		at.Told = true
		if ctl.Until == 0 || p.until < ctl.Until {
			ctl.Until = p.until
		}
		last := len(ctl.Places) - 1
		if last >= 0 && ctl.Places[last].Relay == at.Relay && ctl.Places[last].Copy == at.Copy && ctl.Places[last].Segment+uint32(ctl.Places[last].Count) == at.Segment {
			ctl.Places[last].Count++
			continue
		}
		ctl.Places = append(ctl.Places, session.FilePlace{Segment: at.Segment, Count: 1, Copy: at.Copy, Relay: at.Relay})
		if len(ctl.Places) == session.MaxFilePlaces {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// takeMoved notes where further copies lie. A contact could have us visit one
// relay after the other, to learn which one is our guard, so a file has few.
func (t *turn) takeMoved(f *file, ctl session.FileControl) error {
	relays := make(map[[16]byte]bool)
	for i := range f.rec.Places {
		relays[f.rec.Places[i].Relay] = true
	}
	changed := false
	for _, p := range ctl.Places {
		if uint64(p.Segment)+uint64(p.Count) > uint64(f.offer.Segments()) {
			continue
		}
		if last := len(f.rec.Places) - 1; last >= 0 { // they are told as they are stored, bit by bit
			if o := &f.rec.Places[last]; o.Relay == p.Relay && o.Copy == p.Copy && o.Until == ctl.Until && o.Segment+uint32(o.Count) == p.Segment {
				o.Count += p.Count
				changed = true
				continue
			}
		}
		if len(f.rec.Places) >= maxPlaces || !relays[p.Relay] && len(relays) >= maxFurther {
			continue
		}
		relays[p.Relay] = true
		f.rec.Places = append(f.rec.Places, placeRecord{Segment: p.Segment, Count: p.Count, Copy: p.Copy, Relay: p.Relay, Until: ctl.Until})
		changed = true
	}
	if !changed {
		return nil
	}
	wake(f.wake)
	return t.saveFile(f)
}

// tickFiles ends what nobody fetched in time, and takes back what is not proven
// any more.
func (t *turn) tickFiles() error {
	if t.now.Before(t.book.filesDue) {
		return nil
	}
	t.book.filesDue = t.now.Add(t.m.timing().maintain)
	for _, id := range sortedKeys(t.book.files) {
		f := t.book.files[id]
		if f.final() {
			continue
		}
		if t.now.Sub(time.UnixMilli(f.rec.Time)) >= t.m.timing().expire && f.rec.State != FileFetching {
			if f.rec.Out { // who fetches it still would wait for ever
				if err := t.control(f, session.FileControl{Op: session.FileCancel}); err != nil {
					return err
				}
			}
			if err := t.endFile(f, FileFailed, "nobody fetched it in time"); err != nil {
				return err
			}
			continue
		}
		if state, note := f.rec.State, f.note; f.rec.Out {
			if t.restate(f); state != f.rec.State || note != f.note {
				t.tellFile(f, true)
				if err := t.saveFile(f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fileWorkers adds the transfers that need the network, and spools that are to
// be erased, to what should run.
func (t *turn) fileWorkers(w *wanted) {
	m := t.m
	for id, f := range t.book.files {
		c := t.book.contacts[f.rec.Contact]
		switch {
		case f.rec.State == FileComplete && f.rec.Wish != "":
			wish := f.rec.Wish
			w.others["save/"+id] = func(ctx context.Context) { _ = m.writeFile(ctx, id, wish) } // a failure is noted
		case f.final() || f.rec.Paused || c == nil || c.rec.State == ContactBlocked:
		case f.rec.Out && (len(f.rec.Offer) == 0 || len(f.owed()) > 0):
			w.others["file/"+id] = (&uploader{transfer: m.newTransfer(f)}).Run
		case f.rec.State == FileFetching:
			w.others["file/"+id] = (&downloader{transfer: m.newTransfer(f)}).Run
		}
	}
	if len(t.book.spoolsToErase()) > 0 {
		w.others["erase spools"] = func(context.Context) { m.eraseSpools() }
	}
}

// spoolsToErase are the ids of spools that no row needs any more.
func (b *book) spoolsToErase() (ids []string) {
	for id, f := range b.files {
		if f.erase {
			ids = append(ids, id)
		}
	}
	return append(ids, b.erased...)
}

// eraseSpools erases spools whose keys are gone from the disk.
func (m *Messenger) eraseSpools() {
	var ids []string
	err := m.look(context.Background(), func(t *turn) error {
		ids = t.book.spoolsToErase()
		return nil
	})
	if err != nil {
		return
	}
	var left []string
	for _, id := range ids {
		if err := m.transfers.spools.remove(id); err != nil {
			m.log.Error("a spool cannot be erased", errorKey, withoutPath(err))
			left = append(left, id)
		}
	}
	if len(left) > 0 {
		return // the next start tries again
	}
	_ = m.look(context.Background(), func(t *turn) error {
		for _, id := range ids {
			if f := t.book.files[id]; f != nil {
				f.erase = false
			}
		}
		t.book.erased = slices.DeleteFunc(t.book.erased, func(id string) bool { return slices.Contains(ids, id) })
		return nil
	})
}

// sweepSpools erases spools that no row knows: those of a crash, and those whose
// transfer ended. It is called before anything is spooled.
func (m *Messenger) sweepSpools() {
	err := m.transfers.spools.sweep(func(id string) bool {
		f := m.book.files[id]
		return f != nil && f.rec.Key != [32]byte{}
	})
	if err != nil {
		m.log.Error("old spools cannot be erased", errorKey, withoutPath(err))
	}
}
