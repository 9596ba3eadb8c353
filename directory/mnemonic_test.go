package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestWordlist pins the list: one changed word changes every root key that was
// written down.
func TestWordlist(t *testing.T) {
	if len(words) != 2048 || !slices.IsSorted(words) {
		t.Fatalf("%d words, sorted: %v", len(words), slices.IsSorted(words))
	}
	// Published with BIP 39: SHA-256 of its english.txt, a word to a line.
	sum := sha256.Sum256([]byte(strings.Join(words, "\n") + "\n"))
	if got := hex.EncodeToString(sum[:]); got != "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda" {
		t.Errorf("list %s", got)
	}
	short := map[string]bool{}
	for _, w := range words {
		if len(w) < 3 || len(w) > 8 || short[w[:min(4, len(w))]] {
			t.Errorf("%q", w)
		}
		short[w[:min(4, len(w))]] = true
	}
}

// TestWordsOf compares with bits counted by hand.
func TestWordsOf(t *testing.T) {
	// 00000000 001|00000 000010|11 11111111 1|...
	got := wordsOf([]byte{0x00, 0x20, 0x0b, 0xff, 0x80}, 3)
	if want := []string{words[1], words[2], words[2047]}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func testSeed() (s [32]byte) { return sha256.Sum256([]byte("a root key")) }

func TestRootWords(t *testing.T) {
	seed := testSeed()
	list := RootWords(seed)
	if len(list) != 24 {
		t.Fatalf("%d words", len(list))
	}
	var numbered, short []string
	for i, w := range list {
		numbered = append(numbered, strings.Repeat(" ", i%3)+string(rune('1'+i%9))+". "+strings.ToUpper(w))
		short = append(short, w[:min(4, len(w))])
	}
	for name, text := range map[string]string{
		"plain": strings.Join(list, " "), "lines": strings.Join(list, "\r\n") + "\n",
		"numbered": strings.Join(numbered, "\n"), "four letters": strings.Join(short, "\t"),
	} {
		if got, err := ParseRootWords(text); err != nil || got != seed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if RootPublic([32]byte(testKey("root").Seed())) != publicOf(testKey("root")) {
		t.Error("another public key")
	}
}

func TestMistypedRootWords(t *testing.T) {
	seed := testSeed()
	list := RootWords(seed)
	with := func(i int, w string) string {
		l := slices.Clone(list)
		l[i] = w
		return strings.Join(l, " ")
	}
	var unknown *WordError
	for typed, want := range map[string][]string{
		"zeebra": {"zebra"}, "hamster's": {"hamster"}, "baot": {"boat"}, "xxxxxxxx": nil, strings.Repeat("q", 99): nil,
	} {
		_, err := ParseRootWords(with(7, typed))
		if !errors.As(err, &unknown) || unknown.Position != 8 || !errors.Is(err, ErrBadWords) {
			t.Errorf("%q: %v", typed, err)
			continue
		}
		if !slices.Equal(unknown.Near, want) {
			t.Errorf("%q: near %v, want %v", typed, unknown.Near, want)
		}
		if strings.Contains(err.Error(), typed) {
			t.Errorf("the error repeats %q", typed)
		}
	}
	if _, err := ParseRootWords(with(0, "ab")); !errors.As(err, &unknown) || len(unknown.Near) > 3 {
		t.Errorf("many words are near: %v", err)
	}
	for name, text := range map[string]string{
		"nothing": "", "23 words": strings.Join(list[:23], " "), "25 words": strings.Join(list, " ") + " zoo", "long": strings.Repeat(" ", 1025),
	} {
		if _, err := ParseRootWords(text); !errors.Is(err, ErrBadWords) || errors.As(err, new(*WordError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The checksum of 8 bits catches all but 1 in 256 replaced words.
	caught := 0
	for i := range list {
		for _, w := range []string{"abandon", "zoo", "ocean", "pencil"} {
			if _, err := ParseRootWords(with(i, w)); w == list[i] || err != nil {
				caught++
			}
		}
	}
	if caught < 92 {
		t.Errorf("%d of 96 wrong words were caught", caught)
	}
}

// TestWalletWordsAreNoRootKey takes a published test vector of BIP 39.
func TestWalletWordsAreNoRootKey(t *testing.T) {
	if _, err := ParseRootWords(strings.Repeat("abandon ", 23) + "art"); !errors.Is(err, ErrBadWords) {
		t.Errorf("the words of a wallet: %v", err)
	}
}

// TestWordsByOtherHands compares with words that a program in another language
// computed from the rules of the specification and the published list.
func TestWordsByOtherHands(t *testing.T) {
	const root = "lamp oval differ gallery fantasy rotate shadow math leave rookie squeeze smile " +
		"impulse awake next hand taxi churn awkward immune shaft repair monkey ceiling"
	if got := strings.Join(RootWords(testSeed()), " "); got != root {
		t.Errorf("a root key is %q", got)
	}
	d, err := DraftFounding(communityFile(t, 3))
	check(t, err)
	const draft = "belt maple repair student undo attack tribe spider holiday refuse"
	if got := strings.Join(d.Words(), " "); got != draft {
		t.Errorf("the draft reads %q", got)
	}
}
