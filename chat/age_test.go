package chat

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestPublishedAge opens the files of the format's test kit, which its source
// names in testdata, as Restore opens a backup: files that were changed, cut or
// lengthened anywhere, with several or strange passphrases, or that ask for too
// much work, are refused, and nothing of a cut file is taken for the whole.
func TestPublishedAge(t *testing.T) {
	var v struct {
		Source string
		Cases  []struct {
			Name, Expect         string
			Payload, File        string // hex; SHA-256 of the plaintext
			Passphrase, Identity []string
			Zlib                 bool
		}
	}
	b, err := os.ReadFile("testdata/age.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Cases {
		file, err := hex.DecodeString(c.File)
		if err != nil {
			t.Fatal(err)
		}
		var in io.Reader = bytes.NewReader(file)
		if c.Zlib {
			if in, err = zlib.NewReader(in); err != nil {
				t.Fatal(err)
			}
		}
		var keys []age.Identity
		for _, p := range c.Passphrase {
			key, err := age.NewScryptIdentity(p)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		for _, s := range c.Identity {
			key, err := age.ParseX25519Identity(s)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		plain, got := openAge(in, keys)
		if want := strings.Replace(c.Expect, "HMAC", "header", 1); got != want {
			t.Errorf("%s: %s, want %s", c.Name, got, want)
		}
		if sum := sha256.Sum256(plain); c.Payload != "" && hex.EncodeToString(sum[:]) != c.Payload {
			t.Errorf("%s: another payload of %d bytes", c.Name, len(plain))
		}
	}
	if len(v.Cases) < 40 {
		t.Errorf("%d cases", len(v.Cases))
	}
}

// openAge names the outcome as the test kit does.
func openAge(in io.Reader, keys []age.Identity) (plain []byte, outcome string) {
	r, err := age.Decrypt(in, keys...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, "no match"
	case err != nil:
		return nil, "header failure"
	}
	plain, err = io.ReadAll(r)
	if err != nil {
		return plain, "payload failure"
	}
	return plain, "success"
}
