// Package directory holds the documents of a network and what follows from
// them: the network file and its link, relay descriptors, snapshots, the
// transparency log, and the view that clients and relays choose from.
//
// The package is pure: it reads no clock, opens no file and no socket; times
// and randomness are arguments. Gossip and signing live in the subpackages.
// SPEC.md beside this file owns every format.
package directory
