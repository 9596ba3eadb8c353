package session

import (
	"fmt"
	"time"
)

// maxDevice is the highest device generation: seqs of it stay below 2^63.
const maxDevice = 1<<31 - 1

// NextDevice returns the device generation after last for a restore at now,
// which is snapshot time (SPEC.md §7.9).
func NextDevice(last uint32, now time.Time) uint32 {
	return uint32(min(max(uint64(last)+1, unixSeconds(now)), maxDevice))
}

// Backup returns what a backup keeps of a state: identities, secrets of last
// resort, sequence windows. No key of the ratchet is in it: sealing and opening
// with it needs a reset first. It is what Append of such a state gives, for
// RestoreState.
func (s *State) Backup() []byte {
	kept := s.Clone()
	kept.sleep()
	return kept.Append(nil)
}

// sleep forgets the session but not the contact.
func (s *State) sleep() {
	s.ratchet = ratchet{owes: true, receiving: true}
	s.pq = exchange{}
	s.partial = nil
	s.ackOwed, s.alive = false, false
	s.renewal.dormant, s.renewal.waiting, s.renewal.syncOwed, s.renewal.resync = true, false, false, false
	s.renewal.old = nil
}

// RestoreState makes a state of what Backup returned, on a device of the given
// generation. It is dormant. ErrFormat if anything is wrong or the generation
// is not above every one that the state knows of itself.
func RestoreState(b []byte, device uint32) (*State, error) {
	s, err := ParseState(b)
	if err != nil {
		return nil, err
	}
	if err := s.SetBack(device); err != nil {
		return nil, err
	}
	return s, nil
}

// SetBack makes s the state of a device of the given generation, because it was
// restored or found itself behind what the peer has received of it
// (Received.SetBack). It is dormant then. All own frames get new, higher seqs:
// those that were unacknowledged are no longer in flight, the caller seals
// their messages anew with the same ids. ErrFormat if the generation is not
// above the last one or too high.
func (s *State) SetBack(device uint32) error {
	if device <= s.renewal.device || device > maxDevice || uint64(device)<<32 < s.out.next {
		return fmt.Errorf("device generation: %w", ErrFormat)
	}
	if s.resetIK() != nil {
		s.rotation.seq = maxSeq
	}
	s.sleep()
	s.renewal.device = device
	before := uint64(device) << 32
	s.out = outbound{next: before + 1, acked: before, synced: before + 1}
	s.last = [16]byte{}
	s.step = step{proven: true}
	return nil
}
