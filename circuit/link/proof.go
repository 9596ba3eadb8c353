package link

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Specification constants of the proof (SPEC.md §3.2).
const (
	proofBackdate = 3 * 24 * time.Hour  // clients judge by snapshot time, which lags
	proofLife     = 30 * 24 * time.Hour // longest period of one proof
	proofRenew    = 24 * time.Hour      // implementation: how long a made proof is used

	version = 1
)

// proof binds a TLS leaf key to an identity for a while.
type proof struct {
	notBefore, notAfter uint32 // Unix seconds
	signature           [64]byte
	made                time.Time
}

// proofText is what the identity signs.
func proofText(network directory.NetworkID, leaf [32]byte, notBefore, notAfter uint32) []byte {
	b := make([]byte, 0, len(labelProof)+32+32+8)
	b = append(b, labelProof...)
	b = append(b, network[:]...)
	b = append(b, leaf[:]...)
	b = binary.BigEndian.AppendUint32(b, notBefore)
	return binary.BigEndian.AppendUint32(b, notAfter)
}

// makeProof signs for the leaf key, from three days before now on.
func makeProof(network directory.NetworkID, key ed25519.PrivateKey, leaf [32]byte, now time.Time) proof {
	nb := now.Add(-proofBackdate)
	p := proof{notBefore: uint32(nb.Unix()), notAfter: uint32(nb.Add(proofLife).Unix()), made: now}
	copy(p.signature[:], ed25519.Sign(key, proofText(network, leaf, p.notBefore, p.notAfter)))
	return p
}

// hello is the LINK_HELLO of a node with these credentials.
func (c *credentials) hello(role Role, now time.Time) cell.Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.proof.made); age < 0 || age > proofRenew {
		c.proof = makeProof(c.network, c.identity, c.link, now)
	}
	h := cell.Hello{
		Lowest: version, Highest: version,
		Role: byte(role), Network: c.network, Time: uint64(now.Unix()),
		Identity:  c.id,
		NotBefore: c.proof.notBefore, NotAfter: c.proof.notAfter, Proof: c.proof.signature,
	}
	return h
}

// Why a LINK_HELLO is refused. A peer never learns it.
var (
	errHelloVersion = errors.New("link: hello of another version")
	errHelloProof   = errors.New("link: hello proves no identity")
)

// checkHello decides whether a hello is good on a connection whose TLS
// handshake proved leaf (hasLeaf: at all), at the time now (SPEC.md §3.3).
func checkHello(h cell.Hello, network directory.NetworkID, leaf [32]byte, hasLeaf bool, now time.Time) error {
	if h.Network != network {
		return ErrWrongNet
	}
	if h.Lowest > version || h.Highest < version {
		return errHelloVersion
	}
	if Role(h.Role) == RoleClient {
		if hasLeaf {
			return errHelloProof // a client shows no certificate
		}
		return nil
	}
	if !hasLeaf || int64(h.NotAfter)-int64(h.NotBefore) > int64(proofLife/time.Second) {
		return errHelloProof
	}
	if t := now.Unix(); t < int64(h.NotBefore) || t > int64(h.NotAfter) {
		return errHelloProof
	}
	if !ed25519.Verify(h.Identity[:], proofText(network, leaf, h.NotBefore, h.NotAfter), h.Proof[:]) {
		return errHelloProof
	}
	return nil
}
