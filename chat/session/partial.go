package session

import "fmt"

// maxPartial bounds the incomplete messages of one contact.
const maxPartial = 16

// partial is a message of which some fragments are missing. The fragments
// themselves are with the caller.
type partial struct {
	first uint64 // seq of fragment 0
	kind  FrameType
	count uint16
	id    [16]byte
	have  [2]uint64 // bit i: fragment i
}

// partials are in order of arrival; the slice is never changed in place.
type partials []partial

// add takes a fresh frame and reports whether its message is complete. ErrLater:
// too many are incomplete. ErrFormat: it contradicts a frame taken before, be it
// that fragments of one message differ or that two messages share a seq.
func (ps *partials) add(f Frame, in *inbound) (complete bool, err error) {
	next := append(partials(nil), *ps...)
	at := -1
	for i, p := range next {
		if p.first == f.First() && p.kind == f.Type && p.count == f.Count && p.id == f.ID {
			at = i
		} else if f.First() < p.first+uint64(p.count) && p.first < f.First()+uint64(f.Count) {
			return false, fmt.Errorf("messages overlap: %w", ErrFormat)
		}
	}
	if at < 0 {
		for seq := f.First(); seq < f.First()+uint64(f.Count); seq++ {
			if in.look(seq) == seqOld {
				return false, fmt.Errorf("messages overlap: %w", ErrFormat)
			}
		}
		if f.Count == 1 {
			return true, nil
		}
		if len(next) >= maxPartial {
			return false, fmt.Errorf("incomplete messages: %w", ErrLater)
		}
		next = append(next, partial{first: f.First(), kind: f.Type, count: f.Count, id: f.ID})
		at = len(next) - 1
	}
	p := &next[at]
	setBit(p.have[:], uint64(f.Index))
	if countBits(p.have[:]) == int(p.count) {
		*ps = append(next[:at:at], next[at+1:]...)
		return true, nil
	}
	*ps = next
	return false, nil
}

// covers reports whether a seq belongs to an incomplete message.
func (ps partials) covers(seq uint64) bool {
	for _, p := range ps {
		if p.first <= seq && seq < p.first+uint64(p.count) {
			return true
		}
	}
	return false
}

// has reports whether a message that begins with seq first is incomplete.
func (ps partials) has(first uint64) bool {
	for _, p := range ps {
		if p.first == first {
			return true
		}
	}
	return false
}

// dropBelow drops messages with a missing fragment up to cum, which the peer
// gave up, and returns their first seqs.
func (ps *partials) dropBelow(cum uint64) (dropped []uint64) {
	var kept partials
	for _, p := range *ps {
		lost := false
		for i := range uint64(p.count) {
			if p.first+i <= cum && !getBit(p.have[:], i) {
				lost = true
			}
		}
		if lost {
			dropped = append(dropped, p.first)
		} else {
			kept = append(kept, p)
		}
	}
	*ps = kept
	return dropped
}
