package chat

import (
	"unicode"

	"hearsay/chat/session"
)

// Code points that emoji are made with, beside pictographs.
const (
	emojiSelector = '\ufe0f' // shows the character before it as an emoji
	keycap        = '\u20e3'
)

// isEmoji tells whether a text is one emoji and nothing else: a pictograph with
// its selector and skin, several joined by joiners, a flag of two regional
// indicators, or a keycap. What it accepts is one character on a screen, holds
// no control of direction, and is not changed by Sanitize.
func isEmoji(s string) bool {
	if s == "" || len(s) > session.MaxReaction || Sanitize(s) != s {
		return false
	}
	runes := []rune(s)
	switch first := runes[0]; {
	case isRegional(first):
		return len(runes) == 2 && isRegional(runes[1])
	case first == '#' || first == '*' || first >= '0' && first <= '9':
		rest := string(runes[1:])
		return rest == string(emojiSelector)+string(keycap) || rest == string(keycap)
	}
	for {
		if len(runes) == 0 || !isPictograph(runes[0]) || isSkin(runes[0]) {
			return false
		}
		runes = runes[1:]
		if len(runes) > 0 && (runes[0] == emojiSelector || isSkin(runes[0])) {
			runes = runes[1:]
		}
		if len(runes) == 0 {
			return true
		}
		if runes[0] != zeroWidthJoiner {
			return false
		}
		runes = runes[1:]
	}
}

func isRegional(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }

func isSkin(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// isPictograph adds to those that may be joined the few that stand alone.
func isPictograph(r rune) bool {
	if !unicode.IsPrint(r) {
		return false
	}
	switch {
	case pictograph(r), r >= 0x1f004 && r <= 0x1f251 && !isRegional(r), r >= 0x2300 && r <= 0x23ff,
		r >= 0x25aa && r <= 0x25fe, r >= 0x2900 && r <= 0x297f:
		return true
	}
	switch r {
	case '©', '®', '‼', '⁉', '™', 'ℹ', 'Ⓜ', '〰', '〽', '㊗', '㊙':
		return true
	}
	return false
}
