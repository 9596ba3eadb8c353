package directory

import (
	"slices"
	"testing"
)

func TestRelayWords(t *testing.T) {
	if len(relayWords) != 256 {
		t.Fatalf("%d words, want one for each byte", len(relayWords))
	}
	if s := slices.Sorted(slices.Values(relayWords)); len(slices.Compact(s)) != 256 {
		t.Fatal("a word stands twice")
	}
}

func TestRelayNamesAreDistinct(t *testing.T) {
	a, b, c, d := RelayID{1, 2, 3}, RelayID{1, 2, 4}, RelayID{1, 9}, RelayID{7}
	names := RelayNames([]RelayID{a, b, c, d})
	want := map[RelayID]string{
		a: relayWords[1] + "-" + relayWords[2] + "-" + relayWords[3],
		b: relayWords[1] + "-" + relayWords[2] + "-" + relayWords[4],
		c: relayWords[1] + "-" + relayWords[9],
		d: relayWords[7],
	}
	for id, w := range want {
		if names[id] != w {
			t.Errorf("%s, want %s", names[id], w)
		}
	}
}
