package sybil

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of judgement as a whole (SPEC.md §1).
const (
	smallNetwork = 20 // relays below which a network is small
	youngNetwork = 60 * day
	maxListed    = 50_000
	day          = 24 * time.Hour
)

// Input is everything that judgement uses.
type Input struct {
	Chain      *directory.Chain
	Ledger     *directory.Ledger // of the snapshot before; nil: none
	ValidAfter time.Time         // of the snapshot that is to be made
	// Votes are those that count, one of each signer.
	Votes []*directory.Vote
	// Records are all that the votes name, verified as stores do. Others are
	// ignored.
	Records []*directory.Record
	// AS is the table that the network file names. Any other is ignored.
	AS *ASTable

	proof func(*directory.Descriptor) Proof // nil: docket.proofOf
}

// Output is the judgement of a snapshot, with what Explain needs.
type Output struct {
	directory.Judgement
	d *docket
}

// docket is everything that is known while a snapshot is judged.
type docket struct {
	in     Input
	file   *directory.NetworkFile
	rules  directory.Rules // of the network file
	lab    bool
	now    uint64 // Unix seconds of the snapshot
	old    uint64 // age of the network, seconds
	as     *ASTable
	votes  []*directory.Vote // rising by signer
	ledger *directory.Ledger
	step   directory.Step

	relays []*relay            // everything that votes name, rising by key
	rest   []directory.History // stepped; of relays that no vote names
	listed []*relay            // rising by id

	small   bool // fewer than 20 relays run and may join
	trusted bool // every relay comes by the founders' hand
	lastN   int  // relays that the snapshot before listed

	arrivals arrivals
	tokens   map[[16]byte]directory.TokenUse
	vouchers vouchers

	bandwidth bandwidth
	caps      [wheels][]capNote
	epoch     time.Duration
}

// relay is one relay that votes name.
type relay struct {
	record  *directory.Record
	d       *directory.Descriptor // nil: it has left
	key     [16]byte
	votes   []*directory.RelayVote // by index of docket.votes, nil: it says nothing
	running bool
	addrs   []netip.AddrPort       // reached, IPv4 first
	nets    [levels][]netip.Prefix // of addrs, none twice
	ases    []uint32               // likewise; the first address's first, 0 = unknown
	onion   directory.OnionKey

	h     directory.History // stepped to now
	known bool              // the ledger had it

	seed, vouched bool
	proof         Proof
	voucher       [32]byte // docket.whoVouches, if that admits it now

	measured  uint64 // merged bandwidth, 1/1024 B/s; 0 = unmeasured
	bandwidth uint64 // what weights use
	failures  int    // percent of its mailbox's requests; -1 = unknown
	conflict  bool
	mark      directory.VoteFlags
	markText  string
	markUntil uint64
	approved  bool

	rule     directory.Rule
	refused  limit   // the limit behind the rule
	warnings []limit // limits that only warn here

	uptime, config int // number of the cluster, 0 = none
	kin            [32]byte
	terms          []term
	score          int // quarter points
	wfu            uint64
	mtbf           uint64
	flags          directory.Flags
	wants          []limit // what flags and weights lack
	base           uint64
	ramp, steady   uint64
	weights        [wheels]uint64
}

// limit is a value beside the bound that a rule sets for it.
type limit struct {
	rule  string
	group string
	value uint64
	bound uint64
	until uint64 // Unix seconds, 0 = none
}

// Judge computes a snapshot. It takes the rules in the order of SPEC.md §1.1
// and changes nothing of its input.
func Judge(in Input) Output {
	d := newDocket(in)
	d.merge()
	d.stepHistories()
	d.list()
	d.findBursts()
	d.creditAge()
	d.findClusters()
	d.scoreAll()
	d.dropScored()
	d.measureAll()
	d.setFlags()
	d.weigh()
	return d.output()
}

func newDocket(in Input) *docket {
	d := &docket{in: in, file: in.Chain.Current(), ledger: in.Ledger, now: uint64(max(in.ValidAfter.Unix(), 0))}
	if d.ledger == nil {
		d.ledger = &directory.Ledger{}
	}
	d.rules = in.Chain.Rules()
	d.lab = d.file.Lab
	d.old = uint64(max(in.ValidAfter.Sub(in.Chain.Founded())/time.Second, 0))
	if in.AS != nil && in.AS.Hash() == d.file.ASTable {
		d.as = in.AS
	}
	d.trusted = d.lab || d.file.Join&(directory.JoinVouch|directory.JoinOpen) == 0
	d.votes = slices.Clone(in.Votes)
	slices.SortFunc(d.votes, func(a, b *directory.Vote) int {
		ha, hb := a.Hash(), b.Hash()
		return cmp.Or(bytes.Compare(a.Signer[:], b.Signer[:]), bytes.Compare(ha[:], hb[:]))
	})
	d.votes = slices.CompactFunc(d.votes, func(a, b *directory.Vote) bool { return a.Signer == b.Signer })
	d.tokens = make(map[[16]byte]directory.TokenUse)
	return d
}

// span returns a duration in seconds; in lab networks they are shorter.
func (d *docket) span(t time.Duration) uint64 {
	return uint64(directory.Scale(d.lab, t) / time.Second)
}

// young tells whether age thresholds are lowered to half the network's age.
func (d *docket) young() bool { return d.old < d.span(youngNetwork) }

// threshold returns an age that a relay must reach, in seconds (SPEC.md §9).
func (d *docket) threshold(t time.Duration) uint64 {
	if d.young() {
		return min(d.span(t), d.old/2)
	}
	return d.span(t)
}

// stepHistories brings the ledger's histories to now.
func (d *docket) stepHistories() {
	parts := d.ledger.Parts()
	for i := range parts.Relays {
		if parts.Relays[i].State&directory.StateListed != 0 {
			d.lastN++
		}
	}
	prev := d.in.ValidAfter
	if at, ok := d.ledger.At(); ok {
		prev = at
	}
	d.step = d.ledger.Step(d.lab, d.in.ValidAfter, directory.EpochLength(d.in.Chain, prev, d.lastN))
	named := make(map[[16]byte]*relay, len(d.relays))
	for _, r := range d.relays {
		named[r.key] = r
		r.h = directory.History{Key: r.key}
	}
	for _, h := range parts.Relays {
		if r := named[h.Key]; r != nil {
			r.h, r.known = h, true
			continue
		}
		d.step.Run(&h, false)
		d.rest = append(d.rest, h)
	}
	for _, r := range d.relays {
		d.step.Run(&r.h, r.running)
		d.endHolds(&r.h)
	}
	for i := range d.rest {
		d.endHolds(&d.rest[i])
	}
}

// endHolds lets a relay go whose time is over.
func (d *docket) endHolds(h *directory.History) {
	if uint64(h.HoldUntil) <= d.now {
		h.HoldUntil = 0
		h.State &^= directory.StateHeld | directory.StateStopped | directory.StateScored
	}
}

// creditAge lets the listed relays grow older.
func (d *docket) creditAge() {
	for _, r := range d.listed {
		d.step.Age(&r.h)
	}
}

// output makes entries and the next ledger.
func (d *docket) output() Output {
	out := Output{d: d}
	out.Unlisted = make(map[directory.RelayID]directory.Rule)
	out.Lacks = make(map[directory.RelayID]error)
	parts := directory.LedgerParts{Vouchers: d.vouchers.after(d), Arrivals: d.arrivals.after()}
	for _, r := range d.listed {
		out.Listed = append(out.Listed, directory.Listing{
			Descriptor: r.d, Onion: r.onion, Addrs: r.addrs, Flags: r.flags, Kin: r.kin, AS: r.ases[0],
			Guard: codeOf(r.weights[wheelGuard]), Inner: codeOf(r.weights[wheelInner]), Mailbox: codeOf(r.weights[wheelMailbox]),
		})
	}
	for _, r := range d.relays {
		if r.rule != 0 {
			out.Unlisted[r.record.ID] = r.rule
		}
		if r.rule == directory.RuleAdmission {
			out.Lacks[r.record.ID] = d.whyNot(r)
		}
		d.step.List(&r.h, r.rule == 0)
		r.h.Score = byte(min(r.score/4, 255))
		if r.h.Keep(d.lab, d.in.ValidAfter) {
			parts.Relays = append(parts.Relays, r.h)
		}
	}
	for _, h := range d.rest {
		d.step.List(&h, false)
		if h.Keep(d.lab, d.in.ValidAfter) {
			parts.Relays = append(parts.Relays, h)
		}
	}
	for _, u := range d.ledger.Parts().Tokens {
		if _, ok := d.tokens[u.Nonce]; !ok && u.Expires > d.now {
			parts.Tokens = append(parts.Tokens, u)
		}
	}
	for _, u := range d.tokens {
		parts.Tokens = append(parts.Tokens, u) // NewLedger sorts
	}
	out.Ledger = directory.NewLedger(d.in.ValidAfter, parts)
	d.epoch = directory.EpochLength(d.in.Chain, d.in.ValidAfter, len(d.listed))
	out.Epoch = d.epoch
	for _, v := range d.votes {
		out.Votes = append(out.Votes, v.Hash())
	}
	slices.SortFunc(out.Votes, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	out.Recommended = d.recommended()
	return out
}
