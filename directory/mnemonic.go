package directory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// RootWordCount is how many words write down a root key (SPEC.md §2.8).
const RootWordCount = 24

// maxMnemonicText bounds what is typed before it is looked at, in bytes.
const maxMnemonicText = 1024

// ErrBadWords is returned for a text that is not the words of a root key.
var ErrBadWords = errors.New("directory: these are not the 24 words of a root key")

// WordError says which word of a root key is not in the list. It tells nothing
// of the other words.
type WordError struct {
	Position int      // counted from 1
	Near     []string // up to three words of the list that are spelled alike; may be empty
}

// Error names the position. The nearest words are left to the caller, who knows
// whether they may be shown.
func (e *WordError) Error() string {
	return fmt.Sprintf("%s: word %d is not in the list", ErrBadWords, e.Position)
}

// Unwrap returns ErrBadWords.
func (e *WordError) Unwrap() error { return ErrBadWords }

// RootWords writes the 32-byte seed of a root key as 24 words: the secret
// itself, for paper. A checksum of 8 bits is part of them.
func RootWords(seed [32]byte) []string {
	return wordsOf(append(seed[:], rootCheck(seed)), RootWordCount)
}

// rootCheck binds the words to this use: the words of a wallet are refused, and
// a mistyped word is caught in 255 of 256 cases.
func rootCheck(seed [32]byte) byte { return labelled(labelRootWords, seed[:])[0] }

// ParseRootWords reads 24 words in any case, between white space, each in full
// or by its first four letters; numbers such as "7." before them are ignored.
// Errors wrap ErrBadWords; that of an unknown word is a *WordError.
func ParseRootWords(text string) ([32]byte, error) {
	var seed [32]byte
	if len(text) > maxMnemonicText {
		return seed, fmt.Errorf("%w: too long", ErrBadWords)
	}
	typed := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsDigit(r) || r == '.'
	})
	bits := make([]byte, 0, 33)
	acc, have := 0, 0
	for i, w := range typed {
		v, ok := wordValue(w)
		if !ok {
			return seed, &WordError{Position: i + 1, Near: nearWords(w)}
		}
		acc, have = acc<<wordBits|v, have+wordBits
		for have >= 8 {
			bits = append(bits, byte(acc>>(have-8)))
			have -= 8
		}
		acc &= 1<<have - 1
	}
	if len(typed) != RootWordCount {
		return seed, fmt.Errorf("%w: %d words, not %d", ErrBadWords, len(typed), RootWordCount)
	}
	seed = [32]byte(bits)
	if bits[32] != rootCheck(seed) {
		return [32]byte{}, fmt.Errorf("%w: a word is wrong or two are swapped: the checksum does not fit", ErrBadWords)
	}
	return seed, nil
}

// RootPublic returns the public key of a root key's seed.
func RootPublic(seed [32]byte) [32]byte { return publicOf(ed25519.NewKeyFromSeed(seed[:])) }

// wordValue finds a word by its whole text or its first four letters.
func wordValue(w string) (int, bool) {
	i, ok := slices.BinarySearch(words, w)
	if !ok && len(w) == 4 && i < len(words) && strings.HasPrefix(words[i], w) {
		ok = true
	}
	return i, ok
}

// nearWords returns up to three words at the smallest distance from w, which is
// at most 2.
func nearWords(w string) []string {
	if len(w) > 16 {
		return nil
	}
	best, list := 3, []string(nil)
	for _, c := range words {
		d := distance(w, c)
		if d < best {
			best, list = d, nil
		}
		if d == best && d < 3 && len(list) < 3 {
			list = append(list, c)
		}
	}
	return list
}

// distance is how many letters must be put in, taken out, replaced or swapped
// with their neighbour to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
