package circuit

import (
	"slices"
	"time"

	"hearsay/circuit/path"
)

// Outlook is what people should know about the choice of relays
// (circuit/path/SPEC.md §9).
type Outlook struct {
	Warnings     []string // what weakens it now, or what waits for a circuit, in words; nil if nothing does
	NeedsConsent bool     // see Pool.Consent
	Operator     Operator
}

// Operator is whose relays are at both ends of most circuits of the network, as
// far as operators say what is theirs.
type Operator struct {
	Name   string // empty without a snapshot
	Relays int
	Both   float64 // the part of all circuits, 0 to 1
}

// Outlook tells how well relays can be chosen. It is at most a second old.
func (p *Pool) Outlook() Outlook {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.outlook
	o.Warnings, o.NeedsConsent = slices.Clone(o.Warnings), p.needsConsent
	return o
}

// lookOut keeps the outlook up to date; viewed says that the view is new.
func (p *Pool) lookOut(now time.Time, viewed bool) {
	if p.view == nil || !viewed && now.Sub(p.lookedOut) < interval {
		return
	}
	p.lookedOut = now
	p.keepKept()
	warnings := p.selector.Warnings()
	if now.Sub(p.waitsAt) < waitsTold && !slices.Contains(warnings, p.waits) {
		warnings = append(warnings, "something waits for a circuit: "+p.waits)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outlook.Warnings = warnings
	if viewed {
		s := path.LargestShare(p.view, path.ByOperator)
		p.outlook.Operator = Operator{Name: s.Name, Relays: s.Relays, Both: s.Both}
	}
}
