package directory

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// surveyed makes a snapshot of entries that a test describes.
func surveyed(entries []Entry, tables Tables) *Snapshot {
	s := &Snapshot{Entries: entries, Tables: tables}
	_, s.Header.Totals = entriesRoot(entries)
	return s
}

func surveyEntry(name, addr string, family, as uint16, guard, mailbox byte) Entry {
	e := Entry{
		ID: sha256.Sum256([]byte(name)), Family: family, AS: as, Guard: guard, Inner: 40, Mailbox: mailbox,
		Addrs: []netip.AddrPort{netip.MustParseAddrPort(addr)},
	}
	if guard > 0 {
		e.Flags |= FlagGuard
	}
	if mailbox > 0 {
		e.Flags |= FlagMailbox
	}
	return e
}

// TestSurveyNamesTheLargest: by the wheel on which a group has most.
func TestSurveyNamesTheLargest(t *testing.T) {
	// W(40) = 1722 << 9, W(44) is twice as much.
	two := surveyEntry("d", "9.9.0.4:1", 1, 2, 40, 44)
	two.Addrs = append(two.Addrs, netip.MustParseAddrPort("9.9.0.5:1"), netip.MustParseAddrPort("[2001:db9:1::1]:1"))
	s := surveyed([]Entry{
		surveyEntry("a", "8.8.0.1:1", 0, 1, 40, 0),
		surveyEntry("b", "8.8.0.2:1", 0, 1, 40, 0),
		surveyEntry("c", "9.9.0.3:1", 1, 2, 40, 40),
		two,
		surveyEntry("e", "7.7.0.6:1", 0, 0, 40, 44),
	}, Tables{Families: [][32]byte{{0xab}}, ASes: []uint32{64500, 64501}})
	v := s.Survey()
	if g := v.Operators[0]; g.Name != "family ab000000" || g.Relays != 2 || g.Guard != 400 || g.Inner != 400 || g.Mailbox != 600 {
		t.Errorf("operator %+v", g)
	}
	if len(v.Operators) != 4 || !strings.HasPrefix(v.Operators[1].Name, "relay ") || v.Operators[1].Mailbox != 400 {
		t.Errorf("operators %+v", v.Operators)
	}
	if g := v.Prefixes[0]; g.Name != "9.9.0.0/16" || g.Relays != 2 || g.Mailbox != 600 {
		t.Errorf("prefix %+v: it counts a relay once, whatever addresses it has there", g)
	}
	if !slices.ContainsFunc(v.Prefixes, func(g Group) bool { return g.Name == "2001:db9::/32" && g.Mailbox == 400 }) {
		t.Errorf("prefixes %+v", v.Prefixes)
	}
	if len(v.ASes) != 2 || v.ASes[0].Name != "AS64501" {
		t.Errorf("ASes %+v", v.ASes)
	}
	if len(v.Missing) != 0 {
		t.Errorf("missing %q", v.Missing)
	}
}

// TestSurveyNamesWhatIsMissing in networks that are small or one-sided.
func TestSurveyNamesWhatIsMissing(t *testing.T) {
	entries := func(n int, as bool) (list []Entry) {
		for i := range n {
			e := surveyEntry(fmt.Sprint(i), fmt.Sprintf("8.%d.0.1:1", i+1), 0, 0, 40, 40)
			if as {
				e.AS = 1
			}
			list = append(list, e)
		}
		return list
	}
	for _, c := range []struct {
		name    string
		entries []Entry
		wants   []string
	}{
		{"nobody", nil, []string{"0 relays are listed", "flag Guard", "flag Mailbox"}},
		{"three", entries(3, false), []string{"a circuit and its mailbox relay take 4"}},
		{"four", entries(4, false), []string{"it takes 5"}},
		{"five", entries(5, false), nil},
		{"five in one AS", entries(5, true), []string{"all relays are in one AS"}},
	} {
		got := surveyed(c.entries, Tables{ASes: []uint32{64500}}).Survey().Missing
		if len(got) != len(c.wants) {
			t.Errorf("%s: %q", c.name, got)
			continue
		}
		for i, want := range c.wants {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q, want %q", c.name, got[i], want)
			}
		}
	}
}

// TestSignersOfAHead tells who signed and who did not.
func TestSignersOfAHead(t *testing.T) {
	f := testFile(true, JoinOpen)
	f.Signers = append(f.Signers, FounderKey{Public: publicOf(testKey("second")), Label: "second"}, FounderKey{Public: publicOf(testKey("third")), Label: "third"})
	n := foundNetwork(t, f)
	s, err := NewSnapshot(n.chain, n.log, testTime, Judgement{Ledger: &Ledger{}, Epoch: labEpoch})
	check(t, err)
	check(t, s.Sign(n.cert, n.online))
	online := testKey("third online")
	cert, err := Certificate{Online: publicOf(online), NotBefore: testTime.Add(-labEpoch), NotAfter: testTime.Add(startPhase), Seq: 1}.Sign(n.id, testKey("third"))
	check(t, err)
	check(t, s.Sign(cert, online))
	signed, not := s.Signers(n.chain)
	if len(signed) != 2 || len(not) != 1 || not[0].Label != "second" {
		t.Errorf("signed by %v, not by %v", signed, not)
	}
}

func TestFlagNames(t *testing.T) {
	if got := (FlagGuard | FlagMailbox | FlagWatched).String(); got != "Guard Mailbox Watched" {
		t.Error(got)
	}
	if got := Flags(0).String(); got != "none" || Flags(allFlags).Names() == nil || len(Flags(allFlags).Names()) != 10 {
		t.Error(got)
	}
	if got := (HeaderLab | HeaderEmergency).Names(); !slices.Equal(got, []string{"lab", "emergency"}) {
		t.Error(got)
	}
}

// TestNamedBy tries all that is named by hashes, and near misses.
func TestNamedBy(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	r := n.record(1, testTime)
	vote := &Vote{Signer: publicOf(n.signer), Epoch: 7}
	raw, err := vote.Sign(n.id, n.online)
	check(t, err)
	s, err := ParseSnapshot(n.publish(testTime, nil))
	check(t, err)
	head, err := s.Head.Encode()
	check(t, err)
	ledger := n.ledger.Append(nil)
	half := func(h [32]byte) [32]byte {
		clear(h[16:])
		return h
	}
	for i, c := range []struct {
		hash [32]byte
		raw  []byte
		want bool
	}{
		{r.Hash, r.Raw, true},
		{half(r.Hash), r.Raw, true},
		{vote.Hash(), raw, true},
		{vote.Hash(), SealSignerMessage(n.cert, raw), true},
		{half(vote.Hash()), SealSignerMessage(n.cert, raw), true},
		{s.Hash(), head, true},
		{n.ledger.Hash(), ledger, true},
		{sha256.Sum256(nil), nil, true},
		{r.Hash, raw, false},
		{vote.Hash(), raw[:len(raw)-1], false},
		{s.Hash(), head[1:], false},
		{n.ledger.Hash(), ledger[1:], false},
		{[32]byte{}, r.Raw, false},
	} {
		if got := NamedBy(c.hash, c.raw); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func FuzzNamedBy(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte{0, 1, 0x83, 0x61, 'a', 0x40, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		if !NamedBy(sha256.Sum256(b), b) {
			t.Error("its own hash does not name it")
		}
		NamedBy([32]byte{1}, b)
	})
}
