package signer

import (
	"bytes"
	"testing"
)

func FuzzParseSigned(f *testing.F) {
	f.Add([]byte{})
	f.Add(signed{epoch: 1, attempt: 2, snapshot: []byte{3}, ledger: []byte{4, 5}, srv: []byte{}, proof: [][]byte{{6}, {7, 8}}}.append(nil))
	f.Add(signed{}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parseSigned(b)
		if err == nil && !bytes.Equal(g.append(nil), b) {
			t.Fatal("does not come back")
		}
	})
}
