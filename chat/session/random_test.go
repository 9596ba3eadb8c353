package session

import (
	"io"
	"testing"
)

// TestRandomnessRunsOut has every operation that draws get less than it needs,
// at every length: it fails, and a session is as it was. A key or nonce that is
// half zeros never comes of it.
func TestRandomnessRunsOut(t *testing.T) {
	random := seeded("random")
	inv, a := testInvite(random), testAddress(random)
	pair, key := testPair(random), must(NewResetKey(random, 1))
	alice, bob := pairUp(random)
	turn(t, random, bob, alice) // alice owes a sending half and an answer
	sent := must(bob.Seal(random, testNow, text(5)))[0].Body
	for name, c := range map[string]struct {
		state *State
		do    func(s *State, r io.Reader) error
	}{
		"invite": {nil, func(_ *State, r io.Reader) error { _, err := NewInvite(r, testNetwork, pair, testNow); return err }},
		"blob":   {nil, func(_ *State, r io.Reader) error { _, err := inv.SealBlob(r); return err }},
		"request": {nil, func(_ *State, r io.Reader) error {
			_, err := inv.Bundle().Request(r, testNow, RequestConfig{Queues: pair})
			return err
		}},
		"address":        {nil, func(_ *State, r io.Reader) error { _, err := NewAddress(r, testNetwork, pair, testNow, 22); return err }},
		"address record": {nil, func(_ *State, r io.Reader) error { _, err := a.SealRecord(r, 20000, 1); return err }},
		"rotated address": {nil, func(_ *State, r io.Reader) error {
			b := must(ParseSecretAddress(a.Append(nil)))
			err := b.Rotate(r, testNow, 0, pair, testNow, 22)
			if err != nil {
				same(t, "address", b.Append(nil), a.Append(nil))
			}
			return err
		}},
		"reset key":  {nil, func(_ *State, r io.Reader) error { _, err := NewResetKey(r, 1); return err }},
		"capability": {nil, func(_ *State, r io.Reader) error { _, err := NewCapability(r); return err }},
		"queue key":  {nil, func(_ *State, r io.Reader) error { _, err := NewQueueKey(r); return err }},
		"file key":   {nil, func(_ *State, r io.Reader) error { _, err := NewFileKey(r); return err }},
		"words":      {nil, func(_ *State, r io.Reader) error { _, err := NewSASNonce(r); return err }},
		"text":       {alice, func(s *State, r io.Reader) error { _, err := s.Seal(r, testNow, text(2000)); return err }},
		"ack":        {alice, func(s *State, r io.Reader) error { _, err := s.SealAck(r, testNow); return err }},
		"answer":     {alice, func(s *State, r io.Reader) error { _, err := s.Control(r, testNow); return err }},
		"again":      {bob, func(s *State, r io.Reader) error { _, err := s.Reseal(r, testNow, sent); return err }},
		"reset":      {alice, func(s *State, r io.Reader) error { _, err := s.Reset(r, testNow, key.Public(), pair); return err }},
		"rotation":   {alice, func(s *State, r io.Reader) error { _, err := s.RotateIdentity(r, testNow); return err }},
	} {
		fresh := func() *State {
			if c.state == nil {
				return nil
			}
			return must(ParseState(c.state.Append(nil)))
		}
		drawn := &countReader{r: seeded("limited")}
		if err := c.do(fresh(), drawn); err != nil || drawn.n == 0 {
			t.Errorf("%s: %d bytes drawn, %v", name, drawn.n, err)
		}
		for n := range drawn.n {
			if n > 64 && n%13 != 0 && n != drawn.n-1 {
				continue
			}
			s := fresh()
			if c.do(s, io.LimitReader(seeded("limited"), int64(n))) == nil {
				t.Errorf("%s: done with %d of %d bytes", name, n, drawn.n)
			}
			if s != nil {
				same(t, name+": state", s.Append(nil), c.state.Append(nil))
			}
		}
	}
}

type countReader struct {
	r io.Reader
	n int
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
