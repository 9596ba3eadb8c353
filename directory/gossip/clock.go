package gossip

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"hearsay/directory"
)

// Specification constants of clocks (SPEC.md §4.1).
const (
	clockWords  = 3         // HELLOs of a bootstrap that count, the newest
	clockMemory = time.Hour // older ones do not, nor those older than three epochs if that is longer
)

// clocks are what bootstraps said of the time. Others are not asked: anybody can
// make up an identity and a time. It is safe for concurrent use; the zero value is
// ready.
type clocks struct {
	mu    sync.Mutex
	words map[[16]byte][]clockWord // of each bootstrap, the oldest first, ≤ clockWords
}

type clockWord struct {
	offset time.Duration // of the bootstrap's clock against this one
	at     time.Time
}

// note remembers what a bootstrap said.
func (c *clocks) note(b directory.Bootstrap, said, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.words == nil {
		c.words = make(map[[16]byte][]clockWord)
	}
	list := append(c.words[b.ID], clockWord{said.Sub(now), now})
	c.words[b.ID] = list[max(0, len(list)-clockWords):]
}

// ClockOffset returns by how much the clocks of the bootstraps differ from this
// node's (positive: theirs are ahead), and how many were heard lately. It is the
// median of theirs and this one, of two middle ones that nearer to zero, so that
// no single clock says that this one is wrong. Of each bootstrap the HELLO that
// took the shortest way counts: what was late makes a clock look slow.
func (n *Node) ClockOffset() (offset time.Duration, heard int) {
	epoch := n.epochLength()
	n.mu.Lock()
	boots := n.bootstrapsLocked()
	n.mu.Unlock()
	return n.clocks.median(boots, max(clockMemory, 3*epoch), time.Now())
}

func (c *clocks) median(boots []directory.Bootstrap, memory time.Duration, now time.Time) (time.Duration, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offsets := []time.Duration{0} // this node's own
	known := make(map[[16]byte]bool, len(boots))
	for _, b := range boots {
		if known[b.ID] {
			continue // a second address
		}
		known[b.ID] = true
		best, ok := time.Duration(0), false
		for _, w := range c.words[b.ID] {
			if now.Sub(w.at) <= memory && (!ok || w.offset > best) {
				best, ok = w.offset, true
			}
		}
		if ok {
			offsets = append(offsets, best)
		}
	}
	for id := range c.words {
		if !known[id] {
			delete(c.words, id) // no bootstrap any more
		}
	}
	slices.SortFunc(offsets, cmp.Compare[time.Duration])
	lower, upper := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	if upper.Abs() < lower.Abs() {
		lower = upper
	}
	return lower, len(offsets) - 1
}

// heardClock notes the time in a HELLO if a bootstrap sent it.
func (n *Node) heardClock(id directory.RelayID, h hello) {
	n.mu.Lock()
	b, ok := n.bootstrapLocked(id)
	n.mu.Unlock()
	if ok && id != n.cfg.Self {
		n.clocks.note(b, h.time, time.Now())
	}
}
