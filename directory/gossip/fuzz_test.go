package gossip

import (
	"bytes"
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
func FuzzParseFiles(f *testing.F)           { fuzzCodec(f, "files") }
func FuzzParseLeaves(f *testing.F)          { fuzzCodec(f, "leaves") }
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

// FuzzSession feeds a live session. Whatever comes, it must not panic, what is
// queued stays bounded, and the store keeps only what verifies.
func FuzzSession(f *testing.F) {
	n, fo, hi := fuzzNode(f)
	items, _ := n.store.set()
	r := fo.record("relay 3", 3)
	k := key(directory.GossipKey(fo.id, r.ID))
	say := func(opener bool, msgs ...message) {
		b := bytes.Clone(hi)
		for _, m := range msgs {
			b = appendMessage(b, m.typ, m.body)
		}
		f.Add(opener, b)
	}
	var spans []span
	say(true)
	say(false, message{TypeRanges, appendRanges(nil, openRanges(items[:1]))}, message{TypeWant, appendWant(nil, []key{items[0].key, items[1].key.short().wildcard()})})
	say(true, message{TypeRanges, appendRanges(nil, split(spans, items, bound{}))}, message{TypeRanges, []byte{0, 0}})
	say(false, message{TypeHave, have{k.short(), r.Seq, shortDigest{1}}.append(nil)}, message{TypeGive, appendGive(nil, r.Raw)})
	say(false, message{TypeGive, appendGive(appendGive(nil, r.Raw[:100]), r.Raw)}, message{TypeVerdict, verdict{k, VerdictRate}.append(nil)})
	say(true, message{TypeBye, appendBye(nil, ByeBusy, time.Minute)})
	f.Fuzz(func(t *testing.T, opener bool, b []byte) {
		n.limits = newLimits(true) // penalties of earlier inputs do not count
		ss := newSession(n, idOf("peer"), nil, opener, opener)
		reader := frameReader{r: bytes.NewReader(b), allow: ss.allowed}
		written := 0
		for {
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
		}
		for {
			out, wait, ok := ss.next(time.Now())
			if !ok || out == nil && wait > 0 {
				break
			}
			written += len(out)
		}
		if limit := 1<<16 + 64*len(b); written > limit {
			t.Fatalf("%d bytes make the session write %d", len(b), written)
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
	n, _, _ := fuzzNode(f)
	for _, m := range []message{
		{TypeFile, []byte{0, 0, 0, 1}},
		{TypeHead, make([]byte, 8)},
		{TypeSnapshot, snapshotRequest{}.append(nil)},
		{TypeProof, proofRequest{1, 1, 0}.append(nil)},
		{TypeDocument, make([]byte, 32)},
		{TypeLeaves, make([]byte, 8)},
	} {
		f.Add(appendMessage(nil, m.typ, m.body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		reader := frameReader{r: bytes.NewReader(b), allow: func(t Type) bool { return t >= TypeFile && t <= TypeLeaves }}
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
