package chat

import (
	"context"
	"time"

	"hearsay/circuit"
	"hearsay/relay/mailbox"
)

const bucketTrash = "trash"

// trashRecord is a queue of ours that nobody needs any more and whose relay is
// still to delete it (SPEC.md §5.7). All times are Unix seconds.
type trashRecord struct {
	Queue queueRecord `cbor:"1,keyasint"`
	Next  int64       `cbor:"2,keyasint"` // not tried before
	Until int64       `cbor:"3,keyasint"` // its relay has deleted it by itself
	Tries int         `cbor:"4,keyasint,omitempty"`
}

// discard has relays delete queues of ours, each at a random time, so that no
// two relays see by it that the queues were one client's. Queues that do not
// exist are skipped.
func (t *turn) discard(queues ...queueRecord) {
	tm := t.m.timing()
	for i := range queues {
		if !queues[i].exists() {
			continue
		}
		t.book.trash[queues[i].tag()] = &trashRecord{
			Queue: queues[i], Next: t.now.Add(between(0, tm.delWait)).Unix(), Until: t.now.Add(tm.avoidFor).Unix(),
		}
		t.trashed = true
		t.roster = true
	}
}

// saveTrash writes what discard added.
func (t *turn) saveTrash() error {
	if !t.trashed {
		return nil
	}
	t.trashed = false
	for tag, r := range t.book.trash {
		if r.Tries == 0 {
			if err := t.tx.Bucket(bucketTrash).Put(tag, encode(r)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweeper has relays delete queues, one after the other.
type sweeper struct{ m *Messenger }

// Run works until no queue is left to be deleted, or ctx ends.
func (s *sweeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		var tag string
		var next trashRecord
		err := s.m.look(ctx, func(t *turn) error {
			for name, r := range t.book.trash {
				if tag == "" || r.Next < next.Next {
					tag, next = name, *r
				}
			}
			return nil
		})
		if err != nil || tag == "" {
			return
		}
		if wait := time.Until(time.Unix(next.Next, 0)); wait > 0 {
			timer := time.NewTimer(min(wait, time.Hour))
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			continue // another one may be due before
		}
		gone := s.delete(ctx, &next.Queue)
		if ctx.Err() != nil {
			return
		}
		_ = s.m.do(ctx, func(t *turn) error { return t.swept(tag, gone) })
	}
}

// delete asks the relay and tells whether the queue is gone.
func (s *sweeper) delete(ctx context.Context, q *queueRecord) bool {
	if !s.m.listed(q.Relay) {
		return false
	}
	if err := s.m.senders.enter(ctx); err != nil {
		return false
	}
	defer s.m.senders.leave()
	p, err := s.m.openPost(ctx, circuit.Request{Isolation: "del/" + q.tag(), Purpose: circuit.Subscribe, Destination: q.Relay, Patient: true})
	if err != nil {
		return false
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, s.m.timing().openMail)
	defer cancel()
	err = p.Del(ctx, q.owner())
	return err == nil || mailboxRefusedWith(err, mailbox.CodeAuth) // there is none
}

// swept notes what came of a try.
func (t *turn) swept(tag string, gone bool) error {
	r := t.book.trash[tag]
	if r == nil {
		return nil
	}
	if gone || t.now.Unix() >= r.Until {
		delete(t.book.trash, tag)
		return t.tx.Bucket(bucketTrash).Delete(tag)
	}
	r.Tries++
	tm := t.m.timing()
	r.Next = t.now.Add(backoff(r.Tries, tm.quotaMin, tm.quotaMax)).Unix()
	return t.tx.Bucket(bucketTrash).Put(tag, encode(r))
}

// unmake discards queues that were made for nothing.
func (m *Messenger) unmake(ctx context.Context, queues [2]queueRecord) {
	_ = m.do(context.WithoutCancel(ctx), func(t *turn) error {
		for i := range queues {
			if queues[i].Made {
				t.discard(queues[i])
			}
		}
		return nil
	})
}
