package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Specification constants of reconciliation (SPEC.md §5.3).
const (
	splitParts = 16 // parts of a range that differs and is too long to list
	listRange  = 32 // a differing range of at most this many items is listed
	maxRounds  = 8  // RANGES messages that one side takes in one reconciliation
)

// An item stands for one record in the set that two nodes reconcile.
type item struct {
	key    key
	digest digest
}

// A fingerprint stands for the items of a range (SPEC.md §5.1).
type fingerprint [16]byte

// fingerprintOf hashes sorted items. It is a hash over all of them, not a sum
// or XOR, so that nobody who chooses many records finds two sets that agree.
func fingerprintOf(items []item) fingerprint {
	h := sha256.New()
	h.Write([]byte(labelSet))
	h.Write([]byte{0})
	for i := range items {
		h.Write(items[i].key[:])
		h.Write(items[i].digest[:])
	}
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(items)))
	h.Write(n[:])
	return fingerprint(h.Sum(nil)[:16])
}

// openRanges is the opener's first message: one list for a small set, else
// fingerprints. It is sent only if the fingerprints in the two HELLOs differ.
func openRanges(set []item) []span {
	if len(set) <= maxListed {
		return []span{{mode: modeShort, list: set}}
	}
	return split(nil, set, bound{})
}

// outcome is what follows from one RANGES message.
type outcome struct {
	reply []span
	want  []key // ask the peer for these; a zero second half is a wildcard
	give  []key // send the peer these
	// done: the reply has nothing but skips, so it needs no answer.
	done bool
}

// answerRanges compares a peer's ranges with the sorted set.
func answerRanges(set []item, in []span) outcome {
	var o outcome
	at := 0
	for _, s := range in {
		n, _ := slices.BinarySearchFunc(set[at:], s.end, func(it item, u bound) int {
			if u.above(it.key) {
				return -1
			}
			return 1
		})
		own := set[at : at+n]
		at += n
		switch s.mode {
		case modeSkip:
			o.reply = skip(o.reply, s.end)
		case modeFingerprint:
			if fingerprintOf(own) == s.fp {
				o.reply = skip(o.reply, s.end)
			} else if len(own) <= listRange {
				o.reply = append(o.reply, span{end: s.end, mode: modeShort, list: own})
			} else {
				o.reply = split(o.reply, own, s.end)
			}
		case modeShort:
			// A list comes only where fingerprints differ. If it shows no
			// difference, truncated items collide: say it again in full.
			if o.compareShort(own, s.list) {
				o.reply = append(o.reply, span{end: s.end, mode: modeLong, list: own})
			} else {
				o.reply = skip(o.reply, s.end)
			}
		case modeLong:
			o.compareLong(own, s.list)
			o.reply = skip(o.reply, s.end)
		}
	}
	// A colliding range of more than maxListed items cannot be listed in full;
	// it is split instead.
	o.reply = splitLong(o.reply)
	o.done = len(o.reply) == 1 && o.reply[0].mode == modeSkip
	return o
}

// compareShort adds the differences between own and a list of short items and
// tells whether there are none.
func (o *outcome) compareShort(own, list []item) (equal bool) {
	type pair struct {
		k shortKey
		d shortDigest
	}
	theirs := make(map[pair]bool, len(list))
	for _, it := range list {
		theirs[pair{it.key.short(), it.digest.short()}] = true
	}
	equal = true
	mine := make(map[pair]bool, len(own))
	for _, it := range own {
		p := pair{it.key.short(), it.digest.short()}
		mine[p] = true
		if !theirs[p] {
			o.give = append(o.give, it.key)
			equal = false
		}
	}
	for _, it := range list {
		if !mine[pair{it.key.short(), it.digest.short()}] {
			o.want = append(o.want, it.key.short().wildcard())
			equal = false
		}
	}
	return equal
}

// compareLong adds the differences between own and a list of full items.
func (o *outcome) compareLong(own, list []item) {
	for _, it := range own {
		if _, found := findItem(list, it); !found {
			o.give = append(o.give, it.key)
		}
	}
	for _, it := range list {
		if _, found := findItem(own, it); !found {
			o.want = append(o.want, it.key)
		}
	}
}

func findItem(sorted []item, it item) (int, bool) {
	return slices.BinarySearchFunc(sorted, it, compareItems)
}

func compareItems(a, b item) int {
	if c := bytes.Compare(a.key[:], b.key[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.digest[:], b.digest[:])
}

// skip appends a skip up to end, merged with one before it.
func skip(spans []span, end bound) []span {
	if n := len(spans); n > 0 && spans[n-1].mode == modeSkip {
		spans[n-1].end = end
		return spans
	}
	return append(spans, span{end: end})
}

// split appends fingerprints of splitParts parts of own, equal in count, the
// last of which ends at end.
func split(spans []span, own []item, end bound) []span {
	parts := min(splitParts, len(own))
	for i := range parts {
		from, to := len(own)*i/parts, len(own)*(i+1)/parts
		u := end
		if i < parts-1 {
			u = between(own[to-1].key, own[to].key)
		}
		spans = append(spans, span{end: u, mode: modeFingerprint, fp: fingerprintOf(own[from:to])})
	}
	return spans
}

// splitLong replaces lists that are longer than a list may be.
func splitLong(spans []span) []span {
	var out []span
	for _, s := range spans {
		if len(s.list) > maxListed {
			out = split(out, s.list, s.end)
		} else if s.mode == modeSkip {
			out = skip(out, s.end)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// between returns the shortest bound above lower and not above upper.
func between(lower, upper key) bound {
	var u bound
	for u.n < 16 {
		u.b[u.n] = upper[u.n]
		u.n++
		if upper[u.n-1] != lower[u.n-1] {
			break
		}
	}
	return u
}
