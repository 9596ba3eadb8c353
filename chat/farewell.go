package chat

import (
	"context"
	"fmt"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
	"hearsay/circuit"
	"hearsay/relay/mailbox"
)

// bucketFarewell holds the last words to contacts that are removed.
const bucketFarewell = "farewell"

// farewellLife is for how long a removed contact is tried to be told (SPEC.md
// §16.3).
const farewellLife = 24 * time.Hour

// farewellRecord is a sealed BYE and where it goes: all that is left of a contact
// that was removed, whose keys and rows are gone already.
type farewellRecord struct {
	Inner []byte         `cbor:"1,keyasint"`
	Peers []farewellPeer `cbor:"2,keyasint"` // queues that have not got it
	Ends  int64          `cbor:"3,keyasint"` // Unix seconds
}

type farewellPeer struct {
	Addr  []byte `cbor:"1,keyasint"` // a session.QAddr
	Next  int64  `cbor:"2,keyasint"` // Unix seconds; not tried before
	Fails int    `cbor:"3,keyasint,omitempty"`
}

func (b *book) loadFarewells(tx *store.Tx) error {
	b.farewells = make(map[string]*farewellRecord)
	return tx.Bucket(bucketFarewell).Each(func(id string, raw []byte) error {
		f := new(farewellRecord)
		b.farewells[id] = f
		return decode(raw, f)
	})
}

func (t *turn) addFarewell(f *farewellRecord) error {
	id := newID("b_")
	t.book.farewells[id] = f
	t.roster = true
	return t.tx.Bucket(bucketFarewell).Put(id, encode(f))
}

func (t *turn) dropFarewell(id string) error {
	delete(t.book.farewells, id)
	return t.tx.Bucket(bucketFarewell).Delete(id)
}

// farewellWorkers adds those who bring farewells to what should run.
func (t *turn) farewellWorkers(w *wanted) {
	for id := range t.book.farewells {
		w.others["bye/"+id] = (&farewell{m: t.m, id: id}).Run
	}
}

// farewell brings one sealed BYE to the queues of who was a contact.
type farewell struct {
	m  *Messenger
	id string
}

// Run tries until the queues have it, the time for it is over, or ctx ends.
func (w *farewell) Run(ctx context.Context) {
	for ctx.Err() == nil {
		var f farewellRecord
		over := false
		err := w.m.do(ctx, func(t *turn) error {
			rec := t.book.farewells[w.id]
			if over = rec == nil; over {
				return nil
			}
			if over = len(rec.Peers) == 0 || t.now.Unix() >= rec.Ends; over {
				return t.dropFarewell(w.id)
			}
			f = *rec
			return nil
		})
		if err != nil || over {
			return
		}
		peer := f.Peers[0]
		for _, p := range f.Peers[1:] {
			if p.Next < peer.Next {
				peer = p
			}
		}
		timer := time.NewTimer(time.Until(time.Unix(min(peer.Next, f.Ends), 0)))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil || time.Now().Unix() >= f.Ends {
			continue
		}
		err = w.send(ctx, peer.Addr, f.Inner)
		if ctx.Err() != nil {
			return
		}
		if mailboxRefusedWith(err, mailbox.CodeAuth) {
			err = nil // the queue is gone: nobody is left to be told
		}
		_ = w.m.do(ctx, func(t *turn) error { return t.triedFarewell(w.id, peer.Addr, err == nil) })
	}
}

// triedFarewell notes what came of a try.
func (t *turn) triedFarewell(id string, addr []byte, done bool) error {
	f := t.book.farewells[id]
	if f == nil {
		return nil
	}
	var left []farewellPeer
	for _, p := range f.Peers {
		if string(p.Addr) == string(addr) {
			if done {
				continue
			}
			p.Fails++
			tm := t.m.timing()
			p.Next = t.now.Add(backoff(p.Fails, tm.quotaMin/4, tm.quotaMax/12)).Unix()
		}
		left = append(left, p)
	}
	f.Peers = left
	return t.tx.Bucket(bucketFarewell).Put(id, encode(f))
}

func (w *farewell) send(ctx context.Context, raw, inner []byte) error {
	addr, err := session.ParseQAddr(raw)
	if err != nil {
		return fmt.Errorf("read farewell: %w", err)
	}
	if err := w.m.senders.enter(ctx); err != nil {
		return err
	}
	defer w.m.senders.leave()
	p, err := w.m.openPost(ctx, circuit.Request{
		Purpose: circuit.Send, Destination: addr.Relay, Isolation: fmt.Sprintf("bye/%s/%x", w.id, addr.Relay[:4]),
	})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, w.m.timing().openMail)
	defer cancel()
	block, id, err := addr.Seal(inner)
	if err != nil {
		return fmt.Errorf("seal farewell: %w", err)
	}
	sealed := [mailbox.BlockSize]byte(block)
	_, err = p.Send(ctx, mailbox.SID(addr.SID), addr.Capability.Bytes(), mailbox.MessageID(id), &sealed)
	return err
}
