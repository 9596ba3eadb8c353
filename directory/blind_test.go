package directory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"filippo.io/edwards25519"
	"pgregory.net/rapid"
)

// TestBlindingAgreesWithPlainIntegers compares with the second implementation.
func TestBlindingAgreesWithPlainIntegers(t *testing.T) {
	for i := range 2 {
		network := NetworkID{byte(i), 7}
		root := testKey(fmt.Sprint("address ", i))
		period := uint64(20000 + i)
		message := bytes.Repeat([]byte{byte(i)}, 100*i)
		key, err := NewBlindingKey(network, root, period)
		check(t, err)
		public, err := Blind(network, publicOf(root), period)
		check(t, err)
		sig := key.Sign(message)
		wantKey, wantSig := bigSign(network, root.Seed(), u64(period), message)
		if public != key.Public() || public != wantKey || public != bigBlind(network, publicOf(root), u64(period)) {
			t.Errorf("key %x, %x, want %x", public, key.Public(), wantKey)
		}
		if !bytes.Equal(sig[:], wantSig) {
			t.Errorf("signature %x, want %x", sig, wantSig)
		}
	}
}

// TestBlindedSignatures verifies with the standard library, for any key, period
// and message, and refuses each changed part.
func TestBlindedSignatures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")
		root := ed25519.NewKeyFromSeed(seed)
		network := NetworkID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "network"))
		period := rapid.Uint64().Draw(t, "period")
		message := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "message")
		key, err := NewBlindingKey(network, root, period)
		if err != nil {
			t.Fatal(err)
		}
		public, err := Blind(network, publicOf(root), period)
		if err != nil || public != key.Public() {
			t.Fatalf("%v: %x, %x", err, public, key.Public())
		}
		sig := key.Sign(message)
		if !ed25519.Verify(public[:], message, sig[:]) || !public.verify(message, sig) {
			t.Fatal("does not verify")
		}
		if ed25519.Verify(root.Public().(ed25519.PublicKey), message, sig[:]) {
			t.Fatal("verifies under the root key")
		}
		other, err := Blind(network, publicOf(root), period+1)
		if err != nil || other == public || other.verify(message, sig) {
			t.Fatal("verifies in the next period")
		}
		network[5] ^= 1
		if other, err := Blind(network, publicOf(root), period); err != nil || other == public {
			t.Fatal("the same key in another network")
		}
		sig[rapid.IntRange(0, 63).Draw(t, "byte")] ^= 1
		if public.verify(message, sig) {
			t.Fatal("a changed signature verifies")
		}
	})
}

// TestNoncesOfTwoRevisionsDiffer: equal ones would reveal the secret key.
func TestNoncesOfTwoRevisionsDiffer(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, period := range []uint64{1, 2} {
		key, err := NewBlindingKey(NetworkID{}, testKey("address"), period)
		check(t, err)
		for i := range byte(20) {
			sig := key.Sign([]byte{i})
			if r := [32]byte(sig[:32]); seen[r] {
				t.Fatal("a nonce twice")
			} else {
				seen[r] = true
			}
		}
	}
}

// TestRootKeysWithTorsionAreRefused adds each point of small order to a good
// key. The order of every accepted and refused point is computed in plain
// integers too.
func TestRootKeysWithTorsionAreRefused(t *testing.T) {
	good, err := new(edwards25519.Point).SetBytes(testKey("address").Public().(ed25519.PublicKey))
	check(t, err)
	l := bigOrder()
	primeOrder := func(b [32]byte) bool {
		p, ok := bigParse(b)
		if !ok {
			t.Fatalf("%x is no point", b)
		}
		q := p.times(l)
		return q.x.Sign() == 0 && q.y.Cmp(big.NewInt(1)) == 0
	}
	if b := [32]byte(good.Bytes()); !primeOrder(b) {
		t.Fatal("the good key has torsion")
	} else if _, err := Blind(NetworkID{}, b, 1); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, y := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			b := y
			b[31] |= sign
			small, err := new(edwards25519.Point).SetBytes(b[:])
			if err != nil {
				continue
			}
			if _, err := Blind(NetworkID{}, b, 1); !errors.Is(err, ErrBadRootKey) {
				t.Errorf("point of small order %x: %v", b, err)
			}
			if small.Equal(edwards25519.NewIdentityPoint()) == 1 {
				continue
			}
			mixed := [32]byte(new(edwards25519.Point).Add(good, small).Bytes())
			if primeOrder(mixed) {
				t.Errorf("%x has no torsion", mixed)
			}
			if _, err := Blind(NetworkID{}, mixed, 1); !errors.Is(err, ErrBadRootKey) {
				t.Errorf("point with torsion %x: %v", mixed, err)
			}
			count++
		}
	}
	if count < 7 {
		t.Errorf("%d points with torsion tried, there are 7", count)
	}
}

func TestUnusableRootKeys(t *testing.T) {
	bad := map[string][32]byte{
		"y not reduced": {0: 0xee, 1: 0xff, 2: 0xff, 3: 0xff, 4: 0xff, 5: 0xff, 6: 0xff, 7: 0xff, 8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff, 16: 0xff, 17: 0xff, 18: 0xff, 19: 0xff, 20: 0xff, 21: 0xff, 22: 0xff, 23: 0xff, 24: 0xff, 25: 0xff, 26: 0xff, 27: 0xff, 28: 0xff, 29: 0xff, 30: 0xff, 31: 0x7f},
		"no point":      {2},
		"zero":          {},
	}
	for name, k := range bad {
		if _, err := Blind(NetworkID{}, k, 1); !errors.Is(err, ErrBadRootKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	root := testKey("address")
	mixed := append(ed25519.PrivateKey(nil), root...)
	copy(mixed[32:], testKey("other")[32:])
	for name, k := range map[string]ed25519.PrivateKey{"nil": nil, "public half of another": mixed} {
		if _, err := NewBlindingKey(NetworkID{}, k, 1); !errors.Is(err, ErrBadRootKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k, err := NewBlindingKey(NetworkID{}, root, 1)
	check(t, err)
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); s != "blinding key blinding key blinding key blinding key" {
		t.Errorf("prints %s", s)
	}
}

func BenchmarkBlind(b *testing.B) {
	root := publicOf(testKey("address"))
	for b.Loop() {
		if _, err := Blind(NetworkID{}, root, 1); err != nil {
			b.Fatal(err)
		}
	}
}
