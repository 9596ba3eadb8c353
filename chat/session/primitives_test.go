package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// TestPublishedVectors pins the primitives of the suite to published values.
func TestPublishedVectors(t *testing.T) {
	x25519 := func(k, u []byte) []byte {
		return must(must(ecdh.X25519().NewPrivateKey(k)).ECDH(must(ecdh.X25519().NewPublicKey(u))))
	}
	// RFC 7748 §5.2.
	same(t, "X25519", x25519(
		unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
		unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")),
		unhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"))
	k, u := append([]byte{9}, make([]byte, 31)...), append([]byte{9}, make([]byte, 31)...)
	for i := range 1000 {
		k, u = x25519(k, u), k
		if i == 0 {
			same(t, "X25519 once", k, unhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"))
		}
	}
	same(t, "X25519 1000 times", k, unhex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"))

	// RFC 5869 A.1, by the package and by hand.
	okm := unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
	ikm, salt, info := bytes.Repeat([]byte{0x0b}, 22), unhex("000102030405060708090a0b0c"), unhex("f0f1f2f3f4f5f6f7f8f9")
	out := make([]byte, len(okm))
	derive(out, ikm, salt, string(info))
	same(t, "HKDF", out, okm)
	same(t, "oracle's HKDF", oracleHKDF(ikm, salt, info, len(okm)), okm)

	// RFC 4231 §4.3.
	m := mac([]byte("Jefe"), []byte("what do ya want "), []byte("for nothing?"))
	same(t, "HMAC", m[:], unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))

	// draft-irtf-cfrg-xchacha-03 A.3.1.
	plain := []byte("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")
	sealed := seal(nil, unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
		unhex("404142434445464748494a4b4c4d4e4f5051525354555657"), plain, unhex("50515253c0c1c2c3c4c5c6c7"))
	same(t, "XChaCha20-Poly1305", sealed[:16], unhex("bd6d179d3e83d43b9576579493c0e939"))
	same(t, "XChaCha20-Poly1305 tag", sealed[len(plain):], unhex("c0875924c1c7987947deafd8780acf49"))

	// FIPS 202 and 180-4 examples.
	empty := sha3.Sum256(nil)
	same(t, "SHA3-256", empty[:], unhex("a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"))
	short, long := sha3.Sum256([]byte("abc")), sha3.Sum256(bytes.Repeat([]byte{0xa3}, 200))
	same(t, "SHA3-256 of abc", short[:], unhex("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"))
	same(t, "SHA3-256 of 1600 bits", long[:], unhex("79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787"))
	abc := sha512.Sum512([]byte("abc"))
	same(t, "SHA-512", abc[56:], unhex("2a9ac94fa54ca49f"))

	// RFC 8032 §7.1, for the queues' owners.
	key := ed25519.NewKeyFromSeed(unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
	same(t, "Ed25519", ed25519.Sign(key, nil), unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"))
}

// TestPublishedHPKE pins HPKE with X-Wing, as the containers of requests and
// resets use it, to a published vector.
func TestPublishedHPKE(t *testing.T) {
	var v struct {
		Source                                                                  string
		Private, Public, Info, Enc, AAD, Sealed, Plain, ExportContext, Exported hexBytes
	}
	if err := json.Unmarshal(must(os.ReadFile("testdata/hpke-xwing.json")), &v); err != nil {
		t.Fatal(err)
	}
	key := must(hpke.MLKEM768X25519().NewPrivateKey(v.Private))
	same(t, "public key", key.PublicKey().Bytes(), v.Public)
	open := func(enc []byte) ([]byte, error) {
		r, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), v.Info)
		if err != nil {
			return nil, err
		}
		exported, err := r.Export(string(v.ExportContext), len(v.Exported))
		if err == nil && bytes.Equal(enc, v.Enc) {
			same(t, "exported", exported, v.Exported)
		}
		return r.Open(v.AAD, v.Sealed)
	}
	same(t, "plain text", must(open(v.Enc)), v.Plain)
	for _, n := range []int{0, 32, 1088, 1119, 1121} {
		enc := append(bytes.Clone(v.Enc), 0)[:n]
		if _, err := open(enc); err == nil {
			t.Errorf("opened with an encapsulation of %d bytes", n)
		}
	}
	for _, at := range []int{0, 1087, 1088, 1119} { // ML-KEM ciphertext and X25519 key
		enc := bytes.Clone(v.Enc)
		enc[at] ^= 1
		if _, err := open(enc); err == nil {
			t.Errorf("opened with byte %d of the encapsulation changed", at)
		}
	}
}

// TestKEM: encapsulation with given randomness opens, a changed ciphertext is
// rejected implicitly, and the confirmation tells.
func TestKEM(t *testing.T) {
	dk := must(mlkem.NewDecapsulationKey768(bytes.Repeat([]byte{7}, kemSeedSize)))
	ss, ct, err := mlkemtest.Encapsulate768(dk.EncapsulationKey(), bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "secret", must(dk.Decapsulate(ct)), ss)
	ct[5] ^= 1
	other := must(dk.Decapsulate(ct))
	if bytes.Equal(other, ss) || bytes.Equal(pqConfirm(other, 1), pqConfirm(ss, 1)) {
		t.Error("a changed ciphertext goes unnoticed")
	}
	if bytes.Equal(pqConfirm(ss, 1), pqConfirm(ss, 2)) {
		t.Error("the confirmation does not depend on the epoch")
	}
}
