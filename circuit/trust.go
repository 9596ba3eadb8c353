package circuit

import (
	"time"

	"hearsay/circuit/path"
	"hearsay/directory"
)

// Specification constants (SPEC.md §2.5).
const (
	trustBase  = 32               // circuits that a destination may break
	trustEach  = 2                // and so many more for each that was open to it at once
	trustEvery = 10 * time.Minute // one more after a uniform time below this
	oneByOne   = 1                // failures in a row after which one build at a time tries
)

// trust bounds how many circuits a destination can have this client build by
// breaking them: each is lent to it, and one that it breaks is not given back.
// A relay that sees circuit after circuit of one client learns of its guard.
type trust struct {
	left int       // circuits that may be lent
	held int       // circuits that are, those being built included
	most int       // of held at once
	more time.Time // when one that was lost is allowed again; zero: none was
}

// trusts returns what a destination is trusted with now.
func (p *Pool) trusts(id directory.RelayID, now time.Time) *trust {
	t := p.trusted[id]
	if t == nil {
		t = &trust{left: trustBase}
		p.trusted[id] = t
	}
	for !t.more.IsZero() && !now.Before(t.more) {
		t.left++
		t.more = t.more.Add(p.trustWait())
		t.settled()
	}
	return t
}

func (p *Pool) trustWait() time.Duration { return p.between(1, p.wait(trustEvery)) }

// lend counts a circuit to a destination that is being built.
func (p *Pool) lend(id directory.RelayID, now time.Time) {
	t := p.trusts(id, now)
	t.left--
	if t.held++; t.held > t.most {
		t.most = t.held
		t.left += trustEach
	}
}

// giveBack counts a circuit to a destination that is gone, or was not built.
func (p *Pool) giveBack(id directory.RelayID, broken bool, now time.Time) {
	t := p.trusts(id, now)
	t.held--
	switch {
	case !broken:
		t.left++
	case t.more.IsZero():
		t.more = now.Add(p.trustWait())
	}
	if t.held == 0 && t.more.IsZero() {
		delete(p.trusted, id)
	}
}

// cleanBroken gives one circuit back to every destination that was not on a
// clean circuit which a relay broke: relays come and go, and nobody can tell
// which one of a circuit ended it. No destination can bring this about.
func (p *Pool) cleanBroken(pa path.Path, now time.Time) {
	for id := range p.trusted {
		if t := p.trusts(id, now); !t.more.IsZero() && !pa.Has(id) {
			t.left++
			t.settled()
		}
	}
}

// settled ends the wait for more when nothing is missing.
func (t *trust) settled() {
	if t.left+t.held >= trustBase+trustEach*t.most {
		t.more = time.Time{}
	}
}

// triedByOther tells whether a destination that failed is just being tried: one
// circuit shows whether it is back.
func (p *Pool) triedByOther(w *waiter) bool {
	if p.selector.Failures(w.key.dest) < oneByOne {
		return false
	}
	for t := range p.tasks {
		if t.key.dest == w.key.dest && t.key != w.key {
			return true
		}
	}
	return false
}
