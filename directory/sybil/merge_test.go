package sybil

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

func TestMergeOfReachability(t *testing.T) {
	c := open
	c.signers = 4
	w := newWorld(t, c)
	a := w.add("a", "9.9.1.1")
	second := netip.MustParseAddrPort("[2a00:1:1:1::1]:5")
	a.d.Addrs = []netip.AddrPort{second, a.d.Addrs[0]}
	for name, tt := range map[string]struct {
		reached, tried [4]byte
		addrs          int
	}{
		"all":                {[4]byte{3, 3, 3, 3}, [4]byte{3, 3, 3, 3}, 2},
		"half":               {[4]byte{3, 3, 0, 0}, [4]byte{3, 3, 3, 3}, 0},
		"more than half":     {[4]byte{3, 3, 3, 0}, [4]byte{3, 3, 3, 3}, 2},
		"one has no IPv6":    {[4]byte{3, 3, 2, 2}, [4]byte{3, 3, 2, 2}, 2},
		"IPv6 fails for two": {[4]byte{3, 3, 2, 2}, [4]byte{3, 3, 3, 3}, 1},
		"each another":       {[4]byte{1, 2, 1, 2}, [4]byte{3, 3, 3, 3}, 0},
	} {
		a.vote = func(i int, v *directory.RelayVote) { v.Reached, v.Tried = tt.reached[i], tt.tried[i] }
		w.out = Judge(w.input())
		got := 0
		if l := w.listing(a); l != nil {
			got = len(l.Addrs)
			if l.Addrs[0] == second {
				t.Errorf("%s: IPv6 comes first", name)
			}
		}
		if got != tt.addrs {
			t.Errorf("%s: %d addresses", name, got)
		}
	}
}

func TestMergeOfDescriptors(t *testing.T) {
	c := open
	c.signers = 3
	w := newWorld(t, c)
	a := w.add("a", "9.9.1.1")
	newer := *a.d
	newer.Seq++
	newer.Addrs = []netip.AddrPort{addr4(9, 9, 2, 1), a.d.Addrs[0]}
	rec := &directory.Record{ID: newer.ID, Seq: newer.Seq, Hash: sha256.Sum256([]byte("newer")), Descriptor: &newer}
	for votes, want := range map[int]*directory.Descriptor{0: a.d, 1: a.d, 2: &newer, 3: &newer} {
		a.vote = func(i int, v *directory.RelayVote) {
			if i < votes {
				v.Descriptor = [16]byte(rec.Hash[:16])
				v.Reached, v.Tried = 2, 2 // the common address, which has another number here
			}
		}
		in := w.input()
		in.Records = append(in.Records, rec)
		out := Judge(in)
		if len(out.Listed) != 1 || out.Listed[0].Descriptor != want || out.Listed[0].Addrs[0] != a.d.Addrs[0] || len(out.Listed[0].Addrs) != 1 {
			t.Errorf("%d votes for the newer one: %+v", votes, out.Listed)
		}
	}
	// Of two with as many votes the newer one counts.
	w.votes = 2
	a.vote = func(i int, v *directory.RelayVote) {
		if i == 0 {
			v.Descriptor = [16]byte(rec.Hash[:16])
		}
		v.Reached, v.Tried = 1, 1
	}
	in := w.input()
	in.Records = append(in.Records, rec)
	if out := Judge(in); len(out.Unlisted)+len(out.Listed) != 1 || len(out.Listed) == 1 && out.Listed[0].Descriptor != &newer {
		t.Error("the older one of two counts")
	}
	// A vote for an unknown descriptor alone tells nothing.
	if out := Judge(Input{Chain: w.chain, ValidAfter: w.at, Votes: in.Votes}); len(out.Listed)+len(out.Unlisted) != 0 {
		t.Error("a relay without descriptor")
	}
}

func TestMergeOfBandwidth(t *testing.T) {
	c := open
	c.signers = 5
	w := newWorld(t, c)
	a := w.add("a", "9.9.1.1")
	for _, tt := range []struct {
		votes int
		said  []byte
		want  byte
	}{
		{5, []byte{10, 0, 0, 0, 0}, 0},
		{5, []byte{10, 20, 0, 0, 0}, 0},
		{5, []byte{10, 30, 20, 0, 0}, 20},
		{5, []byte{10, 30, 20, 40, 0}, 20},
		{5, []byte{90, 30, 20, 40, 10}, 30},
		{2, []byte{10, 30}, 10},
		{2, []byte{10, 0}, 0},
		{1, []byte{10}, 10},
	} {
		w.votes = tt.votes
		a.vote = func(i int, v *directory.RelayVote) { v.Bandwidth, v.Failures = tt.said[i], tt.said[i] }
		w.out = Judge(w.input())
		if r := w.relay(a); r.measured != directory.Weight(tt.want) {
			t.Errorf("%v: %d", tt.said, r.measured)
		}
	}
}

func TestMergeOfMarks(t *testing.T) {
	c := open
	c.signers = 4
	w := newWorld(t, c)
	w.spread("s", 5)
	a := w.add("a", "9.9.1.1")
	today := uint16(w.at.Unix() / daySeconds)
	for _, tt := range []struct {
		n     int
		mark  directory.VoteFlags
		until uint16
		want  directory.VoteFlags
	}{
		{2, directory.VoteWatch, today + 5, 0},
		{3, directory.VoteWatch, today + 5, directory.VoteWatch},
		{4, directory.VoteMiddleOnly, today + 90, directory.VoteMiddleOnly},
		{4, directory.VoteMiddleOnly, today + 92, 0},
		{4, directory.VoteExclude, today, 0},
		{3, directory.VoteExclude, today + 1, directory.VoteExclude},
	} {
		a.reason = "because"
		a.vote = func(i int, v *directory.RelayVote) {
			v.Reason = 0
			if i < tt.n {
				v.Flags, v.Reason, v.Until = tt.mark, 1, tt.until
			}
		}
		w.in = w.input()
		w.out = Judge(w.in)
		if r := w.relay(a); r.mark != tt.want || tt.want != 0 && r.markText != "because" {
			t.Errorf("%d votes for %d until %d: %d", tt.n, tt.mark, tt.until, r.mark)
		}
	}
	w.rule(a, directory.RuleExcluded, "mark: most signers exclude it until", "because; speak to the signers")
	r := Explain(w.in, w.out, a.d.ID)[0]
	if len(r.Signers) != 4 || r.Signers[0].Signer == "" || !slices.ContainsFunc(r.Signers, func(s SignerVote) bool { return slices.Equal(s.Marks, []string{"exclude"}) && s.Reason == "because" }) {
		t.Errorf("%+v", r.Signers)
	}
	if r.Next != w.at.Add(time.Minute).Unix() {
		t.Errorf("next evaluation %d", r.Next)
	}
}

func TestRecommendedSoftware(t *testing.T) {
	c := open
	c.signers = 3
	w := newWorld(t, c)
	in := w.input()
	in.Votes[0].Recommended = []string{"a 1", "b 1"}
	in.Votes[1].Recommended = []string{"b 1", "c 1"}
	if got := Judge(in).Recommended; !slices.Equal(got, []string{"b 1"}) {
		t.Error(got)
	}
}

// TestAttackASignerVotesTwice gives one signer two votes.
func TestAttackASignerVotesTwice(t *testing.T) {
	c := open
	c.signers = 3
	w := newWorld(t, c)
	a := w.add("a", "9.9.1.1")
	a.vote = func(i int, v *directory.RelayVote) {
		if i > 0 {
			v.Reached = 0
		}
	}
	in := w.input()
	in.Votes = append(in.Votes, in.Votes[0], in.Votes[0])
	if out := Judge(in); len(out.Listed) != 0 || len(out.Votes) != 3 {
		t.Errorf("one signer lists a relay by three votes")
	}
}

func TestASTable(t *testing.T) {
	table, err := ParseASTable([]byte("# routes\n10.0.0.0/8 1\n\n10.1.0.0/16 2\r\n2a00::/16 4294967295\n"))
	check(t, err)
	for addr, want := range map[string]uint32{"10.2.0.1": 1, "10.1.0.1": 2, "11.0.0.1": 0, "2a00::1": 1<<32 - 1, "::ffff:10.1.1.1": 2} {
		if got := table.Lookup(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: AS %d", addr, got)
		}
	}
	for _, bad := range []string{"10.0.0.0/8", "10.0.0.0/33 1", "10.0.0.0/8 0", "10.0.0.0/8 AS1", "10.0.0.0/8 1 2", "::ffff:1.2.3.4/100 1", "10.0.0.0/8 4294967296"} {
		if _, err := ParseASTable([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	// A table that the network file does not name tells nothing.
	w, list := grown(t, open, 25)
	w.as, _ = ParseASTable([]byte("0.0.0.0/0 7\n"))
	w.judge()
	if l := w.listing(list[0]); l.AS != 0 {
		t.Errorf("AS %d", l.AS)
	}
}
