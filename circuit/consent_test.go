package circuit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// TestOldSnapshotNeedsConsent: a snapshot of more than three days is used only
// after the user has agreed, with the guard there is, and the reason is told in
// words until then.
func TestOldSnapshotNeedsConsent(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		state := new(memory)
		c := w.client(state)
		guard := c.guard()
		c.stop()
		w.epoch, w.views = w.epoch.Add(-directory.Scale(true, 4*24*time.Hour)), new(directory.Views)
		w.list()
		c = w.client(state)
		x := w.other(guard).id
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Pool().Get(ctx, send("a", x))
		if err == nil || !strings.Contains(err.Error(), "consent") || !c.Pool().NeedsConsent() || !strings.Contains(c.Pool().Why(), "3 days") {
			t.Fatalf("got %v, why %q", err, c.Pool().Why())
		}
		for _, r := range w.relays {
			if r.open() != 0 {
				t.Fatal("something was built without consent")
			}
		}
		c.Pool().Consent(true)
		k := c.get(send("a", x), 20*time.Second)
		if k.Info().Path[0] != guard {
			t.Error("another guard was taken from an old snapshot")
		}
		if c.Pool().NeedsConsent() || c.Pool().Outlook().NeedsConsent {
			t.Error("consent is still asked for")
		}
		pass(2 * time.Second)
		if o := c.Pool().Outlook(); len(o.Warnings) != 1 || !strings.Contains(o.Warnings[0], "3 days") {
			t.Errorf("outlook %+v", o)
		}
	})
}

// TestOutlook: people are told what weakens the choice of relays, and are not
// told of it where nothing does.
func TestOutlook(t *testing.T) {
	for n, want := range map[int]string{4: "no spare", 9: ""} {
		simulate(t, n, func(t *testing.T, w *world) {
			c := w.client(nil)
			c.guard()
			pass(time.Second)
			o := c.Pool().Outlook()
			if told := strings.Join(o.Warnings, "; "); (told == "") != (want == "") || !strings.Contains(told, want) {
				t.Errorf("%d relays: told %q", n, told)
			}
			if o.NeedsConsent || o.Operator.Relays != 1 || o.Operator.Both != 0 {
				t.Errorf("outlook %+v", o)
			}
		})
	}
}
