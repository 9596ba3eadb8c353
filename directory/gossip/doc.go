// Package gossip spreads descriptors between relays and carries the documents
// of a network to whoever asks: file versions, snapshots, log proofs.
//
// A Node is the gossiping side of a relay or of a directory node: a Store of
// verified descriptors, standing streams to other relays, reconciliation, and
// a cache of the network file, the log, the newest snapshot and the way back to
// those before it, from which diffs are made. It compares its head with those of
// others, unknown to them, over circuits. A Client only asks: it fetches the network file from the bootstraps of a link and keeps a
// directory.Views fresh on the public schedule.
//
// Invariants: nothing is stored or passed on that package directory did not
// verify; a descriptor is never judged here, only admitted or not; a snapshot
// that is older, of another network or altered never replaces a good one; what
// a peer can make this package hold or do is bounded by the constants in
// limit.go. Clients send no clock and no head.
//
// Streams and connections come from outside (Stream, Dialer): this package
// opens no socket. SPEC.md beside this file owns the wire format.
package gossip
