package circuit_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// TestRenew: at the user's wish every circuit is replaced, over the same guard
// and layer-2 guards; what is in use works on until its user moved over.
func TestRenew(t *testing.T) {
	simulate(t, 12, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.other(c.guard()).id
		used := c.get(send("a", x), 20*time.Second)
		pass(5 * time.Second)
		before := c.Pool().Kept()
		if before.Guard != c.guard() || before.Since.IsZero() || before.Since.After(time.Now()) || len(before.Layer2) != 4 {
			t.Fatalf("kept: %+v", before)
		}
		old := c.Pool().Circuits()
		if len(old) != 4 {
			t.Fatalf("%d circuits", len(old))
		}
		if err := c.Pool().Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-used.Retire():
		default:
			t.Error("the user of a circuit is not told to move")
		}
		if _, err := used.Ping(t.Context(), 0); err != nil {
			t.Errorf("a circuit in use does not work any more: %v", err)
		}
		if next := c.get(send("a", x), 20*time.Second); next == used {
			t.Error("the old circuit was handed out again")
		}
		if err := c.Pool().Renew(t.Context()); !errors.Is(err, circuit.ErrTooSoon) {
			t.Errorf("twice within a minute: %v", err)
		}
		pass(20 * time.Second)
		clean := 0
		for _, i := range c.Pool().Circuits() {
			if i.Path[0] != before.Guard || len(i.Path) > 1 && !slices.Contains(before.Layer2, i.Path[1]) {
				t.Errorf("circuit %s leads over other guards", i.ID)
			}
			if i.Purpose == circuit.Spare {
				clean++
				if slices.ContainsFunc(old, func(o circuit.Info) bool { return o.ID == i.ID }) {
					t.Errorf("clean circuit %s is an old one", i.ID)
				}
			}
		}
		if clean == 0 {
			t.Error("no clean circuit was built")
		}
		if after := c.Pool().Kept(); after.Guard != before.Guard || !slices.Equal(after.Layer2, before.Layer2) {
			t.Errorf("kept %+v, before %+v", after, before)
		}
		pass(time.Minute)
		if err := c.Pool().Renew(t.Context()); err != nil {
			t.Errorf("after a minute: %v", err)
		}
		if !c.Pool().BurstEnds().IsZero() || slices.Contains(before.Layer2, directory.RelayID{}) {
			t.Error("a burst or a relay out of nothing")
		}
	})
}
