package gossip

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomItems returns n sorted items.
func randomItems(r *rand.Rand, n int) []item {
	items := make([]item, n)
	for i := range items {
		for j := 0; j < 16; j += 8 {
			binary.BigEndian.PutUint64(items[i].key[j:], r.Uint64())
			binary.BigEndian.PutUint64(items[i].digest[j:], r.Uint64())
		}
	}
	slices.SortFunc(items, compareItems)
	return items
}

// exchange runs a whole reconciliation between two sets, through the codec, and
// returns what each side was asked for or sent of its own accord.
type exchange struct {
	toA, toB []item // records that travelled
	rounds   int
	bytes    int
	long     bool // mode 3 was needed
}

func reconcile(t testing.TB, a, b []item) exchange {
	t.Helper()
	var x exchange
	pick := func(set []item, keys []key) (out []item) {
		for _, k := range keys {
			out = append(out, matching(set, k)...)
		}
		return out
	}
	if fingerprintOf(a) == fingerprintOf(b) {
		return x
	}
	spans := openRanges(a)
	sets := [2][]item{b, a} // the responder answers first
	for turn := 0; ; turn++ {
		raw := appendRanges(nil, spans)
		x.bytes += len(raw)
		if x.rounds++; x.rounds > 2*maxRounds {
			t.Fatal("does not end")
		}
		in, err := parseRanges(raw)
		check(t, err)
		if !bytes.Equal(appendRanges(nil, in), raw) {
			t.Fatal("RANGES does not encode again to the same bytes")
		}
		own, other := sets[turn%2], sets[1-turn%2]
		o := answerRanges(own, in)
		wanted, given := pick(other, o.want), pick(own, o.give)
		if turn%2 == 0 {
			x.toB, x.toA = append(x.toB, wanted...), append(x.toA, given...)
		} else {
			x.toA, x.toB = append(x.toA, wanted...), append(x.toB, given...)
		}
		x.long = x.long || slices.ContainsFunc(o.reply, func(s span) bool { return s.mode == modeLong })
		if o.done {
			return x
		}
		spans = o.reply
	}
}

// minus returns the items of a that are not in b.
func minus(a, b []item) []item {
	return slices.DeleteFunc(slices.Clone(a), func(it item) bool {
		_, found := findItem(b, it)
		return found
	})
}

func sorted(items []item) []item {
	items = slices.Clone(items)
	slices.SortFunc(items, compareItems)
	return slices.Compact(items)
}

func TestReconcileFindsExactlyTheSymmetricDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 5, 63, 64, 65, 200, 1000, 5000} {
		for _, differences := range []int{0, 1, 5, 20, 100, 1000} {
			common := randomItems(r, size)
			extra := randomItems(r, differences)
			cut := r.IntN(differences + 1)
			a, b := sorted(slices.Concat(common, extra[:cut])), sorted(slices.Concat(common, extra[cut:]))
			// Some relays have published anew on one side.
			for i := 0; i < len(common) && i < differences/2; i++ {
				at, _ := findItem(b, common[i])
				b[at].digest[0] ^= 1
			}
			x := reconcile(t, a, b)
			if !slices.Equal(sorted(x.toB), minus(a, b)) || !slices.Equal(sorted(x.toA), minus(b, a)) {
				t.Fatalf("%d relays, %d differences: %d and %d records travelled, wanted %d and %d",
					size, differences, len(x.toB), len(x.toA), len(minus(a, b)), len(minus(b, a)))
			}
			if len(x.toA) != len(sorted(x.toA)) || len(x.toB) != len(sorted(x.toB)) {
				t.Fatalf("%d relays, %d differences: a record travelled twice", size, differences)
			}
			if (x.rounds+1)/2 > maxRounds {
				t.Fatalf("%d relays, %d differences: %d messages", size, differences, x.rounds)
			}
		}
	}
}

func TestReconcileSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct{ relays, differences, limit int }{
		{50, 1, 1200}, {1000, 1, 3000}, {1000, 20, 12_000}, {10_000, 5, 9000}, {10_000, 100, 70_000},
	} {
		common := randomItems(r, c.relays)
		x := reconcile(t, common, sorted(slices.Concat(common, randomItems(r, c.differences))))
		t.Logf("%d relays, %d differences: %d bytes in %d messages", c.relays, c.differences, x.bytes, x.rounds)
		if x.bytes > c.limit {
			t.Errorf("%d relays, %d differences: %d bytes, at most %d", c.relays, c.differences, x.bytes, c.limit)
		}
	}
}

// TestTruncatedKeyCollisionReachesMode3: records that look alike in the short
// lists are told apart by the long ones.
func TestTruncatedKeyCollisionReachesMode3(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{10, 64, 65, 500} {
		a := randomItems(r, size)
		b := slices.Clone(a)
		b[size/2].key[15] ^= 0x55    // the same first 8 bytes
		b[size/2].digest[15] ^= 0x55 // likewise
		b = sorted(b)
		x := reconcile(t, a, b)
		if !x.long {
			t.Fatalf("%d relays: mode 3 was not used", size)
		}
		if !slices.Equal(sorted(x.toB), minus(a, b)) || !slices.Equal(sorted(x.toA), minus(b, a)) {
			t.Fatalf("%d relays: the colliding records were not exchanged", size)
		}
	}
}

func TestRangesRefused(t *testing.T) {
	list := func(mode byte, items ...string) []byte {
		b := []byte{0, mode, byte(len(items))}
		for _, it := range items {
			b = append(b, it...)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                 {},
		"bound cut":             {3, 1, 2},
		"bound too long":        append([]byte{17}, make([]byte, 18)...),
		"bound ends with zero":  {2, 1, 0, 0, 0, 0},
		"bounds do not rise":    {1, 2, 0, 1, 1, 0, 0, 0},
		"two skips":             {1, 2, 0, 0, 0},
		"no end":                {1, 2, 0},
		"bytes after the end":   {0, 0, 0},
		"unknown mode":          {0, 4},
		"fingerprint cut":       append([]byte{0, 1}, make([]byte, 15)...),
		"list cut":              {0, 2, 1, 0, 0},
		"list too long":         append([]byte{0, 2, 65}, make([]byte, 65*16)...),
		"list not sorted":       list(2, "bbbbbbbb11111111", "aaaaaaaa11111111"),
		"the same long item":    list(3, "aaaaaaaaaaaaaaaa1111111111111111", "aaaaaaaaaaaaaaaa1111111111111111"),
		"item outside of range": append([]byte{1, 'b', 2, 1}, append([]byte("cccccccc11111111"), 0, 0)...),
	} {
		if _, err := parseRanges(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkFingerprint10000(b *testing.B) {
	items := randomItems(rand.New(rand.NewPCG(7, 8)), 10_000)
	for b.Loop() {
		fingerprintOf(items)
	}
}
