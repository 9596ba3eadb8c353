package chat

import (
	"context"

	"hearsay/circuit"
	"hearsay/relay/mailbox"
)

// SetLink stores the blob of an invite at its queue, which must have been
// subscribed to or polled on this stream. Calls for one stream must not overlap.
func (c *mailboxClient) SetLink(ctx context.Context, rid mailbox.RID, blob *[mailbox.LinkSize]byte) error {
	for part := range mailbox.LinkParts {
		m := mailbox.SetLink{RID: rid, Part: byte(part), Chunk: [mailbox.BlockSize]byte(blob[part*mailbox.BlockSize:])}
		err := c.do(ctx, mailbox.CmdSetLink, func(*mailbox.Auth) []byte { return m.Append(nil) }, okFor(mailbox.CmdSetLink))
		if err != nil {
			return err
		}
	}
	return nil
}

// GetLink fetches the blob of an invite. The first reader key that asks is bound
// to the link; it may ask again, others are refused with CodeUsed. The number
// counts the readers so far.
func (c *mailboxClient) GetLink(ctx context.Context, lid mailbox.LID, reader [32]byte) (*[mailbox.LinkSize]byte, uint16, error) {
	part := 0
	var blob [mailbox.LinkSize]byte
	var opens uint16
	err := c.do(ctx, mailbox.CmdGetLink, func(*mailbox.Auth) []byte {
		return mailbox.GetLink{LID: lid, Reader: reader}.Append(nil)
	}, func(r circuit.Message) (bool, error) {
		m, err := mailbox.ParseLink(r.Data)
		if err != nil || mailbox.Command(r.Command) != mailbox.CmdLink || int(m.Part) != part {
			return false, mailboxProtocolError("bad LINK")
		}
		copy(blob[part*mailbox.BlockSize:], m.Chunk[:])
		opens = m.Opens
		part++
		return part == mailbox.LinkParts, nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &blob, opens, nil
}
