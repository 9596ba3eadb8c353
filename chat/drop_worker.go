package chat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// tag names a queue of last resort at a relay within this process.
func (q *dropQueue) tag(relay directory.RelayID) string {
	h := sha256.Sum256(append(q.keys.Seed[:], relay[:]...))
	return hex.EncodeToString(h[:8])
}

// visit opens the mailbox of a queue of last resort. Visits of all contacts
// follow each other.
func (m *Messenger) visit(ctx context.Context, contact string, q *dropQueue, relay directory.RelayID, purpose circuit.Purpose, use func(context.Context, *post) error) error {
	if err := m.drops.enter(ctx); err != nil {
		return err
	}
	defer m.drops.leave()
	if err := m.senders.enter(ctx); err != nil {
		return err
	}
	defer m.senders.leave()
	p, err := m.openPost(ctx, circuit.Request{Isolation: "drop/" + contact + "/" + q.tag(relay), Purpose: purpose, Destination: relay, Patient: true})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*m.timing().openMail)
	defer cancel()
	return use(ctx, p)
}

// make makes the queue, or finds it made by the contact: both derive its keys.
func (q *dropQueue) make(ctx context.Context, p *post) (session.QAddr, error) {
	ok, err := p.New(ctx, mailboxQueue{Kind: mailbox.KindDrop, Key: q.owner, Cap: q.keys.Cap.Bytes()})
	if err != nil {
		return session.QAddr{}, err
	}
	return session.QAddr{Relay: p.Relay(), SID: ok.SID, Capability: q.keys.Cap, Key: q.keys.Key}, nil
}

// dropWriter writes what leads a contact back to us into today's queues of last
// resort.
type dropWriter struct {
	m       *Messenger
	contact string
}

// Run writes to each relay once, or until the day has passed, the contact was
// heard, or ctx ends.
func (w *dropWriter) Run(ctx context.Context) {
	done := make(map[string]bool)
	for fails := 1; ctx.Err() == nil; fails++ {
		var inner [][]byte
		var queues []dropQueue
		var day uint32
		err := w.m.look(ctx, func(t *turn) error {
			c, view := t.book.contacts[w.contact], t.m.views.Current()
			if c == nil || view == nil || !t.silent(c) || c.rec.Drop.Write == 0 {
				return nil
			}
			var secrets []session.Drop
			inner, secrets = t.dropBlocks(c)
			day = t.protocolDay()
			for _, s := range secrets {
				queues = append(queues, dropAt(view, s, day, true, dropWrites))
			}
			return nil
		})
		if err != nil || len(inner) == 0 || len(queues) == 0 {
			return
		}
		missing := 0
		for i := range queues {
			q := &queues[i]
			for _, relay := range q.relays {
				if done[q.tag(relay)] {
					continue
				}
				if err := w.write(ctx, q, relay, inner); err != nil {
					missing++
					continue
				}
				done[q.tag(relay)] = true
			}
		}
		if missing == 0 {
			_ = w.m.do(ctx, func(t *turn) error {
				if c := t.book.contacts[w.contact]; c != nil && c.rec.Drop != nil {
					c.rec.Drop.Wrote, c.rec.Drop.Write = day, 0
					t.touch(c)
				}
				return nil
			})
			return
		}
		tm := w.m.timing()
		timer := time.NewTimer(backoff(fails, tm.quotaMin, tm.day/24))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (w *dropWriter) write(ctx context.Context, q *dropQueue, relay directory.RelayID, inner [][]byte) error {
	return w.m.visit(ctx, w.contact, q, relay, circuit.Send, func(ctx context.Context, p *post) error {
		addr, err := q.make(ctx, p)
		if err != nil {
			return err
		}
		for _, b := range inner {
			block, id, err := addr.Seal(b)
			if err != nil {
				return err
			}
			if _, err := p.Send(ctx, addr.SID, addr.Capability.Bytes(), id, (*[mailbox.BlockSize]byte)(block)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropReader reads a contact's queues of last resort.
type dropReader struct {
	m       *Messenger
	contact string
}

// Run reads those of today and yesterday once, at all relays that may hold them.
func (r *dropReader) Run(ctx context.Context) {
	var queues []dropQueue
	err := r.m.look(ctx, func(t *turn) error {
		c, view := t.book.contacts[r.contact], t.m.views.Current()
		if c == nil || view == nil || !t.silent(c) {
			return nil
		}
		secrets := c.session.Drops(t.m.snapshotTime(t.now))
		for _, s := range secrets[:min(dropSecrets, len(secrets))] {
			for back := range uint32(2) {
				queues = append(queues, dropAt(view, s, t.protocolDay()-back, false, dropReads))
			}
		}
		return nil
	})
	if err != nil {
		return
	}
	for i := range queues {
		for _, relay := range queues[i].relays {
			// What a relay that fails may hold lies at another one as well.
			if err := r.read(ctx, &queues[i], relay); err != nil && ctx.Err() != nil {
				return
			}
		}
	}
	_ = r.m.do(ctx, func(t *turn) error {
		if c := t.book.contacts[r.contact]; c != nil {
			t.readAgain(c)
		}
		return nil
	})
}

func (r *dropReader) read(ctx context.Context, q *dropQueue, relay directory.RelayID) error {
	return r.m.visit(ctx, r.contact, q, relay, circuit.Subscribe, func(ctx context.Context, p *post) error {
		_, blocks, err := p.Poll(ctx, q.owner, 0, mailbox.PollWindow)
		if err != nil || len(blocks) == 0 {
			return err // a refusal says that there is no such queue
		}
		addr, err := q.make(ctx, p) // its name at this relay
		if err != nil {
			return err
		}
		var inner [][]byte
		for i := range blocks {
			b, err := session.OpenBlock(addr.Key, addr.SID, blocks[i].Block[:])
			if err != nil {
				continue // only who has the secret could write it
			}
			inner = append(inner, b)
		}
		err = r.m.do(ctx, func(t *turn) error {
			if c := t.book.contacts[r.contact]; c != nil && c.session != nil {
				return t.takeDrop(c, inner)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return p.Ack(ctx, mailboxRID(q.owner), blocks[len(blocks)-1].Seq)
	})
}
