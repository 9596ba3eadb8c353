package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// newAddress makes an address and waits until the directory has it.
func (u *user) newAddress(label string) Address {
	u.t.Helper()
	a, err := u.CreateAddress(context.Background(), label)
	if err != nil {
		u.t.Fatal(err)
	}
	return a
}

func (u *user) requests() []Request {
	list, err := u.Requests(context.Background())
	if err != nil {
		u.t.Fatal(err)
	}
	return list
}

// asked waits for the one pending request.
func (u *user) asked() Request {
	u.t.Helper()
	eventually(u.t, 5*time.Minute, "a request", func() bool { return len(u.requests()) == 1 })
	return u.requests()[0]
}

func (u *user) ask(link, name, as, text string) Contact {
	u.t.Helper()
	c, err := u.AskContact(context.Background(), link, name, as, text)
	if err != nil || c.State != ContactInvited {
		u.t.Fatal(c, err)
	}
	return c
}

// TestAddressContact: somebody asks through an address, the owner accepts, both
// write to each other, over crashes, and share no key with others who asked.
func TestAddressContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob, carol := w.user(t), w.user(t), w.user(t)
		a := alice.newAddress("card")
		if a.Label != "card" || a.State != "published" || len(a.Link) != session.LinkLength {
			t.Errorf("%+v", a)
		}
		b := bob.ask(a.Link, "alice", "Bob \x1b[2J", "from the\u202e harbour")
		bob.say(b.ID, "first")
		if got := bob.contact(b.ID).Asked; got == "" {
			t.Error("bob is not told that he has to wait")
		}
		r := alice.asked()
		eventually(t, 5*time.Minute, "both relays took the request", func() bool {
			return bob.contact(b.ID).Asked == "two relays took the request; its owner decides"
		})
		if r.Name != "Bob [2J" || r.Text != "from the harbour" || r.Address != a.ID {
			t.Errorf("%+v", r)
		}
		alice.crash()
		if got := alice.asked(); got.ID != r.ID {
			t.Error("another request after a restart")
		}
		c, err := alice.AcceptRequest(t.Context(), r.ID, "")
		if err != nil || c.Name != "Bob [2J" || c.State != ContactActive {
			t.Fatal(c, err)
		}
		alice.crash()
		alice.say(c.ID, "welcome")
		eventually(t, 2*time.Minute, "delivered both ways", func() bool {
			return bob.state(b.ID) == ContactActive && alice.settled(c.ID, Delivered) && bob.settled(b.ID, Delivered)
		})
		if texts := alice.texts(c.ID, In); len(texts) != 2 || texts[1] != "first" {
			t.Errorf("alice has %q", texts)
		}
		bob.checkReceived(b.ID, []string{"welcome"})
		if got := bob.contact(b.ID).Asked; got != "" {
			t.Errorf("bob is told of a request that was answered: %s", got)
		}
		if x, y := alice.contact(c.ID), bob.contact(b.ID); x.SafetyNumber == "" || x.SafetyNumber != y.SafetyNumber {
			t.Errorf("safety numbers %q and %q", x.SafetyNumber, y.SafetyNumber)
		}
		if _, err := alice.AcceptRequest(t.Context(), r.ID, ""); KindOf(err) != KindNotFound {
			t.Errorf("accepted twice: %v", err)
		}
		d := carol.ask(a.Link, "", "", "")
		r = alice.asked()
		e, err := alice.AcceptRequest(t.Context(), r.ID, "carol")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 2*time.Minute, "carol is a contact", func() bool { return carol.state(d.ID) == ContactActive })
		var keys [2]session.Identities
		_ = alice.look(t.Context(), func(t *turn) error {
			keys[0], keys[1] = t.book.contacts[c.ID].session.Identities(), t.book.contacts[e.ID].session.Identities()
			return nil
		})
		if [32]byte(keys[0][:]) == [32]byte(keys[1][:]) {
			t.Error("two contacts of an address see one identity key")
		}
		eventually(t, 10*time.Minute, "public", func() bool {
			list, _ := alice.Addresses(t.Context())
			return len(list) == 1 && list[0].State == "published, and on 6 of 6 relays of the directory"
		})
		if err := alice.RevokeAddress(t.Context(), a.ID); err != nil {
			t.Error(err)
		}
		if err := alice.RevokeAddress(t.Context(), a.ID); KindOf(err) != KindNotFound {
			t.Errorf("revoked twice: %v", err)
		}
		before := w.count(mailbox.CmdDel)
		eventually(t, time.Hour, "its queues are deleted", func() bool { return w.count(mailbox.CmdDel) >= before+2 })
	})
}

// TestCarelessWhisperOfStranger: whatever strangers send, nothing comes back
// before the owner accepts, and nothing after a rejection; who is blocked is not
// shown again.
func TestCarelessWhisperOfStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, eve := w.user(t), w.user(t)
		a := alice.newAddress("")
		c := eve.ask(a.Link, "victim", "eve", "are you there?")
		r := alice.asked()
		eve.leave()
		before := w.count(mailbox.CmdSend)
		<-time.After(10 * time.Minute)
		if n := w.count(mailbox.CmdSend) - before; n != 0 {
			t.Errorf("%d blocks are sent to a stranger", n)
		}
		eve.crash()
		if err := alice.RejectRequest(t.Context(), r.ID, true); err != nil {
			t.Fatal(err)
		}
		alice.crash()
		<-time.After(45 * time.Minute) // two repeats of the request
		if n := len(alice.requests()); n != 0 {
			t.Errorf("%d requests after the rejection: a replay was taken", n)
		}
		if eve.state(c.ID) != ContactInvited {
			t.Error("the stranger learned something")
		}
		var guest [32]byte
		_ = alice.look(t.Context(), func(t *turn) error {
			for h := range t.book.strangers.blocked {
				guest = h
			}
			return nil
		})
		if guest == ([32]byte{}) {
			t.Error("the block was lost by a restart")
		}
	})
}

// forge writes a container of four random chunks under a proper id, or less of
// it, to a queue of an address.
func forge(t *testing.T, c *mailboxClient, addr session.QAddr, chunks int) error {
	container := make([]byte, session.ContainerSize)
	_, _ = rand.Read(container)
	return sendContainer(t, c, addr, container, chunks)
}

func sendContainer(t *testing.T, c *mailboxClient, addr session.QAddr, container []byte, chunks int) error {
	t.Helper()
	inner, err := session.SplitContainer(container)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PayPrice(t.Context(), mailbox.SID(addr.SID), 0); err != nil {
		return err
	}
	for _, b := range inner[:chunks] {
		sealed, id, err := addr.Seal(b)
		if err != nil {
			t.Fatal(err)
		}
		block := [mailbox.BlockSize]byte(sealed)
		if _, err := c.Send(t.Context(), mailbox.SID(addr.SID), addr.Capability.Bytes(), mailbox.MessageID(id), &block); err != nil {
			return err
		}
	}
	return nil
}

// stranger opens the mailbox of a queue.
func (w *fakeWorld) stranger(t *testing.T, u *user, addr session.QAddr) *post {
	t.Helper()
	p, err := u.openPost(t.Context(), circuitTo(addr.Relay))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestForgedRequestFlood: forged requests fill no more than the queue, are
// opened slowly, leave nothing, and an honest request among them arrives.
func TestForgedRequestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		alice, eve, bob := w.user(t), w.user(t), w.user(t)
		a := alice.newAddress("")
		var addr session.QAddr
		_ = alice.look(t.Context(), func(t *turn) error {
			addr = t.book.addresses[a.ID].rec.Queues[0].addr()
			return nil
		})
		refused := 0
		for n := 0; n < 120; {
			p := w.stranger(t, eve, addr)
			for n < 120 {
				n++
				if err := forge(t, p.mailboxClient, addr, 4); err != nil {
					refused++
					break
				}
			}
			p.Close()
		}
		if refused == 0 {
			t.Error("the relay kept everything")
		}
		bob.ask(a.Link, "alice", "bob", "")
		start := time.Now()
		most := 0
		for len(alice.requests()) == 0 {
			<-time.After(10 * time.Second)
			if time.Since(start) > time.Hour {
				t.Fatal("the honest request did not arrive")
			}
			_ = alice.look(t.Context(), func(t *turn) error {
				n := 0
				for _, at := range t.book.strangers.opened {
					if t.now.Sub(at) < openEvery {
						n++
					}
				}
				most = max(most, n)
				return nil
			})
		}
		if most == 0 || most > openRate {
			t.Errorf("%d containers opened in a minute", most)
		}
		if list := alice.requests(); len(list) != 1 || list[0].Name != "bob" {
			t.Errorf("%+v", list)
		}
	})
}

// TestManyRequests: no more than so many are kept, those with most work.
func TestManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 3)
		alice := w.user(t)
		a := alice.newAddress("")
		_ = alice.do(t.Context(), func(turn *turn) error {
			addr := turn.book.addresses[a.ID]
			for n := range requestLimit + 10 {
				sum := sha256.Sum256([]byte{byte(n)})
				got := &session.Accepted{State: acceptedState(t, addr.secret), Core: sum, Name: "n"}
				if err := turn.addRequest(addr, got, byte(n/10)); err != nil {
					return err
				}
				if err := turn.addRequest(addr, got, 99); err != nil { // a replay
					return err
				}
			}
			return nil
		})
		list := alice.requests()
		if len(list) != requestLimit {
			t.Fatalf("%d requests are kept", len(list))
		}
		for _, r := range list {
			if r.Effort == 0 {
				t.Error("a cheap request stayed while a dear one went")
			}
		}
	})
}

// acceptedState makes the session of a fresh request.
func acceptedState(t *testing.T, a *session.Address) *session.State {
	t.Helper()
	u := a.Bundle()
	q, err := u.Request(rand.Reader, time.Now(), session.RequestConfig{Queues: u.Queues})
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Accept(time.Now(), session.Config{Lab: true}, q.Container)
	if err != nil {
		t.Fatal(err)
	}
	return got.State
}

// TestAddressMoves: the relays of a link go for good; the address moves, and the
// old link still leads to it through the directory.
func TestAddressMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 8)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		var named []directory.RelayID
		_ = alice.look(t.Context(), func(t *turn) error {
			for _, q := range t.book.addresses[a.ID].rec.Queues {
				named = append(named, q.Relay)
			}
			return nil
		})
		for _, id := range named {
			w.relay(id).server.Drain()
		}
		eventually(t, time.Hour, "both queues moved and are public", func() bool {
			moved := true
			_ = alice.look(t.Context(), func(t *turn) error {
				r := t.book.addresses[a.ID].rec
				for _, q := range r.Queues {
					moved = moved && q.Link && q.Relay != named[0] && q.Relay != named[1]
				}
				moved = moved && !r.Stale && r.Records[0].Held >= 4
				return nil
			})
			return moved
		})
		for _, id := range named {
			w.stop(w.relay(id))
		}
		b := bob.ask(a.Link, "alice", "", "")
		r := alice.asked()
		if _, err := alice.AcceptRequest(t.Context(), r.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Minute, "active", func() bool { return bob.state(b.ID) == ContactActive })
	})
}

// TestAddressRotates: a bundle lasts a week, and who holds the link gets the
// newest.
func TestAddressRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		_ = alice.changeAddress(t.Context(), a.ID, func(_ *turn, a *address) error {
			a.rec.Rotated -= int64((addressRotate/60 - time.Minute).Seconds()) // the week passes
			return nil
		})
		<-time.After(30 * time.Second)
		var seq uint32
		_ = alice.look(t.Context(), func(t *turn) error { seq = t.book.addresses[a.ID].secret.Bundle().Seq(); return nil })
		if seq != 1 {
			t.Errorf("bundle %d before the week is over", seq)
		}
		<-time.After(3 * time.Minute)
		_ = alice.look(t.Context(), func(t *turn) error { seq = t.book.addresses[a.ID].secret.Bundle().Seq(); return nil })
		if seq != 2 {
			t.Errorf("bundle %d after a week", seq)
		}
		b := bob.ask(a.Link, "alice", "", "")
		<-time.After(time.Minute)
		_ = bob.look(t.Context(), func(t *turn) error {
			u, err := session.ParseBundle(t.book.contacts[b.ID].rec.Claim.Bundle)
			if err != nil || u.Seq() != 2 {
				w.t.Errorf("bob answers bundle %d: %v", u.Seq(), err)
			}
			return nil
		})
	})
}

// TestAddressLinkRefusals: own and other people's links.
func TestAddressLinkRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		if _, err := alice.AcceptInvite(t.Context(), a.Link, ""); KindOf(err) != KindRefused {
			t.Errorf("own address: %v", err)
		}
		inv, err := alice.CreateInvite(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bob.AskContact(t.Context(), inv.Link, "", "bob", ""); KindOf(err) != KindRefused {
			t.Errorf("a name for an invite: %v", err)
		}
		bob.ask(a.Link, "", "", "")
		if _, err := bob.AcceptInvite(t.Context(), a.Link, ""); KindOf(err) != KindExists {
			t.Errorf("asked twice: %v", err)
		}
		for range addressLimit - 1 {
			alice.newAddress("")
		}
		if _, err := alice.CreateAddress(t.Context(), ""); KindOf(err) != KindLimit {
			t.Errorf("one address too many: %v", err)
		}
	})
}

// TestInvitesAreListedAndRevoked shows the count of readers, and has the relays
// forget a revoked invite.
func TestInvitesAreListedAndRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, eve := w.user(t), w.user(t), w.user(t)
		inv, err := alice.CreateInvite(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		list, err := alice.Invites(t.Context())
		if err != nil || len(list) != 1 || list[0].Link != inv.Link || list[0].State != "waiting" || list[0].Opened != 0 {
			t.Fatalf("%+v %v", list, err)
		}
		link, err := session.ParseLink(inv.Link, w.network)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []*user{bob, eve} {
			for _, prefix := range link.Relays {
				relay, _ := u.views.Current().ByPrefix(prefix)
				p, err := u.openPost(t.Context(), circuitTo(relay.ID))
				if err != nil {
					t.Fatal(err)
				}
				var reader [32]byte
				_, _ = rand.Read(reader[:])
				_, _, _ = p.GetLink(t.Context(), link.LID(), reader)
				p.Close()
			}
		}
		alice.events()
		eventually(t, 10*time.Minute, "two readers", func() bool {
			list, _ := alice.Invites(t.Context())
			return len(list) == 1 && list[0].Opened == 2 && list[0].State == "opened"
		})
		told := false
		for _, ev := range alice.events() {
			told = told || ev.Type == ErrorEvent && ev.Kind == KindInviteUsed
		}
		if !told {
			t.Error("nobody was told")
		}
		before := w.count(mailbox.CmdDel)
		if err := alice.RevokeInvite(t.Context(), inv.ID); err != nil {
			t.Fatal(err)
		}
		if err := alice.RevokeInvite(t.Context(), inv.ID); KindOf(err) != KindNotFound {
			t.Errorf("revoked twice: %v", err)
		}
		eventually(t, time.Hour, "deleted at both relays", func() bool { return w.count(mailbox.CmdDel) >= before+2 })
		c, err := bob.AcceptInvite(t.Context(), inv.Link, "alice")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Minute, "the invite fails", func() bool { return bob.contact(c.ID).Problem != "" })
	})
}

func circuitTo(relay directory.RelayID) circuit.Request {
	return circuit.Request{Purpose: circuit.Send, Destination: relay, Isolation: "test"}
}

// TestNoLookupWhileSignersContradict: while two histories of the network may be
// shown, no address is looked up: its relays might be a liar's.
func TestNoLookupWhileSignersContradict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		eventually(t, time.Minute, "bob knows the network", func() bool { return bob.views.Current() != nil })
		bob.views.Warn(directory.WarnEvidence, directory.Warning{Kind: directory.WarnEvidence, Since: time.Now(), Text: "test"})
		before := w.count(mailbox.CmdGetLink)
		b := bob.ask(a.Link, "alice", "", "")
		<-time.After(2 * time.Minute)
		if n := w.count(mailbox.CmdGetLink) - before; n != 0 || bob.contact(b.ID).Problem != "" {
			t.Errorf("%d look-ups", n)
		}
		bob.views.Warn(directory.WarnEvidence)
		alice.asked()
	})
}

// BenchmarkForgedRequest measures what the owner of an address does for one
// forged container under all generations of keys. At most 8 are opened in a
// minute, so 75 ms each would be 1 % of a core.
func BenchmarkForgedRequest(b *testing.B) {
	var queues [2]session.QAddr
	for n := range queues {
		queues[n].Relay, queues[n].SID = directory.RelayID{byte(n + 1)}, [24]byte{byte(n + 1)}
	}
	now := time.Now()
	a, err := session.NewAddress(rand.Reader, directory.NetworkID{1}, queues, now, 22)
	if err != nil {
		b.Fatal(err)
	}
	for range 5 {
		if err := a.Rotate(rand.Reader, now, 0, queues, now, 22); err != nil {
			b.Fatal(err)
		}
	}
	container := make([]byte, session.ContainerSize)
	_, _ = rand.Read(container)
	for b.Loop() {
		if _, err := a.Accept(now, session.Config{}, container); err == nil {
			b.Fatal("accepted")
		}
	}
	perMinute := b.Elapsed() / time.Duration(b.N) * openRate
	b.ReportMetric(float64(perMinute)/float64(time.Minute)*100, "%CPU")
}

// TestRestoredAddress restores a backup from before the last bundle: whoever has
// the link soon answers a bundle whose keys are there.
func TestRestoredAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		a := alice.newAddress("")
		backup := alice.backup(false)
		_ = alice.changeAddress(t.Context(), a.ID, func(turn *turn, a *address) error {
			a.rec.Stale = true
			return nil
		})
		seq := func() (seq uint32) {
			_ = alice.look(t.Context(), func(t *turn) error {
				a := t.book.addresses[a.ID]
				if seq = a.secret.Bundle().Seq(); !a.rec.Queues[0].Link || !a.rec.Queues[1].Link || a.rec.Records[0].Seq != seq {
					seq = 0
				}
				return nil
			})
			return seq
		}
		eventually(t, 5*time.Minute, "the next bundle", func() bool { return seq() == 2 })
		alice.restore(backup)
		eventually(t, 5*time.Minute, "another bundle", func() bool { return seq() > 2 })
		b := bob.ask(a.Link, "alice", "bob", "")
		r := alice.asked()
		if _, err := alice.AcceptRequest(t.Context(), r.ID, ""); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Minute, "active", func() bool { return bob.state(b.ID) == ContactActive })
	})
}
