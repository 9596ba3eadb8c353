package session

import (
	"crypto/ecdh"
	"crypto/subtle"
	"fmt"
	"io"
	"time"
)

// IDRotSize is the length of the content of a FrameIDRot in bytes.
const IDRotSize = 2 * keySize

// rotation is what a state knows of identity keys that were replaced.
type rotation struct {
	before     *ecdh.PrivateKey // ours before the current one; nil: none
	seq        uint64           // of the frame that told the peer; 0: none; maxSeq: whether it arrived is not known
	peerBefore [keySize]byte    // the peer's before the current one; zero: none
}

// RotateIdentity replaces our identity key for this contact and seals the
// message that tells it. Errors as Seal.
func (s *State) RotateIdentity(rand io.Reader, now time.Time) ([]Sealed, error) {
	ik, err := newDH(rand)
	if err != nil {
		return nil, err
	}
	proof, err := s.rotationProof(ik, s.peerIK[:], ik.PublicKey().Bytes())
	if err != nil {
		return nil, fmt.Errorf("rotate identity: %w", err)
	}
	next := s.Clone()
	sealed, err := next.Seal(rand, now, Message{Type: FrameIDRot, Content: append(ik.PublicKey().Bytes(), proof...)})
	if err != nil {
		return nil, err
	}
	next.rotation.before, next.rotation.seq, next.ik = next.ik, sealed[0].Seq, ik
	*s = *next
	return sealed, nil
}

// TakeRotation takes the content of a FrameIDRot: the peer has another identity
// key from now on. ErrFormat or ErrAuth: nothing changed. ErrDuplicate: it is
// the key that the peer has.
func (s *State) TakeRotation(content []byte) error {
	if len(content) != IDRotSize {
		return fmt.Errorf("identity: %w", ErrFormat)
	}
	key, proof := [keySize]byte(content), content[keySize:]
	if subtle.ConstantTimeCompare(key[:], s.peerIK[:]) == 1 {
		return fmt.Errorf("identity: %w", ErrDuplicate)
	}
	for _, own := range s.ownIKs() {
		want, err := s.rotationProof(own, key[:], key[:])
		if err != nil {
			return fmt.Errorf("identity: %w", err)
		}
		if subtle.ConstantTimeCompare(want, proof) == 1 {
			s.rotation.peerBefore, s.peerIK = s.peerIK, key
			return nil
		}
	}
	return fmt.Errorf("identity: %w", ErrAuth)
}

// rotationProof shows that who sends key holds its private half.
func (s *State) rotationProof(private *ecdh.PrivateKey, public, key []byte) ([]byte, error) {
	shared, err := agree(private, public)
	if err != nil {
		return nil, err
	}
	var k [keySize]byte
	derive(k[:], shared, nil, labelIDRot)
	m := mac(k[:], []byte(labelIDRot), s.renewal.first[:], key)
	return m[:], nil
}

// ownIKs returns the identity keys of ours that the peer may still use.
func (s *State) ownIKs() []*ecdh.PrivateKey {
	if s.rotation.before == nil {
		return []*ecdh.PrivateKey{s.ik}
	}
	return []*ecdh.PrivateKey{s.ik, s.rotation.before}
}

// peerIKs returns the identity keys that the peer may still use.
func (s *State) peerIKs() [][keySize]byte {
	if s.rotation.peerBefore == [keySize]byte{} {
		return [][keySize]byte{s.peerIK}
	}
	return [][keySize]byte{s.peerIK, s.rotation.peerBefore}
}

// resetIK is the identity key for a reset if it is not the current one: the
// one before, while the peer may not know of the current.
func (s *State) resetIK() *ecdh.PrivateKey {
	if s.rotation.seq != 0 && !s.out.settled(s.rotation.seq) {
		return s.rotation.before
	}
	return nil
}

// Identities is a snapshot of both identity keys, our own first. They are public,
// but name the contact.
type Identities [2 * keySize]byte

// Identities returns the identity keys of now. What people compare holds for
// these; whoever marks a contact as verified stores them.
func (s *State) Identities() (i Identities) {
	copy(i[:], s.ik.PublicKey().Bytes())
	copy(i[keySize:], s.peerIK[:])
	return i
}

// SafetyNumber returns the 12 groups of 5 digits of these keys, separated by
// spaces (SPEC.md §10.1).
func (i Identities) SafetyNumber() string {
	return safetyNumber([keySize]byte(i[:keySize]), [keySize]byte(i[keySize:]))
}
