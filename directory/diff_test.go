package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// synthetic is a network of many relays that changes, for diffs.
type synthetic struct {
	n      *network
	rng    *rand.Rand
	at     time.Time
	relays []syntheticRelay
	made   uint32
}

type syntheticRelay struct {
	Entry
	family   [32]byte
	as       uint32
	software string
	protocol []uint16
}

func newSynthetic(t testing.TB, relays int, seed uint64) *synthetic {
	y := &synthetic{n: newNetwork(t, false, JoinToken), rng: rand.New(rand.NewPCG(seed, 1)), at: testTime}
	for range relays {
		y.join()
	}
	return y
}

func (y *synthetic) fresh(what string) [32]byte {
	y.made++
	return sha256.Sum256(binary.BigEndian.AppendUint32([]byte(what), y.made))
}

// zipf draws a group, the k-th being k times rarer than the first.
func (y *synthetic) zipf(n int) int { return int(math.Pow(float64(n), y.rng.Float64())) - 1 }

// join adds a relay: 85 % have a family, half an IPv6 address too.
func (y *synthetic) join() {
	r := syntheticRelay{Entry: Entry{
		ID: y.fresh("id"), OnionKey: y.fresh("onion"), LinkKey: y.fresh("link"), OnionEpoch: uint32(y.at.Unix()),
		Flags: FlagStable | Flags(y.rng.IntN(16)), Guard: byte(60 + y.rng.IntN(30)), Inner: byte(60 + y.rng.IntN(30)), Mailbox: byte(60 + y.rng.IntN(30)),
	}}
	if y.rng.IntN(100) < 85 {
		r.family = sha256.Sum256([]byte{byte(y.zipf(3000) >> 8), byte(y.zipf(3000))})
	}
	r.as = 1000 + uint32(y.zipf(900))
	r.software = fmt.Sprintf("hearsay 0.%d", y.zipf(6))
	r.protocol = []uint16{1, uint16(2 + y.zipf(3))}
	y.made++
	ip := [4]byte{byte(11 + y.made>>24), byte(y.made >> 16), byte(y.made >> 8), byte(y.made)}
	r.Addrs = append(r.Addrs, netip.AddrPortFrom(netip.AddrFrom4(ip), 4443))
	if y.rng.IntN(2) == 0 {
		r.Addrs = append(r.Addrs, netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x2a, 0, 0x14, 0x50, 12: ip[0], 13: ip[1], 14: ip[2], 15: ip[3]}), 443))
	}
	y.relays = append(y.relays, r)
}

// some calls f for a share of the relays.
func (y *synthetic) some(share float64, f func(r *syntheticRelay)) {
	for i := range y.relays {
		if y.rng.Float64() < share {
			f(&y.relays[i])
		}
	}
}

// pass lets hours go by. In six hours 2.5 % leave and as many join; 6 % change:
// 3.5 % rotate the onion key (every seven days), 0.8 % the link key (every
// thirty), 1.5 % get another weight and 0.2 % other flags.
func (y *synthetic) pass(hours float64) {
	y.at = y.at.Add(time.Duration(max(1, math.Round(hours))) * time.Hour)
	six := hours / 6
	count := len(y.relays)
	gone := 0
	y.relays = slices.DeleteFunc(y.relays, func(syntheticRelay) bool {
		if y.rng.Float64() < 0.025*six {
			gone++
			return true
		}
		return false
	})
	y.some(0.035*six, func(r *syntheticRelay) { r.OnionKey, r.OnionEpoch = y.fresh("onion"), uint32(y.at.Unix()) })
	y.some(0.008*six, func(r *syntheticRelay) { r.LinkKey = y.fresh("link") })
	y.some(0.015*six, func(r *syntheticRelay) { r.Guard, r.Inner = byte(60+y.rng.IntN(30)), byte(60+y.rng.IntN(30)) })
	y.some(0.002*six, func(r *syntheticRelay) { r.Flags ^= FlagGuard })
	for len(y.relays) < count {
		y.join()
	}
}

// snapshot makes and signs the snapshot of the relays.
func (y *synthetic) snapshot() *Snapshot {
	t := y.n.t
	t.Helper()
	s, err := NewSnapshot(y.n.chain, y.n.log, y.at, Judgement{Ledger: &Ledger{}, Epoch: time.Hour})
	check(t, err)
	x := &s.Tables
	for i := range y.relays {
		r := &y.relays[i]
		if r.family != [32]byte{} {
			x.Families = append(x.Families, r.family)
		}
		x.ASes = append(x.ASes, r.as)
		x.Software = append(x.Software, r.software)
		x.Protocols = append(x.Protocols, r.protocol)
	}
	slices.SortFunc(x.Families, compareKeys)
	x.Families = slices.Compact(x.Families)
	slices.Sort(x.ASes)
	x.ASes = slices.Compact(x.ASes)
	slices.Sort(x.Software)
	x.Software = slices.Compact(x.Software)
	slices.SortFunc(x.Protocols, slices.Compare[[]uint16])
	x.Protocols = slices.CompactFunc(x.Protocols, slices.Equal[[]uint16])
	x.Rules = map[uint16]uint32{1: uint32(y.rng.IntN(50)), 12: 3}
	for i := range y.relays {
		r := &y.relays[i]
		e := r.Entry
		e.Family, e.AS, e.Software, e.Protocol = 0, 0, 0, 0
		if r.family != [32]byte{} {
			k, _ := slices.BinarySearchFunc(x.Families, r.family, compareKeys)
			e.Family = uint16(k + 1)
		}
		k, _ := slices.BinarySearch(x.ASes, r.as)
		e.AS = uint16(k + 1)
		k, _ = slices.BinarySearch(x.Software, r.software)
		e.Software = byte(k + 1)
		k, _ = slices.BinarySearchFunc(x.Protocols, r.protocol, slices.Compare[[]uint16])
		e.Protocol = byte(k + 1)
		s.Entries = append(s.Entries, e)
	}
	sealEntries(t, y.n, s)
	return s
}

// sealEntries sorts the entries of a snapshot, commits to them and to the
// tables, and signs.
func sealEntries(t testing.TB, n *network, s *Snapshot) {
	t.Helper()
	slices.SortFunc(s.Entries, func(a, b Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	s.entries = nil
	for i := range s.Entries {
		s.entries = appendEntry(s.entries, &s.Entries[i])
	}
	var err error
	s.tables, err = s.Tables.encode()
	check(t, err)
	s.Header.TablesHash = sha256.Sum256(s.tables)
	s.Header.N = uint64(len(s.Entries))
	s.Header.EntriesRoot, s.Header.Totals = entriesRoot(s.Entries)
	if s.Header.Flags &^= HeaderSmall; s.Header.N < smallNetwork {
		s.Header.Flags |= HeaderSmall
	}
	s.doc.Body, err = s.Header.encode()
	check(t, err)
	s.doc.Signatures, s.certs = nil, nil
	check(t, s.Sign(n.cert, n.online))
	check(t, s.open())
}

// TestApplyAfterMakeIsIdentity changes networks at random in every way.
func TestApplyAfterMakeIsIdentity(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		y := newSynthetic(t, rapid.IntRange(0, 60).Draw(rt, "relays"), rapid.Uint64().Draw(rt, "seed"))
		base := y.snapshot()
		y.pass(rapid.Float64Range(0, 200).Draw(rt, "hours"))
		y.some(0.05, func(r *syntheticRelay) { r.Addrs = r.Addrs[:1] })
		y.some(0.05, func(r *syntheticRelay) { r.software = "hearsay 0.9" })
		y.some(0.05, func(r *syntheticRelay) { r.family = [32]byte{} })
		y.some(0.05, func(r *syntheticRelay) { r.as = uint32(y.rng.IntN(5)) + 1 })
		for range rapid.IntRange(0, 20).Draw(rt, "joins") {
			y.join()
		}
		next := y.snapshot()
		diff, err := MakeDiff(base, next)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := ApplyDiff(base, &next.Head, diff)
		if err != nil {
			rt.Fatal(err)
		}
		want, err := next.Encode()
		if err != nil {
			rt.Fatal(err)
		}
		if b, err := got.Encode(); err != nil || !bytes.Equal(b, want) {
			rt.Fatalf("%v: another snapshot", err)
		}
		if len(got.Entries) != len(next.Entries) || got.Hash() != next.Hash() {
			rt.Fatal("not opened")
		}
		// Who made the diffs may go back without a check.
		back, err := MakeDiff(got, base)
		if err != nil {
			rt.Fatal(err)
		}
		old, err := Rewind(got, &base.Head, back)
		if err != nil {
			rt.Fatal(err)
		}
		if again, err := MakeDiff(old, next); err != nil || !bytes.Equal(again, diff) {
			rt.Fatalf("%v: rewound to another snapshot", err)
		}
		// A diff is of one base and leads to one snapshot.
		if _, err := ApplyDiff(next, &base.Head, diff); !errors.Is(err, ErrOtherBase) && len(y.relays) > 0 {
			rt.Fatalf("another base: %v", err)
		}
		for i := range 20 {
			bad := bytes.Clone(diff)
			if i%2 == 0 {
				bad = bad[:y.rng.IntN(len(bad))]
			} else {
				bad[y.rng.IntN(len(bad))] ^= byte(1 + y.rng.IntN(255))
			}
			if _, err := ApplyDiff(base, &next.Head, bad); err == nil {
				rt.Fatalf("a changed diff is accepted: %x for %x", bad, diff)
			}
		}
		if _, err := ApplyDiff(base, &next.Head, append(bytes.Clone(diff), 0)); err == nil {
			rt.Fatal("a trailing byte is accepted")
		}
	})
}

// TestOnlyOneDiffIsAccepted tries other ways to say the same.
func TestOnlyOneDiffIsAccepted(t *testing.T) {
	y := newSynthetic(t, 30, 1)
	base := y.snapshot()
	y.at = y.at.Add(time.Hour)
	y.relays[4].Flags ^= FlagWatched
	next := y.snapshot()
	next.Tables.Rules = base.Tables.Rules
	sealEntries(t, y.n, next)
	good, err := MakeDiff(base, next)
	check(t, err)
	if _, err := ApplyDiff(base, &next.Head, good); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(base.Entries, func(e Entry) bool { return e.ID == y.relays[4].ID })
	hash := base.Hash()
	head := func(n byte, skip int) []byte { return append(bytes.Clone(hash[:]), n, byte(skip)) }
	raw := appendEntry(nil, &next.Entries[at])
	unchanged := []byte{0, 0, 0, 0, 0}
	flags := raw[100:102]
	old := appendEntry(nil, &base.Entries[0])
	for name, diff := range map[string][]byte{
		"delete and insert":       slices.Concat(head(2, at), []byte{diffDelete, 0, diffInsert}, raw, unchanged),
		"insert and delete":       slices.Concat(head(2, at), []byte{diffInsert}, raw, []byte{0, diffDelete}, unchanged),
		"patch of more":           slices.Concat(head(1, at), []byte{diffPatch, patchFlags | patchWeights}, flags, raw[102:105], unchanged),
		"patch without a change":  slices.Concat(head(2, 0), []byte{diffPatch, patchFlags}, old[100:102], []byte{byte(at - 1), diffPatch, patchFlags}, flags, unchanged),
		"a long skip":             slices.Concat(hash[:], []byte{1, byte(at) | 0x80, 0, diffPatch, patchFlags}, flags, unchanged),
		"rules again":             slices.Concat(head(1, at), []byte{diffPatch, patchFlags}, flags, []byte{0, 0, 0, 0, 1, 2, 0, 1}, binary.BigEndian.AppendUint32(nil, base.Tables.Rules[1]), []byte{0, 12, 0, 0, 0, 3}),
		"an AS dropped and added": slices.Concat(head(1, at), []byte{diffPatch, patchFlags}, flags, []byte{0, 2, 0, diffDelete, 0, diffInsert}, binary.BigEndian.AppendUint32(nil, base.Tables.ASes[0]), []byte{0, 0, 0}),
	} {
		if bytes.Equal(diff, good) {
			t.Fatalf("%s is the good diff", name)
		}
		if _, err := ApplyDiff(base, &next.Head, diff); !errors.Is(err, ErrBadDiff) && !errors.Is(err, ErrOtherBase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if want := slices.Concat(head(1, at), []byte{diffPatch, patchFlags}, flags, unchanged); !bytes.Equal(good, want) {
		t.Errorf("diff %x, want %x", good, want)
	}
}

// TestDiffDoesNotMoveIndices: a family that comes or goes shifts the indices of
// all that follow it, which must not cost a patch for each of them.
func TestDiffDoesNotMoveIndices(t *testing.T) {
	y := newSynthetic(t, 1000, 2)
	base := y.snapshot()
	y.at = y.at.Add(time.Hour)
	y.relays[0].family, y.relays[0].as = [32]byte{0, 1}, 1 // the first of all families and ASes
	diff, err := MakeDiff(base, y.snapshot())
	check(t, err)
	if len(diff) > 250 {
		t.Errorf("diff of %d bytes for one relay", len(diff))
	}
}

// TestHostileDiffAllocatesLittle: numbers in a diff must not make the reader
// allocate what the diff does not hold.
func TestHostileDiffAllocatesLittle(t *testing.T) {
	y := newSynthetic(t, 200, 3)
	base := y.snapshot()
	y.pass(1)
	next := y.snapshot()
	hash := base.Hash()
	huge := binary.AppendUvarint(nil, 1<<62)
	insert := append([]byte{0, diffInsert}, appendEntry(nil, &next.Entries[0])...)
	for name, diff := range map[string][]byte{
		"operations":       slices.Concat(hash[:], huge),
		"skip":             slices.Concat(hash[:], []byte{1}, huge, []byte{diffDelete, 0, 0, 0, 0, 0}),
		"families":         slices.Concat(hash[:], []byte{0}, huge),
		"rules":            slices.Concat(hash[:], []byte{0, 0, 0, 0, 0, 1}, huge),
		"1,000 inserts":    slices.Concat(hash[:], []byte{0xe8, 7}, bytes.Repeat(insert, 1000), []byte{0, 0, 0, 0, 0}),
		"more than a snap": slices.Concat(hash[:], make([]byte, MaxSnapshot)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ApplyDiff(base, &next.Head, diff)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		// Entries are decoded once and kept as structures: ten times their length.
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(10*(min(len(diff), 1<<20)+len(base.entries))); got > most {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(diff))
		}
	}
	unread, err := base.Encode()
	check(t, err)
	s, err := ParseSnapshot(unread)
	check(t, err)
	if _, err := ApplyDiff(s, &next.Head, nil); !errors.Is(err, ErrBadDiff) {
		t.Errorf("a base that was not verified: %v", err)
	}
}

// TestDiffSizes prints the sizes beside those that were computed beforehand.
func TestDiffSizes(t *testing.T) {
	for _, tt := range []struct {
		relays   int
		snapshot float64 // computed, in bytes
		hours    []float64
		want     []float64
	}{
		{50, 6_400, []float64{1, 6, 24}, []float64{100, 300, 1_000}},
		{1_000, 127_000, []float64{1, 6, 24}, []float64{900, 5_000, 21_000}},
		{10_000, 1_270_000, []float64{1, 6, 24}, []float64{9_000, 52_000, 209_000}},
	} {
		for i, hours := range tt.hours {
			y := newSynthetic(t, tt.relays, 4)
			base := y.snapshot()
			y.pass(hours)
			next := y.snapshot()
			diff, err := MakeDiff(base, next)
			check(t, err)
			full, err := next.Encode()
			check(t, err)
			t.Logf("%d relays: snapshot %d B (computed %.0f), %v h: diff %d B (computed %.0f)", tt.relays, len(full), tt.snapshot, hours, len(diff), tt.want[i])
			if tt.relays >= 1000 && float64(len(diff)) > 1.5*tt.want[i] {
				t.Errorf("%d relays, %v h: diff of %d bytes", tt.relays, hours, len(diff))
			}
		}
	}
}

func FuzzApplyDiff(f *testing.F) {
	y := newSynthetic(f, 12, 5)
	base := y.snapshot()
	y.pass(100)
	next := y.snapshot()
	good, err := MakeDiff(base, next)
	check(f, err)
	same, err := MakeDiff(base, base)
	check(f, err)
	f.Add(good)
	f.Add(same)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, head := range []*Head{&next.Head, &base.Head} {
			if _, err := ApplyDiff(base, head, b); err == nil && !bytes.Equal(b, good) && !bytes.Equal(b, same) {
				t.Fatal("another diff is accepted")
			}
		}
		// What the parts do before the header stops them.
		s := &Snapshot{Head: next.Head}
		if len(b) > 32 && s.patch(base, b[32:]) == nil && len(s.entries) > len(base.entries)+len(b) {
			t.Fatal("grows beyond its input")
		}
	})
}

func BenchmarkSnapshot10000Relays(b *testing.B) {
	y := newSynthetic(b, 10_000, 6)
	base := y.snapshot()
	y.pass(6)
	next := y.snapshot()
	diff, err := MakeDiff(base, next)
	check(b, err)
	full, err := next.Encode()
	check(b, err)
	p, err := y.n.log.Prove(1, 1, 0)
	check(b, err)
	state := y.n.chain.InitialState()
	verify := func(s *Snapshot) {
		if _, _, err := y.n.chain.Verify(s, state, p, y.at); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("full", func(b *testing.B) {
		b.SetBytes(int64(len(full)))
		for b.Loop() {
			s, err := ParseSnapshot(full)
			check(b, err)
			verify(s)
		}
	})
	b.Run("diff", func(b *testing.B) {
		b.SetBytes(int64(len(diff)))
		for b.Loop() {
			s, err := ApplyDiff(base, &next.Head, diff)
			check(b, err)
			verify(s)
		}
	})
	back, err := MakeDiff(next, base)
	check(b, err)
	b.Run("rewind", func(b *testing.B) {
		for b.Loop() {
			if _, err := Rewind(next, &base.Head, back); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			if _, err := MakeDiff(base, next); err != nil {
				b.Fatal(err)
			}
		}
	})
}
