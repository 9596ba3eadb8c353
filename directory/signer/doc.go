// Package signer signs the snapshots of a network: it takes the descriptors that
// gossip admitted, probes each relay over a real link, votes on what it saw, agrees
// with the other signers on the votes that count, judges these by the network's rules
// and signs one snapshot per epoch.
//
// Invariants: what a signer says is on disk before anybody hears it; it signs one
// header per epoch number, whatever crashes; and while fewer than 2k - n signers lie,
// no two headers are complete at one place of the log. SPEC.md beside this file says
// who sends what when, and why that holds.
package signer
