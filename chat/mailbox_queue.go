package chat

import (
	"context"
	"crypto/ed25519"
	"errors"

	"hearsay/circuit"
	"hearsay/relay/mailbox"
)

// mailboxQueue describes a queue to be created.
type mailboxQueue struct {
	Kind mailbox.Kind
	TTL  uint16             // of blocks, in protocol hours; 0: the kind's own
	Key  ed25519.PrivateKey // owns the queue
	Cap  [32]byte           // lets others write
	LID  mailbox.LID        // of an invite or address; else zeros
}

// mailboxMessage is one block out of a queue. Seq rises by the order in which
// the relay took the blocks.
type mailboxMessage struct {
	RID     mailbox.RID
	Seq     uint64
	Backlog uint16 // blocks that the relay says to hold behind this one
	Work    byte   // bits that the relay says were paid for the request; queues of addresses
	Block   [mailbox.BlockSize]byte
}

// mailboxView is what the relay says of a queue.
type mailboxView struct {
	Lowest uint64 // first seq above the wanted one that is held; Next if none
	Next   uint64 // seq of the next block; at or below the wanted one: the queue is a new one
	Opens  uint16 // readers of the invite's link, refused ones included
}

// mailboxSub is a standing subscription.
type mailboxSub struct {
	mailboxView
	RID mailbox.RID
	// Messages yields the pushed blocks and is closed when the subscription
	// ends. It holds a whole window, so the reader never waits for it: the
	// relay may push no more than that before the owner acknowledges.
	Messages <-chan mailboxMessage

	messages chan mailboxMessage
	last     uint64        // highest seq received; guarded by the client's mu
	unacked  []uint64      // received, rising; guarded by the client's mu
	ended    chan struct{} // closed after err was set
	err      error
}

// Err returns why the subscription ended: *mailboxEnded or the client's error;
// nil while it stands.
func (s *mailboxSub) Err() error {
	select {
	case <-s.ended:
		return s.err
	default:
		return nil
	}
}

func (s *mailboxSub) end(err error) {
	s.err = err
	close(s.ended)
	close(s.messages)
}

// New creates a queue, or finds it created with the same values. It pays the
// work that the relay asks for.
func (c *mailboxClient) New(ctx context.Context, q mailboxQueue) (mailbox.OKNew, error) {
	rid := mailboxRID(q.Key)
	var got mailbox.OKNew
	if c.hello.WorkBits > mailbox.WorkBits {
		return got, mailboxProtocolError("asks for too much work")
	}
	m := mailbox.New{Kind: q.Kind, TTL: q.TTL, RPK: [32]byte(q.Key.Public().(ed25519.PublicKey)), Cap: q.Cap, LID: q.LID}
	work, ok := mailbox.FindWork(ctx.Done(), c.hello.Nonce, rid, int(c.hello.WorkBits))
	if !ok {
		return got, ctx.Err()
	}
	m.Work = work
	err := c.do(ctx, mailbox.CmdNew, func(a *mailbox.Auth) []byte {
		a.SignNew(&m, q.Key)
		return m.Append(nil)
	}, func(r circuit.Message) (bool, error) {
		ok, err := mailbox.ParseOKNew(r.Data)
		if err != nil || mailbox.Command(r.Command) != mailbox.CmdOK || ok.RID != rid {
			return false, mailboxProtocolError("bad OK to NEW")
		}
		got = ok
		return true, nil
	})
	if err != nil {
		return mailbox.OKNew{}, err
	}
	return got, nil
}

// Subscribe asks for all blocks above after as they come, at most window (1 to
// 16) of them unacknowledged. It ends a subscription to the queue on any other
// stream. One stream holds at most one subscription to a queue.
func (c *mailboxClient) Subscribe(ctx context.Context, key ed25519.PrivateKey, after uint64, window int) (*mailboxSub, error) {
	if window < 1 || window > min(mailbox.PushWindow, int(c.hello.Window)) {
		return nil, errors.New("subscribe: window out of range")
	}
	rid := mailboxRID(key)
	s := &mailboxSub{RID: rid, messages: make(chan mailboxMessage, window), last: after, ended: make(chan struct{})}
	s.Messages = s.messages
	if c.subscribed(rid) {
		return nil, errMailboxTwice
	}
	err := c.sub(ctx, key, mailbox.Sub{RID: rid, After: after, Window: byte(window), Push: true}, func(r circuit.Message) (bool, error) {
		ok, err := parseOKSub(r, rid, after)
		if err != nil {
			return false, err
		}
		if c.subs[rid] != nil {
			return false, errMailboxTwice
		}
		s.mailboxView = mailboxView{Lowest: ok.Lowest, Next: ok.Next, Opens: ok.Opens}
		c.subs[rid] = s
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Poll fetches at most limit (0 to 64) blocks above after and leaves no
// subscription behind; Ack and List work after it. With limit 0 it only asks how
// the queue stands.
func (c *mailboxClient) Poll(ctx context.Context, key ed25519.PrivateKey, after uint64, limit int) (mailboxView, []mailboxMessage, error) {
	if limit < 0 || limit > mailbox.PollWindow {
		return mailboxView{}, nil, errors.New("poll: limit out of range")
	}
	rid := mailboxRID(key)
	if c.subscribed(rid) {
		return mailboxView{}, nil, errMailboxTwice
	}
	var view mailboxView
	var got []mailboxMessage
	last := after
	err := c.sub(ctx, key, mailbox.Sub{RID: rid, After: after, Window: byte(limit)}, func(r circuit.Message) (bool, error) {
		if view.Next == 0 {
			ok, err := parseOKSub(r, rid, after)
			if err != nil {
				return false, err
			}
			view = mailboxView{Lowest: ok.Lowest, Next: ok.Next, Opens: ok.Opens}
			return limit == 0 || view.Lowest == view.Next, nil
		}
		m, err := mailbox.ParseMsg(r.Data)
		if err != nil || mailbox.Command(r.Command) != mailbox.CmdMsg || m.RID != rid || m.Seq <= last || m.Seq < view.Lowest || m.Seq >= view.Next {
			return false, mailboxProtocolError("bad block in a poll")
		}
		last = m.Seq
		got = append(got, mailboxMessage{RID: rid, Seq: m.Seq, Backlog: m.Backlog, Work: m.Work, Block: m.Block})
		return len(got) == limit || m.Backlog == 0, nil
	})
	if err != nil {
		return mailboxView{}, nil, err
	}
	return view, got, nil
}

func (c *mailboxClient) subscribed(rid mailbox.RID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs[rid] != nil
}

func (c *mailboxClient) sub(ctx context.Context, key ed25519.PrivateKey, m mailbox.Sub, take func(r circuit.Message) (bool, error)) error {
	return c.do(ctx, mailbox.CmdSub, func(a *mailbox.Auth) []byte {
		a.SignSub(&m, key)
		return m.Append(nil)
	}, take)
}

func parseOKSub(r circuit.Message, rid mailbox.RID, after uint64) (mailbox.OKSub, error) {
	ok, err := mailbox.ParseOKSub(r.Data)
	switch {
	case err != nil || mailbox.Command(r.Command) != mailbox.CmdOK || ok.RID != rid:
		return ok, mailboxProtocolError("bad OK to SUB")
	case ok.Lowest <= after && ok.Lowest != ok.Next:
		return ok, mailboxProtocolError("lowest seq below the wanted one")
	}
	return ok, nil
}

// pushLocked takes a MSG: of the poll that waits first, else of a subscription.
func (c *mailboxClient) pushLocked(r circuit.Message) error {
	m, err := mailbox.ParseMsg(r.Data)
	if err != nil {
		return mailboxProtocolError(err.Error())
	}
	s := c.subs[m.RID]
	if s == nil {
		if len(c.waiting) > 0 && c.waiting[0].command == mailbox.CmdSub {
			return c.replyLocked(r)
		}
		return mailboxProtocolError("block of a queue without a subscription")
	}
	if m.Seq <= s.last || len(s.unacked) == cap(s.messages) {
		return mailboxProtocolError("stale seq or too many blocks")
	}
	s.last = m.Seq
	s.unacked = append(s.unacked, m.Seq)
	select {
	case s.messages <- mailboxMessage{RID: m.RID, Seq: m.Seq, Backlog: m.Backlog, Work: m.Work, Block: m.Block}:
	default: // acknowledged by seq before it was read: more than the window
		return errors.New("mailbox: blocks acknowledged before they were taken")
	}
	return nil
}

func (c *mailboxClient) endLocked(data []byte) error {
	m, err := mailbox.ParseEnd(data)
	if err != nil {
		return mailboxProtocolError(err.Error())
	}
	s := c.subs[m.RID]
	if s == nil {
		return mailboxProtocolError("end of no subscription")
	}
	delete(c.subs, m.RID)
	s.end(&mailboxEnded{Reason: m.Reason})
	return nil
}

// Ack lets the relay delete all blocks of the queue up to seq; the queue must
// have been subscribed to or polled on this stream. Call it only for blocks
// taken from Messages. There is no reply.
func (c *mailboxClient) Ack(ctx context.Context, rid mailbox.RID, seq uint64) error {
	_, err := c.call(ctx, mailbox.CmdAck, func(*mailbox.Auth) []byte {
		c.mu.Lock()
		if s := c.subs[rid]; s != nil {
			for len(s.unacked) > 0 && s.unacked[0] <= seq {
				s.unacked = s.unacked[1:]
			}
		}
		c.mu.Unlock()
		return mailbox.Ack{RID: rid, Seq: seq}.Append(nil)
	}, nil)
	return err
}

// List returns the message ids of the blocks above after, at most 128,
// and the seq of the first; the others follow without a gap. The queue must have been subscribed to or polled on
// this stream.
func (c *mailboxClient) List(ctx context.Context, rid mailbox.RID, after uint64) (uint64, []mailbox.MessageID, error) {
	var got mailbox.IDs
	err := c.do(ctx, mailbox.CmdList, func(*mailbox.Auth) []byte {
		return mailbox.List{RID: rid, After: after}.Append(nil)
	}, func(r circuit.Message) (bool, error) {
		m, err := mailbox.ParseIDs(r.Data)
		if err != nil || mailbox.Command(r.Command) != mailbox.CmdIDs || m.RID != rid || len(m.IDs) > 0 && m.First <= after {
			return false, mailboxProtocolError("bad IDS")
		}
		got = m
		return true, nil
	})
	if err != nil {
		return 0, nil, err
	}
	return got.First, got.IDs, nil
}

// RotCap replaces the send capability of the queue.
func (c *mailboxClient) RotCap(ctx context.Context, key ed25519.PrivateKey, capability [32]byte) error {
	m := mailbox.RotCap{RID: mailboxRID(key), Cap: capability}
	return c.do(ctx, mailbox.CmdRotCap, func(a *mailbox.Auth) []byte {
		a.SignRotCap(&m, key)
		return m.Append(nil)
	}, okFor(mailbox.CmdRotCap))
}

// Del deletes the queue and everything in it, for good.
func (c *mailboxClient) Del(ctx context.Context, key ed25519.PrivateKey) error {
	m := mailbox.Del{RID: mailboxRID(key)}
	return c.do(ctx, mailbox.CmdDel, func(a *mailbox.Auth) []byte {
		a.SignDel(&m, key)
		return m.Append(nil)
	}, okFor(mailbox.CmdDel))
}
