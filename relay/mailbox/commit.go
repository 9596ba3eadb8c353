package mailbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Implementation constants of the committer.
const (
	batchDelay = 2 * time.Millisecond   // between the beginnings of two transactions: meanwhile others may join
	lazyDelay  = 100 * time.Millisecond // an ACK may wait so long
	batchMax   = 256                    // operations in one transaction
	opsMax     = 1024                   // waiting operations; then sessions block, each holding back its client
)

// errStopped is what waits on a committer that has ended.
var errStopped = errors.New("mailbox: the service has stopped")

// refusal is the outcome of an operation that ends in an ERR. Rows that the
// operation wrote before are kept.
type refusal struct {
	code     Code
	argument uint16
}

func (r *refusal) Error() string { return "mailbox: " + r.code.String() }

// op is one operation on the store. Operations of one transaction see each
// other's rows; done is closed after the transaction is on the disk.
type op struct {
	run  func(t *tx) error // a *refusal, or an error that ends the service
	lazy bool              // nobody waits
	done chan struct{}
	err  error // set before done is closed
}

// tx is a transaction of the committer, and what to tell whom after it.
type tx struct {
	*bolt.Tx
	store   *store
	now     uint32
	written []RID // have new blocks
	ended   []endedQueue
	queues  int // difference
	blocks  int
}

type endedQueue struct {
	rid    RID
	reason EndReason
}

// submit hands an operation to the committer.
func (s *Server) submit(run func(t *tx) error, lazy bool) (*op, error) {
	o := &op{run: run, lazy: lazy, done: make(chan struct{})}
	select {
	case <-s.stopping:
		return nil, errStopped
	default:
	}
	select {
	case s.ops <- o:
		return o, nil
	case <-s.stopping:
		return nil, errStopped
	}
}

// await returns the outcome of the operation after its commit.
func (s *Server) await(o *op) error {
	select {
	case <-o.done:
		return o.err
	case <-s.stopped:
	}
	select {
	case <-o.done:
		return o.err
	default:
		return errStopped
	}
}

// commitLoop is the only writer of the store. An operation that comes when
// nothing was written for batchDelay is written at once, with what else is there;
// those that come sooner wait until then, and share one transaction and one sync.
func (s *Server) commitLoop(ctx context.Context) error {
	flush := time.NewTimer(0)
	defer flush.Stop()
	<-flush.C
	tick := time.NewTicker(s.expiryPeriod())
	defer tick.Stop()
	var batch []*op
	var due time.Time  // of batch
	var last time.Time // when the last transaction began
	join := func(o *op) {
		at := last.Add(s.batchDelay)
		if o.lazy {
			at = time.Now().Add(lazyDelay)
		}
		if len(batch) == 0 || at.Before(due) {
			due = at
		}
		batch = append(batch, o)
	}
	for {
		select {
		case o := <-s.ops:
			join(o)
			for len(s.ops) > 0 && len(batch) < batchMax { // nobody else takes them
				join(<-s.ops)
			}
			if wait := time.Until(due); wait > 0 && len(batch) < batchMax {
				flush.Reset(wait)
				continue
			}
		case <-flush.C:
		case <-tick.C:
			if err := s.expire(); err != nil {
				return err
			}
		case <-ctx.Done():
			return s.commit(s.drain(batch))
		}
		if len(batch) == 0 {
			continue
		}
		last = time.Now()
		if err := s.commit(batch); err != nil {
			return err
		}
		batch = nil
	}
}

// drain takes what waits at the end.
func (s *Server) drain(batch []*op) []*op {
	close(s.stopping)
	for {
		select {
		case o := <-s.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
}

// commit runs the operations in one transaction and syncs it. Its error is
// fatal: what the operations promised is unknown, so none of them is answered.
func (s *Server) commit(batch []*op) error {
	if len(batch) == 0 {
		return nil
	}
	err := s.update(func(t *tx) error {
		for _, o := range batch {
			err := o.run(t)
			if _, refused := err.(*refusal); err != nil && !refused {
				return err
			}
			o.err = err
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range batch {
		close(o.done)
	}
	return nil
}

// update runs f in a transaction and afterwards wakes whom it concerns.
func (s *Server) update(f func(t *tx) error) error {
	t := &tx{store: s.store, now: s.store.now()}
	err := s.store.db.Update(func(b *bolt.Tx) error {
		t.Tx = b
		if err := f(t); err != nil {
			return err
		}
		return s.testOnlyCommitError()
	})
	if err != nil {
		return fmt.Errorf("mailbox commit: %w", err)
	}
	s.stats.add(t.queues, t.blocks)
	for _, rid := range t.written {
		s.wake(rid)
	}
	for _, e := range t.ended {
		s.endSub(e.rid, e.reason)
	}
	return nil
}
