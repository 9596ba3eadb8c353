package directory

import (
	"net/netip"
	"time"
)

// Rule numbers a rule by which judgement keeps a relay out of a snapshot.
type Rule uint16

// The rules (SPEC.md §16.3). Tables count how many relays each kept out.
const (
	RuleNotRunning Rule = 1  // no address was reached
	RuleLeft       Rule = 2  // it has left, or its descriptor has expired
	RuleAdmission  Rule = 3  // A6: it is not admitted
	RuleOnionKey   Rule = 4  // it has no onion key for now
	RuleDuplicate  Rule = 5  // an older relay has its id prefix, link key or address
	RuleFull       Rule = 6  // the snapshot is full
	RuleProtocol   Rule = 7  // it speaks no protocol that the network file allows
	RuleHost       Rule = 11 // A1: too many on one IPv4 address or IPv6 /64
	RuleNet        Rule = 12 // A2: too many in one IPv4 /24 or IPv6 /48
	RuleBlock      Rule = 13 // A3: too many in one IPv4 /16 or IPv6 /32
	RuleCycling    Rule = 15 // A5: new ids come too fast at its address
	RuleScore      Rule = 20 // H: its score
	RuleExcluded   Rule = 21 // most signers exclude it
)

// String says the rule in words.
func (r Rule) String() string {
	switch r {
	case RuleNotRunning:
		return "no address was reached"
	case RuleLeft:
		return "it has left or its descriptor has expired"
	case RuleAdmission:
		return "it is not admitted: its token or vouch is used up or has expired"
	case RuleOnionKey:
		return "it has no onion key for now"
	case RuleDuplicate:
		return "an older relay has its link key or address"
	case RuleFull:
		return "the snapshot is full"
	case RuleProtocol:
		return "its software is too old for this network"
	case RuleHost:
		return "too many relays on its address"
	case RuleNet:
		return "too many relays in its /24 or IPv6 /48"
	case RuleBlock:
		return "too many relays in its /16 or IPv6 /32"
	case RuleCycling:
		return "too many new relays came at its address lately"
	case RuleScore:
		return "its score is too high"
	case RuleExcluded:
		return "most signers exclude it"
	}
	return "unknown rule"
}

// Judgement is what a snapshot is made of.
type Judgement struct {
	Listed      []Listing         // rising by id
	Unlisted    map[RelayID]Rule  // why the other known relays are not listed
	Lacks       map[RelayID]error // of those that RuleAdmission keeps out: what they lack
	Ledger      *Ledger           // after this snapshot
	Epoch       time.Duration     // length of the epoch that begins
	Votes       [][32]byte        // hashes of the counted votes, rising
	Recommended []string          // software, rising
	SRVs        []SRV             // nil: those that anybody can compute (SPEC.md §9.3)
	SRVHash     [32]byte          // SHA-256 of the SRVState after this snapshot; zero: not said
	Abandoned   [][32]byte        // hashes of headers that were never completed, rising
}

// Listing is a relay that judgement lists.
type Listing struct {
	Descriptor            *Descriptor
	Onion                 OnionKey
	Addrs                 []netip.AddrPort // reached, IPv4 first
	Flags                 Flags
	Guard, Inner, Mailbox byte     // weight codes
	Kin                   [32]byte // names its family or cluster (SPEC.md §16.4); zero: none
	AS                    uint32   // 0: unknown
}

// EpochLength returns the length of an epoch of the network that begins at t
// with n listed relays.
func EpochLength(c *Chain, t time.Time, n int) time.Duration { return nextEpochLength(c, t, n) }
