package session

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func testMember(n byte) MemberID { return MemberID{0: n, 15: 0xee} }

func testGroup() GroupID { return GroupID{0: 'g', 15: 1} }

// groupVectors are contents with what is expected of them. Kind is text, op,
// intro or roster.
type groupVectors struct {
	Cases []struct {
		Name, Kind, Class string
		Content           hexBytes
	}
	Author hexBytes // of the text below
	Text   hexBytes
	ID     hexBytes // its message id
	Ops    []hexBytes
	Hashes []hexBytes // after each of Ops
}

func parseGroupKind(kind string, b []byte) (again []byte, err error) {
	switch kind {
	case "text":
		g, err := ParseGroupText(b)
		if err != nil {
			return nil, err
		}
		return g.Append(nil)
	case "op":
		g, err := ParseGroupOp(b)
		return g.Append(nil), err
	case "intro":
		i, err := ParseIntro(b)
		return i.Append(nil), err
	default:
		op, err := ParseRosterOp(b)
		return op.Append(nil), err
	}
}

func testGroupText() GroupText {
	reply := [16]byte{1, 2, 3}
	return GroupText{
		Group: testGroup(), Epoch: 3, Roster: [16]byte{9, 9}, Seq: 7, Parents: [][16]byte{{1}, {2}},
		Text: Text{Reply: &reply, Text: "to all"},
	}
}

func testRosterOps() []RosterOp {
	return []RosterOp{
		{Kind: RosterCreate, Group: testGroup(), Members: []MemberID{testMember(1), testMember(2)}, Name: "printers"},
		{Kind: RosterAdd, Member: testMember(3)},
		{Kind: RosterRename, Name: "Drucker"},
		{Kind: RosterRemove, Member: testMember(2)},
		{Kind: RosterAdmin, Member: testMember(3)},
		{Kind: RosterLeft, Member: testMember(1)},
	}
}

func makeGroupVectors() (v groupVectors) {
	add := func(name, kind string, b []byte) {
		_, err := parseGroupKind(kind, b)
		v.Cases = append(v.Cases, struct {
			Name, Kind, Class string
			Content           hexBytes
		}{name, kind, class(err), b})
	}
	change := func(b []byte, at int, to byte) []byte { b = bytes.Clone(b); b[at] = to; return b }
	text := must(testGroupText().Append(nil))
	plain := must(GroupText{Group: testGroup(), Epoch: 1, Seq: 1, Text: Text{Text: "a"}}.Append(nil))
	add("text with parents and reply", "text", text)
	add("shortest text", "text", plain)
	add("no text", "text", plain[:len(plain)-1])
	add("epoch 0", "text", change(plain, 19, 0))
	add("seq 0", "text", change(plain, 43, 0))
	add("five parents", "text", change(text, 44, 5))
	add("parents that fall", "text", change(text, 45, 0xff))
	add("unknown attribute", "text", change(plain, 45, 4))
	ops := GroupOp{Group: testGroup(), Form: GroupOps, Epoch: 1, You: testMember(2), Ops: [][]byte{testRosterOps()[0].Append(nil), testRosterOps()[1].Append(nil)}}.Append(nil)
	add("operations", "op", ops)
	add("leave", "op", GroupOp{Group: testGroup(), Form: GroupLeave}.Append(nil))
	add("want", "op", GroupOp{Group: testGroup(), Form: GroupWant, Epoch: 4}.Append(nil))
	add("known", "op", GroupOp{Group: testGroup(), Form: GroupKnown, Member: testMember(1), Nonce: [16]byte{5}}.Append(nil))
	add("unknown form", "op", change(ops, 16, 5))
	add("reserved byte", "op", change(ops, 17, 1))
	add("fewer operations than said", "op", change(ops, 41, 3))
	add("bytes behind", "op", append(bytes.Clone(ops), 0))
	ask := Intro{Group: testGroup(), Form: IntroAsk, From: testMember(1), To: testMember(2), Nonce: [16]byte{7}, Tags: [IntroTags][8]byte{{8}}}
	link := Intro{Group: testGroup(), Form: IntroLink, From: testMember(2), To: testMember(1), Nonce: [16]byte{7}, Link: testInvite(seeded("group")).Link().String()}
	add("ask", "intro", ask.Append(nil))
	add("link", "intro", link.Append(nil))
	ask.To = ask.From
	add("to oneself", "intro", ask.Append(nil))
	add("short link", "intro", link.Append(nil)[:190])
	r := &Roster{}
	for _, op := range testRosterOps() {
		raw := op.Append(nil)
		add("operation", "roster", raw)
		if err := r.Apply(raw); err != nil {
			panic(err)
		}
		sum := r.Hash(r.Epoch())
		v.Ops, v.Hashes = append(v.Ops, raw), append(v.Hashes, sum[:])
	}
	create := testRosterOps()[0].Append(nil)
	add("no members", "roster", change(create, 17, 0))
	add("33 members", "roster", change(create, 17, 33))
	add("one member twice", "roster", change(create, 18, 2))
	add("name of no UTF-8", "roster", change(create, len(create)-1, 0xff))
	add("zero member", "roster", append([]byte{byte(RosterAdd)}, make([]byte, 16)...))
	v.Author, v.Text = bytes.Clone(testMember(4).bytes()), text
	id := must(testGroupText().ID(testMember(4)))
	v.ID = id[:]
	return v
}

func (m MemberID) bytes() []byte { return m[:] }

func TestGroupVectors(t *testing.T) {
	v := vectors(t, "group.json", makeGroupVectors)
	for _, c := range v.Cases {
		again, err := parseGroupKind(c.Kind, c.Content)
		if got := class(err); got != c.Class {
			t.Errorf("%s: %s, want %s", c.Name, got, c.Class)
		}
		if err == nil {
			same(t, c.Name, again, c.Content)
		}
	}
	text := must(ParseGroupText(v.Text))
	id := must(text.ID(MemberID(v.Author)))
	same(t, "message id", id[:], v.ID)
	r := &Roster{}
	for i, op := range v.Ops {
		if err := r.Apply(op); err != nil {
			t.Fatal(err)
		}
		sum := r.Hash(r.Epoch())
		same(t, "roster hash", sum[:], v.Hashes[i])
	}
}

// TestGroupOracle computes hashes and ids by the tables of the specification
// alone.
func TestGroupOracle(t *testing.T) {
	v := vectors(t, "group.json", makeGroupVectors)
	before := make([]byte, 32)
	for i, op := range v.Ops {
		before = oracleHash("hearsay/1 roster\x00", before, op)
		same(t, "roster hash", before, v.Hashes[i])
	}
	// group 16, epoch 4, roster 16, seq 8, count 1, parents, then the text.
	b := []byte(v.Text)
	id := oracleHash("hearsay/1 group\x00", b[:16], v.Author, b[36:44], b[45+16*int(b[44]):])
	same(t, "message id", id[:16], v.ID)
}

func oracleHash(parts ...any) []byte {
	h := sha256.New()
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			h.Write([]byte(p))
		case []byte:
			h.Write(p)
		case hexBytes:
			h.Write(p)
		}
	}
	return h.Sum(nil)
}

func FuzzParseGroup(f *testing.F) {
	for _, c := range makeGroupVectors().Cases {
		f.Add(c.Kind, []byte(c.Content))
	}
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		again, err := parseGroupKind(kind, b)
		checkParse(t, b, again, err)
	})
}

// FuzzRoster feeds operations, whatever they are, to a roster: it holds 1 to 32
// different members, the admin among them, none of whom was there before, and
// reads back as it was.
func FuzzRoster(f *testing.F) {
	r := &Roster{}
	for _, op := range testRosterOps() {
		_ = r.Apply(op.Append(nil))
	}
	f.Add(r.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Roster{}
		rest := reader{b: b}
		for len(rest.b) > 0 && !rest.bad {
			op := rest.bytes(int(rest.uint16()))
			epoch, members, name := r.Epoch(), slices.Clone(r.Members), r.Name
			if err := r.Apply(op); err != nil {
				if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) {
					t.Fatal(err)
				}
				if r.Epoch() != epoch || !slices.Equal(r.Members, members) || r.Name != name {
					t.Fatal("an error changed the roster")
				}
				continue
			}
			checkRoster(t, r)
		}
		again, err := ParseRoster(r.Append(nil))
		if err != nil || again.Hash(again.Epoch()) != r.Hash(r.Epoch()) || !slices.Equal(again.Members, r.Members) {
			t.Fatal("reads back as another roster", err)
		}
	})
}

func checkRoster(t testing.TB, r *Roster) {
	t.Helper()
	if len(r.Members) == 0 || len(r.Members) > MaxGroupMembers || !r.Has(r.Admin) || r.Name == "" || r.Hash(r.Epoch()) == [32]byte{} {
		t.Fatalf("%d members", len(r.Members))
	}
	for i, m := range r.Members {
		if slices.Contains(r.Members[:i], m) || slices.Contains(r.Former, m) || m == (MemberID{}) {
			t.Fatal("a member twice")
		}
	}
}

// TestRosterModel compares a roster with a plain set.
func TestRosterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Roster{}
		create := RosterOp{Kind: RosterCreate, Group: testGroup(), Members: []MemberID{testMember(1)}, Name: "a"}
		if err := r.Apply(create.Append(nil)); err != nil {
			t.Fatal(err)
		}
		members, used, admin := map[byte]bool{1: true}, map[byte]bool{1: true}, byte(1)
		for range rapid.IntRange(0, 60).Draw(t, "operations") {
			n := byte(rapid.IntRange(1, 40).Draw(t, "member"))
			op := RosterOp{Kind: RosterKind(rapid.IntRange(2, 6).Draw(t, "kind")), Member: testMember(n), Name: "b"}
			var good bool
			switch op.Kind {
			case RosterAdd:
				if good = !used[n] && len(members) < MaxGroupMembers; good {
					members[n], used[n] = true, true
				}
			case RosterRemove, RosterLeft:
				if good = members[n] && n != admin; good {
					delete(members, n)
				}
			case RosterAdmin:
				if good = members[n] && n != admin; good {
					admin = n
				}
			case RosterRename:
				good = true
			}
			if err := r.Apply(op.Append(nil)); (err == nil) != good {
				t.Fatalf("kind %d of member %d: %v, want good %t", op.Kind, n, err, good)
			}
		}
		if len(r.Members) != len(members) || r.Admin != testMember(admin) {
			t.Fatalf("%d members, want %d", len(r.Members), len(members))
		}
		for n := range members {
			if !r.Has(testMember(n)) {
				t.Fatalf("member %d is missing", n)
			}
		}
	})
}

// TestGroupTruncation cuts and changes contents at every byte: nothing panics,
// and what is taken is another content, never the same.
func TestGroupTruncation(t *testing.T) {
	v := vectors(t, "group.json", makeGroupVectors)
	for _, c := range v.Cases {
		for n := range c.Content {
			if again, err := parseGroupKind(c.Kind, c.Content[:n]); err == nil && !bytes.Equal(again, c.Content[:n]) {
				t.Fatalf("%s cut to %d bytes", c.Name, n)
			}
		}
	}
}

// TestIntroTag checks that both sides of a session have the same tag, for this
// group and these members only.
func TestIntroTag(t *testing.T) {
	a, b := pairUp(rand.Reader)
	from, to := testMember(1), testMember(2)
	if a.IntroTag(testGroup(), from, to) != b.IntroTag(testGroup(), from, to) {
		t.Error("the sides differ")
	}
	tags := [][8]byte{
		a.IntroTag(testGroup(), from, to), a.IntroTag(testGroup(), to, from),
		a.IntroTag(GroupID{1}, from, to), a.IntroTag(testGroup(), from, testMember(3)),
	}
	for i, tag := range tags {
		if slices.Contains(tags[:i], tag) {
			t.Error("a tag serves twice")
		}
	}
}
