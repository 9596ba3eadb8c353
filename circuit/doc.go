// Package circuit is the client's side of circuits. A Pool keeps one guard,
// builds three-hop circuits ahead, extends them to destinations, watches them
// and replaces what fails; a Circuit carries relay messages, PING and ECHO; a
// Client puts a pool on links of its own.
//
// Invariants: the three hops and the destination are four different relays;
// one circuit serves one purpose, isolation and destination; whatever a relay
// may not send ends the circuit; no hop is sent more than its credit.
//
// The package knows nothing of contacts or messages, and imports neither the
// relay nor the chat. Traffic is shaped below it, by the link; the pool counts
// its waits in ticks and keeps builds and PINGs within a share of them.
//
// SPEC.md beside this file states what a client does when, and all constants.
package circuit
