package session

import (
	"crypto/sha256"
	"encoding/binary"
)

// DropKeys are the keys of one side's queue of last resort for one day. Both
// sides derive them (SPEC.md §14.2).
type DropKeys struct {
	Seed [32]byte   // of the Ed25519 key that owns the queue
	Cap  Capability // lets blocks be written
	Key  QueueKey   // seals the outside of its blocks
}

// Keys derives the queue of a protocol day into which we write, or that from
// which we read, which the contact writes.
func (d Drop) Keys(day uint32, write bool) DropKeys {
	var out [96]byte
	role := byte(0)
	if d.Guest == write {
		role = 1 // the guest writes
	}
	info := binary.BigEndian.AppendUint32([]byte(labelDrop), day)
	derive(out[:], d.Secret[:], nil, string(append(info, role)))
	defer clear(out[:])
	return DropKeys{Seed: [32]byte(out[:]), Cap: CapabilityFrom([32]byte(out[32:])), Key: QueueKeyFrom([32]byte(out[64:]))}
}

// DropPlace is the weight of a relay as the place of a queue of last resort; the
// highest ones, compared as numbers, have it.
func DropPlace(rid [24]byte, relay [32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelDropPlace))
	h.Write(rid[:])
	h.Write(relay[:])
	return [32]byte(h.Sum(nil))
}
