package mailbox

import (
	"bytes"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"hearsay/directory"
)

// recordRevision is where the revision of an address record lies.
const recordRevision = 40

// onPut handles PUT (SPEC.md §3.18).
func (c *Session) onPut(data []byte) error {
	m, err := ParsePut(data)
	if err != nil {
		return err
	}
	if len(c.record) != int(m.Part)*RecordChunk {
		return errProtocol
	}
	c.record = append(c.record, m.Chunk[:]...)
	done := func() error { return c.send(CmdOK, OK{Command: CmdPut}.Append(nil)) }
	if len(c.record) < directory.AddressRecordSize {
		return c.answer(done)
	}
	raw := c.record
	c.record = nil
	c.puts++
	if c.puts > PutMax && !c.srv.cfg.TestOnlyNoRates {
		return c.refuse(CmdPut, CodeLimit, 0)
	}
	if !CheckWork(c.auth.Nonce, PutID(directory.BlindedKey(raw)), m.Work, int(c.srv.workBits())) {
		return c.refuse(CmdPut, CodeWork, uint16(c.srv.workBits())) // before the costly signature
	}
	r, err := directory.ParseAddressRecord(c.srv.cfg.Network, raw)
	if err != nil {
		return c.refuse(CmdPut, CodeAuth, 0)
	}
	at, known := c.srv.cfg.SnapshotTime()
	if !known || r.CheckPeriod(c.srv.cfg.Lab, at) != nil {
		return c.refuse(CmdPut, CodeLimit, 0)
	}
	full, _ := c.srv.refuses()
	return c.write1(CmdPut, func(t *tx) error { return t.putRecord(r, full) }, done)
}

// putRecord keeps the highest revision of each key and period, the first of
// equal ones. full refuses it for want of space.
func (t *tx) putRecord(r *directory.AddressRecord, full bool) error {
	b := t.Bucket(bucketRecords)
	key := recordKey(r.Key, r.Period)
	fresh := r.Append(nil)
	if row := b.Get(key); row != nil {
		old, err := t.store.open(bucketRecords, key, row)
		switch {
		case err != nil || len(old) != len(fresh):
			t.store.dropped.Add(1)
		case bytes.Equal(old, fresh):
			return nil
		case binary.BigEndian.Uint64(old[recordRevision:]) >= r.Revision:
			return &refusal{code: CodeConflict}
		}
	}
	if full {
		return &refusal{code: CodeFull}
	}
	row, err := t.store.seal(classShort, t.now, bucketRecords, key, fresh)
	if err != nil {
		return err
	}
	// One hour more: hours of the clock and of snapshots may differ by one.
	if err := t.schedule(Hours(r.Forgotten(t.store.lab), t.store.lab)+1, expireRecord, RID(key), key[IDSize:]); err != nil {
		return err
	}
	return b.Put(key, row)
}

// onGet handles GET (SPEC.md §3.18).
func (c *Session) onGet(data []byte) error {
	m, err := ParseGet(data)
	if err != nil {
		return err
	}
	return c.answer(func() error {
		var raw []byte
		key := recordKey(m.Key, m.Period)
		err := c.srv.store.db.View(func(b *bolt.Tx) error {
			row := b.Bucket(bucketRecords).Get(key)
			if row == nil {
				return nil
			}
			d, err := c.srv.store.open(bucketRecords, key, row)
			if err != nil {
				c.srv.store.dropped.Add(1)
			}
			raw = d
			return nil
		})
		if err != nil {
			return err
		}
		if len(raw) != directory.AddressRecordSize {
			return c.err1(CmdGet, CodeAuth, 0, MessageID{})
		}
		for part := range RecordParts {
			p := &RecordPart{Part: byte(part), Chunk: [RecordChunk]byte(raw[part*RecordChunk:])}
			if err := c.send(CmdRecord, p.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	})
}
