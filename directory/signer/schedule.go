package signer

import (
	"time"

	"hearsay/directory"
)

// Specification constants of the schedule (SPEC.md §2.2).
const (
	retryEpoch = 30 * time.Minute // from this length on an epoch without a snapshot is retried
	retryStep  = 5 * time.Minute
	quickSlots = 3 // slots of shorter epochs that are all used
	laterSlots = 5 // then every so many

	skewFraction = 30 // a clock may be off by this fraction of an epoch,
	skewFloor    = 2 * time.Second

	labVote  = 4 * time.Second // before the snapshot, in labs
	labEnd   = 2500 * time.Millisecond
	labEcho  = 2 * time.Second
	labJudge = time.Second
	labRound = time.Second
)

// slot is one attempt at a snapshot: its number, and what is done when. Signers
// that hold the same snapshot compute the same slots.
type slot struct {
	epoch  uint64    // the number
	at     time.Time // when the snapshot begins to count
	cutoff time.Time // records that came later wait for the next one
	vote   time.Time
	end    time.Time // votes that come later are refused
	echo   time.Time
	judge  time.Time
	until  time.Time     // the next slot's vote
	round  time.Duration // between attempts at agreement
}

// planSlot returns the times of a slot whose schedule is made for the given length.
func planSlot(lab bool, at time.Time, length time.Duration) slot {
	s := slot{epoch: directory.EpochNumber(lab, at), at: at, round: length / 30}
	s.cutoff, s.vote = at.Add(-length/4), at.Add(-length/5)
	s.end, s.echo, s.judge = at.Add(-2*length/15), at.Add(-length/10), at.Add(-length/15)
	if lab {
		s.cutoff, s.vote = at.Add(-labVote), at.Add(-labVote)
		s.end, s.echo, s.judge, s.round = at.Add(-labEnd), at.Add(-labEcho), at.Add(-labJudge), labRound
	}
	return s
}

// nextSlot returns the slot that is to be worked on at now, after the snapshot
// prev; nil: before the first one.
func nextSlot(lab bool, prev *directory.Header, now time.Time) slot {
	unit := directory.EpochUnit(lab)
	if prev == nil {
		at := directory.EpochTime(lab, directory.EpochNumber(lab, now))
		for {
			s := planSlot(lab, at, unit)
			s.until = planSlot(lab, at.Add(unit), unit).vote
			if now.Before(s.until) {
				return s
			}
			at = at.Add(unit)
		}
	}
	first := directory.EpochTime(lab, directory.EpochNumber(lab, prev.ValidAfter.Add(prev.NextEpoch)))
	length := prev.NextEpoch
	step := stepOf(length)
	i := max(0, int64(now.Sub(first)/step)-2*laterSlots)
	for {
		i = slotIndex(i, length)
		s := planSlot(lab, first.Add(time.Duration(i)*step), lengthOf(i, length, step))
		after := slotIndex(i+1, length)
		s.until = planSlot(lab, first.Add(time.Duration(after)*step), lengthOf(after, length, step)).vote
		if now.Before(s.until) {
			return s
		}
		i++
	}
}

// slotIndex returns the first slot in use from index i on.
func slotIndex(i int64, length time.Duration) int64 {
	if length < retryEpoch && i >= quickSlots {
		return i + (laterSlots-(i-quickSlots+1)%laterSlots)%laterSlots
	}
	return i
}

// lengthOf returns the span by which the times of a slot are laid out: a retry has
// five minutes and not an hour.
func lengthOf(i int64, length, step time.Duration) time.Duration {
	if i > 0 {
		return step
	}
	return length
}

// skewLimit is by how much a signer's clock may be off.
func skewLimit(length time.Duration) time.Duration { return max(length/skewFraction, skewFloor) }

// slotAt returns the slot of a header that follows on prev.
func slotAt(lab bool, prev *directory.Header, at time.Time) slot {
	if prev == nil {
		return planSlot(lab, at, directory.EpochUnit(lab))
	}
	first := directory.EpochTime(lab, directory.EpochNumber(lab, prev.ValidAfter.Add(prev.NextEpoch)))
	if at.After(first) {
		return planSlot(lab, at, stepOf(prev.NextEpoch))
	}
	return planSlot(lab, at, prev.NextEpoch)
}

// stepOf is the time from one slot to the next.
func stepOf(length time.Duration) time.Duration {
	if length >= retryEpoch {
		return retryStep
	}
	return length
}
