package circuit

import (
	"time"

	"hearsay/circuit/path"
	"hearsay/directory"
)

// Specification constants (SPEC.md §2.5).
const (
	trustBase  = 8                // circuits that a destination may break for one user
	trustEach  = 2                // and so many more for each that was open at once
	trustEvery = 10 * time.Minute // one more after a uniform time below this
)

// trustKey is who is trusted with circuits of whom. Users do not share trust: a
// relay that breaks the circuits of one must see no other one held back by it.
type trustKey struct {
	dest      directory.RelayID
	isolation string
}

// trust bounds how many circuits a destination can have a user build by
// breaking them: each is lent to it, and one that it breaks is not given back.
// A relay that sees circuit after circuit of one client learns of its guard.
type trust struct {
	left int       // circuits that may be lent
	held int       // circuits that are, those being built included
	most int       // of held at once
	more time.Time // when one that was lost is allowed again; zero: none was
}

// trustOf returns the key of a circuit to a destination.
func trustOf(k key) trustKey { return trustKey{k.dest, k.isolation} }

// trusts returns what a destination is trusted with now.
func (p *Pool) trusts(k trustKey, now time.Time) *trust {
	t := p.trusted[k]
	if t == nil {
		t = &trust{left: trustBase}
		p.trusted[k] = t
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
func (p *Pool) lend(k trustKey, now time.Time) {
	t := p.trusts(k, now)
	t.left--
	if t.held++; t.held > t.most {
		t.most = t.held
		t.left += trustEach
	}
}

// giveBack counts a circuit to a destination that is gone, or was not built.
func (p *Pool) giveBack(k trustKey, broken bool, now time.Time) {
	t := p.trusts(k, now)
	t.held--
	switch {
	case !broken:
		t.left++
	case t.more.IsZero():
		t.more = now.Add(p.trustWait())
	}
	for k := range p.trusted {
		if t := p.trusts(k, now); t.held == 0 && t.more.IsZero() {
			delete(p.trusted, k)
		}
	}
}

// cleanBroken gives one circuit back to every destination that was not on a
// clean circuit which a relay broke: relays come and go, and nobody can tell
// which one of a circuit ended it. No destination can bring this about.
func (p *Pool) cleanBroken(pa path.Path, now time.Time) {
	for k := range p.trusted {
		if t := p.trusts(k, now); !t.more.IsZero() && !pa.Has(k.dest) {
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
