package anonymity

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
	"hearsay/relay"
)

// Insider is what the guard of one client sees of it: when circuit cells came
// and when they were given to the link.
type Insider struct{ Flow }

// role is where on a circuit a link between relays lies.
type role int

const (
	guardToLayer2 role = iota
	inner
	roles
)

// insiders writes down what relays see. It is safe for concurrent use.
type insiders struct {
	tap *Tap

	mu      sync.Mutex
	on      bool
	begin   time.Time
	clients []Insider
	carried map[[2]directory.RelayID]*[roles]int // cells by link and role
}

// began returns when the observation began, and whether it goes on.
func (s *insiders) began() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begin, s.on
}

func (s *insiders) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.begin = true, time.Now()
}

func (s *insiders) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = false
}

// trace returns the view of one relay.
func (s *insiders) trace(id directory.RelayID) relay.Trace {
	return &inside{s: s, id: id, circuits: make(map[uint64]*seenCircuit)}
}

// inside is the relay.Trace of one relay.
type inside struct {
	s        *insiders
	id       directory.RelayID
	circuits map[uint64]*seenCircuit // guarded by s.mu
}

// seenCircuit is one circuit at one relay.
type seenCircuit struct {
	client int // −1: it came from a relay
	next   directory.RelayID
}

// Opened is part of relay.Trace.
func (i *inside) Opened(circuit uint64, from netip.AddrPort, prev directory.RelayID) {
	c := &seenCircuit{client: -1}
	if prev == (directory.RelayID{}) {
		if n, ok := i.s.tap.Of(from); ok {
			c.client = n
		}
	}
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	i.circuits[circuit] = c
}

// Extended is part of relay.Trace.
func (i *inside) Extended(circuit uint64, next directory.RelayID) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	if c := i.circuits[circuit]; c != nil {
		c.next = next
	}
}

// Cell is part of relay.Trace.
func (i *inside) Cell(circuit uint64, way relay.Way, _ []byte) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	c := i.circuits[circuit]
	if c == nil || !i.s.on {
		return
	}
	at := time.Since(i.s.begin)
	switch way {
	case relay.FromClientSide:
		if c.client >= 0 {
			f := &i.s.clients[c.client]
			f.Up = append(f.Up, at)
		}
	case relay.ToClientSide:
		if c.client >= 0 {
			f := &i.s.clients[c.client]
			f.Down = append(f.Down, at)
		}
	case relay.ToNextHop, relay.FromNextHop:
		key := [2]directory.RelayID{i.id, c.next}
		if slices.Compare(key[0][:], key[1][:]) > 0 {
			key[0], key[1] = key[1], key[0]
		}
		n := i.s.carried[key]
		if n == nil {
			n = new([roles]int)
			i.s.carried[key] = n
		}
		r := inner
		if c.client >= 0 {
			r = guardToLayer2
		}
		n[r]++
	}
}

// Message is part of relay.Trace.
func (*inside) Message(uint64, relay.Way, cell.Message) {}

// Closed is part of relay.Trace.
func (i *inside) Closed(circuit uint64, _ string) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	delete(i.circuits, circuit)
}
