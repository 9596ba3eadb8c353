package chat

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// publicRecord is what is kept of an address's record of one period
// (directory/SPEC.md §22). All times are Unix seconds of the network.
type publicRecord struct {
	Period   uint64 `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint,omitempty"`
	Seq      uint32 `cbor:"3,keyasint,omitempty"` // of the bundle in it
	Record   []byte `cbor:"4,keyasint,omitempty"` // repairs put the same bytes
	Due      int64  `cbor:"5,keyasint"`           // published or looked after next
	Held     int    `cbor:"6,keyasint,omitempty"` // relays that held it when last asked
	Places   int    `cbor:"7,keyasint,omitempty"` // relays that should
}

// publish puts the records that are due on their relays, and looks whether these
// still hold them.
func (w *addressWorker) publish(ctx context.Context, view *directory.View) (time.Duration, error) {
	var due *publicRecord
	var next time.Time // in the time of the network
	err := w.m.changeAddress(ctx, w.address, func(t *turn, a *address) error {
		if err := t.planRecords(a, view); err != nil {
			return err
		}
		for i := range a.rec.Records {
			r := a.rec.Records[i]
			at := time.Unix(r.Due, 0)
			if next.IsZero() || at.Before(next) {
				next = at
			}
			if due == nil && !t.m.snapshotTime(t.now).Before(at) {
				due = &r
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case next.IsZero(): // the snapshot holds no random value
		return addressLook, nil
	case due == nil:
		return min(addressLook, max(time.Second, next.Sub(w.m.snapshotTime(time.Now())))), nil
	}
	r, err := directory.ParseAddressRecord(w.m.link.ID, due.Record)
	if err != nil {
		return 0, fmt.Errorf("own record: %w", err)
	}
	ranks, err := view.Placement(r.Period, r.Key)
	if err != nil {
		return 0, err
	}
	ranks = ranks[:min(len(ranks), directory.PlacementReplicas)]
	held, conflict := 0, false
	var failed error
	for _, relay := range ranks {
		err := w.publishTo(ctx, relay, r)
		switch {
		case err == nil:
			held++
		case mailboxRefusedWith(err, mailbox.CodeConflict):
			conflict = true // from before this store was set back, or so the relay says
		default:
			failed = err
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	wait := directory.RepairInterval(w.m.isLab(), float64(draw(1<<20))/(1<<20))
	if failed != nil {
		wait = min(wait, between(w.m.timing().pollMin, w.m.timing().pollMax))
	}
	if w.conflicts[due.Period]++; !conflict {
		delete(w.conflicts, due.Period)
	} else if n := w.conflicts[due.Period]; n == 1 {
		wait = 0
	} else { // a relay can say so for ever
		wait = backoff(n-1, w.m.timing().pollMin, wait)
	}
	err = w.m.changeAddress(ctx, w.address, func(t *turn, a *address) error {
		for i := range a.rec.Records {
			o := &a.rec.Records[i]
			if o.Period != due.Period || o.Revision != due.Revision {
				continue
			}
			o.Held, o.Places = held, len(ranks)
			o.Due = t.m.snapshotTime(t.now).Add(wait).Unix()
			if conflict {
				o.Seq = 0 // another revision
			}
		}
		return nil
	})
	return 0, err
}

// planRecords keeps a record for the present period and, from a random time on
// once its random value is known, for the next, both with the newest bundle.
func (t *turn) planRecords(a *address, view *directory.View) error {
	lab := view.Lab()
	now := t.m.snapshotTime(t.now)
	period := directory.PlacementPeriod(lab, view.ValidAfter())
	a.rec.Records = slices.DeleteFunc(a.rec.Records, func(r publicRecord) bool { return r.Period < period })
	for p := period; p <= period+1; p++ {
		if _, known := view.SRV(p - 1); !known {
			continue
		}
		at := slices.IndexFunc(a.rec.Records, func(r publicRecord) bool { return r.Period == p })
		if at < 0 {
			due := now
			if p > period {
				if _, until := directory.PublishWindow(lab, p); until.After(now) {
					due = now.Add(between(0, until.Sub(now)))
				}
			}
			a.rec.Records = append(a.rec.Records, publicRecord{Period: p, Due: due.Unix()})
			at = len(a.rec.Records) - 1
		}
		r := &a.rec.Records[at]
		if r.Seq == a.secret.Bundle().Seq() {
			continue
		}
		if r.Seq != 0 && p == period {
			r.Due = now.Unix() // a new bundle is told at once where the old one is
		}
		r.Revision = max(r.Revision+1, directory.RevisionAt(lab, p, now))
		sealed, err := a.secret.SealRecord(rand.Reader, p, r.Revision)
		if err != nil {
			return err
		}
		r.Seq, r.Record = a.secret.Bundle().Seq(), sealed.Append(nil)
	}
	return nil
}

// publishTo has one relay hold the record, over a circuit for this alone.
func (w *addressWorker) publishTo(ctx context.Context, relay directory.RelayID, r *directory.AddressRecord) error {
	if err := w.m.senders.enter(ctx); err != nil {
		return err
	}
	defer w.m.senders.leave()
	p, err := w.m.openPost(ctx, circuit.Request{
		Purpose: circuit.Send, Destination: relay, Isolation: fmt.Sprintf("pub/%s/%x/%d", w.address, relay[:8], r.Period), Patient: true,
	})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, w.m.timing().openMail)
	defer cancel()
	if held, err := p.GetRecord(ctx, r.Key, r.Period); err == nil && held.Same(r) {
		return nil
	} else if err != nil && !mailboxRefusedWith(err, mailbox.CodeAuth) {
		return err
	}
	return p.PutRecord(ctx, r)
}
