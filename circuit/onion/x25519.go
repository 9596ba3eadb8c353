package onion

import (
	"crypto/ecdh"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// x25519 is the Diffie-Hellman function of one Noise handshake. The library's
// own derives the public key of a private one at every use; this one keeps the
// parsed keys, which halves the cost of a handshake. It serves one handshake
// and knows at most two private keys: the static and the ephemeral one.
type x25519 struct {
	keys [2]*ecdh.PrivateKey
	raw  [2][]byte // identity of the slice that Noise holds
	n    int
}

// keep registers a private key and returns it in Noise's form.
func (d *x25519) keep(k *ecdh.PrivateKey) noise.DHKey {
	raw := k.Bytes()
	d.keys[d.n], d.raw[d.n] = k, raw
	d.n++
	return noise.DHKey{Private: raw, Public: k.PublicKey().Bytes()}
}

// GenerateKeypair makes an ephemeral key.
func (d *x25519) GenerateKeypair(rnd io.Reader) (noise.DHKey, error) {
	var b [32]byte
	if _, err := io.ReadFull(rnd, b[:]); err != nil {
		return noise.DHKey{}, err
	}
	k, err := ecdh.X25519().NewPrivateKey(b[:])
	clear(b[:])
	if err != nil {
		return noise.DHKey{}, err
	}
	return d.keep(k), nil
}

// DH refuses low-order points: crypto/ecdh fails on an all-zero result.
func (d *x25519) DH(private, public []byte) ([]byte, error) {
	pub, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	for i := range d.n {
		if &d.raw[i][0] == &private[0] {
			return d.keys[i].ECDH(pub)
		}
	}
	return nil, fmt.Errorf("onion: unknown private key")
}

// DHLen returns 32.
func (d *x25519) DHLen() int { return 32 }

// DHName returns the name in the Noise protocol name.
func (d *x25519) DHName() string { return "25519" }
