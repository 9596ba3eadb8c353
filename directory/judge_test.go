package directory

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func (f NetworkFile) bootstrapAddrs() []netip.AddrPort {
	var list []netip.AddrPort
	for _, b := range f.Bootstraps {
		list = append(list, b.Addr)
	}
	return list
}

func TestJudgeIgnoresTheOrderOfCandidates(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	list := n.candidates(15, testTime)
	list[3].Reached = nil
	for i := range list {
		list[i].Record.Descriptor.LinkKey[31] &= 0x7f
	}
	list[5].Record.Descriptor.LinkKey = list[6].Record.Descriptor.LinkKey
	make1 := func() ([]byte, Judgement) {
		j := Judge(JudgeInput{Chain: n.chain, ValidAfter: testTime, Candidates: list})
		s, err := NewSnapshot(n.chain, n.log, testTime, j)
		check(t, err)
		return s.doc.Body, j
	}
	want, j := make1()
	if len(j.Listed) != 10 || len(j.Unlisted) != 5 {
		t.Fatalf("%d listed, %v", len(j.Listed), j.Unlisted)
	}
	for range 50 {
		rand.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
		if got, _ := make1(); !bytes.Equal(got, want) {
			t.Fatal("the order of candidates decides")
		}
	}
}

func TestJudgeRules(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	at := testTime.Add(time.Hour)
	tests := map[string]struct {
		edit func(c *Candidate)
		rule Rule
	}{
		"listed":      {func(*Candidate) {}, 0},
		"not reached": {func(c *Candidate) { c.Reached = nil }, RuleNotRunning},
		"reached where it is not": {func(c *Candidate) {
			c.Reached = []netip.AddrPort{netip.MustParseAddrPort("9.9.9.9:9")}
		}, RuleNotRunning},
		"expired":          {func(c *Candidate) { c.Record.Descriptor.Life = time.Minute }, RuleLeft},
		"left":             {func(c *Candidate) { c.Record.Descriptor = nil }, RuleLeft},
		"future onion key": {func(c *Candidate) { c.Record.Descriptor.OnionKeys[0].NotBefore = uint32(at.Unix()) + 1 }, RuleOnionKey},
		"no token":         {func(c *Candidate) { c.Record.Descriptor.Admission = nil }, RuleAdmission},
	}
	for name, tt := range tests {
		c := n.candidates(1, testTime)
		tt.edit(&c[0])
		j := Judge(JudgeInput{Chain: n.chain, ValidAfter: at, Candidates: c})
		if got := j.Unlisted[c[0].Record.ID]; got != tt.rule || (tt.rule == 0) != (len(j.Listed) == 1) {
			t.Errorf("%s: rule %d (%v)", name, got, got)
		}
	}
	for r := RuleNotRunning; r <= RuleFull+1; r++ {
		if r.String() == "unknown rule" != (r > RuleFull) {
			t.Errorf("rule %d has no words", r)
		}
	}
}

func TestJudgeRespectsRoles(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	c := n.candidates(1, testTime)
	c[0].Record.Descriptor.Roles = RoleInner
	l := Judge(JudgeInput{Chain: n.chain, ValidAfter: testTime, Candidates: c}).Listed[0]
	if l.Flags != FlagStable|FlagVouched|FlagUnmeasured || l.Guard != 0 || l.Inner == 0 || l.Mailbox != 0 {
		t.Fatalf("%+v", l)
	}
}

func TestJudgeListsOnlyReachedAddresses(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	c := n.candidates(1, testTime)
	d := c[0].Record.Descriptor
	six := netip.MustParseAddrPort("[2a00:1450::9]:1")
	four := netip.MustParseAddrPort("9.9.9.9:1")
	d.Addrs = []netip.AddrPort{six, netip.MustParseAddrPort("9.9.9.8:1"), four}
	c[0].Reached = []netip.AddrPort{four, six}
	l := Judge(JudgeInput{Chain: n.chain, ValidAfter: testTime, Candidates: c}).Listed[0]
	if !slices.Equal(l.Addrs, []netip.AddrPort{four, six}) {
		t.Fatal(l.Addrs)
	}
}

func TestTokenUsesAreCounted(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	tok := n.token(2)
	list := n.candidates(4, testTime)
	for i := range list {
		list[i].Record.Descriptor.Admission = TokenAdmission(tok)
	}
	judge := func(at time.Time, l *Ledger, list []Candidate) Judgement {
		return Judge(JudgeInput{Chain: n.chain, Ledger: l, ValidAfter: at, Candidates: list})
	}
	j := judge(testTime, nil, list)
	if len(j.Listed) != 2 || len(j.Unlisted) != 2 {
		t.Fatalf("%d listed by a token of 2 uses", len(j.Listed))
	}
	first := j.Listed[0].Descriptor.ID
	// The same two stay, and no third gets in, when the first is away.
	away := slices.DeleteFunc(slices.Clone(list), func(c Candidate) bool { return c.Record.ID == first })
	j = judge(testTime.Add(time.Minute), j.Ledger, away)
	if len(j.Listed) != 1 {
		t.Fatalf("%d listed", len(j.Listed))
	}
	j = judge(testTime.Add(2*time.Minute), j.Ledger, list)
	if len(j.Listed) != 2 || j.Unlisted[first] != 0 {
		t.Fatalf("%d listed", len(j.Listed))
	}
	if len(j.Ledger.tokens) != 1 || j.Ledger.tokenUsed(tok.Nonce) != 2 {
		t.Fatalf("ledger %v", j.Ledger.tokens)
	}
	j = judge(testTime.Add(21*24*time.Hour), j.Ledger, nil)
	if len(j.Ledger.tokens) != 0 {
		t.Error("an expired token is remembered")
	}
}

func TestLedgerHistory(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	c := n.candidates(1, testTime)
	c[0].Record.Descriptor.Life = 1000 * time.Hour
	key := GossipKey(n.id, c[0].Record.ID)
	away := []Candidate{{Record: c[0].Record}}
	var l *Ledger
	at := testTime
	run := func(list []Candidate, epochs int) History {
		t.Helper()
		for range epochs {
			j := Judge(JudgeInput{Chain: n.chain, Ledger: l, ValidAfter: at, Candidates: list})
			l = j.Ledger
			at = at.Add(time.Minute)
		}
		h, _ := l.Relay(key)
		return h
	}
	h := run(c, 11)
	if h.FirstListed != uint32(testTime.Unix()) || h.LastListed != h.FirstListed+600 || h.Listed != 600 || h.Run != 601 || h.State != 1 {
		t.Fatalf("after 11 epochs: %+v", h)
	}
	h = run(away, 5)
	if h.Run != 0 || h.MTBFSum != 601 || h.MTBFCount != 1 || h.State != 0 || h.Listed != 600 || h.WFUUp != 600 || h.WFUKnown != 900 {
		t.Fatalf("after an outage: %+v", h)
	}
	h = run(c, 3)
	if h.Run != 121 || h.Listed != 720 || !l.Admitted(key, false, at) {
		t.Fatalf("after the return: %+v", h)
	}
	ups := 0
	for _, b := range h.Ups {
		for ; b != 0; b &= b - 1 {
			ups++
		}
	}
	if ups < 1 || ups > 2 {
		t.Errorf("%d hours with a start", ups)
	}
	again, err := ParseLedger(l.Append(nil))
	check(t, err)
	if again.Hash() != l.Hash() || sha256.Sum256(l.Append(nil)) != l.Hash() {
		t.Error("the ledger changes when it is stored")
	}
	// A signer that was down credits nobody with the time.
	at = at.Add(10 * time.Hour)
	if h2 := run(c, 1); h2.Listed > h.Listed+120 {
		t.Errorf("%d s of credit for an outage of the signer", h2.Listed-h.Listed)
	}
	at = at.Add(31 * 24 * time.Hour)
	if l.Admitted(key, false, at) {
		t.Error("admission outlives 30 days")
	}
	run(nil, 1)
	at = at.Add(91 * 24 * time.Hour)
	run(nil, 1)
	if _, ok := l.Relay(key); ok {
		t.Error("history outlives 90 days")
	}
}

func TestUptimeDecays(t *testing.T) {
	h := History{WFUUp: 1000, WFUKnown: 2000}
	h.Ups[0] = 0xff
	noon := time.Unix(1_800_014_400, 0).UTC() // 12:00 UTC
	s := step{prev: noon.Add(-time.Minute), now: noon, elapsed: 60}
	s.apply(&h, false, false)
	if h.WFUUp != 950 || h.WFUKnown != 1960 {
		t.Fatalf("%+v", h)
	}
	s = step{prev: noon, now: noon.Add(1000 * time.Hour)}
	s.apply(&h, false, false)
	if h.Ups != [90]byte{} {
		t.Error("old starts stay")
	}
}

func TestEpochLengths(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	lab := newNetwork(t, true, JoinOpen)
	for _, tt := range []struct {
		c    *Chain
		age  time.Duration
		n    int
		want time.Duration
	}{
		{n.chain, 0, 0, time.Minute},
		{n.chain, 48*time.Hour - 1, 19, time.Minute},
		{n.chain, 48 * time.Hour, 19, 5 * time.Minute},
		{n.chain, 0, 20, time.Hour},
		{n.chain, 1000 * time.Hour, 500, time.Hour},
		{lab.chain, 1000 * time.Hour, 500, 10 * time.Second},
	} {
		if got := nextEpochLength(tt.c, testTime.Add(tt.age), tt.n); got != tt.want {
			t.Errorf("%v, %d relays: %v", tt.age, tt.n, got)
		}
	}
	h := &Header{ValidAfter: testTime, NextEpoch: time.Minute}
	for _, tt := range []struct{ now, want time.Duration }{
		{0, time.Minute},
		{59 * time.Second, time.Minute},
		{61 * time.Second, time.Minute},
		{2 * time.Minute, time.Minute},
		{time.Hour + time.Second, time.Hour},
	} {
		if got := NextEpoch(false, h, testTime.Add(tt.now)); got.Sub(testTime) != tt.want {
			t.Errorf("at %v: %v", tt.now, got.Sub(testTime))
		}
	}
	if got := NextEpoch(true, nil, testTime.Add(17*time.Second)); got.Sub(testTime) != 10*time.Second {
		t.Errorf("first epoch %v", got)
	}
	for f := Fresh; f <= Expired; f++ {
		if f.String() == "" {
			t.Error(f)
		}
	}
}

func TestHeaderHoldsTenRounds(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	list := srvsAt(n.chain, testTime.Add(3*time.Hour))
	if len(list) != maxSRVs || list[9].Round != srvRound(true, testTime.Add(3*time.Hour)) || list[0] == list[1] {
		t.Fatalf("%v", list)
	}
	if list := srvsAt(n.chain, testTime); len(list) != 1 {
		t.Fatalf("%d rounds at the founding", len(list))
	}
	if srvRound(false, time.Unix(86399, 0)) != 0 || srvRound(false, time.Unix(86400, 0)) != 1 {
		t.Error("rounds do not begin at midnight")
	}
}

func TestWeightCodes(t *testing.T) {
	for c := byte(1); c <= maxWeightCode; c++ {
		w := Weight(c)
		if w <= Weight(c-1) {
			t.Errorf("W(%d) = %d is not above W(%d)", c, w, c-1)
		}
	}
	if Weight(0) != 0 || Weight(128) != 0 || Weight(equalWeight) != 1<<30 {
		t.Error("ends of the scale")
	}
	if Weight(127) != 1448<<31 {
		t.Errorf("W(127) = %d", Weight(127))
	}
}

func TestLogProofs(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	l := n.log
	for i := range 40 {
		check(t, l.AddHeader([32]byte{byte(i)}))
	}
	for size := uint64(1); size <= l.Size(); size++ {
		root, err := l.Root(size)
		check(t, err)
		leaves := slices.Clone(l.Leaves(0)[:size])
		if merkleRoot(leaves) != root {
			t.Fatalf("root of %d leaves", size)
		}
		for old := uint64(1); old <= size; old++ {
			oldRoot, err := l.Root(old)
			check(t, err)
			p, err := l.Prove(old, size, old-1)
			check(t, err)
			p, err = ParseProof(p.Append(nil))
			check(t, err)
			if p.checkConsistency(old, oldRoot, size, root) != nil || p.checkInclusion(size, root, old-1, l.Leaves(old - 1)[0]) != nil {
				t.Fatalf("proof from %d to %d", old, size)
			}
			bad := oldRoot
			bad[0] ^= 1
			if p.checkConsistency(old, bad, size, root) == nil || p.checkInclusion(size, root, old-1, bad) == nil {
				t.Fatalf("false proof from %d to %d", old, size)
			}
			if size > old && p.checkInclusion(size, root, old, l.Leaves(old - 1)[0]) == nil {
				t.Fatalf("leaf %d at the place of the next", old-1)
			}
		}
	}
	for _, bad := range [][3]uint64{{0, 1, 0}, {2, 1, 0}, {1, 1, 1}, {1, 1000, 0}} {
		if _, err := l.Prove(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("proof %v", bad)
		}
	}
	again, err := LogOf(l.Leaves(0))
	check(t, err)
	a, _ := l.Root(l.Size())
	b, _ := again.Root(again.Size())
	if a != b {
		t.Error("rebuilt log differs")
	}
	if again, err := LogOf(nil); err != nil || again.Size() != 0 {
		t.Error("empty log")
	} else if r, _ := again.Root(0); r != sha256.Sum256(nil) {
		t.Error("root of the empty log")
	}
}
