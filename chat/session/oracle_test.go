package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// oracle is a second reader of blocks, written from SPEC.md alone: HKDF by hand
// out of HMAC, offsets as numbers, skipped keys in a map without limits, and
// nothing shared with the package. It follows one direction of a session.
type oracle struct {
	th, rk, nhkr [32]byte
	hk, ck       [32]byte // current receiving chain
	haveChain    bool
	next         uint32
	skipped      map[[32]byte]map[uint32][32]byte // by header key
	epoch        uint32

	// private is the key whose public half the peer answers; mix returns the
	// outcome of an exchange.
	private [32]byte
	mix     func(epoch uint32) (ss, bind [32]byte)
}

var errOracle = errors.New("oracle: cannot read")

func oracleHMAC(key []byte, data ...[]byte) (out [32]byte) {
	h := hmac.New(sha256.New, key)
	for _, d := range data {
		h.Write(d)
	}
	copy(out[:], h.Sum(nil))
	return out
}

func oracleHKDF(secret, salt, info []byte, n int) []byte {
	if salt == nil {
		salt = make([]byte, 32)
	}
	prk := oracleHMAC(salt, secret)
	var out, t []byte
	for i := byte(1); len(out) < n; i++ {
		b := oracleHMAC(prk[:], t, info, []byte{i})
		t = b[:]
		out = append(out, t...)
	}
	return out[:n]
}

func oracleOpen(key, nonce, sealed, aad []byte) ([]byte, bool) {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, false
	}
	p, err := a.Open(nil, nonce, sealed, aad)
	return p, err == nil
}

// oracleOuter opens a block: nonce, sealed inner, bound to the SID.
func oracleOuter(queueKey [32]byte, sid [24]byte, block []byte) ([]byte, error) {
	k := oracleHKDF(queueKey[:], nil, []byte("hearsay/1 queue\x00"), 96)
	inner, ok := oracleOpen(k[:32], block[:24], block[24:1024], sid[:])
	if !ok {
		return nil, errOracle
	}
	h := sha256.Sum256(inner)
	if n := oracleHMAC(k[32:64], h[:]); !bytes.Equal(n[:24], block[:24]) {
		return nil, errOracle
	}
	return inner, nil
}

func oracleMessageID(queueKey [32]byte, inner []byte) []byte {
	k := oracleHKDF(queueKey[:], nil, []byte("hearsay/1 queue\x00"), 96)
	h := sha256.Sum256(inner)
	id := oracleHMAC(k[64:], h[:])
	return id[:8]
}

// read opens an inner block and returns its body.
func (o *oracle) read(inner []byte) ([]byte, error) {
	if len(inner) != 984 || !bytes.Equal(inner[:4], []byte{1, 1, 0, 0}) {
		return nil, errOracle
	}
	aad := append(o.th[:], inner[:4]...)
	if o.haveChain {
		if h, ok := oracleOpen(o.hk[:], inner[4:28], inner[28:92], aad); ok {
			n := binary.BigEndian.Uint32(h[36:])
			if n < o.next {
				return o.readSkipped(o.hk, n, inner)
			}
			o.skip(n)
			return o.body(o.step(), inner)
		}
	}
	if h, ok := oracleOpen(o.nhkr[:], inner[4:28], inner[28:92], aad); ok {
		pn, n, epoch := binary.BigEndian.Uint32(h[32:]), binary.BigEndian.Uint32(h[36:]), binary.BigEndian.Uint32(h[40:])
		o.skip(pn)
		k, err := ecdh.X25519().NewPrivateKey(o.private[:])
		if err != nil {
			return nil, err
		}
		pub, err := ecdh.X25519().NewPublicKey(h[:32])
		if err != nil {
			return nil, err
		}
		dh, err := k.ECDH(pub)
		if err != nil {
			return nil, err
		}
		info := []byte("hearsay/1 rk\x00")
		if epoch != o.epoch {
			ss, bind := o.mix(epoch)
			dh = append(dh, ss[:]...)
			info = binary.BigEndian.AppendUint32([]byte("hearsay/1 rk pq\x00"), epoch)
			info = append(info, bind[:]...)
			o.epoch = epoch
		}
		k3 := oracleHKDF(dh, o.rk[:], info, 96)
		o.hk = o.nhkr
		copy(o.rk[:], k3)
		copy(o.ck[:], k3[32:])
		copy(o.nhkr[:], k3[64:])
		o.haveChain, o.next = true, 0
		o.skip(n)
		return o.body(o.step(), inner)
	}
	for hk := range o.skipped {
		if h, ok := oracleOpen(hk[:], inner[4:28], inner[28:92], aad); ok {
			return o.readSkipped(hk, binary.BigEndian.Uint32(h[36:]), inner)
		}
	}
	return nil, errOracle
}

func (o *oracle) skip(to uint32) {
	for o.haveChain && o.next < to {
		n := o.next
		if o.skipped[o.hk] == nil {
			o.skipped[o.hk] = map[uint32][32]byte{}
		}
		o.skipped[o.hk][n] = o.step()
	}
}

func (o *oracle) step() [32]byte {
	mk := oracleHMAC(o.ck[:], []byte{1})
	o.ck = oracleHMAC(o.ck[:], []byte{2})
	o.next++
	return mk
}

func (o *oracle) readSkipped(hk [32]byte, n uint32, inner []byte) ([]byte, error) {
	mk, ok := o.skipped[hk][n]
	if !ok {
		return nil, ErrDuplicate
	}
	delete(o.skipped[hk], n)
	return o.body(mk, inner)
}

func (o *oracle) body(mk [32]byte, inner []byte) ([]byte, error) {
	k := oracleHKDF(mk[:], inner[4:28], []byte("hearsay/1 msg\x00"), 56)
	aad := append(append([]byte(nil), o.th[:]...), inner[:92]...)
	b, ok := oracleOpen(k[:32], k[32:], inner[92:], aad)
	if !ok {
		return nil, errOracle
	}
	return b, nil
}

// oracleFrame reads a body by offsets.
func oracleFrame(b []byte) (typ byte, index, count uint16, seq, ack uint64, content []byte) {
	n := binary.BigEndian.Uint16(b[2:])
	return b[0], binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]),
		binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), b[72 : 72+n]
}
