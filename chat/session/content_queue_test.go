package session

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
)

func TestQBad(t *testing.T) {
	good := []byte{1, 0, 0, 1, 2, 1}
	q, err := ParseQBad(good)
	if err != nil || q != (QBad{Slot: 1, Generation: 258, Code: QBadUnwritable}) || !bytes.Equal(q.Append(nil), good) {
		t.Errorf("%+v, %v", q, err)
	}
	for _, bad := range [][]byte{nil, good[:5], append(bytes.Clone(good), 0), {2, 0, 0, 1, 2, 1}, {1, 0, 0, 1, 2, 0}, {1, 0, 0, 1, 2, 2}} {
		if _, err := ParseQBad(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func FuzzParseQBad(f *testing.F) {
	f.Add([]byte{1, 0, 0, 1, 2, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := ParseQBad(b); err == nil && !bytes.Equal(q.Append(nil), b) {
			t.Errorf("%x is taken for %+v", b, q)
		}
	})
}

// TestDropKeys derives the keys of a queue of last resort a second time, from the
// words of the specification alone, for both sides and directions.
func TestDropKeys(t *testing.T) {
	secret := [32]byte{1, 2, 3}
	guest, inviter := Drop{Secret: secret, Guest: true}, Drop{Secret: secret}
	for role, keys := range map[byte][2]DropKeys{
		0: {inviter.Keys(20000, true), guest.Keys(20000, false)},
		1: {guest.Keys(20000, true), inviter.Keys(20000, false)},
	} {
		info := "hearsay/1 drop\x00" + string([]byte{0, 0, 0x4e, 0x20, role})
		want, err := hkdf.Key(sha256.New, secret[:], nil, info, 96)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			capability, key := k.Cap.Bytes(), k.Key.Bytes()
			if !bytes.Equal(k.Seed[:], want[:32]) || !bytes.Equal(capability[:], want[32:64]) || !bytes.Equal(key[:], want[64:]) {
				t.Errorf("the keys of role %d are others than specified", role)
			}
		}
	}
	if guest.Keys(20000, true).Seed == guest.Keys(20001, true).Seed {
		t.Error("two days have one queue")
	}
	rid, relay := [24]byte{7}, [32]byte{9}
	sum := sha256.Sum256([]byte("hearsay/1 drop place\x00" + string(rid[:]) + string(relay[:])))
	if place := DropPlace(rid, relay); place != sum || new(big.Int).SetBytes(place[:]).Sign() == 0 {
		t.Errorf("place %s", hex.EncodeToString(place[:]))
	}
}
