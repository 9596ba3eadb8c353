package gossip

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hearsay/directory"
)

// TestMergeIsASemilattice: merging is commutative, associative and idempotent, for
// descriptors, updates, leave notices and records that contradict each other.
func TestMergeIsASemilattice(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	now := time.Now()
	var pool []*directory.Record
	for _, name := range []string{"relay 0", "relay 1", "relay 2"} {
		for seq := range uint64(3) {
			for addr := range 2 { // two of one number
				d := f.describe(name, addr)
				d.Seq += seq
				r, err := directory.ParseRecord(f.chain.Rules(), f.sign(d, name), now)
				check(t, err)
				pool = append(pool, r)
			}
			raw, err := directory.SignLeave(f.id, testKey(name), uint64(now.Unix())+seq)
			check(t, err)
			r, err := directory.ParseRecord(f.chain.Rules(), raw, now)
			check(t, err)
			pool = append(pool, r)
		}
	}
	// A store that takes leave notices of relays that it does not hold yet, as one
	// does that knows them from a snapshot.
	of := func(sets ...[]*directory.Record) *Store {
		s := newStore(f.id, true)
		s.setListed(func(directory.RelayID) bool { return true }, 3)
		for _, records := range sets {
			for _, r := range records {
				s.put(r, now)
			}
		}
		return s
	}
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) []*directory.Record {
			return rapid.SliceOfN(rapid.SampledFrom(pool), 0, 12).Draw(rt, label)
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		same := func(rule string, x, y *Store) {
			_, p := x.set()
			_, q := y.set()
			if p != q || x.Len() != y.Len() {
				rt.Fatalf("not %s: %d and %d records", rule, x.Len(), y.Len())
			}
		}
		same("commutative", of(a, b), of(b, a))
		same("idempotent", of(a), of(a, a))
		same("idempotent on its own result", of(a, b), of(of(a, b).Records(), a, b))
		same("associative", of(of(a, b).Records(), c), of(a, of(b, c).Records()))
		shuffled := slices.Concat(a, b, c)
		perm := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "order"), 1)).Perm(len(shuffled))
		mixed := make([]*directory.Record, len(shuffled))
		for i, at := range perm {
			mixed[i] = shuffled[at]
		}
		same("free of order", of(a, b, c), of(mixed))

		// Of each relay the highest number counts, of equal ones the highest hash.
		for _, r := range of(a, b, c).Records() {
			for _, o := range shuffled {
				if o.ID == r.ID && (o.Seq > r.Seq || o.Seq == r.Seq && o.Supersedes(r)) {
					rt.Fatal("a lower record won")
				}
			}
		}
	})
}

// TestReconcileRapid: whatever two nodes hold, they exchange what one lacks and
// nothing else, in few messages.
func TestReconcileRapid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		common := randomItems(r, rapid.IntRange(0, 2000).Draw(rt, "common"))
		a := sorted(slices.Concat(common, randomItems(r, rapid.IntRange(0, 200).Draw(rt, "of a"))))
		b := sorted(slices.Concat(common, randomItems(r, rapid.IntRange(0, 200).Draw(rt, "of b"))))
		for range rapid.IntRange(0, 50).Draw(rt, "updates") {
			if len(b) > 0 {
				b[r.IntN(len(b))].digest[r.IntN(8)] ^= byte(1 + r.IntN(255))
			}
		}
		if rapid.Bool().Draw(rt, "crowded") { // many keys in one narrow range
			for i := range b {
				copy(b[i].key[:4], []byte{1, 2, 3, 4})
			}
			b = sorted(b)
		}
		x := reconcile(t, a, b)
		if !slices.Equal(sorted(x.toB), minus(a, b)) || !slices.Equal(sorted(x.toA), minus(b, a)) {
			rt.Fatalf("%d and %d records travelled, wanted %d and %d", len(x.toB), len(x.toA), len(minus(a, b)), len(minus(b, a)))
		}
		if (x.rounds+1)/2 > maxRounds {
			rt.Fatalf("%d messages", x.rounds)
		}
	})
}

// merged keeps one item of each key, as a store does.
func merged(a, b []item) []item {
	all := sorted(slices.Concat(a, b))
	slices.Reverse(all)
	all = slices.CompactFunc(all, func(x, y item) bool { return x.key == y.key })
	slices.Reverse(all)
	return all
}

// TestTruncatedCollisionsRapid: however many records look alike in short lists,
// each side ends with all of both.
func TestTruncatedCollisionsRapid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		a := randomItems(r, rapid.IntRange(1, 300).Draw(rt, "size"))
		b := slices.Clone(a)
		for range rapid.IntRange(1, 5).Draw(rt, "collisions") {
			at := r.IntN(len(b))
			b[at].key[8+r.IntN(8)] ^= byte(1 + r.IntN(255))
			b[at].digest[8+r.IntN(8)] ^= byte(1 + r.IntN(255))
		}
		b = sorted(b)
		x := reconcile(t, a, b)
		if all := sorted(slices.Concat(a, b)); !slices.Equal(sorted(slices.Concat(a, x.toA)), all) || !slices.Equal(sorted(slices.Concat(b, x.toB)), all) {
			rt.Fatal("colliding records were not exchanged")
		}
		if !slices.Equal(a, b) && !x.long {
			rt.Fatal("mode 3 was not used")
		}
		// Beside other differences a collision may wait for the next exchange.
		for range rapid.IntRange(1, 5).Draw(rt, "updates") {
			b[r.IntN(len(b))].digest[r.IntN(8)] ^= byte(1 + r.IntN(255))
		}
		for range 3 {
			x = reconcile(t, a, b)
			all := merged(a, b)
			a, b = merged(a, x.toA), merged(b, x.toB)
			if slices.Equal(a, all) && slices.Equal(b, all) {
				return
			}
		}
		rt.Fatal("colliding records were not exchanged beside others")
	})
}
