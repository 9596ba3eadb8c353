package directory

import (
	_ "embed" // the list is a file of its own
	"strings"
)

// wordlist is the English list of BIP 39 (MIT licence): 2,048 words for 11 bits
// each, in alphabetical order, of 3 to 8 letters, told apart by their first
// four. They were chosen to be heard and copied by hand.
//
//go:embed wordlist.txt
var wordlist string

// wordBits is how many bits a word of the list stands for.
const wordBits = 11

// words is the list in order: a word's index is its value.
var words = strings.Fields(wordlist)

// wordsOf returns n words for the first 11 n bits of b, most significant
// first.
func wordsOf(b []byte, n int) []string {
	list := make([]string, n)
	for i := range list {
		v := 0
		for bit := i * wordBits; bit < (i+1)*wordBits; bit++ {
			v = v<<1 | int(b[bit/8]>>(7-bit%8)&1)
		}
		list[i] = words[v]
	}
	return list
}
