package chat

import (
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestStaleSnapshotMakesNoQueues: four minutes of a lab are a day. Then an invite,
// which would need new mailboxes, is refused with the reason; the screen says why,
// and no clock is guessed from the age.
func TestStaleSnapshotMakesNoQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice := w.user(t)
		if _, err := alice.CreateInvite(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		if s := alice.Status(); len(s.Warnings) != 0 || s.Health == StaleView {
			t.Errorf("%v, %+v", s.Health, s.Warnings)
		}
		time.Sleep(directory.Scale(true, 25*time.Hour))
		_, err := alice.CreateInvite(t.Context(), "carl")
		if KindOf(err) != KindNoNetwork {
			t.Errorf("an invite from a stale snapshot: %v", err)
		}
		s := alice.Status()
		if s.Health != StaleView || len(s.Warnings) != 1 || s.Warnings[0].Kind != "stale" {
			t.Errorf("%v, %+v", s.Health, s.Warnings)
		}
		time.Sleep(directory.Scale(true, 72*time.Hour))
		if s := alice.Status(); len(s.Warnings) != 1 || s.Warnings[0].Kind != "emergency" {
			t.Errorf("%+v", s.Warnings)
		}
	})
}

// TestWarningsAreToldOnce: evidence against the founders is an event when it comes,
// and not again with every snapshot.
func TestWarningsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice := w.user(t)
		sub := alice.Subscribe()
		defer sub.Close()
		text := "anna signed two different snapshots: people were shown different networks"
		for range 3 {
			alice.views.Warn(directory.WarnEvidence, directory.Warning{Text: text, Since: time.Now()})
			time.Sleep(time.Second)
			alice.views.Warn(directory.WarnSuccessor, directory.Warning{Text: time.Now().String()})
			time.Sleep(time.Second)
		}
		told := 0
		for told < 4 {
			ev, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if ev.Type != ErrorEvent || ev.Kind != KindRefused {
				continue
			}
			told++
			if (ev.Detail == text) != (told == 1) {
				t.Errorf("event %d: %q", told, ev.Detail)
			}
		}
		if s := alice.Status(); len(s.Warnings) != 2 || s.Warnings[0].Text != text {
			t.Errorf("%+v", s.Warnings)
		}
	})
}
