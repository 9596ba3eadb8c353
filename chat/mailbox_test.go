package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/relay/mailbox"
)

func TestMailboxSendAndSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := startMailboxRelay(t)
		defer r.close()
		owner, sender := r.open(), r.open()
		defer owner.Close()
		defer sender.Close()
		q := testQueue(mailbox.KindChat)
		made, err := owner.New(ctx, q)
		if err != nil || made.Capacity != 512 {
			t.Fatalf("%+v %v", made, err)
		}
		if again, err := owner.New(ctx, q); err != nil || again != made {
			t.Errorf("NEW again: %+v %v", again, err)
		}
		sub, err := owner.Subscribe(ctx, q.Key, 0, 16)
		if err != nil || sub.Next != 1 {
			t.Fatalf("%+v %v", sub, err)
		}
		if _, err := owner.Subscribe(ctx, q.Key, 0, 16); !errors.Is(err, errMailboxTwice) {
			t.Errorf("second subscription: %v", err)
		}
		if _, _, err := owner.Poll(ctx, q.Key, 0, 1); !errors.Is(err, errMailboxTwice) {
			t.Errorf("poll beside a subscription: %v", err)
		}
		// 100 blocks, in order, up to 16 of them on the way at once.
		var sends []*mailboxSend
		for n := range 100 {
			id, block := testMailboxBlock(n)
			s, err := sender.StartSend(ctx, made.SID, q.Cap, id, &block)
			if err != nil {
				t.Fatal(err)
			}
			sends = append(sends, s)
		}
		for n, s := range sends {
			receipt, err := s.Wait(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if id, _ := testMailboxBlock(n); receipt.ID != id || receipt.Verify(r.cfg.Network, time.Now()) != nil || !receipt.Live(time.Now(), true) {
				t.Errorf("receipt of block %d: %+v", n, receipt)
			}
		}
		for n := range 100 {
			m := <-sub.Messages
			if _, block := testMailboxBlock(n); m.Seq != uint64(n+1) || m.Block != block {
				t.Fatalf("got seq %d, want %d", m.Seq, n+1)
			}
			if err := owner.Ack(ctx, m.RID, m.Seq); err != nil {
				t.Fatal(err)
			}
		}
		if sub.Err() != nil || owner.Err() != nil || owner.Draining() || owner.Relay() != r.cfg.Relay {
			t.Error("state of a sound client")
		}
	})
}

func TestMailboxPollAndList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := startMailboxRelay(t)
		defer r.close()
		c := r.open()
		defer c.Close()
		q := testQueue(mailbox.KindChat)
		made, err := c.New(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		view, got, err := c.Poll(ctx, q.Key, 0, 64)
		if err != nil || len(got) != 0 || view.Lowest != 1 || view.Next != 1 {
			t.Errorf("empty: %+v %v", view, err)
		}
		for n := range 70 {
			id, block := testMailboxBlock(n)
			if _, err := c.Send(ctx, made.SID, q.Cap, id, &block); err != nil {
				t.Fatal(err)
			}
		}
		if view, got, err = c.Poll(ctx, q.Key, 0, 64); err != nil || len(got) != 64 || got[63].Seq != 64 || got[63].Backlog != 6 {
			t.Errorf("%+v %d %v", view, len(got), err)
		}
		if view, got, err = c.Poll(ctx, q.Key, 64, 64); err != nil || len(got) != 6 || view.Lowest != 65 {
			t.Errorf("%+v %d %v", view, len(got), err)
		}
		if view, got, err = c.Poll(ctx, q.Key, 64, 0); err != nil || len(got) != 0 || view.Next != 71 {
			t.Errorf("%+v %d %v", view, len(got), err)
		}
		first, ids, err := c.List(ctx, made.RID, 0)
		if id, _ := testMailboxBlock(69); err != nil || first != 1 || len(ids) != 70 || ids[69] != id {
			t.Errorf("list from %d: %d, %v", first, len(ids), err)
		}
		if err := c.Ack(ctx, made.RID, 70); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // virtual: the relay batches ACKs
		if first, ids, err = c.List(ctx, made.RID, 0); err != nil || first != 0 || len(ids) != 0 {
			t.Errorf("after the ACK: %d %d %v", first, len(ids), err)
		}
	})
}

func TestMailboxLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := startMailboxRelay(t)
		defer r.close()
		alice, bob, eve := r.open(), r.open(), r.open()
		defer alice.Close()
		defer bob.Close()
		defer eve.Close()
		q := testQueue(mailbox.KindInvite)
		made, err := alice.New(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := alice.Poll(ctx, q.Key, 0, 0); err != nil {
			t.Fatal(err)
		}
		var blob [mailbox.LinkSize]byte
		for i := range blob {
			blob[i] = byte(i * 7 >> 4)
		}
		if err := alice.SetLink(ctx, made.RID, &blob); err != nil {
			t.Fatal(err)
		}
		got, opens, err := bob.GetLink(ctx, q.LID, [32]byte{1})
		if err != nil || *got != blob || opens != 1 {
			t.Errorf("%d opens, %v", opens, err)
		}
		if _, _, err := eve.GetLink(ctx, q.LID, [32]byte{2}); !mailboxRefusedWith(err, mailbox.CodeUsed) {
			t.Errorf("second reader: %v", err)
		}
		if _, opens, err = bob.GetLink(ctx, q.LID, [32]byte{1}); err != nil || opens != 2 {
			t.Errorf("%d opens, %v", opens, err)
		}
		if view, _, err := alice.Poll(ctx, q.Key, 0, 0); err != nil || view.Opens != 2 {
			t.Errorf("%+v %v", view, err)
		}
	})
}

func TestMailboxEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := startMailboxRelay(t)
		defer r.close()
		a, b := r.open(), r.open()
		defer a.Close()
		defer b.Close()
		q := testQueue(mailbox.KindChat)
		made, err := a.New(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		ended := func(s *mailboxSub, want mailbox.EndReason) {
			t.Helper()
			for range s.Messages {
			}
			var e *mailboxEnded
			if !errors.As(s.Err(), &e) || e.Reason != want || e.Error() == "" {
				t.Errorf("ended with %v", s.Err())
			}
		}
		first, err := a.Subscribe(ctx, q.Key, 0, 4)
		if err != nil {
			t.Fatal(err)
		}
		second, err := b.Subscribe(ctx, q.Key, 0, 4)
		if err != nil {
			t.Fatal(err)
		}
		ended(first, mailbox.EndTakenOver)
		if first, err = a.Subscribe(ctx, q.Key, 0, 4); err != nil { // and back
			t.Fatal(err)
		}
		ended(second, mailbox.EndTakenOver)
		if err := b.RotCap(ctx, q.Key, [32]byte{5}); err != nil {
			t.Error(err)
		}
		id, block := testMailboxBlock(1)
		if _, err := b.Send(ctx, made.SID, q.Cap, id, &block); !mailboxRefusedWith(err, mailbox.CodeAuth) {
			t.Errorf("old capability: %v", err)
		}
		if err := b.Del(ctx, q.Key); err != nil {
			t.Error(err)
		}
		ended(first, mailbox.EndDeleted)
		var refused *mailboxRefusal
		if _, err := b.New(ctx, q); !errors.As(err, &refused) || refused.Code != mailbox.CodeUsed || refused.Error() == "" {
			t.Errorf("NEW of a deleted queue: %v", err)
		}
		if a.Err() != nil || b.Err() != nil {
			t.Error("a refusal ended the client")
		}
	})
}

// TestMailboxCircuitGone: everything that waits is told, and nothing is left.
func TestMailboxCircuitGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := startMailboxRelay(t)
		defer r.close()
		s := r.stream()
		c, err := openMailbox(ctx, s, r.cfg)
		if err != nil {
			t.Fatal(err)
		}
		q := testQueue(mailbox.KindChat)
		if _, err := c.New(ctx, q); err != nil {
			t.Fatal(err)
		}
		sub, err := c.Subscribe(ctx, q.Key, 0, 16)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		<-c.Done()
		if _, open := <-sub.Messages; open || !errors.Is(sub.Err(), errMailboxClosed) {
			t.Errorf("subscription: %v", sub.Err())
		}
		if !errors.Is(c.Err(), errMailboxClosed) {
			t.Errorf("client: %v", c.Err())
		}
		if _, _, err := c.List(ctx, sub.RID, 0); !errors.Is(err, errMailboxClosed) {
			t.Errorf("command: %v", err)
		}
		if err := c.Ack(ctx, sub.RID, 1); !errors.Is(err, errMailboxClosed) {
			t.Errorf("ack: %v", err)
		}
		c.Close()
		c.Close()
	})
}

// TestMailboxWaitersAreReleased: a relay that never answers holds nobody beyond
// their own time.
func TestMailboxWaitersAreReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLiar()
		c := l.open(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		id, block := testMailboxBlock(1)
		for range mailbox.SendWindow {
			if _, err := c.StartSend(ctx, mailbox.SID{}, [32]byte{}, id, &block); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.StartSend(ctx, mailbox.SID{}, [32]byte{}, id, &block); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the 17th SEND: %v", err)
		}
		if c.Err() != nil {
			t.Error("a waiter ended the client")
		}
		errs := make(chan error, 1)
		go func() {
			_, _, err := c.List(context.Background(), mailbox.RID{}, 0)
			errs <- err
		}()
		synctest.Wait()
		c.Close()
		if err := <-errs; !errors.Is(err, errMailboxClosed) {
			t.Errorf("LIST: %v", err)
		}
	})
}
