package chat

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// TestWithholdingPeerIsReset: a contact that never takes its step of the
// post-quantum exchange is not waited for for ever. The exchange is never
// skipped unseen: the session begins anew, with an offer in the reset itself.
func TestWithholdingPeerIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob, b, a := withKeys(t, w)
		for n := range 4 {
			alice.say(b, fmt.Sprint("before ", n))
			bob.say(a, fmt.Sprint("before ", n))
			<-time.After(5 * time.Second)
		}
		// Alice takes herself for the guest from now on: the second exchange, which
		// is hers to offer, never comes, and each side waits for the other.
		alice.change(b, func(_ *turn, c *contact) error {
			if c.session.Epoch() != 1 {
				alice.t.Errorf("epoch %d", c.session.Epoch())
			}
			raw := c.session.Append(nil)
			raw[1] = 1
			s, err := session.ParseState(raw)
			if err == nil {
				c.session = s
			}
			return err
		})
		began := func() (at int64, epoch uint32) {
			bob.watch(a, func(_ *turn, c *contact) error {
				at, epoch = c.resets().Changed, c.session.Epoch()
				return nil
			})
			return at, epoch
		}
		sent := 0
		for at, epoch := began(); at == 0; at, epoch = began() {
			if sent++; sent > 100 || epoch != 1 {
				t.Fatalf("after %d texts: epoch %d and no reset", sent, epoch)
			}
			alice.say(b, fmt.Sprint("text ", sent))
			bob.say(a, fmt.Sprint("text ", sent))
			<-time.After(5 * time.Second)
		}
		if sent < 40 {
			t.Errorf("reset after %d texts already", sent)
		}
		for n := range 4 {
			alice.say(b, fmt.Sprint("after ", n))
			bob.say(a, fmt.Sprint("after ", n))
			<-time.After(5 * time.Second)
		}
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
		if _, epoch := began(); epoch != 1 {
			t.Errorf("epoch %d of the new session", epoch)
		}
		if got := bob.written(a, In); len(got) != 8+sent || len(bob.notices(a)) != 0 {
			t.Errorf("%d texts, notices %q", len(got), bob.notices(a))
		}
	})
}
