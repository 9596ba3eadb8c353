package chat

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestFullDiskOfAClient fills the disk of one side: what it is asked to write is
// refused with the reason and did not happen, what comes stays at the relays,
// and once there is space again all goes on, over a restart too.
func TestFullDiskOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		before := alice.say(b, "before")
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		<-time.After(time.Minute)
		for round := range 2 {
			alice.full.Store(true)
			var e *Error
			if _, err := alice.Send(t.Context(), b, "never"); KindOf(err) != KindIO || !errors.As(err, &e) || e.Hint == "" {
				t.Errorf("send: %v", err)
			}
			if _, err := alice.CreateInvite(t.Context(), "carol"); KindOf(err) != KindIO {
				t.Errorf("invite: %v", err)
			}
			texts := numbered("while it was full", 5)
			bob.sayAll(a, texts)
			<-time.After(2 * time.Minute)
			if got := alice.texts(b, In); len(got) != 5*round {
				t.Errorf("received %q", got)
			}
			for _, m := range bob.sent(a) {
				if slices.Contains(texts, m.Text) && m.State == Delivered && round == 0 {
					t.Errorf("%q is %s without a proof", m.Text, m.State)
				}
			}
			if s := alice.message(b, before.ID).State; s != Delivered {
				t.Errorf("an old message is %s", s)
			}
			alice.full.Store(false)
			if round == 1 {
				alice.crash()
			}
			after := alice.say(b, "after")
			eventually(t, 5*time.Minute, "all there", func() bool {
				return len(alice.texts(b, In)) == 5*(round+1) && alice.message(b, after.ID).State == Delivered && bob.settled(a, Delivered)
			})
		}
		if got := bob.texts(a, In); !slices.Equal(got, []string{"before", "after", "after"}) {
			t.Errorf("bob received %q", got)
		}
	})
}

// sent returns our messages of a conversation.
func (u *user) sent(contact string) []Message {
	list, err := u.Messages(u.t.Context(), contact, 0, maxListed)
	if err != nil {
		u.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(m Message) bool { return m.Direction != Out })
}
