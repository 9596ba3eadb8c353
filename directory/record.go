package directory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Specification constants of records (SPEC.md §8).
const (
	LeaveLife = 7 * 24 * time.Hour
	maxLeave  = 256
	// SeqMemory is how long after a record's expiry its number is remembered,
	// so that an old one cannot be replayed.
	SeqMemory = 72 * time.Hour
)

// Record is what relays exchange by gossip: a verified descriptor, or the
// notice by which a relay leaves. It is immutable.
type Record struct {
	ID         RelayID
	Seq        uint64
	Hash       [32]byte    // SHA-256 of Raw
	Descriptor *Descriptor // nil: the relay has left
	Raw        []byte
	expires    time.Time
}

type leaveBody struct {
	V   uint64   `cbor:"1,keyasint"`
	ID  [32]byte `cbor:"2,keyasint"`
	Seq uint64   `cbor:"3,keyasint"`
}

// SignLeave makes the notice that a relay leaves. The number must be higher
// than that of its last descriptor, like which it is Unix seconds.
func SignLeave(network NetworkID, key ed25519.PrivateKey, seq uint64) ([]byte, error) {
	if seq > maxUnix {
		return nil, fmt.Errorf("%w: number out of range", ErrBadDescriptor)
	}
	body, err := encode(&leaveBody{V: 1, ID: publicOf(key), Seq: seq})
	if err != nil {
		return nil, err
	}
	return sealDocument(labelLeave, network, body, key)
}

// ParseRecord decodes a descriptor or a leave notice and verifies it as
// ParseDescriptor does. The record keeps its own copy of raw.
func ParseRecord(rules Rules, raw []byte, now time.Time) (*Record, error) {
	if len(raw) > MaxDescriptor {
		return nil, fmt.Errorf("parse record: %w", ErrTooLarge)
	}
	r := &Record{Raw: bytes.Clone(raw), Hash: sha256.Sum256(raw)}
	if doc, err := openDocument(labelLeave, raw, maxLeave); err == nil {
		if err := r.parseLeave(rules, &doc, now); err != nil {
			return nil, err
		}
		return r, nil
	} else if !errors.Is(err, ErrWrongType) && !errors.Is(err, ErrTooLarge) {
		return nil, fmt.Errorf("parse record: %w", err)
	}
	d, err := ParseDescriptor(rules, raw, now)
	if err != nil {
		return nil, err
	}
	r.ID, r.Seq, r.Descriptor, r.expires = d.ID, d.Seq, d, d.Expires()
	return r, nil
}

func (r *Record) parseLeave(rules Rules, doc *document, now time.Time) error {
	var b leaveBody
	if err := decode(doc.Body, maxLeave, &b); err != nil {
		return fmt.Errorf("parse leave: %w", err)
	}
	if b.V != 1 || b.Seq > maxUnix {
		return fmt.Errorf("parse leave: %w: value out of range", ErrBadDescriptor)
	}
	if err := checkKey(b.ID); err != nil {
		return fmt.Errorf("parse leave: %w", err)
	}
	made := time.Unix(int64(b.Seq), 0)
	r.ID, r.Seq, r.expires = b.ID, b.Seq, made.Add(Scale(rules.Lab, LeaveLife))
	switch {
	case made.After(now.Add(clockTolerance)):
		return fmt.Errorf("parse leave: %w", ErrFuture)
	case !now.Before(r.expires):
		return fmt.Errorf("parse leave: %w", ErrExpired)
	case len(doc.Signatures) != 1 || !doc.signedBy(labelLeave, rules.Network, b.ID):
		return fmt.Errorf("parse leave: %w", ErrSignature)
	}
	return nil
}

// Expires returns when a store forgets the record.
func (r *Record) Expires() time.Time { return r.expires }

// Supersedes tells whether r takes the place of old, a record of the same
// relay: the higher (Seq, Hash) does. It is a total order, so stores that saw
// the same records in any order hold the same one.
func (r *Record) Supersedes(old *Record) bool {
	if r.Seq != old.Seq {
		return r.Seq > old.Seq
	}
	return bytes.Compare(r.Hash[:], old.Hash[:]) > 0
}

// Conflicts tells whether the two prove that a relay signed two different
// records with one number: both must be kept as evidence.
func (r *Record) Conflicts(other *Record) bool {
	return r.ID == other.ID && r.Seq == other.Seq && r.Hash != other.Hash
}

// Value returns the 16 bytes by which set reconciliation compares records.
func (r *Record) Value() [16]byte { return [16]byte(r.Hash[:16]) }

// GossipKey returns the 16 bytes under which a relay's record is kept and by
// which stores sort.
func GossipKey(network NetworkID, id RelayID) [16]byte {
	h := labelled(labelGossipKey, network[:], id[:])
	return [16]byte(h[:16])
}
