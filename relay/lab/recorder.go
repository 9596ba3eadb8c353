package lab

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"

	"hearsay/circuit/cell"
	"hearsay/directory"
	"hearsay/relay"
)

// Recorder keeps everything that every relay of a network sees, for tests that
// show what a relay can learn. Give its Trace method to Config. The zero value
// is ready; it is safe for concurrent use.
type Recorder struct {
	mu       sync.Mutex
	circuits map[recordKey]*CircuitRecord
	order    []recordKey
	sizes    map[int]int
}

type recordKey struct {
	relay, start int
	circuit      uint64
}

// CircuitRecord is one circuit as one relay saw it.
type CircuitRecord struct {
	Relay int               // number of the relay, in order of its first start
	From  netip.AddrPort    // the other end of the link it came in on
	Prev  directory.RelayID // that end's proven identity; zero for a client
	Next  directory.RelayID // zero if the circuit ended here
	// Cells are all cells by their way, and Messages what this hop opened or
	// sealed as its own.
	Cells    [4][][]byte
	Messages []cell.Message
}

// Saw tells whether the relay had the bytes before it, in a cell, in a message
// that it opened, or as the address or identity of a neighbour.
func (c *CircuitRecord) Saw(b []byte) bool {
	for _, way := range c.Cells {
		for _, x := range way {
			if bytes.Contains(x, b) {
				return true
			}
		}
	}
	for _, m := range c.Messages {
		if bytes.Contains(m.Data, b) {
			return true
		}
	}
	return bytes.Contains(c.From.Addr().AsSlice(), b) || bytes.Contains(c.Prev[:], b) || bytes.Contains(c.Next[:], b)
}

// Trace returns what records relay i; it counts its restarts.
func (r *Recorder) Trace(i int) relay.Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	start := 0
	for _, k := range r.order {
		if k.relay == i {
			start = max(start, k.start+1)
		}
	}
	return &tracer{r: r, relay: i, start: start}
}

// Sizes returns how many cells of each size crossed any link.
func (r *Recorder) Sizes() map[int]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := make(map[int]int, len(r.sizes))
	for size, n := range r.sizes {
		m[size] = n
	}
	return m
}

// Paths returns every circuit that began at a client, hop by hop. It joins
// what one relay sent to what the next received, which nobody in a network
// could do.
func (r *Recorder) Paths() [][]CircuitRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	bySecond := make(map[string]*CircuitRecord) // by the first cell received
	for _, k := range r.order {
		if c := r.circuits[k]; len(c.Cells[relay.FromClientSide]) > 0 {
			bySecond[string(c.Cells[relay.FromClientSide][0])] = c
		}
	}
	var paths [][]CircuitRecord
	for _, k := range r.order {
		c := r.circuits[k]
		if c.Prev != (directory.RelayID{}) {
			continue
		}
		var path []CircuitRecord
		for c != nil {
			path = append(path, c.clone())
			sent := c.Cells[relay.ToNextHop]
			if c = nil; len(sent) > 0 {
				c = bySecond[string(sent[0])]
			}
		}
		paths = append(paths, path)
	}
	return paths
}

func (c *CircuitRecord) clone() CircuitRecord {
	d := *c
	for i := range d.Cells {
		d.Cells[i] = slices.Clone(d.Cells[i])
	}
	d.Messages = slices.Clone(d.Messages)
	return d
}

// tracer is a relay.Trace that fills a Recorder.
type tracer struct {
	r            *Recorder
	relay, start int
}

func (t *tracer) with(circuit uint64, f func(c *CircuitRecord)) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	k := recordKey{t.relay, t.start, circuit}
	c := t.r.circuits[k]
	if c == nil {
		if t.r.circuits == nil {
			t.r.circuits, t.r.sizes = make(map[recordKey]*CircuitRecord), make(map[int]int)
		}
		c = &CircuitRecord{Relay: t.relay}
		t.r.circuits[k] = c
		t.r.order = append(t.r.order, k)
	}
	f(c)
}

// Opened is part of relay.Trace.
func (t *tracer) Opened(circuit uint64, from netip.AddrPort, prev directory.RelayID) {
	t.with(circuit, func(c *CircuitRecord) { c.From, c.Prev = from, prev })
}

// Extended is part of relay.Trace.
func (t *tracer) Extended(circuit uint64, next directory.RelayID) {
	t.with(circuit, func(c *CircuitRecord) { c.Next = next })
}

// Cell is part of relay.Trace.
func (t *tracer) Cell(circuit uint64, way relay.Way, x []byte) {
	t.with(circuit, func(c *CircuitRecord) {
		c.Cells[way] = append(c.Cells[way], bytes.Clone(x))
		t.r.sizes[len(x)]++
	})
}

// Message is part of relay.Trace.
func (t *tracer) Message(circuit uint64, _ relay.Way, m cell.Message) {
	m.Data = bytes.Clone(m.Data)
	t.with(circuit, func(c *CircuitRecord) { c.Messages = append(c.Messages, m) })
}

// Closed is part of relay.Trace.
func (t *tracer) Closed(uint64, string) {}
