package link

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

var update = flag.Bool("update", false, "rewrite the golden vectors")

// vector is a LINK_HELLO as one side gets it, and what it must say to it.
type vector struct {
	Name    string `json:"name"`
	Network string `json:"network"` // of the judge
	Leaf    string `json:"leaf"`    // key that TLS proved; empty: no certificate
	Now     int64  `json:"now"`     // Unix seconds
	Body    string `json:"body"`    // the first 152 bytes; the rest is zero
	Text    string `json:"text"`    // what the identity signed
	Expect  string `json:"expect"`  // ok, network, version, proof, format
}

var vectorErrors = map[string]error{
	"network": ErrWrongNet, "version": errHelloVersion,
	"proof": errHelloProof, "format": cell.ErrFormat,
}

func makeVectors() []vector {
	now := time.Unix(1_800_000_000, 0)
	key, leaf := seeded("vector identity"), publicOf(seeded("vector link"))
	creds := func() cell.Hello {
		p := makeProof(testNetwork, key, leaf, now)
		return cell.Hello{
			Lowest: 1, Highest: 1, Role: byte(RoleRelay), Network: testNetwork, Time: uint64(now.Unix()),
			Identity: publicOf(key), NotBefore: p.notBefore, NotAfter: p.notAfter, Proof: p.signature,
		}
	}
	sign := func(h *cell.Hello) {
		copy(h.Proof[:], ed25519.Sign(key, proofText(h.Network, leaf, h.NotBefore, h.NotAfter)))
	}
	var vs []vector
	add := func(name, expect string, leafHex string, at time.Time, h cell.Hello) {
		b := make([]byte, cell.BodySize)
		h.Put(b)
		vs = append(vs, vector{
			Name: name, Network: hex.EncodeToString(testNetwork[:]), Leaf: leafHex, Now: at.Unix(),
			Body: hex.EncodeToString(b[:152]), Text: hex.EncodeToString(proofText(h.Network, leaf, h.NotBefore, h.NotAfter)), Expect: expect,
		})
	}
	lh := hex.EncodeToString(leaf[:])
	edit := func(f func(h *cell.Hello)) cell.Hello { h := creds(); f(&h); return h }
	add("relay", "ok", lh, now, creds())
	add("directory node", "ok", lh, now, edit(func(h *cell.Hello) { h.Role = byte(RoleDirectory) }))
	add("client", "ok", "", now, clientHello())
	add("first second of the proof", "ok", lh, now.Add(-proofBackdate), creds())
	add("last second of the proof", "ok", lh, now.Add(proofLife-proofBackdate), creds())
	add("a later version is spoken too", "ok", lh, now, edit(func(h *cell.Hello) { h.Highest = 9 }))
	add("before the proof", "proof", lh, now.Add(-proofBackdate-time.Second), creds())
	add("after the proof", "proof", lh, now.Add(proofLife-proofBackdate+time.Second), creds())
	add("proof for too long", "proof", lh, now, edit(func(h *cell.Hello) { h.NotAfter += 86400; sign(h) }))
	add("no certificate", "proof", "", now, creds())
	add("another certificate", "proof", strings.Repeat("11", 32), now, creds())
	add("client with a certificate", "proof", lh, now, clientHello())
	add("signature with a flipped bit", "proof", lh, now, edit(func(h *cell.Hello) { h.Proof[9] ^= 4 }))
	add("another identity", "proof", lh, now, edit(func(h *cell.Hello) { h.Identity = publicOf(seeded("mallory")) }))
	add("period changed after signing", "proof", lh, now, edit(func(h *cell.Hello) { h.NotBefore++ }))
	add("another network", "network", lh, now, edit(func(h *cell.Hello) { h.Network[31] ^= 1; sign(h) }))
	add("only later versions", "version", lh, now, edit(func(h *cell.Hello) { h.Lowest, h.Highest = 2, 3 }))
	add("a client that wants shaping", "ok", "", now, func() cell.Hello { h := clientHello(); h.Profile = 2; return h }())
	add("a relay that wants shaping", "format", lh, now, edit(func(h *cell.Hello) { h.Profile = 1 }))
	add("a client with a fifth profile", "format", "", now, func() cell.Hello { h := clientHello(); h.Profile = 4; return h }())
	add("an unknown role", "format", lh, now, edit(func(h *cell.Hello) { h.Role = 3 }))
	add("a client with an identity", "format", "", now, edit(func(h *cell.Hello) { h.Role = 0 }))
	return vs
}

func TestHelloVectors(t *testing.T) {
	const file = "testdata/hello.json"
	if *update {
		b, err := json.MarshalIndent(makeVectors(), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) != len(makeVectors()) {
		t.Errorf("%d vectors", len(vs))
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, v := range vs {
		var leaf [32]byte
		copy(leaf[:], unhex(v.Leaf))
		body := make([]byte, cell.BodySize)
		copy(body, unhex(v.Body))
		h, err := cell.ParseHello(body)
		if err == nil {
			err = checkHello(h, directory.NetworkID(unhex(v.Network)), leaf, v.Leaf != "", time.Unix(v.Now, 0))
		}
		if want := vectorErrors[v.Expect]; !errors.Is(err, want) || err == nil && v.Expect != "ok" {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Expect)
		}
		// The text that was signed, rebuilt by hand from the body.
		raw := unhex(v.Body)
		text := append([]byte(labelProof), raw[8:40]...)
		text = append(text, unhex(vs[0].Leaf)...)
		text = append(text, raw[80:88]...)
		if !bytes.Equal(text, unhex(v.Text)) {
			t.Errorf("%s: another text was signed", v.Name)
		}
	}
}

func TestProofIsRenewed(t *testing.T) {
	c, err := newCredentials(testNetwork, &Identity{Key: seeded("a"), LinkKey: seeded("b")})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for range 60 {
		h := c.hello(RoleRelay, now)
		for _, at := range []time.Time{now, now.Add(-2 * 24 * time.Hour), now.Add(20 * 24 * time.Hour)} {
			if err := checkHello(h, testNetwork, c.link, true, at); err != nil {
				t.Fatalf("%v at %v: %v", now, at, err)
			}
		}
		now = now.Add(17 * time.Hour)
	}
	// A clock that was set back gives a fresh proof too.
	if h := c.hello(RoleRelay, now.Add(-90*24*time.Hour)); checkHello(h, testNetwork, c.link, true, now.Add(-90*24*time.Hour)) != nil {
		t.Error("no proof after the clock was set back")
	}
}

func TestLabelIsOurs(t *testing.T) {
	if !strings.HasPrefix(labelProof, "hearsay/1 ") {
		t.Error(labelProof)
	}
}

// FuzzControl feeds cells to a control stream and to the judge of its hello.
// Four bytes of input make one cell: which one, where to flip bits, and which.
// Whatever is accepted re-encodes to the same bytes, the hello comes first and
// once, SHAPE and trim come on the links of clients alone, the trim is that of
// the place, and only a node with a certificate has an identity. The highest bit
// of the second byte gives a cell the trim of its place.
func FuzzControl(f *testing.F) {
	node, client := makeFuzzHello(), clientHello()
	shape := make([]byte, cell.Size)
	cell.Header{Type: cell.Shape}.Put(shape)
	bases := [][]byte{helloCell(node), helloCell(client), make([]byte, cell.Size), goAwayCell(), shape, nil}
	f.Add([]byte{0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0})
	f.Add([]byte{0, 0, 90, 1, 1, 0, 8, 255})
	f.Add([]byte{4, 0, 0, 0, 5, 0, 0, 4})
	f.Add([]byte{1, 0, 0, 0, 2, 0x80, 0, 0, 4, 0x80, 0, 0, 4, 0, 4, 1})
	leaf := publicOf(seeded("fuzz link"))
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := control{client: len(ops)%8 >= 4}
		var taken uint64
		for n := 0; len(ops) >= 4; n++ {
			c := bytes.Clone(bases[int(ops[0])%len(bases)])
			if ops[1]&0x80 != 0 && len(c) > 0 {
				c[3] = byte(trim(0, taken))
				c = append(c, make([]byte, c[3])...)
			}
			if pos := int(ops[1])<<8 | int(ops[2]); len(c) > 0 {
				c[pos%len(c)] ^= ops[3]
				if ops[0]&0x80 != 0 {
					c = c[:pos%len(c)]
				}
			}
			ops = ops[4:]
			h, shape, err := s.take(c)
			if err != nil {
				return
			}
			if m := len(c) - cell.Size; m != int(c[3]) || m != 0 && (!s.client || n == 0 || m > trim(0, taken) || m < trim(0, taken)-besideMost) {
				t.Fatalf("a trim of %d at %d", m, taken)
			}
			taken += uint64(len(c))
			if shape != nil && (!s.client || !bytes.Equal(shapeCell(*shape)[cell.HeaderSize:], c[cell.HeaderSize:cell.Size])) {
				t.Fatal("SHAPE of no client, or one that encodes differently")
			}
			if (n == 0) != (h != nil) {
				t.Fatal("the hello is not the first cell, or not the only one")
			}
			if h == nil {
				continue
			}
			if !bytes.Equal(helloCell(*h), c) {
				t.Fatal("an accepted hello encodes differently")
			}
			for _, hasLeaf := range []bool{false, true} {
				if checkHello(*h, testNetwork, leaf, hasLeaf, now) != nil {
					continue
				}
				if (Role(h.Role) == RoleClient) == hasLeaf {
					t.Fatal("a client with a certificate or a node without")
				}
				if hasLeaf && (h.Proof != node.Proof || h.Identity != node.Identity || h.NotBefore != node.NotBefore || h.NotAfter != node.NotAfter) {
					t.Fatal("a changed proof is accepted")
				}
			}
		}
	})
}

func makeFuzzHello() cell.Hello {
	now := time.Unix(1_800_000_000, 0)
	key := seeded("fuzz identity")
	p := makeProof(testNetwork, key, publicOf(seeded("fuzz link")), now)
	return cell.Hello{
		Lowest: 1, Highest: 1, Role: byte(RoleRelay), Network: testNetwork, Time: uint64(now.Unix()),
		Identity: publicOf(key), NotBefore: p.notBefore, NotAfter: p.notAfter, Proof: p.signature,
	}
}
