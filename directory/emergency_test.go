package directory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// orphans is a network of three founders and five relays whose signer is gone.
type orphans struct {
	*network
	roots []ed25519.PrivateKey
	base  *Snapshot
	gone  time.Time // when the signer was seen last
}

func newOrphans(t testing.TB, lab bool) *orphans {
	t.Helper()
	join := JoinToken
	if lab {
		join = JoinOpen
	}
	f := testFile(lab, join)
	o := &orphans{}
	f.Roots = nil
	for _, name := range []string{"anna", "ben", "carla"} {
		k := testKey("root " + name)
		o.roots = append(o.roots, k)
		f.Roots = append(f.Roots, FounderKey{Public: publicOf(k), Label: name})
	}
	o.network = foundNetworkBy(t, f, o.roots...)
	o.gone = testTime.Add(2 * time.Hour)
	for at := testTime; !at.After(o.gone); at = at.Add(time.Hour) {
		o.base = o.open(o.publish(at, o.candidates(5, at)))
	}
	return o
}

func (o *orphans) open(raw []byte) *Snapshot {
	o.t.Helper()
	s, err := ParseSnapshot(raw)
	check(o.t, err)
	check(o.t, s.open())
	return s
}

// draft makes a draft three days after the signer went.
func (o *orphans) draft(records ...*Record) *EmergencyDraft {
	o.t.Helper()
	d, err := o.chain.DraftEmergency(o.base, o.log, records, o.late(), 10*24*time.Hour)
	check(o.t, err)
	return d
}

func (o *orphans) late() time.Time { return o.gone.Add(72 * time.Hour) }

// sign signs a draft and assembles it.
func (o *orphans) sign(d *EmergencyDraft, roots ...int) []byte {
	o.t.Helper()
	for _, i := range roots {
		check(o.t, d.Sign(o.roots[i]))
	}
	raw, err := d.Assemble(o.late())
	check(o.t, err)
	return raw
}

// again hands a draft to another founder's program.
func (o *orphans) again(d *EmergencyDraft) *EmergencyDraft {
	o.t.Helper()
	b, err := d.Bytes()
	check(o.t, err)
	if !IsEmergencyDraft(b) {
		o.t.Error("a draft is not taken for one")
	}
	n, err := o.chain.ParseEmergencyDraft(b)
	check(o.t, err)
	out, err := n.Bytes()
	same := bytes.Equal(b, out)
	if check(o.t, err); !same || n.Hash() != d.Hash() || !slices.Equal(n.Words(), d.Words()) {
		o.t.Error("a draft that was handed on is another one")
	}
	return n
}

// client verifies all that was published before and returns its state.
func (o *orphans) client() State {
	o.t.Helper()
	raw, err := o.base.Encode()
	check(o.t, err)
	_, state, err := o.verify(raw, o.chain.InitialState(), o.gone)
	check(o.t, err)
	return state
}

func TestEmergencySnapshotTakesTheNetworkFurther(t *testing.T) {
	o := newOrphans(t, false)
	state := o.client()
	d := o.draft()
	if n := d.Lacking(); n != 2 {
		t.Errorf("%d of three founders must sign", n)
	}
	check(t, d.Sign(o.roots[2]))
	d = o.again(d)
	if got := d.Roots(); d.Lacking() != 1 || got[0].Signed || !got[2].Signed || got[2].Label != "carla" {
		t.Errorf("after one signature: %d lacking, %+v", d.Lacking(), got)
	}
	raw := o.sign(d, 0)
	for name, from := range map[string]State{"who knows the base": state, "newcomer": o.chain.InitialState()} {
		view, _, err := o.verify(raw, from, o.late().Add(time.Hour))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		until, by := view.ByFounders()
		if !by || !until.Equal(o.late().Add(10*24*time.Hour)) || len(view.Relays()) != 5 {
			t.Errorf("%s: by founders %v until %v, %d relays", name, by, until, len(view.Relays()))
		}
		for age, want := range map[time.Duration]Freshness{
			time.Minute: Fresh, 25 * time.Hour: Valid, 10 * 24 * time.Hour: Valid, 10*24*time.Hour + time.Second: Expired,
		} {
			if got := view.State(o.late().Add(age)); got != want {
				t.Errorf("%s: %v after %v, want %v", name, got, age, want)
			}
		}
	}
	if _, _, err := o.verify(raw, state, o.late().Add(10*24*time.Hour+time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
}

// TestSignersReturnAfterAnEmergency makes the next ordinary snapshot on top of an
// emergency one.
func TestSignersReturnAfterAnEmergency(t *testing.T) {
	o := newOrphans(t, false)
	state := o.client()
	s := o.open(o.sign(o.draft(), 0, 1))
	raw, err := s.Encode()
	check(t, err)
	_, state2, err := o.verify(raw, state, o.late())
	check(t, err)
	check(t, o.log.AddHeader(s.Hash()))
	o.header = &s.Header
	now := o.late().Add(30 * time.Hour)
	next := o.publish(now, o.candidates(4, now))
	for name, from := range map[string]State{"saw the emergency": state2, "slept through it": state, "newcomer": o.chain.InitialState()} {
		view, _, err := o.verify(next, from, now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, by := view.ByFounders(); by || len(view.Relays()) != 4 {
			t.Errorf("%s: by founders %v, %d relays", name, by, len(view.Relays()))
		}
	}
	if _, _, err := o.verify(raw, state2, now); !errors.Is(err, ErrRollback) {
		t.Errorf("the emergency snapshot once more: %v", err)
	}
	// A second emergency may follow the first.
	o2 := *o
	o2.base = s
	d, err := o.chain.DraftEmergency(s, o.log, nil, o.late().Add(9*24*time.Hour), 24*time.Hour)
	check(t, err)
	if !d.Base().Header.Emergency() {
		t.Error("the base is not the first emergency")
	}
	o2.again(d)
}

// TestEmergencyRenewsKeys takes keys of newer descriptors, and nothing else.
func TestEmergencyRenewsKeys(t *testing.T) {
	o := newOrphans(t, false)
	at := o.late()
	sign := func(i int, edit func(d *Descriptor)) *Record {
		d := o.descriptor(i, at)
		d.Admission = o.record(i, at.Add(-time.Hour)).Descriptor.Admission
		edit(d)
		raw, err := d.Sign(o.id, testKey(nameOf(i)))
		check(t, err)
		r, err := ParseRecord(o.chain.Rules(), raw, at)
		check(t, err)
		return r
	}
	stolen := publicOf(testKey(nameOf(4) + " link"))
	onion := OnionKey{NotBefore: uint32(at.Unix()) - 10, Key: [32]byte{7}}
	moved := netip.MustParseAddrPort("8.8.8.8:443")
	leave, err := SignLeave(o.id, testKey(nameOf(3)), uint64(at.Unix()))
	check(t, err)
	left, err := ParseRecord(o.chain.Rules(), leave, at)
	check(t, err)
	records := []*Record{
		sign(0, func(d *Descriptor) {
			d.OnionKeys = []OnionKey{onion, {NotBefore: uint32(at.Unix()) + 60, Key: [32]byte{8}}}
			d.LinkKey = publicOf(testKey("new link"))
			d.Addrs = append(d.Addrs, moved)
			d.Roles = 0
		}),
		sign(1, func(d *Descriptor) { d.LinkKey = stolen }),
		sign(2, func(d *Descriptor) { d.Addrs = []netip.AddrPort{moved} }),
		left,
		o.record(9, at), // never listed
		o.record(0, at.Add(-time.Hour)),
	}
	d := o.draft(records...)
	if renewed, gone := d.Changes(); renewed != 2 || gone != 2 {
		t.Errorf("%d renewed, %d gone", renewed, gone)
	}
	d = o.again(d)
	view, _, err := o.verify(o.sign(d, 0, 2), o.client(), at)
	check(t, err)
	base, err := o.chain.Restore(o.base, o.client(), o.gone)
	check(t, err)
	id := func(i int) RelayID { return RelayID(publicOf(testKey(nameOf(i)))) }
	for i := range 5 {
		was, ok := base.Relay(id(i))
		if !ok {
			t.Fatal("no base")
		}
		want := *was
		switch i {
		case 0:
			want.LinkKey, want.OnionKey, want.OnionEpoch = publicOf(testKey("new link")), onion.Key, onion.NotBefore
		case 1:
			want.OnionKey, want.OnionEpoch = records[1].Descriptor.OnionKeys[0].Key, records[1].Descriptor.OnionKeys[0].NotBefore
		}
		got, ok := view.Relay(id(i))
		if ok != (i != 2 && i != 3) {
			t.Errorf("relay %d listed: %v", i, ok)
		} else if ok && (got.LinkKey != want.LinkKey || got.OnionKey != want.OnionKey || got.OnionEpoch != want.OnionEpoch ||
			got.Flags != want.Flags || got.Guard != want.Guard || !slices.Equal(got.Addrs, want.Addrs)) {
			t.Errorf("relay %d: %+v, want %+v", i, got, want)
		}
	}
}

// TestEmergencySignatures refuses what too few founders, or others, signed.
func TestEmergencySignatures(t *testing.T) {
	o := newOrphans(t, false)
	state := o.client()
	raw := o.sign(o.draft(), 0, 1)
	change := func(edit func(s *Snapshot)) error {
		s := o.open(raw)
		edit(s)
		b, err := s.Encode()
		check(t, err)
		_, _, err = o.verify(b, state, o.late())
		return err
	}
	for _, c := range []struct {
		name string
		edit func(s *Snapshot)
		want error
	}{
		{"one founder of three", func(s *Snapshot) { s.doc.Signatures = s.doc.Signatures[:1] }, ErrThreshold},
		{"one founder and the signer", func(s *Snapshot) {
			s.doc.Signatures = s.doc.Signatures[:1]
			s.doc.add(signBody(labelHeader, o.id, s.doc.Body, o.signer))
		}, ErrSignature},
		{"founders and a stranger", func(s *Snapshot) {
			s.doc.add(signBody(labelHeader, o.id, s.doc.Body, testKey("stranger")))
		}, ErrSignature},
		{"signed for another network", func(s *Snapshot) {
			s.doc.Signatures = nil
			s.doc.add(signBody(labelHeader, NetworkID{1}, s.doc.Body, o.roots[0]))
			s.doc.add(signBody(labelHeader, NetworkID{1}, s.doc.Body, o.roots[1]))
		}, ErrSignature},
		{"signed as another type", func(s *Snapshot) {
			s.doc.Signatures = nil
			s.doc.add(signBody(labelNetwork, o.id, s.doc.Body, o.roots[0]))
			s.doc.add(signBody(labelNetwork, o.id, s.doc.Body, o.roots[1]))
		}, ErrSignature},
		{"with a signer's certificate", func(s *Snapshot) { s.certs = [][]byte{o.cert} }, ErrBadCertificate},
	} {
		if err := change(c.edit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := change(func(*Snapshot) {}); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	// Nor do founders sign what is no emergency, nor a signer one.
	s := o.open(raw)
	s.Header.Flags &^= HeaderEmergency
	s.Header.ValidUntil = s.Header.ValidAfter.Add(validAge)
	body, err := s.Header.encode()
	check(t, err)
	s.doc = document{Type: s.doc.Type, Body: body}
	s.doc.add(signBody(labelHeader, o.id, body, o.roots[0]))
	s.doc.add(signBody(labelHeader, o.id, body, o.roots[1]))
	b, err := s.Encode()
	check(t, err)
	if _, _, err := o.verify(b, state, o.late()); !errors.Is(err, ErrSignature) {
		t.Errorf("founders under an ordinary snapshot: %v", err)
	}
	s = o.open(raw)
	s.doc.Signatures = nil
	check(t, s.Sign(o.cert, o.online))
	b, err = s.Encode()
	check(t, err)
	if _, _, err := o.verify(b, state, o.late()); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("the signer under an emergency snapshot: %v", err)
	}
}

func TestEmergencyHeaderRules(t *testing.T) {
	o := newOrphans(t, false)
	h := *o.draft().Header()
	for name, edit := range map[string]func(h *Header){
		"longer than two weeks":  func(h *Header) { h.ValidUntil = h.ValidAfter.Add(EmergencyLife + time.Second) },
		"shorter than a day":     func(h *Header) { h.ValidUntil = h.ValidAfter.Add(validAge - time.Second) },
		"votes":                  func(h *Header) { h.Votes = [][32]byte{{1}} },
		"abandoned headers":      func(h *Header) { h.Abandoned = [][32]byte{{1}} },
		"ordinary, but so long":  func(h *Header) { h.Flags &^= HeaderEmergency },
		"fresh for another time": func(h *Header) { h.FreshUntil = h.FreshUntil.Add(time.Second) },
	} {
		c := h
		if edit(&c); !errors.Is(c.check(), ErrBadHeader) {
			t.Errorf("%s: %v", name, c.check())
		}
	}
	h.ValidUntil = h.ValidAfter.Add(EmergencyLife)
	if err := h.check(); err != nil {
		t.Errorf("two weeks: %v", err)
	}
}

// TestFoundersCannotChangeWhatSignersSaid changes drafts in the hope that other
// founders sign them.
func TestFoundersCannotChangeWhatSignersSaid(t *testing.T) {
	o := newOrphans(t, false)
	at := o.late()
	good := o.draft(o.record(0, at))
	stranger := o.record(9, at)
	for _, c := range []struct {
		name string
		edit func(f *emergencyFile)
	}{
		{"another body", func(f *emergencyFile) {
			h := *good.Header()
			h.Totals[0]++
			f.Body, _ = h.encode()
		}},
		{"another ledger", func(f *emergencyFile) {
			h := *good.Header()
			h.LedgerHash[0]++
			f.Body, _ = h.encode()
		}},
		{"another random value", func(f *emergencyFile) {
			h := *good.Header()
			h.SRVs = slices.Clone(h.SRVs)
			h.SRVs[9].Value[0]++
			f.Body, _ = h.encode()
		}},
		{"another log", func(f *emergencyFile) {
			h := *good.Header()
			h.LogRoot[0]++
			f.Body, _ = h.encode()
		}},
		{"a relay that nobody listed", func(f *emergencyFile) {
			f.Records = append(f.Records, byte(len(stranger.Raw)>>8), byte(len(stranger.Raw)))
			f.Records = append(f.Records, stranger.Raw...)
		}},
		{"a record of its own", func(f *emergencyFile) { f.Records = f.Records[:len(f.Records)-1] }},
		{"a record left out", func(f *emergencyFile) { f.Records = nil }},
		{"no proof", func(f *emergencyFile) { f.Proofs = nil }},
		{"a base that nobody signed", func(f *emergencyFile) { f.Base = bytes.Replace(f.Base, []byte{8}, []byte{9}, 1) }},
		{"another type", func(f *emergencyFile) { f.Type = draftType }},
	} {
		b, err := good.Bytes()
		check(t, err)
		var f emergencyFile
		check(t, decode(b, MaxEmergencyDraft, &f))
		c.edit(&f)
		b, err = encode(&f)
		check(t, err)
		if _, err := o.chain.ParseEmergencyDraft(b); !errors.Is(err, ErrBadEmergency) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := o.chain.DraftEmergency(o.base, o.log, nil, o.gone, 24*time.Hour); !errors.Is(err, ErrRollback) {
		t.Errorf("of the epoch of its base: %v", err)
	}
	short, err := LogOf(o.log.Leaves(0)[:2])
	check(t, err)
	if _, err := o.chain.DraftEmergency(o.base, short, nil, at, 24*time.Hour); !errors.Is(err, ErrLog) {
		t.Errorf("from a log without the base: %v", err)
	}
	if err := good.Sign(testKey("stranger")); !errors.Is(err, ErrNotRoot) {
		t.Errorf("a stranger signs: %v", err)
	}
	if err := good.CheckTime(at.Add(10*24*time.Hour + time.Second)); !errors.Is(err, ErrDraftExpired) {
		t.Errorf("signed after its end: %v", err)
	}
	if err := good.CheckTime(at.Add(-11 * time.Minute)); !errors.Is(err, ErrDraftExpired) {
		t.Errorf("signed before its time: %v", err)
	}
	if err := good.Merge(o.draft()); !errors.Is(err, ErrOtherDraft) {
		t.Errorf("merge with another: %v", err)
	}
	if _, err := good.Assemble(at); !errors.Is(err, ErrThreshold) {
		t.Errorf("assembled unsigned: %v", err)
	}
}

// TestAnEmergencyAfterANewNetworkFile puts versions that the base did not know
// into the log.
func TestAnEmergencyAfterANewNetworkFile(t *testing.T) {
	o := newOrphans(t, false)
	state, old := o.client(), o.chain
	raw := amend(t, o.chain, func(f *NetworkFile) {
		f.Name, f.Created = "haven", o.gone.Add(24*time.Hour)
	}, o.roots[0], o.roots[1])
	var err error
	o.chain, err = o.chain.Extend([][]byte{raw}, o.late())
	check(t, err)
	d := o.again(o.draft())
	if h := d.Header(); h.FileVersion != 2 || h.LogSize != o.base.Header.LogSize+2 {
		t.Errorf("version %d, log size %d after %d", h.FileVersion, h.LogSize, o.base.Header.LogSize)
	}
	snap := o.sign(d, 1, 2)
	hash, _ := o.chain.Hash(2)
	check(t, o.log.AddFile(hash))
	if _, _, err := o.verify(snap, state, o.late()); err != nil {
		t.Error(err)
	}
	b, err := d.Bytes()
	check(t, err)
	if _, err := old.ParseEmergencyDraft(b); !errors.Is(err, ErrBaseBehind) {
		t.Errorf("in a home with version 1: %v", err)
	}
}

// TestTwoEmergenciesBlameFounders names founders who signed two.
func TestTwoEmergenciesBlameFounders(t *testing.T) {
	o := newOrphans(t, false)
	a, b := o.open(o.sign(o.draft(), 0, 1)), o.open(o.sign(o.draft(o.record(0, o.late())), 1, 2))
	e, err := o.chain.ForkEvidence(&a.Head, &b.Head)
	if err != nil {
		t.Fatal(err)
	}
	if got := labels(e); got != "ben" {
		t.Errorf("to blame: %q", got)
	}
}

// TestAnyFlippedBitOfAnEmergencyDraftFails flips bits of a small draft.
func TestAnyFlippedBitOfAnEmergencyDraftFails(t *testing.T) {
	o := newOrphans(t, true)
	d, err := o.chain.DraftEmergency(o.base, o.log, nil, o.late(), time.Hour/2)
	check(t, err)
	check(t, d.Sign(o.roots[0]))
	b, err := d.Bytes()
	check(t, err)
	for i := 0; i < len(b); i += flipStep {
		c := bytes.Clone(b)
		c[i] ^= 1 << (i % 8)
		if _, err := o.chain.ParseEmergencyDraft(c); err == nil {
			t.Fatalf("accepted with bit %d of byte %d flipped", i%8, i)
		}
	}
}

func FuzzParseEmergencyDraft(f *testing.F) {
	o := newOrphans(f, false)
	d := o.draft(o.record(0, o.late()))
	check(f, d.Sign(o.roots[1]))
	b, err := d.Bytes()
	check(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := o.chain.ParseEmergencyDraft(b)
		if err != nil {
			return
		}
		out, err := d.Bytes()
		same(t, b, out, err)
		if d.Lacking() == 0 {
			t.Fatal("signed by founders who never did")
		}
	})
}
