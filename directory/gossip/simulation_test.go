package gossip

import (
	"bytes"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// A simulation drives the real sessions, stores, limits and peer choice of many
// nodes in virtual time. What it replaces are the goroutines around them, which
// ten thousand nodes are too many for: one loop hands each message that a session
// wants to write to the session at the other end, a link delay later. It runs
// inside a synctest bubble, and belongs to the goroutine that made it.
//
// Every link has its own delay, 25–75 ms each way. Silent nodes take streams,
// greet with a set of their own and then say nothing.
type simulation struct {
	f      *founder
	rnd    *rand.Rand
	view   *directory.View
	nodes  []*simNode
	byID   map[directory.RelayID]*simNode
	events simEvents
	count  int // of events ever made: order of those at one time
	track  map[digest]int
	bytes  map[Type]int // written by honest nodes, by type
	writes int
}

// simNode is one node of a simulation.
type simNode struct {
	*Node
	sim    *simulation
	silent bool
	mute   map[Type]bool // messages that it keeps to itself
	ends   []*simEnd
	got    []time.Time // when it held tracked record i; zero: not yet
}

// simEnd is one side of a stream. At a silent node it has no session.
type simEnd struct {
	node  *simNode
	other *simEnd
	ss    *session
	delay time.Duration
	pump  time.Time // when it is pumped next, zero: not planned
	over  bool
	busy  time.Time // when something was last read or written
	ended func()    // called once when it is over
}

type simEvent struct {
	at    time.Time
	order int
	do    func()
}

type simEvents []simEvent

func (e simEvents) Len() int { return len(e) }
func (e simEvents) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e simEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *simEvents) Push(x any)   { *e = append(*e, x.(simEvent)) }
func (e *simEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// newSimulation makes nodes that all are listed in one snapshot, of which a
// share, spread over all, is silent. The first is honest.
func newSimulation(t testing.TB, count int, silent float64, seed uint64) *simulation {
	t.Helper()
	s := &simulation{
		f: found(t, false, directory.JoinToken, 1), rnd: rand.New(rand.NewPCG(seed, uint64(count))),
		byID: make(map[directory.RelayID]*simNode), track: make(map[digest]int), bytes: make(map[Type]int),
	}
	a, err := openArchive(t.TempDir())
	check(t, err)
	t.Cleanup(func() { _ = a.close() })
	relays := make([]directory.Relay, count)
	for i := range relays {
		relays[i] = directory.Relay{ID: simID(i), LinkKey: simID(i), Addrs: []netip.AddrPort{testAddr(i, false)}}
	}
	s.view = directory.InsecureView(s.f.id, false, time.Now(), relays)
	views := &directory.Views{}
	views.Set(s.view)
	for i := range count {
		n := newNode(NodeConfig{Role: RoleRelay, Self: simID(i), Link: s.f.link(), Views: views}, a)
		n.chain, n.limits, n.store = s.f.chain, newLimits(false), newStore(s.f.id, false)
		n.secret = binary.BigEndian.AppendUint64(make([]byte, 24), s.rnd.Uint64())
		n.state, n.log6962 = s.f.chain.InitialState(), s.f.log
		n.showView(s.view)
		node := &simNode{Node: n, sim: s, silent: i > 0 && s.rnd.Float64() < silent}
		s.nodes = append(s.nodes, node)
		s.byID[n.cfg.Self] = node
	}
	return s
}

// simID is the identity of node i: that of "relay i" for those who sign.
func simID(i int) directory.RelayID {
	if i < simSigners {
		return idOf(simName(i))
	}
	return sha256.Sum256(binary.BigEndian.AppendUint32([]byte("simulated"), uint32(i)))
}

// simSigners are the nodes that have keys, and so records of their own.
const simSigners = 64

func simName(i int) string { return "simulated " + string(rune('A'+i)) }

// showView shows a view that has no snapshot.
func (n *Node) showView(v *directory.View) {
	n.view = v
	n.store.setListed(func(id directory.RelayID) bool {
		_, ok := v.Relay(id)
		return ok
	}, len(v.Relays()))
}

// after plans an event.
func (s *simulation) after(d time.Duration, do func()) {
	s.count++
	heap.Push(&s.events, simEvent{at: time.Now().Add(max(d, 0)), order: s.count, do: do})
}

// run lets time pass until done says so, at most for a time. It tells which.
func (s *simulation) run(limit time.Duration, done func() bool) bool {
	end := time.Now().Add(limit)
	for len(s.events) > 0 && !done() {
		if s.events[0].at.After(end) {
			break
		}
		e := heap.Pop(&s.events).(simEvent)
		if wait := time.Until(e.at); wait > 0 {
			time.Sleep(wait)
			synctest.Wait() // timers of sessions that fire now
		}
		e.do()
	}
	if !done() {
		time.Sleep(time.Until(end))
		return false
	}
	return true
}

// pass lets time pass.
func (s *simulation) pass(d time.Duration) { s.run(d, func() bool { return false }) }

// honest returns the honest nodes.
func (s *simulation) honest() []*simNode {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *simNode) bool { return n.silent })
}

// open opens a stream, after the two round trips that a new link costs.
func (s *simulation) open(from, to *simNode, once bool, ended func()) {
	delay := 25*time.Millisecond + time.Duration(s.rnd.Int64N(int64(50*time.Millisecond)))
	s.after(4*delay, func() {
		if _, _, ok := from.limits.open(to.cfg.Self, time.Now()); !ok {
			s.after(0, ended)
			return
		}
		a, b := &simEnd{node: from, delay: delay, ended: ended}, &simEnd{node: to, delay: delay}
		a.other, b.other = b, a
		s.after(delay, func() {
			if to.silent {
				b.write(appendMessage(nil, TypeHello, hello{role: RoleRelay, network: to.network, time: time.Now()}.append(nil)))
				return
			}
			if code, retry, ok := to.admit(from.cfg.Self, netip.Prefix{}); !ok {
				b.write(appendMessage(nil, TypeBye, appendBye(nil, code, retry)))
				b.finish()
				return
			}
			b.begin(false, false)
		})
		a.begin(true, once)
		if once {
			s.after(reconcileTimeout, a.fail)
			a.watch()
		}
	})
}

// begin is converse and the start of run.
func (e *simEnd) begin(opener, once bool) {
	e.ss = newSession(e.node.Node, e.other.node.cfg.Self, nil, opener, once)
	e.node.sessions[e.ss] = struct{}{}
	e.node.ends = append(e.node.ends, e)
	e.flush()
}

// fail is the end of a stream whose time is over.
func (e *simEnd) fail() {
	if !e.over {
		e.ss.abandon()
		e.finish()
	}
}

// watch is the timer that ends a reconciliation with a silent peer.
func (e *simEnd) watch() {
	if wait := frameTimeout - time.Since(e.busy); wait > 0 {
		e.node.sim.after(wait, e.watch)
		return
	}
	e.fail()
}

// flush writes what the session has to say now, as write does.
func (e *simEnd) flush() {
	for !e.over && e.ss != nil {
		select {
		case <-e.ss.wake:
		default:
		}
		b, wait, ok := e.ss.next(time.Now())
		if !ok {
			e.finish()
			return
		}
		if b != nil {
			e.write(b)
			continue
		}
		e.ss.mu.Lock()
		later := len(e.ss.later) > 0
		e.ss.mu.Unlock()
		if later {
			wait = min(wait, secondAsk+time.Millisecond)
		}
		if at := time.Now().Add(wait); wait < time.Hour && (e.pump.IsZero() || at.Before(e.pump)) {
			e.pump = at
			e.node.sim.after(wait, func() {
				if e.pump.Equal(at) {
					e.pump = time.Time{}
				}
				e.flush()
			})
		}
		return
	}
}

func (e *simEnd) write(b []byte) {
	s := e.node.sim
	if e.node.mute[Type(b[0])] {
		return
	}
	if !e.node.silent {
		s.bytes[Type(b[0])] += len(b)
		s.writes++
	}
	e.busy = time.Now()
	s.after(e.delay, func() { e.other.read(b) })
}

// read takes what came, as read and run do.
func (e *simEnd) read(b []byte) {
	if e.over || e.ss == nil {
		return
	}
	e.busy = time.Now()
	r := frameReader{r: bytes.NewReader(b), allow: e.ss.allowed}
	for {
		m, err := r.next()
		if err == nil {
			err = e.ss.handle(m)
		} else if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if errors.Is(err, errBye) {
				e.ss.abandon()
			} else {
				e.ss.end(byeFor(err), 0)
			}
			break
		}
	}
	if Type(b[0]) == TypeGive {
		e.node.note()
	}
	e.flush()
	e.node.flush()
}

// finish closes the stream at both ends.
func (e *simEnd) finish() {
	if e.over {
		return
	}
	e.over = true
	if e.ss != nil {
		delete(e.node.sessions, e.ss)
		e.node.limits.close(e.ss.peer)
		e.node.ends = slices.DeleteFunc(e.node.ends, func(o *simEnd) bool { return o == e })
	}
	s := e.node.sim
	s.after(e.delay, func() {
		if o := e.other; o.ss != nil && !o.over {
			o.ss.abandon()
			o.finish()
		}
	})
	if e.ended != nil {
		s.after(0, e.ended)
	}
}

// flush writes what a message to one session made others say.
func (n *simNode) flush() {
	for _, e := range slices.Clone(n.ends) {
		if !e.over && len(e.ss.wake) > 0 {
			e.flush()
		}
	}
}

// note writes down which tracked records the node holds by now.
func (n *simNode) note() {
	for d, i := range n.sim.track {
		for len(n.got) <= i {
			n.got = append(n.got, time.Time{})
		}
		if n.got[i].IsZero() {
			if _, ok := n.store.held(d); ok {
				n.got[i] = time.Now()
			}
		}
	}
}

func (n *simNode) has(i int) bool { return len(n.got) > i && !n.got[i].IsZero() }

// standing opens the streams that honest nodes keep. Each draws its peers from
// a uniform sample of the listed relays, which is as uniform as from all.
func (s *simulation) standing() {
	for _, n := range s.nodes {
		if n.silent {
			continue
		}
		sample := s.view.Relays()
		if len(sample) > 50 {
			sample = make([]directory.Relay, 24)
			for i := range sample {
				sample[i] = s.view.Relays()[s.rnd.IntN(len(s.view.Relays()))]
			}
		}
		sample = slices.DeleteFunc(slices.Clone(sample), func(r directory.Relay) bool { return r.ID == n.cfg.Self })
		for _, r := range n.draw(sample, time.Now()) {
			s.open(n, s.byID[r.ID], false, func() {})
		}
	}
}

// reconciling lets honest nodes reconcile with random relays about once a
// minute, as keepInStep does.
func (s *simulation) reconciling() {
	for _, n := range s.nodes {
		if n.silent {
			continue
		}
		var meet func()
		meet = func() {
			to := s.nodes[s.rnd.IntN(len(s.nodes))]
			if to == n || n.limits.refused(to.cfg.Self, time.Now()) {
				s.after(jitter(n.interval(), 0.25), meet)
				return
			}
			s.open(n, to, true, func() { s.after(jitter(n.interval(), 0.25), meet) })
		}
		s.after(time.Duration(s.rnd.Int64N(int64(n.interval()))), meet)
	}
}

// publish lets node i, one of the first, publish a descriptor, which is tracked.
func (s *simulation) publish(i int) int {
	n := s.nodes[i]
	raw := s.descriptor(i)
	check(s.f.t, n.Publish(raw))
	sum := sha256.Sum256(raw)
	number := len(s.track)
	s.track[digest(sum[:16])] = number
	n.note()
	n.flush()
	return number
}

// descriptor makes a descriptor of node i with all that a relay usually says.
func (s *simulation) descriptor(i int) []byte {
	d := s.f.describe(simName(i), i)
	d.OnionKeys = append(d.OnionKeys, directory.OnionKey{NotBefore: d.OnionKeys[0].NotBefore + 6*24*3600, Key: d.OnionKeys[0].Key})
	d.OnionKeys[1].Key[0]++
	d.Nick, d.Contact = "weatherdeck", "operator at example dot org"
	d.Addrs = append(d.Addrs, netip.MustParseAddrPort("[2a00:1450:4001::1]:4443"))
	return s.f.sign(d, simName(i))
}

// fill gives a node records of relays made up, numbers from to to.
func (n *simNode) fill(from, to int) {
	n.store.setListed(func(directory.RelayID) bool { return true }, to)
	for i := from; i < to; i++ {
		h := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("record"), uint32(i)))
		d := &directory.Descriptor{Addrs: []netip.AddrPort{testAddr(i, false)}}
		n.store.restore(&directory.Record{ID: sha256.Sum256(h[:]), Seq: 1, Hash: h, Descriptor: d}, time.Now())
	}
}

// reached returns when so many thousandths of the honest nodes held a record,
// counted from a time; negative: they do not yet.
func (s *simulation) reached(record, thousandths int, since time.Time) time.Duration {
	var times []time.Time
	honest := 0
	for _, n := range s.nodes {
		if n.silent {
			continue
		}
		honest++
		if n.has(record) {
			times = append(times, n.got[record])
		}
	}
	need := (honest*thousandths + 999) / 1000
	if len(times) < need {
		return -1
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[need-1].Sub(since)
}
