package sybil

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// published is a snapshot of the world as its signers make it, or as they agree
// to make it: edit changes what they sign.
func (w *world) published(edit func(j *directory.Judgement)) AuditInput {
	w.t.Helper()
	in := w.input()
	for i, v := range in.Votes {
		_, err := v.Sign(w.id, testKey(fmt.Sprint("online ", i)))
		check(w.t, err)
	}
	out := Judge(in)
	j := out.Judgement
	j.Listed = slices.Clone(j.Listed)
	if edit != nil {
		edit(&j)
	}
	log, err := directory.NewLog(w.chain)
	check(w.t, err)
	s, err := directory.NewSnapshot(w.chain, log, w.at, j)
	check(w.t, err)
	return AuditInput{Input: in, Snapshot: s, After: j.Ledger}
}

func audit(t *testing.T, in AuditInput) Audited {
	t.Helper()
	a, err := Audit(in)
	check(t, err)
	return a
}

// demands that there is one difference, of the relay and field.
func demand(t *testing.T, a Audited, relay, field, published, computed string) {
	t.Helper()
	var texts []string
	for _, d := range a.Differences {
		texts = append(texts, d.String())
		if d.Relay == relay && d.Field == field && strings.Contains(d.Published, published) && strings.Contains(d.Computed, computed) {
			return
		}
	}
	t.Errorf("no difference of %q in %q: published %q, computed %q:\n%s", relay, field, published, computed, strings.Join(texts, "\n"))
}

func auditWorld(t *testing.T) *world {
	w := crowd(t, 60)
	w.votes = len(w.signer)
	return w
}

// TestAuditOfHonestSigners finds nothing, over several epochs, and with the
// ledger and the header alone.
func TestAuditOfHonestSigners(t *testing.T) {
	w := auditWorld(t)
	var previous *directory.Header
	var state *directory.SRVState
	for i := range 3 {
		in := w.published(nil)
		in.Previous, in.SRV = previous, state
		a := audit(t, in)
		if len(a.Differences) != 0 || len(a.Faults) != 0 || len(a.Unchecked) != 0 || a.SRV == nil {
			t.Fatalf("snapshot %d: %v %v %v", i, a.Differences, a.Faults, a.Unchecked)
		}
		head := in
		head.Snapshot = &directory.Snapshot{Head: in.Snapshot.Head}
		if b := audit(t, head); len(b.Differences) != 0 {
			t.Fatalf("head of snapshot %d: %v", i, b.Differences)
		}
		previous, state, w.ledger = &in.Snapshot.Header, a.SRV, in.After
		w.at = w.at.Add(in.Snapshot.Header.NextEpoch)
	}
}

// TestSignersTogetherChangeARelay: all signers sign what no rule gives, and the
// audit names relay and field.
func TestSignersTogetherChangeARelay(t *testing.T) {
	for _, c := range []struct {
		name                       string
		edit                       func(l *directory.Listing)
		field, published, computed string
	}{
		{"flag", func(l *directory.Listing) { l.Flags ^= directory.FlagWatched }, "flags", "Watched", "Stable"},
		{"guard weight", func(l *directory.Listing) { l.Guard = 60 }, "guard weight", "code 60", "code"},
		{"inner weight", func(l *directory.Listing) { l.Inner++ }, "inner weight", "code", "code"},
		{"mailbox weight", func(l *directory.Listing) { l.Mailbox = 59 }, "mailbox weight", "code 59", "code"},
		{"onion key", func(l *directory.Listing) { l.Onion.Key[0] ^= 1 }, "onion key", "…", "…"},
		{"address", func(l *directory.Listing) { l.Addrs = []netip.AddrPort{addr4(9, 9, 9, 9)} }, "addresses", "9.9.9.9", "4443"},
		{"family", func(l *directory.Listing) { l.Kin = [32]byte{7} }, "family", "0700", ""},
		{"AS", func(l *directory.Listing) { l.AS = 64999 }, "AS", "64999", ""},
		{"link key", func(l *directory.Listing) {
			d := *l.Descriptor
			d.LinkKey[0] ^= 1
			l.Descriptor = &d
		}, "link key", "…", "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := auditWorld(t)
			var id directory.RelayID
			in := w.published(func(j *directory.Judgement) {
				c.edit(&j.Listed[17])
				id = j.Listed[17].Descriptor.ID
			})
			a := audit(t, in)
			demand(t, a, id.String(), c.field, c.published, c.computed)
			for _, d := range a.Differences {
				if d.Relay != "" && d.Relay != id.String() {
					t.Errorf("it blames %v", d)
				}
			}
			// Of an older snapshot only the header is left, and tells at least that.
			in.Snapshot = &directory.Snapshot{Head: in.Snapshot.Head}
			demand(t, audit(t, in), "", "entries", "…", "…")
		})
	}
}

// TestSignersTogetherCensorARelay and list a stranger that they never voted on.
func TestSignersTogetherCensorARelay(t *testing.T) {
	w := auditWorld(t)
	var gone directory.RelayID
	a := audit(t, w.published(func(j *directory.Judgement) {
		gone = j.Listed[5].Descriptor.ID
		j.Listed = slices.Delete(j.Listed, 5, 6)
	}))
	demand(t, a, gone.String(), "listing", "not listed", "listed")
	demand(t, a, "", "number of relays", "59", "60")
}

func TestSignersTogetherListAStranger(t *testing.T) {
	w := auditWorld(t)
	stranger := directory.RelayID(sha256.Sum256([]byte("stranger")))
	a := audit(t, w.published(func(j *directory.Judgement) {
		l := j.Listed[0]
		d := *l.Descriptor
		d.ID, d.LinkKey = stranger, [32]byte{3}
		l.Descriptor, l.Addrs = &d, []netip.AddrPort{addr4(9, 9, 9, 9)}
		j.Listed = append(j.Listed, l)
		slices.SortFunc(j.Listed, func(a, b directory.Listing) int { return slices.Compare(a.Descriptor.ID[:], b.Descriptor.ID[:]) })
	}))
	demand(t, a, stranger.String(), "listing", "listed", "no counted vote names it")
	if slices.ContainsFunc(a.Differences, func(d Difference) bool { return d.Relay != "" && d.Relay != stranger.String() }) {
		t.Errorf("%v", a.Differences)
	}
}

// TestSignersTogetherListWhatARuleKeepsOut: the rule is named.
func TestSignersTogetherListWhatARuleKeepsOut(t *testing.T) {
	w := auditWorld(t)
	a := w.relays[3]
	a.vote = func(_ int, v *directory.RelayVote) { v.Reached = 0 }
	in := w.published(nil)
	if got := audit(t, in); len(got.Differences) != 0 {
		t.Fatal(got.Differences)
	}
	in = w.published(func(j *directory.Judgement) {
		l := j.Listed[0]
		l.Descriptor, l.Addrs = a.d, a.d.Addrs
		j.Listed = append(j.Listed, l)
		delete(j.Unlisted, a.d.ID)
		slices.SortFunc(j.Listed, func(a, b directory.Listing) int { return slices.Compare(a.Descriptor.ID[:], b.Descriptor.ID[:]) })
	})
	got := audit(t, in)
	demand(t, got, a.d.ID.String(), "listing", "listed", "no address was reached")
	demand(t, got, "", "relays kept out by rule 1 (no address was reached)", "0", "1")
}

// TestSignersTogetherForgeTheLedger makes a relay older than it is.
func TestSignersTogetherForgeTheLedger(t *testing.T) {
	w := auditWorld(t)
	var id directory.RelayID
	edit := func(j *directory.Judgement) {
		parts := j.Ledger.Parts()
		parts.Relays = slices.Clone(parts.Relays)
		parts.Relays[9].Listed += 86400
		for _, a := range w.relays {
			if directory.GossipKey(w.id, a.d.ID) == parts.Relays[9].Key {
				id = a.d.ID
			}
		}
		j.Ledger = directory.NewLedger(w.at, parts)
	}
	in := w.published(edit)
	a := audit(t, in)
	demand(t, a, id.String(), "ledger: age", "", "")
	if len(a.Differences) != 2 {
		t.Errorf("%v", a.Differences)
	}
	// Without the ledger itself the header still shows it.
	in.After = nil
	a = audit(t, in)
	demand(t, a, "", "ledger", "…", "…")
	if len(a.Unchecked) != 1 {
		t.Errorf("%v", a.Unchecked)
	}
	// Another ledger than the header names is none.
	in.After = w.ledger
	if b := audit(t, in); len(b.Differences) != len(a.Differences) || len(b.Unchecked) != 1 {
		t.Errorf("%v %v", b.Differences, b.Unchecked)
	}
}

// TestSignersTogetherChooseARandomValue: of the value of a round that nobody
// drew, and of one that they drew.
func TestSignersTogetherChooseARandomValue(t *testing.T) {
	w := auditWorld(t)
	chosen := func(j *directory.Judgement) {
		j.SRVs = w.chain.NewSRVState(w.at).Values()
		j.SRVs[9].Value = [32]byte{1}
	}
	in := w.published(chosen)
	round := fmt.Sprintf("shared random value of round %d", in.Snapshot.Header.SRVs[9].Round)
	demand(t, audit(t, in), "", round, "0100", "…")

	// A later snapshot of the same round must hold what the one before held.
	honest := w.published(nil)
	w.at = w.at.Add(time.Hour)
	w.ledger = honest.After
	in = w.published(chosen)
	in.Previous = &honest.Snapshot.Header
	demand(t, audit(t, in), "", round, "0100", "…")

	// Without the votes of the round before, a new round's value is said to be unchecked.
	w.at = w.at.Add(24 * time.Hour)
	in = w.published(chosen)
	in.Previous = &honest.Snapshot.Header
	a := audit(t, in)
	if len(a.Unchecked) != 1 || !strings.Contains(a.Unchecked[0], "shared random value") || a.SRV == nil {
		t.Errorf("%v %v", a.Unchecked, a.Differences)
	}
	// With them it is caught.
	first := audit(t, honest)
	in.SRV = first.SRV
	round = fmt.Sprintf("shared random value of round %d", in.Snapshot.Header.SRVs[9].Round)
	demand(t, audit(t, in), "", round, "0100", "…")
}

// TestSignersTogetherChangeTheHeader covers what is neither entry nor ledger.
func TestSignersTogetherChangeTheHeader(t *testing.T) {
	w := auditWorld(t)
	demand(t, audit(t, w.published(func(j *directory.Judgement) { j.Recommended = []string{"evil 6"} })), "", "recommended software", "evil 6", "none")
	demand(t, audit(t, w.published(func(j *directory.Judgement) { j.Epoch = 3 * time.Hour })), "", "epoch length", "3h", "1h")
	demand(t, audit(t, w.published(func(j *directory.Judgement) { j.Votes = j.Votes[1:] })), "", "counted votes", "…", "…")
	demand(t, audit(t, w.published(func(j *directory.Judgement) {
		j.Unlisted = map[directory.RelayID]directory.Rule{{1}: directory.RuleBlock}
	})), "", "relays kept out by rule 13 (too many relays in its /16 or IPv6 /32)", "1", "0")
}
