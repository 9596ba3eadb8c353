package directory

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

// vector is one line of testdata/vectors.txt: a document and what reading it at
// testTime in the vector network must give.
type vector struct {
	kind, name, expect string
	data               []byte
}

const vectorFile = "testdata/vectors.txt"

// vectorNetwork is the network of the vectors.
func vectorNetwork(t testing.TB) *network {
	f := testFile(false, JoinToken)
	f.Bootstraps = append(f.Bootstraps, Bootstrap{
		ID: RelayID(publicOf(testKey("bootstrap 2"))).Prefix(), Addr: netip.MustParseAddrPort("[2a00:1450::7]:443"),
	})
	f.Params = map[Param]int64{ParamEpoch: 1800, ParamPoWBits: 8}
	f.Seeds = []RelayID{RelayID(publicOf(testKey(nameOf(0))))}
	return foundNetwork(t, f)
}

func fullDescriptor(n *network) *Descriptor {
	d := n.descriptor(1, testTime)
	d.Addrs = append(d.Addrs, netip.MustParseAddrPort("[2a00:1450::9]:4443"))
	d.OnionKeys = append(d.OnionKeys, OnionKey{NotBefore: uint32(testTime.Unix()) + 86400, Key: [32]byte{7}})
	d.Protocols = []uint16{1, 2, 9}
	d.Contact, d.SNI = "ops at example", "example.net"
	d.Families = []Family{signFamily(n.id, testKey("family"), d.ID, testTime.Add(time.Hour))}
	d.PoW = &PoW{Window: 3, Nonce: []byte{1, 2, 3}}
	d.ext = extensions{5: {1}, 900: {2, 3}}
	return d
}

// makeVectors builds every document from fixed keys and times.
func makeVectors(t testing.TB) []vector {
	n := vectorNetwork(t)
	other := newNetwork(t, false, JoinToken)
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		return b
	}
	must := func(b []byte, err error) []byte {
		t.Helper()
		check(t, err)
		return b
	}
	key := testKey(nameOf(1))
	small := must(n.descriptor(1, testTime).Sign(n.id, key))
	full := must(fullDescriptor(n).Sign(n.id, key))
	foreign := must(other.descriptor(1, testTime).Sign(other.id, key))
	old := must(n.descriptor(1, testTime.Add(-49*time.Hour)).Sign(n.id, key))
	leave := must(SignLeave(n.id, key, uint64(testTime.Unix())))
	private := n.descriptor(1, testTime)
	private.Addrs[0] = netip.MustParseAddrPort("192.168.1.4:4443")
	naked := n.descriptor(1, testTime)
	naked.Admission = nil
	invitation := n.token(5)
	token := invitation.Admission(n.id, RelayID{1})[1:]
	link := n.chain.Link(nil)
	v := []vector{
		{"network", "founding", "ok", n.raw},
		{"network", "changed-name", "other-network", replace(n.raw, "harbour", "harbors")},
		{"network", "changed-signature", "threshold", flip(n.raw, -1)},
		{"network", "trailing-byte", "malformed", append(bytes.Clone(n.raw), 0)},
		{"link", "network", "ok", []byte(link.String())},
		{"link", "relay", "ok", []byte(n.chain.Link(invitation.Bytes()).String())},
		{"link", "mistyped", "bad-link", flip([]byte(link.String()), 40)},
		{"token", "five-uses", "ok", token},
		{"token", "more-uses", "bad-token", flip(token, 32)},
		{"token", "truncated", "bad-token", token[:199]},
		{"token", "another-relay", "bad-token", invitation.Admission(n.id, RelayID{2})[1:]},
		{"token", "another-network", "bad-token", slices.Concat(token[:136], other.token(5).Admission(other.id, RelayID{1})[137:])},
		{"certificate", "first", "ok", n.cert},
		{"certificate", "other-network", "signature", other.cert},
		{"descriptor", "small", "ok", small},
		{"descriptor", "full", "ok", full},
		{"descriptor", "other-network", "signature", foreign},
		{"descriptor", "changed", "signature", flip(small, -1)},
		{"descriptor", "expired", "expired", old},
		{"descriptor", "private-address", "bad-address", must(private.Sign(n.id, key))},
		{"descriptor", "no-token", "not-admitted", must(naked.Sign(n.id, key))},
		{"leave", "now", "ok", leave},
		{"leave", "changed", "signature", flip(leave, -1)},
	}
	empty := n.publish(testTime, nil)
	two := n.publish(testTime.Add(time.Minute), n.candidates(2, testTime))
	proof, err := n.log.Prove(1, 2, 0)
	check(t, err)
	return append(v,
		vector{"snapshot", "first-empty", "ok", empty},
		vector{"snapshot", "two-relays", "ok", two},
		vector{"snapshot", "changed", "tables", flip(two, -1)},
		vector{"snapshot", "changed-entry", "entries", replace(two, string(publicOfSlice(nameOf(1)+" link")), string(publicOfSlice("x")))},
		vector{"proof", "second", "ok", proof.Append(nil)},
		vector{"ledger", "two-relays", "ok", n.ledger.Append(nil)},
	)
}

func publicOfSlice(name string) []byte {
	k := publicOf(testKey(name))
	return k[:]
}

func replace(b []byte, from, to string) []byte {
	return bytes.Replace(bytes.Clone(b), []byte(from), []byte(to), 1)
}

// classes name errors in the vector file.
var classes = []struct {
	name string
	err  error
}{
	{"other-network", ErrOtherNetwork},
	{"threshold", ErrThreshold},
	{"bad-token", ErrBadToken},
	{"bad-link", ErrBadLink},
	{"bad-address", ErrBadAddress},
	{"not-admitted", ErrNotAdmitted},
	{"signature", ErrSignature},
	{"expired", ErrExpired},
	{"tables", ErrBadTables},
	{"entries", ErrBadEntry},
}

func classOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return "malformed"
}

// readVector reads a document as its user would and returns what encoding the
// result again gives.
func readVector(n *network, v vector) ([]byte, error) {
	now := testTime
	switch v.kind {
	case "network":
		c, err := VerifyChain(n.id, [][]byte{v.data}, now)
		if err != nil {
			return nil, err
		}
		body, err := c.Current().encode()
		if err != nil {
			return nil, err
		}
		return sealDocument(labelNetwork, NetworkID{}, body, n.root)
	case "link":
		l, err := ParseNetworkLink(string(v.data))
		return []byte(l.String()), err
	case "token":
		p, err := parseTokenProof(v.data)
		if err != nil {
			return nil, err
		}
		return slices.Concat(p.Token.Bytes(), p.Key[:], p.Signature[:]), p.Verify(n.chain.Rules(), RelayID{1}, now)
	case "certificate":
		c, err := ParseCertificate(n.id, v.data)
		if err != nil {
			return nil, err
		}
		return c.Sign(n.id, n.signer)
	case "descriptor":
		d, err := ParseDescriptor(n.chain.Rules(), v.data, now)
		if err != nil {
			return nil, err
		}
		return d.Sign(n.id, testKey(nameOf(1)))
	case "leave":
		r, err := ParseRecord(n.chain.Rules(), v.data, now)
		if err != nil {
			return nil, err
		}
		return SignLeave(n.id, testKey(nameOf(1)), r.Seq)
	case "snapshot":
		s, err := ParseSnapshot(v.data)
		if err != nil {
			return nil, err
		}
		if _, _, err := n.chain.verifySigned(&s.Head, n.chain.InitialState()); err != nil {
			return nil, err
		}
		if err := s.open(); err != nil {
			return nil, err
		}
		s.entries = nil
		for i := range s.Entries {
			s.entries = appendEntry(s.entries, &s.Entries[i])
		}
		if s.tables, err = s.Tables.encode(); err != nil {
			return nil, err
		}
		if s.doc.Body, err = s.Header.encode(); err != nil {
			return nil, err
		}
		return s.Encode()
	case "proof":
		p, err := ParseProof(v.data)
		return p.Append(nil), err
	case "ledger":
		l, err := ParseLedger(v.data)
		if err != nil {
			return nil, err
		}
		return l.Append(nil), nil
	}
	return nil, fmt.Errorf("unknown kind %q", v.kind)
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t, makeVectors(t))
	}
	n := vectorNetwork(t)
	made := makeVectors(t)
	read := readVectors(t)
	if len(made) != len(read) {
		t.Fatalf("%d vectors in the file, %d made; run with -update", len(read), len(made))
	}
	for i, v := range read {
		t.Run(v.kind+"/"+v.name, func(t *testing.T) {
			if !bytes.Equal(v.data, made[i].data) {
				t.Error("the encoding has changed")
			}
			again, err := readVector(n, v)
			if got := classOf(err); got != v.expect {
				t.Fatalf("%s (%v), want %s", got, err, v.expect)
			}
			if err == nil && !bytes.Equal(again, v.data) {
				t.Errorf("encoded again: %x", again)
			}
		})
	}
}

func writeVectors(t *testing.T, list []vector) {
	var b strings.Builder
	b.WriteString("# kind name expect hex; made by go test -update from fixed keys and times\n")
	for _, v := range list {
		fmt.Fprintf(&b, "%s %s %s %x\n", v.kind, v.name, v.expect, v.data)
	}
	check(t, os.MkdirAll(filepath.Dir(vectorFile), 0o755))
	check(t, os.WriteFile(vectorFile, []byte(b.String()), 0o644))
}

func readVectors(t testing.TB) []vector { return readVectorsOf(t, vectorFile) }

func readVectorsOf(t testing.TB, file string) []vector {
	t.Helper()
	raw, err := os.ReadFile(file)
	check(t, err)
	var list []vector
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] == "#" {
			continue
		}
		data, err := hex.DecodeString(f[3])
		check(t, err)
		list = append(list, vector{kind: f[0], name: f[1], expect: f[2], data: data})
	}
	return list
}
