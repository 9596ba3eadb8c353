package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/directory/sybil"
)

// only demands that all reports are in order but that of one epoch, if any, which
// has a difference with the parts.
func only(t *testing.T, list []*Report, epoch uint64, parts ...string) {
	t.Helper()
	for _, r := range list {
		var texts []string
		for _, d := range r.Differences {
			texts = append(texts, d.String())
		}
		all := strings.Join(texts, "\n")
		if r.Head.Header.Epoch != epoch {
			if !r.OK() {
				t.Errorf("epoch %d: %s %v", r.Head.Header.Epoch, all, r.Unchecked)
			}
			continue
		}
		if len(parts) > 0 && !slices.ContainsFunc(texts, func(s string) bool {
			return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
		}) {
			t.Errorf("epoch %d: no difference has %q:\n%s\n%v", epoch, parts, all, r.Unchecked)
		}
	}
}

func (n *network) publishHonest(count int) {
	n.t.Helper()
	for range count {
		n.publish(epoch{})
	}
}

// TestWalkOfHonestSigners goes back to the first snapshot, over a boundary of two
// rounds of shared random values.
func TestWalkOfHonestSigners(t *testing.T) {
	n := newNetwork(t, 6)
	n.publishHonest(27)
	list, gone := n.walk(n.reader, 100)
	if len(list) != 27 || gone != nil || list[0].Head.Header.LogSize != 1 {
		t.Fatalf("%d reports, %v", len(list), gone)
	}
	only(t, list, 0)
	for _, r := range list {
		if len(r.Faults) != 0 {
			t.Errorf("%v", r.Faults)
		}
	}
	if list, _ = n.walk(n.reader, 3); len(list) != 3 || list[2].Head.Hash() != n.head.Hash() {
		t.Errorf("%d reports", len(list))
	}
}

// TestSignersAgreeOnAnotherSnapshot: two of three signers sign what the votes do
// not give, the network goes on, and the audit names epoch, relay and field.
func TestSignersAgreeOnAnotherSnapshot(t *testing.T) {
	for _, c := range []struct {
		name   string
		newest bool // else another snapshot follows
		edit   func(j *directory.Judgement) (id string)
		parts  []string
	}{
		{"weight of a relay", true, func(j *directory.Judgement) string {
			j.Listed[2].Guard = 80
			return j.Listed[2].Descriptor.ID.String()
		}, []string{"guard weight", "code 80"}},
		{"flag of a relay", true, func(j *directory.Judgement) string {
			j.Listed[1].Flags &^= directory.FlagGuard
			return j.Listed[1].Descriptor.ID.String()
		}, []string{"flags", "Guard"}},
		{"relay unlisted", true, func(j *directory.Judgement) string {
			id := j.Listed[0].Descriptor.ID.String()
			j.Listed = j.Listed[1:]
			return id
		}, []string{"listing: published not listed, computed listed"}},
		{"ledger", false, func(j *directory.Judgement) string {
			parts := j.Ledger.Parts()
			parts.Relays = slices.Clone(parts.Relays)
			parts.Relays[3].Listed += 9999
			at, _ := j.Ledger.At()
			j.Ledger = directory.NewLedger(at, parts)
			return ""
		}, []string{"ledger: age"}},
		{"random value", false, func(j *directory.Judgement) string {
			j.SRVs = slices.Clone(j.SRVs)
			j.SRVs[9].Value = [32]byte{1, 2, 3}
			return ""
		}, []string{"shared random value", "published 010203000000"}},
		{"weight, long ago", false, func(j *directory.Judgement) string {
			j.Listed[2].Inner = 80
			return ""
		}, []string{"entries"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, 6)
			n.publishHonest(3)
			var id string
			bad := n.publish(epoch{edit: func(j *directory.Judgement) { id = c.edit(j) }})
			if !c.newest {
				n.publishHonest(2)
			}
			list, _ := n.walk(n.reader, 100)
			only(t, list, bad.Header.Epoch, append(c.parts, id)...)
		})
	}
}

// TestSignersChooseTheStateOfRandomValues: they sign another state than votes make.
// The snapshot after it follows from that and is in order.
func TestSignersChooseTheStateOfRandomValues(t *testing.T) {
	n := newNetwork(t, 2)
	n.publishHonest(2)
	other := sha256.Sum256([]byte("another state"))
	bad := n.publish(epoch{edit: func(j *directory.Judgement) { j.SRVHash = other }})
	list, _ := n.walk(n.reader, 100)
	only(t, list, bad.Header.Epoch, "state of the shared random values", fmt.Sprintf("published %x", other[:6]))
}

// TestWithheldVotesAreNoProof: what signers do not give is unchecked, not correct.
func TestWithheldVotesAreNoProof(t *testing.T) {
	for _, c := range []struct {
		name string
		drop func(n *network, d gossip.Document) bool
		why  string
	}{
		{"a vote", func(n *network, d gossip.Document) bool { return bytes.Contains(d.Raw[:200], []byte("vote")) }, "vote"},
		{"the ledger", func(n *network, d gossip.Document) bool { return d.Raw[0] == 2 }, "ledger"},
		{"the state of random values", func(n *network, d gossip.Document) bool {
			return d.Raw[0] == 1 && len(d.Raw) < 1400 && d.Hash == sha256.Sum256(d.Raw)
		}, "shared random values"},
		{"a record", func(n *network, d gossip.Document) bool { return d.Hash == n.records[0].Hash }, "record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, 6)
			for range 3 {
				n.publish(epoch{keep: func(docs []gossip.Document) []gossip.Document {
					return slices.DeleteFunc(docs, func(d gossip.Document) bool { return c.drop(n, d) })
				}})
			}
			list, _ := n.walk(n.reader, 1)
			if len(list) != 1 || list[0].OK() || !strings.Contains(strings.Join(list[0].Unchecked, "\n"), c.why) {
				t.Errorf("%+v", list)
			}
		})
	}
}

// liar changes what a source gives.
type liar struct {
	Source
	snapshot func(*directory.Snapshot)
	leaves   func([][32]byte) [][32]byte
	document func(hash [32]byte, raw []byte) []byte
}

func (l liar) Snapshot(ctx context.Context, epoch uint64) (*directory.Snapshot, *directory.View, error) {
	s, v, err := l.Source.Snapshot(ctx, epoch)
	if err == nil && l.snapshot != nil {
		l.snapshot(s)
	}
	return s, v, err
}

func (l liar) Leaves(ctx context.Context, size uint64) ([][32]byte, error) {
	list, err := l.Source.Leaves(ctx, size)
	if err == nil && l.leaves != nil {
		list = l.leaves(slices.Clone(list))
	}
	return list, err
}

func (l liar) Document(ctx context.Context, hash [32]byte) ([]byte, error) {
	raw, err := l.Source.Document(ctx, hash)
	if err == nil && l.document != nil {
		raw = l.document(hash, bytes.Clone(raw))
	}
	return raw, err
}

// TestAnotherLogIsNamed: a header is not where it says, or the log was rewritten.
func TestAnotherLogIsNamed(t *testing.T) {
	n := newNetwork(t, 2)
	n.publishHonest(4)
	list, _ := n.walk(liar{Source: n.reader, leaves: func(list [][32]byte) [][32]byte {
		list[2][0] ^= 1 // the second header
		return list
	}}, 100)
	for i, r := range list {
		if wrong := slices.ContainsFunc(r.Differences, func(d sybil.Difference) bool { return d.Field == "log" }); wrong != (i >= 1) {
			t.Errorf("header %d: %v", i, r.Differences)
		}
	}
}

// TestForgedDocumentsAreNotUsed: a vote or record whose signature does not verify
// makes a snapshot unchecked, not different.
func TestForgedDocumentsAreNotUsed(t *testing.T) {
	n := newNetwork(t, 4)
	n.publishHonest(2)
	vote := n.head.Header.Votes[1]
	list, _ := n.walk(liar{Source: n.reader, document: func(hash [32]byte, raw []byte) []byte {
		if hash == vote {
			raw[len(raw)-1] ^= 1
		}
		return raw
	}}, 1)
	if len(list) != 1 || len(list[0].Differences) != 0 || len(list[0].Unchecked) != 1 || !strings.Contains(list[0].Unchecked[0], "signature") {
		t.Errorf("%+v", list[0])
	}
}

// TestExplainIsVerified names what votes and rules give, and what was published
// instead.
func TestExplainIsVerified(t *testing.T) {
	n := newNetwork(t, 6)
	n.publishHonest(2)
	down := n.records[4]
	n.publish(epoch{vote: func(i int, v *directory.Vote) {
		key := directory.GossipKey(n.chain.ID(), down.ID)
		for k := range v.Relays {
			if v.Relays[k].Key == [8]byte(key[:8]) && i != 2 {
				v.Relays[k].Reached = 0
			}
		}
	}})
	explain := func(text string) (*Explanation, string) {
		t.Helper()
		n.reader.Close() // a link may take two snapshots an epoch
		s, _, err := n.reader.Snapshot(t.Context(), 0)
		check(t, err)
		c, err := Gather(t.Context(), n.reader, n.chain, &s.Head, nil)
		check(t, err)
		found := c.Find(text)
		if len(found) != 1 {
			t.Fatalf("%q finds %d relays", text, len(found))
		}
		e, err := c.Explain(s, found[0].ID)
		check(t, err)
		var b, j bytes.Buffer
		PrintText(&b, e)
		check(t, PrintJSON(&j, e))
		return e, b.String() + j.String()
	}
	e, text := explain("nick4")
	for _, want := range []string{
		"not listed, running: no address was reached: 1 of 3 signers reach it", "signer 2: reached 1 of 1 addresses",
		"verified: 3 signed votes and the ledger", `"listed":false,"verified":true,"votes":3`, `"rule":"running","effect":"not listed"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if e.Listed || e.Relay != down.ID {
		t.Errorf("%+v", e)
	}
	if _, text = explain(n.records[1].ID.String()[:20]); !strings.Contains(text, "listed: 3 of 3 signers reach it") {
		t.Error(text)
	}

	n.publish(epoch{edit: func(j *directory.Judgement) { j.Listed = j.Listed[1:] }})
	s, _, err := n.reader.Snapshot(t.Context(), 0)
	check(t, err)
	c, err := Gather(t.Context(), n.reader, n.chain, &s.Head, nil)
	check(t, err)
	for _, r := range n.records {
		if slices.ContainsFunc(s.Entries, func(e directory.Entry) bool { return e.ID == r.ID }) {
			continue
		}
		e, err := c.Explain(s, r.ID)
		check(t, err)
		var b bytes.Buffer
		PrintText(&b, e)
		if !strings.Contains(b.String(), "NOT WHAT THE VOTES SAY") || strings.Contains(b.String(), "verified") {
			t.Errorf("the censored relay is explained by\n%s", b.String())
		}
	}
	if got := c.Find(""); len(got) != 0 {
		t.Errorf("nothing finds %d relays", len(got))
	}
}

// TestGatherRefuses what cannot be judged again.
func TestGatherRefuses(t *testing.T) {
	n := newNetwork(t, 2)
	n.publishHonest(1)
	h := *n.head
	h.Header.Flags |= directory.HeaderEmergency
	if _, err := Gather(t.Context(), n.reader, n.chain, &h, nil); !errors.Is(err, ErrEmergency) {
		t.Error(err)
	}
	h = *n.head
	h.Header.FileVersion = 2
	if _, err := Gather(t.Context(), n.reader, n.chain, &h, nil); !errors.Is(err, directory.ErrFileBehind) {
		t.Error(err)
	}
	h = *n.head
	h.Header.Votes = [][32]byte{{1}}
	if _, err := Gather(t.Context(), n.reader, n.chain, &h, nil); !errors.Is(err, gossip.ErrNotPublished) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Gather(ctx, n.reader, n.chain, n.head, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestEmergenciesAreNotAudited: they have no votes, and nothing before them is
// looked at, which is said.
func TestEmergenciesAreNotAudited(t *testing.T) {
	n := newNetwork(t, 2)
	n.publishHonest(3)
	list, gone := n.walk(liar{Source: n.reader, snapshot: func(s *directory.Snapshot) {
		s.Header.Flags |= directory.HeaderEmergency
		s.Header.Votes = nil
	}}, 100)
	if len(list) != 1 || list[0].OK() || len(list[0].Differences) != 0 || !errors.Is(gone, ErrEmergency) {
		t.Errorf("%d reports, %v", len(list), gone)
	}
}
