package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const addressVectors = "testdata/address.txt"

// addressVector is one line of testdata/address.txt: a record, and what reading
// and opening it gives.
type addressVector struct {
	name, expect string
	seed         []byte
	network      NetworkID
	data         []byte
}

func makeAddressVectors(t testing.TB) []addressVector {
	root := testKey("address")
	network := NetworkID{1, 2, 3}
	seal := func(period, revision uint64, bundle string) []byte {
		r, err := SealAddressRecord(network, root, period, revision, []byte(bundle), [24]byte{9, byte(revision)})
		check(t, err)
		return r.Append(nil)
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	good := seal(20778, 1, "two queues")
	return []addressVector{
		{"first", "ok", root.Seed(), network, good},
		{"second", "ok", root.Seed(), network, seal(20778, 2, "two other queues")},
		{"full", "ok", root.Seed(), network, seal(20779, 1<<40, strings.Repeat("x", MaxAddressBundle))},
		{"another-key", "sealed", testKey("x").Seed(), network, good},
		{"another-network", "signature", root.Seed(), NetworkID{1}, good},
		{"changed-key", "signature", root.Seed(), network, flip(good, 3)},
		{"changed-period", "signature", root.Seed(), network, flip(good, 39)},
		{"changed-revision", "signature", root.Seed(), network, flip(good, 44)},
		{"changed-blob", "signature", root.Seed(), network, flip(good, 1000)},
		{"changed-signature", "signature", root.Seed(), network, flip(good, len(good)-1)},
		{"truncated", "malformed", root.Seed(), network, good[:len(good)-1]},
	}
}

// readAddress opens the record of a vector.
func (v *addressVector) read() ([]byte, string) {
	r, err := ParseAddressRecord(v.network, v.data)
	switch {
	case errors.Is(err, ErrSignature):
		return nil, "signature"
	case err != nil:
		return nil, "malformed"
	}
	bundle, err := r.Open(v.network, publicOf(ed25519.NewKeyFromSeed(v.seed)))
	if err != nil {
		return nil, "sealed"
	}
	return bundle, "ok"
}

func readAddressVectors(t testing.TB) []addressVector {
	raw, err := os.ReadFile(addressVectors)
	check(t, err)
	var list []addressVector
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] == "#" {
			continue
		}
		v := addressVector{name: f[0], expect: f[1]}
		var parts [3][]byte
		for i := range parts {
			parts[i], err = hex.DecodeString(f[2+i])
			check(t, err)
		}
		v.seed, v.network, v.data = parts[0], NetworkID(parts[1]), parts[2]
		list = append(list, v)
	}
	return list
}

func TestAddressRecordVectors(t *testing.T) {
	made := makeAddressVectors(t)
	if *update {
		var b strings.Builder
		b.WriteString("# name expect seed network record; made by go test -update from fixed keys\n")
		for _, v := range made {
			fmt.Fprintf(&b, "%s %s %x %x %x\n", v.name, v.expect, v.seed, v.network[:], v.data)
		}
		check(t, os.WriteFile(addressVectors, []byte(b.String()), 0o644))
	}
	read := readAddressVectors(t)
	if len(read) != len(made) {
		t.Fatalf("%d vectors in the file, %d made; run with -update", len(read), len(made))
	}
	for i, v := range read {
		if !bytes.Equal(v.data, made[i].data) {
			t.Errorf("%s: the encoding has changed", v.name)
		}
		if _, got := v.read(); got != v.expect {
			t.Errorf("%s: %s, want %s", v.name, got, v.expect)
		}
		if v.expect != "ok" {
			continue
		}
		// The signature is that of plain integers.
		signed := append([]byte("hearsay/1 address signature\x00"), v.network[:]...)
		signed = append(signed, v.data[:48+2048]...)
		key, sig := bigSign(v.network, v.seed, v.data[32:40], signed)
		if !bytes.Equal(v.data[:32], key[:]) || !bytes.Equal(v.data[48+2048:], sig) {
			t.Errorf("%s: key %x, signature %x", v.name, key, sig)
		}
	}
}

func TestAddressRecordHoldsABundle(t *testing.T) {
	root := testKey("address")
	for _, n := range []int{0, 1, 1696, MaxAddressBundle} {
		bundle := bytes.Repeat([]byte{7}, n)
		r, err := SealAddressRecord(NetworkID{}, root, 5, 3, bundle, [24]byte{1})
		check(t, err)
		raw := r.Append(nil)
		if len(raw) != 2160 {
			t.Fatalf("%d bytes", len(raw))
		}
		again, err := ParseAddressRecord(NetworkID{}, raw)
		check(t, err)
		got, err := again.Open(NetworkID{}, publicOf(root))
		check(t, err)
		if len(got) != 2008 || !bytes.Equal(got[:n], bundle) || bytes.Count(got[n:], []byte{0}) != 2008-n || !again.Same(r) {
			t.Errorf("%d bytes: read %x", n, got)
		}
	}
	if _, err := SealAddressRecord(NetworkID{}, root, 5, 3, make([]byte, MaxAddressBundle+1), [24]byte{}); !errors.Is(err, ErrBadAddressRecord) {
		t.Error(err)
	}
	if _, err := SealAddressRecord(NetworkID{}, root, 5, 0, nil, [24]byte{}); !errors.Is(err, ErrBadAddressRecord) {
		t.Error(err)
	}
}

// TestRelayCannotPutOneBlobUnderAnotherPeriod: the owner's own blob of one
// period, signed anew for another, does not open.
func TestRelayCannotPutOneBlobUnderAnotherPeriod(t *testing.T) {
	root := testKey("address")
	old, err := SealAddressRecord(NetworkID{}, root, 5, 3, []byte("old"), [24]byte{})
	check(t, err)
	for _, tt := range []struct{ period, revision uint64 }{{6, 3}, {5, 4}} {
		key, err := NewBlindingKey(NetworkID{}, root, tt.period)
		check(t, err)
		r := &AddressRecord{Key: key.Public(), Period: tt.period, Revision: tt.revision, blob: old.blob}
		r.sig = key.Sign(r.signed(NetworkID{}))
		again, err := ParseAddressRecord(NetworkID{}, r.Append(nil))
		check(t, err)
		if _, err := again.Open(NetworkID{}, publicOf(root)); !errors.Is(err, ErrAddressSealed) {
			t.Errorf("period %d, revision %d: %v", tt.period, tt.revision, err)
		}
	}
}

func TestRelaysKeepTheHighestRevision(t *testing.T) {
	a := &AddressRecord{Key: BlindedKey{1}, Period: 5, Revision: 7}
	for _, tt := range []struct {
		key              byte
		period, revision uint64
		want             bool
	}{{1, 5, 8, true}, {1, 5, 7, false}, {1, 5, 6, false}, {2, 5, 8, false}, {1, 6, 8, false}} {
		r := &AddressRecord{Key: BlindedKey{tt.key}, Period: tt.period, Revision: tt.revision}
		if r.Supersedes(a) != tt.want {
			t.Errorf("%+v: %t", tt, !tt.want)
		}
	}
}

// TestPeriodsThatRelaysTake walks through a day.
func TestPeriodsThatRelaysTake(t *testing.T) {
	for _, lab := range []bool{false, true} {
		start := PlacementStart(lab, 20000)
		h := func(n int) time.Time { return start.Add(Scale(lab, time.Duration(n)*time.Hour)) }
		for _, tt := range []struct {
			period uint64
			hour   int
			want   bool
		}{
			{20000, 0, true},
			{20000, 23, true},
			{20000, 24, false},
			{20000, -1, true},
			{20001, 11, false},
			{20001, 12, true},
			{20001, 24, true},
			{20002, 24, false},
			{19999, 0, false},
		} {
			r := &AddressRecord{Period: tt.period}
			if err := r.CheckPeriod(lab, h(tt.hour)); (err == nil) != tt.want {
				t.Errorf("lab %t, period %d, hour %d: %v", lab, tt.period, tt.hour, err)
			}
		}
		r := &AddressRecord{Period: 20000}
		if got := r.Forgotten(lab).Sub(start); got != Scale(lab, 9*24*time.Hour) {
			t.Errorf("forgotten after %v", got)
		}
	}
}

func FuzzParseAddressRecord(f *testing.F) {
	known := map[string]bool{}
	for _, v := range readAddressVectors(f) {
		f.Add(v.data)
		known[string(v.data)] = known[string(v.data)] || v.expect == "ok"
	}
	root := publicOf(testKey("address"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseAddressRecord(NetworkID{1, 2, 3}, b)
		if err != nil {
			return
		}
		same(t, b, r.Append(nil), nil)
		if _, err := r.Open(NetworkID{1, 2, 3}, root); err == nil && !known[string(b)] {
			t.Fatal("opened what the owner did not make")
		}
	})
}
