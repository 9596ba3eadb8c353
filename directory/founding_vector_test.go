package directory

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// foundingFile holds the vectors of what founders exchange, in the form of
// vectors.txt.
const foundingFile = "testdata/founding.txt"

// vectorCommunity is the network of three whose documents the vectors are.
func vectorCommunity(t testing.TB) *Chain { return community(t, 3) }

func makeFoundingVectors(t testing.TB) []vector {
	must := func(b []byte, err error) []byte {
		t.Helper()
		check(t, err)
		return b
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
	c := vectorCommunity(t)
	card := testCard(t, "anna", false, "8.8.4.4:4443")
	founding, err := DraftFounding(communityFile(t, 3))
	check(t, err)
	blank := must(founding.Bytes())
	partly := must(signAll(t, founding, "anna").Bytes())
	second := must(signAll(t, draftOf(t, c, func(f *NetworkFile) { f.Join = JoinToken | JoinVouch }), "ben").Bytes())
	notice, err := c.SignSuccessor(community(t, 2).Link(nil), testTime, testKey("root anna"), testKey("root ben"))
	check(t, err)
	other, err := community(t, 2).SignSuccessor(c.Link(nil), testTime, testKey("root anna"))
	check(t, err)
	mnemonic := strings.Join(RootWords(testSeed()), " ")
	return []vector{
		{"card", "listens", "ok", card},
		{"card", "dials-only", "ok", testCard(t, "ben", false, "")},
		{"card", "lab-ipv6", "ok", testCard(t, "carl", true, "[fd00::1]:4443")},
		{"card", "text", "ok", []byte(CardText(card))},
		{"card", "changed-name", "no-proof", replace(card, "anna", "anne")},
		{"card", "changed-signature", "no-proof", flip(card, -1)},
		{"card", "mistyped-text", "bad-card", []byte(CardText(card)[:50])},
		{"draft", "unsigned", "ok", blank},
		{"draft", "one-of-three", "ok", partly},
		{"draft", "amendment", "ok", second},
		{"draft", "changed-name", "changed", replace(partly, "harbour", "harbors")},
		{"draft", "changed-signature", "changed", flip(partly, -1)},
		{"draft", "truncated", "bad-draft", partly[:len(partly)-1]},
		{"successor", "two-of-three", "ok", notice.Bytes()},
		{"successor", "text", "ok", []byte(notice.Text())},
		{"successor", "other-network", "bad-successor", other.Bytes()},
		{"words", "root", "ok", []byte(mnemonic)},
		{"words", "first-letters", "ok", []byte(firstLetters(mnemonic))},
		{"words", "swapped", "bad-words", []byte(swapWords(mnemonic))},
		{"words", "unknown", "bad-words", []byte("x" + mnemonic)},
	}
}

func firstLetters(text string) string {
	list := strings.Fields(text)
	for i, w := range list {
		list[i] = w[:min(4, len(w))]
	}
	return strings.Join(list, " ")
}

func swapWords(text string) string {
	list := strings.Fields(text)
	list[2], list[3] = list[3], list[2]
	return strings.Join(list, " ")
}

var foundingClasses = []struct {
	name string
	err  error
}{
	{"no-proof", ErrNoProof},
	{"bad-card", ErrBadCard},
	{"changed", ErrDraftChanged},
	{"bad-draft", ErrBadDraft},
	{"bad-successor", ErrBadSuccessor},
	{"bad-words", ErrBadWords},
}

func foundingClass(err error) string {
	if err == nil {
		return "ok"
	}
	for _, c := range foundingClasses {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return "other"
}

// readFoundingVector reads a document and returns what its content encodes to,
// in the form that was read.
func readFoundingVector(c *Chain, v vector) ([]byte, error) {
	switch v.kind {
	case "card":
		card, err := ParseCard(v.data)
		if err != nil {
			return nil, err
		}
		raw, err := card.Sign(testKey("root "+card.Label), testKey("signer "+card.Label))
		if v.name == "text" {
			raw = []byte(CardText(raw))
		}
		return raw, err
	case "draft":
		d, err := ParseDraft(v.data)
		if err != nil {
			return nil, err
		}
		return d.Bytes()
	case "successor":
		s, err := c.ParseSuccessor(v.data)
		if err != nil {
			return nil, err
		}
		again, err := c.SignSuccessor(s.Link(), s.Made, testKey("root anna"), testKey("root ben"))
		if err != nil {
			return nil, err
		}
		if v.name == "text" {
			return []byte(again.Text()), nil
		}
		return again.Bytes(), nil
	case "words":
		seed, err := ParseRootWords(string(v.data))
		if err != nil {
			return nil, err
		}
		text := strings.Join(RootWords(seed), " ")
		if v.name == "first-letters" {
			text = firstLetters(text)
		}
		return []byte(text), nil
	}
	return nil, fmt.Errorf("unknown kind %q", v.kind)
}

func TestFoundingVectors(t *testing.T) {
	made := makeFoundingVectors(t)
	if *update {
		writeFoundingVectors(t, made)
	}
	read := readFoundingVectors(t)
	if len(made) != len(read) {
		t.Fatalf("%d vectors in the file, %d made; run with -update", len(read), len(made))
	}
	c := vectorCommunity(t)
	for i, v := range read {
		t.Run(v.kind+"/"+v.name, func(t *testing.T) {
			if !bytes.Equal(v.data, made[i].data) {
				t.Error("the encoding has changed")
			}
			again, err := readFoundingVector(c, v)
			if got := foundingClass(err); got != v.expect {
				t.Fatalf("%s (%v), want %s", got, err, v.expect)
			}
			if err == nil && !bytes.Equal(again, v.data) {
				t.Errorf("encoded again: %x", again)
			}
		})
	}
}

func writeFoundingVectors(t *testing.T, list []vector) {
	var b strings.Builder
	b.WriteString("# kind name expect hex; made by go test -update from fixed keys and times\n")
	for _, v := range list {
		fmt.Fprintf(&b, "%s %s %s %x\n", v.kind, v.name, v.expect, v.data)
	}
	check(t, os.WriteFile(foundingFile, []byte(b.String()), 0o644))
}

func readFoundingVectors(t testing.TB) []vector {
	raw, err := os.ReadFile(foundingFile)
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

func seedFounding(f *testing.F, kind string) {
	for _, v := range readFoundingVectors(f) {
		if v.kind == kind {
			f.Add(v.data)
		}
	}
}

func FuzzParseCard(f *testing.F) {
	seedFounding(f, "card")
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCardBody(b); err == nil {
			out, err := encode(&cardBody{V: 1, Root: c.Root, Signer: c.Signer, Label: c.Label, Bootstrap: cardBootstrap(c), Lab: c.Lab})
			same(t, b, out, err)
		}
		c, err := ParseCard(b)
		if err != nil {
			return
		}
		raw, err := c.Sign(testKey("root "+c.Label), testKey("signer "+c.Label))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, raw) && !strings.EqualFold(strip(string(b)), CardText(raw)) {
			t.Fatal("accepted what nobody signed")
		}
	})
}

func cardBootstrap(c *Card) *bootstrapEntry {
	if c.Bootstrap == nil {
		return nil
	}
	return &bootstrapEntry{ID: c.Bootstrap.ID, Addr: appendAddr(nil, c.Bootstrap.Addr)}
}

func FuzzParseDraft(f *testing.F) {
	seedFounding(f, "draft")
	old := vectorCommunity(f).Current()
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDraft(b)
		if err != nil {
			return
		}
		out, err := d.Bytes()
		same(t, b, out, err)
		if _, err := d.Assemble(testTime); err == nil && len(d.doc.Signatures) == 0 {
			t.Fatal("assembled without a signature")
		}
		Changes(old, d.File())
	})
}

func FuzzParseSuccessor(f *testing.F) {
	seedFounding(f, "successor")
	c := vectorCommunity(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := c.ParseSuccessor(b)
		if err == nil && !bytes.Equal(b, s.Bytes()) && !strings.EqualFold(strip(string(b)), s.Text()) {
			t.Fatal("other bytes")
		}
		if body, err := parseSuccessorBody(b); err == nil {
			again := successorBody{V: 1, Network: body.Network, Made: uint64(body.Made.Unix())}
			for _, o := range body.Bootstraps {
				again.Bootstraps = append(again.Bootstraps, bootstrapEntry{ID: o.ID, Addr: appendAddr(nil, o.Addr)})
			}
			out, err := encode(&again)
			same(t, b, out, err)
		}
	})
}

func FuzzParseRootWords(f *testing.F) {
	seedFounding(f, "words")
	f.Fuzz(func(t *testing.T, b []byte) {
		seed, err := ParseRootWords(string(b))
		if err != nil {
			return
		}
		again, err := ParseRootWords(strings.Join(RootWords(seed), " "))
		if err != nil || again != seed {
			t.Fatalf("%x reads as %x: %v", seed, again, err)
		}
	})
}
