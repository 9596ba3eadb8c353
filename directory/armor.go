package directory

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxArmorText bounds the text form of a document before it is decoded, in
// bytes, white space included (SPEC.md §2.5).
const maxArmorText = 8192

// armor returns the text form of a document: the prefix and upper-case base32,
// which a QR code holds in its denser alphabet.
func armor(prefix string, raw []byte) string { return prefix + idText.EncodeToString(raw) }

// unarmor returns the document in b, which is its text form or the document
// itself.
func unarmor(prefix string, b []byte) ([]byte, error) {
	start := bytes.TrimSpace(b[:min(len(b), maxArmorText)])
	if len(start) < len(prefix) || !strings.EqualFold(string(start[:len(prefix)]), prefix) {
		return b, nil
	}
	if len(b) > maxArmorText || !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: %d bytes of text", ErrTooLarge, len(b))
	}
	raw, err := decodeText(strip(string(b))[len(prefix):])
	if err != nil {
		return nil, fmt.Errorf("%w: a character is missing or mistyped", ErrNotCanonical)
	}
	return raw, nil
}

// certificatePrefix begins the text form of a certificate.
const certificatePrefix = "HEARSAY-CERT:"

// CertificateText returns the text form of a certificate, for carrying it
// between the computer with the identity key and the one that signs.
func CertificateText(raw []byte) string { return armor(certificatePrefix, raw) }

// CertificateBytes returns the certificate in b, in its text or binary form. It
// verifies nothing.
func CertificateBytes(b []byte) ([]byte, error) {
	raw, err := unarmor(certificatePrefix, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	return raw, nil
}
