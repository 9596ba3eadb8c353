package chat

import (
	"context"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// PutRecord stores an address record. It pays the work that the relay asks for.
// A refusal with CodeConflict says that the relay holds a newer one, one with
// CodeLimit that it does not take records of that period.
func (c *mailboxClient) PutRecord(ctx context.Context, r *directory.AddressRecord) error {
	if c.hello.WorkBits > mailbox.WorkBits {
		return mailboxProtocolError("asks for too much work")
	}
	work, ok := mailbox.FindWork(ctx.Done(), c.hello.Nonce, mailbox.PutID(r.Key), int(c.hello.WorkBits))
	if !ok {
		return ctx.Err()
	}
	raw := r.Append(nil)
	for part := range mailbox.RecordParts {
		m := mailbox.Put{Part: byte(part), Chunk: [mailbox.RecordChunk]byte(raw[part*mailbox.RecordChunk:])}
		if part == mailbox.RecordParts-1 {
			m.Work = work
		}
		err := c.do(ctx, mailbox.CmdPut, func(*mailbox.Auth) []byte { return m.Append(nil) }, okFor(mailbox.CmdPut))
		if err != nil {
			return err
		}
	}
	return nil
}

// GetRecord fetches the address record of a blinded key and period, whose
// signature it verifies. A refusal with CodeAuth says that the relay has none.
func (c *mailboxClient) GetRecord(ctx context.Context, key directory.BlindedKey, period uint64) (*directory.AddressRecord, error) {
	var raw []byte
	var got *directory.AddressRecord
	err := c.do(ctx, mailbox.CmdGet, func(*mailbox.Auth) []byte {
		return mailbox.Get{Key: key, Period: period}.Append(nil)
	}, func(r circuit.Message) (bool, error) {
		m, err := mailbox.ParseRecordPart(r.Data)
		if err != nil || mailbox.Command(r.Command) != mailbox.CmdRecord || int(m.Part)*mailbox.RecordChunk != len(raw) {
			return false, mailboxProtocolError("bad RECORD")
		}
		if raw = append(raw, m.Chunk[:]...); len(raw) < directory.AddressRecordSize {
			return false, nil
		}
		if got, err = directory.ParseAddressRecord(c.cfg.Network, raw); err != nil || got.Key != key || got.Period != period {
			return false, mailboxProtocolError("record of another address or without its signature")
		}
		return true, nil
	})
	return got, err
}
