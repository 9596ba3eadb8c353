package signer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"go.etcd.io/bbolt"

	"hearsay/directory"
)

// sentMemory is for how many epoch numbers back own messages are kept.
const sentMemory = 600

// messageKind says what a message is, in the key under which it is kept.
type messageKind byte

const (
	kindVote   messageKind = 1
	kindEcho   messageKind = 2
	kindCosign messageKind = 3
	// kindSnapshot is no message: a complete snapshot.
	kindSnapshot messageKind = 4
)

// errSaid guards what other signers rely on: a message is never replaced by
// another one of its kind, epoch and attempt.
var errSaid = errors.New("signer: another message of this kind was sent for the epoch")

// sentKey is the key of an own message.
func sentKey(m *directory.SignerMessage) []byte {
	k := binary.BigEndian.AppendUint64(nil, m.Epoch())
	switch {
	case m.Vote != nil:
		return append(k, byte(kindVote), 0)
	case m.Echo != nil:
		return append(k, byte(kindEcho), m.Echo.Attempt)
	}
	return append(k, byte(kindCosign), 0)
}

// signed is a header that this signer has signed and that is not complete, with
// all that is needed to go on from it.
type signed struct {
	epoch    uint64 // of the votes on which it was signed last
	attempt  uint8
	snapshot []byte // with this signer's signature
	ledger   []byte
	srv      []byte
	proof    [][]byte // the echoes on which it was signed
}

func (g signed) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, g.epoch)
	b = append(b, g.attempt)
	for _, part := range append([][]byte{g.snapshot, g.ledger, g.srv}, g.proof...) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

func parseSigned(b []byte) (signed, error) {
	if len(b) < 9 {
		return signed{}, errDamaged
	}
	g := signed{epoch: binary.BigEndian.Uint64(b), attempt: b[8]}
	b = b[9:]
	var parts [][]byte
	for len(b) > 0 {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return signed{}, errDamaged
		}
		n := 4 + int(binary.BigEndian.Uint32(b))
		parts, b = append(parts, b[4:n:n]), b[n:]
	}
	if len(parts) < 3 {
		return signed{}, errDamaged
	}
	g.snapshot, g.ledger, g.srv, g.proof = parts[0], parts[1], parts[2], parts[3:]
	return g, nil
}

// say enters an own message before it is sent. The same one may be entered again;
// another one in its place, or one for an epoch before the last, is refused.
func (b *book) say(m *directory.SignerMessage) error {
	return b.update(func(tx *bbolt.Tx) error { return putSent(tx, m) })
}

// sign enters a header with this signer's signature, and the message that tells the
// others, before either is seen by anybody. It fails with errTwice if this signer
// has signed another header of that number.
func (b *book) sign(snap *directory.Snapshot, g signed, m *directory.SignerMessage) error {
	head, err := snap.Head.Encode()
	if err != nil {
		return err
	}
	return b.update(func(tx *bbolt.Tx) error {
		heads, hash := tx.Bucket(bucketHeads), snap.Hash()
		k := binary.BigEndian.AppendUint64(nil, snap.Header.Epoch)
		if old := heads.Get(k); old != nil && !sameHead(old, hash) {
			return errTwice
		} else if old == nil {
			if err := heads.Put(k, head); err != nil {
				return err
			}
		}
		if err := tx.Bucket(bucketPending).Put(hash[:], g.append(nil)); err != nil {
			return err
		}
		return putSent(tx, m)
	})
}

func putSent(tx *bbolt.Tx, m *directory.SignerMessage) error {
	sent, k := tx.Bucket(bucketSent), sentKey(m)
	if last, _ := sent.Cursor().Last(); last != nil && bytes.Compare(last[:8], k[:8]) > 0 {
		return fmt.Errorf("%w: a later epoch was begun", errSaid)
	}
	if old := sent.Get(k); old != nil && !bytes.Equal(old, m.Raw()) {
		return errSaid
	}
	floor := binary.BigEndian.AppendUint64(nil, m.Epoch()-min(m.Epoch(), sentMemory))
	c := sent.Cursor()
	for old, _ := c.First(); old != nil && bytes.Compare(old, floor) < 0; old, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return errors.Join(sent.Put(k, m.Raw()), tx.Bucket(bucketMeta).Put(metaCertificate, m.RawCertificate))
}

// said returns the raw messages sent for an epoch, in the order of their keys, and
// the highest epoch for which there is one.
func (b *book) said(epoch uint64) (raws [][]byte, last uint64, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketSent).Cursor()
		if k, _ := c.Last(); k != nil {
			last = binary.BigEndian.Uint64(k)
		}
		want := binary.BigEndian.AppendUint64(nil, epoch)
		for k, v := c.Seek(want); k != nil && bytes.Equal(k[:8], want); k, v = c.Next() {
			raws = append(raws, bytes.Clone(v))
		}
		return nil
	})
	return raws, last, err
}

// signedHead returns the hash of the header that this signer signed under a number.
func (b *book) signedHead(epoch uint64) (hash [32]byte, ok bool, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		raw := tx.Bucket(bucketHeads).Get(binary.BigEndian.AppendUint64(nil, epoch))
		if raw == nil {
			return nil
		}
		h, err := directory.ParseHead(raw)
		if err != nil {
			return err
		}
		hash, ok = h.Hash(), true
		return nil
	})
	return hash, ok, err
}

// update runs a transaction and tells failures of the disk from refusals.
func (b *book) update(f func(tx *bbolt.Tx) error) error {
	err := b.db.Update(func(tx *bbolt.Tx) error {
		if b.testOnlyFull.Load() {
			return syscall.ENOSPC
		}
		return f(tx)
	})
	if err != nil && !errors.Is(err, errTwice) && !errors.Is(err, errSaid) {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	return err
}

func sameHead(raw []byte, hash [32]byte) bool {
	if raw == nil {
		return false
	}
	h, err := directory.ParseHead(raw)
	return err == nil && h.Hash() == hash
}

func emptyBucket(tx *bbolt.Tx, name []byte) error {
	if err := tx.DeleteBucket(name); err != nil {
		return err
	}
	_, err := tx.CreateBucket(name)
	return err
}
