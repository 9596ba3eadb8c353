package directory

import (
	"crypto/sha256"
	"encoding/binary"
)

// NamedBy tells whether a hash names the bytes, as headers, votes and logs name
// what can be had by its hash: it is the SHA-256 of the bytes, or that of the
// signed body in a document, a head or a signer's message. Of a hash whose second
// half is zero the first half counts. It verifies no signature.
func NamedBy(hash [32]byte, raw []byte) bool {
	if matches(hash, sha256.Sum256(raw)) {
		return true
	}
	doc := raw
	if len(raw) > 2 {
		// A signer's message begins with the length of its certificate; a document
		// with 0x83, so that no length fits both.
		if n := 2 + int(binary.BigEndian.Uint16(raw)); n <= 2+maxCertificate && n < len(raw) {
			doc = raw[n:]
		}
	}
	var d document
	if err := decode(doc, MaxVote, &d); err == nil {
		return matches(hash, d.hash())
	}
	h, err := ParseHead(raw)
	return err == nil && matches(hash, h.Hash())
}

func matches(name, sum [32]byte) bool {
	if [16]byte(name[16:]) == [16]byte{} {
		return [16]byte(name[:16]) == [16]byte(sum[:16])
	}
	return name == sum
}
