package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"hearsay/chat/session"
)

// Two members who have no session with each other make one through a third who
// has one with both. Who joined later asks; who was there before answers with a
// one-time invite, or, if they are contacts already, says so in their own session,
// so that the one between them does not learn it (SPEC.md §11.5).

// meet asks for an introduction to every member who was there before us and whom
// we do not know.
func (t *turn) meet(g *group) error {
	changed := false
	for _, id := range g.roster.Members {
		if id == g.rec.Me {
			break // those after us ask
		}
		m := g.member(id)
		if m == nil || !g.here(m) {
			continue
		}
		if c := t.book.contacts[m.Contact]; c != nil {
			if c.session != nil || c.rec.Claim == nil || c.rec.Claim.Failed == "" {
				continue
			}
			if err := t.erase(c); err != nil { // their invite did not work: once more
				return err
			}
			changed = true
		}
		if t.now.Unix()-m.AskedAt < int64(t.groupTimer(groupAskAgain).Seconds()) {
			continue
		}
		via := t.between(g, m)
		if via == nil || t.book.introducedThrough(via.id) >= introducedLimit {
			continue
		}
		m.AskedAt, m.Via = t.now.Unix(), via.id
		_, _ = rand.Read(m.Asked[:])
		changed = true
		ask := session.Intro{Group: g.roster.Group, Form: session.IntroAsk, From: g.rec.Me, To: m.ID, Nonce: m.Asked, Tags: t.introTags(g, m.ID)}
		if err := t.wait(via, waitRecord{Type: byte(session.FrameIntro), Content: ask.Append(nil)}); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return t.saveGroup(g)
}

// between chooses who stands between us and a member: the admin at first, and
// then any member whom we know.
func (t *turn) between(g *group, to *memberRecord) *contact {
	var known []*contact
	for i := range g.rec.Members {
		m := &g.rec.Members[i]
		c := t.book.contacts[m.Contact]
		if c == nil || !g.here(m) || m.ID == to.ID || c.rec.State != ContactActive || c.leftUs() {
			continue
		}
		if m.ID == g.roster.Admin && to.AskedAt == 0 {
			return c
		}
		known = append(known, c)
	}
	if len(known) == 0 {
		return nil
	}
	return known[mathrand.IntN(len(known))]
}

// introTags are the tags of the contacts who were last active, among random
// ones, in random order.
func (t *turn) introTags(g *group, to session.MemberID) (tags [session.IntroTags][8]byte) {
	var known []*contact
	for _, c := range t.book.contacts {
		if c.session != nil && c.rec.State == ContactActive && g.current(c.id) == nil {
			known = append(known, c)
		}
	}
	slices.SortFunc(known, func(x, y *contact) int { return cmp.Compare(y.rec.Active, x.rec.Active) })
	for i := range tags {
		_, _ = rand.Read(tags[i][:])
		if i < len(known) {
			tags[i] = known[i].session.IntroTag(g.roster.Group, g.rec.Me, to)
		}
	}
	mathrand.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
	return tags
}

// takeIntro takes an introduction: one for us, or one to pass on.
func (t *turn) takeIntro(c *contact, m session.Message) error {
	i, err := session.ParseIntro(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: nothing changes
	}
	g := t.book.groups[groupID(i.Group)]
	if g == nil || g.rec.State != GroupActive {
		return nil
	}
	sender := g.current(c.id)
	if sender == nil {
		return nil
	}
	if i.To != g.rec.Me {
		return t.passOn(g, sender, i, m.Content)
	}
	from := g.member(i.From)
	if from == nil || !g.here(from) || from.Contact != "" {
		return nil
	}
	if i.Form == session.IntroAsk {
		return t.takeAsk(c, g, from, i)
	}
	return t.takeLink(c, g, from, i)
}

// passOn passes the wish of one member on to another.
func (t *turn) passOn(g *group, sender *memberRecord, i session.Intro, content []byte) error {
	to := g.member(i.To)
	if i.From != sender.ID || to == nil || !g.here(to) {
		return nil
	}
	c := t.book.contacts[to.Contact]
	if c == nil || c.rec.State != ContactActive && c.rec.State != ContactInvited {
		return nil
	}
	key := relayKey{i.From, i.To, i.Form}
	if last, ok := g.relayed[key]; ok && t.now.Sub(last) < t.groupTimer(groupPassOn) {
		return nil // whom it goes to may be away for weeks
	}
	g.relayed[key] = t.now
	return t.wait(c, waitRecord{Type: byte(session.FrameIntro), Content: content})
}

// takeAsk answers a member who does not know that we are contacts, or has an
// invite made for one who is none.
func (t *turn) takeAsk(c *contact, g *group, from *memberRecord, i session.Intro) error {
	for _, known := range t.book.sorted() {
		if known.session == nil || known.rec.State != ContactActive || g.current(known.id) != nil ||
			!slices.Contains(i.Tags[:], known.session.IntroTag(i.Group, i.From, i.To)) {
			continue
		}
		if err := t.bind(g, from, known); err != nil {
			return err
		}
		op := session.GroupOp{Group: i.Group, Form: session.GroupKnown, Member: g.rec.Me, Nonce: i.Nonce}
		return t.wait(known, waitRecord{Type: byte(session.FrameGroupOp), Content: op.Append(nil)})
	}
	if !from.Wanted && t.book.invites[from.Invite] == nil && t.book.introducedThrough(c.id) >= introducedLimit {
		return nil
	}
	from.Nonce, from.Via = i.Nonce, c.id
	if t.book.invites[from.Invite] != nil {
		return t.sendLink(g, from)
	}
	from.Invite, from.Wanted = "", true
	t.roster = true
	return t.saveGroup(g)
}

// sendLink sends a member the invite that was made for them.
func (t *turn) sendLink(g *group, m *memberRecord) error {
	i, via := t.book.invites[m.Invite], t.book.contacts[m.Via]
	if i == nil || via == nil {
		return nil
	}
	link := session.Intro{
		Group: g.roster.Group, Form: session.IntroLink, From: g.rec.Me, To: m.ID, Nonce: m.Nonce, Link: i.secret.Link().String(),
	}
	if err := t.saveGroup(g); err != nil {
		return err
	}
	return t.wait(via, waitRecord{Type: byte(session.FrameIntro), Content: link.Append(nil)})
}

// takeLink accepts the invite of a member whom we asked for, from the one whom we
// asked.
func (t *turn) takeLink(c *contact, g *group, from *memberRecord, i session.Intro) error {
	if from.Asked == [16]byte{} || from.Asked != i.Nonce || from.Via != c.id || t.book.introducedThrough(c.id) >= introducedLimit {
		return nil
	}
	shape, err := t.acceptInvite(i.Link, t.book.freeName("member", ""))
	if isRefusal(err) {
		return nil
	}
	if err != nil {
		return err
	}
	met := t.book.contacts[shape.ID]
	met.life().Introduced, met.life().By = c.rec.Name, c.id
	return t.bind(g, from, met)
}

// takeKnown takes that a contact of ours is the member whom we asked for.
func (t *turn) takeKnown(c *contact, g *group, op session.GroupOp) error {
	m := g.member(op.Member)
	if m == nil || !g.here(m) || m.Contact != "" || m.Asked == [16]byte{} || m.Asked != op.Nonce || g.current(c.id) != nil {
		return nil
	}
	return t.bind(g, m, c)
}

// introduces tells whether an invite was made for a member of a group: people
// have nothing to do with it.
func (b *book) introduces(invite string) bool {
	for _, g := range b.groups {
		for i := range g.rec.Members {
			if g.rec.Members[i].Invite == invite {
				return true
			}
		}
	}
	return false
}

// introducedThrough counts the contacts whom a contact introduced, and those whom
// it asks us to invite.
func (b *book) introducedThrough(id string) (n int) {
	for _, c := range b.contacts {
		if c.rec.Life != nil && c.rec.Life.By == id {
			n++
		}
	}
	for _, g := range b.groups {
		for i := range g.rec.Members {
			if m := &g.rec.Members[i]; m.Via == id && (m.Wanted || b.invites[m.Invite] != nil) {
				n++
			}
		}
	}
	return n
}

// introduced takes the contact who used an invite that was made for a member.
func (t *turn) introduced(c *contact, invite string) error {
	for _, g := range t.book.groups {
		for i := range g.rec.Members {
			m := &g.rec.Members[i]
			if m.Invite != invite || m.Contact != "" {
				continue
			}
			c.rec.Name = t.book.freeName("member", c.id)
			if via := t.book.contacts[m.Via]; via != nil {
				c.life().Introduced, c.life().By = via.rec.Name, via.id
			}
			t.touch(c)
			return t.bind(g, m, c)
		}
	}
	return nil
}

// bind notes which contact a member is, and sends what they were owed.
func (t *turn) bind(g *group, m *memberRecord, c *contact) error {
	for i := range g.rec.Members {
		if old := &g.rec.Members[i]; old.Contact == c.id && old != m {
			old.Contact = "" // who left and came back has another id
		}
	}
	m.Contact, m.Wanted, m.Invite, m.Asked, m.Nonce = c.id, false, "", [16]byte{}, [16]byte{}
	from := m.OpsFrom
	m.OpsFrom = 0
	if err := t.saveGroup(g); err != nil {
		return err
	}
	t.groupChanged(g, c.rec.Name+" can be written to")
	if from != 0 && g.admin() {
		if err := t.sendOps(g, m, from); err != nil {
			return err
		}
	}
	return t.sendOwed(g)
}

// unbind forgets that members of groups are a contact, who goes.
func (t *turn) unbind(c *contact) error {
	for _, g := range t.book.groups {
		m := g.of(c.id)
		if m == nil {
			continue
		}
		again := c.session == nil && c.rec.Claim != nil // an introduction that did not work
		if err := t.dropCopies(g, m); err != nil {
			return err
		}
		m.Contact = ""
		if !again {
			m.Gone = true // the user wants nothing to do with them
		}
		if err := t.saveGroup(g); err != nil {
			return err
		}
		t.groupChanged(g, c.rec.Name+" cannot be written to any more")
	}
	return nil
}

// introducer makes the invites that members ask for, one after the other.
type introducer struct{ m *Messenger }

// introWorkers adds the introducer to what should run, if it has work.
func (t *turn) introWorkers(w *wanted) {
	if g, _ := t.wantedInvite(); g != nil {
		w.others["introductions"] = (&introducer{m: t.m}).Run
	}
}

// wantedInvite returns a member for whom an invite is to be made: first those
// for whom that failed least often.
func (t *turn) wantedInvite() (where *group, whom *memberRecord) {
	for _, g := range t.book.sortedGroups() {
		for i := range g.rec.Members {
			m := &g.rec.Members[i]
			if g.rec.State == GroupActive && m.Wanted && g.here(m) && m.Contact == "" &&
				(whom == nil || g.inviting[m.ID] < where.inviting[whom.ID]) {
				where, whom = g, m
			}
		}
	}
	return where, whom
}

// Run works until nobody is left to invite, or ctx ends.
func (w *introducer) Run(ctx context.Context) {
	for fails := 0; ctx.Err() == nil; {
		id, member := "", session.MemberID{}
		err := w.m.look(ctx, func(t *turn) error {
			if g, m := t.wantedInvite(); g != nil {
				id, member = g.id, m.ID
			}
			return nil
		})
		if err != nil || id == "" {
			return
		}
		invite, err := w.m.CreateInvite(ctx, "")
		if err == nil {
			fails = 0
		} else {
			fails++
		}
		_ = w.m.do(ctx, func(t *turn) error {
			g := t.book.groups[id]
			if g == nil || g.member(member) == nil {
				return nil
			}
			m := g.member(member)
			if err != nil {
				g.inviting[member]++
				return nil
			}
			if !m.Wanted {
				return nil
			}
			m.Invite, m.Wanted = invite.ID, false
			return t.sendLink(g, m)
		})
		if err == nil {
			continue
		}
		timer := time.NewTimer(backoff(fails, w.m.timing().retryMin, w.m.timing().retryMax))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// randomMember draws a member id.
func randomMember() (id session.MemberID) {
	for binary.BigEndian.Uint64(id[:]) == 0 {
		_, _ = rand.Read(id[:])
	}
	return id
}
