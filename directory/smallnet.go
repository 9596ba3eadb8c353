package directory

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// equalWeight is the weight code of every relay on every wheel while no
// bandwidth is measured: 1 MiB/s.
const equalWeight = 81

// Rule numbers a rule by which judgement keeps a relay out of a snapshot.
type Rule uint16

// The rules (SPEC.md §16).
const (
	RuleNotRunning Rule = 1 // no address was reached
	RuleLeft       Rule = 2 // it has left, or its descriptor has expired
	RuleAdmission  Rule = 3 // its token has no use left
	RuleOnionKey   Rule = 4 // it has no onion key for now
	RuleDuplicate  Rule = 5 // an older relay has its id prefix, link key or address
	RuleFull       Rule = 6 // the snapshot is full
)

// String says the rule in words.
func (r Rule) String() string {
	switch r {
	case RuleNotRunning:
		return "no address was reached"
	case RuleLeft:
		return "it has left or its descriptor has expired"
	case RuleAdmission:
		return "its token has no use left"
	case RuleOnionKey:
		return "it has no onion key for now"
	case RuleDuplicate:
		return "an older relay has its link key or address"
	case RuleFull:
		return "the snapshot is full"
	}
	return "unknown rule"
}

// Candidate is a record of the store and which of its addresses answered a
// probe with the relay's identity.
type Candidate struct {
	Record  *Record
	Reached []netip.AddrPort
}

// JudgeInput is everything that judgement uses.
type JudgeInput struct {
	Chain      *Chain
	Ledger     *Ledger   // of the snapshot before; nil: none
	ValidAfter time.Time // of the snapshot to be made
	Candidates []Candidate
}

// Judgement is what a snapshot is made of.
type Judgement struct {
	Listed   []Listing        // rising by id
	Unlisted map[RelayID]Rule // why the other candidates are not listed
	Ledger   *Ledger          // after this snapshot
	Epoch    time.Duration    // length of the epoch that begins
}

// Listing is a relay that judgement lists.
type Listing struct {
	Descriptor              *Descriptor
	Onion                   OnionKey
	Addrs                   []netip.AddrPort // reached, IPv4 first
	Flags                   Flags
	Guard, Inner, Mailbox   byte // weight codes
	history                 History
	admittedBy              *Token
	seed, vouched, admitted bool
}

// Judge lists every relay that is running and admitted, with the flags that its
// roles allow and equal weights (SPEC.md §16). It is a pure function: the same
// input gives the same output in whatever order the candidates come.
func Judge(in JudgeInput) Judgement {
	f := in.Chain.Current()
	if in.Ledger == nil {
		in.Ledger = &Ledger{}
	}
	out := Judgement{Unlisted: make(map[RelayID]Rule)}
	running := make(map[[16]byte]bool)
	var list []Listing
	for _, c := range in.Candidates {
		l, rule := judgeOne(in, f, c)
		if rule != 0 {
			out.Unlisted[c.Record.ID] = rule
			continue
		}
		running[l.history.Key] = true
		list = append(list, l)
	}
	slices.SortFunc(list, listingOrder)
	tokens := make(map[[16]byte]tokenUse)
	taken := claims{prefixes: map[[16]byte]bool{}, links: map[[32]byte]bool{}, addrs: map[netip.AddrPort]bool{}}
	listed := make(map[[16]byte]bool)
	for _, l := range list {
		rule := Rule(0)
		switch {
		case len(out.Listed) == maxEntries:
			rule = RuleFull
		case taken.conflict(&l):
			rule = RuleDuplicate
		case !l.admitted && !useToken(in.Ledger, tokens, l.admittedBy):
			rule = RuleAdmission
		}
		if rule != 0 {
			out.Unlisted[l.Descriptor.ID] = rule
			continue
		}
		taken.add(&l)
		listed[l.history.Key] = true
		out.Listed = append(out.Listed, l)
	}
	slices.SortFunc(out.Listed, func(a, b Listing) int { return bytes.Compare(a.Descriptor.ID[:], b.Descriptor.ID[:]) })
	out.Epoch = nextEpochLength(in.Chain, in.ValidAfter, len(out.Listed))
	out.Ledger = in.Ledger.advance(f.Lab, in.ValidAfter, out.Epoch, running, listed, tokens)
	return out
}

// judgeOne applies the rules that concern one relay alone.
func judgeOne(in JudgeInput, f *NetworkFile, c Candidate) (Listing, Rule) {
	d := c.Record.Descriptor
	if d == nil || !in.ValidAfter.Before(d.Expires()) {
		return Listing{}, RuleLeft
	}
	l := Listing{Descriptor: d, vouched: f.Lab || f.Join&JoinOpen == 0, seed: slices.Contains(f.Seeds, d.ID)}
	for _, a := range d.Addrs {
		if slices.Contains(c.Reached, a) {
			l.Addrs = append(l.Addrs, a)
		}
	}
	slices.SortStableFunc(l.Addrs, func(a, b netip.AddrPort) int {
		return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen())
	})
	if len(l.Addrs) == 0 {
		return Listing{}, RuleNotRunning
	}
	var ok bool
	if l.Onion, ok = d.OnionKeyAt(in.ValidAfter); !ok {
		return Listing{}, RuleOnionKey
	}
	key := GossipKey(in.Chain.id, d.ID)
	if l.history, ok = in.Ledger.Relay(key); !ok {
		l.history = History{Key: key, FirstListed: uint32(in.ValidAfter.Unix())}
	}
	l.admitted = f.Lab && f.Join&JoinOpen != 0 || in.Ledger.Admitted(key, f.Lab, in.ValidAfter)
	if t, ok := d.Token(); ok {
		l.admittedBy = &t
	}
	l.setFlags()
	return l, 0
}

// setFlags gives the flags and weights of a small network: all that the roles
// allow, at once.
func (l *Listing) setFlags() {
	l.Flags = FlagStable | FlagUnmeasured
	if l.Descriptor.Roles&RoleGuard != 0 {
		l.Flags |= FlagGuard
		l.Guard = equalWeight
	}
	if l.Descriptor.Roles&RoleInner != 0 {
		l.Inner = equalWeight
	}
	if l.Descriptor.Roles&RoleMailbox != 0 {
		l.Flags |= FlagMailbox | FlagPlacement
		l.Mailbox = equalWeight
	}
	if l.Descriptor.Roles&RoleCache != 0 {
		l.Flags |= FlagCache
	}
	if l.vouched {
		l.Flags |= FlagVouched
	}
}

// listingOrder decides who is listed first: seeds, vouched relays, those listed
// earliest, then by key.
func listingOrder(a, b Listing) int {
	return cmp.Or(
		-compareBool(a.seed, b.seed),
		-compareBool(a.vouched, b.vouched),
		cmp.Compare(a.history.FirstListed, b.history.FirstListed),
		bytes.Compare(a.history.Key[:], b.history.Key[:]),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// useToken counts one use of a token, if it has one left. The store has
// verified the signature and the time.
func useToken(l *Ledger, tokens map[[16]byte]tokenUse, t *Token) bool {
	if t == nil {
		return false
	}
	u, ok := tokens[t.Nonce]
	if !ok {
		u = tokenUse{Nonce: t.Nonce, Expires: uint64(t.Expires.Unix()), Used: byte(l.tokenUsed(t.Nonce))}
	}
	if int(u.Used) >= t.MaxUses {
		return false
	}
	u.Used++
	tokens[t.Nonce] = u
	return true
}

// claims are what only one listed relay may have.
type claims struct {
	prefixes map[[16]byte]bool
	links    map[[32]byte]bool
	addrs    map[netip.AddrPort]bool
}

func (c claims) conflict(l *Listing) bool {
	if c.prefixes[l.Descriptor.ID.Prefix()] || c.links[l.Descriptor.LinkKey] {
		return true
	}
	return slices.ContainsFunc(l.Addrs, func(a netip.AddrPort) bool { return c.addrs[a] })
}

func (c claims) add(l *Listing) {
	c.prefixes[l.Descriptor.ID.Prefix()] = true
	c.links[l.Descriptor.LinkKey] = true
	for _, a := range l.Addrs {
		c.addrs[a] = true
	}
}
