// Package signer signs the snapshots of a network with one founder: it takes
// the descriptors that gossip admitted, probes each relay over a real link,
// judges them by the network's rules and signs one snapshot per epoch.
//
// Invariant: a header is on disk before anybody sees it, and no epoch number
// ever gets a second one, whatever crashes. SPEC.md beside this file says what
// is kept and in which order.
package signer
