package chat

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
	"hearsay/directory"
)

const (
	bucketFile  = "file"
	bucketParts = "fileparts/" // followed by a file's id
)

// fileRecord is one transfer. Its keys go when it ends.
type fileRecord struct {
	Contact string    `cbor:"1,keyasint"`
	Out     bool      `cbor:"2,keyasint,omitempty"`
	State   FileState `cbor:"3,keyasint"`
	Number  uint64    `cbor:"4,keyasint,omitempty"` // sent: of the message in the history
	Msg     [16]byte  `cbor:"5,keyasint"`           // id of the FILE message
	Offer   []byte    `cbor:"6,keyasint,omitempty"` // session.File; empty: not drawn yet, or ended
	Name    string    `cbor:"7,keyasint"`           // sanitized
	Size    int64     `cbor:"8,keyasint"`
	Hash    [32]byte  `cbor:"9,keyasint"`
	Key     [32]byte  `cbor:"10,keyasint"` // of the spool; zero: there is none
	Time    int64     `cbor:"11,keyasint"` // Unix milliseconds
	Burst   bool      `cbor:"12,keyasint,omitempty"`
	Reason  string    `cbor:"13,keyasint,omitempty"`
	Path    string    `cbor:"14,keyasint,omitempty"` // where it was saved
	Wish    string    `cbor:"15,keyasint,omitempty"` // where to save it once it is whole

	Places []placeRecord `cbor:"16,keyasint,omitempty"` // of copies from 2 on
	Wanted int64         `cbor:"17,keyasint,omitempty"` // received: Unix seconds of the last want
	Wants  int           `cbor:"18,keyasint,omitempty"` // received: how often
	Again  uint32        `cbor:"19,keyasint,omitempty"` // sent: blocks stored anew because of wants
	Paused bool          `cbor:"20,keyasint,omitempty"` // by the user: no worker runs
}

// placeRecord says where a further copy of consecutive segments lies.
type placeRecord struct {
	Segment uint32   `cbor:"1,keyasint"`
	Count   uint16   `cbor:"2,keyasint"`
	Copy    byte     `cbor:"3,keyasint"`
	Relay   [16]byte `cbor:"4,keyasint"`
	Until   uint32   `cbor:"5,keyasint,omitempty"` // received: protocol hours
	Told    bool     `cbor:"6,keyasint,omitempty"` // sent: the contact was told
}

// file is one transfer, owned by the keeper.
type file struct {
	id    string
	rec   fileRecord
	offer session.File     // of rec.Offer
	parts map[uint32]*part // by partKey; of a received file all are of copy 0
	wake  chan struct{}    // capacity 1: the worker looks again
	told  time.Time        // when progress was last told
	last  [2]any           // what was told: state and detail
	note  string           // why it waits, in words; not kept
	erase bool             // its spool is to go once the row is on the disk
}

// part is one copy of one segment, by blocks of the segment.
type part struct {
	until uint32 // sent: the relay holds all of have until this protocol hour
	have  bitmap // sent: a relay signed for it; received: it is in the spool
	want  bitmap // sent: to be stored there
}

// bitmap has a bit for each block of a segment.
type bitmap [session.FileSegment / 8]byte

func (b *bitmap) has(i uint32) bool { return b[i/8]&(1<<(i%8)) != 0 }
func (b *bitmap) set(i uint32)      { b[i/8] |= 1 << (i % 8) }

func (b *bitmap) count() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// join adds the bits of o.
func (b *bitmap) join(o *bitmap) {
	for i := range b {
		b[i] |= o[i]
	}
}

// covers tells whether all bits of o are set.
func (b *bitmap) covers(o *bitmap) bool {
	for i := range b {
		if o[i]&^b[i] != 0 {
			return false
		}
	}
	return true
}

// firstBits has the first n bits.
func firstBits(n uint32) (b bitmap) {
	for i := range n {
		b.set(i)
	}
	return b
}

func partKey(segment uint32, copy byte) uint32 { return segment<<8 | uint32(copy) }

func (p *part) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, p.until)
	b = append(b, p.have[:]...)
	return append(b, p.want[:]...)
}

func parsePart(b []byte) (*part, error) {
	var p part
	if len(b) != 4+len(p.have)+len(p.want) {
		return nil, fmt.Errorf("chat: part of a file of %d bytes", len(b))
	}
	p.until = binary.BigEndian.Uint32(b)
	copy(p.have[:], b[4:])
	copy(p.want[:], b[4+len(p.have):])
	return &p, nil
}

// final tells whether nothing more happens to the transfer.
func (f *file) final() bool { return f.rec.State == FileComplete || f.rec.State == FileFailed }

// open takes the offer, and plans its parts.
func (f *file) open(o session.File) {
	f.offer, f.parts = o, make(map[uint32]*part)
	if !f.rec.Out {
		return
	}
	for i := range o.Segments() {
		_, count := o.SegmentBlocks(i)
		for j := range o.Copies {
			f.parts[partKey(i, j)] = &part{want: firstBits(count)}
		}
	}
}

// place is where a copy of a segment lies.
type place struct {
	copy  byte
	relay [16]byte
	until uint32
}

// places are those of a segment, the first copy first.
func (f *file) places(segment uint32) (list []place) {
	for j := range f.offer.Copies {
		list = append(list, place{j, f.offer.Relays[f.offer.Relay(segment, j)], f.offer.Until})
	}
	for i := range f.rec.Places {
		if p := &f.rec.Places[i]; segment >= p.Segment && segment-p.Segment < uint32(p.Count) {
			list = append(list, place{p.Copy, p.Relay, p.Until})
		}
	}
	return list
}

// loadFiles reads the transfers. Contacts are there before.
func (b *book) loadFiles(tx *store.Tx) error {
	return tx.Bucket(bucketFile).Each(func(id string, raw []byte) error {
		f := &file{id: id, wake: make(chan struct{}, 1)}
		b.files[id] = f
		if err := decode(raw, &f.rec); err != nil {
			return err
		}
		if c := b.contacts[f.rec.Contact]; c != nil && f.rec.Out && !f.final() && c.own[f.rec.Number] == nil {
			own := &ownMessage{number: f.rec.Number, state: Queued, copies: Copies{Want: c.want()}}
			if len(f.rec.Offer) > 0 { // the contact has the offer, or the frame would be in the outbox
				own.state, own.copies.Have = Stored, own.copies.Want
			}
			c.own[f.rec.Number] = own
		}
		if len(f.rec.Offer) == 0 {
			return nil
		}
		o, err := session.ParseFile(f.rec.Offer)
		if err != nil {
			return fmt.Errorf("read file: %w", err)
		}
		f.open(o)
		return each(tx, bucketParts+id, func(key uint64, raw []byte) error {
			p, err := parsePart(raw)
			f.parts[uint32(key)] = p
			return err
		})
	})
}

func (t *turn) saveFile(f *file) error { return t.tx.Bucket(bucketFile).Put(f.id, encode(f.rec)) }

func (t *turn) savePart(f *file, key uint32) error {
	return t.tx.Sequence(bucketParts+f.id).Put(uint64(key), f.parts[key].append(nil))
}

// awaitsFile tells whether a message of ours offers a file that the contact has
// not got yet: an acknowledgement of the offer does not make it delivered.
func (b *book) awaitsFile(c *contact, number uint64) bool {
	for _, f := range b.files {
		if f.rec.Out && f.rec.Number == number && f.rec.Contact == c.id && !f.final() {
			return true
		}
	}
	return false
}

// endFile ends a transfer: its keys go, and the spool but for what is complete
// and not saved yet.
func (t *turn) endFile(f *file, state FileState, reason string) error {
	f.rec.State, f.rec.Reason, f.rec.Paused, f.note = state, reason, false, ""
	f.rec.Offer, f.rec.Places, f.offer, f.parts = nil, nil, session.File{}, nil
	if f.rec.Out || state != FileComplete {
		f.rec.Key, f.rec.Wish, f.erase = [32]byte{}, "", true
	}
	if err := t.tx.Sequence(bucketParts + f.id).Drop(); err != nil {
		return err
	}
	t.roster = true
	wake(f.wake)
	t.tellFile(f, true)
	if err := t.saveFile(f); err != nil {
		return err
	}
	c := t.book.contacts[f.rec.Contact]
	if c == nil || !f.rec.Out || c.own[f.rec.Number] == nil {
		return nil
	}
	t.touch(c)
	if state == FileComplete {
		return t.finalize(c, f.rec.Number, finalDelivered, "")
	}
	return t.finalize(c, f.rec.Number, finalFailed, reason)
}

// dropTransfer forgets a transfer, with its spool; the contact is told of one that
// goes on.
func (t *turn) dropTransfer(id string) error {
	f := t.book.files[id]
	if f == nil {
		return nil
	}
	if !f.final() {
		if err := t.control(f, session.FileControl{Op: session.FileCancel}); err != nil {
			return err
		}
	}
	if err := t.tx.Sequence(bucketParts + id).Drop(); err != nil {
		return err
	}
	delete(t.book.files, id)
	t.book.erased = append(t.book.erased, id)
	t.roster = true
	wake(f.wake)
	return t.tx.Bucket(bucketFile).Delete(id)
}

// dropFiles forgets all transfers with a contact.
func (t *turn) dropFiles(c *contact) error {
	for _, id := range sortedKeys(t.book.files) {
		if t.book.files[id].rec.Contact == c.id {
			if err := t.dropTransfer(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// stored counts the copies of the whole file that relays provably hold now.
func (t *turn) stored(f *file) int {
	least := int(f.offer.Copies)
	view := t.m.views.Current()
	for i := range f.offer.Segments() {
		_, count := f.offer.SegmentBlocks(i)
		all, n := firstBits(count), 0
		for _, at := range f.places(i) {
			p := f.parts[partKey(i, at.copy)]
			if p == nil || !p.have.covers(&all) || p.until <= t.protocolHour() {
				continue
			}
			if view != nil {
				if _, listed := view.ByPrefix(at.relay); !listed {
					continue
				}
			}
			n++
		}
		least = min(least, n)
	}
	return least
}

// restate computes the state of a file that is sent.
func (t *turn) restate(f *file) {
	if !f.rec.Out || f.final() || len(f.rec.Offer) == 0 {
		return
	}
	n := t.stored(f)
	switch {
	case n > 0:
		f.rec.State, f.note = FileStored, ""
		if want := int(f.offer.Copies); n < want {
			f.note = fmt.Sprintf("%d of %d copies", n, want)
		}
	case f.rec.State == FileStored:
		f.rec.State, f.note = FileSending, "the relays no longer hold it; it goes out again when the contact wants it"
	}
}

// Progress of a file is told at most so often, but for changes of its state.
const fileTell = time.Second

// tellFile announces how far a transfer is, at once or when it is time.
func (t *turn) tellFile(f *file, now bool) {
	shape := t.book.shapeFile(f)
	said := [2]any{shape.State, shape.Detail}
	if !now && f.last == said && t.now.Sub(f.told) < fileTell {
		return
	}
	f.last, f.told = said, t.now
	t.publish(Event{Type: FileProgress, File: &shape})
}

// shapeFile turns a transfer into what people and scripts see.
func (b *book) shapeFile(f *file) File {
	s := File{
		ID: f.id, Contact: f.rec.Contact, Direction: In, Name: f.rec.Name, Size: f.rec.Size,
		Padded: FilePadded(f.rec.Size), State: f.rec.State, Time: time.UnixMilli(f.rec.Time).UTC(), Burst: f.rec.Burst, Detail: f.note, Path: f.rec.Path,
		Paused: f.rec.Paused,
	}
	if f.rec.Out {
		s.Direction = Out
	}
	if f.rec.Reason != "" {
		s.Detail = f.rec.Reason
	}
	if s.Done = f.done(); f.rec.State == FileComplete {
		s.Done = s.Size
	}
	return s
}

// fileShape is the transfer that a message offers, nil if there is none.
func (t *turn) fileShape(id string) *File {
	f := t.book.files[id]
	if f == nil {
		return nil
	}
	s := t.book.shapeFile(f)
	return &s
}

// done is how many bytes are at a relay at least, or fetched.
func (f *file) done() int64 {
	if f.parts == nil {
		return 0
	}
	var blocks int64
	for i := range f.offer.Segments() {
		var any bitmap
		for _, at := range f.places(i) {
			if p := f.parts[partKey(i, at.copy)]; p != nil {
				any.join(&p.have)
			}
		}
		blocks += int64(any.count())
	}
	return min(f.rec.Size, blocks*session.FileBlockSize)
}

// adoptFiles takes over the wakes of workers from the book that b replaces.
func (b *book) adoptFiles(old *book) {
	for id, f := range b.files {
		if o := old.files[id]; o != nil {
			f.wake = o.wake
			wake(f.wake)
		}
	}
}

// owed are the parts of a file that are still to be stored, copies of the second
// round last.
func (f *file) owed() (keys []uint32) {
	for key, p := range f.parts {
		if !p.have.covers(&p.want) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b uint32) int {
		second := func(k uint32) int {
			if byte(k) == 1 {
				return 1
			}
			return 0
		}
		if d := second(a) - second(b); d != 0 {
			return d
		}
		return int(a) - int(b)
	})
	return keys
}

// listedPrefix resolves a relay by its prefix.
func listedPrefix(view *directory.View, prefix [16]byte) (directory.RelayID, bool) {
	if view == nil {
		return directory.RelayID{}, false
	}
	r, ok := view.ByPrefix(prefix)
	if !ok {
		return directory.RelayID{}, false
	}
	return r.ID, true
}
