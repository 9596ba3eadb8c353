package session

import (
	"crypto/subtle"
	"fmt"
	"io"
	"strings"
)

// SASNonceSize is the length of the contents of the three frames by which two
// contacts agree on words to compare: FrameSASHash, FrameSASNonce, FrameSASOpen.
const SASNonceSize = 32

const (
	sasBits    = 10
	sasCount   = 4
	sasListing = 1 << sasBits
)

// NewSASNonce draws a nonce.
func NewSASNonce(rand io.Reader) (n [SASNonceSize]byte, err error) {
	if _, err = io.ReadFull(rand, n[:]); err != nil {
		return n, fmt.Errorf("draw nonce: %w", err)
	}
	return n, nil
}

// ParseSAS parses the content of one of the three frames.
func ParseSAS(content []byte) ([SASNonceSize]byte, error) {
	if len(content) != SASNonceSize {
		return [SASNonceSize]byte{}, fmt.Errorf("words: %w", ErrFormat)
	}
	return [SASNonceSize]byte(content), nil
}

// SASCommit is what who begins sends first: it binds them to their nonce before
// they know the other's.
func SASCommit(nonce [SASNonceSize]byte) [SASNonceSize]byte {
	return hash(labelSASCommit, nonce[:])
}

// SASOpens reports whether nonce is the one that was committed to.
func SASOpens(commit, nonce [SASNonceSize]byte) bool {
	want := SASCommit(nonce)
	return subtle.ConstantTimeCompare(want[:], commit[:]) == 1
}

// SASWords returns the four words that both sides see if they hold the same
// keys, separated by spaces. who are the identities that the comparison is
// about, begun says whether we began it, and a is the nonce of who did.
func (s *State) SASWords(who Identities, begun bool, a, b [SASNonceSize]byte) string {
	first, second := who[:keySize], who[keySize:]
	if !begun {
		first, second = second, first
	}
	var out [sasBits * sasCount / 8]byte
	nonces := append(append(make([]byte, 0, 2*SASNonceSize), a[:]...), b[:]...)
	derive(out[:], nonces, s.renewal.first[:], labelSAS+string(first)+string(second))
	var v uint64
	for _, c := range out {
		v = v<<8 | uint64(c)
	}
	list := strings.Fields(sasWords)
	words := make([]string, sasCount)
	for i := range words {
		words[i] = list[v>>(sasBits*(sasCount-1-i))&(sasListing-1)]
	}
	return strings.Join(words, " ")
}
