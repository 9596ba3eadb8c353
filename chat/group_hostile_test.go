package chat

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// TestMemberFreezesRoster has a member name an epoch that there never was: the
// admin goes on once it removed that member, and a roster longer than any is not
// believed at all.
func TestMemberFreezesRoster(t *testing.T) {
	m, id := manyQueued(t, 0)
	member := func(t *turn, g *group, contact string, epoch uint32) error {
		c := t.book.contacts[contact]
		text := session.GroupText{Group: g.roster.Group, Epoch: epoch, Seq: 1, Text: session.Text{Text: "hm"}}
		frame, err := text.ID(g.of(contact).ID)
		if err != nil {
			return err
		}
		content, err := text.Append(nil)
		if err != nil {
			return err
		}
		return t.takeGroupText(c, session.Message{Type: session.FrameGroup, ID: frame, Content: content})
	}
	lie := func(contact string, epoch uint32) {
		t.Helper()
		if err := m.do(t.Context(), func(t *turn) error { return member(t, t.book.groups[id], contact, epoch) }); err != nil {
			t.Fatal(err)
		}
	}
	lie("c_2", 1<<32-1)
	if err := m.RenameGroup(t.Context(), id, "no roster is that long"); err != nil {
		t.Error(err)
	}
	lie("c_3", 100)
	if err := m.RenameGroup(t.Context(), id, "doubted"); KindOf(err) != KindRefused {
		t.Errorf("renamed in spite of a newer roster: %v", err)
	}
	if err := m.RemoveMember(t.Context(), id, "c_4"); KindOf(err) != KindRefused {
		t.Errorf("another member was removed: %v", err)
	}
	if err := m.RemoveMember(t.Context(), id, "c_3"); err != nil {
		t.Error(err)
	}
	if err := m.RenameGroup(t.Context(), id, "ours again"); err != nil {
		t.Error(err)
	}
}

// TestIntroductionFlood has an admin put us into groups of people who are nobody,
// each of whom asks for an invite.
func TestIntroductionFlood(t *testing.T) {
	m, _ := searchable(t, 0)
	err := m.do(t.Context(), func(tr *turn) error {
		admin := newContact("c_admin")
		admin.rec.Name, admin.rec.State = "admin", ContactActive
		if err := tr.addContact(admin); err != nil {
			return err
		}
		for n := range groupPerContact {
			op := session.RosterOp{Kind: session.RosterCreate, Group: session.GroupID{1, byte(n)}, Name: fmt.Sprint(n)}
			for range session.MaxGroupMembers {
				op.Members = append(op.Members, randomMember())
			}
			you := op.Members[1]
			join := session.GroupOp{Group: op.Group, Form: session.GroupOps, Epoch: 1, You: you, Ops: [][]byte{op.Append(nil)}}
			if err := tr.takeGroupOp(admin, session.Message{Content: join.Append(nil)}); err != nil {
				return err
			}
			for _, from := range op.Members[2:] {
				g := tr.book.groups[groupID(op.Group)]
				ask := session.Intro{Group: op.Group, Form: session.IntroAsk, From: from, To: you}
				if err := tr.takeAsk(admin, g, g.member(from), ask); err != nil {
					return err
				}
			}
		}
		if n := tr.book.introducedThrough("c_admin"); n != introducedLimit {
			t.Errorf("%d are to be invited, want %d", n, introducedLimit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStrangerRevivesGroup has a contact who was no member show the operations of
// a group that we left, with itself as the admin: what it writes must not appear
// below what was said there. A member who is the admin by then may add us again.
func TestStrangerRevivesGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 5, 2)
		id := k.group(k.users[0].timing().makeInvite)
		alice, bob := k.users[0], k.users[1]
		bob.must(bob.LeaveGroup(t.Context(), id))
		bob.must(bob.do(t.Context(), func(tr *turn) error {
			old := tr.book.groups[id]
			mallory := newContact("c_mallory")
			mallory.rec.Name, mallory.rec.State = "mallory", ContactActive
			if err := tr.addContact(mallory); err != nil {
				return err
			}
			you, she := randomMember(), randomMember()
			ops := append([][]byte{}, old.roster.Ops(0)...)
			for _, op := range []session.RosterOp{
				{Kind: session.RosterAdd, Member: she}, {Kind: session.RosterAdmin, Member: she}, {Kind: session.RosterAdd, Member: you},
			} {
				ops = append(ops, op.Append(nil))
			}
			join := session.GroupOp{Group: old.roster.Group, Form: session.GroupOps, Epoch: 1, You: you, Ops: ops}
			if err := tr.takeGroupOp(mallory, session.Message{Content: join.Append(nil)}); err != nil {
				return err
			}
			if g := tr.book.groups[id]; g.rec.State != GroupLeft {
				t.Errorf("a stranger put us into the group: %s", g.rec.State)
			}
			return tr.erase(mallory)
		}))
		eventually(t, k.users[0].timing().makeInvite, "alice knows", func() bool { return len(alice.groupOf(id).Members) == 0 })
		alice.must(alice.AddMember(t.Context(), id, k.at[0][1]))
		eventually(t, k.users[0].timing().makeInvite, "bob is back", func() bool { return bob.groupOf(id).State == GroupActive })
	})
}

// TestWhyOfGroup checks that what is proven of one member's copy is not said of
// another's.
func TestWhyOfGroup(t *testing.T) {
	m, id := manyQueued(t, 0)
	err := m.look(t.Context(), func(tr *turn) error {
		log := []logRecord{
			{What: logStored, Relay: 7, Contact: "c_1"},
			{What: logTry, Relay: 7, Contact: "c_2"},
			{What: logDelivered, Contact: "c_1"},
			{What: logTry, Relay: 8, Contact: "c_2"},
			{What: logStored, Relay: 7, Contact: "c_2"},
			{What: logStored, Relay: 7, Contact: "c_3"},
			{What: logLost, Relay: 7, Contact: "c_3"},
			{What: logTry, Relay: 8, Contact: "c_2"},
		}
		want := []MessageState{Queued, Stored, Queued, Delivered, Queued, Stored, Stored, Queued, Stored}
		for i, e := range tr.logWords(id, &messageRecord{Out: true}, log) {
			if e.State != want[i] {
				t.Errorf("entry %d is %s, want %s: %s", i, e.State, want[i], e.Detail)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestIntroductionsPileUp has a member ask for one introduction every minute,
// while the one whom it asks for is away.
func TestIntroductionsPileUp(t *testing.T) {
	m, id := manyQueued(t, 0)
	err := m.do(t.Context(), func(tr *turn) error {
		g, away := tr.book.groups[id], tr.book.contacts["c_2"]
		before := len(away.waiting)
		ask := session.Intro{Group: g.roster.Group, Form: session.IntroAsk, From: g.of("c_1").ID, To: g.of("c_2").ID}
		for range 2 * 60 {
			if err := tr.passOn(g, g.of("c_1"), ask, ask.Append(nil)); err != nil {
				return err
			}
			tr.now = tr.now.Add(time.Minute)
		}
		if n := len(away.waiting) - before; n != 2 {
			t.Errorf("%d wait after two hours, want 2", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
