package chat

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// liar is a mailbox relay that keeps no queue and answers what a test wants.
type liar struct {
	cfg      mailboxConfig
	identity ed25519.PrivateKey
	custody  ed25519.PrivateKey
	hello    mailbox.Hello
	stream   *memStream
	answer   func(cmd mailbox.Command, data []byte) // nil: silence
}

func liarKey(n byte) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte{n})
	return ed25519.NewKeyFromSeed(seed[:])
}

func newLiar() *liar {
	l := &liar{identity: liarKey(1), custody: liarKey(2)}
	l.cfg = mailboxConfig{Network: directory.NetworkID{7}, Relay: directory.RelayID(l.identity.Public().(ed25519.PublicKey)), Lab: true, Now: time.Now}
	l.hello = mailbox.Hello{
		Window:  mailbox.PushWindow,
		Custody: mailbox.SignCertificate(l.cfg.Network, l.identity, [32]byte(l.custody.Public().(ed25519.PublicKey)), time.Now()),
	}
	l.stream = newMemStream(func(s *memStream, cmd mailbox.Command, data []byte) error {
		switch {
		case cmd == mailbox.CmdOpen:
			return s.push(byte(mailbox.CmdHello), 0, l.hello.Append(nil))
		case l.answer != nil:
			l.answer(cmd, data)
		}
		return nil
	})
	return l
}

func (l *liar) open(t *testing.T) *mailboxClient {
	t.Helper()
	c, err := openMailbox(context.Background(), l.stream, l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receipt signs whatever it is given with the custody key.
func (l *liar) receipt(network directory.NetworkID, r mailbox.Receipt) mailbox.OKSend {
	text := append([]byte("hearsay/1 custody\x00"), network[:]...)
	body := r.Append(nil)
	text = append(text, r.Relay[:]...)
	text = append(text, body[32+mailbox.CertificateSize:len(body)-mailbox.SigSize]...)
	return mailbox.OKSend{ID: r.ID, Stored: r.Stored, Until: r.Until, Receipt: [64]byte(ed25519.Sign(l.custody, text))}
}

// TestLyingMailboxReceipt: a receipt that does not prove custody of this very
// block by this very relay is refused, and the stream ended.
func TestLyingMailboxReceipt(t *testing.T) {
	cases := map[string]func(network *directory.NetworkID, r *mailbox.Receipt){
		"":                      func(*directory.NetworkID, *mailbox.Receipt) {},
		"another block":         func(_ *directory.NetworkID, r *mailbox.Receipt) { r.BlockHash[0] ^= 1 },
		"another relay":         func(_ *directory.NetworkID, r *mailbox.Receipt) { r.Relay[0] ^= 1 },
		"another network":       func(n *directory.NetworkID, _ *mailbox.Receipt) { n[0] ^= 1 },
		"another queue":         func(_ *directory.NetworkID, r *mailbox.Receipt) { r.SID[0] ^= 1 },
		"another message":       func(_ *directory.NetworkID, r *mailbox.Receipt) { r.ID[0] ^= 1 },
		"no time at all":        func(_ *directory.NetworkID, r *mailbox.Receipt) { r.Until = r.Stored },
		"a time that is over":   func(_ *directory.NetworkID, r *mailbox.Receipt) { r.Stored, r.Until = 5, 10 },
		"longer than is stored": func(_ *directory.NetworkID, r *mailbox.Receipt) { r.Until = r.Stored + 721 },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLiar()
				c := l.open(t)
				defer c.Close()
				id, block := testMailboxBlock(1)
				l.answer = func(_ mailbox.Command, data []byte) {
					now := mailbox.Hours(time.Now(), true)
					r := mailbox.Receipt{Relay: l.cfg.Relay, SID: mailbox.SID{3}, ID: id, BlockHash: sha256.Sum256(block[:]), Stored: now, Until: now + 504}
					network := l.cfg.Network
					change(&network, &r)
					_ = l.stream.push(byte(mailbox.CmdOK), 0, l.receipt(network, r).Append(nil))
				}
				_, err := c.Send(t.Context(), mailbox.SID{3}, [32]byte{}, id, &block)
				if name == "" {
					if err != nil {
						t.Errorf("a sound receipt: %v", err)
					}
					return
				}
				if !errors.Is(err, errMailboxProtocol) {
					t.Errorf("got %v", err)
				}
				<-c.Done()
			})
		})
	}
}

// TestLyingMailboxReceiptKey: a receipt under a key that this stream's
// certificate does not name is refused.
func TestLyingMailboxReceiptKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLiar()
		c := l.open(t)
		defer c.Close()
		l.custody = liarKey(9)
		id, block := testMailboxBlock(1)
		l.answer = func(mailbox.Command, []byte) {
			now := mailbox.Hours(time.Now(), true)
			r := mailbox.Receipt{Relay: l.cfg.Relay, SID: mailbox.SID{3}, ID: id, BlockHash: sha256.Sum256(block[:]), Stored: now, Until: now + 504}
			_ = l.stream.push(byte(mailbox.CmdOK), 0, l.receipt(l.cfg.Network, r).Append(nil))
		}
		if _, err := c.Send(t.Context(), mailbox.SID{3}, [32]byte{}, id, &block); !errors.Is(err, errMailboxProtocol) {
			t.Errorf("got %v", err)
		}
	})
}

// TestLyingMailboxHello: no stream without a custody key of the relay that the
// circuit was built to.
func TestLyingMailboxHello(t *testing.T) {
	key := [32]byte(liarKey(2).Public().(ed25519.PublicKey))
	cases := map[string]func(l *liar){
		"another relay's key": func(l *liar) {
			l.hello.Custody = mailbox.SignCertificate(l.cfg.Network, liarKey(3), key, time.Now())
		},
		"another network": func(l *liar) {
			l.hello.Custody = mailbox.SignCertificate(directory.NetworkID{8}, l.identity, key, time.Now())
		},
		"an expired key": func(l *liar) {
			l.hello.Custody = mailbox.SignCertificate(l.cfg.Network, l.identity, key, time.Now().Add(-28*24*time.Hour))
		},
		"a changed key": func(l *liar) { l.hello.Custody.Key[0] ^= 1 },
		"no window":     func(l *liar) { l.hello.Window = 0 },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLiar()
				change(l)
				if _, err := openMailbox(t.Context(), l.stream, l.cfg); err == nil {
					t.Error("accepted")
				}
				<-l.stream.Done()
			})
		})
	}
}

func TestMailboxVersionRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStream(func(s *memStream, _ mailbox.Command, _ []byte) error {
			return s.push(byte(mailbox.CmdErr), 0, mailbox.Err{Command: mailbox.CmdOpen, Code: mailbox.CodeVersion, Argument: 2}.Append(nil))
		})
		if _, err := openMailbox(t.Context(), s, newLiar().cfg); !mailboxRefusedWith(err, mailbox.CodeVersion) {
			t.Errorf("got %v", err)
		}
	})
}

// TestLyingMailboxUnsolicited sends what nobody asked for, in a state where one
// subscription with a window of two stands at seq 5.
func TestLyingMailboxUnsolicited(t *testing.T) {
	key := liarKey(4)
	rid := mailboxRID(key)
	msg := func(rid mailbox.RID, seq uint64) []byte { return (&mailbox.Msg{RID: rid, Seq: seq}).Append(nil) }
	type message struct {
		cmd   mailbox.Command
		flags byte
		data  []byte
	}
	cases := map[string][]message{
		"reply without a command":     {{mailbox.CmdOK, 0, mailbox.OK{Command: mailbox.CmdDel}.Append(nil)}},
		"refusal without a command":   {{mailbox.CmdErr, 0, mailbox.Err{Command: mailbox.CmdDel, Code: mailbox.CodeAuth}.Append(nil)}},
		"block of another queue":      {{mailbox.CmdMsg, 0, msg(mailbox.RID{9}, 6)}},
		"stale seq":                   {{mailbox.CmdMsg, 0, msg(rid, 5)}},
		"the same seq twice":          {{mailbox.CmdMsg, 0, msg(rid, 6)}, {mailbox.CmdMsg, 0, msg(rid, 6)}},
		"more than the window":        {{mailbox.CmdMsg, 0, msg(rid, 6)}, {mailbox.CmdMsg, 0, msg(rid, 7)}, {mailbox.CmdMsg, 0, msg(rid, 8)}},
		"end of another subscription": {{mailbox.CmdEnd, 0, mailbox.End{RID: mailbox.RID{9}, Reason: mailbox.EndExpired}.Append(nil)}},
		"a second HELLO":              {{mailbox.CmdHello, 0, newLiar().hello.Append(nil)}},
		"a client's command":          {{mailbox.CmdAck, 0, mailbox.Ack{RID: rid}.Append(nil)}},
		"an unknown command":          {{0x52, 0, nil}},
		"flags":                       {{mailbox.CmdMsg, 1, msg(rid, 6)}},
		"a truncated block":           {{mailbox.CmdMsg, 0, msg(rid, 6)[:1000]}},
		"ids nobody asked for":        {{mailbox.CmdIDs, 0, mailbox.IDs{RID: rid}.Append(nil)}},
		"a link nobody asked for":     {{mailbox.CmdLink, 0, (&mailbox.Link{}).Append(nil)}},
	}
	for name, messages := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLiar()
				c := l.open(t)
				defer c.Close()
				l.answer = func(mailbox.Command, []byte) {
					_ = l.stream.push(byte(mailbox.CmdOK), 0, mailbox.OKSub{RID: rid, Lowest: 6, Next: 9}.Append(nil))
				}
				sub, err := c.Subscribe(t.Context(), key, 5, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range messages {
					_ = l.stream.push(byte(m.cmd), m.flags, m.data)
				}
				<-c.Done()
				if !errors.Is(c.Err(), errMailboxProtocol) || !errors.Is(sub.Err(), errMailboxProtocol) {
					t.Errorf("ended with %v and %v", c.Err(), sub.Err())
				}
			})
		})
	}
}

// TestLyingMailboxReplies gives each command the wrong answer.
func TestLyingMailboxReplies(t *testing.T) {
	key := liarKey(4)
	rid := mailboxRID(key)
	q := mailboxQueue{Kind: mailbox.KindChat, Key: key}
	new1 := func(c *mailboxClient) error { _, err := c.New(context.Background(), q); return err }
	poll := func(c *mailboxClient) error {
		_, _, err := c.Poll(context.Background(), key, 5, 4)
		return err
	}
	list := func(c *mailboxClient) error { _, _, err := c.List(context.Background(), rid, 5); return err }
	link := func(c *mailboxClient) error {
		_, _, err := c.GetLink(context.Background(), mailbox.LID{}, [32]byte{})
		return err
	}
	del := func(c *mailboxClient) error { return c.Del(context.Background(), key) }
	type reply struct {
		cmd  mailbox.Command
		data []byte
	}
	okSub := func(lowest, next uint64) reply {
		return reply{mailbox.CmdOK, mailbox.OKSub{RID: rid, Lowest: lowest, Next: next}.Append(nil)}
	}
	block := func(seq uint64) reply {
		return reply{mailbox.CmdMsg, (&mailbox.Msg{RID: rid, Seq: seq, Backlog: 3}).Append(nil)}
	}
	cases := map[string]struct {
		do      func(c *mailboxClient) error
		replies []reply
	}{
		"NEW: another queue":             {new1, []reply{{mailbox.CmdOK, mailbox.OKNew{RID: mailbox.RID{1}}.Append(nil)}}},
		"NEW: OK of DEL":                 {new1, []reply{{mailbox.CmdOK, mailbox.OK{Command: mailbox.CmdDel}.Append(nil)}}},
		"NEW: ERR of DEL":                {new1, []reply{{mailbox.CmdErr, mailbox.Err{Command: mailbox.CmdDel, Code: mailbox.CodeAuth}.Append(nil)}}},
		"DEL: OK of ROTCAP":              {del, []reply{{mailbox.CmdOK, mailbox.OK{Command: mailbox.CmdRotCap}.Append(nil)}}},
		"DEL: nonsense":                  {del, []reply{{mailbox.CmdOK, []byte{1}}}},
		"poll: lowest below after":       {poll, []reply{okSub(3, 9)}},
		"poll: block outside":            {poll, []reply{okSub(6, 9), block(9)}},
		"poll: block below the lowest":   {poll, []reply{okSub(7, 9), block(6)}},
		"poll: blocks backwards":         {poll, []reply{okSub(6, 9), block(7), block(6)}},
		"poll: another reply instead":    {poll, []reply{okSub(6, 9), {mailbox.CmdIDs, mailbox.IDs{RID: rid}.Append(nil)}}},
		"poll: block before the OK":      {poll, []reply{block(6)}},
		"LIST: another queue":            {list, []reply{{mailbox.CmdIDs, mailbox.IDs{}.Append(nil)}}},
		"LIST: ids below what was asked": {list, []reply{{mailbox.CmdIDs, mailbox.IDs{RID: rid, First: 5, IDs: []mailbox.MessageID{{}}}.Append(nil)}}},
		"GETLINK: second half first":     {link, []reply{{mailbox.CmdLink, (&mailbox.Link{Part: 1}).Append(nil)}}},
		"GETLINK: first half twice":      {link, []reply{{mailbox.CmdLink, (&mailbox.Link{}).Append(nil)}, {mailbox.CmdLink, (&mailbox.Link{}).Append(nil)}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLiar()
				c := l.open(t)
				defer c.Close()
				l.answer = func(mailbox.Command, []byte) {
					for _, r := range tc.replies {
						_ = l.stream.push(byte(r.cmd), 0, r.data)
					}
				}
				if err := tc.do(c); !errors.Is(err, errMailboxProtocol) {
					t.Errorf("got %v", err)
				}
				<-c.Done()
			})
		})
	}
}

// TestMailboxTooMuchWork: a relay cannot make its clients compute for ever.
func TestMailboxTooMuchWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLiar()
		l.hello.WorkBits = 60
		c := l.open(t)
		defer c.Close()
		if _, err := c.New(t.Context(), mailboxQueue{Key: liarKey(4)}); !errors.Is(err, errMailboxProtocol) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzMailboxClient lets a relay say anything, in any order, while commands of
// every sort wait: the client ends with an error or goes on, and never hangs.
func FuzzMailboxClient(f *testing.F) {
	key := liarKey(4)
	rid := mailboxRID(key)
	f.Add([]byte{0x47, 48}, mailbox.OKSub{RID: rid, Lowest: 1, Next: 3}.Append(nil))
	f.Add([]byte{0x47, 48, 0x44, 0}, append(mailbox.OKSub{RID: rid, Lowest: 1, Next: 3}.Append(nil), (&mailbox.Msg{RID: rid, Seq: 1}).Append(nil)...))
	f.Add([]byte{0x48, 12, 0x4A, 48}, append(mailbox.Err{Command: mailbox.CmdSub, Code: mailbox.CodeAuth}.Append(nil), mailbox.IDs{RID: rid}.Append(nil)...))
	f.Fuzz(func(t *testing.T, order, data []byte) {
		if len(order) > 64 {
			return
		}
		l := newLiar()
		c := l.open(t)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		asked := make(chan struct{}, 8)
		l.answer = func(mailbox.Command, []byte) { asked <- struct{}{} }
		results := make(chan struct{}, 8)
		commands := []func(){
			func() { _, _ = c.Subscribe(ctx, key, 0, 2) },
			func() { _, _, _ = c.List(ctx, rid, 0) },
			func() { _, _, _ = c.Poll(ctx, liarKey(5), 0, 4) },
			func() { _, _, _ = c.GetLink(ctx, mailbox.LID{}, [32]byte{1}) },
		}
		for _, do := range commands {
			go func() { do(); results <- struct{}{} }()
			<-asked
		}
		for len(order) >= 2 {
			n := int(order[1])
			if n == 0 {
				n = mailbox.DataSize
			}
			n = min(n, len(data))
			_ = l.stream.push(order[0], 0, data[:n])
			order, data = order[2:], data[n:]
		}
		c.Close()
		for range commands {
			<-results
		}
	})
}
