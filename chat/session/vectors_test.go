package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var updateVectors = flag.Bool("update", false, "write the golden vectors anew")

// hexBytes are hex in JSON.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// class names what is expected of an input.
func class(err error) string {
	for _, c := range []struct {
		err  error
		name string
	}{
		{ErrDuplicate, "duplicate"},
		{ErrAuth, "auth"},
		{ErrFormat, "format"},
		{ErrLimit, "limit"},
		{ErrUndecryptable, "undecryptable"},
		{ErrLater, "later"},
		{ErrLinkCheck, "check"},
		{ErrLinkFormat, "format"},
		{ErrOtherNetwork, "network"},
		{ErrExpired, "expired"},
	} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	if err != nil {
		return "other"
	}
	return "ok"
}

// vectors loads a file of testdata, or writes what make returns with -update.
func vectors[T any](t *testing.T, name string, make func() T) (v T) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateVectors {
		b := must(json.MarshalIndent(make(), "", " "))
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s = %x, want %x", what, got, want)
	}
}

type inviteVectors struct {
	Now     int64
	Network hexBytes
	Private hexBytes // Invite.Append
	Bundle  hexBytes
	Link    string
	LID     hexBytes
	Blob    hexBytes
	Links   []struct{ Name, Text, Class string }
	Blobs   []struct {
		Name  string
		Now   int64
		Blob  hexBytes
		Class string
	}
}

func makeInviteVectors() (v inviteVectors) {
	random := seeded("invite vectors")
	inv := testInvite(random)
	v.Now, v.Network = testNow.Unix(), testNetwork[:]
	v.Private, v.Bundle = inv.Append(nil), inv.Bundle().Append(nil)
	l := inv.Link()
	lid := l.LID()
	v.Link, v.LID, v.Blob = l.String(), lid[:], must(inv.SealBlob(random))
	link := func(name string, l Link, change func([]byte) []byte) {
		s := string(change([]byte(l.String())))
		_, err := ParseLink(s, testNetwork)
		v.Links = append(v.Links, struct{ Name, Text, Class string }{name, s, class(err)})
	}
	keep := func(b []byte) []byte { return b }
	link("good", l, keep)
	one := l
	one.Relays[1] = [16]byte{}
	link("one relay", one, keep)
	other := l
	other.Network[3]++
	link("another network", other, keep)
	twice := l
	twice.Relays[1] = twice.Relays[0]
	link("one relay twice", twice, keep)
	link("mistyped", l, func(b []byte) []byte { b[60] ^= 1; return b })
	link("too short", l, func(b []byte) []byte { return b[:124] })
	link("lower case", l, bytes.ToLower)
	link("last bit set", l, func(b []byte) []byte { b[124]++; return b })
	blob := func(name string, days int, change func([]byte)) {
		b := bytes.Clone(v.Blob)
		change(b)
		now := testNow.AddDate(0, 0, days)
		_, err := l.OpenBlob(now, testNetwork, b)
		v.Blobs = append(v.Blobs, struct {
			Name  string
			Now   int64
			Blob  hexBytes
			Class string
		}{name, now.Unix(), b, class(err)})
	}
	blob("last day", 7, func([]byte) {})
	blob("after the last day", 8, func([]byte) {})
	blob("one bit changed", 0, func(b []byte) { b[1000] ^= 4 })
	return v
}

func TestInviteVectors(t *testing.T) {
	v := vectors(t, "invite.json", makeInviteVectors)
	inv, err := ParseInvite(v.Private)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "bundle", inv.Bundle().Append(nil), v.Bundle)
	l := inv.Link()
	lid := l.LID()
	same(t, "LID", lid[:], v.LID)
	if l.String() != v.Link {
		t.Errorf("link = %s", l)
	}
	same(t, "blob", must(l.sealBlob(bytes.NewReader(v.Blob[:nonceSize]), v.Bundle)), v.Blob)
	for _, c := range v.Links {
		got, err := ParseLink(c.Text, [32]byte(v.Network))
		if class(err) != c.Class {
			t.Errorf("link, %s: %v, want %s", c.Name, err, c.Class)
		}
		if err == nil && got.String() != c.Text {
			t.Errorf("link, %s: encodes to something else", c.Name)
		}
	}
	for _, c := range v.Blobs {
		u, err := l.OpenBlob(time.Unix(c.Now, 0), [32]byte(v.Network), c.Blob)
		if class(err) != c.Class {
			t.Errorf("blob, %s: %v, want %s", c.Name, err, c.Class)
		}
		if err == nil {
			same(t, "opened bundle", u.Append(nil), v.Bundle)
		}
	}
}

type requestVectors struct {
	Now        int64
	Invite     hexBytes
	Container  hexBytes
	Core       hexBytes
	Transcript hexBytes
	Root       hexBytes
	HeaderA    hexBytes
	NextB      hexBytes
	Drop       hexBytes
	CoreHash   hexBytes
	Name       string
	Hello      string
	Safety     string
	Chunks     []hexBytes
	Cases      []requestCase
}

type requestCase struct {
	Name  string
	Now   int64
	At    int // byte of the container to change by one bit, -1: none
	Len   int // cut to this
	Class string
}

func makeRequestVectors() (v requestVectors) {
	random := seeded("request vectors")
	inv := testInvite(random)
	q := must(inv.Bundle().Request(random, testNow, RequestConfig{Queues: testPair(random), Name: "Märta", Hello: "from the harbour"}))
	v.Now, v.Invite, v.Container = testNow.Unix(), inv.Append(nil), q.Container
	for _, b := range must(SplitContainer(q.Container)) {
		v.Chunks = append(v.Chunks, b)
	}
	h := sha256.Sum256(inv.bundle.Append(nil))
	r := must(hpke.NewRecipient(q.Container[:1120], inv.xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), requestInfo(h)))
	v.Core = must(r.Open(nil, q.Container[1120:3840]))
	a := must(inv.Accept(testNow, Config{}, q.Container))
	v.Transcript, v.CoreHash = a.State.ratchet.th[:], a.Core[:]
	v.Name, v.Hello, v.Safety = a.Name, a.Hello, a.State.SafetyNumber()
	root, header, next, drop := oracleSchedule(inv, q.Container)
	v.Root, v.HeaderA, v.NextB, v.Drop = root, header, next, drop
	for _, c := range []requestCase{
		{"good", v.Now, -1, ContainerSize, ""},
		{"34 days late", v.Now + 34*86400, -1, ContainerSize, ""},
		{"35 days late", v.Now + 35*86400, -1, ContainerSize, ""},
		{"three days early", v.Now - 3*86400, -1, ContainerSize, ""},
		{"encapsulation", v.Now, 0, ContainerSize, ""},
		{"encapsulated point", v.Now, 1100, ContainerSize, ""},
		{"core", v.Now, 2000, ContainerSize, ""},
		{"confirmation", v.Now, 3855, ContainerSize, ""},
		{"short", v.Now, -1, ContainerSize - 1, ""},
	} {
		_, err := inv.Accept(time.Unix(c.Now, 0), Config{}, c.apply(v.Container))
		c.Class = class(err)
		v.Cases = append(v.Cases, c)
	}
	return v
}

func (c requestCase) apply(container []byte) []byte {
	b := bytes.Clone(container)
	if c.At >= 0 {
		b[c.At] ^= 1
	}
	return b[:c.Len]
}

// oracleSchedule is the key schedule by hand.
func oracleSchedule(inv *Invite, container []byte) (root, header, next, drop []byte) {
	bundle := inv.bundle.Append(nil)
	h := sha256.Sum256(bundle)
	r := must(hpke.NewRecipient(container[:1120], inv.xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), append([]byte("hearsay/1 request\x00"), h[:]...)))
	core := must(r.Open(nil, container[1120:3840]))
	exported := must(r.Export("hearsay/1 export\x00", 32))
	dh := func(k *ecdh.PrivateKey, at int) []byte {
		return must(k.ECDH(must(ecdh.X25519().NewPublicKey(core[at : at+32]))))
	}
	ikm := bytes.Repeat([]byte{0xFF}, 32)
	for _, p := range [][]byte{dh(inv.dh, 4), dh(inv.ik, 36), dh(inv.dh, 36), exported} {
		ikm = append(ikm, p...)
	}
	th := sha256.Sum256(append(append([]byte("hearsay/1 th\x00"), h[:]...), core...))
	k := oracleHKDF(ikm, th[:], []byte("hearsay/1 sk\x00"), 160)
	confirm := oracleHMAC(k[96:128], th[:])
	if !bytes.Equal(confirm[:16], container[3840:]) {
		panic("oracle: confirmation differs")
	}
	return k[:32], k[32:64], k[64:96], k[128:]
}

func TestRequestVectors(t *testing.T) {
	v := vectors(t, "request.json", makeRequestVectors)
	inv := must(ParseInvite(v.Invite))
	a, err := inv.Accept(time.Unix(v.Now, 0), Config{}, v.Container)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "core hash", a.Core[:], v.CoreHash)
	same(t, "transcript", a.State.ratchet.th[:], v.Transcript)
	same(t, "drop", a.State.drop[:], v.Drop)
	same(t, "header key", a.State.ratchet.recv.hk[:], v.HeaderA)
	same(t, "next header key", a.State.ratchet.nhks[:], v.NextB)
	if a.Name != v.Name || a.Hello != v.Hello || a.State.SafetyNumber() != v.Safety {
		t.Errorf("%q, %q, %s", a.Name, a.Hello, a.State.SafetyNumber())
	}
	root, header, next, drop := oracleSchedule(inv, v.Container)
	same(t, "oracle: root", root, v.Root)
	same(t, "oracle: header key", header, v.HeaderA)
	same(t, "oracle: next header key", next, v.NextB)
	same(t, "oracle: drop", drop, v.Drop)
	core, err := parseRequestCore(time.Unix(v.Now, 0), v.Core)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "core", core.append(nil), v.Core)
	chunks := must(SplitContainer(v.Container))
	for i := range chunks {
		same(t, "chunk", chunks[i], v.Chunks[i])
	}
	for _, c := range v.Cases {
		if _, err := inv.Accept(time.Unix(c.Now, 0), Config{}, c.apply(v.Container)); class(err) != c.Class {
			t.Errorf("%s: %v, want %s", c.Name, err, c.Class)
		}
	}
}

type blockVector struct {
	Name      string
	QAddr     hexBytes
	Inner     hexBytes
	Block     hexBytes
	MessageID hexBytes
}

func makeBlockVectors() (v []blockVector) {
	random := seeded("block vectors")
	for _, name := range []string{"dummy", "ratchet", "request"} {
		a := testQAddr(random)
		inner := make([]byte, InnerSize)
		must(random.Read(inner))
		copy(inner, []byte{1, 0, 0, 0})
		switch name {
		case "ratchet":
			inner[1] = 1
		case "request":
			inner[1], inner[2], inner[3] = 2, 3, 4
		}
		block, id, err := a.Seal(inner)
		if err != nil {
			panic(err)
		}
		v = append(v, blockVector{name, a.Append(nil), inner, block, id[:]})
	}
	return v
}

func TestBlockVectors(t *testing.T) {
	for _, v := range vectors(t, "block.json", makeBlockVectors) {
		a := must(ParseQAddr(v.QAddr))
		block, id, err := a.Seal(v.Inner)
		if err != nil {
			t.Fatal(err)
		}
		same(t, v.Name+": block", block, v.Block)
		same(t, v.Name+": message id", id[:], v.MessageID)
		if again := a.MessageID(v.Inner); again != id {
			t.Errorf("%s: MessageID differs from Seal", v.Name)
		}
		same(t, v.Name+": inner", must(OpenBlock(a.Key, a.SID, v.Block)), v.Inner)
		same(t, v.Name+": oracle's inner", must(oracleOuter(a.Key.b, a.SID, v.Block)), v.Inner)
		same(t, v.Name+": oracle's message id", oracleMessageID(a.Key.b, v.Inner), v.MessageID)
		if typ, err := ParseInner(v.Inner); err != nil || int(typ) != map[string]int{"dummy": 0, "ratchet": 1, "request": 2}[v.Name] {
			t.Errorf("%s: type %d, %v", v.Name, typ, err)
		}
	}
}

type frameVector struct {
	Name  string
	Body  hexBytes // without the zeros at its end
	Hash  hexBytes `json:",omitempty"`
	Class string
}

func makeFrameVectors() (v []frameVector) {
	full := bytes.Repeat([]byte{'x'}, ContentSize)
	good := Frame{
		Type: FrameText, AckValid: true, Count: 1, Seq: 7, Ack: 5, Sack: [16]byte{0x80, 15: 1},
		ID: [16]byte{1, 2, 3}, Prev: [16]byte{4, 5, 6}, Content: []byte("\x00hello"),
	}
	add := func(name string, f Frame, change func(b []byte)) {
		b := f.Append(nil)
		change(b)
		e := frameVector{Name: name, Body: bytes.TrimRight(b, "\x00")}
		p, err := ParseFrame(b)
		if e.Class = class(err); err == nil {
			h := p.sum()
			e.Hash = h[:]
		}
		v = append(v, e)
	}
	keep := func([]byte) {}
	add("text", good, keep)
	add("ack", Frame{Type: FrameAck, AckValid: true, Count: 1, Ack: 9}, keep)
	add("sync", Frame{Type: FrameSync, Count: 1, Content: make([]byte, 8)}, keep)
	add("unknown type", Frame{Type: 0xEE, Count: 1, Seq: 1, Content: full}, keep)
	add("restored", Frame{Type: FrameText, Restored: true, Count: 1, Seq: 1<<32 + 1}, keep)
	add("first fragment", Frame{Type: FrameText, Count: 82, Seq: 1, Content: full}, keep)
	add("last fragment", Frame{Type: FrameText, Index: 81, Count: 82, Seq: 82, Content: full[:1]}, keep)
	add("flags", good, func(b []byte) { b[1] = 5 })
	add("length", good, func(b []byte) { b[2], b[3] = 3, 0x25 })
	add("length 65535", good, func(b []byte) { b[2], b[3] = 255, 255 })
	add("padding", good, func(b []byte) { b[BodySize-1] = 1 })
	add("padding by length", good, func(b []byte) { b[3]-- })
	add("index", good, func(b []byte) { b[5] = 1 })
	add("count 0", good, func(b []byte) { b[7] = 0 })
	add("count 83", Frame{Type: FrameText, Count: 83, Seq: 1, Content: full}, keep)
	add("fragment not full", Frame{Type: FrameText, Count: 2, Seq: 1, Content: full[:803]}, keep)
	add("empty last fragment", Frame{Type: FrameText, Index: 1, Count: 2, Seq: 2}, keep)
	add("seq before its first fragment", Frame{Type: FrameText, Index: 1, Count: 2, Seq: 1, Content: full}, keep)
	add("text without seq", Frame{Type: FrameText, Count: 1}, keep)
	add("ack with seq", Frame{Type: FrameAck, Count: 1, Seq: 1}, keep)
	add("ack with content", Frame{Type: FrameAck, Count: 1, Content: full[:1]}, keep)
	add("sync without content", Frame{Type: FrameSync, Count: 1}, keep)
	add("unreliable with hash", Frame{Type: FrameAck, Count: 1, Prev: [16]byte{1}}, keep)
	add("ack without flag", Frame{Type: FrameAck, Count: 1, Ack: 1}, keep)
	add("seq too high", Frame{Type: FrameText, Count: 1, Seq: 1 << 63}, keep)
	return v
}

func TestFrameVectors(t *testing.T) {
	for _, v := range vectors(t, "frame.json", makeFrameVectors) {
		b := append(bytes.Clone(v.Body), make([]byte, BodySize-len(v.Body))...)
		f, err := ParseFrame(b)
		if class(err) != v.Class {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Class)
		}
		if err != nil {
			continue
		}
		same(t, v.Name, f.Append(nil), b)
		h := f.sum()
		same(t, v.Name+": hash", h[:], v.Hash)
		// The hash by offsets.
		clear(b[1:2])
		clear(b[16:40])
		want := sha256.Sum256(append([]byte("hearsay/1 frame\x00"), b[:72+len(f.Content)]...))
		same(t, v.Name+": oracle's hash", h[:], want[:16])
		typ, index, count, seq, _, content := oracleFrame(b)
		if FrameType(typ) != f.Type || index != f.Index || count != f.Count || seq != f.Seq || !bytes.Equal(content, f.Content) {
			t.Errorf("%s: oracle reads something else", v.Name)
		}
	}
}

type ratchetVectors struct {
	Now    int64
	States map[string]hexBytes
	Steps  []ratchetStep
}

// ratchetStep is a block for a state that is not changed by the steps before.
type ratchetStep struct {
	Name  string
	State string
	First []hexBytes `json:",omitempty"` // opened before, in this order
	Inner hexBytes
	Class string
	Body  hexBytes `json:",omitempty"` // without the zeros at its end
	Epoch uint32
}

func makeRatchetVectors() ratchetVectors {
	v := ratchetVectors{Now: testNow.Unix(), States: map[string]hexBytes{}}
	random := seeded("ratchet vectors")
	alice, bob := pairUp(random)
	step := func(name, state string, s *State, first [][]byte, inner []byte) {
		if _, ok := v.States[state]; !ok {
			v.States[state] = s.Append(nil)
		}
		c := must(ParseState(v.States[state]))
		e := ratchetStep{Name: name, State: state, Inner: inner}
		for _, b := range first {
			must(c.Open(testNow, b))
			e.First = append(e.First, b)
		}
		got, err := c.Open(testNow, inner)
		if e.Class = class(err); err == nil {
			e.Body = bytes.TrimRight(got.Frame.Append(nil), "\x00")
		}
		e.Epoch = c.Epoch()
		v.Steps = append(v.Steps, e)
	}
	seal := func(s *State, words string) []byte {
		content := must(Text{Text: words}.Append(nil))
		return must(s.Seal(random, testNow, Message{Type: FrameText, Content: content}))[0].Inner
	}
	open := func(s *State, blocks ...[]byte) {
		for _, b := range blocks {
			must(s.Open(testNow, b))
		}
	}

	b1, b2, b3 := seal(bob, "first"), seal(bob, "second"), seal(bob, "third")
	step("first block of the guest", "alice at the start", alice, nil, b1)
	step("third block overtakes two", "alice at the start", alice, nil, b3)
	step("overtaken block", "alice at the start", alice, [][]byte{b3}, b1)
	step("repeated block", "alice at the start", alice, [][]byte{b1, b3, b2}, b2)
	step("own block", "bob at the start", bob, nil, b1)
	bad := bytes.Clone(b1)
	bad[500] ^= 1
	step("changed body", "alice at the start", alice, nil, bad)
	bad = bytes.Clone(b1)
	bad[40] ^= 1
	step("changed header", "alice at the start", alice, nil, bad)
	bad = bytes.Clone(b1)
	bad[1] = 3
	step("reset container", "alice at the start", alice, nil, bad)
	step("short", "alice at the start", alice, nil, b1[:InnerSize-1])
	var far []byte
	ahead := bob.Clone()
	for range maxSkipPerChain + 2 {
		far = must(ahead.SealAck(random, testNow)).Inner
	}
	step("too far ahead", "alice at the start", alice, nil, far)

	// A rolled-back sender uses a number again.
	old := bob.Clone()
	b4 := seal(bob, "fourth")
	step("number used twice by a rolled-back sender", "alice at the start", alice, [][]byte{b4}, seal(old, "another fourth"))

	open(alice, b1, b2, b3)
	answer := must(alice.Control(random, testNow))
	a1 := seal(alice, "first of hers")
	step("first turn", "bob at the start", bob, nil, a1)
	step("half an answer", "bob at the start", bob, nil, answer[1].Inner)
	open(bob, answer[0].Inner, answer[1].Inner, a1)
	b5 := seal(bob, "in epoch 1")
	step("turn with the post-quantum secret", "alice after her answer", alice, nil, b5)
	step("late block of the chain before", "alice after her answer", alice, [][]byte{b5}, b4)
	without := alice.Clone()
	without.pq.forget()
	step("epoch ahead without the secret", "alice without her answer", without, nil, b5)
	open(alice, b5)
	a2 := seal(alice, "in epoch 1 too")
	step("turn in the new epoch", "bob in epoch 1", bob, nil, a2)
	return v
}

func TestRatchetVectors(t *testing.T) {
	v := vectors(t, "ratchet.json", makeRatchetVectors)
	for name, raw := range v.States {
		s, err := ParseState(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, s.Append(nil), raw)
	}
	for _, c := range v.Steps {
		t.Run(c.Name, func(t *testing.T) {
			s := must(ParseState(v.States[c.State]))
			side := newSide(s)
			side.secret = map[uint32]mixture{s.Epoch() + 1: s.pq.mix}
			o := newOracle(side)
			if r := &s.ratchet; r.receiving {
				o.hk, o.ck, o.next, o.haveChain, o.epoch = r.recv.hk, r.recv.ck, r.recv.next, true, r.epoch
				for _, k := range r.recv.skipped {
					if o.skipped[o.hk] == nil {
						o.skipped[o.hk] = map[uint32][32]byte{}
					}
					o.skipped[o.hk][k.n] = k.mk
				}
			}
			if s.ratchet.dhs != nil {
				o.private = [32]byte(s.ratchet.dhs.Bytes())
			}
			for _, b := range c.First {
				must(s.Open(time.Unix(v.Now, 0), b))
				must(o.read(b))
			}
			before := s.Append(nil)
			got, err := s.Open(time.Unix(v.Now, 0), c.Inner)
			if class(err) != c.Class {
				t.Fatalf("%v, want %s", err, c.Class)
			}
			if s.Epoch() != c.Epoch {
				t.Errorf("epoch %d, want %d", s.Epoch(), c.Epoch)
			}
			if err != nil {
				same(t, "state", s.Append(nil), before)
				return
			}
			body := append(bytes.Clone(c.Body), make([]byte, BodySize-len(c.Body))...)
			same(t, "body", got.Frame.Append(nil), body)
			same(t, "oracle's body", must(o.read(c.Inner)), body)
		})
	}
}
