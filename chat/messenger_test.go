package chat

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		const n = 20
		var want []string
		for i := range n {
			text := fmt.Sprint("message ", i)
			want = append(want, text)
			alice.say(b, text)
			bob.say(a, text)
		}
		eventually(t, time.Minute, "all delivered", func() bool {
			return alice.settled(b, Delivered) && bob.settled(a, Delivered)
		})
		if got := bob.texts(a, In); !slices.Equal(got, want) {
			t.Errorf("bob received %q", got)
		}
		if got := alice.texts(b, In); !slices.Equal(got, want) {
			t.Errorf("alice received %q", got)
		}
		eventually(t, time.Minute, "ready", func() bool { return alice.Status().Ready && bob.Status().Ready })
		_ = context.Background
	})
}
