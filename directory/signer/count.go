package signer

import (
	"bytes"
	"cmp"
	"slices"

	"hearsay/directory"
)

// jury is who signs a snapshot: the signers of the version of the network file in
// force.
type jury struct {
	signers [][32]byte
	k       int // signatures needed
}

func juryOf(f *directory.NetworkFile) jury {
	j := jury{k: directory.SignThreshold(len(f.Signers))}
	for _, s := range f.Signers {
		j.signers = append(j.signers, s.Public)
	}
	return j
}

func (j jury) has(signer [32]byte) bool { return slices.Contains(j.signers, signer) }

// named returns the votes that at least k echoes name, rising (SPEC.md §7.3).
func (j jury) named(echoes []*directory.SignerMessage) [][32]byte {
	count := make(map[[32]byte]int)
	for _, e := range echoes {
		for _, v := range e.Echo.Votes {
			count[v]++
		}
	}
	var list [][32]byte
	for v, n := range count {
		if n >= j.k {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return list
}

// single drops all votes of signers that have several, and those of strangers.
func (j jury) single(votes []*directory.Vote) []*directory.Vote {
	count := make(map[[32]byte]int)
	for _, v := range votes {
		count[v.Signer]++
	}
	var list []*directory.Vote
	for _, v := range votes {
		if count[v.Signer] == 1 && j.has(v.Signer) {
			list = append(list, v)
		}
	}
	return list
}

// verdict is what counted votes say of headers that were signed before and not
// completed (SPEC.md §7.4).
type verdict struct {
	redo      *directory.Pending // this header may be complete somewhere: it is completed
	abandoned [][32]byte         // else these are given up, rising
}

// decide finds out whether a header may have been completed without the voters'
// knowledge: if any was, it is the last one that votes prove to be signed. then
// returns who was to sign at the time of an epoch's votes.
//
// A complete header is named by the votes of all its honest signers. So if those who
// name the last one, those whose votes are missing, and as many liars as the
// network bears are fewer than k together, no header is complete, and none will be:
// who voted signs nothing of earlier votes any more.
func decide(counted []*directory.Vote, then func(epoch uint64) jury) verdict {
	voted := make(map[[32]byte]bool)
	naming := make(map[[32]byte]map[[32]byte]bool) // header → signers that name it
	latest := make(map[[32]byte]directory.Pending)
	for _, v := range counted {
		voted[v.Signer] = true
		for _, p := range v.Pending {
			if naming[p.Header] == nil {
				naming[p.Header] = make(map[[32]byte]bool)
			}
			naming[p.Header][v.Signer] = true
			if old, ok := latest[p.Header]; !ok || comparePending(old, p) < 0 {
				latest[p.Header] = p
			}
		}
	}
	if len(latest) == 0 {
		return verdict{}
	}
	all := make([]directory.Pending, 0, len(latest))
	for _, p := range latest {
		all = append(all, p)
	}
	slices.SortFunc(all, comparePending)
	last := all[len(all)-1]
	j := then(last.Epoch)
	possible, here := 2*j.k-len(j.signers)-1, 0 // liars who do not name it
	for _, s := range j.signers {
		if voted[s] {
			here++
		}
		if !voted[s] || naming[last.Header][s] {
			possible++
		}
	}
	if possible >= j.k && here >= j.k {
		return verdict{redo: &last}
	}
	// Whom most votes name goes first, so that one signer cannot crowd out others.
	slices.SortStableFunc(all, func(a, b directory.Pending) int {
		return cmp.Or(cmp.Compare(len(naming[b.Header]), len(naming[a.Header])), comparePending(b, a))
	})
	var v verdict
	for _, p := range all[:min(len(all), directory.MaxPending)] {
		v.abandoned = append(v.abandoned, p.Header)
	}
	slices.SortFunc(v.abandoned, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return v
}

// comparePending orders by when a header was signed last.
func comparePending(a, b directory.Pending) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Attempt, b.Attempt), bytes.Compare(a.Header[:], b.Header[:]))
}
