package directory

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// testTime is when the test networks are founded.
var testTime = time.Unix(1_800_000_000, 0)

// testKey derives the key of a role in the tests.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// network is a test network with its founder's keys.
type network struct {
	t      testing.TB
	raw    []byte
	id     NetworkID
	chain  *Chain
	root   ed25519.PrivateKey
	signer ed25519.PrivateKey
	online ed25519.PrivateKey
	cert   []byte
	log    *Log
	ledger *Ledger
	header *Header
}

func testFile(lab bool, join Join) NetworkFile {
	addr := netip.MustParseAddrPort("8.8.4.4:4443")
	if lab {
		addr = netip.MustParseAddrPort("127.0.0.1:4443")
	}
	return NetworkFile{
		Name: "harbour", Salt: [16]byte{1, 2, 3}, Created: testTime, Expires: testTime.Add(maxFileLife),
		Roots:      []FounderKey{{Public: publicOf(testKey("root")), Label: "root"}},
		Signers:    []FounderKey{{Public: publicOf(testKey("signer")), Label: "signer"}},
		Bootstraps: []Bootstrap{{ID: RelayID(publicOf(testKey("bootstrap"))).Prefix(), Addr: addr}},
		Join:       join, Lab: lab, MinProtocol: 1,
	}
}

func newNetwork(t testing.TB, lab bool, join Join) *network {
	t.Helper()
	return foundNetwork(t, testFile(lab, join))
}

func foundNetwork(t testing.TB, f NetworkFile) *network {
	t.Helper()
	return foundNetworkBy(t, f, testKey("root"))
}

// foundNetworkBy founds it with the given root keys, of which root is the first.
func foundNetworkBy(t testing.TB, f NetworkFile, roots ...ed25519.PrivateKey) *network {
	t.Helper()
	n := &network{t: t, root: roots[0], signer: testKey("signer"), online: testKey("online"), ledger: &Ledger{}}
	var err error
	n.raw, n.id, err = Found(f, roots...)
	check(t, err)
	n.chain, err = VerifyChain(n.id, [][]byte{n.raw}, testTime)
	check(t, err)
	n.cert, err = Certificate{
		Online: publicOf(n.online), NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(80 * 24 * time.Hour), Seq: 1,
	}.Sign(n.id, n.signer)
	check(t, err)
	n.log, err = NewLog(n.chain)
	check(t, err)
	return n
}

// token issues a token of the signer.
func (n *network) token(uses int) Invitation {
	n.t.Helper()
	t, err := IssueToken(n.id, n.signer, [32]byte{9}, testTime.Add(20*24*time.Hour), uses)
	check(n.t, err)
	return t
}

// descriptor makes the descriptor of the i-th test relay at the time now.
func (n *network) descriptor(i int, now time.Time) *Descriptor {
	key := testKey(nameOf(i))
	lab := n.chain.Current().Lab
	d := &Descriptor{
		ID: RelayID(publicOf(key)), Seq: uint64(now.Unix()), Life: Scale(lab, MaxDescriptorLife),
		Addrs:     []netip.AddrPort{testAddr(i, lab)},
		OnionKeys: []OnionKey{{NotBefore: uint32(now.Unix()) - 60, Key: sha256.Sum256([]byte(nameOf(i) + " onion"))}},
		LinkKey:   publicOf(testKey(nameOf(i) + " link")),
		Protocols: []uint16{1}, Roles: RoleGuard | RoleInner | RoleMailbox | RoleCache,
		Declared: 1024, Software: "hearsay 0.1", Nick: nameOf(i),
	}
	if n.chain.Current().Join&JoinToken != 0 {
		d.Admission = n.token(MaxTokenUses).Admission(n.id, d.ID)
	}
	return d
}

func testAddr(i int, lab bool) netip.AddrPort {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(i+1))
	ip[0] = 8
	if lab {
		ip = [4]byte{127, 0, 0, 1}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(4000+i))
}

func nameOf(i int) string { return "relay" + string(rune('a'+i%26)) + string(rune('a'+i/26)) }

// record signs and parses the descriptor of the i-th relay.
func (n *network) record(i int, now time.Time) *Record {
	n.t.Helper()
	raw, err := n.descriptor(i, now).Sign(n.id, testKey(nameOf(i)))
	check(n.t, err)
	r, err := ParseRecord(n.chain.Rules(), raw, now)
	check(n.t, err)
	return r
}

func (n *network) candidates(count int, now time.Time) []Candidate {
	var list []Candidate
	for i := range count {
		r := n.record(i, now)
		list = append(list, Candidate{Record: r, Reached: r.Descriptor.Addrs})
	}
	return list
}

// publish makes, signs and logs the snapshot of the next epoch.
func (n *network) publish(now time.Time, candidates []Candidate) []byte {
	n.t.Helper()
	at := NextEpoch(n.chain.Current().Lab, n.header, now)
	j := Judge(JudgeInput{Chain: n.chain, Ledger: n.ledger, ValidAfter: at, Candidates: candidates})
	s, err := NewSnapshot(n.chain, n.log, at, j)
	check(n.t, err)
	check(n.t, s.Sign(n.cert, n.online))
	raw, err := s.Encode()
	check(n.t, err)
	check(n.t, n.log.AddHeader(s.Hash()))
	n.ledger, n.header = j.Ledger, &s.Header
	return raw
}

// verify verifies a snapshot as a client in the given state does.
func (n *network) verify(raw []byte, prev State, now time.Time) (*View, State, error) {
	s, err := ParseSnapshot(raw)
	if err != nil {
		return nil, State{}, err
	}
	p, err := n.log.Prove(prev.ProofRange(s.Header.LogSize))
	if err != nil {
		p = Proof{}
	}
	return n.chain.Verify(s, prev, p, now)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signFamily makes the certificate by which a family key claims a relay.
func signFamily(network NetworkID, family ed25519.PrivateKey, id RelayID, expires time.Time) Family {
	f := Family{Key: publicOf(family), Expires: time.Unix(expires.Unix(), 0)}
	copy(f.Signature[:], ed25519.Sign(family, signedText(labelFamily, network, f.text(id))))
	return f
}
