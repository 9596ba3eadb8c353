// Package path chooses the relays of circuits: one guard that is kept for
// months, a small set of layer-2 guards kept for days, and a middle drawn anew
// for each circuit.
//
// Invariants: the guard, the layer-2 guard, the middle and the destination are
// four different relays at every network size; nothing is built with fewer
// than four usable relays or from a snapshot that is too old; a hostile
// destination can make a client use at most one guard besides its first.
//
// The package is pure: it reads no clock, file or socket. Times are arguments
// and randomness is injected. It does not measure relays and does not judge
// them: eligibility and weight are the snapshot's.
// SPEC.md beside this file states the rules and owns the format of the state.
package path
