package session

import "math/bits"

// Specification constants of the windows (SPEC.md §8).
const (
	inWindow      = 1024 // seqs above the cumulative one that are taken
	maxUnacked    = 512  // frames in flight
	maxUnackedMsg = 448  // of which all but 64 for text; the rest is for control
	sackBits      = 128
)

// outBits is how far seqs in flight may lie above the cumulative ack: those
// unacked, and those that a sack can name.
const outBits = maxUnacked + sackBits

// inbound remembers which seqs arrived: all up to cum, and those whose bit is
// set above it. It is what makes delivery exactly once.
type inbound struct {
	cum  uint64
	bits [inWindow / 64]uint64 // bit i: seq cum+1+i; bit 0 is never set
}

// verdict is the window's word on a seq.
type verdict int

const (
	seqFresh verdict = iota
	seqOld           // arrived before, or given up by the peer
	seqAbove         // above the window
)

func (w *inbound) look(seq uint64) verdict {
	switch {
	case seq <= w.cum:
		return seqOld
	case seq-w.cum > inWindow:
		return seqAbove
	case getBit(w.bits[:], seq-w.cum-1):
		return seqOld
	}
	return seqFresh
}

// take marks a fresh seq as arrived.
func (w *inbound) take(seq uint64) {
	setBit(w.bits[:], seq-w.cum-1)
	w.slide()
}

// slide moves the cumulative seq over all that arrived.
func (w *inbound) slide() {
	for n := uint64(trailingOnes(w.bits[:])); n > 0; n = uint64(trailingOnes(w.bits[:])) {
		shiftDown(w.bits[:], n)
		w.cum += n
	}
}

// gap reports whether a seq above a missing one is there.
func (w *inbound) gap() bool { return anyBit(w.bits[:]) }

// sack returns the bits for seqs cum+2 to cum+129, the first in the top bit of
// the first byte.
func (w *inbound) sack() (s [sackBits / 8]byte) {
	for i := range uint64(sackBits) {
		if getBit(w.bits[:], i+1) {
			s[i/8] |= 0x80 >> (i % 8)
		}
	}
	return s
}

// raise gives up all missing seqs below lowest and returns how many there were.
// It reports false if lowest is more than the window away, unless far. Seqs that
// a higher device generation leaves out do not count as lost.
func (w *inbound) raise(lowest uint64, far bool) (lost uint64, ok bool) {
	if lowest == 0 || lowest <= w.cum+1 {
		return 0, true
	}
	n := lowest - 1 - w.cum
	if n > inWindow && !far {
		return 0, false
	}
	known := min(n, inWindow)
	if lowest>>32 > w.cum>>32 {
		known = min(known, w.top())
	} else {
		lost = n - known
	}
	for i := range known {
		if !getBit(w.bits[:], i) {
			lost++
		}
	}
	shiftDown(w.bits[:], n)
	w.cum += n
	w.slide()
	return lost, true
}

// top returns the number of bits up to the highest that is set.
func (w *inbound) top() uint64 {
	for i := uint64(inWindow); i > 0; i-- {
		if getBit(w.bits[:], i-1) {
			return i
		}
	}
	return 0
}

// outbound remembers which of our seqs the peer has.
type outbound struct {
	next   uint64 // seq of the next frame, from 1
	acked  uint64 // all up to here are settled
	synced uint64 // lowest of the last SYNC sent: an ack below it proves nothing
	got    [outBits / 64]uint64
	failed [outBits / 64]uint64 // bit i: seq acked+1+i was given up
}

// inFlight counts seqs not acked, those given up included: they hold the window
// until the peer knows.
func (w *outbound) inFlight() int {
	return int(w.next-1-w.acked) - countBits(w.got[:])
}

// room returns how many more seqs may be given out.
func (w *outbound) room(control bool) int {
	limit := maxUnackedMsg
	if control {
		limit = maxUnacked
	}
	return max(0, min(limit-w.inFlight(), outBits-int(w.next-1-w.acked)))
}

// ack takes the peer's acknowledgement and returns the seqs that it newly
// proves delivered, rising. Acks of seqs never sent are ignored.
func (w *outbound) ack(cum uint64, sack [sackBits / 8]byte) (proven []uint64) {
	if cum >= w.next {
		return nil
	}
	for seq := w.acked + 1; seq <= cum; seq++ {
		i := seq - w.acked - 1
		if getBit(w.got[:], i) || getBit(w.failed[:], i) && seq < w.synced {
			continue
		}
		proven = append(proven, seq)
	}
	if cum > w.acked {
		n := cum - w.acked
		shiftDown(w.got[:], n)
		shiftDown(w.failed[:], n)
		w.acked = cum
	}
	for i := range uint64(sackBits) {
		if sack[i/8]&(0x80>>(i%8)) == 0 {
			continue
		}
		seq := cum + 2 + i
		if seq <= w.acked || seq >= w.next {
			continue
		}
		if at := seq - w.acked - 1; !getBit(w.got[:], at) {
			setBit(w.got[:], at)
			clearBit(w.failed[:], at)
			proven = append(proven, seq)
		}
	}
	return proven
}

// ahead reports whether an acknowledgement names seqs that were never sent.
func (w *outbound) ahead(cum uint64, sack [sackBits / 8]byte) bool {
	for i := range uint64(sackBits) {
		if sack[i/8]&(0x80>>(i%8)) != 0 && cum+2+i >= w.next {
			return true
		}
	}
	return cum >= w.next
}

// settled reports whether the peer is known to have a seq.
func (w *outbound) settled(seq uint64) bool {
	return seq <= w.acked || seq < w.next && getBit(w.got[:], seq-w.acked-1)
}

// unacked returns the seqs in flight that were not given up, rising.
func (w *outbound) unacked() (seqs []uint64) {
	for seq := w.acked + 1; seq < w.next; seq++ {
		if i := seq - w.acked - 1; !getBit(w.got[:], i) && !getBit(w.failed[:], i) {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// missing returns those of unacked with at least three later seqs acked.
func (w *outbound) missing() (seqs []uint64) {
	later := countBits(w.got[:])
	for seq := w.acked + 1; seq < w.next && later >= 3; seq++ {
		switch i := seq - w.acked - 1; {
		case getBit(w.got[:], i):
			later--
		case !getBit(w.failed[:], i):
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// giveUp marks a seq in flight as one that will not be sent again.
func (w *outbound) giveUp(seq uint64) {
	if seq <= w.acked || seq >= w.next || getBit(w.got[:], seq-w.acked-1) {
		return
	}
	setBit(w.failed[:], seq-w.acked-1)
}

// lowest returns the lowest seq that will still be sent, or was and is unacked.
func (w *outbound) lowest() uint64 {
	for seq := w.acked + 1; seq < w.next; seq++ {
		if i := seq - w.acked - 1; !getBit(w.got[:], i) && !getBit(w.failed[:], i) {
			return seq
		}
	}
	return w.next
}

// syncDue reports whether a given-up seq holds the peer's ack.
func (w *outbound) syncDue() bool {
	for seq, l := w.acked+1, w.lowest(); seq < l; seq++ {
		if getBit(w.failed[:], seq-w.acked-1) {
			return true
		}
	}
	return false
}

func getBit(b []uint64, i uint64) bool { return b[i/64]>>(i%64)&1 == 1 }
func setBit(b []uint64, i uint64)      { b[i/64] |= 1 << (i % 64) }
func clearBit(b []uint64, i uint64)    { b[i/64] &^= 1 << (i % 64) }

func anyBit(b []uint64) bool {
	var v uint64
	for _, w := range b {
		v |= w
	}
	return v != 0
}

func countBits(b []uint64) (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func trailingOnes(b []uint64) (n int) {
	for _, w := range b {
		t := bits.TrailingZeros64(^w)
		n += t
		if t < 64 {
			break
		}
	}
	return n
}

// shiftDown drops the lowest n bits.
func shiftDown(b []uint64, n uint64) {
	words, rest := n/64, n%64
	for i := range uint64(len(b)) {
		var v uint64
		if j := i + words; j < uint64(len(b)) {
			v = b[j] >> rest
			if rest > 0 && j+1 < uint64(len(b)) {
				v |= b[j+1] << (64 - rest)
			}
		}
		b[i] = v
	}
}
