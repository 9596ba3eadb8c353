// Package sybil judges relays: from the votes of a network's signers, the
// relays' descriptors and the ledger it computes which relays a snapshot lists,
// with which flags and weights, and the next ledger (SPEC.md).
//
// Judge is a pure function. It uses integers only, and its result depends
// neither on the order of its input nor on the machine, so that every signer
// computes the same snapshot and anybody can compute it again. Explain says in
// words why a relay stands as it does.
//
// The package reads no clock and no file, verifies no signature and asks
// nobody: the caller passes votes that count and descriptors that a store has
// verified.
package sybil
