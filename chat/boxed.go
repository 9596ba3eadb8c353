package chat

import "hearsay/relay/mailbox"

// bucketBox holds what readers took while the profile was locked, in order.
const bucketBox = "box"

// unboxLimit is how many rows are opened in one transaction.
const unboxLimit = 16

// maxBox bounds the sealed bytes that are kept while a profile is locked, about
// 30,000 blocks. The relays keep what does not fit, as far as their quotas go, and
// senders see it as stored: so nobody who writes can fill the disk of a profile
// that nobody looks at.
const maxBox = 64 << 20

var errBoxFull = &Error{Kind: KindLimit, Text: "what came while the profile was locked fills its box", Hint: "unlock it"}

// boxRecord is what a reader took at once.
type boxRecord struct {
	Owner  string     `cbor:"1,keyasint"` // of the inboxKey
	Old    uint32     `cbor:"2,keyasint,omitempty"`
	Number int        `cbor:"3,keyasint"`
	Seed   [32]byte   `cbor:"4,keyasint"` // of the queue
	Blocks []boxBlock `cbor:"5,keyasint,omitempty"`
	Anew   bool       `cbor:"6,keyasint,omitempty"` // the relay began the queue anew
}

type boxBlock struct {
	Seq   uint64 `cbor:"1,keyasint"`
	Work  byte   `cbor:"2,keyasint,omitempty"`
	Block []byte `cbor:"3,keyasint"`
}

// box seals what a reader took, to be taken again after Unlock. The relay may
// delete it then.
func (t *turn) box(rec boxRecord, q *queueRecord) error {
	raw := encode(rec)
	if t.book.boxSize+len(raw) > maxBox {
		return errBoxFull
	}
	if err := t.tx.Box(bucketBox).Add(raw); err != nil {
		return err
	}
	t.book.boxSize += len(raw)
	t.boxed += len(raw)
	if t.before == nil {
		t.before = make(map[*queueRecord]uint64)
	}
	if _, there := t.before[q]; !there {
		t.before[q] = q.Acked
	}
	if rec.Anew {
		q.Acked = 0
	}
	for _, b := range rec.Blocks {
		q.Acked = max(q.Acked, b.Seq)
	}
	return nil
}

// boxBlocks seals blocks.
func (t *turn) boxBlocks(key inboxKey, number int, q *queueRecord, blocks []mailboxMessage) error {
	rec := boxRecord{Owner: key.owner, Old: key.old, Number: number, Seed: q.Seed}
	for i := range blocks {
		rec.Blocks = append(rec.Blocks, boxBlock{blocks[i].Seq, blocks[i].Work, blocks[i].Block[:]})
	}
	return t.box(rec, q)
}

// unbox takes the oldest of what was sealed while the profile was locked. A row
// whose queue is gone, or that is damaged, brings nothing: nobody was told that
// it arrived, so it comes again.
func (t *turn) unbox() error {
	rows, err := t.tx.Box(bucketBox).Take(unboxLimit)
	if err != nil {
		return err
	}
	t.book.boxed = len(rows) == unboxLimit
	for _, raw := range rows {
		var rec boxRecord
		if raw == nil || decode(raw, &rec) != nil {
			t.m.log.Error("a block that came while the profile was locked is damaged")
			continue
		}
		if err := t.takeBoxed(rec); err != nil && err != errGone { //nolint:errorlint // a constant of ours
			return err
		}
	}
	return nil
}

func (t *turn) takeBoxed(rec boxRecord) error {
	key := inboxKey{owner: rec.Owner, old: rec.Old}
	if rec.Anew {
		return t.renumbered(key, rec.Number, rec.Seed)
	}
	blocks := make([]mailboxMessage, len(rec.Blocks))
	for i, b := range rec.Blocks {
		blocks[i].Seq, blocks[i].Work = b.Seq, b.Work
		if len(b.Block) == mailbox.BlockSize {
			blocks[i].Block = [mailbox.BlockSize]byte(b.Block)
		}
	}
	return t.receive(key, rec.Number, rec.Seed, blocks)
}
