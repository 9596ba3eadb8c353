package chat

import (
	"context"

	"hearsay/circuit"
	"hearsay/relay/mailbox"
)

// mailboxSend is a SEND that left and waits for its receipt.
type mailboxSend struct {
	call    *mailboxCall
	receipt mailbox.Receipt
}

// StartSend sends one block and returns as soon as its cell was handed to the
// link, so that up to 16 of them, in the order of the calls, are on the way at
// once. It waits while 16 have no reply.
func (c *mailboxClient) StartSend(ctx context.Context, sid mailbox.SID, capability [32]byte, id mailbox.MessageID, block *[mailbox.BlockSize]byte) (*mailboxSend, error) {
	m := &mailbox.Send{SID: sid, ID: id, Block: *block}
	s := &mailboxSend{}
	call, err := c.call(ctx, mailbox.CmdSend, func(a *mailbox.Auth) []byte {
		a.SealSend(m, capability)
		return m.Append(nil)
	}, func(r circuit.Message) (bool, error) {
		ok, err := mailbox.ParseOKSend(r.Data)
		if err != nil || mailbox.Command(r.Command) != mailbox.CmdOK || ok.ID != id {
			return false, mailboxProtocolError("bad OK to SEND")
		}
		receipt := mailbox.NewReceipt(c.cfg.Relay, c.hello.Custody, m, ok)
		now := c.cfg.Now()
		if err := receipt.VerifyCertified(c.cfg.Network, now); err != nil { // the certificate is HELLO's
			return false, mailboxProtocolError(err.Error())
		}
		if !receipt.Live(now, c.cfg.Lab) {
			return false, mailboxProtocolError("receipt for a time that has passed")
		}
		s.receipt = receipt
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	s.call = call
	return s, nil
}

// Wait returns the receipt, verified up to the identity of the relay. If ctx
// ends first the block may be stored all the same: send it again, with the same
// id, to learn it.
func (s *mailboxSend) Wait(ctx context.Context) (mailbox.Receipt, error) {
	if err := s.call.wait(ctx); err != nil {
		return mailbox.Receipt{}, err
	}
	return s.receipt, nil
}

// Send is StartSend and Wait.
func (c *mailboxClient) Send(ctx context.Context, sid mailbox.SID, capability [32]byte, id mailbox.MessageID, block *[mailbox.BlockSize]byte) (mailbox.Receipt, error) {
	s, err := c.StartSend(ctx, sid, capability, id, block)
	if err != nil {
		return mailbox.Receipt{}, err
	}
	return s.Wait(ctx)
}
