package chat

import (
	"context"
	"errors"

	"hearsay/relay/mailbox"
)

// payMost is the most bits of work that a client does for a request: one more
// than a relay may ask for. It takes 11 s on a core, and outbids whoever filled
// the queue at its price.
const payMost = mailbox.GrantBits + mailbox.GrantRise + 1

// mailboxPaid is what was paid for a queue on this stream.
type mailboxPaid struct {
	next  uint64 // the least counter that is new work
	price int
}

// Pay buys the next four SENDs of this stream to the queue of an address with
// work of that many bits, at most payMost. If the relay wants more, the error is
// a refusal with CodeWork that names the price. Every wrong guess counts among
// the eight failures of a stream.
func (c *mailboxClient) Pay(ctx context.Context, sid mailbox.SID, bits int) error {
	if bits < 0 || bits > payMost {
		return errors.New("pay: work out of range")
	}
	if err := c.acquire(ctx, c.paying); err != nil {
		return err
	}
	defer func() { <-c.paying }()
	c.mu.Lock()
	from := c.paid[sid].next
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	counter, ok := mailbox.FindWorkFrom(ctx.Done(), c.hello.Nonce, sid, bits, from)
	if !ok {
		return errors.Join(ctx.Err(), c.Err())
	}
	c.mu.Lock()
	c.paid[sid] = mailboxPaid{next: counter + 1, price: bits}
	c.mu.Unlock()
	m := mailbox.Work{SID: sid, Bits: byte(bits), Counter: counter}
	return c.do(ctx, mailbox.CmdWork, func(*mailbox.Auth) []byte { return m.Append(nil) }, okFor(mailbox.CmdWork))
}

// PayPrice is Pay at the price of the queue, which it learns by offering the
// least. It returns the bits that were paid. extra bits are added to what the
// relay asks for, to outbid others when the queue is full.
func (c *mailboxClient) PayPrice(ctx context.Context, sid mailbox.SID, extra int) (int, error) {
	bits := mailbox.GrantBits
	if c.cfg.Lab {
		bits = 0
	}
	c.mu.Lock()
	bits = max(bits, c.paid[sid].price)
	c.mu.Unlock()
	for {
		err := c.Pay(ctx, sid, min(bits+extra, payMost))
		var r *mailboxRefusal
		if !errors.As(err, &r) || r.Code != mailbox.CodeWork {
			return min(bits+extra, payMost), err
		}
		if price := int(r.Argument); price <= bits+extra || price > payMost {
			return 0, mailboxProtocolError("asks for work that is done or too much")
		}
		bits = int(r.Argument)
	}
}
