package session

import (
	"crypto/subtle"
	"sort"
)

// maxRuns bounds the memory for previous-frame hashes: beyond so many gaps the
// frames between them are taken unchecked.
const maxRuns = 32

// run is a range of seqs received without a gap: its first frame says which
// frame must come before it, its last one's hash is what the next must name.
type run struct {
	first, last uint64
	prev, hash  [16]byte
}

// history checks that the peer's frames form one chain (SPEC.md §6.2). Runs
// rise; the slice is never changed in place. The run that ends below seq 1 has
// hash zero, which is what seq 1 must name.
type history struct {
	runs []run
}

func newHistory() history { return history{runs: []run{{}}} }

// add takes a fresh frame and reports whether it contradicts a neighbour.
// cum is the cumulative seq after it: older runs are dropped.
func (h *history) add(seq uint64, prev, sum [16]byte, restored bool, cum uint64) (diverged bool) {
	runs := make([]run, 0, len(h.runs)+1)
	n := run{first: seq, last: seq, prev: prev, hash: sum}
	for _, r := range h.runs {
		switch {
		case r.last+1 == seq:
			start := restored && prev == [16]byte{}
			if !start && subtle.ConstantTimeCompare(r.hash[:], prev[:]) != 1 {
				diverged = true
			}
			n.first, n.prev = r.first, r.prev
		case seq+1 == r.first:
			if r.prev != ([16]byte{}) && subtle.ConstantTimeCompare(r.prev[:], sum[:]) != 1 {
				diverged = true
			}
			n.last, n.hash = r.last, r.hash
		default:
			runs = append(runs, r)
		}
	}
	runs = append(runs, n)
	sort.Slice(runs, func(i, j int) bool { return runs[i].first < runs[j].first })
	h.runs = runs
	h.forget(cum)
	if len(h.runs) > maxRuns {
		h.runs = h.runs[:maxRuns:maxRuns]
	}
	return diverged
}

// forget drops runs that no fresh frame can follow.
func (h *history) forget(cum uint64) {
	for len(h.runs) > 0 && h.runs[0].last < cum {
		h.runs = h.runs[1:]
	}
}
