package link

import (
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/cell"
)

// Specification constants of the memory of offenders (SPEC.md §6.1).
const (
	linkStrikes    = 4                // breaches after which a link may create no more circuits
	prefixMarks    = 4                // as many links' worth of breaches after which a prefix may not
	markLife       = 15 * time.Minute // one mark is forgiven in this time
	refuseLeast    = time.Hour        // how long a prefix is refused, at least;
	refuseJitter   = time.Hour        // the rest is random, so that nobody can wait for the end
	offendersLimit = 4096             // implementation: prefixes remembered, some 150 bytes each
)

// offenders remembers from where rules were broken. It is in memory only and
// forgets by itself: what it holds are addresses of clients. Its methods are
// safe for concurrent use; each takes the time that the caller names.
type offenders struct {
	mu      sync.Mutex
	entries map[netip.Prefix]*offender
	swept   time.Time // what was forgiven by then is forgotten
}

// offender is what one prefix has on its account.
type offender struct {
	marks  float64   // breaches in linkStrikes, as of marked
	marked time.Time // last mark
	from   time.Time // the prefix is refused from here
	until  time.Time // to here; zero: not at all
}

// conduct is what one link has on its account. It is guarded by offenders.mu.
type conduct struct {
	strikes int
}

// strike charges a breach to a link and to its prefix, if it has one. More than
// linkStrikes of one link do not count for the prefix: it takes several links.
func (o *offenders) strike(c *conduct, p netip.Prefix, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.strikes++; c.strikes > linkStrikes || !p.IsValid() {
		return
	}
	e := o.entryLocked(p, now)
	e.marks = e.marksAt(now) + 1./linkStrikes
	e.marked = now
	if e.marks > prefixMarks-1./linkStrikes && !now.Before(e.until) {
		e.from, e.until = now, now.Add(refuseLeast+rand.N(refuseJitter))
		e.marks = 0
	}
}

// refused reports whether a link that began at born may create circuits no
// more. Of a refused prefix, links stay that were there before and did nothing
// wrong: a neighbour behind the same address shall not lose what he has.
func (o *offenders) refused(c *conduct, p netip.Prefix, born, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.strikes >= linkStrikes {
		return true
	}
	e := o.entries[p]
	if e == nil || !now.Before(e.until) {
		return false
	}
	return c.strikes > 0 || !born.Before(e.from)
}

func (e *offender) marksAt(now time.Time) float64 {
	return max(0, e.marks-float64(now.Sub(e.marked))/float64(markLife))
}

// forgettable reports whether an entry says nothing any more.
func (e *offender) forgettable(now time.Time) bool {
	return !now.Before(e.until) && e.marksAt(now) == 0
}

// entryLocked returns the account of a prefix. When there is no room, it makes
// some.
func (o *offenders) entryLocked(p netip.Prefix, now time.Time) *offender {
	if e := o.entries[p]; e != nil {
		return e
	}
	if len(o.entries) >= offendersLimit || now.Sub(o.swept) >= markLife {
		o.forgetLocked(now)
	}
	e := new(offender)
	if o.entries == nil {
		o.entries = make(map[netip.Prefix]*offender)
	}
	o.entries[p] = e
	return e
}

// forgetLocked drops what is forgiven, and, if that is not enough, an eighth of
// the rest: those first that have the least to be remembered for.
func (o *offenders) forgetLocked(now time.Time) {
	o.swept = now
	for p, e := range o.entries {
		if e.forgettable(now) {
			delete(o.entries, p)
		}
	}
	if len(o.entries) <= offendersLimit*7/8 {
		return
	}
	prefixes := slices.SortedFunc(maps.Keys(o.entries), func(p, q netip.Prefix) int {
		a, b := o.entries[p], o.entries[q]
		return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.marksAt(now), b.marksAt(now)))
	})
	for _, p := range prefixes[:len(prefixes)-offendersLimit*7/8] {
		delete(o.entries, p)
	}
}

// visit returns the account that the door keeps of an accepted link; nil for a
// dialed one.
func (l *Link) visit() *visit {
	v, _ := l.conn.Context().Value(visitKey{}).(*visit)
	return v
}

// Offend charges the peer with a breach of the rules that it alone can have
// committed. After a few the link is refused circuits (Refused), and after a
// few such links their prefix is, for one to two hours; in lab networks the
// prefix, which all share, is not. It must not be called for the link of a
// listed relay, which passes on what others made. Links that this side dialed
// are never charged.
func (l *Link) Offend() {
	if v := l.visit(); v != nil {
		v.d.offenders.strike(&v.conduct, v.prefix, time.Now())
	}
}

// offences are the ends of a control stream that only a hostile client causes.
var offences = []error{
	errControlOrder, errControlTrim, errControlShape, errControlType,
	errShapeOften, errShapeProfile, errShapeBurst, errShapeWarm, errShapeAnswer, errShapeUnread, cell.ErrFormat,
}

// judge charges the end of a client's control stream to it, if it broke a rule,
// and returns it.
func (l *Link) judge(err error) error {
	if _, _, proven := l.Peer(); proven {
		return err
	}
	for _, offence := range offences {
		if errors.Is(err, offence) {
			l.Offend()
			break
		}
	}
	return err
}

// Refused reports whether the peer may create no more circuits on this link,
// after what it or its prefix did (Offend). It is cheap.
func (l *Link) Refused() bool {
	v := l.visit()
	return v != nil && v.d.offenders.refused(&v.conduct, v.prefix, v.born, time.Now())
}

// Received returns how many packets came from the peer so far. A peer that
// sends, but takes nothing, is not one whose network is gone.
func (l *Link) Received() uint64 { return l.conn.ConnectionStats().PacketsReceived }

// What of a peer's packets is explained, in bytes. Both figures are on the
// peer's side: who keeps to the rules needs less.
const (
	// CellBytes is a cell, and the packet around it if it is alone in one.
	CellBytes = cell.Size + cell.MaxTrim + 64
	// ackBytes is a packet that acknowledges nothing but one of ours.
	ackBytes = 48
)

// Surplus returns the bytes that came from the peer, but those of the control
// cells among them and of packets that acknowledge ours; streams have the rest.
// What the cells of circuits (CellBytes each) do not explain of it lies in QUIC's
// receive queues, or came in vain. It is below zero for who sends nothing of its
// own.
func (l *Link) Surplus() int64 {
	s := l.conn.ConnectionStats()
	return int64(s.BytesReceived) - ackBytes*int64(s.PacketsSent) - CellBytes*int64(l.controls.Load())
}

// Clients returns the accepted links whose peer has proven no identity.
func (e *Endpoint) Clients() []*Link {
	e.mu.Lock()
	defer e.mu.Unlock()
	var clients []*Link
	for l := range e.links {
		if _, _, proven := l.Peer(); !l.dialed && !proven {
			clients = append(clients, l)
		}
	}
	return clients
}
