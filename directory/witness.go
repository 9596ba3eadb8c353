package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Specification constants of witnesses (SPEC.md §26).
const (
	// WitnessSize is the size of a witness's signature with its name and time.
	WitnessSize  = 32 + 8 + ed25519.SignatureSize
	maxWitnesses = 32 // in a head
)

// ErrBadWitness is returned for a witness's signature that does not verify or
// parse.
var ErrBadWitness = errors.New("directory: witness's signature is not valid")

// Witness is a relay's word that it saw a header follow on all those that it
// saw before: no other history was shown to it.
type Witness struct {
	Relay     RelayID
	Time      time.Time // whole seconds, by the relay's clock
	Signature [ed25519.SignatureSize]byte
}

// Witness signs the head that the state names. The relay has verified it with
// Chain.Verify, which compared it with all that it had seen, and has stored the
// state: so it never signs for two histories. It fails for any other head.
func (s State) Witness(h *Head, key ed25519.PrivateKey, now time.Time) (Witness, error) {
	if s.Epoch == 0 || s.Header != h.Hash() {
		return Witness{}, fmt.Errorf("%w: the head is not the last one seen", ErrBadWitness)
	}
	w := Witness{Relay: RelayID(publicOf(key)), Time: time.Unix(now.Unix(), 0)}
	copy(w.Signature[:], ed25519.Sign(key, w.text(h)))
	if !w.timely(h) {
		return Witness{}, fmt.Errorf("%w: the snapshot is not of this time", ErrBadWitness)
	}
	return w, nil
}

// ParseWitness reads exactly one witness's signature. It verifies nothing;
// Head.AddWitness does.
func ParseWitness(b []byte) (Witness, error) {
	if len(b) != WitnessSize {
		return Witness{}, fmt.Errorf("%w: %d bytes, not %d", ErrBadWitness, len(b), WitnessSize)
	}
	t := binary.BigEndian.Uint64(b[32:])
	if t > maxUnix {
		return Witness{}, fmt.Errorf("%w: time out of range", ErrBadWitness)
	}
	return Witness{Relay: RelayID(b), Time: time.Unix(int64(t), 0), Signature: [ed25519.SignatureSize]byte(b[40:])}, nil
}

// Append appends the encoding: 104 bytes.
func (w Witness) Append(b []byte) []byte {
	b = append(b, w.Relay[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(w.Time.Unix()))
	return append(b, w.Signature[:]...)
}

// text is what a witness signs (SPEC.md §26.1).
func (w Witness) text(h *Head) []byte {
	hash := h.Hash()
	b := binary.BigEndian.AppendUint64(nil, h.Header.LogSize)
	b = append(b, h.Header.LogRoot[:]...)
	b = append(b, hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(w.Time.Unix()))
	return signedText(labelWitness, h.Header.Network, b)
}

// timely tells whether the witness signed while the snapshot was valid.
func (w Witness) timely(h *Head) bool {
	return !w.Time.Before(h.Header.ValidAfter.Add(-clockTolerance)) && !w.Time.After(h.Header.ValidUntil)
}

func (w Witness) verify(h *Head) error {
	switch {
	case checkKey(w.Relay) != nil || !ed25519.Verify(w.Relay[:], w.text(h), w.Signature[:]):
		return fmt.Errorf("%w: %w", ErrBadWitness, ErrSignature)
	case !w.timely(h):
		return fmt.Errorf("%w: the snapshot was not valid when it signed", ErrBadWitness)
	}
	return nil
}

// AddWitness verifies a witness's signature and adds it to the head, unless the
// head has one of that relay. Whether anybody asked this relay is told by
// Chain.Witnessed. The head's hash does not change.
func (h *Head) AddWitness(w Witness) error {
	if err := w.verify(h); err != nil {
		return err
	}
	i, found := slices.BinarySearchFunc(h.witnesses, w, compareWitnesses)
	switch {
	case found:
		return nil
	case len(h.witnesses) == maxWitnesses:
		return fmt.Errorf("%w: the head has %d already", ErrTooLarge, maxWitnesses)
	}
	h.witnesses = slices.Insert(slices.Clone(h.witnesses), i, w)
	return nil
}

// Witnesses returns the witnesses' signatures in the head, rising by relay. They
// need not be verified. The caller must not change them.
func (h *Head) Witnesses() []Witness { return h.witnesses }

// KeepWitnesses drops the signatures that do not verify and those of relays for
// which ok is false. Who passes a head on calls it, since whoever gave it the
// head can have put anything there.
func (h *Head) KeepWitnesses(ok func(RelayID) bool) {
	h.witnesses = slices.DeleteFunc(slices.Clone(h.witnesses), func(w Witness) bool { return !ok(w.Relay) || w.verify(h) != nil })
}

// WithoutWitnesses returns the head as its signers made it.
func (h *Head) WithoutWitnesses() *Head {
	c := *h
	c.witnesses = nil
	return &c
}

// Witnessed returns how many of the network's witnesses signed the head and how
// many must for a reader to take new guards by it. The witnesses are those that
// the view names which the reader held before, since who forges a snapshot
// chooses its flags too; a reader without one gives the head's own view.
func (c *Chain) Witnessed(h *Head, by *View) (have, need int) {
	m := 0
	for i := range by.relays {
		r := &by.relays[i]
		if r.Flags&FlagWitness == 0 {
			continue
		}
		m++
		k, found := slices.BinarySearchFunc(h.witnesses, Witness{Relay: r.ID}, compareWitnesses)
		if found && h.witnesses[k].verify(h) == nil {
			have++
		}
	}
	return have, WitnessThreshold(c.Current(), len(by.relays), m)
}

// WitnessThreshold returns how many of m witnesses must sign in a network of n
// relays: none in small and lab networks; else parameter 13, but no more than
// half of the witnesses if there are fewer than parameter 14.
func WitnessThreshold(f *NetworkFile, n, m int) int {
	if f.Lab || n < smallNetwork {
		return 0
	}
	w := int(f.Param(ParamWitnesses, n))
	if m < int(f.Param(ParamWitnessSet, n)) {
		w = min(w, (m+1)/2)
	}
	return min(w, m)
}

func compareWitnesses(a, b Witness) int { return bytes.Compare(a.Relay[:], b.Relay[:]) }

// appendWitnesses encodes the list of a head.
func appendWitnesses(list []Witness) []byte {
	var b []byte
	for _, w := range list {
		b = w.Append(b)
	}
	return b
}

// parseWitnesses reads the list of a head: at most 32, rising.
func parseWitnesses(b []byte) ([]Witness, error) {
	if len(b)%WitnessSize != 0 || len(b) > maxWitnesses*WitnessSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadWitness, len(b))
	}
	var list []Witness
	for ; len(b) > 0; b = b[WitnessSize:] {
		w, err := ParseWitness(b[:WitnessSize])
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 && compareWitnesses(list[n-1], w) >= 0 {
			return nil, fmt.Errorf("%w: order", ErrBadWitness)
		}
		list = append(list, w)
	}
	return list, nil
}
