//go:build !race

// The race detector sees the same code in the test of a talk behind cover.

package lab_test

import (
	"testing"
	"time"
)

// TestInvitesBehindCover: one invite after the other can be made in the ticks of
// the profile normal, though only the first has the fast ones of a warm-up.
func TestInvitesBehindCover(t *testing.T) {
	talkingBehind(t, "normal", 8, func(t *testing.T, k *talk) {
		for range 2 {
			began := time.Now()
			_, err := k.a.CreateInvite(t.Context(), "")
			t.Logf("after %v", time.Since(began))
			if err != nil {
				t.Errorf("after %v: %v; status %+v", time.Since(began), err, k.a.Status())
			}
		}
	})
}
