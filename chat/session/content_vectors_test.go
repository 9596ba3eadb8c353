package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
)

// contentVector is the content of a frame or another structure of a kind that
// oracleContents knows. Others than good ones are a good one with a change.
type contentVector struct {
	Name    string
	Kind    string
	Content hexBytes `json:",omitempty"`
	Fields  fields   `json:",omitempty"`
	Bodies  hexBytes `json:",omitempty"` // SHA-256 of the bodies of its frames, from seq 1 on, with message id 09 00…

	Of    string   `json:",omitempty"` // the good one that is changed
	At    int      `json:",omitempty"`
	Put   hexBytes `json:",omitempty"` // at At
	Len   int      `json:",omitempty"` // then cut or filled with zeros to this
	Class string   // ok, format or auth
}

type patch struct {
	at  int
	put string
}

var frameKinds = map[string]FrameType{
	"TEXT": FrameText, "EDIT": FrameEdit, "RETRACT": FrameRetract, "REACT": FrameReact, "FILE": FrameFile, "FILECTL": FrameFileCtl,
	"TIMER": FrameTimer, "QADD": FrameQAdd, "QUSE": FrameQUse, "QBAD": FrameQBad, "RESETKEY": FrameResetKey, "SAS": FrameSASNonce,
	"GROUP": FrameGroup, "GROUPOP": FrameGroupOp, "INTRO": FrameIntro, "BYE": FrameBye,
}

func (v contentVector) content(good map[string]hexBytes) []byte {
	if v.Of == "" {
		return v.Content
	}
	b := bytes.Clone(good[v.Of])
	copy(b[v.At:], v.Put)
	if v.Len != 0 {
		b = append(b, make([]byte, 4096)...)[:v.Len]
	}
	return b
}

func decimal[T byte | uint16 | uint32 | uint64 | int](v T) string { return fmt.Sprint(v) }

func spaced[T any](all []T, show func(T) string, sep string) string {
	var s []string
	for _, v := range all {
		s = append(s, show(v))
	}
	return strings.Join(s, sep)
}

func (f fields) queue(name string, a QAddr) {
	if a.IsZero() {
		f[name] = "none"
		return
	}
	f[name+" relay"], f[name+" SID"] = hex.EncodeToString(a.Relay[:]), hex.EncodeToString(a.SID[:])
	f[name+" capability"], f[name+" key"] = hex.EncodeToString(a.Capability.b[:]), hex.EncodeToString(a.Key.b[:])
}

func (f fields) queues(p [2]QAddr) {
	f.queue("queue 0", p[0])
	f.queue("queue 1", p[1])
}

func (f fields) text(t Text) {
	a := 0
	if t.Reply != nil {
		a, f["reply"] = 1, hex.EncodeToString(t.Reply[:])
	}
	if t.Timer != 0 {
		a, f["timer"] = a+2, decimal(t.Timer)
	}
	f["attributes"], f["text"] = decimal(a), t.Text
}

func (f fields) xwing(k []byte) {
	f["ML-KEM"], f["X25519 of X-Wing"] = hex.EncodeToString(k[:1184]), hex.EncodeToString(k[1184:])
}

// packageContent is what the package reads, in the words of the oracle, and what
// it encodes that to again.
func packageContent(kind string, b []byte) (f fields, again []byte, err error) {
	f = fields{}
	h := func(b []byte) string { return hex.EncodeToString(b) }
	h16 := func(b [16]byte) string { return h(b[:]) }
	switch kind {
	case "TEXT":
		var t Text
		if t, err = ParseText(b); err == nil {
			f.text(t)
			again = must(t.Append(nil))
		}
	case "EDIT", "RETRACT", "REACT":
		var a Amendment
		if a, err = ParseAmendment(frameKinds[kind], b); err == nil {
			f["target"] = h16(a.Target)
			if kind != "RETRACT" {
				f["text"] = a.Text
			}
			again = must(a.Append(nil, frameKinds[kind]))
		}
	case "TIMER":
		var t Timer
		if t, err = ParseTimer(b); err == nil {
			f["seconds"], f["change"], again = decimal(t.Seconds), decimal(t.Change), t.Append(nil)
		}
	case "FILE":
		var x File
		if x, err = ParseFile(b); err == nil {
			f["copies"], f["file key"], f["size"], f["SHA-256"] = decimal(x.Copies), h(x.Key.b[:]), decimal(x.Size), h(x.Hash[:])
			f["segments"], f["until"], f["name"] = decimal(x.Segments()), decimal(x.Until), x.Name
			f["relays"], again = spaced(x.Relays, h16, " "), must(x.Append(nil))
		}
	case "FILECTL":
		var c FileControl
		if c, err = ParseFileControl(b); err == nil {
			f["op"], f["file"], f["until"] = decimal(byte(c.Op)), h16(c.File), decimal(c.Until)
			f["entries"] = spaced(c.Ranges, func(r FileRange) string { return fmt.Sprintf("%d:%d+%d", r.Segment, r.First, r.Count) }, ", ") +
				spaced(c.Places, func(p FilePlace) string { return fmt.Sprintf("%d+%d copy %d %x", p.Segment, p.Count, p.Copy, p.Relay) }, ", ")
			again = must(c.Append(nil))
		}
	case "QADD":
		var q QAdd
		if q, err = ParseQAdd(b); err == nil {
			f["slot"], f["generation"], again = decimal(q.Slot), decimal(q.Generation), q.Append(nil)
			f.queue("queue", q.Addr)
		}
	case "QUSE":
		var q QUse
		if q, err = ParseQUse(b); err == nil {
			f["slot"], f["generation"], again = decimal(q.Slot), decimal(q.Generation), q.Append(nil)
		}
	case "QBAD":
		var q QBad
		if q, err = ParseQBad(b); err == nil {
			f["slot"], f["generation"], f["code"], again = decimal(q.Slot), decimal(q.Generation), decimal(byte(q.Code)), q.Append(nil)
		}
	case "RESETKEY":
		var p ResetPublic
		if p, err = ParseResetPublic(b); err == nil {
			f["key"], f["x25519"], again = decimal(p.ID), h(p.dh[:]), p.Append(nil)
			f.xwing(p.xwing[:])
		}
	case "SAS":
		var n [SASNonceSize]byte
		if n, err = ParseSAS(b); err == nil {
			f["value"], again = h(n[:]), n[:]
		}
	case "BYE":
		if again = []byte{}; len(b) != 0 {
			err = ErrFormat // chat looks at it
		}
	case "QADDR":
		var a QAddr
		if a, err = ParseQAddr(b); err == nil {
			f.queue("queue", a)
			again = a.Append(nil)
		}
	case "GROUP", "GROUPOP", "INTRO", "ROSTER":
		again, err = f.group(kind, b)
	case "BUNDLE", "ADDRESS":
		var u Bundle
		if u, err = ParseBundle(b); err == nil {
			f["network"], f["IKa"], f["DHa"], f["salt"] = h(u.Network[:]), h(u.ik[:]), h(u.dh[:]), h(u.salt[:])
			f.xwing(u.xwing[:])
			f.queues(u.Queues)
			if f["day"] = decimal(u.Expires); u.IsAddress() {
				a := u.address
				f["root"], f["seq"], f["work"], f["signature"] = h(a.root[:]), decimal(u.Seq()), strconv.Itoa(u.WorkBits()), h(a.sig[:])
			}
			again = u.Append(nil)
		}
	case "CORE":
		var c requestCore
		if c, err = parseRequestCore(testNow, b); err == nil {
			f["IKb"], f["EPb"], f["DHb"], f["KEMb"] = h(c.ik[:]), h(c.ep[:]), h(c.dh[:]), h(c.kem)
			f["day"], f["name"], f["hello"] = decimal(c.day), c.name, c.hello
			f.queues(c.queues)
			again = c.append(nil)
		}
	case "RESETCORE":
		var c resetCore
		if c, err = parseResetCore(b); err == nil {
			f["EP"], f["DH"], f["KEM"], f["counter"] = h(c.ep[:]), h(c.dh[:]), h(c.kem), decimal(c.counter)
			f["generation"], f["key"], f["lowest"] = decimal(c.device), decimal(c.key), decimal(c.lowest)
			f.queues(c.queues)
			again = c.append(nil)
		}
	default:
		panic(kind)
	}
	return f, again, err
}

func (f fields) group(kind string, b []byte) (again []byte, err error) {
	h := func(b []byte) string { return hex.EncodeToString(b) }
	h16 := func(b [16]byte) string { return h(b[:]) }
	member := func(m MemberID) string { return h(m[:]) }
	switch kind {
	case "GROUP":
		g, err := ParseGroupText(b)
		if err != nil {
			return nil, err
		}
		f["group"], f["epoch"], f["roster"], f["seq"] = h(g.Group[:]), decimal(g.Epoch), h16(g.Roster), decimal(g.Seq)
		f["parents"] = spaced(g.Parents, h16, " ")
		f.text(g.Text)
		return g.Append(nil)
	case "GROUPOP":
		g, err := ParseGroupOp(b)
		if err != nil {
			return nil, err
		}
		f["group"], f["form"] = h(g.Group[:]), decimal(byte(g.Form))
		switch g.Form {
		case GroupOps:
			f["epoch"], f["receiver"], f["operations"] = decimal(g.Epoch), member(g.You), spaced(g.Ops, h, " ")
		case GroupWant:
			f["epoch"] = decimal(g.Epoch)
		case GroupKnown:
			f["member"], f["nonce"] = member(g.Member), h16(g.Nonce)
		}
		return g.Append(nil), nil
	case "INTRO":
		i, err := ParseIntro(b)
		if err != nil {
			return nil, err
		}
		f["group"], f["form"], f["from"], f["to"], f["nonce"] = h(i.Group[:]), decimal(byte(i.Form)), member(i.From), member(i.To), h16(i.Nonce)
		if f["link"] = i.Link; i.Form == IntroAsk {
			delete(f, "link")
			f["tags"] = spaced(i.Tags[:], func(t [8]byte) string { return h(t[:]) }, "")
		}
		return i.Append(nil), nil
	}
	op, err := ParseRosterOp(b)
	if err != nil {
		return nil, err
	}
	switch f["kind"] = decimal(byte(op.Kind)); op.Kind {
	case RosterCreate:
		f["group"], f["members"], f["name"] = h(op.Group[:]), spaced(op.Members, member, " "), op.Name
	case RosterRename:
		f["name"] = op.Name
	default:
		f["member"] = member(op.Member)
	}
	return op.Append(nil), nil
}

func makeContentVectors() (all []contentVector) {
	random := seeded("content vectors")
	good := map[string]hexBytes{}
	ok := func(name, kind string, b []byte) {
		f, _, err := packageContent(kind, b)
		v := contentVector{Name: name, Kind: kind, Content: b, Fields: f, Class: class(err)}
		if kind, is := frameKinds[kind]; is {
			v.Bodies = bodiesHash(kind, b)
		}
		good[name] = b
		all = append(all, v)
	}
	change := func(of string, at int, put string, cut int) {
		v := contentVector{Of: of, At: at, Put: unhex(put), Len: cut}
		for _, o := range all {
			if o.Name == of {
				v.Kind = o.Kind
			}
		}
		v.Name = fmt.Sprintf("%s, %d: %s, %d", of, at, put, cut)
		_, _, err := packageContent(v.Kind, v.content(good))
		v.Class = class(err)
		all = append(all, v)
	}
	// lengths cuts one byte off and puts one behind.
	lengths := func(of string) {
		n := len(good[of])
		if n > 1 {
			change(of, 0, "", n-1)
		}
		change(of, 0, "", n+1)
	}
	id := [16]byte(unhex("000102030405060708090a0b0c0d0e0f"))

	ok("text", "TEXT", must(Text{Text: "hello"}.Append(nil)))
	ok("reply that disappears", "TEXT", must(Text{Text: "é", Reply: &id, Timer: 604800}.Append(nil)))
	ok("text of two frames", "TEXT", must(Text{Text: strings.Repeat("ab", 402)}.Append(nil)))
	change("text", 0, "04", 0)
	change("text", 5, "ff", 0)
	change("reply that disappears", 17, "00000000", 0)
	change("reply that disappears", 0, "", 21)
	change("reply that disappears", 0, "", 16)
	ok("edit", "EDIT", must(Amendment{Target: id, Text: "hello again"}.Append(nil, FrameEdit)))
	change("edit", 0, strings.Repeat("00", 16), 0)
	change("edit", 0, "", 16)
	change("edit", 16, "c3", 0)
	ok("retraction", "RETRACT", must(Amendment{Target: id}.Append(nil, FrameRetract)))
	lengths("retraction")
	ok("reaction", "REACT", must(Amendment{Target: id, Text: "👍🏽"}.Append(nil, FrameReact)))
	ok("reaction taken back", "REACT", must(Amendment{Target: id}.Append(nil, FrameReact)))
	change("reaction", 0, "", 15)
	change("reaction", 0, "", 65)
	ok("timer", "TIMER", Timer{Seconds: 604800, Change: 3}.Append(nil))
	lengths("timer")
	change("timer", 3, "81", 0)
	change("timer", 4, "00000000", 0)

	x := testFile(5_000_000, 4)
	ok("file", "FILE", must(x.Append(nil)))
	lengths("file")
	for _, p := range []patch{{0, "02"}, {1, "01"}, {2, "00"}, {3, "09"}, {36, "01"}, {79, "0b"}, {100, "01"}, {159, "ff"}} {
		change("file", p.at, p.put, 0)
	}
	ok("want", "FILECTL", must((&FileControl{Op: FileWant, File: id, Ranges: []FileRange{{3, 0, 512}, {4, 17, 1}}}).Append(nil)))
	lengths("want")
	change("want", 2, "00", 0)
	change("want", 23, "01", 0)
	change("want", 29, "01", 0)
	ok("moved", "FILECTL", must((&FileControl{Op: FileMoved, File: id, Until: 5, Places: []FilePlace{{Segment: 3, Count: 2, Copy: 2, Relay: [16]byte{8}}}}).Append(nil)))
	change("moved", 30, "01", 0)
	change("moved", 28, "0000", 0)
	change("moved", 31, "01", 0)
	ok("done", "FILECTL", must((&FileControl{Op: FileDone, File: id}).Append(nil)))
	ok("cancel", "FILECTL", must((&FileControl{Op: FileCancel, File: id}).Append(nil)))
	change("done", 1, "05", 0)
	change("done", 2, "01", 0)

	a := testQAddr(random)
	ok("queue", "QADDR", a.Append(nil))
	ok("no queue", "QADDR", make([]byte, 120))
	change("queue", 0, strings.Repeat("00", 32), 0)
	change("queue", 32, strings.Repeat("00", 24), 0)
	lengths("queue")
	ok("queue offered", "QADD", QAdd{Slot: 1, Generation: 258, Addr: a}.Append(nil))
	change("queue offered", 0, "02", 0)
	change("queue offered", 3, "01", 0)
	change("queue offered", 8, strings.Repeat("00", 120), 0)
	lengths("queue offered")
	ok("queue taken", "QUSE", QUse{Slot: 1, Generation: 258}.Append(nil))
	change("queue taken", 0, "02", 0)
	change("queue taken", 1, "01", 0)
	lengths("queue taken")
	ok("queue refused", "QBAD", QBad{Slot: 1, Generation: 258, Code: QBadUnwritable}.Append(nil))
	change("queue refused", 0, "02", 0)
	change("queue refused", 5, "02", 0)
	lengths("queue refused")
	ok("reset key", "RESETKEY", must(NewResetKey(random, 7)).Public().Append(nil))
	lengths("reset key")
	change("reset key", 36, "ffff", 0)
	nonce := must(NewSASNonce(random))
	ok("nonce", "SAS", nonce[:])
	lengths("nonce")
	ok("farewell", "BYE", []byte{})
	change("farewell", 0, "", 1)

	ok("group text", "GROUP", must(testGroupText().Append(nil)))
	change("group text", 0, strings.Repeat("00", 16), 0)
	change("group text", 16, "00000000", 0)
	change("group text", 36, "0000000000000000", 0)
	change("group text", 44, "05", 0)
	change("group text", 45, "02", 0)
	change("group text", 77, "04", 0)
	ops := GroupOp{Group: testGroup(), Form: GroupOps, Epoch: 1, You: testMember(2), Ops: [][]byte{testRosterOps()[0].Append(nil), testRosterOps()[1].Append(nil)}}
	ok("operations", "GROUPOP", ops.Append(nil))
	lengths("operations")
	for _, p := range []patch{{0, strings.Repeat("00", 16)}, {16, "05"}, {19, "01"}, {20, "00000000"}, {24, strings.Repeat("00", 16)}, {40, "0000"}} {
		change("operations", p.at, p.put, 0)
	}
	ok("leave", "GROUPOP", GroupOp{Group: testGroup(), Form: GroupLeave}.Append(nil))
	lengths("leave")
	ok("want operations", "GROUPOP", GroupOp{Group: testGroup(), Form: GroupWant, Epoch: 4}.Append(nil))
	ok("known", "GROUPOP", GroupOp{Group: testGroup(), Form: GroupKnown, Member: testMember(1), Nonce: [16]byte{5}}.Append(nil))
	change("known", 20, strings.Repeat("00", 16), 0)
	ask := Intro{Group: testGroup(), Form: IntroAsk, From: testMember(1), To: testMember(2), Nonce: [16]byte{7}, Tags: [IntroTags][8]byte{{8}, 63: {9}}}
	ok("introduction", "INTRO", ask.Append(nil))
	lengths("introduction")
	for _, p := range []patch{{0, strings.Repeat("00", 16)}, {16, "03"}, {17, "01"}, {20, strings.Repeat("00", 16)}, {36, strings.Repeat("00", 16)}, {20 + 16, "01"}} {
		change("introduction", p.at, p.put, 0)
	}
	ask.Form, ask.Link = IntroLink, testInvite(random).Link().String()
	ok("introduction with link", "INTRO", ask.Append(nil))
	lengths("introduction with link")
	for i, op := range testRosterOps() {
		ok(fmt.Sprintf("operation %d", i), "ROSTER", op.Append(nil))
		lengths(fmt.Sprintf("operation %d", i))
	}
	for _, p := range []patch{{0, "07"}, {1, strings.Repeat("00", 16)}, {17, "00"}, {18, "02"}, {50, "41"}, {51, "ff"}} {
		change("operation 0", p.at, p.put, 0)
	}
	change("operation 1", 1, strings.Repeat("00", 16), 0)
	makeLargeContents(random, ok, change, lengths)
	return all
}

// makeLargeContents adds bundles and the cores of containers.
func makeLargeContents(random interface{ Read([]byte) (int, error) }, ok func(name, kind string, b []byte), change func(of string, at int, put string, n int), lengths func(of string)) {
	zero := func(n int) string { return strings.Repeat("00", n) }
	ok("bundle", "BUNDLE", testInvite(random).Bundle().Append(nil))
	for _, p := range []patch{{0, "02"}, {1, "03"}, {2, "01"}, {100, "ffff"}, {1316, zero(120)}, {1316 + 32, zero(24)}, {1436, zero(32)}} {
		change("bundle", p.at, p.put, 0)
	}
	lengths("bundle")
	one := testInvite(random).Bundle()
	one.Queues[1] = QAddr{}
	ok("bundle of one queue", "BUNDLE", one.Append(nil))
	ok("address", "ADDRESS", testAddress(random).Bundle().Append(nil))
	lengths("address")
	for _, p := range []patch{{0, "02"}, {1, "03"}, {3, "01"}, {132, zero(4)}, {140, "1c"}, {143, "01"}, {176, "ffff"}, {1392, zero(120)}, {36, "01" + zero(31)}, {1700 - 64, "ff"}, {100, "00ff"}} {
		change("address", p.at, p.put, 0)
	}
	core := requestCore{
		queues: testPair(random), day: unixDay(testNow), name: "Märta", hello: "from the harbour",
		kem: must(newOffer(random)).EncapsulationKey().Bytes(),
	}
	for _, k := range []*[keySize]byte{&core.ik, &core.ep, &core.dh} {
		*k = [keySize]byte(must(newDH(random)).PublicKey().Bytes())
	}
	ok("request", "CORE", core.append(nil))
	lengths("request")
	for _, p := range []patch{{0, "02"}, {1, "03"}, {2, "01"}, {100, "ffff"}, {1284, zero(120)}, {1528, "40"}, {1529, "ff"}, {1536, "01"}, {1592, "01ff"}, {1594, "ff"}, {1700, "01"}, {2104, "01"}, {2703, "01"}} {
		change("request", p.at, p.put, 0)
	}
	reset := resetCore{
		ep: core.ep, dh: core.dh, kem: core.kem, queues: [2]QAddr{testQAddr(random)},
		counter: unixSeconds(testNow), device: 5, key: 3, lowest: 17,
	}
	ok("reset", "RESETCORE", reset.append(nil))
	lengths("reset")
	for _, p := range []patch{{0, "02"}, {1, "02"}, {2, "01"}, {68, "ffff"}, {1252, zero(120)}, {1492, zero(8)}, {1493, "ff"}, {1500, "80"}, {1508, zero(8)}, {1516, "01"}, {2703, "01"}} {
		change("reset", p.at, p.put, 0)
	}
	change("reset", 1492, "80", 0)
	change("reset", 1508, "80", 0)
}

// bodiesHash is SHA-256 of the frames that a message has if it is the first.
func bodiesHash(kind FrameType, content []byte) []byte {
	frames := must(Message{Type: kind, ID: [16]byte{9}, Content: content}.split())
	h := sha256.New()
	var prev [16]byte
	for i, f := range frames {
		f.Seq, f.Prev = uint64(i+1), prev
		h.Write(f.Append(nil))
		prev = f.sum()
	}
	return h.Sum(nil)
}

// TestContentVectors reads what every type of frame carries, bundles and cores by
// the package and by the second decoder: both find what was frozen, or both
// refuse.
func TestContentVectors(t *testing.T) {
	good := map[string]hexBytes{}
	kinds := map[string]bool{}
	for _, v := range vectors(t, "content.json", makeContentVectors) {
		b := v.content(good)
		if v.Of == "" {
			good[v.Name] = v.Content
			kinds[v.Kind] = true
		}
		f, again, err := packageContent(v.Kind, b)
		if class(err) != v.Class {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Class)
		}
		o, ok := oracleContent(v.Kind, b)
		if ok != (v.Class != "format") { // it looks at no signature
			t.Errorf("%s: the oracle takes it: %t", v.Name, ok)
		}
		if err != nil {
			continue
		}
		same(t, v.Name, again, b)
		if v.Of == "" && (!maps.Equal(f, v.Fields) || !maps.Equal(o, v.Fields)) {
			t.Errorf("%s:\n%v\n%v, want\n%v", v.Name, f, o, v.Fields)
		}
		if kind, is := frameKinds[v.Kind]; is && v.Of == "" {
			same(t, v.Name+": frames", bodiesHash(kind, b), v.Bodies)
			same(t, v.Name+": oracle's frames", oracleHash(bytes.Join(oracleBodies(byte(kind), 1, [16]byte{9}, b), nil)), v.Bodies)
		}
	}
	if len(kinds) != len(oracleContents) {
		t.Errorf("%d kinds of %d", len(kinds), len(oracleContents))
	}
}

// FuzzContentOracle compares the package with the second decoder.
func FuzzContentOracle(f *testing.F) {
	good := map[string]hexBytes{}
	for _, v := range makeContentVectors() {
		if v.Of == "" {
			good[v.Name] = v.Content
		}
		f.Add(v.Kind, v.content(good))
	}
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		if oracleContents[kind] == nil {
			return
		}
		got, again, err := packageContent(kind, b)
		want, ok := oracleContent(kind, b)
		if kind == "CORE" && err != nil || errors.Is(err, ErrAuth) {
			return // its day, or a signature
		}
		if (err == nil) != ok || ok && (!maps.Equal(got, want) || !bytes.Equal(again, b)) {
			t.Fatalf("%s: %v, the oracle takes it: %t\n%v\n%v", kind, err, ok, got, want)
		}
	})
}
