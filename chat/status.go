package chat

import (
	"time"

	"hearsay/circuit"
)

// Health is one word about how things stand, with the reason for people.
type Health string

// The health words.
const (
	Connected Health = "connected"
	Building  Health = "building"
	Degraded  Health = "degraded" // a copy or a queue is missing
	StaleView Health = "stale"    // snapshot over 24 h old
	Offline   Health = "offline"
)

// Status is what the program knows of itself.
type Status struct {
	Network     string // name; empty until the network file was fetched
	Lab         bool
	Ready       bool // a circuit is open and every due subscription stands
	Relays      int  // listed
	Circuits    []circuit.Info
	ClockSkew   time.Duration // estimate against the snapshot, 0 unknown
	Health      Health
	Cover       string // off, saver, normal or fast
	Encrypted   bool   // the store has a passphrase
	Locked      bool   // only Unlock, Wipe and this work
	Epoch       uint64
	SnapshotAge time.Duration // 0 if none
	Queued      int           // messages that exist only here
	Due         int           // subscriptions that contacts and open invites are due
	Standing    int           // of them, those that stand
	Why         string        // why no circuit can be built now, in words, or ""
	Outlook     circuit.Outlook
	Warnings    []Warning // about the network, the gravest first
	Steps       []Step    // start-up, in order
}

// Step is one named step of the start-up, for the first-run pane.
type Step struct {
	Name   string // "network file", "snapshot", "guard", "circuit", "mailboxes"
	State  string // "done", "running", "waiting", "failed"
	Took   time.Duration
	Detail string
}
