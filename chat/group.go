package chat

import (
	"cmp"
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

// Names of the rows of groups (SPEC.md §11.1). Those that end in a slash are
// followed by a group's id.
const (
	bucketGroup       = "group"
	bucketGroupOps    = "groupop/"
	bucketGroupGraph  = "groupgraph/"
	bucketGroupFlight = "groupout/"
	bucketGroupHeld   = "groupheld/"
)

// The states of a group.
const (
	GroupActive  = "active"
	GroupLeft    = "left"    // we left
	GroupRemoved = "removed" // the admin removed us
)

// Specification constants of groups (SPEC.md §11.6).
const (
	groupLimit       = 64   // groups at once; stops contacts from filling the disk with them
	groupPerContact  = 8    // groups at once that one contact put us into
	groupGraphLimit  = 4096 // messages whose depth is remembered, per group
	groupHeldLimit   = 256  // messages that wait for earlier ones, per group
	groupHeadLimit   = 32   // messages without a successor that are remembered
	introducedLimit  = 128  // contacts and open invites through one contact; stops it from flooding the list of contacts
	groupFirstCopies = 20 * time.Second
	groupBehind      = 10 * time.Minute
	groupAskAgain    = 6 * time.Hour
	groupPassOn      = time.Hour
	groupSettle      = 24 * time.Hour
	groupNoticeAgain = time.Hour
)

// Group is a conversation among up to 32 people, each of whom sends to each.
type Group struct {
	ID      string   `json:"id"` // "g_…"
	Name    string   `json:"name"`
	Members []string `json:"members"`           // contact ids, oneself left out
	Pending int      `json:"pending,omitempty"` // further members with whom there is no session yet
	State   string   `json:"state"`             // active, left, removed
	Admin   bool     `json:"admin,omitempty"`   // we administer it
	Warning string   `json:"warning,omitempty"` // rosters that contradict each other, in words

	// Administrator is the contact who administers it; empty if we do, or if it is
	// a member with whom there is no session.
	Administrator string `json:"administrator,omitempty"`

	Settings *Conversation `json:"settings,omitempty"`

	// As in Contact.
	Unread int        `json:"unread,omitempty"`
	Latest *time.Time `json:"latest,omitempty"`
}

// groupRecord is what is kept of a group beside its operations.
type groupRecord struct {
	Order   uint64           `cbor:"1,keyasint"` // groups are listed by it
	State   string           `cbor:"2,keyasint"`
	Me      session.MemberID `cbor:"3,keyasint"`
	Members []memberRecord   `cbor:"4,keyasint"` // those who are gone included, oneself not
	Sent    uint64           `cbor:"5,keyasint,omitempty"`
	Heads   []headRecord     `cbor:"6,keyasint,omitempty"` // messages without a successor
	Depth   uint64           `cbor:"7,keyasint,omitempty"` // greatest of a message that was shown
	Warning string           `cbor:"8,keyasint,omitempty"`
	AheadAt int64            `cbor:"10,keyasint,omitempty"` // Unix seconds; since when members name epochs above ours
	Since   int64            `cbor:"11,keyasint"`           // Unix seconds; when we joined
	Adder   string           `cbor:"12,keyasint,omitempty"` // contact who put us in; empty: we made it
	Active  int64            `cbor:"13,keyasint,omitempty"` // Unix seconds of the last message
}

// headRecord is a message and its depth.
type headRecord struct {
	ID    [16]byte `cbor:"1,keyasint"`
	Depth uint64   `cbor:"2,keyasint"`
}

// memberRecord is another member of a group.
type memberRecord struct {
	ID      session.MemberID `cbor:"1,keyasint"`
	Contact string           `cbor:"2,keyasint,omitempty"` // empty: there is no session with them
	Last    uint64           `cbor:"3,keyasint,omitempty"` // highest number of a message of theirs that was shown
	Gone    bool             `cbor:"4,keyasint,omitempty"` // nothing is sent to them any more
	OpsFrom uint32           `cbor:"5,keyasint,omitempty"` // operations from this epoch on wait for a session; 0: none

	// An introduction that we ask for.
	Asked   [16]byte `cbor:"6,keyasint,omitempty"` // its nonce
	AskedAt int64    `cbor:"7,keyasint,omitempty"` // Unix seconds
	Via     string   `cbor:"8,keyasint,omitempty"` // contact who stands between, in both directions

	// An introduction that they ask for.
	Nonce  [16]byte `cbor:"9,keyasint,omitempty"`
	Wanted bool     `cbor:"10,keyasint,omitempty"` // an invite is to be made for them
	Invite string   `cbor:"11,keyasint,omitempty"` // its id

	Ahead uint32 `cbor:"12,keyasint,omitempty"` // epoch above ours that they named
}

// groupOrigin says who wrote a message of a group, and who has it.
type groupOrigin struct {
	Author    string `cbor:"1,keyasint,omitempty"` // contact id; empty: we, or nobody
	Seq       uint64 `cbor:"2,keyasint,omitempty"` // of the author's messages in the group
	Depth     uint64 `cbor:"3,keyasint,omitempty"`
	Delivered int    `cbor:"4,keyasint,omitempty"` // members who have it, once that is final
	Members   int    `cbor:"5,keyasint,omitempty"` // to whom it was sent

	Failed []string `cbor:"6,keyasint,omitempty"` // ids of contacts whose copy was given up, once that is final
}

// group is a group conversation, owned by the keeper.
type group struct {
	id     string
	rec    groupRecord
	roster *session.Roster
	graph  map[[16]byte]uint64 // depths of the last messages, by id
	rows   []uint64            // of bucketGroupGraph, rising
	ids    [][16]byte          // beside rows
	flight map[uint64]*groupFlight
	held   map[uint64]*groupHeld // by row of bucketGroupHeld

	lookAt   time.Time                // when tickGroups looks at it again
	gapEnds  time.Time                // when held messages stop waiting; zero: nothing waits
	noticed  time.Time                // when a missing message was last spoken of
	wantAt   time.Time                // when operations were last asked for
	served   map[string]time.Time     // when a contact was last sent the operations
	relayed  map[relayKey]time.Time   // when an introduction was last passed on
	inviting map[session.MemberID]int // tries to make an invite, in this run
}

type relayKey struct {
	from, to session.MemberID
	form     session.IntroForm
}

func newGroup(id string) *group {
	return &group{
		id: id, roster: &session.Roster{}, graph: make(map[[16]byte]uint64),
		flight: make(map[uint64]*groupFlight), held: make(map[uint64]*groupHeld),
		served: make(map[string]time.Time), relayed: make(map[relayKey]time.Time), inviting: make(map[session.MemberID]int),
	}
}

// groupID is the id of a group in this home.
func groupID(id session.GroupID) string { return "g_" + hex.EncodeToString(id[:]) }

// member returns another member, or nil.
func (g *group) member(id session.MemberID) *memberRecord {
	for i := range g.rec.Members {
		if g.rec.Members[i].ID == id {
			return &g.rec.Members[i]
		}
	}
	return nil
}

// of returns the member behind a contact, one who is gone included, or nil.
func (g *group) of(contact string) *memberRecord {
	for i := range g.rec.Members {
		if g.rec.Members[i].Contact == contact && contact != "" {
			return &g.rec.Members[i]
		}
	}
	return nil
}

// current returns the member behind a contact if it belongs to the group now.
func (g *group) current(contact string) *memberRecord {
	if m := g.of(contact); m != nil && g.here(m) {
		return m
	}
	return nil
}

// here tells whether a member belongs to the group as far as we know.
func (g *group) here(m *memberRecord) bool { return !m.Gone && g.roster.Has(m.ID) }

// admin tells whether we administer the group.
func (g *group) admin() bool { return g.rec.State == GroupActive && g.roster.Admin == g.rec.Me }

// loadGroups reads the groups, after the contacts.
func (b *book) loadGroups(tx *store.Tx) error {
	have := make(map[string]map[logKey]int) // by contact
	for id, c := range b.contacts {
		have[id] = c.weigh(func(o *outgoing) (n int) {
			for _, got := range o.got {
				if got != nil {
					n++
				}
			}
			return n
		})
	}
	return tx.Bucket(bucketGroup).Each(func(id string, raw []byte) error {
		g := newGroup(id)
		b.groups[id] = g
		if err := decode(raw, &g.rec); err != nil {
			return err
		}
		err := each(tx, bucketGroupOps+id, func(_ uint64, op []byte) error { return g.roster.Apply(op) })
		if err != nil {
			return err
		}
		err = each(tx, bucketGroupGraph+id, func(n uint64, raw []byte) error {
			var head headRecord
			if err := decode(raw, &head); err != nil {
				return err
			}
			g.remember(n, head)
			return nil
		})
		if err != nil {
			return err
		}
		now := time.Now()
		err = each(tx, bucketGroupHeld+id, func(n uint64, raw []byte) error {
			h := &groupHeld{row: n, since: now}
			g.held[n] = h
			g.gapEnds = now
			return h.parse(raw)
		})
		if err != nil {
			return err
		}
		return each(tx, bucketGroupFlight+id, func(n uint64, raw []byte) error {
			f := &groupFlight{number: n}
			g.flight[n] = f
			if err := decode(raw, &f.rec); err != nil {
				return err
			}
			for i := range f.rec.Copies {
				k := &f.rec.Copies[i]
				if c := b.contacts[k.Contact]; c != nil {
					k.have, k.want = have[k.Contact][logKey{id, n}], c.want()
				}
			}
			f.told = f.sum()
			return nil
		})
	})
}

func (t *turn) saveGroup(g *group) error { return t.tx.Bucket(bucketGroup).Put(g.id, encode(g.rec)) }

// remember keeps the depth of a message.
func (g *group) remember(row uint64, h headRecord) {
	g.graph[h.ID] = h.Depth
	g.rows, g.ids = append(g.rows, row), append(g.ids, h.ID)
}

// note keeps the depth of a message on disk, of the last 4096, and makes it a
// head in place of its parents.
func (t *turn) noteGroup(g *group, h headRecord, parents [][16]byte) error {
	rows := t.tx.Sequence(bucketGroupGraph + g.id)
	n, err := rows.Add(encode(h))
	if err != nil {
		return err
	}
	g.remember(n, h)
	for len(g.rows) > groupGraphLimit {
		if err := rows.Delete(g.rows[0]); err != nil {
			return err
		}
		delete(g.graph, g.ids[0])
		g.rows, g.ids = g.rows[1:], g.ids[1:]
	}
	g.rec.Heads = slices.DeleteFunc(slices.Clone(g.rec.Heads), func(o headRecord) bool { return slices.Contains(parents, o.ID) })
	g.rec.Heads = append(g.rec.Heads, h)
	slices.SortStableFunc(g.rec.Heads, func(x, y headRecord) int { return cmp.Compare(y.Depth, x.Depth) })
	g.rec.Heads = g.rec.Heads[:min(len(g.rec.Heads), groupHeadLimit)]
	g.rec.Depth = max(g.rec.Depth, h.Depth)
	g.rec.Active = t.now.Unix()
	return t.saveGroup(g)
}

// sortedGroups returns the groups in the order in which they were made.
func (b *book) sortedGroups() []*group {
	return slices.SortedFunc(maps.Values(b.groups), func(x, y *group) int { return cmp.Compare(x.rec.Order, y.rec.Order) })
}

// shapeGroup turns a group into what people and scripts see.
func (b *book) shapeGroup(g *group) Group {
	shape := Group{
		ID: g.id, Name: SanitizeName(g.roster.Name), Members: []string{}, State: g.rec.State, Admin: g.admin(), Warning: g.rec.Warning,
	}
	if m := g.member(g.roster.Admin); m != nil && g.here(m) {
		shape.Administrator = m.Contact
	}
	for i := range g.rec.Members {
		switch m := &g.rec.Members[i]; {
		case !g.here(m):
		case m.Contact == "":
			shape.Pending++
		default:
			shape.Members = append(shape.Members, m.Contact)
		}
	}
	return shape
}

// groupChanged announces what changed about a group, in words.
func (t *turn) groupChanged(g *group, what string) {
	shape := t.book.shapeGroup(g)
	t.publish(Event{Type: GroupChanged, Group: &shape, Detail: what})
}

// memberName is what a member is called in texts.
func (b *book) memberName(g *group, id session.MemberID) string {
	if id == g.rec.Me {
		return "you"
	}
	if m := g.member(id); m != nil && m.Contact != "" {
		if c := b.contacts[m.Contact]; c != nil {
			return c.rec.Name
		}
	}
	return "a member you do not know yet"
}

// groupNotice puts what happened into the history of a group.
func (t *turn) groupNotice(g *group, text string) error {
	return t.addGroupRow(g, messageRecord{Kind: kindNotice, Text: text, Group: &groupOrigin{Depth: g.rec.Depth}})
}

// addGroupRow puts a received message or a notice into the history of a group.
func (t *turn) addGroupRow(g *group, rec messageRecord) error {
	rec.Time = t.now.UnixMilli()
	number, err := t.addRow(g.id, &rec)
	if err != nil {
		return err
	}
	shape := t.shapeGroupMessage(g, number, rec)
	t.publish(Event{Type: MessageReceived, Message: &shape})
	return nil
}

// shapeGroupMessage is shapeMessage for a group.
func (t *turn) shapeGroupMessage(g *group, number uint64, rec messageRecord) Message {
	m := shapeMessage(&contact{id: g.id}, number, rec)
	if rec.Group != nil {
		m.Author = rec.Group.Author
	}
	if !rec.Out {
		return m
	}
	switch f := g.flight[number]; {
	case f != nil:
		told := f.told
		m.State, m.Copies, m.Delivered = told.state, &told.copies, &told.delivered
	case rec.Group != nil:
		m.Copies = nil
		m.Delivered = &Copies{Have: rec.Group.Delivered, Want: rec.Group.Members}
	}
	return m
}

// groupMessages is Messages for a group.
func (t *turn) groupMessages(id string, after uint64, limit int) ([]Message, error) {
	g := t.book.groups[id]
	if g == nil {
		return nil, errNoGroup
	}
	list := []Message{}
	if after+1 == 0 {
		return list, nil
	}
	return list, t.tx.History(g.id).Up(after+1, func(number uint64, raw []byte) (bool, error) {
		var rec messageRecord
		if err := decode(raw, &rec); err != nil {
			return false, err
		}
		list = append(list, t.shapeGroupMessage(g, number, rec))
		return len(list) < limit, nil
	})
}

var errNoGroup = &Error{Kind: KindNotFound, Text: "there is no such group"}

// groupTimer scales a timer of groups for lab networks.
func (t *turn) groupTimer(d time.Duration) time.Duration {
	if t.m.isLab() {
		return d / 10
	}
	return d
}

// Groups lists the groups in the order in which they were made.
func (m *Messenger) Groups(ctx context.Context) ([]Group, error) {
	list := []Group{}
	err := m.look(ctx, func(t *turn) error {
		for _, g := range t.book.sortedGroups() {
			shape, err := t.book.shapeGroup(g), error(nil)
			if shape.Settings, err = t.conversation(g.id); err != nil {
				return err
			}
			if shape.Unread, shape.Latest, err = t.recent(g.id, shape.Settings.displayed()); err != nil {
				return err
			}
			list = append(list, shape)
		}
		return nil
	})
	return list, err
}
