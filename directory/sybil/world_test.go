package sybil

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// testTime is when test networks are founded: a Monday at 12:00 UTC.
var testTime = time.Unix(1_800_014_400, 0)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

// world is a network whose signers, relays and time the tests move. Records are
// not signed: judgement is given verified ones.
type world struct {
	t      testing.TB
	chain  *directory.Chain
	id     directory.NetworkID
	at     time.Time
	ledger *directory.Ledger
	relays []*actor
	votes  int // signers that vote
	signer [][32]byte
	as     *ASTable
	soft   []string
	proof  func(*directory.Descriptor) Proof
	in     Input // of the last judgement
	out    Output
}

// actor is a relay of the world.
type actor struct {
	record *directory.Record
	d      *directory.Descriptor
	up     bool
	speed  byte
	fail   byte
	flags  directory.VoteFlags
	reason string
	until  uint16
	// vote, if set, changes what signer i says of it.
	vote func(i int, v *directory.RelayVote)
}

type worldConfig struct {
	join    directory.Join
	lab     bool
	signers int // 0: one
	params  map[directory.Param]int64
	as      string
	seeds   []string
	members []string
	invites []directory.Inviter
}

func newWorld(t testing.TB, c worldConfig) *world {
	t.Helper()
	w := &world{t: t, at: testTime, votes: max(c.signers, 1)}
	addr := netip.MustParseAddrPort("8.8.4.4:4443")
	if c.lab {
		addr = netip.MustParseAddrPort("127.0.0.1:4443")
	}
	f := directory.NetworkFile{
		Name: "harbour", Created: testTime, Expires: testTime.Add(730 * 24 * time.Hour), Lab: c.lab, Join: c.join, MinProtocol: 1, Inviters: c.invites,
		Roots: []directory.FounderKey{{Public: publicOf(testKey("root")), Label: "root"}}, Params: c.params,
		Bootstraps: []directory.Bootstrap{{ID: directory.RelayID(publicOf(testKey("bootstrap"))).Prefix(), Addr: addr}},
	}
	for i := range w.votes {
		k := publicOf(testKey(fmt.Sprint("signer ", i)))
		f.Signers = append(f.Signers, directory.FounderKey{Public: k, Label: fmt.Sprint("signer ", i)})
		w.signer = append(w.signer, k)
	}
	for _, s := range c.seeds {
		f.Seeds = append(f.Seeds, idOf(s))
	}
	for _, s := range c.members {
		f.Relays = append(f.Relays, idOf(s))
	}
	if c.as != "" {
		var err error
		w.as, err = ParseASTable([]byte(c.as))
		check(t, err)
		f.ASTable = w.as.Hash()
	}
	raw, id, err := directory.Found(f, testKey("root"))
	check(t, err)
	w.id = id
	w.chain, err = directory.VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	return w
}

func idOf(name string) directory.RelayID { return sha256.Sum256([]byte(name)) }

// add makes a running relay that everybody reaches.
func (w *world) add(name, addr string) *actor {
	w.t.Helper()
	if !strings.Contains(addr, "]") && strings.Count(addr, ":") == 0 {
		addr += ":4443"
	}
	d := &directory.Descriptor{
		ID: idOf(name), Seq: uint64(w.at.Unix()), Life: 1e6 * time.Hour, Addrs: []netip.AddrPort{netip.MustParseAddrPort(addr)},
		OnionKeys: []directory.OnionKey{{NotBefore: 1, Key: [32]byte{1}}}, LinkKey: sha256.Sum256([]byte(name + " link")),
		Protocols: []uint16{1}, Roles: directory.RoleGuard | directory.RoleInner | directory.RoleMailbox, Nick: name,
	}
	a := &actor{record: &directory.Record{ID: d.ID, Seq: d.Seq, Hash: sha256.Sum256([]byte(name + " record")), Descriptor: d}, d: d, up: true, fail: directory.UnknownFailures}
	w.relays = append(w.relays, a)
	return a
}

// spread adds relays of which no two share a prefix.
func (w *world) spread(prefix string, n int) []*actor {
	w.t.Helper()
	var list []*actor
	for i := range n {
		list = append(list, w.add(fmt.Sprintf("%s%d", prefix, i), fmt.Sprintf("%d.%d.1.1", 20+i/200+10*int(prefix[0]%16), i%200)))
	}
	return list
}

// token lets a relay show a token of its own.
func (w *world) token(a *actor, uses int, expires time.Time) directory.Invitation {
	w.t.Helper()
	t, err := directory.IssueToken(w.id, testKey("signer 0"), a.d.ID, expires, uses)
	check(w.t, err)
	a.d.Admission = t.Admission(w.id, a.d.ID)
	return t
}

// history gives the ledger a memory of a relay, old enough for everything.
func (w *world) history(a *actor, edit func(h *directory.History)) {
	h := directory.History{
		Key: directory.GossipKey(w.id, a.d.ID), State: directory.StateListed,
		FirstListed: uint32(testTime.Unix()), LastListed: uint32(w.at.Unix()) - 3600,
		WFUUp: 80000, WFUKnown: 80000, Run: uint32(300 * 24 * 3600), Listed: uint32(200 * 24 * 3600),
	}
	if edit != nil {
		edit(&h)
	}
	p := directory.LedgerParts{Relays: []directory.History{h}}
	if w.ledger != nil {
		old := w.ledger.Parts()
		p = directory.LedgerParts{Relays: append(slices.Clone(old.Relays), h), Tokens: old.Tokens, Vouchers: old.Vouchers, Arrivals: old.Arrivals}
	}
	w.ledger = directory.NewLedger(w.at.Add(-time.Hour), p)
}

// old moves the network to an age of 300 days.
func (w *world) old() { w.at = testTime.Add(300 * 24 * time.Hour) }

func (w *world) input() Input {
	in := Input{Chain: w.chain, Ledger: w.ledger, ValidAfter: w.at, AS: w.as, proof: w.proof}
	for _, a := range w.relays {
		in.Records = append(in.Records, a.record)
	}
	for i := range w.votes {
		v := &directory.Vote{Signer: w.signer[i], Epoch: 1, Recommended: w.soft}
		for _, a := range w.relays {
			if a.reason != "" && !slices.Contains(v.Reasons, a.reason) {
				v.Reasons = append(v.Reasons, a.reason)
			}
		}
		slices.Sort(v.Reasons)
		for _, a := range w.relays {
			key := directory.GossipKey(w.id, a.d.ID)
			r := directory.RelayVote{
				Key: [8]byte(key[:8]), Descriptor: [16]byte(a.record.Hash[:16]), Tried: 1<<len(a.d.Addrs) - 1,
				Bandwidth: a.speed, Failures: a.fail, Flags: a.flags, Until: a.until,
				Reason: uint16(slices.Index(v.Reasons, a.reason) + 1),
			}
			if a.up {
				r.Reached = r.Tried
			}
			if a.vote != nil {
				a.vote(i, &r)
			}
			v.Relays = append(v.Relays, r)
		}
		slices.SortFunc(v.Relays, func(a, b directory.RelayVote) int { return slices.Compare(a.Key[:], b.Key[:]) })
		in.Votes = append(in.Votes, v)
	}
	return in
}

// judge makes the next snapshot; time moves to the one after it.
func (w *world) judge() Output {
	w.in = w.input()
	w.out = Judge(w.in)
	w.ledger = w.out.Ledger
	w.at = w.at.Add(w.out.Epoch)
	return w.out
}

// run makes the snapshots of a time.
func (w *world) run(t time.Duration) {
	for end := w.at.Add(t); w.at.Before(end); {
		w.judge()
	}
}

// listing returns how the last snapshot lists the relay, or nil.
func (w *world) listing(a *actor) *directory.Listing {
	for i := range w.out.Listed {
		if w.out.Listed[i].Descriptor == a.d {
			return &w.out.Listed[i]
		}
	}
	return nil
}

// rule demands the rule by which the relay is not listed, and a reason that
// has all of the given parts.
func (w *world) rule(a *actor, rule directory.Rule, parts ...string) {
	w.t.Helper()
	if got := w.out.Unlisted[a.d.ID]; got != rule || (rule == 0) != (w.listing(a) != nil) {
		w.t.Fatalf("%s: rule %d (%v), want %d", a.d.Nick, got, got, rule)
	}
	w.says(a, parts...)
}

// says demands one reason with all of the parts.
func (w *world) says(a *actor, parts ...string) {
	w.t.Helper()
	all := Explain(w.in, w.out, a.d.ID)
	if len(parts) == 0 {
		return
	}
	var texts []string
	for _, r := range all {
		texts = append(texts, r.String())
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(r.String(), p) }) {
			return
		}
	}
	w.t.Fatalf("%s: no reason says %q:\n%s", a.d.Nick, parts, strings.Join(texts, "\n"))
}

// flags demands that the relay has some flags and lacks others.
func (w *world) flags(a *actor, has, lacks directory.Flags) {
	w.t.Helper()
	l := w.listing(a)
	if l == nil {
		w.t.Fatalf("%s is not listed: %v", a.d.Nick, w.out.Unlisted[a.d.ID])
	}
	if l.Flags&has != has || l.Flags&lacks != 0 {
		w.t.Fatalf("%s: flags %b, want %b and not %b", a.d.Nick, l.Flags, has, lacks)
	}
}

func (w *world) relay(a *actor) *relay {
	for _, r := range w.out.d.relays {
		if r.d == a.d {
			return r
		}
	}
	return nil
}

var open = worldConfig{join: directory.JoinOpen, params: map[directory.Param]int64{directory.ParamPoWBits: 0}}

func addr4(a, b, c, d byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, c, d}), 4443)
}
