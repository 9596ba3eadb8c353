package session

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"strings"
)

const (
	safetyRounds = 5200 // makes a search for look-alikes dearer
	safetyGroups = 12
)

// safetyNumber is the same for both orders of the keys.
func safetyNumber(a, b [keySize]byte) string {
	if bytes.Compare(a[:], b[:]) > 0 { // public keys
		a, b = b, a
	}
	keys := append(a[:], b[:]...)
	sum := sha512.Sum512(append([]byte(labelSafety), keys...))
	var buf [sha512.Size + 2*keySize]byte
	copy(buf[sha512.Size:], keys)
	for range safetyRounds - 1 {
		copy(buf[:], sum[:])
		sum = sha512.Sum512(buf[:])
	}
	groups := make([]string, safetyGroups)
	for i := range groups {
		var v uint64
		for _, c := range sum[5*i : 5*i+5] {
			v = v<<8 | uint64(c)
		}
		groups[i] = fmt.Sprintf("%05d", v%100000)
	}
	return strings.Join(groups, " ")
}
