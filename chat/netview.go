package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// NetworkView is the network as this profile sees and uses it.
type NetworkView struct {
	Network     string
	Lab         bool
	Epoch       uint64
	SnapshotAge time.Duration
	Signatures  int  // under the snapshot
	Signers     int  // that the network file names
	Threshold   int  // signatures that a snapshot needs
	ByFounders  bool // signed in an emergency; signers are founders then
	ClockSkew   time.Duration

	Relays    []RelayView // listed, by name
	Listed    int         // how many; over a socket Relays may hold fewer
	Guards    int         // listed relays that may be guards
	Mailboxes int
	Circuits  []CircuitView

	Guard string // name of the guard in use; empty: none
	// GuardSince is when it was first used, or up to six days before: it is
	// remembered like that. Zero: it was never used.
	GuardSince time.Time
	Layer2     []string // names
	Family     float64  // of the circuits' relays, the part of the largest declared family, 0 to 1
	Cover      string
	CoverMB    int // a day

	Queues   int           // that we read: one for each contact, invite and address
	Single   int           // of them, with one copy alone
	NextMove time.Time     // of a queue, as planned; zero: none is
	Burst    time.Duration // how long a burst goes on; 0: none

	Missing  []string // what does not work now, in words
	Warnings []string // what weakens the choice of relays, in words

	// Lends is the relay that runs beside this profile; nil: none does.
	Lends *LentView
}

// RelayView is a listed relay, as the snapshot states it. It states neither since
// when a relay has been up nor since when it is listed.
type RelayView struct {
	ID       string // 52 characters
	Name     string // words drawn from the id
	Guard    bool
	Mailbox  bool
	Address  string   // the first one
	Family   string   // as the snapshot numbers it; empty: none declared
	Families int      // relays of that family
	Standing []string // what the signers found, in the words of the flags
	Marks    []string // what stands against it, likewise
	Role     string   // guard or layer 2: what it is to us
}

// CircuitView is a circuit in the names that people read.
type CircuitView struct {
	ID          string
	Purpose     string
	Relays      []string // guard, layer-2 guard, middle; fewer while building
	Destination string
	State       string // building, open or closed
	RTT         time.Duration
}

// keeper of circuits: what only real circuits tell.
type pooled interface {
	Kept() circuit.Kept
	BurstEnds() time.Time
	Renew(ctx context.Context) error
}

// Kept asks the pool.
func (n *circuitNetwork) Kept() circuit.Kept { return n.client.Pool().Kept() }

// BurstEnds asks the pool.
func (n *circuitNetwork) BurstEnds() time.Time { return n.client.Pool().BurstEnds() }

// Renew asks the pool.
func (n *circuitNetwork) Renew(ctx context.Context) error { return n.client.Pool().Renew(ctx) }

var errNoSnapshot = &Error{Kind: KindNoNetwork, Text: "there is no snapshot of the network yet", Hint: "it is fetched as soon as a relay can be reached"}

// NetworkView describes the network, its relays and the circuits in use. It fails
// with no_network before the first snapshot.
func (m *Messenger) NetworkView(ctx context.Context) (NetworkView, error) {
	view := m.views.Current()
	if view == nil {
		return NetworkView{}, errNoSnapshot
	}
	now := time.Now()
	v := NetworkView{
		Lab: view.Lab(), Epoch: view.Epoch(), SnapshotAge: max(0, now.Sub(view.ValidAfter())),
		Cover: m.Cover(), CoverMB: m.profile().MegabytesPerDay(),
	}
	v.Network, _, _ = m.Network()
	v.Signatures, v.Signers, v.Threshold = view.Signed()
	_, v.ByFounders = view.ByFounders()
	m.mu.Lock()
	v.ClockSkew = m.skew
	net := m.net
	m.mu.Unlock()

	var circuits []circuit.Info
	var kept circuit.Kept
	if net != nil {
		circuits = net.Circuits()
		if why := net.Why(); why != "" {
			v.Missing = append(v.Missing, "no circuit can be built: "+sanitizeText(why))
		}
	}
	if n, ok := net.(outlooker); ok {
		for _, w := range n.Outlook().Warnings {
			v.Warnings = append(v.Warnings, sanitizeText(w))
		}
	}
	if n, ok := net.(pooled); ok {
		kept = n.Kept()
		v.Burst = max(0, n.BurstEnds().Sub(now))
	}
	v.Lends = m.lentView(view)
	names := relayNames(view, circuits, kept)
	v.relays(view, kept, names)
	v.circuits(view, circuits, names)
	// Queues are read last: a locked profile has no view of them.
	err := m.look(ctx, func(t *turn) error { t.viewQueues(&v, view, names); return nil })
	return v, err
}

// relayNames names all relays that a view is about.
func relayNames(view *directory.View, circuits []circuit.Info, kept circuit.Kept) map[directory.RelayID]string {
	ids := append([]directory.RelayID{kept.Guard}, kept.Layer2...)
	for _, c := range circuits {
		ids = append(append(ids, c.Path...), c.Destination)
	}
	for i := range view.Relays() {
		ids = append(ids, view.Relays()[i].ID)
	}
	slices.SortFunc(ids, func(a, b directory.RelayID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	if len(ids) > 0 && ids[0] == (directory.RelayID{}) {
		ids = ids[1:]
	}
	return directory.RelayNames(ids)
}

// standing and marks say what flags mean.
var (
	standing = []struct {
		flag directory.Flags
		word string
	}{
		{directory.FlagGuard, "guard"},
		{directory.FlagMailbox, "mailbox"},
		{directory.FlagStable, "stable"},
		{directory.FlagPlacement, "placement"},
		{directory.FlagWitness, "witness"},
		{directory.FlagCache, "cache"},
		{directory.FlagVouched, "vouched"},
	}
	marks = []struct {
		flag directory.Flags
		word string
	}{
		{directory.FlagWatched, "watched"},
		{directory.FlagMiddleOnly, "middle only"},
		{directory.FlagUnmeasured, "unmeasured"},
	}
)

// relays fills in who is listed, and whom we stay with.
func (v *NetworkView) relays(view *directory.View, kept circuit.Kept, names map[directory.RelayID]string) {
	families := map[uint16]int{}
	for i := range view.Relays() {
		families[view.Relays()[i].Family]++
	}
	v.Listed = len(view.Relays())
	v.Relays = make([]RelayView, 0, v.Listed)
	for i := range view.Relays() {
		r := &view.Relays()[i]
		x := RelayView{
			ID: r.ID.String(), Name: names[r.ID],
			Guard:   r.Flags&directory.FlagGuard != 0 && r.Flags&directory.FlagMiddleOnly == 0,
			Mailbox: r.Flags&directory.FlagMailbox != 0,
		}
		if len(r.Addrs) > 0 {
			x.Address = r.Addrs[0].Addr().String()
		}
		if r.Family != 0 {
			x.Family, x.Families = fmt.Sprintf("family %d", r.Family), families[r.Family]
		}
		for _, s := range standing {
			if r.Flags&s.flag != 0 {
				x.Standing = append(x.Standing, s.word)
			}
		}
		for _, s := range marks {
			if r.Flags&s.flag != 0 {
				x.Marks = append(x.Marks, s.word)
			}
		}
		switch {
		case r.ID == kept.Guard:
			x.Role = "guard"
		case slices.Contains(kept.Layer2, r.ID):
			x.Role = "layer 2"
		}
		if x.Guard {
			v.Guards++
		}
		if x.Mailbox {
			v.Mailboxes++
		}
		v.Relays = append(v.Relays, x)
	}
	slices.SortFunc(v.Relays, func(a, b RelayView) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	v.Guard, v.GuardSince = names[kept.Guard], kept.Since
	for _, id := range kept.Layer2 {
		v.Layer2 = append(v.Layer2, names[id])
	}
}

// circuits fills in the circuits, and which part of their relays one declared
// family has.
func (v *NetworkView) circuits(view *directory.View, circuits []circuit.Info, names map[directory.RelayID]string) {
	families, hops := map[uint16]int{}, 0
	for _, c := range circuits {
		x := CircuitView{ID: c.ID, Purpose: string(c.Purpose), Destination: names[c.Destination], State: c.State, RTT: c.RTT}
		ids := c.Path
		if c.Destination != (directory.RelayID{}) {
			ids = append(slices.Clone(ids), c.Destination)
		}
		for i, id := range ids {
			if i < len(c.Path) {
				x.Relays = append(x.Relays, names[id])
			}
			hops++
			if r, ok := view.Relay(id); ok && r.Family != 0 {
				families[r.Family]++
			}
		}
		v.Circuits = append(v.Circuits, x)
	}
	for _, n := range families {
		v.Family = max(v.Family, float64(n)/float64(hops))
	}
}

// viewQueues fills in the queues that we read, and what does not work of them and
// of those that we write to.
func (t *turn) viewQueues(v *NetworkView, view *directory.View, names map[directory.RelayID]string) {
	missing := map[string]int{} // by what is said
	var order []string
	miss := func(what string) {
		if missing[what]++; missing[what] == 1 {
			order = append(order, what)
		}
	}
	count := func(owner string, pair *[2]queueRecord) {
		made, good := 0, 0
		down := t.m.queueDown(owner)
		for n := range pair {
			q := &pair[n]
			if !q.exists() || !q.Made {
				continue
			}
			made++
			switch _, listed := view.Relay(q.Relay); {
			case !listed:
				miss("a relay that holds a queue of yours left the network")
			case n == 0 && down:
				miss(nameOr(names, q.Relay) + " does not let a queue of yours be read")
			default:
				good++
			}
		}
		if made == 0 {
			return
		}
		v.Queues++
		if good < 2 {
			v.Single++
		}
	}
	for _, c := range t.book.sorted() {
		if c.session == nil || c.leftUs() {
			continue
		}
		count(c.id, &c.rec.Own)
		for n := range c.rec.Own {
			if c.rec.Move == nil || c.rec.State != ContactActive || !c.told(n) {
				continue
			}
			s := &c.rec.Move.Slots[n]
			at := time.Unix(s.Due, 0).UTC()
			if s.Next != nil {
				at = t.now.UTC()
			} else if s.Due == 0 {
				continue
			}
			if v.NextMove.IsZero() || at.Before(v.NextMove) {
				v.NextMove = at
			}
		}
		if c.cutOff() {
			continue
		}
		for n := range c.slots {
			s := &c.slots[n]
			if s.addr.IsZero() {
				continue
			}
			switch _, listed := view.Relay(s.addr.Relay); {
			case !listed:
				miss("a relay that takes messages for " + c.rec.Name + " left the network")
			case t.now.Before(s.rests):
				miss(nameOr(names, s.addr.Relay) + " takes no messages for " + c.rec.Name + " now: " +
					PlainError(errors.New(cmp.Or(s.reason, "it could not be reached"))))
			}
		}
	}
	for _, id := range sortedKeys(t.book.invites) {
		count(id, &t.book.invites[id].rec.Queues)
	}
	for _, id := range sortedKeys(t.book.addresses) {
		count(id, &t.book.addresses[id].rec.Queues)
	}
	if v.Queues > 0 && v.Mailboxes < 2 {
		miss("the network has one mailbox relay alone: there are no second copies")
	}
	for _, what := range order {
		if n := missing[what]; n > 1 {
			what += fmt.Sprintf(" (%d times)", n)
		}
		v.Missing = append(v.Missing, what)
	}
}

// queueDown tells whether the first queue of a contact or invite cannot be read
// now.
func (m *Messenger) queueDown(owner string) bool {
	m.mu.Lock()
	b := m.inboxes[inboxKey{owner: owner}]
	m.mu.Unlock()
	return b != nil && b.isDown()
}

// nameOr names a relay, also one that is not listed.
func nameOr(names map[directory.RelayID]string, id directory.RelayID) string {
	return cmp.Or(names[id], "a relay that is not listed")
}

// sanitizeText makes one harmless line.
func sanitizeText(s string) string { return strings.ReplaceAll(Sanitize(s), "\n", " ") }

// NewCircuits builds anew every circuit that nothing waits on, over the same
// guards: paths that are slow or suspect are left without changing whom we trust.
// It is refused within a minute of the last time.
func (m *Messenger) NewCircuits(ctx context.Context) error {
	if err := m.look(ctx, func(*turn) error { return nil }); err != nil {
		return err // locked
	}
	m.mu.Lock()
	net := m.net
	m.mu.Unlock()
	n, ok := net.(pooled)
	if !ok {
		return errNoSnapshot
	}
	err := n.Renew(ctx)
	if errors.Is(err, circuit.ErrTooSoon) {
		return &Error{Kind: KindRefused, Text: "all circuits were replaced less than a minute ago", Hint: "wait a minute: each new circuit shows you to one more relay"}
	}
	return err
}
