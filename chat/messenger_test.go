package chat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// numbered returns n texts.
func numbered(prefix string, n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint(prefix, " ", i)
	}
	return texts
}

func (u *user) sayAll(contact string, texts []string) {
	for _, text := range texts {
		u.say(contact, text)
	}
}

// checkReceived waits until as much came as was sent, and compares: once each,
// and in order but for late ones. What was delivered may still wait for a gap.
func (u *user) checkReceived(contact string, want []string) {
	u.t.Helper()
	eventually(u.t, 10*time.Second, "all received", func() bool { return len(u.texts(contact, In)) >= len(want) })
	list, err := u.Messages(context.Background(), contact, 0, 1000)
	if err != nil {
		u.t.Fatal(err)
	}
	var inOrder, all []string
	for _, m := range list {
		if m.Direction != In {
			continue
		}
		all = append(all, m.Text)
		if !m.Late {
			inOrder = append(inOrder, m.Text)
		}
	}
	at := 0
	for _, text := range inOrder {
		i := slices.Index(want[at:], text)
		if i < 0 {
			u.t.Fatalf("%q is out of order in %q", text, all)
		}
		at += i + 1
	}
	slices.Sort(all)
	sorted := slices.Sorted(slices.Values(want))
	if !slices.Equal(all, sorted) {
		u.t.Fatalf("received %q, want %q", all, sorted)
	}
}

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		texts := numbered("message", 20)
		alice.sayAll(b, texts)
		bob.sayAll(a, texts)
		eventually(t, time.Minute, "all delivered", func() bool {
			return alice.settled(b, Delivered) && bob.settled(a, Delivered)
		})
		bob.checkReceived(a, texts)
		alice.checkReceived(b, texts)
		eventually(t, time.Minute, "ready", func() bool { return alice.Status().Ready && bob.Status().Ready })
		if x, y := alice.contact(b), bob.contact(a); x.SafetyNumber == "" || x.SafetyNumber != y.SafetyNumber {
			t.Errorf("safety numbers %q and %q", x.SafetyNumber, y.SafetyNumber)
		}
		var kinds []EventType
		for _, ev := range alice.events() {
			if len(kinds) == 0 || kinds[len(kinds)-1] != ev.Type {
				kinds = append(kinds, ev.Type)
			}
		}
		if !slices.Equal(kinds[:3], []EventType{NetworkReady, InviteUsed, ContactAdded}) {
			t.Errorf("alice's events begin with %v", kinds[:3])
		}
	})
}

func (u *user) contact(id string) Contact {
	list, _ := u.Contacts(context.Background())
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	return Contact{}
}

// TestFirstMessagesQueue checks that messages typed before the inviter answers
// go out with the request as far as they may, and the rest after the answer.
func TestFirstMessagesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		inv, err := alice.CreateInvite(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		alice.stop()
		c, err := bob.AcceptInvite(t.Context(), inv.Link, "alice")
		if err != nil || c.State != ContactInvited {
			t.Fatal(c, err)
		}
		texts := numbered("early", 12)
		bob.sayAll(c.ID, texts)
		eventually(t, 2*time.Minute, "eight stored", func() bool {
			list, _ := bob.Messages(t.Context(), c.ID, 0, 100)
			stored := 0
			for _, m := range list {
				if m.State == Stored && *m.Copies == (Copies{2, 2}) {
					stored++
				}
			}
			return stored == earlyBlocks
		})
		<-time.After(5 * time.Minute)
		if list, _ := bob.Messages(t.Context(), c.ID, 0, 100); list[8].State != Queued || bob.state(c.ID) != ContactInvited {
			t.Errorf("ninth message is %v", list[8].State)
		}
		alice.start()
		eventually(t, time.Minute, "all delivered", func() bool { return bob.settled(c.ID, Delivered) })
		alice.checkReceived(alice.only(), texts)
		if name := alice.contact(alice.only()).Name; name != "contact 1" {
			t.Errorf("unnamed contact is called %q", name)
		}
	})
}

// TestOtherSideStopped checks that nothing is called delivered without proof.
func TestOtherSideStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		alice.events()
		id := alice.say(b, "are you there?").ID
		eventually(t, time.Minute, "stored twice", func() bool {
			m := alice.message(b, id)
			return m.State == Stored && *m.Copies == (Copies{2, 2})
		})
		<-time.After(10 * time.Minute)
		var states []string
		for _, ev := range alice.events() {
			if ev.Type == MessageStateChanged {
				states = append(states, fmt.Sprintf("%s %d/%d", ev.Message.State, ev.Message.Copies.Have, ev.Message.Copies.Want))
			}
		}
		if want := []string{"queued 0/2", "stored 1/2", "stored 2/2"}; !slices.Equal(states, want) {
			t.Errorf("states %q, want %q", states, want)
		}
		bob.start()
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, []string{"are you there?"})
	})
}

// TestAllRelaysStopped checks that a message waits on this disk, survives a
// restart, and goes out when relays are back.
func TestAllRelaysStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(30 * time.Second)
		for _, r := range w.relays {
			w.stop(r)
		}
		id := alice.say(b, "later").ID
		<-time.After(2 * time.Minute)
		if m := alice.message(b, id); m.State != Queued {
			t.Errorf("state %v without a relay", m.State)
		}
		if s := alice.Status(); s.Queued != 1 || s.Ready || s.Health == Connected {
			t.Errorf("status %+v", s)
		}
		if left := alice.stop(); left != 1 {
			t.Errorf("%d messages exist only here, want 1", left)
		}
		alice.start()
		for _, r := range w.relays {
			w.start(r)
		}
		eventually(t, 30*time.Second, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, []string{"later"})
	})
}

// TestRelayOfQueueDies kills, for good, the relay of each side's first queue.
func TestRelayOfQueueDies(t *testing.T) {
	for first := range 2 {
		t.Run(fmt.Sprint("queue ", first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 6)
				alice, bob := w.user(t), w.user(t)
				b, a := befriend(t, alice, bob)
				<-time.After(time.Minute)
				var dead directory.RelayID
				_ = bob.look(t.Context(), func(t *turn) error { dead = t.book.contacts[a].rec.Own[first].Relay; return nil })
				w.stop(w.relay(dead))
				texts := numbered("still", 10)
				alice.sayAll(b, texts)
				bob.sayAll(a, texts)
				eventually(t, time.Minute, "received", func() bool { return len(bob.texts(a, In)) == 10 && len(alice.texts(b, In)) == 10 })
				bob.checkReceived(a, texts)
				w.start(w.relay(dead))
				eventually(t, 2*time.Minute, "delivered, and the first queue is read again", func() bool {
					return alice.settled(b, Delivered) && bob.settled(a, Delivered) && bob.Status().Health == Connected
				})
				bob.checkReceived(a, texts)
				alice.checkReceived(b, texts)
			})
		})
	}
}

// TestRepliesLost loses every answer to a SEND for a while: nothing is called
// stored, and the repeats do not show twice.
func TestRepliesLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.net.cut(false)
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool { return !toRelay && c == mailbox.CmdOK })
		before := w.count(mailbox.CmdSend)
		texts := numbered("lost", 5)
		alice.sayAll(b, texts)
		<-time.After(30 * time.Second)
		if !alice.settled(b, Queued) {
			t.Error("a message is called stored without a receipt")
		}
		if n := w.count(mailbox.CmdSend) - before; n == 0 {
			t.Fatalf("%d SENDs", n)
		}
		w.setDrop(nil)
		bob.net.cut(true)
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, texts)
	})
}

// TestCrashes kills both sides, again and again, at moments between the steps
// of delivery.
func TestCrashes(t *testing.T) {
	lost := map[string]func(bool, directory.RelayID, mailbox.Command) bool{
		"queued": nil,
		"sent but no OK": func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return !toRelay && c == mailbox.CmdOK
		},
		"received but not acknowledged": func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return toRelay && c == mailbox.CmdAck
		},
	}
	for name, drop := range lost {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 5)
				alice, bob := w.user(t), w.user(t)
				b, a := befriend(t, alice, bob)
				<-time.After(time.Minute)
				var texts []string
				for round := range 4 {
					w.setDrop(drop)
					some := numbered(fmt.Sprint("round ", round), 4)
					texts = append(texts, some...)
					if name == "queued" {
						alice.net.cut(false)
					}
					alice.sayAll(b, some)
					<-time.After(time.Duration(round) * 400 * time.Millisecond)
					alice.crash()
					bob.crash()
					w.setDrop(nil)
				}
				eventually(t, 2*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
				bob.checkReceived(a, texts)
				bob.say(a, "and back")
				eventually(t, time.Minute, "answered", func() bool { return bob.settled(a, Delivered) })
			})
		})
	}
}

// TestCrashWhileAccepting kills the guest and the inviter at many moments of
// the making of a contact.
func TestCrashWhileAccepting(t *testing.T) {
	for step := range 8 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 5)
				alice, bob := w.user(t), w.user(t)
				inv, err := alice.CreateInvite(t.Context(), "bob")
				if err != nil {
					t.Fatal(err)
				}
				c, err := bob.AcceptInvite(t.Context(), inv.Link, "alice")
				if err != nil {
					t.Fatal(err)
				}
				bob.say(c.ID, "hello")
				<-time.After(time.Duration(step) * 60 * time.Millisecond)
				bob.crash()
				<-time.After(time.Duration(step) * 60 * time.Millisecond)
				alice.crash()
				eventually(t, 2*time.Minute, "active and delivered", func() bool {
					return bob.state(c.ID) == ContactActive && bob.settled(c.ID, Delivered)
				})
				alice.checkReceived(alice.only(), []string{"hello"})
			})
		})
	}
}

// TestCopiesStepBack checks that a receipt counts only while its relay is
// listed.
func TestCopiesStepBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		id := alice.say(b, "hold this").ID
		eventually(t, time.Minute, "stored twice", func() bool { return alice.message(b, id).Copies.Have == 2 })
		var relays []directory.RelayID
		_ = alice.look(t.Context(), func(t *turn) error {
			for _, s := range t.book.contacts[b].slots {
				relays = append(relays, s.addr.Relay)
			}
			return nil
		})
		alice.leave()
		show := func(without ...directory.RelayID) Message {
			v := w.view(without...)
			_ = alice.do(t.Context(), func(t *turn) error {
				t.m.views = &directory.Views{}
				t.m.views.Set(v)
				t.touch(t.book.contacts[b])
				return nil
			})
			return alice.message(b, id)
		}
		if m := show(relays[0]); m.State != Stored || m.Copies.Have != 1 {
			t.Errorf("one relay gone: %v %v", m.State, m.Copies)
		}
		if m := show(relays...); m.State != Queued || m.Copies.Have != 0 {
			t.Errorf("both gone: %v %v", m.State, m.Copies)
		}
		if m := show(); m.State != Stored || m.Copies.Have != 2 {
			t.Errorf("both back: %v %v", m.State, m.Copies)
		}
	})
}

// TestOneMailboxRelay checks that with one relay one copy is made, and that the
// state says so.
func TestOneMailboxRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 1)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		bob.stop()
		id := alice.say(b, "one copy").ID
		eventually(t, time.Minute, "stored once", func() bool {
			m := alice.message(b, id)
			return m.State == Stored && *m.Copies == (Copies{1, 1})
		})
		bob.start()
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, []string{"one copy"})
	})
}

// TestWindow sends more than may be in flight to a contact that is away, and a
// message of the greatest length.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		texts := numbered("many", 470)
		texts = append(texts, strings.Repeat("long ", 13107))
		err := alice.do(t.Context(), func(t *turn) error { // one disk sync for all
			for _, text := range texts {
				if _, err := t.sendText(b, text, SendOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Minute)
		list, _ := alice.Messages(t.Context(), b, 0, 1000)
		if list[0].State != Stored || list[469].State != Queued {
			t.Errorf("first is %v, the 470th %v", list[0].State, list[469].State)
		}
		bob.start()
		eventually(t, 5*time.Minute, "all delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, texts)
		if _, err := alice.Send(t.Context(), b, strings.Repeat("x", 65537)); KindOf(err) != KindTooLarge {
			t.Errorf("65537 bytes: %v", err)
		}
	})
}

// TestGivenUp fails a message that nobody acknowledged in time, and goes on with
// the next.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		id := alice.say(b, "too late").ID
		eventually(t, time.Minute, "stored twice", func() bool { return alice.message(b, id).Copies.Have == 2 })
		alice.stop()
		for _, r := range w.relays {
			w.stop(r)
		}
		<-time.After(alice.timing().expire + time.Minute)
		for _, r := range w.relays {
			w.start(r)
		}
		alice.start()
		eventually(t, time.Minute, "failed", func() bool { return alice.message(b, id).State == Failed })
		if m := alice.message(b, id); m.State != Failed {
			t.Errorf("state %v", m.State)
		}
		bob.start()
		alice.say(b, "in time")
		eventually(t, 3*time.Minute, "the next one is delivered", func() bool {
			list, _ := alice.Messages(t.Context(), b, 0, 10)
			return list[1].State == Delivered
		})
		if m := alice.message(b, id); m.State != Failed {
			t.Errorf("state %v afterwards", m.State)
		}
		bob.checkReceived(a, []string{"in time"})
	})
}

// TestGapAndLate hands frames over in an order of our own.
func TestGapAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.net.cut(false)
		alice.net.cut(false)
		alice.sayAll(b, numbered("n", 5))
		var inners [][]byte
		_ = alice.look(t.Context(), func(t *turn) error {
			c := t.book.contacts[b]
			for _, seq := range sortedKeys(c.out) {
				if c.out[seq].rec.Number != 0 {
					inners = append(inners, c.out[seq].rec.Inner)
				}
			}
			return nil
		})
		take := func(which ...int) {
			err := bob.do(t.Context(), func(t *turn) error {
				c := t.book.contacts[a]
				t.touch(c)
				for _, i := range which {
					if err := t.takeInner(c, inners[i]); err != nil {
						return err
					}
				}
				return t.release(c)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		check := func(want ...string) {
			t.Helper()
			list, _ := bob.Messages(t.Context(), a, 0, 10)
			var got []string
			for _, m := range list {
				text := m.Text
				if m.Late {
					text += " late"
				}
				got = append(got, text)
			}
			if !slices.Equal(got, want) {
				t.Errorf("shown %q, want %q", got, want)
			}
		}
		take(1, 1, 3)
		check()
		bob.crash() // what is held survives
		bob.net.cut(false)
		check()
		<-time.After(bob.timing().gapHold + time.Second)
		check("n 1", "n 3")
		take(4) // the same gap is not waited for again
		check("n 1", "n 3", "n 4")
		take(2, 2)
		check("n 1", "n 3", "n 4", "n 2 late")
		take(0, 1, 2, 3, 4)
		check("n 1", "n 3", "n 4", "n 2 late", "n 0 late")
	})
}

func TestInviteErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, eve := w.user(t), w.user(t), w.user(t)
		inv, err := alice.CreateInvite(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		if len(inv.Link) != 125 || time.Until(inv.Expires) < 2*time.Hour {
			t.Errorf("invite %d characters, expires %v", len(inv.Link), inv.Expires)
		}
		last := byte('A')
		if inv.Link[60] == last {
			last = 'B'
		}
		mistyped := inv.Link[:60] + string(last) + inv.Link[61:]
		for link, kind := range map[string]string{
			"":                 KindRefused,
			"HEARSAY:":         KindRefused,
			inv.Link[:124]:     KindRefused,
			mistyped:           KindRefused,
			w.link.String():    KindRefused,
			otherNetwork(t, w): KindWrongNetwork,
		} {
			_, err := bob.AcceptInvite(t.Context(), link, "alice")
			var e *Error
			if !errors.As(err, &e) || e.Kind != kind || e.Hint == "" {
				t.Errorf("%.20q: %v, want kind %s with a hint", link, err, kind)
			}
		}
		if _, err := alice.AcceptInvite(t.Context(), inv.Link, "myself"); KindOf(err) != KindRefused {
			t.Errorf("own invite: %v", err)
		}
		c, err := bob.AcceptInvite(t.Context(), " "+inv.Link+"\n", "alice")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bob.AcceptInvite(t.Context(), inv.Link, "again"); KindOf(err) != KindExists {
			t.Errorf("accepted twice: %v", err)
		}
		eventually(t, time.Minute, "active", func() bool { return bob.state(c.ID) == ContactActive })
		if _, err := bob.AcceptInvite(t.Context(), inv.Link, "alice"); KindOf(err) != KindExists {
			t.Errorf("name taken: %v", err)
		}
		e, err := eve.AcceptInvite(t.Context(), inv.Link, "alice")
		if err != nil {
			t.Fatal(err)
		}
		eve.say(e.ID, "hello?")
		eventually(t, 5*time.Minute, "eve is told", func() bool { return eve.settled(e.ID, Failed) })
		told := false
		for _, ev := range eve.events() {
			told = told || ev.Type == ErrorEvent && ev.Kind == KindInviteUsed
		}
		if !told {
			t.Error("no error event about the used invite")
		}
		if _, err := eve.Send(t.Context(), e.ID, "?"); KindOf(err) != KindInviteUsed {
			t.Errorf("send to a dead invite: %v", err)
		}
		if p := eve.contact(e.ID).Problem; p != "the invite was used before, perhaps not by you" {
			t.Errorf("the contact's problem is %q", p)
		}
		if _, err := eve.Send(t.Context(), "c_nobody", "?"); KindOf(err) != KindNotFound {
			t.Errorf("send to nobody: %v", err)
		}
		if _, err := eve.Send(t.Context(), e.ID, ""); KindOf(err) != KindRefused {
			t.Errorf("empty text: %v", err)
		}
	})
}

// otherNetwork returns an invite of another network.
func otherNetwork(t *testing.T, w *fakeWorld) string {
	t.Helper()
	other := newFakeWorld(t, 2)
	other.network[0] ^= 1
	other.link.ID = other.network
	for _, r := range other.relays {
		other.stop(r)
		r.dir = t.TempDir()
		other.start(r)
	}
	u := other.user(t)
	inv, err := u.CreateInvite(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return inv.Link
}

// TestNoNetwork checks the one method that needs the network.
func TestNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		alice := w.user(t)
		alice.net.cut(false)
		start := time.Now()
		_, err := alice.CreateInvite(t.Context(), "")
		if KindOf(err) != KindNoNetwork || time.Since(start) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if s := alice.Status(); len(s.Steps) != 5 || s.Steps[0].Name != "network file" {
			t.Errorf("steps %v", s.Steps)
		}
		alice.net.cut(true)
		if _, err := alice.CreateInvite(t.Context(), ""); err != nil {
			t.Errorf("with the network: %v", err)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	w := &fakeWorld{network: directory.NetworkID{1}}
	link := directory.NetworkLink{ID: w.network, Bootstraps: []directory.Bootstrap{{Addr: mustAddr("127.0.0.1:4433")}}}.String()
	other := directory.NetworkLink{ID: directory.NetworkID{2}, Bootstraps: []directory.Bootstrap{{Addr: mustAddr("127.0.0.1:4433")}}}.String()
	home := filepath.Join(t.TempDir(), "home")
	if _, err := Open(Config{Home: home}); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("without a network: %v", err)
	}
	if _, err := Open(Config{Home: home, Network: link[:len(link)-1]}); KindOf(err) != KindRefused {
		t.Errorf("cut link: %v", err)
	}
	if _, err := Open(Config{Home: home, Network: filepath.Join(home, "none")}); KindOf(err) != KindRefused {
		t.Errorf("no such file: %v", err)
	}
	file := filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(file, []byte(link+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Open(Config{Home: home, Network: file, Passphrase: []byte("correct horse"), testOnlyMemory: 64})
	if err != nil {
		t.Fatal(err)
	}
	if !m.Status().Encrypted {
		t.Error("the home has no passphrase")
	}
	if _, err := Open(Config{Home: home, Passphrase: []byte("correct horse")}); !errors.Is(err, ErrHomeInUse) {
		t.Errorf("home in use: %v", err)
	}
	for range 2 {
		if _, err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := m.Contacts(t.Context()); err == nil {
		t.Error("a closed messenger answers")
	}
	for _, wrong := range [][]byte{nil, []byte("battery staple")} {
		if _, err := Open(Config{Home: home, Passphrase: wrong}); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	if _, err := Open(Config{Home: home, Network: other, Passphrase: []byte("correct horse")}); KindOf(err) != KindWrongNetwork {
		t.Errorf("other network: %v", err)
	}
	m, err = Open(Config{Home: home, Passphrase: []byte("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	if m.link.String() != link {
		t.Error("the link was not remembered")
	}
	if _, err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestEventNumbersRise checks that numbers go on over restarts.
func TestEventNumbersRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 2)
		u := w.user(t)
		last := uint64(0)
		for range 3 {
			if _, err := u.CreateInvite(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			for _, ev := range u.events() {
				if ev.Seq <= last {
					t.Fatalf("event %d after %d", ev.Seq, last)
				}
				last = ev.Seq
			}
			u.crash()
		}
	})
}
