package chat

import (
	"errors"
	"fmt"
	"testing"
)

func TestPlainError(t *testing.T) {
	for in, want := range map[string]string{
		"chat: store: it broke":                 "it broke",
		"open: relay: link: gone":               "open: gone",
		"the contact: relay is a word\x1b here": "the contact: relay is a word here",
		"one\ntwo":                              "one two",
	} {
		if got := PlainError(fmt.Errorf("%w", errors.New(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
