package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/json"
	"errors"
	stdhash "hash"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// publishedCase has the fields of all files of testdata/published; each file
// names its source.
type publishedCase struct {
	ID      int
	Comment string
	Flags   []string
	Result  string // valid, invalid, or acceptable: computed, unless the result is all zero

	Private, Public, Shared      hexBytes
	Message, Sig, Key, Tag       hexBytes
	IKM, Salt, Info, OKM         hexBytes
	Nonce, AAD, Plain, Sealed    hexBytes
	Seed, EK, Ciphertext, Secret hexBytes
	Random                       hexBytes
	Size                         int
}

func published(t *testing.T, name string) []publishedCase {
	t.Helper()
	var v struct {
		Source string
		Cases  []publishedCase
	}
	d := json.NewDecoder(bytes.NewReader(must(os.ReadFile(filepath.Join("testdata", "published", name+".json")))))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || v.Source == "" || len(v.Cases) == 0 {
		t.Fatalf("%s: %d cases, %v", name, len(v.Cases), err)
	}
	return v.Cases
}

// verdictOn compares what a case expects with what was computed.
func (c publishedCase) verdictOn(t *testing.T, got, want []byte, err error) {
	t.Helper()
	switch {
	case c.Result == "invalid" && err == nil:
		t.Errorf("case %d (%s %q): taken", c.ID, c.Flags, c.Comment)
	case c.Result != "invalid" && err != nil:
		t.Errorf("case %d (%s %q): %v", c.ID, c.Flags, c.Comment, err)
	case c.Result != "invalid" && !bytes.Equal(got, want):
		t.Errorf("case %d (%s %q): %x, want %x", c.ID, c.Flags, c.Comment, got, want)
	}
}

// TestPublishedX25519 covers points of low order, on the twist, not in canonical
// form and with edge cases of the arithmetic. What does not depend on our key is
// refused.
func TestPublishedX25519(t *testing.T) {
	refused := 0
	for _, c := range published(t, "x25519") {
		got, err := agree(must(ecdh.X25519().NewPrivateKey(c.Private)), c.Public)
		if allZero(c.Shared) {
			refused++
			if !errors.Is(err, ErrAuth) {
				t.Errorf("case %d (%q): result of zeros: %v", c.ID, c.Comment, err)
			}
			continue
		}
		c.verdictOn(t, got, c.Shared, err)
	}
	if refused < 31 {
		t.Errorf("only %d cases of low order", refused)
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := agree(must(newDH(seeded("x"))), make([]byte, n)); !errors.Is(err, ErrAuth) {
			t.Errorf("a point of %d bytes: %v", n, err)
		}
	}
}

// TestPublishedEd25519 covers signatures that are malleable, truncated, padded
// or of points in another encoding.
func TestPublishedEd25519(t *testing.T) {
	for _, c := range published(t, "ed25519") {
		var err error
		if !ed25519.Verify(ed25519.PublicKey(c.Public), c.Message, c.Sig) {
			err = ErrAuth
		}
		c.verdictOn(t, nil, nil, err)
	}
}

func TestPublishedHKDF(t *testing.T) {
	for _, c := range published(t, "hkdf_sha256") {
		got, err := hkdf.Key(sha256.New, c.IKM, c.Salt, string(c.Info), c.Size)
		c.verdictOn(t, got, c.OKM, err)
		if c.Result == "valid" {
			out := make([]byte, c.Size)
			derive(out, c.IKM, c.Salt, string(c.Info))
			same(t, "derive", out, c.OKM)
			same(t, "oracle", oracleHKDF(c.IKM, c.Salt, c.Info, c.Size), c.OKM)
		}
	}
}

func TestPublishedHMAC(t *testing.T) {
	for name, of := range map[string]func() stdhash.Hash{"hmac_sha256": sha256.New, "hmac_sha3_256": func() stdhash.Hash { return sha3.New256() }} {
		for _, c := range published(t, name) {
			h := hmac.New(of, c.Key)
			h.Write(c.Message)
			var err error
			if !hmac.Equal(h.Sum(nil)[:len(c.Tag)], c.Tag) {
				err = ErrAuth
			}
			c.verdictOn(t, nil, nil, err)
			if name == "hmac_sha256" && c.Result == "valid" {
				m, o := mac(c.Key, c.Message), oracleHMAC(c.Key, c.Message)
				same(t, "mac", m[:len(c.Tag)], c.Tag)
				same(t, "oracle", o[:len(c.Tag)], c.Tag)
			}
		}
	}
}

// TestPublishedAEAD covers both ciphers. A tag that was changed, cut or made
// longer does not hold, and other lengths of nonces are no nonces.
func TestPublishedAEAD(t *testing.T) {
	for _, c := range published(t, "chacha20_poly1305") {
		a := must(chacha20poly1305.New(c.Key))
		if len(c.Nonce) != a.NonceSize() {
			continue // files have nonces of 12 bytes by their type
		}
		got, err := a.Open(nil, c.Nonce, append(bytes.Clone(c.Sealed), c.Tag...), c.AAD)
		c.verdictOn(t, got, c.Plain, err)
		if c.Result == "valid" {
			same(t, "sealed", a.Seal(nil, c.Nonce, c.Plain, c.AAD), append(bytes.Clone(c.Sealed), c.Tag...))
		}
	}
	for _, c := range published(t, "xchacha20_poly1305") {
		sealed := append(bytes.Clone(c.Sealed), c.Tag...)
		if len(c.Nonce) != nonceSize {
			if !panics(func() { _, _ = open(nil, c.Key, c.Nonce, sealed, c.AAD) }) {
				t.Errorf("case %d: a nonce of %d bytes is taken", c.ID, len(c.Nonce))
			}
			continue
		}
		got, err := open(nil, c.Key, c.Nonce, sealed, c.AAD)
		c.verdictOn(t, got, c.Plain, err)
		if c.Result != "valid" {
			continue
		}
		same(t, "sealed", seal(nil, c.Key, c.Nonce, c.Plain, c.AAD), sealed)
		for n := range tagSize {
			if _, err := open(nil, c.Key, c.Nonce, sealed[:len(c.Sealed)+n], c.AAD); !errors.Is(err, ErrAuth) {
				t.Errorf("case %d with a tag of %d bytes: %v", c.ID, n, err)
			}
		}
		if _, err := open(nil, c.Key, c.Nonce, append(sealed, 0), c.AAD); !errors.Is(err, ErrAuth) {
			t.Errorf("case %d with a byte behind: %v", c.ID, err)
		}
	}
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// TestPublishedMLKEM covers keys and ciphertexts of wrong lengths, keys that are
// not reduced and implicit rejection.
func TestPublishedMLKEM(t *testing.T) {
	for _, c := range published(t, "mlkem_768") {
		dk, err := mlkem.NewDecapsulationKey768(c.Seed)
		var got []byte
		if err == nil {
			if c.EK != nil {
				same(t, "public key", dk.EncapsulationKey().Bytes(), c.EK)
			}
			got, err = dk.Decapsulate(c.Ciphertext)
		}
		c.verdictOn(t, got, c.Secret, err)
	}
	for _, c := range published(t, "mlkem_768_encaps") {
		if err := checkKEM(c.EK); (err == nil) != (c.Result == "valid") {
			t.Errorf("case %d (%q): checkKEM = %v", c.ID, c.Comment, err)
		}
		ek, err := mlkem.NewEncapsulationKey768(c.EK)
		if err != nil {
			c.verdictOn(t, nil, nil, err)
			if len(c.EK) == kemKeySize { // the same in an X-Wing key
				if _, err := hpke.MLKEM768X25519().NewPublicKey(append(bytes.Clone(c.EK), make([]byte, 32)...)); err == nil {
					t.Errorf("case %d (%q): taken in an X-Wing key", c.ID, c.Comment)
				}
			}
			continue
		}
		secret, text, err := mlkemtest.Encapsulate768(ek, c.Random)
		c.verdictOn(t, append(secret, text...), append(bytes.Clone(c.Secret), c.Ciphertext...), err)
	}
}
