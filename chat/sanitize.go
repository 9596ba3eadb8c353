package chat

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks one character may carry. It stops texts
// that climb over their neighbours and cost a terminal seconds.
const maxMarks = 4

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// Sanitize makes a string of a peer safe to show: invalid UTF-8 becomes
// U+FFFD; tabs become spaces; C0, DEL and C1 controls go, except newline;
// format characters go, so every bidi control does, except joiners between two
// emoji or two letters of a script that joins; and a character keeps at most
// four combining marks. The result holds no ESC, and sanitizing it again
// changes nothing. Texts on the RPC interface are not sanitized: JSON escapes
// them.
func Sanitize(s string) string {
	if clean(s) {
		return s
	}
	runes := make([]rune, 0, len(s))
	for _, r := range s { // range yields U+FFFD for invalid bytes
		switch {
		case r == '\t':
			runes = append(runes, ' ')
		case r == '\n', r == zeroWidthJoiner, r == zeroWidthNonJoiner:
			runes = append(runes, r)
		case dropped(r):
		default:
			runes = append(runes, r)
		}
	}
	return joinable(limitMarks(runes))
}

// SanitizeName sanitizes a name: one line, no space at its ends.
func SanitizeName(s string) string {
	return strings.Join(strings.Fields(Sanitize(s)), " ")
}

// SanitizeFileName reduces a peer's file name to a base name without leading
// dots that can be created in any directory. It may be empty.
func SanitizeFileName(s string) string {
	s = SanitizeName(strings.ReplaceAll(s, `\`, "/"))
	s = path.Base(path.Clean("/" + s))
	return strings.TrimSpace(strings.TrimLeft(s, "./ "))
}

// clean is the common case: printable ASCII and newlines.
func clean(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '\n' && (c < 0x20 || c >= 0x7f) {
			return false
		}
	}
	return true
}

// dropped tells the characters that are never shown: controls, format
// characters, the line and paragraph separators, and what Unicode leaves
// without meaning here (surrogates, private use, noncharacters).
func dropped(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) ||
		r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef || !utf8.ValidRune(r)
}

// limitMarks drops combining marks beyond maxMarks of a character. Joiners do
// not begin a new character, so that they cannot smuggle marks.
func limitMarks(runes []rune) []rune {
	kept := runes[:0]
	marks := 0
	for _, r := range runes {
		switch {
		case unicode.Is(unicode.M, r):
			if marks++; marks > maxMarks {
				continue
			}
		case r == zeroWidthJoiner, r == zeroWidthNonJoiner:
		default:
			marks = 0
		}
		kept = append(kept, r)
	}
	return kept
}

// joinable drops joiners that do not stand between two emoji or two letters of
// one script that joins.
func joinable(runes []rune) string {
	var out strings.Builder
	before := rune(-1) // the last character written, marks and selectors skipped
	joined := false    // a joiner was the last thing written
	for i, r := range runes {
		if r != zeroWidthJoiner && r != zeroWidthNonJoiner {
			out.WriteRune(r)
			if !unicode.Is(unicode.M, r) {
				before = r
			}
			joined = false
			continue
		}
		if !joined && i+1 < len(runes) && joins(before, runes[i+1], r) {
			out.WriteRune(r)
			joined = true
		}
	}
	return out.String()
}

func joins(before, after, joiner rune) bool {
	if pictograph(before) && pictograph(after) {
		return joiner == zeroWidthJoiner
	}
	for _, script := range joiningScripts {
		if unicode.Is(script, before) && unicode.Is(script, after) {
			return true
		}
	}
	return false
}

// joiningScripts are the scripts in which a joiner changes how a word reads.
var joiningScripts = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko,
	unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya,
	unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer,
}

// pictograph tells the characters that emoji sequences are joined from.
func pictograph(r rune) bool {
	switch {
	case r >= 0x1f300 && r <= 0x1faff, r >= 0x2600 && r <= 0x27bf, r >= 0x2190 && r <= 0x21ff, r >= 0x2b00 && r <= 0x2bff:
		return true
	}
	return false
}
