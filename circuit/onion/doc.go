// Package onion is the cryptography of circuits: the handshake with one hop
// (Noise NKpsk2 with an ML-KEM-768 secret as the pre-shared key) and the layer
// that each hop adds to or removes from every cell.
//
// The package is pure: randomness is injected, there are no clocks, sockets or
// goroutines. Nothing in it is safe for concurrent use, except that the two
// directions of one Layer may be used by one goroutine each.
// SPEC.md beside this file owns the construction.
package onion
