package directory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of signed documents.
var (
	ErrSignature = errors.New("directory: signature does not verify")
	ErrWrongType = errors.New("directory: document of another type")
)

// maxSignatures bounds the signatures of one document: nine roots of the old
// and nine of the new version of a network file.
const maxSignatures = 18

// document is the wrapper of every signed document (SPEC.md §1.2).
type document struct {
	_          struct{} `cbor:",toarray"`
	Type       string
	Body       []byte
	Signatures []signature
}

// signature is one signature of a document, named by the first eight bytes of
// the key that made it.
type signature struct {
	_   struct{} `cbor:",toarray"`
	Key KeyID
	Sig [ed25519.SignatureSize]byte
}

// openDocument decodes a wrapper of the given label and checks its form. It
// verifies no signature.
func openDocument(label string, b []byte, limit int) (document, error) {
	var d document
	if err := decode(b, limit, &d); err != nil {
		return d, err
	}
	if labelPrefix+d.Type != label {
		return d, ErrWrongType
	}
	if len(d.Signatures) == 0 || len(d.Signatures) > maxSignatures {
		return d, fmt.Errorf("%w: %d signatures", ErrSignature, len(d.Signatures))
	}
	for i := 1; i < len(d.Signatures); i++ {
		if bytes.Compare(d.Signatures[i-1].Key[:], d.Signatures[i].Key[:]) >= 0 {
			return d, ErrNotCanonical
		}
	}
	return d, nil
}

// sealDocument wraps body with one signature of each key.
func sealDocument(label string, network NetworkID, body []byte, keys ...ed25519.PrivateKey) ([]byte, error) {
	d := document{Type: strings.TrimPrefix(label, labelPrefix), Body: body}
	for _, k := range keys {
		d.add(signBody(label, network, body, k))
	}
	return encode(&d)
}

// add inserts a signature in its place, replacing an older one of the same key.
func (d *document) add(s signature) {
	i, found := slices.BinarySearchFunc(d.Signatures, s, func(a, b signature) int {
		return bytes.Compare(a.Key[:], b.Key[:])
	})
	if found {
		d.Signatures[i] = s
		return
	}
	d.Signatures = slices.Insert(d.Signatures, i, s)
}

// signedBy tells whether the document bears a valid signature of pub.
func (d *document) signedBy(label string, network NetworkID, pub [32]byte) bool {
	id := keyID(pub)
	for i := range d.Signatures {
		if d.Signatures[i].Key == id {
			return ed25519.Verify(pub[:], signedText(label, network, d.Body), d.Signatures[i].Sig[:])
		}
	}
	return false
}

// hash is the SHA-256 of the body: it names a document whatever subset of its
// signers signed this copy.
func (d *document) hash() [32]byte { return sha256.Sum256(d.Body) }

func signBody(label string, network NetworkID, body []byte, key ed25519.PrivateKey) signature {
	s := signature{Key: keyID(publicOf(key))}
	copy(s.Sig[:], ed25519.Sign(key, signedText(label, network, body)))
	return s
}

// signedText is what every signature of this package covers (SPEC.md §1.3).
func signedText(label string, network NetworkID, body []byte) []byte {
	t := make([]byte, 0, len(label)+1+len(network)+len(body))
	t = append(t, label...)
	t = append(t, 0)
	t = append(t, network[:]...)
	return append(t, body...)
}

// labelled hashes label, a zero byte and the parts.
func labelled(label string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
