package gossip

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"hearsay/directory"
)

// fuzzCodec checks that what a parser accepts encodes again to the same bytes.
func fuzzCodec(f *testing.F, kind string) {
	for _, v := range makeVectors() {
		if v.kind == kind {
			f.Add(v.data)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := codecs[kind](b)
		if err == nil && !bytes.Equal(out, b) {
			t.Fatalf("%x encodes again to %x", b, out)
		}
	})
}

func FuzzParseHello(f *testing.F)           { fuzzCodec(f, "hello") }
func FuzzParseRanges(f *testing.F)          { fuzzCodec(f, "ranges") }
func FuzzParseWant(f *testing.F)            { fuzzCodec(f, "want") }
func FuzzParseGive(f *testing.F)            { fuzzCodec(f, "give") }
func FuzzParseHave(f *testing.F)            { fuzzCodec(f, "have") }
func FuzzParseBye(f *testing.F)             { fuzzCodec(f, "bye") }
func FuzzParseVerdict(f *testing.F)         { fuzzCodec(f, "verdict") }
func FuzzParseSnapshotRequest(f *testing.F) { fuzzCodec(f, "snapshot request") }
func FuzzParseProofRequest(f *testing.F)    { fuzzCodec(f, "proof request") }
func FuzzParseSnapshotDiff(f *testing.F)    { fuzzCodec(f, "snapshot diff") }
func FuzzParseFiles(f *testing.F)           { fuzzCodec(f, "files") }
func FuzzParseLeaves(f *testing.F)          { fuzzCodec(f, "leaves") }
func FuzzParseNotices(f *testing.F)         { fuzzCodec(f, "notices") }
func FuzzParseWitness(f *testing.F)         { fuzzCodec(f, "witness") }
func FuzzFrames(f *testing.F)               { fuzzCodec(f, "frames") }

// fuzzNode makes a node that does not run, with three relays, one snapshot and
// messages of a peer that make sense to it.
func fuzzNode(f *testing.F) (n *Node, fo *founder, hi []byte) {
	fo = found(f, true, directory.JoinOpen, 1)
	n, err := NewNode(NodeConfig{
		Role: RoleDirectory, Self: idOf("bootstrap"), Link: fo.link(), Files: [][]byte{fo.raw},
		Views: &directory.Views{}, Dir: f.TempDir(),
	})
	check(f, err)
	f.Cleanup(func() { _ = n.Close() })
	var rs []*directory.Record
	for i, name := range []string{"relay 0", "relay 1", "relay 2"} {
		rs = append(rs, fo.record(name, i))
		check(f, n.Publish(rs[i].Raw))
	}
	check(f, n.AddSnapshot(fo.snapshot(rs...), fo.log))
	h := n.hello()
	h.role, h.fingerprint = RoleRelay, fingerprint{1}
	return n, fo, appendMessage(nil, TypeHello, h.append(nil))
}

// script turns bytes into messages of a peer: each operation is one byte, then
// what it takes. Half of them make sense to the node, the others are raw.
type script struct {
	b     []byte
	items []item
	known [][]byte // records the node holds
	extra [][]byte // records it does not
	hello hello    // that makes sense to it
	word  []byte   // of a witness, as it goes over the wire
	proof []byte   // evidence
}

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

// subset picks the items whose bits are set.
func (s *script) subset() (out []item) {
	mask := s.byte()
	for i, it := range s.items {
		if mask>>(i%8)&1 == 1 {
			out = append(out, it)
		}
	}
	return out
}

// change flips some bits of a message that makes sense, or none.
func (s *script) change(b []byte) []byte {
	b = bytes.Clone(b)
	if at := s.byte(); at > 0 {
		b[int(at)*len(b)/256] ^= s.byte()
	}
	return b
}

func (s *script) next() message {
	switch op := s.byte(); op % 13 {
	case 0:
		return message{TypeRanges, appendRanges(nil, openRanges(s.subset()))}
	case 1:
		return message{TypeRanges, appendRanges(nil, split(nil, s.items[:1+int(s.byte())%len(s.items)], bound{}))}
	case 2:
		return message{TypeRanges, appendRanges(nil, []span{{mode: modeLong, list: s.subset()}})}
	case 3:
		var keys []key
		for _, it := range s.subset() {
			keys = append(keys, it.key, it.key.short().wildcard())
		}
		return message{TypeWant, appendWant(nil, keys)}
	case 4:
		all := append(append([][]byte(nil), s.known...), s.extra...)
		raw := bytes.Clone(all[int(s.byte())%len(all)])
		if at := s.byte(); at > 0 {
			raw[int(at)*len(raw)/256] ^= s.byte()
		}
		return message{TypeGive, appendGive(nil, raw)}
	case 5:
		it := s.items[int(s.byte())%len(s.items)]
		return message{TypeHave, have{it.key.short(), uint64(s.byte()) << 32, shortDigest{s.byte()}}.append(nil)}
	case 6:
		it := s.items[int(s.byte())%len(s.items)]
		return message{TypeVerdict, verdict{it.key, VerdictCode(s.byte())}.append(nil)}
	case 7:
		return message{TypeBye, []byte{s.byte(), s.byte(), s.byte()}}
	case 10:
		h := s.hello // again, with other news
		h.epoch += uint64(s.byte()) - 8
		h.headerHash[0] ^= s.byte()
		h.fileVersion += uint32(s.byte())
		h.time = h.time.Add(time.Duration(int8(s.byte())) * time.Hour)
		return message{TypeHello, h.append(nil)}
	case 11:
		return message{TypeWitness, s.change(s.word)}
	case 12:
		return message{TypeEvidence, s.change(s.proof)}
	default:
		t := Type(s.byte())
		n := min(int(s.byte())<<(op%3), len(s.b))
		m := message{t, s.b[:n]}
		s.b = s.b[n:]
		return m
	}
}

// FuzzGossipSession feeds a live session with the script of a peer. Whatever
// comes, it must not panic, what is queued and written stays bounded, the store
// keeps only what verifies, and neither the view nor the state changes: snapshots
// come by request alone.
func FuzzGossipSession(f *testing.F) {
	n, fo, hi := fuzzNode(f)
	extra := [][]byte{fo.record("relay 3", 3).Raw}
	theirs, err := parseHello(hi[frameHeaderSize:])
	check(f, err)
	word, err := n.state.Witness(n.head, testKey("relay 1"), time.Now())
	check(f, err)
	hash := n.head.Hash()
	one, two := fo.record("relay 2", 2), fo.record("relay 2", 7)
	evidence, err := fo.chain.RecordEvidence(one, two)
	check(f, err)
	view, state := n.cfg.Views.Current(), string(n.state.Append(nil))
	for _, b := range [][]byte{{}, {0, 1, 4, 3, 0}, {1, 2, 0, 7, 2, 3}, {3, 7, 3, 7, 4, 0, 0}, {4, 4, 0, 4, 4, 99, 1}, {5, 1, 2, 3, 5, 1, 2, 3}, {6, 1, 8, 7, 1, 0, 9}, {8, 2, 2, 0, 0, 9, 5, 21, 1}, {10, 9, 1, 0, 0, 11, 0, 0, 12, 0, 0}, {12, 0, 12, 7, 1, 11, 200, 4, 10, 8, 0, 1, 99}} {
		f.Add(true, b)
		f.Add(false, b)
	}
	f.Fuzz(func(t *testing.T, opener bool, b []byte) {
		n.limits = newLimits(true) // penalties of earlier inputs do not count
		s := script{b: b, extra: extra, hello: theirs, word: word.Append(hash[:]), proof: evidence.Raw()}
		s.items, _ = n.store.set()
		for _, r := range n.store.Records() {
			s.known = append(s.known, r.Raw)
		}
		ss := newSession(n, idOf("peer"), nil, opener, opener)
		in := bytes.NewBuffer(bytes.Clone(hi))
		reader := frameReader{r: in, allow: ss.allowed}
		read, written := 0, 0
		for {
			for in.Len() == 0 && len(s.b) > 0 {
				m := s.next()
				in.Write(appendMessage(nil, m.typ, m.body))
			}
			read += in.Len()
			m, err := reader.next()
			if err == nil {
				err = ss.handle(m)
			}
			if len(ss.queue) > maxQueue || len(ss.owed) > maxOwed || len(ss.rumours) > maxHave || len(ss.wanted) > maxOwed {
				t.Fatal("a queue has no bound")
			}
			if err != nil {
				ss.end(byeFor(err), 0)
				break
			}
			if s.byte()%2 == 0 {
				if out, _, ok := ss.next(time.Now()); ok {
					written += len(out)
				}
			}
		}
		for {
			out, wait, ok := ss.next(time.Now())
			if !ok || out == nil && wait > 0 {
				break
			}
			written += len(out)
		}
		if limit := 1<<12 + 64*read; written > limit {
			t.Fatalf("%d bytes make the session write %d", read, written)
		}
		if n.cfg.Views.Current() != view || string(n.state.Append(nil)) != state {
			t.Fatal("a gossip stream changed the view")
		}
		if ss.askAt != nil {
			ss.askAt.Stop()
		}
		for _, r := range n.store.Records() {
			if _, err := directory.ParseRecord(n.rules(), r.Raw, time.Now()); err != nil && time.Now().Before(r.Expires()) {
				t.Fatalf("an unverified record is held: %v", err)
			}
		}
	})
}

// FuzzRequests feeds the answering side of request streams.
func FuzzRequests(f *testing.F) {
	n, fo, _ := fuzzNode(f)
	old := n.head.Hash()
	check(f, n.AddSnapshot(fo.snapshot(), fo.log))
	for _, m := range []message{
		{TypeFile, []byte{0, 0, 0, 1}},
		{TypeHead, make([]byte, 8)},
		{TypeSnapshot, snapshotRequest{}.append(nil)},
		{TypeSnapshot, snapshotRequest{base: old}.append(nil)},
		{TypeNotices, []byte{0}},
		{TypeRecords, make([]byte, 32)},
		{TypeProof, proofRequest{1, 1, 0}.append(nil)},
		{TypeDocument, make([]byte, 32)},
		{TypeLeaves, make([]byte, 8)},
	} {
		f.Add(appendMessage(nil, m.typ, m.body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		reader := frameReader{r: bytes.NewReader(b), allow: func(t Type) bool { return t >= TypeFile && t <= TypeReport }}
		for {
			m, err := reader.next()
			if err != nil {
				return
			}
			out, err := n.answerOne(m, func(time.Time) bool { return true })
			if err == nil && len(out) > maxBody(m.typ|answerBit) {
				t.Fatalf("an answer of %d bytes", len(out))
			}
		}
	})
}

// FuzzParseBase: what is read back of a base encodes again to the same bytes, and
// leads nowhere without a panic.
func FuzzParseBase(f *testing.F) {
	w := newCrowd(f, 40)
	var chain bases
	chain.diffs = make(map[[32]byte][]byte)
	for range 2 {
		raw := w.snapshot()
		s := openedAt(f, w.f, raw, w.f.header.ValidAfter)
		if b := chain.add(s, len(raw)); b != nil {
			whole, err := b.append(nil)
			check(f, err)
			f.Add(whole)
			f.Add(whole[:len(whole)-33])
		}
		w.hour()
	}
	newest := chain.newest
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseBase(b)
		if err != nil {
			sum := sha256.Sum256(b) // the checksum must not keep the fuzzer out
			p, err = parseBase(append(bytes.Clone(b), sum[:]...))
			if err != nil {
				return
			}
		} else if again, err := p.append(nil); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v: encodes again to %x", err, again)
		}
		if s, err := directory.Rewind(newest, p.head, p.back); err == nil {
			if _, err := directory.MakeDiff(s, newest); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzStoreFile(f *testing.F) {
	fo := found(f, true, directory.JoinOpen, 1)
	s := newStore(fo.id, true)
	now := time.Now()
	s.put(fo.record("relay 0", 0), now)
	s.put(fo.record("relay 1", 1), now)
	s.memory[key{7}] = seqMemory{seq: 5, until: time.Unix(now.Unix()+3600, 0)}
	whole := s.encode()
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := newStore(fo.id, true)
		if err := got.decode(b, fo.chain.Rules(), now); err != nil {
			return
		}
		again := newStore(fo.id, true)
		if err := again.decode(got.encode(), fo.chain.Rules(), now); err != nil || again.Len() != got.Len() || len(again.memory) != len(got.memory) {
			t.Fatal("does not come back")
		}
	})
}
