package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/relay/mailbox"
)

// TestMailboxPay pays rising prices for requests, and reads what was paid.
func TestMailboxPay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := startMailboxRelay(t)
		defer r.close()
		owner, c := r.open(), r.open()
		defer owner.Close()
		defer c.Close()
		q := testQueue(mailbox.KindAddress)
		q.LID = mailbox.LID{1}
		made, err := owner.New(ctx, q)
		if err != nil || made.Capacity != 256 {
			t.Fatalf("%+v %v", made, err)
		}
		id, block := testMailboxBlock(1)
		if _, err := c.Send(ctx, made.SID, q.Cap, id, &block); !mailboxRefusedWith(err, mailbox.CodeWork) {
			t.Errorf("unpaid: %v", err)
		}
		for n := range 17 {
			bits, err := c.PayPrice(ctx, made.SID, 0)
			if want := n / mailbox.GrantStep; err != nil || bits != want {
				t.Fatalf("request %d costs %d, want %d: %v", n, bits, want, err)
			}
			id, block := testMailboxBlock(n)
			if _, err := c.Send(ctx, made.SID, q.Cap, id, &block); err != nil {
				t.Fatal(err)
			}
		}
		if bits, err := c.PayPrice(ctx, made.SID, 3); err != nil || bits != 5 {
			t.Errorf("paid %d, want 5: %v", bits, err)
		}
		_, got, err := owner.Poll(ctx, q.Key, 16, 64)
		if err != nil || len(got) != 1 || got[0].Work != 2 {
			t.Errorf("%v %v", got, err)
		}
		var reader [32]byte
		if _, _, err := c.GetLink(ctx, q.LID, reader); !mailboxRefusedWith(err, mailbox.CodeAuth) {
			t.Errorf("link that is not there: %v", err)
		}
		blob := [mailbox.LinkSize]byte{7}
		if err := owner.SetLink(ctx, mailboxRID(q.Key), &blob); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.GetLink(ctx, q.LID, reader); err != nil || *got != blob {
			t.Errorf("link: %v", err)
		}
	})
}

// TestLyingMailboxPrice: a relay cannot make a client work without end.
func TestLyingMailboxPrice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, price := range []uint16{0, payMost + 1, 65535} {
			l := newLiar()
			l.answer = func(cmd mailbox.Command, _ []byte) {
				_ = l.stream.push(byte(mailbox.CmdErr), 0, mailbox.Err{Command: cmd, Code: mailbox.CodeWork, Argument: price}.Append(nil))
			}
			c := l.open(t)
			if _, err := c.PayPrice(t.Context(), mailbox.SID{}, 0); !errors.Is(err, errMailboxProtocol) {
				t.Errorf("price %d: %v", price, err)
			}
			c.Close()
		}
		l := newLiar()
		l.cfg.Lab = false
		l.answer = func(cmd mailbox.Command, _ []byte) {
			_ = l.stream.push(byte(mailbox.CmdErr), 0, mailbox.Err{Command: cmd, Code: mailbox.CodeWork, Argument: payMost}.Append(nil))
		}
		c := l.open(t)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		cancel()
		if _, err := c.PayPrice(ctx, mailbox.SID{}, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
