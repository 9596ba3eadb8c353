package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// council is a network of four signers, three of whom make a snapshot.
type council struct {
	t     testing.TB
	chain *Chain
	certs [4][]byte
}

func newCouncil(t testing.TB) *council {
	t.Helper()
	f, roots := founders(4)
	for i, name := range []string{"anna", "ben", "carla", ""} {
		f.Signers[i].Label = name
	}
	raw, id, err := Found(f, roots...)
	check(t, err)
	k := &council{t: t}
	k.chain, err = VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	for i := range k.certs {
		k.certs[i], err = Certificate{
			Online: publicOf(k.online(i)), NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(80 * 24 * time.Hour), Seq: 1,
		}.Sign(id, testKey(fmt.Sprintf("signer %d", i)))
		check(t, err)
	}
	return k
}

func (k *council) online(i int) (key []byte) { return testKey(fmt.Sprintf("council %d", i)) }

func (k *council) log() *Log {
	l, err := NewLog(k.chain)
	check(k.t, err)
	return l
}

// version adds version 2 of the network file to the chain.
func (k *council) version() {
	_, roots := founders(4)
	raw := amend(k.t, k.chain, func(f *NetworkFile) { f.Name = "haven" }, roots...)
	var err error
	k.chain, err = k.chain.Extend([][]byte{raw}, testTime)
	check(k.t, err)
}

// head makes the head of an epoch, which the software tells from others, signs
// it and adds it to the log.
func (k *council) head(l *Log, minutes int, software string, abandoned []*Head, signers ...int) *Head {
	k.t.Helper()
	j := Judgement{Ledger: &Ledger{}, Epoch: time.Minute}
	if software != "" {
		j.Recommended = []string{software}
	}
	for _, a := range abandoned {
		j.Abandoned = append(j.Abandoned, a.Hash())
	}
	slices.SortFunc(j.Abandoned, compareKeys)
	s, err := NewSnapshot(k.chain, l, testTime.Add(time.Duration(minutes)*time.Minute), j)
	check(k.t, err)
	for _, i := range signers {
		check(k.t, s.Sign(k.certs[i], k.online(i)))
	}
	check(k.t, l.AddHeader(s.Hash()))
	return &s.Head
}

func (k *council) vote(i, minutes int, software string) *Vote {
	v := &Vote{
		Signer: publicOf(testKey(fmt.Sprintf("signer %d", i))), Epoch: EpochNumber(false, testTime.Add(time.Duration(minutes)*time.Minute)),
		Recommended: []string{software},
	}
	_, err := v.Sign(k.chain.ID(), k.online(i))
	check(k.t, err)
	return v
}

func labels(e *Evidence) string {
	var list []string
	for _, c := range e.Culprits() {
		list = append(list, c.Label)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestEquivocationIsProven: two snapshots of one epoch, of which ben and carla
// signed both.
func TestEquivocationIsProven(t *testing.T) {
	k := newCouncil(t)
	a := k.head(k.log(), 1, "one", nil, 0, 1, 2)
	b := k.head(k.log(), 1, "two", nil, 1, 2, 3)
	for _, pair := range [][2]*Head{{a, b}, {b, a}} {
		e, err := k.chain.ForkEvidence(pair[0], pair[1])
		check(t, err)
		if labels(e) != "ben carla" || e.Kind() != EvidenceFork || !e.Severe() {
			t.Errorf("blames %q", labels(e))
		}
		if _, ok := e.Relay(); ok {
			t.Error("blames a relay")
		}
		for _, want := range []string{"ben", "carla", "2027-01-15 08:01:00 UTC", "two different snapshots"} {
			if !strings.Contains(e.Text(), want) {
				t.Errorf("text %q lacks %q", e.Text(), want)
			}
		}
		again, err := k.chain.ParseEvidence(e.Raw())
		check(t, err)
		if again.Text() != e.Text() {
			t.Error("parsed differently")
		}
		t.Logf("%d bytes: %s", len(e.Raw()), e.Text())
	}
}

func TestWhatProvesNoEquivocation(t *testing.T) {
	k := newCouncil(t)
	l := k.log()
	a := k.head(l, 1, "one", nil, 0, 1, 2)
	next := k.head(l, 2, "one", nil, 0, 1, 2)
	copied := k.head(k.log(), 1, "one", nil, 1, 2, 3) // the same header, other signatures
	weak := k.head(k.log(), 1, "two", nil, 1, 2)
	for name, other := range map[string]*Head{"the same": a, "the same by others": copied, "the next epoch": next, "two of three signatures": weak} {
		if e, err := k.chain.ForkEvidence(a, other); err == nil {
			t.Errorf("%s: %s", name, e.Text())
		}
	}
	b := k.head(k.log(), 1, "two", nil, 1, 2, 3)
	good, err := k.chain.ForkEvidence(a, b)
	check(t, err)
	parts, _ := splitEvidence(good.Raw()[1:])
	for name, raw := range map[string][]byte{
		"other order":       joinEvidence(EvidenceFork, parts[1], parts[0]),
		"one header":        joinEvidence(EvidenceFork, parts[0]),
		"three":             joinEvidence(EvidenceFork, parts[0], parts[1], nil),
		"as another kind":   joinEvidence(EvidenceRewrite, parts[0], parts[1], nil),
		"as records":        joinEvidence(EvidenceRecords, parts[0], parts[1]),
		"kind 0":            joinEvidence(0, parts...),
		"kind 5":            joinEvidence(5, parts...),
		"nothing":           nil,
		"a length too long": {1, 0xff, 0xff, 0xff, 0xff},
		"trailing":          append(bytes.Clone(good.Raw()), 0),
		"a huge piece":      make([]byte, MaxEvidence+1),
	} {
		if _, err := k.chain.ParseEvidence(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	other := newNetwork(t, false, JoinToken)
	if _, err := other.chain.ParseEvidence(good.Raw()); !errors.Is(err, ErrOtherNetwork) {
		t.Errorf("in another network: %v", err)
	}
}

// TestEvidenceWithOneChangedByteIsRefused: nobody frames a signer.
func TestEvidenceWithOneChangedByteIsRefused(t *testing.T) {
	k := newCouncil(t)
	e, err := k.chain.ForkEvidence(k.head(k.log(), 1, "one", nil, 0, 1, 2), k.head(k.log(), 1, "two", nil, 1, 2, 3))
	check(t, err)
	raw := bytes.Clone(e.Raw())
	for i := 0; i < len(raw); i += 17 {
		raw[i] ^= 1 << (i % 8)
		if _, err := k.chain.ParseEvidence(raw); err == nil {
			t.Fatalf("byte %d changed: accepted", i)
		}
		raw[i] ^= 1 << (i % 8)
	}
}

// TestRewrittenHistoryIsProven: at a place of the log two headers of different
// epochs.
func TestRewrittenHistoryIsProven(t *testing.T) {
	k := newCouncil(t)
	l, fork := k.log(), k.log()
	k.head(l, 1, "", nil, 0, 1, 2)
	k.head(fork, 1, "", nil, 0, 1, 2)
	a := k.head(l, 2, "one", nil, 0, 1, 2)
	b := k.head(fork, 3, "two", nil, 0, 2, 3)
	for _, pair := range [][2]*Head{{a, b}, {b, a}} {
		e, err := k.chain.RewriteEvidence(pair[0], pair[1], nil)
		check(t, err)
		if labels(e) != "anna carla" || !e.Severe() || !strings.Contains(e.Text(), "08:02:00 UTC and of 2027-01-15 08:03:00 UTC") {
			t.Errorf("%q: %s", labels(e), e.Text())
		}
		t.Logf("%d bytes: %s", len(e.Raw()), e.Text())
	}
	// The honest continuation of a, and the one that came before it.
	next := k.head(l, 4, "", nil, 0, 1, 2)
	if e, err := k.chain.RewriteEvidence(a, next, l); err == nil {
		t.Errorf("an honest header: %s", e.Text())
	}
	// A header of one epoch is the matter of the other kind.
	same := k.head(k.log(), 1, "three", nil, 0, 1, 2)
	first := k.head(k.log(), 1, "four", nil, 0, 1, 2)
	if _, err := k.chain.RewriteEvidence(same, first, nil); !errors.Is(err, ErrBadEvidence) {
		t.Error(err)
	}
}

// TestAbandonedHeaderIsNoEvidence: a header that lacked signatures, was given up
// for another and completed later, must blame nobody.
func TestAbandonedHeaderIsNoEvidence(t *testing.T) {
	k := newCouncil(t)
	a := k.head(k.log(), 1, "one", nil, 0, 1, 2)
	b := k.head(k.log(), 6, "two", []*Head{a}, 0, 1, 2)
	c := k.head(k.log(), 11, "three", []*Head{a, b}, 0, 1, 2)
	for _, pair := range [][2]*Head{{a, b}, {b, c}, {a, c}} {
		if e, err := k.chain.RewriteEvidence(pair[0], pair[1], nil); err == nil {
			t.Errorf("blames %s", e.Text())
		}
	}
	// Without the mention it is evidence.
	d := k.head(k.log(), 11, "four", []*Head{a}, 0, 1, 2)
	if _, err := k.chain.RewriteEvidence(b, d, nil); err != nil {
		t.Error(err)
	}
}

// TestRewrittenHistoryBehindANetworkFile: the other header stands behind a
// version of the network file that took the place.
func TestRewrittenHistoryBehindANetworkFile(t *testing.T) {
	k := newCouncil(t)
	l, honest := k.log(), k.log()
	a := k.head(honest, 1, "one", nil, 0, 1, 2)
	k.version()
	h, _ := k.chain.Hash(2)
	check(t, l.AddFile(h))
	b := k.head(l, 60, "two", nil, 1, 2, 3)
	if a.Header.LogSize+1 != b.Header.LogSize {
		t.Fatalf("places %d and %d", a.Header.LogSize, b.Header.LogSize)
	}
	e, err := k.chain.RewriteEvidence(a, b, l)
	check(t, err)
	if labels(e) != "ben carla" {
		t.Errorf("blames %q", labels(e))
	}
	if _, err := k.chain.RewriteEvidence(a, b, nil); !errors.Is(err, ErrBadEvidence) {
		t.Errorf("without proof: %v", err)
	}
	parts, _ := splitEvidence(e.Raw()[1:])
	for name, proof := range map[string][]byte{
		"none":            nil,
		"another version": binary.BigEndian.AppendUint16(nil, 1),
		"version 9":       binary.BigEndian.AppendUint16(nil, 9),
	} {
		if name != "none" {
			proof = append(proof, parts[2][2:]...)
		}
		if _, err := k.chain.ParseEvidence(joinEvidence(EvidenceRewrite, parts[0], parts[1], proof)); err == nil {
			t.Errorf("proof of %s: accepted", name)
		}
	}
	// A header between the places: both may be true.
	check(t, honest.AddFile(h))
	c := k.head(honest, 60, "three", nil, 0, 1, 2)
	if e, err := k.chain.RewriteEvidence(a, c, honest); err == nil {
		t.Errorf("an honest header: %s", e.Text())
	}
}

func TestTwoVotesAreProven(t *testing.T) {
	k := newCouncil(t)
	a, b := k.vote(1, 1, "one"), k.vote(1, 1, "two")
	for _, pair := range [][2]*Vote{{a, b}, {b, a}} {
		e, err := k.chain.VoteEvidence(pair[0], k.certs[1], pair[1], k.certs[1])
		check(t, err)
		if labels(e) != "ben" || e.Severe() || !strings.Contains(e.Text(), "two different votes") {
			t.Errorf("%q: %s", labels(e), e.Text())
		}
	}
	for name, other := range map[string]struct {
		v *Vote
		i int
	}{"the same": {a, 1}, "another epoch": {k.vote(1, 2, "two"), 1}, "another signer": {k.vote(2, 1, "two"), 2}, "another's certificate": {b, 2}} {
		if _, err := k.chain.VoteEvidence(a, k.certs[1], other.v, k.certs[other.i]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	late := 100 * 24 * 60
	if _, err := k.chain.VoteEvidence(k.vote(1, late, "one"), k.certs[1], k.vote(1, late, "two"), k.certs[1]); !errors.Is(err, ErrBadEvidence) {
		t.Errorf("after the certificate: %v", err)
	}
	stranger := testKey("stranger")
	cert, err := Certificate{Online: publicOf(k.online(1)), NotBefore: testTime, NotAfter: testTime.Add(time.Hour), Seq: 1}.Sign(k.chain.ID(), stranger)
	check(t, err)
	var votes [2]*Vote
	for i := range votes {
		votes[i] = &Vote{Signer: publicOf(stranger), Epoch: a.Epoch, Recommended: []string{fmt.Sprint(i)}}
		_, err := votes[i].Sign(k.chain.ID(), k.online(1))
		check(t, err)
	}
	if _, err := k.chain.VoteEvidence(votes[0], cert, votes[1], cert); !errors.Is(err, ErrBadEvidence) {
		t.Errorf("by a stranger: %v", err)
	}
}

func TestConflictingRecordsAreProven(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	key := testKey(nameOf(3))
	d := n.descriptor(3, testTime)
	one, err := d.Sign(n.id, key)
	check(t, err)
	d.Nick = "other"
	two, err := d.Sign(n.id, key)
	check(t, err)
	leave, err := SignLeave(n.id, key, d.Seq)
	check(t, err)
	parse := func(raw []byte) *Record {
		r, err := ParseRecord(n.chain.Rules(), raw, testTime)
		check(t, err)
		return r
	}
	for _, pair := range [][2][]byte{{one, two}, {two, one}, {one, leave}} {
		e, err := n.chain.RecordEvidence(parse(pair[0]), parse(pair[1]))
		check(t, err)
		if id, ok := e.Relay(); !ok || id != d.ID || len(e.Culprits()) != 0 || e.Severe() || !strings.Contains(e.Text(), d.ID.String()) {
			t.Errorf("%v: %s", id, e.Text())
		}
	}
	d.Seq++
	later, err := d.Sign(n.id, key)
	check(t, err)
	d = n.descriptor(4, testTime)
	foreign, err := d.Sign(n.id, testKey(nameOf(4)))
	check(t, err)
	for name, raw := range map[string][]byte{"the same": one, "a later one": later, "another relay's": foreign} {
		if _, err := n.chain.RecordEvidence(parse(one), parse(raw)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRepeatedContradictionsAreNoNews: thousands of contradictions of one signer
// fill no store.
func TestRepeatedContradictionsAreNoNews(t *testing.T) {
	k := newCouncil(t)
	var held []*Evidence
	for i := range 20 {
		minute := 1 + i/4
		e, err := k.chain.VoteEvidence(k.vote(i%4, minute, "one"), k.certs[i%4], k.vote(i%4, minute, "two"), k.certs[i%4])
		check(t, err)
		if e.News(held) != (i < 4) {
			t.Errorf("piece %d: %t", i, e.News(held))
		}
		if e.News(held) {
			held = append(held, e)
		}
	}
	fork := func(minute int, a, b []int) *Evidence {
		e, err := k.chain.ForkEvidence(k.head(k.log(), minute, "one", nil, a...), k.head(k.log(), minute, "two", nil, b...))
		check(t, err)
		return e
	}
	first := fork(1, []int{0, 1, 2}, []int{1, 2, 3})
	if !first.News(held) {
		t.Error("votes hide a fork")
	}
	held = append(held, first)
	if fork(2, []int{0, 1, 2}, []int{1, 2, 3}).News(held) {
		t.Error("the same two again")
	}
	if !fork(3, []int{0, 1, 2}, []int{0, 2, 3}).News(held) {
		t.Error("anna is news")
	}
}

// makeEvidenceVectors builds one piece of each kind from fixed keys and times.
func makeEvidenceVectors(t testing.TB) (*council, []vector) {
	k := newCouncil(t)
	fork, err := k.chain.ForkEvidence(k.head(k.log(), 1, "one", nil, 0, 1, 2), k.head(k.log(), 1, "two", nil, 1, 2, 3))
	check(t, err)
	rewrite, err := k.chain.RewriteEvidence(k.head(k.log(), 1, "one", nil, 0, 1, 2), k.head(k.log(), 2, "two", nil, 1, 2, 3), nil)
	check(t, err)
	votes, err := k.chain.VoteEvidence(k.vote(0, 1, "one"), k.certs[0], k.vote(0, 1, "two"), k.certs[0])
	check(t, err)
	var leave [2][]byte
	for i := range leave {
		key := testKey(nameOf(1))
		leave[i], err = SignLeave(k.chain.ID(), key, 7)
		check(t, err)
		if i == 1 {
			d := Descriptor{
				ID: RelayID(publicOf(key)), Seq: 7, Life: time.Hour, Addrs: testFile(false, JoinToken).bootstrapAddrs(),
				OnionKeys: []OnionKey{{Key: [32]byte{1}}}, LinkKey: publicOf(testKey("link")), Protocols: []uint16{1},
			}
			leave[i], err = d.Sign(k.chain.ID(), key)
			check(t, err)
		}
	}
	slices.SortFunc(leave[:], func(a, b []byte) int {
		x, y := recordHash(a), recordHash(b)
		return bytes.Compare(x[:], y[:])
	})
	records := joinEvidence(EvidenceRecords, leave[0], leave[1])
	abandoned := k.head(k.log(), 1, "one", nil, 0, 1, 2)
	after := k.head(k.log(), 2, "two", []*Head{abandoned}, 0, 1, 2)
	x, y, err := evidenceHeads(abandoned, after, rewriteOrder)
	check(t, err)
	flip := bytes.Clone(fork.Raw())
	flip[len(flip)-40] ^= 1
	return k, []vector{
		{"evidence", "fork", "ok", fork.Raw()},
		{"evidence", "rewrite", "ok", rewrite.Raw()},
		{"evidence", "votes", "ok", votes.Raw()},
		{"evidence", "records", "ok", records},
		{"evidence", "abandoned", "proves-nothing", joinEvidence(EvidenceRewrite, x, y, nil)},
		{"evidence", "changed", "signature", flip},
		{"evidence", "unknown-kind", "proves-nothing", joinEvidence(9, leave[0], leave[1])},
	}
}

func TestEvidenceVectors(t *testing.T) {
	const file = "testdata/evidence.txt"
	k, made := makeEvidenceVectors(t)
	testVectorFile(t, file, made, func(v vector) ([]byte, string) {
		e, err := k.chain.ParseEvidence(v.data)
		switch {
		case errors.Is(err, ErrBadEvidence):
			return nil, "proves-nothing"
		case err != nil:
			return nil, classOf(err)
		}
		return e.Raw(), "ok"
	})
}

func FuzzParseEvidence(f *testing.F) {
	k, made := makeEvidenceVectors(f)
	known := map[string]bool{}
	for _, v := range made {
		f.Add(v.data)
		known[string(v.data)] = v.expect == "ok"
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := k.chain.ParseEvidence(b)
		if err != nil {
			return
		}
		same(t, b, e.Raw(), nil)
		if !known[string(b)] || e.Text() == "" {
			t.Fatal("accepted what nobody signed")
		}
	})
}
