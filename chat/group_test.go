package chat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// circle is some people, of whom the first knows all others.
type circle struct {
	t     *testing.T
	w     *fakeWorld
	users []*user
	// at names the contact that user i has for user j, if any.
	at [][]string
}

// newCircle makes n people; the first one befriends the others at once.
func newCircle(t *testing.T, relays, n int) *circle {
	t.Helper()
	k := &circle{t: t, w: newFakeWorld(t, relays), at: make([][]string, n)}
	for range n {
		k.users = append(k.users, k.w.user(t))
	}
	for i := range k.at {
		k.at[i] = make([]string, n)
	}
	for j := 1; j < n; j++ {
		k.befriend(0, j)
	}
	return k
}

func (k *circle) befriend(i, j int) {
	k.t.Helper()
	inv, err := k.users[i].CreateInvite(context.Background(), fmt.Sprint("user ", j))
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := k.users[j].AcceptInvite(context.Background(), inv.Link, fmt.Sprint("user ", i))
	if err != nil {
		k.t.Fatal(err)
	}
	k.at[j][i] = c.ID
	eventually(k.t, 5*time.Minute, "active", func() bool {
		k.at[i][j] = k.users[i].named(fmt.Sprint("user ", j))
		return k.at[i][j] != "" && k.users[j].state(c.ID) == ContactActive
	})
}

func (u *user) named(name string) string {
	list, _ := u.Contacts(context.Background())
	for _, c := range list {
		if c.Name == name {
			return c.ID
		}
	}
	return ""
}

// group has the first one make a group of all, and waits until everybody can
// write to everybody.
func (k *circle) group(limit time.Duration) string {
	k.t.Helper()
	g, err := k.users[0].CreateGroup(context.Background(), "printers", k.at[0][1:])
	if err != nil {
		k.t.Fatal(err)
	}
	k.complete(g.ID, limit, k.users...)
	return g.ID
}

func (k *circle) complete(id string, limit time.Duration, users ...*user) {
	k.t.Helper()
	eventually(k.t, limit, "everybody knows everybody", func() bool {
		for _, u := range users {
			g := u.groupOf(id)
			if len(g.Members) != len(users)-1 || g.Pending != 0 {
				return false
			}
			for _, m := range g.Members {
				if u.state(m) != ContactActive {
					return false
				}
			}
		}
		return true
	})
}

func (u *user) groupOf(id string) Group {
	list, err := u.Groups(context.Background())
	if err != nil {
		u.t.Fatal(err)
	}
	for _, g := range list {
		if g.ID == id {
			return g
		}
	}
	return Group{}
}

// groupTexts returns the texts of a group that others wrote, without notices.
func (u *user) groupTexts(id string) (texts []string) {
	list, err := u.Messages(context.Background(), id, 0, 1000)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, m := range list {
		if m.Direction == In && m.Kind == "" {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// groupNotices returns the notices of a group.
func (u *user) groupNotices(id string) string {
	list, err := u.Messages(context.Background(), id, 0, 1000)
	if err != nil {
		u.t.Fatal(err)
	}
	var texts []string
	for _, m := range list {
		if m.Kind == KindMessageNotice {
			texts = append(texts, m.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// forge has a user send a message of any type and content to a contact.
func (u *user) forge(contact string, kind session.FrameType, id [16]byte, content []byte) {
	u.t.Helper()
	err := u.do(context.Background(), func(t *turn) error {
		return t.wait(t.book.contacts[contact], waitRecord{Type: byte(kind), ID: id, Content: content})
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

// peek looks at a group as it is in the book.
func (u *user) peek(id string, look func(t *turn, g *group)) {
	u.t.Helper()
	err := u.do(context.Background(), func(t *turn) error { look(t, t.book.groups[id]); return nil })
	if err != nil {
		u.t.Fatal(err)
	}
}

// TestGroup has four people, of whom one knows the others and two know each
// other, make a group, write, restart, and leave.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 6, 4)
		k.befriend(2, 3)
		alice, bob, carol, dave := k.users[0], k.users[1], k.users[2], k.users[3]
		before := len(must(carol.Contacts(t.Context())))
		id := k.group(5 * time.Minute)

		// Who were contacts before are not introduced once more, and who were not
		// are, without trust.
		if n := len(must(carol.Contacts(t.Context()))); n != before+1 {
			t.Errorf("carol has %d contacts, want %d", n, before+1)
		}
		if !slices.Contains(carol.groupOf(id).Members, k.at[2][3]) || !slices.Contains(dave.groupOf(id).Members, k.at[3][2]) {
			t.Error("contacts of old do not find each other in the group")
		}
		for _, c := range must(bob.Contacts(t.Context())) {
			if c.ID != k.at[1][0] && (c.Introduced != "user 0" || c.Verified) {
				t.Errorf("introduced contact %+v", c)
			}
		}

		for i, u := range k.users {
			u.say(id, fmt.Sprint("from ", i))
		}
		eventually(t, time.Minute, "everybody has everything", func() bool {
			for _, u := range k.users {
				if len(u.groupTexts(id)) != 3 || !u.settled(id, Delivered) {
					return false
				}
			}
			return true
		})
		for _, m := range must(bob.Messages(t.Context(), id, 0, 100)) {
			if m.Direction == Out && (*m.Delivered != Copies{3, 3}) {
				t.Errorf("delivered to %v", *m.Delivered)
			}
			if m.Direction == In && m.Kind == "" && m.Author == "" {
				t.Errorf("no author of %q", m.Text)
			}
		}

		// A message waits for members who are away, and says how many have it.
		dave.stop()
		carol.crash()
		sent := carol.say(id, "without dave")
		eventually(t, time.Minute, "two of three", func() bool {
			m := carol.message(id, sent.ID)
			return m.State == Stored && *m.Delivered == Copies{2, 3} && m.Copies.Have == 2
		})
		carol.crash()
		if m := carol.message(id, sent.ID); m.State != Stored || *m.Delivered != (Copies{2, 3}) {
			t.Errorf("after a crash %s, %v", m.State, *m.Delivered)
		}
		dave.start()
		eventually(t, time.Minute, "delivered", func() bool { return carol.settled(id, Delivered) })

		// The admin hands over by leaving.
		if err := alice.RenameGroup(t.Context(), id, "Drucker"); err != nil {
			t.Fatal(err)
		}
		if err := bob.RenameGroup(t.Context(), id, "mine"); KindOf(err) != KindRefused {
			t.Errorf("a member renames: %v", err)
		}
		if err := alice.LeaveGroup(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "bob is the admin of three", func() bool {
			g := bob.groupOf(id)
			return g.Admin && len(g.Members) == 2 && len(dave.groupOf(id).Members) == 2 && dave.groupOf(id).Name == "Drucker"
		})
		if err := bob.RemoveMember(t.Context(), id, bob.groupOf(id).Members[0]); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "carol was removed", func() bool {
			g := dave.groupOf(id)
			return carol.groupOf(id).State == GroupRemoved && len(g.Members) == 1 && g.Administrator == g.Members[0] && bob.groupOf(id).Administrator == ""
		})
		if _, err := carol.Send(t.Context(), id, "still here"); KindOf(err) != KindRefused {
			t.Errorf("who was removed writes: %v", err)
		}
		for _, u := range k.users {
			if w := u.groupOf(id).Warning; w != "" {
				t.Errorf("warning %q", w)
			}
		}
		if err := alice.LeaveGroup(t.Context(), id); err != nil || alice.groupOf(id).ID != "" {
			t.Errorf("a group that was left is not erased: %v", err)
		}
	})
}

// TestGroupOf16 sends a message to a group of 16, without cover: it is with all
// of them within 10 s, and the first copies go to all members before any second
// one. The members are not introduced to each other, so that each has a place for
// a standing subscription (SPEC.md §11.3).
func TestGroupOf16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 16
		k := newCircle(t, 8, n)
		alice := k.users[0]
		g := must(alice.CreateGroup(t.Context(), "all", k.at[0][1:]))
		alice.peek(g.ID, func(t *turn, g *group) { // asks are not passed on
			for _, x := range g.rec.Members {
				for _, y := range g.rec.Members {
					g.relayed[relayKey{x.ID, y.ID, session.IntroAsk}] = t.now.Add(time.Hour)
				}
			}
		})
		eventually(t, 5*time.Minute, "all have joined", func() bool {
			for _, u := range k.users[1:] {
				if u.groupOf(g.ID).ID == "" {
					return false
				}
			}
			return true
		})
		<-time.After(3 * time.Minute) // what befriending left open is closed
		have := func(text string) (n int) {
			for _, u := range k.users[1:] {
				if slices.Contains(u.groupTexts(g.ID), text) {
					n++
				}
			}
			return n
		}
		began := time.Now()
		sent := alice.say(g.ID, "hello all")
		alice.peek(g.ID, func(tt *turn, g *group) {
			for _, c := range tt.book.contacts {
				for _, o := range c.out {
					if o.rec.Group != "" && o.rec.Number == sent.Seq && max(o.due[0].Sub(began), o.due[1].Sub(began)) < groupFirstCopies/10 {
						t.Error("a second copy does not wait for the first ones")
					}
				}
			}
		})
		order := &firstCopies{t: t, members: n - 1}
		eventually(t, 10*time.Second, "all have it", func() bool {
			alice.peek(g.ID, func(_ *turn, g *group) { order.look(g.flight[sent.Seq]) })
			return have("hello all") == n-1
		})
		t.Logf("16 members have it after %v", time.Since(began))
	})
}

// firstCopies checks that no second copy of a message is at a relay before every
// member's first one.
type firstCopies struct {
	t       *testing.T
	members int
}

func (o *firstCopies) look(f *groupFlight) {
	if f == nil {
		return
	}
	ones, twos := 0, 0
	for i := range f.rec.Copies {
		c := &f.rec.Copies[i]
		if c.State == copyDelivered || c.have > 0 {
			ones++
		}
		if c.State == copyUnderway && c.have == 2 {
			twos++
		}
	}
	if ones < o.members && twos > 0 {
		o.t.Errorf("%d second copies while %d members have no first one", twos, o.members-ones)
	}
}

// TestGroupOpAsText sends operations of a group under the types of texts, and
// texts under those of operations: nothing changes (type confusion).
func TestGroupOpAsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 5, 3)
		id := k.group(3 * time.Minute)
		alice, bob := k.users[0], k.users[1]
		var op, text []byte
		alice.peek(id, func(_ *turn, g *group) {
			remove := session.RosterOp{Kind: session.RosterRemove, Member: g.rec.Members[1].ID}.Append(nil)
			op = session.GroupOp{Group: g.roster.Group, Form: session.GroupOps, Epoch: 2, You: g.rec.Members[0].ID, Ops: [][]byte{remove}}.Append(nil)
			text, _ = session.GroupText{Group: g.roster.Group, Epoch: 1, Seq: 1, Text: session.Text{Text: "x"}}.Append(nil)
		})
		for _, kind := range []session.FrameType{session.FrameText, session.FrameGroup, session.FrameIntro, session.FrameEdit, session.FrameTimer} {
			alice.forge(k.at[0][1], kind, [16]byte{1}, op)
		}
		for _, kind := range []session.FrameType{session.FrameGroupOp, session.FrameIntro} {
			alice.forge(k.at[0][1], kind, [16]byte{2}, text)
		}
		alice.say(k.at[0][1], "done")
		eventually(t, time.Minute, "all arrived", func() bool { return slices.Contains(bob.texts(k.at[1][0], In), "done") })
		if g := bob.groupOf(id); len(g.Members) != 2 || len(bob.groupTexts(id)) != 0 || g.Warning != "" {
			t.Errorf("group %+v, texts %q", g, bob.groupTexts(id))
		}
	})
}

// TestAuthorSpoof has a member send what another one wrote or could have
// written: the author is the session.
func TestAuthorSpoof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 5, 3)
		id := k.group(3 * time.Minute)
		alice, bob, carol := k.users[0], k.users[1], k.users[2]
		alice.say(id, "by alice")
		eventually(t, time.Minute, "carol has it", func() bool { return len(carol.groupTexts(id)) == 1 })
		var frame session.Message
		var bobsCarol string
		bob.peek(id, func(t *turn, g *group) {
			text := session.GroupText{Group: g.roster.Group, Epoch: 1, Seq: 2, Text: session.Text{Text: "as alice"}}
			hash := g.roster.Hash(1)
			copy(text.Roster[:], hash[:])
			frame.Content, _ = text.Append(nil)
			frame.ID, _ = text.ID(g.roster.Admin)
			for _, m := range g.rec.Members {
				if m.ID != g.roster.Admin {
					bobsCarol = m.Contact
				}
			}
		})
		bob.forge(bobsCarol, session.FrameGroup, frame.ID, frame.Content)     // a new text, with alice's id
		bob.forge(bobsCarol, session.FrameGroup, [16]byte{1}, frame.Content)  // any other id
		bob.forge(bobsCarol, session.FrameGroup, [16]byte{2}, []byte("junk")) // malformed
		bob.say(id, "by bob")
		eventually(t, time.Minute, "carol has bob's", func() bool { return len(carol.groupTexts(id)) == 2 })
		for _, m := range must(carol.Messages(t.Context(), id, 0, 100)) {
			if m.Kind != "" {
				continue
			}
			author := carol.contact(m.Author).ID
			if isAlice := author == k.at[2][0]; author == "" || isAlice != (m.Text == "by alice") || m.Text == "as alice" {
				t.Errorf("%q is by %q", m.Text, author)
			}
		}
	})
}

// TestMoreIsLess does what a hostile admin, member or network can do to a group
// (Rösler, Mainka, Schwenk, EuroS&P 2018).
func TestMoreIsLess(t *testing.T) {
	t.Run("operation dropped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newCircle(t, 5, 3)
			id := k.group(3 * time.Minute)
			alice, bob, carol := k.users[0], k.users[1], k.users[2]
			// Alice's program tells bob of a change, and not carol, and does not
			// answer carol's question either.
			err := alice.do(t.Context(), func(t *turn) error {
				g := t.book.groups[id]
				raw := session.RosterOp{Kind: session.RosterRename, Name: "secret"}.Append(nil)
				if err := t.applyOp(g, raw, "you"); err != nil {
					return err
				}
				g.served[k.at[0][2]] = t.now.Add(time.Hour)
				return t.sendOps(g, g.of(k.at[0][1]), 2)
			})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, "bob knows", func() bool { return bob.groupOf(id).Name == "secret" })
			bob.say(id, "did you see the new name?")
			eventually(t, 3*time.Minute, "carol is warned", func() bool {
				return strings.Contains(carol.groupOf(id).Warning, "user 0, who administers this group, told others")
			})
			if got := carol.groupTexts(id); len(got) != 1 {
				t.Errorf("carol has %q", got)
			}
			var told bool
			for _, ev := range carol.events() {
				told = told || ev.Type == GroupChanged && ev.Group.ID == id && ev.Detail == carol.groupOf(id).Warning
			}
			if !told || !strings.Contains(carol.groupNotices(id), "told others") {
				t.Error("nobody told carol of the warning")
			}
		})
	})
	t.Run("operations reordered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newCircle(t, 5, 2)
			id := k.group(time.Minute)
			alice, bob := k.users[0], k.users[1]
			err := alice.do(t.Context(), func(t *turn) error {
				g := t.book.groups[id]
				for _, name := range []string{"second", "third"} {
					if err := t.applyOp(g, session.RosterOp{Kind: session.RosterRename, Name: name}.Append(nil), "you"); err != nil {
						return err
					}
				}
				return t.sendOps(g, g.of(k.at[0][1]), 3) // the last one alone
			})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, "bob asked for what was missing", func() bool { return bob.groupOf(id).Name == "third" })
			if w := bob.groupOf(id).Warning; w != "" {
				t.Errorf("warning %q", w)
			}
		})
	})
	t.Run("equivocating admin", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newCircle(t, 5, 3)
			id := k.group(3 * time.Minute)
			alice, bob, carol := k.users[0], k.users[1], k.users[2]
			for i, name := range []string{"to bob", "to carol"} {
				op := session.GroupOp{Form: session.GroupOps, Epoch: 2, Ops: [][]byte{session.RosterOp{Kind: session.RosterRename, Name: name}.Append(nil)}}
				alice.peek(id, func(_ *turn, g *group) {
					op.Group, op.You = g.roster.Group, g.of(k.at[0][i+1]).ID
				})
				alice.forge(k.at[0][i+1], session.FrameGroupOp, [16]byte{byte(i + 1)}, op.Append(nil))
			}
			eventually(t, time.Minute, "both were told", func() bool {
				return bob.groupOf(id).Name == "to bob" && carol.groupOf(id).Name == "to carol"
			})
			bob.say(id, "what are we called?")
			eventually(t, time.Minute, "carol is warned, and of whom", func() bool {
				return strings.Contains(carol.groupOf(id).Warning, "user 0, who administers this group, told members different things")
			})
			if got := carol.groupTexts(id); !slices.Equal(got, []string{"what are we called?"}) {
				t.Errorf("carol has %q", got)
			}
			// One that contradicts itself towards one member is seen at once.
			again := session.GroupOp{Form: session.GroupOps, Epoch: 2, Ops: [][]byte{session.RosterOp{Kind: session.RosterRename, Name: "neither"}.Append(nil)}}
			alice.peek(id, func(_ *turn, g *group) { again.Group, again.You = g.roster.Group, g.of(k.at[0][1]).ID })
			alice.forge(k.at[0][1], session.FrameGroupOp, [16]byte{9}, again.Append(nil))
			eventually(t, time.Minute, "bob is warned", func() bool {
				return strings.Contains(bob.groupOf(id).Warning, "user 0, who administers this group, sent two different lists")
			})
			if bob.groupOf(id).Name != "to bob" {
				t.Error("the second version was taken")
			}
		})
	})
	t.Run("no admin", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newCircle(t, 5, 3)
			id := k.group(3 * time.Minute)
			alice, bob, carol := k.users[0], k.users[1], k.users[2]
			op := session.GroupOp{Form: session.GroupOps, Epoch: 2}
			bob.peek(id, func(_ *turn, g *group) {
				op.Group, op.You = g.roster.Group, g.roster.Admin
				op.Ops = [][]byte{
					session.RosterOp{Kind: session.RosterAdmin, Member: g.rec.Me}.Append(nil),
					session.RosterOp{Kind: session.RosterRename, Name: "bob's"}.Append(nil),
				}
			})
			for _, to := range bob.groupOf(id).Members {
				bob.forge(to, session.FrameGroupOp, [16]byte{1}, op.Append(nil))
			}
			bob.say(id, "I am the admin now")
			eventually(t, time.Minute, "all have it", func() bool { return len(alice.groupTexts(id)) == 1 && len(carol.groupTexts(id)) == 1 })
			for _, u := range []*user{alice, carol} {
				if g := u.groupOf(id); g.Name != "printers" || len(g.Members) != 2 {
					t.Errorf("a member changed the roster: %+v", g)
				}
			}
		})
	})
	t.Run("removed member sends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newCircle(t, 5, 3)
			id := k.group(3 * time.Minute)
			alice, bob, carol := k.users[0], k.users[1], k.users[2]
			carol.net.cut(false)
			alice.say(id, "before") // carol is owed a copy that she must not get later
			<-time.After(time.Second)
			if err := alice.RemoveMember(t.Context(), id, k.at[0][2]); err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, "bob knows", func() bool { return len(bob.groupOf(id).Members) == 1 })
			alice.say(id, "among us")
			bob.say(id, "yes")
			eventually(t, time.Minute, "alice's went to bob alone", func() bool { return alice.settled(id, Delivered) && bob.settled(id, Delivered) })
			// Carol's program does not care for what it is told.
			carol.peek(id, func(*turn, *group) {})
			carol.say(id, "I am still here")
			carol.net.cut(true)
			eventually(t, time.Minute, "carol was told", func() bool { return carol.groupOf(id).State == GroupRemoved })
			<-time.After(2 * time.Minute)
			for _, u := range []*user{alice, bob} {
				if slices.Contains(u.groupTexts(id), "I am still here") {
					t.Error("a removed member is heard")
				}
			}
			if got := carol.groupTexts(id); slices.Contains(got, "among us") || slices.Contains(got, "yes") {
				t.Errorf("who was removed got %q", got)
			}
		})
	})
}

// TestGroupGap loses every copy of one message to one member: what follows waits
// for it, is then shown with a notice, and the late one is marked.
func TestGroupGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 5, 3)
		id := k.group(3 * time.Minute)
		alice, bob, carol := k.users[0], k.users[1], k.users[2]
		carol.peek(id, func(t *turn, g *group) { // no newcomer any more
			g.rec.Since -= 24 * 60 * 60
			_ = t.saveGroup(g)
		})
		alice.say(id, "begin")
		eventually(t, time.Minute, "both have it", func() bool { return len(bob.groupTexts(id)) == 1 && len(carol.groupTexts(id)) == 1 })
		// Alice's program keeps her next message from carol.
		var kept flightRecord
		err := alice.do(t.Context(), func(t *turn) error {
			g := t.book.groups[id]
			g.of(k.at[0][2]).Contact = ""
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m := alice.say(id, "question")
		alice.peek(id, func(_ *turn, g *group) { kept = g.flight[m.Seq].rec })
		eventually(t, time.Minute, "bob has it", func() bool { return len(bob.groupTexts(id)) == 2 })
		bob.say(id, "answer")
		eventually(t, 2*time.Second, "carol holds it", func() bool {
			held := 0
			carol.peek(id, func(_ *turn, g *group) { held = len(g.held) })
			return held == 1
		})
		if got := carol.groupTexts(id); len(got) != 1 {
			t.Errorf("shown at once: %q", got)
		}
		carol.crash() // what is held survives
		eventually(t, time.Minute, "shown after a while", func() bool { return len(carol.groupTexts(id)) == 2 })
		if !strings.Contains(carol.groupNotices(id), "has not arrived") {
			t.Errorf("no notice in %q", carol.groupNotices(id))
		}
		alice.forge(k.at[0][2], session.FrameGroup, kept.ID, kept.Content)
		eventually(t, time.Minute, "the late one came", func() bool { return len(carol.groupTexts(id)) == 3 })
		for _, m := range must(carol.Messages(t.Context(), id, 0, 100)) {
			if m.Kind == "" && m.Late != (m.Text == "question") {
				t.Errorf("%q late: %t", m.Text, m.Late)
			}
		}
	})
}

// TestGroupsOfOneContact has one contact put us into group after group.
func TestGroupsOfOneContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 5, 2)
		alice, bob := k.users[0], k.users[1]
		for i := range groupPerContact + 2 {
			must(alice.CreateGroup(t.Context(), fmt.Sprint("group ", i), k.at[0][1:]))
		}
		alice.say(k.at[0][1], "done")
		eventually(t, time.Minute, "all arrived", func() bool { return slices.Contains(bob.texts(k.at[1][0], In), "done") })
		if n := len(must(bob.Groups(t.Context()))); n != groupPerContact {
			t.Errorf("in %d groups, want %d", n, groupPerContact)
		}
		if err := bob.LeaveGroup(t.Context(), must(bob.Groups(t.Context()))[0].ID); err != nil {
			t.Fatal(err)
		}
		g := must(alice.CreateGroup(t.Context(), "one more", k.at[0][1:]))
		eventually(t, time.Minute, "there is room again", func() bool { return bob.groupOf(g.ID).State == GroupActive })
	})
}
