package session

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
)

// TestAttackFragmentInAnothersPlace: a fragment of a message whose first ones were
// given up, as it says, comes with the seq of one that another message waits for. That
// was taken once, and left a state which could not be read again: a contact could keep
// a profile from opening.
func TestAttackFragmentInAnothersPlace(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	full := bytes.Repeat([]byte{'x'}, ContentSize)
	base := alice.in.cum
	for i, c := range []struct {
		f    Frame
		want error
	}{
		{Frame{Type: FrameText, Count: 1, Seq: base + 1, Content: full}, nil},
		{Frame{Type: FrameText, Index: 1, Count: 3, Seq: base + 5, Content: full}, nil},
		{Frame{Type: FrameText, Index: uint16(base) + 3, Count: 82, Seq: base + 4, Content: full}, ErrFormat},
		{Frame{Type: FrameText, Index: uint16(base) + 5, Count: 82, Seq: base + 6, Content: full}, ErrFormat},
		{Frame{Type: FrameText, Index: uint16(base) + 2, Count: 82, Seq: base + 3, Content: full}, nil}, // nobody's place
		{Frame{Type: FrameText, Count: 3, Seq: base + 4, Content: full}, nil},
		{Frame{Type: FrameText, Index: 2, Count: 3, Seq: base + 6, Content: full}, nil},
	} {
		c.f.ID[0] = 1
		inner := forge(t, bob, func([]byte) {}, bodyOf(c.f))
		bob.ratchet.cks, bob.ratchet.ns = mac(bob.ratchet.cks[:], []byte{2}), bob.ratchet.ns+1
		before := alice.Append(nil)
		_, err := alice.Open(testNow, inner)
		if !errors.Is(err, c.want) {
			t.Errorf("frame %d: %v, want %v", i, err, c.want)
		}
		if err != nil && !bytes.Equal(before, alice.Append(nil)) {
			t.Errorf("frame %d changed the state although it was refused", i)
		}
		alice = reload(t, alice)
	}
	if len(alice.partial) != 0 {
		t.Errorf("%d incomplete messages", len(alice.partial))
	}
}
