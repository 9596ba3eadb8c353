package gossip

import (
	"errors"
	"fmt"
)

// Range modes (SPEC.md §5.2).
const (
	modeSkip        = 0 // nothing to say about this range
	modeFingerprint = 1 // fingerprint 16
	modeShort       = 2 // n u8 × (key 8, digest 8)
	modeLong        = 3 // n u8 × (key 16, digest 16)
)

// maxListed is the largest number of items in one list.
const maxListed = 64

var errRanges = errors.New("gossip: malformed RANGES")

// bound is the exclusive upper end of a range: a key prefix of up to 16 bytes.
// The empty prefix means the end of the key space.
type bound struct {
	n int
	b key // zero after the first n bytes
}

// above tells whether k lies below the bound, i.e. within a range it ends.
func (u bound) above(k key) bool { return u.n == 0 || string(k[:]) < string(u.b[:]) }

// span is one range of a RANGES message. It starts where the one before ends.
type span struct {
	end  bound
	mode byte
	fp   fingerprint // mode 1
	list []item      // modes 2 and 3; mode 2 fills the short halves only
}

func appendRanges(b []byte, spans []span) []byte {
	for _, s := range spans {
		b = append(b, byte(s.end.n))
		b = append(b, s.end.b[:s.end.n]...)
		b = append(b, s.mode)
		switch s.mode {
		case modeFingerprint:
			b = append(b, s.fp[:]...)
		case modeShort:
			b = append(b, byte(len(s.list)))
			for _, it := range s.list {
				b = append(b, it.key[:8]...)
				b = append(b, it.digest[:8]...)
			}
		case modeLong:
			b = append(b, byte(len(s.list)))
			for _, it := range s.list {
				b = append(b, it.key[:]...)
				b = append(b, it.digest[:]...)
			}
		}
	}
	return b
}

// parseRanges parses a RANGES body. Bounds must rise, the last one is empty,
// neighbouring skips must be merged, a bound carries no trailing zero byte, and
// lists are sorted and lie within their range, so each message has one form.
func parseRanges(b []byte) ([]span, error) {
	var spans []span
	var lower key // inclusive lower end of the current range
	for {
		s, rest, err := parseSpan(b)
		if err != nil {
			return nil, err
		}
		if s.end.n > 0 && len(spans) > 0 && !(string(s.end.b[:]) > string(lower[:])) {
			return nil, fmt.Errorf("%w: bounds do not rise", errRanges)
		}
		if s.mode == modeSkip && len(spans) > 0 && spans[len(spans)-1].mode == modeSkip {
			return nil, fmt.Errorf("%w: two skips in a row", errRanges)
		}
		if err := checkList(s, lower); err != nil {
			return nil, err
		}
		spans = append(spans, s)
		b, lower = rest, s.end.b
		if s.end.n == 0 {
			break
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: bytes after the last range", errRanges)
	}
	return spans, nil
}

func parseSpan(b []byte) (s span, rest []byte, err error) {
	if len(b) < 1 || b[0] > 16 || len(b) < 2+int(b[0]) {
		return s, nil, errTruncated
	}
	s.end.n = int(b[0])
	copy(s.end.b[:], b[1:1+s.end.n])
	if s.end.n > 0 && b[s.end.n] == 0 {
		return s, nil, fmt.Errorf("%w: bound ends with zero", errRanges)
	}
	s.mode = b[1+s.end.n]
	b = b[2+s.end.n:]
	switch s.mode {
	case modeSkip:
		return s, b, nil
	case modeFingerprint:
		if len(b) < 16 {
			return s, nil, errTruncated
		}
		s.fp = fingerprint(b[:16])
		return s, b[16:], nil
	case modeShort, modeLong:
		if len(b) < 1 {
			return s, nil, errTruncated
		}
		half := 8
		if s.mode == modeLong {
			half = 16
		}
		n := int(b[0])
		b = b[1:]
		if n > maxListed {
			return s, nil, fmt.Errorf("%w: list of %d", errRanges, n)
		}
		if len(b) < 2*half*n {
			return s, nil, errTruncated
		}
		s.list = make([]item, n)
		for i := range s.list {
			copy(s.list[i].key[:], b[:half])
			copy(s.list[i].digest[:], b[half:2*half])
			b = b[2*half:]
		}
		return s, b, nil
	}
	return s, nil, fmt.Errorf("%w: mode %d", errRanges, s.mode)
}

// checkList refuses lists that are unsorted or leave their range. Short keys
// may be equal: truncated keys may collide. A short key is compared with the
// range's ends cut to the same length, since the rest of it is unknown.
func checkList(s span, lower key) error {
	n := 16
	if s.mode == modeShort {
		n = 8
	}
	for i, it := range s.list {
		k := string(it.key[:n])
		if i > 0 {
			prev := string(s.list[i-1].key[:n])
			if k < prev || k == prev && s.mode == modeLong {
				return fmt.Errorf("%w: list not sorted", errRanges)
			}
		}
		if k < string(lower[:n]) || s.end.n > 0 && k > string(s.end.b[:n]) {
			return fmt.Errorf("%w: item outside its range", errRanges)
		}
	}
	return nil
}
