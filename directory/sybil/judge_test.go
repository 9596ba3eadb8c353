package sybil

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/directory"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden vector anew")

// digest writes down everything that a judgement decides.
func digest(out Output) string {
	var b strings.Builder
	for i := range out.Listed {
		l := &out.Listed[i]
		fmt.Fprintf(&b, "%x flags %d weights %d %d %d kin %x as %d %v\n", l.Descriptor.ID[:4], l.Flags, l.Guard, l.Inner, l.Mailbox, l.Kin[:4], l.AS, l.Addrs)
	}
	var unlisted []string
	for id, rule := range out.Unlisted {
		unlisted = append(unlisted, fmt.Sprintf("%x rule %d\n", id[:4], rule))
	}
	slices.Sort(unlisted)
	b.WriteString(strings.Join(unlisted, ""))
	h := out.Ledger.Hash()
	fmt.Fprintf(&b, "epoch %v ledger %x recommended %v\n", out.Epoch, h[:8], out.Recommended)
	return b.String()
}

// TestOrderOfInputDecidesNothing shuffles votes, what they say, and records.
func TestOrderOfInputDecidesNothing(t *testing.T) {
	w := crowd(t, 120)
	for i, a := range w.relays {
		if i%7 == 0 {
			a.vote = func(s int, v *directory.RelayVote) {
				if (s+i)%3 == 0 {
					v.Reached = 0
				}
			}
		}
	}
	w.spread("new", 20)
	in := w.input()
	want := digest(Judge(in))
	rapid.Check(t, func(t *rapid.T) {
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		again := in
		again.Votes, again.Records = slices.Clone(in.Votes), slices.Clone(in.Records)
		rnd.Shuffle(len(again.Votes), func(i, j int) { again.Votes[i], again.Votes[j] = again.Votes[j], again.Votes[i] })
		rnd.Shuffle(len(again.Records), func(i, j int) { again.Records[i], again.Records[j] = again.Records[j], again.Records[i] })
		again.Records = append(again.Records, again.Records[0])
		if got := digest(Judge(again)); got != want {
			t.Fatal("the order of the input decides")
		}
	})
}

// TestJudgeChangesNothing judges the same input twice.
func TestJudgeChangesNothing(t *testing.T) {
	w := crowd(t, 60)
	w.spread("new", 10)
	in := w.input()
	before := in.Ledger.Hash()
	a, b := digest(Judge(in)), digest(Judge(in))
	if a != b || in.Ledger.Hash() != before {
		t.Error("judging changes its input")
	}
}

const vectorFile = "testdata/judgement.txt"

// TestGoldenJudgement holds a judgement of 300 relays with everything in it to
// what it was on the machine that made the file: amd64 and arm64 must agree.
func TestGoldenJudgement(t *testing.T) {
	w := crowd(t, 300)
	w.soft = []string{"hearsay 0.3", "hearsay 0.4"}
	for i, a := range w.relays {
		a.fail = byte(i % 101)
		if i%11 == 0 {
			a.flags, a.reason, a.until = directory.VoteMiddleOnly, "odd", uint16(w.at.Unix()/daySeconds+9)
		}
	}
	burst(w, 12, false)
	var b strings.Builder
	b.WriteString("# three judgements of one network; made by go test -update from fixed values\n")
	for range 3 {
		b.WriteString(digest(w.judge()))
	}
	if *update {
		check(t, os.WriteFile(vectorFile, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(vectorFile)
	check(t, err)
	if b.String() != string(want) {
		got := strings.Split(b.String(), "\n")
		for i, line := range strings.Split(string(want), "\n") {
			if i >= len(got) || got[i] != line {
				t.Fatalf("line %d: %s, want %s", i+1, got[min(i, len(got)-1)], line)
			}
		}
		t.Fatal("more lines than before")
	}
}

// TestSnapshotsAreMade takes a judgement to a signed snapshot.
func TestSnapshotsAreMade(t *testing.T) {
	w := crowd(t, 100)
	w.votes = 1
	in := w.input()
	if _, err := in.Votes[0].Sign(w.id, testKey("online")); err != nil {
		t.Fatal(err)
	}
	for i, a := range w.relays { // entries need true keys
		k := testKey(fmt.Sprint("link ", i))
		a.d.LinkKey = publicOf(k)
	}
	out := Judge(in)
	log, err := directory.NewLog(w.chain)
	check(t, err)
	s, err := directory.NewSnapshot(w.chain, log, w.at, out.Judgement)
	check(t, err)
	if len(s.Entries) != 100 || len(s.Header.Votes) != 1 || s.Header.Votes[0] != in.Votes[0].Hash() || len(s.Tables.ASes) == 0 || len(s.Tables.Families) == 0 {
		t.Fatalf("%d entries, votes %v", len(s.Entries), s.Header.Votes)
	}
	kin := make(map[uint16]int)
	for i := range s.Entries {
		if s.Entries[i].AS == 0 {
			t.Error("an entry without AS")
		}
		kin[s.Entries[i].Family]++
	}
	if len(kin) < 10 {
		t.Errorf("%d families", len(kin))
	}
}

func TestReasonsAreJSON(t *testing.T) {
	w, list := grown(t, open, 25)
	list[0].speed = mib - 8
	w.judge()
	for _, a := range list {
		for _, r := range Explain(w.in, w.out, a.d.ID) {
			b, err := json.Marshal(r)
			check(t, err)
			var m map[string]any
			check(t, json.Unmarshal(b, &m))
			for _, key := range []string{"rule", "effect", "text", "next"} {
				if m[key] == nil || m[key] == "" {
					t.Errorf("%s: no %s", b, key)
				}
			}
			if strings.ContainsAny(r.Text, "\n") || strings.Contains(r.Text, "%!") {
				t.Errorf("text %q", r.Text)
			}
		}
	}
	// The zero output is computed.
	if a, b := Explain(w.in, Output{}, list[0].d.ID), Explain(w.in, w.out, list[0].d.ID); len(a) != len(b) || a[0].Text != b[0].Text {
		t.Error("explaining anew says something else")
	}
}

// source hands out the bytes of a fuzz input.
type source struct{ b []byte }

func (s *source) next() int {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return int(c)
}

// FuzzJudge builds networks from bytes: no panic, no relay both listed and not,
// no weight without role, and a ledger that can be stored.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add(bytes.Repeat([]byte{0xff, 3, 0, 77}, 200))
	joins := []directory.Join{directory.JoinOpen, directory.JoinToken, directory.JoinClosed, directory.JoinOpen | directory.JoinToken | directory.JoinVouch}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &source{b}
		c := worldConfig{join: joins[s.next()%4], lab: s.next()%4 == 0, signers: 1 + s.next()%9, params: map[directory.Param]int64{directory.ParamPoWBits: 0}}
		for p := directory.ParamASCap; p <= directory.ParamUnvouchedCap; p++ {
			if s.next()%4 == 0 {
				c.params[p] = int64(s.next() * 4 % 1001)
			}
		}
		if s.next()%2 == 0 {
			c.as = "0.0.0.0/1 1\n128.0.0.0/2 2\n"
		}
		w := newWorld(t, c)
		w.at = w.at.Add(time.Duration(s.next()) * 12 * time.Hour)
		var parts directory.LedgerParts
		for i := range min(len(s.b)/12, 60) {
			a := w.add(fmt.Sprint(i), addr4(byte(s.next()), byte(s.next()%3), byte(s.next()%3), byte(s.next()%3)).Addr().String())
			a.d.Addrs = append(a.d.Addrs, addr4(9, byte(s.next()), 1, 1))
			a.speed, a.fail, a.flags = byte(s.next()%128), byte(s.next()%101), directory.VoteFlags(s.next())&(directory.VoteConflict|directory.VoteApprove)
			reached := byte(s.next())
			a.vote = func(i int, v *directory.RelayVote) { v.Reached = reached >> (i % 7) & v.Tried }
			if x := s.next(); x%2 == 0 {
				a.d.Families = []directory.Family{{Key: [32]byte{byte(x / 32)}, Expires: w.at.Add(time.Hour)}}
			}
			a.d.Roles = directory.Roles(s.next() % 32)
			if x := s.next(); x%3 > 0 {
				h := directory.History{
					Key: directory.GossipKey(w.id, a.d.ID), State: directory.HistoryState(s.next()), Listed: uint32(x) << 17, LastListed: uint32(w.at.Unix()) - 60,
					FirstListed: uint32(w.at.Unix()) - uint32(s.next())<<16, Run: uint32(s.next()) << 14, HoldUntil: uint32(w.at.Unix()) + uint32(x%3-1)*600,
					WFUUp: uint32(s.next()), WFUKnown: uint32(s.next()), MTBFSum: uint32(s.next()), MTBFCount: uint16(s.next()), Lineage: uint16(x % 4),
				}
				parts.Relays = append(parts.Relays, h)
			}
		}
		w.ledger = directory.NewLedger(w.at.Add(-time.Minute), parts)
		for range 2 {
			w.judge()
			again, err := directory.ParseLedger(w.ledger.Append(nil))
			if err != nil || again.Hash() != w.ledger.Hash() {
				t.Fatalf("the ledger cannot be stored: %v", err)
			}
			for i := range w.out.Listed {
				l := &w.out.Listed[i]
				if _, both := w.out.Unlisted[l.Descriptor.ID]; both || l.Guard != 0 && l.Flags&directory.FlagGuard == 0 ||
					l.Mailbox != 0 && l.Flags&directory.FlagMailbox == 0 || l.Inner != 0 && l.Descriptor.Roles&directory.RoleInner == 0 {
					t.Fatalf("%+v", l)
				}
				Explain(w.in, w.out, l.Descriptor.ID)
			}
			for id := range w.out.Unlisted {
				Explain(w.in, w.out, id)
			}
		}
	})
}

func FuzzParseASTable(f *testing.F) {
	f.Add([]byte("10.0.0.0/8 1\n2a00::/16 2\n"))
	f.Add([]byte("# c\n\n10.0.0.0/8\t7\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ParseASTable(b)
		if err != nil {
			return
		}
		if table.Hash() != sha256.Sum256(b) {
			t.Fatal(hex.EncodeToString(b))
		}
		table.Lookup(addr4(10, 1, 1, 1).Addr())
	})
}
