package session

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// TestAmendmentForms checks contents written by hand against the tables of
// SPEC.md §6.5.
func TestAmendmentForms(t *testing.T) {
	target := "000102030405060708090a0b0c0d0e0f"
	for _, c := range []struct {
		name string
		kind FrameType
		hex  string
		text string
		bad  bool
	}{
		{name: "edit", kind: FrameEdit, hex: target + "6869", text: "hi"},
		{name: "longest edit", kind: FrameEdit, hex: target + strings.Repeat("61", MaxText), text: strings.Repeat("a", MaxText)},
		{name: "retraction", kind: FrameRetract, hex: target},
		{name: "reaction", kind: FrameReact, hex: target + "e29da4", text: "\u2764"},
		{name: "reaction taken back", kind: FrameReact, hex: target},
		{name: "edit to nothing", kind: FrameEdit, hex: target, bad: true},
		{name: "edit too long", kind: FrameEdit, hex: target + strings.Repeat("61", MaxText+1), bad: true},
		{name: "edit not UTF-8", kind: FrameEdit, hex: target + "ff", bad: true},
		{name: "retraction with text", kind: FrameRetract, hex: target + "61", bad: true},
		{name: "reaction too long", kind: FrameReact, hex: target + strings.Repeat("61", MaxReaction+1), bad: true},
		{name: "target of zeros", kind: FrameRetract, hex: strings.Repeat("00", 16), bad: true},
		{name: "target cut", kind: FrameRetract, hex: target[2:], bad: true},
		{name: "nothing", kind: FrameEdit, bad: true},
		{name: "another type", kind: FrameText, hex: target, bad: true},
	} {
		content, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseAmendment(c.kind, content)
		if c.bad {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%s: error %v", c.name, err)
			}
			continue
		}
		if err != nil || a.Text != c.text || hex.EncodeToString(a.Target[:]) != target {
			t.Errorf("%s: %.40v, error %v", c.name, a, err)
		}
		if again, err := a.Append(nil, c.kind); err != nil || !bytes.Equal(again, content) {
			t.Errorf("%s: encodes to other bytes, error %v", c.name, err)
		}
	}
}

func TestTimerForms(t *testing.T) {
	for text, want := range map[string]Timer{
		"0000000000000001": {0, 1},
		"0001518000000002": {86400, 2},
		"00093a80ffffffff": {604800, 1<<32 - 1},
		"0024ea0000000007": {2419200, 7},
	} {
		content, _ := hex.DecodeString(text)
		got, err := ParseTimer(content)
		if err != nil || got != want || !bytes.Equal(got.Append(nil), content) {
			t.Errorf("%s: %v, error %v", text, got, err)
		}
	}
	for _, text := range []string{"", "00000000000000", "000000000000000100", "0000000100000001", "0001518000000000", "0024ea0100000001"} {
		content, _ := hex.DecodeString(text)
		if got, err := ParseTimer(content); !errors.Is(err, ErrFormat) {
			t.Errorf("%q is taken as %v, error %v", text, got, err)
		}
	}
}

func FuzzParseAmendment(f *testing.F) {
	f.Add(byte(FrameEdit), []byte("0123456789abcdeftext"))
	f.Add(byte(FrameRetract), []byte("0123456789abcdef"))
	f.Add(byte(FrameReact), []byte("0123456789abcdef\u2764\ufe0f"))
	f.Add(byte(FrameTimer), []byte{0, 1, 0x51, 0x80, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if a, err := ParseAmendment(FrameType(kind), b); err == nil {
			out, err := a.Append(nil, FrameType(kind))
			checkParse(t, b, out, err)
		} else {
			checkParse(t, b, nil, err)
		}
		timer, err := ParseTimer(b)
		checkParse(t, b, timer.Append(nil), err)
	})
}
