package store

import (
	"crypto/hpke"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// boxKey is the X-Wing key that rows of boxes are sealed to.
type boxKey struct {
	public  hpke.PublicKey
	private hpke.PrivateKey // nil while locked
}

func (k *boxKey) set(seed []byte) (err error) {
	if k.private, err = hpke.MLKEM768X25519().NewPrivateKey(seed); err != nil {
		return fmt.Errorf("store: key of boxes: %w", err)
	}
	k.public = k.private.PublicKey()
	return nil
}

// Box is a sequence that can be added to while the store is locked, and read
// only while it is not.
type Box struct{ rows rows }

// Box returns the rows under a name. It need not exist.
func (t *Tx) Box(name string) *Box { return &Box{rows: t.rows(kindBox, name)} }

// Add puts the value, at most 16 MiB, behind those that are there.
func (b *Box) Add(value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("store: value of %d bytes", len(value))
	}
	n, err := b.rows.nextNumber()
	if err != nil {
		return err
	}
	plain := padValue(value)
	defer clear(plain)
	sealed, err := b.seal(n, plain)
	if err != nil {
		return err
	}
	return b.rows.put(numberKey(n), sealed)
}

// seal returns the encapsulated key and the sealed value.
func (b *Box) seal(n uint64, plain []byte) ([]byte, error) {
	enc, s, err := hpke.NewSender(b.rows.tx.keys.box.public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(labelBox))
	if err != nil {
		return nil, fmt.Errorf("store: seal box: %w", err)
	}
	sealed, err := s.Seal(rowAAD(b.rows.name, numberKey(n)), plain)
	if err != nil {
		return nil, fmt.Errorf("store: seal box: %w", err)
	}
	return append(enc, sealed...), nil
}

// boxEnc is the size of an encapsulated X-Wing key.
const boxEnc = 1120

func (b *Box) open(key, sealed []byte) ([]byte, error) {
	private := b.rows.tx.keys.box.private
	if private == nil {
		return nil, ErrLocked
	}
	if len(sealed) < boxEnc+tagSize {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	r, err := hpke.NewRecipient(sealed[:boxEnc], private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(labelBox))
	if err != nil {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	plain, err := r.Open(rowAAD(b.rows.name, key), sealed[boxEnc:])
	if err != nil {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	return unpadValue(plain)
}

// Take removes up to limit of the oldest rows and returns them in order, nil for
// those that are damaged.
func (b *Box) Take(limit int) ([][]byte, error) {
	if b.rows.tx.keys.locked {
		return nil, ErrLocked
	}
	bb, err := b.rows.find()
	if bb == nil || err != nil {
		return nil, err
	}
	return b.take(bb, limit)
}

func (b *Box) take(bb *bolt.Bucket, limit int) (values [][]byte, err error) {
	c := bb.Cursor()
	for key, sealed := c.First(); key != nil && len(values) < limit; key, sealed = c.First() {
		value, err := b.open(key, sealed)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		values = append(values, value)
		if err := bb.Delete(key); err != nil {
			return nil, fmt.Errorf("store: delete: %w", err)
		}
	}
	return values, nil
}

// Empty tells whether there is no row.
func (b *Box) Empty() (bool, error) {
	bb, err := b.rows.find()
	if bb == nil || err != nil {
		return true, err
	}
	key, _ := bb.Cursor().First()
	return key == nil, nil
}
