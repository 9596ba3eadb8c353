package directory

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAddressRules(t *testing.T) {
	global := []string{"8.8.8.8:1", "1.1.1.1:443", "192.0.1.1:9", "100.63.255.255:9", "100.128.0.1:9", "223.255.255.255:9", "[2a00:1450::7]:443", "[2606:4700::1]:9", "[2001:200::1]:9"}
	labOnly := []string{
		"127.0.0.1:9", "10.1.2.3:9", "172.16.0.1:9", "172.31.255.1:9", "192.168.0.1:9", "100.64.0.1:9", "100.127.255.255:9",
		"169.254.1.1:9", "192.0.2.1:9", "198.51.100.7:9", "203.0.113.9:9", "198.18.0.1:9", "198.19.255.255:9", "240.0.0.1:9",
		"192.0.0.8:9", "192.88.99.1:9", "0.1.2.3:9",
		"[::1]:9", "[fe80::1]:9", "[fc00::1]:9", "[fd12::1]:9", "[2001:db8::1]:9", "[2001::1]:9", "[2002:808:808::1]:9",
		"[2001:10::1]:9", "[3fff::1]:9", "[64:ff9b::808:808]:9", "[4000::1]:9", "[100::1]:9",
	}
	never := []string{"8.8.8.8:0", "0.0.0.0:9", "[::]:9", "224.0.0.1:9", "[ff02::1]:9", "255.255.255.255:9", "[::ffff:8.8.8.8]:9", "[fe80::1%eth0]:9"}
	for _, s := range global {
		for _, lab := range []bool{false, true} {
			if err := CheckAddr(netip.MustParseAddrPort(s), lab); err != nil {
				t.Errorf("%s, lab %t: %v", s, lab, err)
			}
		}
	}
	for _, s := range labOnly {
		if err := CheckAddr(netip.MustParseAddrPort(s), true); err != nil {
			t.Errorf("lab: %v", err)
		}
		if err := CheckAddr(netip.MustParseAddrPort(s), false); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range never {
		if err := CheckAddr(netip.MustParseAddrPort(s), true); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%s: %v", s, err)
		}
	}
	if CheckAddr(netip.AddrPort{}, true) == nil {
		t.Error("the zero address passes")
	}
}

func TestLoopbackIsRefusedOutsideOfLabNetworks(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	d := n.descriptor(1, testTime)
	d.Addrs[0] = netip.MustParseAddrPort("127.0.0.1:4443")
	raw, err := d.Sign(n.id, testKey(nameOf(1)))
	check(t, err)
	if _, err := ParseDescriptor(n.chain.Rules(), raw, testTime); !errors.Is(err, ErrBadAddress) {
		t.Fatal(err)
	}
}

func TestDescriptorRules(t *testing.T) {
	edits := map[string]func(*Descriptor){
		"no address":             func(d *Descriptor) { d.Addrs = nil },
		"five addresses":         func(d *Descriptor) { d.Addrs = make([]netip.AddrPort, 5) },
		"one address twice":      func(d *Descriptor) { d.Addrs = append(d.Addrs, d.Addrs[0]) },
		"life 0":                 func(d *Descriptor) { d.Life = 0 },
		"life over 48 h":         func(d *Descriptor) { d.Life = 48*time.Hour + time.Second },
		"life with a fraction":   func(d *Descriptor) { d.Life = time.Hour + 1 },
		"no onion key":           func(d *Descriptor) { d.OnionKeys = nil },
		"three onion keys":       func(d *Descriptor) { d.OnionKeys = make([]OnionKey, 3) },
		"onion keys not rising":  func(d *Descriptor) { d.OnionKeys = append(d.OnionKeys, d.OnionKeys[0]) },
		"zero onion key":         func(d *Descriptor) { d.OnionKeys[0].Key = [32]byte{} },
		"link key of low order":  func(d *Descriptor) { d.LinkKey = [32]byte{1} },
		"link key is the id":     func(d *Descriptor) { d.LinkKey = d.ID },
		"no protocol":            func(d *Descriptor) { d.Protocols = nil },
		"nine protocols":         func(d *Descriptor) { d.Protocols = []uint16{1, 2, 3, 4, 5, 6, 7, 8, 9} },
		"protocols not rising":   func(d *Descriptor) { d.Protocols = []uint16{2, 1} },
		"unknown role":           func(d *Descriptor) { d.Roles = 32 },
		"long software":          func(d *Descriptor) { d.Software = strings.Repeat("x", 25) },
		"nick is not ASCII":      func(d *Descriptor) { d.Nick = "größe" },
		"escape in nick":         func(d *Descriptor) { d.Nick = "\x1b[2J" },
		"long contact":           func(d *Descriptor) { d.Contact = strings.Repeat("x", 97) },
		"escape in contact":      func(d *Descriptor) { d.Contact = "a\nb" },
		"three families":         func(d *Descriptor) { d.Families = make([]Family, 3) },
		"long proof of work":     func(d *Descriptor) { d.PoW = &PoW{Nonce: make([]byte, 17)} },
		"long admission":         func(d *Descriptor) { d.Admission = make([]byte, 321) },
		"id of another key":      func(d *Descriptor) { d.ID[0] ^= 1 },
		"more than 1,024 bytes":  func(d *Descriptor) { d.Contact, d.ext = strings.Repeat("x", 96), extensions{1: make([]byte, 700)} },
		"an address of no use":   func(d *Descriptor) { d.Addrs[0] = netip.MustParseAddrPort("0.0.0.0:1") },
		"a family of low order":  func(d *Descriptor) { d.Families = []Family{{Key: [32]byte{1}}} },
		"one family twice":       func(d *Descriptor) { d.Families = []Family{{Key: d.LinkKey}, {Key: d.LinkKey}} },
		"an address with port 0": func(d *Descriptor) { d.Addrs[0] = netip.MustParseAddrPort("8.8.8.8:0") },
	}
	n := newNetwork(t, false, JoinToken)
	for name, edit := range edits {
		d := n.descriptor(1, testTime)
		edit(d)
		if _, err := d.Sign(n.id, testKey(nameOf(1))); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestDescriptorTimes(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	lab := newNetwork(t, true, JoinOpen)
	tests := []struct {
		name string
		n    *network
		made time.Time
		now  time.Time
		life time.Duration
		err  error
	}{
		{"fresh", n, testTime, testTime, 48 * time.Hour, nil},
		{"last second", n, testTime, testTime.Add(48*time.Hour - time.Second), 48 * time.Hour, nil},
		{"expired", n, testTime, testTime.Add(48 * time.Hour), 48 * time.Hour, ErrExpired},
		{"clock ahead by 10 min", n, testTime.Add(10 * time.Minute), testTime, 48 * time.Hour, nil},
		{"clock ahead by more", n, testTime.Add(10*time.Minute + time.Second), testTime, 48 * time.Hour, ErrFuture},
		{"lab", lab, testTime, testTime.Add(479 * time.Second), 480 * time.Second, nil},
		{"lab expired", lab, testTime, testTime.Add(480 * time.Second), 480 * time.Second, ErrExpired},
		{"lab life", lab, testTime, testTime, 481 * time.Second, ErrBadDescriptor},
	}
	for _, tt := range tests {
		d := tt.n.descriptor(1, tt.made)
		d.Life = tt.life
		raw, err := d.Sign(tt.n.id, testKey(nameOf(1)))
		check(t, err)
		if _, err := ParseDescriptor(tt.n.chain.Rules(), raw, tt.now); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestAdmission(t *testing.T) {
	sign := func(n *network, edit func(*Descriptor)) []byte {
		d := n.descriptor(1, testTime)
		edit(d)
		raw, err := d.Sign(n.id, testKey(nameOf(1)))
		check(t, err)
		return raw
	}
	issue := func(n *network, key string, expires time.Duration) func(*Descriptor) {
		tok, err := IssueToken(n.id, testKey(key), [32]byte{3}, testTime.Add(expires), 2)
		check(t, err)
		return func(d *Descriptor) { d.Admission = tok.Admission(n.id, d.ID) }
	}
	keep := func(*Descriptor) {}
	none := func(d *Descriptor) { d.Admission = nil }
	n := newNetwork(t, false, JoinToken)
	f := testFile(false, JoinToken)
	f.Name = "other"
	other := foundNetwork(t, f)
	labOpen, open := newNetwork(t, true, JoinOpen), newNetwork(t, false, JoinOpen)
	closed, vouch := newNetwork(t, false, JoinClosed), newNetwork(t, true, JoinVouch)
	listed := func(RelayID) bool { return true }
	tests := []struct {
		name   string
		n      *network
		edit   func(*Descriptor)
		listed func(RelayID) bool
		ok     bool
	}{
		{"token of the signer", n, keep, nil, true},
		{"token of the root", n, issue(n, "root", time.Hour), nil, true},
		{"no token", n, none, nil, false},
		{"no token, listed", n, none, listed, true},
		{"token of a stranger", n, issue(n, "stranger", time.Hour), nil, false},
		{"token of another network", n, issue(other, "signer", time.Hour), nil, false},
		{"token of a stranger, listed", n, issue(n, "stranger", time.Hour), listed, true},
		{"expired token", n, issue(n, "signer", 0), nil, false},
		{"expired token, listed", n, issue(n, "signer", 0), listed, true},
		{"token for 31 days", n, issue(n, "signer", 31*24*time.Hour), nil, false},
		{"vouch in a token network", n, func(d *Descriptor) { d.Admission[0] = byte(JoinVouch) }, nil, false},
		{"open lab", labOpen, none, nil, true},
		{"open network", open, none, nil, false},
		{"closed network", closed, none, nil, false},
		{"vouched lab", vouch, none, nil, false},
	}
	for _, tt := range tests {
		rules := tt.n.chain.Rules()
		rules.Listed = tt.listed
		_, err := ParseDescriptor(rules, sign(tt.n, tt.edit), testTime)
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestFamilyCertificate(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	d := n.descriptor(1, testTime)
	for name, f := range map[string]Family{
		"another relay":   signFamily(n.id, testKey("family"), RelayID{1}, testTime),
		"another network": signFamily(NetworkID{1}, testKey("family"), d.ID, testTime),
	} {
		d.Families = []Family{f}
		raw, err := d.Sign(n.id, testKey(nameOf(1)))
		check(t, err)
		if _, err := ParseDescriptor(n.chain.Rules(), raw, testTime); !errors.Is(err, ErrSignature) {
			t.Errorf("family of %s: %v", name, err)
		}
	}
}

func TestAnyFlippedBitOfARecordFails(t *testing.T) {
	n := vectorNetwork(t)
	key := testKey(nameOf(1))
	leave, err := SignLeave(n.id, key, uint64(testTime.Unix()))
	check(t, err)
	full, err := fullDescriptor(n).Sign(n.id, key)
	check(t, err)
	for name, raw := range map[string][]byte{"descriptor": full, "leave": leave} {
		eachFlip(bytes.Clone(raw), func(b []byte, at int) {
			if _, err := ParseRecord(n.chain.Rules(), b, testTime); err == nil {
				t.Errorf("%s, bit %d", name, at)
			}
		})
	}
	eachFlip(bytes.Clone(n.cert), func(b []byte, at int) {
		if _, err := ParseCertificate(n.id, b); err == nil {
			t.Errorf("certificate, bit %d", at)
		}
	})
	eachFlip(n.token(3).Admission(n.id, RelayID{1})[1:], func(b []byte, at int) {
		p, err := parseTokenProof(b)
		if err == nil && p.Verify(n.chain.Rules(), RelayID{1}, testTime) == nil {
			t.Errorf("token, bit %d", at)
		}
	})
}

// TestSignatureOfAnotherTypeFails replays each body under each other type.
func TestSignatureOfAnotherTypeFails(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	key := testKey(nameOf(1))
	desc, err := n.descriptor(1, testTime).Sign(n.id, key)
	check(t, err)
	leave, err := SignLeave(n.id, key, uint64(testTime.Unix()))
	check(t, err)
	labels := []string{labelNetwork, labelCert, labelDesc, labelLeave, labelHeader, labelToken, labelFamily}
	for label, raw := range map[string][]byte{labelDesc: desc, labelLeave: leave, labelCert: n.cert} {
		doc, err := openDocument(label, raw, MaxDescriptor)
		check(t, err)
		for _, other := range labels {
			if other == label {
				continue
			}
			renamed := doc
			renamed.Type = strings.TrimPrefix(other, labelPrefix)
			b, err := encode(&renamed)
			check(t, err)
			if _, err := ParseRecord(n.chain.Rules(), b, testTime); err == nil {
				t.Errorf("%s read as %s", label, other)
			}
			if _, err := ParseCertificate(n.id, b); err == nil {
				t.Errorf("%s read as %s", label, other)
			}
			if doc.signedBy(other, n.id, publicOf(key)) || doc.signedBy(other, n.id, publicOf(n.signer)) {
				t.Errorf("%s verifies as %s", label, other)
			}
		}
	}
}

// TestMergeIsASemilattice shows that stores converge in any order.
func TestMergeIsASemilattice(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	key := testKey(nameOf(1))
	var records []*Record
	for i := range 6 {
		d := n.descriptor(1, testTime.Add(time.Duration(i/2)*time.Minute))
		d.Nick = strings.Repeat("x", i+1)
		raw, err := d.Sign(n.id, key)
		check(t, err)
		r, err := ParseRecord(n.chain.Rules(), raw, testTime)
		check(t, err)
		records = append(records, r)
	}
	leave, err := SignLeave(n.id, key, uint64(testTime.Unix())+120)
	check(t, err)
	r, err := ParseRecord(n.chain.Rules(), leave, testTime)
	check(t, err)
	if r.Descriptor != nil || !r.Expires().Equal(testTime.Add(2*time.Minute+LeaveLife)) {
		t.Errorf("leave %+v", r)
	}
	records = append(records, r)
	merge := func(list []*Record) *Record {
		best := list[0]
		for _, r := range list[1:] {
			if r.Supersedes(best) {
				best = r
			}
		}
		return best
	}
	want := merge(records)
	for range 200 {
		rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		if got := merge(records); got.Hash != want.Hash {
			t.Fatal("order decides")
		}
		if got := merge(append(records[:3:3], merge(records[3:]))); got.Hash != want.Hash {
			t.Fatal("grouping decides")
		}
	}
	conflicts := 0
	for _, a := range records {
		if a.Supersedes(a) || a.Conflicts(a) {
			t.Error("a record supersedes itself")
		}
		for _, b := range records {
			if a.Conflicts(b) {
				conflicts++
			}
		}
	}
	if conflicts != 2+2+6 {
		t.Errorf("%d conflicts", conflicts)
	}
	k1, k2 := GossipKey(n.id, r.ID), GossipKey(NetworkID{1}, r.ID)
	if k1 == k2 {
		t.Error("two networks share a key")
	}
}

func TestLeaveTimes(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	key := testKey(nameOf(1))
	for _, tt := range []struct {
		made time.Duration
		err  error
	}{{0, nil}, {-LeaveLife, ErrExpired}, {11 * time.Minute, ErrFuture}} {
		raw, err := SignLeave(n.id, key, uint64(testTime.Add(tt.made).Unix()))
		check(t, err)
		if _, err := ParseRecord(n.chain.Rules(), raw, testTime); !errors.Is(err, tt.err) {
			t.Errorf("%v: %v", tt.made, err)
		}
	}
}

func TestTokenText(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	tok := n.token(4)
	got, err := ParseInvitationText(" " + strings.ToUpper(tok.Text()[:80]) + "\n" + tok.Text()[80:])
	if err != nil || !bytes.Equal(got.Bytes(), tok.Bytes()) || got.Token.MaxUses != 4 {
		t.Fatalf("%v %v", got, err)
	}
	if strings.Contains(tok.String(), tok.Text()[30:40]) {
		t.Error("String reveals the token")
	}
	for _, s := range []string{"", tok.Text()[1:], tok.Text() + "a", strings.Repeat("a", 10_000)} {
		if _, err := ParseInvitationText(s); !errors.Is(err, ErrBadToken) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
	for _, uses := range []int{0, 11, -1, 256} {
		if _, err := IssueToken(n.id, n.signer, [32]byte{}, testTime, uses); !errors.Is(err, ErrBadToken) {
			t.Errorf("%d uses: %v", uses, err)
		}
	}
}
