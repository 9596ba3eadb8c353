package circuit

import (
	"crypto/subtle"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// flow is the credit of one hop, counted in credited cells (SPEC.md §4).
// Circuit.mu guards it.
type flow struct {
	window  int // most cells on the way to the hop without SENDME
	max     int // most cells the hop may have on the way to us without SENDME
	unacked int // cells taken from the window

	sealed   uint64      // credited cells sealed for the hop
	expected []onion.Tag // tags that the next SENDMEs must carry, in order

	received uint64      // credited cells that came from the hop
	consumed uint64      // those that the user of the circuit took
	acked    uint64      // SENDMEs sealed
	owed     []onion.Tag // tags for the next SENDMEs, in order
}

func newFlow(o cell.Options) flow {
	return flow{window: int(o.Initial), max: int(o.Max)}
}

// take uses up one credit for a cell to the hop.
func (f *flow) take() bool {
	if f.unacked >= f.window {
		return false
	}
	f.unacked++
	return true
}

// sealedOne counts a credited cell on its way out; tag is that of the hop's
// own layer on it.
func (f *flow) sealedOne(tag onion.Tag) {
	f.sealed++
	if f.sealed%cell.CreditStep == 0 {
		f.expected = append(f.expected, tag)
	}
}

// acknowledge takes a SENDME. It fails if none is due or the tag is not that
// of the cell acknowledged, which the hop then has not seen.
func (f *flow) acknowledge(tag []byte) error {
	if len(f.expected) == 0 {
		return violation("SENDME that is not due")
	}
	if subtle.ConstantTimeCompare(f.expected[0][:], tag) != 1 {
		return violation("SENDME with a wrong tag")
	}
	f.expected = f.expected[1:]
	f.unacked -= cell.CreditStep
	return nil
}

// receive counts a credited cell from the hop; tag is that of the hop's own
// layer on it. It fails if the hop had no credit.
func (f *flow) receive(tag onion.Tag) error {
	f.received++
	if f.received-f.acked*cell.CreditStep > uint64(f.max) {
		return violation("more cells than credit")
	}
	if f.received%cell.CreditStep == 0 {
		f.owed = append(f.owed, tag)
	}
	return nil
}

// consume counts cells that were taken by the user; due is true when a SENDME
// with tag must be sent.
func (f *flow) consume() (tag onion.Tag, due bool) {
	f.consumed++
	if f.consumed%cell.CreditStep != 0 {
		return tag, false
	}
	tag = f.owed[0]
	f.owed = f.owed[1:]
	return tag, true
}

// acknowledged counts a SENDME on its way out. Only then the hop may have more
// cells on the way: those that wait for a guard that reads nothing would
// otherwise grow without bound.
func (f *flow) acknowledged() { f.acked++ }
