package onion

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// TestHandshakeVectorByHand derives the recorded handshake's keys as the
// client, from the Noise specification's symmetric state and the primitives
// alone, without the library and without this package's code.
func TestHandshakeVectorByHand(t *testing.T) {
	raw, err := os.ReadFile("testdata/handshake.json")
	if err != nil {
		t.Fatal(err)
	}
	var v handshakeVector
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	create, created := mustHex(t, v.Create), mustHex(t, v.Created)

	// The client's secrets, in the order in which it draws them.
	stream := rand.NewChaCha8([32]byte(mustHex(t, v.ClientSeed)))
	seed, ePriv := make([]byte, 64), make([]byte, 32)
	io.ReadFull(stream, seed)
	io.ReadFull(stream, ePriv)
	dk, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdh.X25519().NewPrivateKey(ePriv)
	if err != nil {
		t.Fatal(err)
	}
	onionPriv, err := ecdh.X25519().NewPrivateKey(mustHex(t, v.Onion))
	if err != nil {
		t.Fatal(err)
	}
	onionPub := onionPriv.PublicKey()

	// Prologue: "hearsay/1 hop", version, suite, epoch, network, identity.
	pro := append([]byte("hearsay/1 hop"), 0, 1, 1)
	pro = append(pro, create[4:8]...)
	pro = append(pro, mustHex(t, v.Network)...)
	pro = append(pro, mustHex(t, v.Identity)...)
	if len(pro) != 84 {
		t.Fatalf("prologue has %d bytes", len(pro))
	}

	// Noise symmetric state.
	name := []byte("Noise_NKpsk2_25519_ChaChaPoly_SHA256")
	sum := func(parts ...[]byte) []byte {
		h := sha256.New()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	mac := func(k []byte, parts ...[]byte) []byte {
		m := hmac.New(sha256.New, k)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	h := sum(name) // the name has more than 32 bytes
	ck := h
	var k []byte
	var n byte
	mixHash := func(b []byte) { h = sum(h, b) }
	derive := func(ikm []byte) (a, b, c []byte) {
		tmp := mac(ck, ikm)
		a = mac(tmp, []byte{1})
		b = mac(tmp, a, []byte{2})
		c = mac(tmp, b, []byte{3})
		return a, b, c
	}
	mixKey := func(ikm []byte) { ck, k, _ = derive(ikm); n = 0 }
	open := func(ct []byte) []byte {
		a, _ := chacha20poly1305.New(k)
		nonce := make([]byte, 12)
		nonce[4] = n
		p, err := a.Open(nil, nonce, ct, h)
		if err != nil {
			t.Fatal("the recorded message does not open by hand")
		}
		n++
		mixHash(ct)
		return p
	}
	dh := func(k *ecdh.PrivateKey, pub []byte) []byte {
		p, err := ecdh.X25519().NewPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.ECDH(p)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	mixHash(pro)
	mixHash(onionPub.Bytes())
	// → e, es
	if !bytes.Equal(create[8:40], e.PublicKey().Bytes()) {
		t.Fatal("e is not where the table says")
	}
	mixHash(create[8:40])
	mixKey(create[8:40]) // psk modifier: e is mixed into the key too
	mixKey(dh(e, onionPub.Bytes()))
	payload := open(create[40:1256])
	if !bytes.Equal(payload[:1184], dk.EncapsulationKey().Bytes()) {
		t.Fatal("ek is not where the table says")
	}
	if !bytes.Equal(payload[1184:], []byte{1, 1, 1, 3, 4, 0, 64, 4, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Fatalf("options % x", payload[1184:])
	}
	// ← e, ee, psk
	re := created[1088:1120]
	mixHash(re)
	mixKey(re)
	mixKey(dh(e, re))
	ss, err := dk.Decapsulate(created[:1088])
	if err != nil {
		t.Fatal(err)
	}
	salt := sum([]byte("hearsay/1 kem"), pro, payload[:1184], created[:1088], create[8:])
	psk, err := hkdf.Key(sha256.New, ss, salt, "hearsay/1 mlkem768 psk2", 32)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(psk, mustHex(t, v.PSK)) {
		t.Fatal("psk differs")
	}
	var th []byte
	ck, th, k = derive(psk)
	mixHash(th)
	n = 0
	if got := open(created[1120:]); !bytes.Equal(got, []byte{3, 4, 0, 64, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Fatalf("options of the reply % x", got)
	}
	forward, backward, _ := derive(nil)
	if !bytes.Equal(forward, mustHex(t, v.Forward)) || !bytes.Equal(backward, mustHex(t, v.Backward)) {
		t.Fatal("keys differ")
	}
}
