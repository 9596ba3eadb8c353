package chat

import (
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// TestConflictForEver: a relay that always says it holds another record of an
// address does not have its owner publish without a pause.
func TestConflictForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		alice, eve := w.user(t), w.user(t)
		a := alice.newAddress("")
		var record *directory.AddressRecord
		public := func() (held bool) {
			_ = alice.look(t.Context(), func(t *turn) error {
				r := t.book.addresses[a.ID].rec.Records
				held = len(r) > 0 && r[0].Held > 0
				return nil
			})
			return held
		}
		eventually(t, time.Hour, "public", public)
		_ = alice.changeAddress(t.Context(), a.ID, func(turn *turn, a *address) (err error) {
			r := &a.rec.Records[0]
			record, err = a.secret.SealRecord(rand.Reader, r.Period, r.Revision+1<<40)
			return err
		})
		ranks, err := alice.views.Current().Placement(record.Period, record.Key)
		if err != nil {
			t.Fatal(err)
		}
		p, err := eve.openPost(t.Context(), circuitTo(ranks[0]))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		p.Close()
		_ = alice.changeAddress(t.Context(), a.ID, func(_ *turn, a *address) error {
			a.rec.Records[0].Due = 0
			return nil
		})
		before := alice.net.visits("pub/")
		<-time.After(2 * time.Minute)
		if n := alice.net.visits("pub/") - before; n < 6 || n > 36 { // three relays, two periods
			t.Errorf("%d circuits to publish one record", n)
		}
	})
}

// TestQueuesGoneForEver: relays that do not know the queues of a bundle, whose
// owner is not there to make another, do not have a guest ask without a pause.
func TestQueuesGoneForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		eventually(t, time.Hour, "public", func() (held bool) {
			_ = alice.look(t.Context(), func(t *turn) error {
				a := t.book.addresses[a.ID].rec
				held = a.Queues[1].Link && len(a.Records) > 0 && a.Records[0].Held > 0
				return nil
			})
			return held
		})
		var queues [2]queueRecord
		_ = alice.look(t.Context(), func(t *turn) error {
			queues = t.book.addresses[a.ID].rec.Queues
			return nil
		})
		alice.stop()
		for _, q := range queues {
			r := w.relay(q.Relay)
			w.stop(r)
			if err := os.Remove(filepath.Join(r.dir, "mailbox.db")); err != nil {
				t.Fatal(err)
			}
			w.start(r)
		}
		bob.ask(a.Link, "alice", "bob", "")
		<-time.After(5 * time.Minute)
		if n := w.count(mailbox.CmdSend); n == 0 || n > 2*8 {
			t.Errorf("%d blocks of requests sent to queues that are gone", n)
		}
		alice.start()
		eventually(t, 30*time.Minute, "a request", func() bool { return len(alice.requests()) == 1 })
	})
}

// TestCheapRequestsFillTheList: when 50 cheap requests wait for an answer, an
// honest one is not dropped unseen: it is there as soon as there is room.
func TestCheapRequestsFillTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		_ = alice.do(t.Context(), func(turn *turn) error {
			addr := turn.book.addresses[a.ID]
			for n := range requestLimit {
				got := &session.Accepted{State: acceptedState(t, addr.secret), Core: sha256.Sum256([]byte{byte(n)}), Name: "junk"}
				if err := turn.addRequest(addr, got, 30); err != nil {
					return err
				}
			}
			return nil
		})
		bob.ask(a.Link, "alice", "bob", "")
		<-time.After(4 * time.Minute)
		list := alice.requests()
		if len(list) != requestLimit {
			t.Fatalf("%d requests", len(list))
		}
		if err := alice.RejectRequest(t.Context(), list[0].ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Minute, "the honest request", func() bool {
			for _, r := range alice.requests() {
				if r.Name == "bob" {
					return true
				}
			}
			return false
		})
	})
}
