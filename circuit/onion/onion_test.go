package onion

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"
	"math"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"hearsay/circuit/cell"
)

var (
	testNetwork  = [32]byte{1, 2, 3}
	testIdentity = [32]byte{4, 5, 6}
)

func testKey(t testing.TB, epoch uint32) OnionKey {
	t.Helper()
	var b [32]byte
	crand.Read(b[:])
	k, err := NewOnionKey(b, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func options(slot int) cell.Options {
	return cell.Options{HasSlot: true, Slot: slot, HasCredit: true, Initial: 64, Max: 1024}
}

func accept(o cell.Options) cell.Options {
	return cell.Options{HasCredit: o.HasCredit, Initial: o.Initial, Max: o.Max}
}

// testCircuit shakes hands with n hops.
func testCircuit(t testing.TB, n int) (*Client, []*Layer) {
	t.Helper()
	c := &Client{}
	var relays []*Layer
	for i := range n {
		key := testKey(t, 7)
		h, create, err := NewClientHandshake(crand.Reader, Params{
			Network: testNetwork, Identity: testIdentity,
			OnionKey: key.Public(), OnionEpoch: 7, Options: options(i),
		})
		if err != nil {
			t.Fatal(err)
		}
		r, _, created, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, create, accept)
		if err != nil {
			t.Fatal(err)
		}
		l, got, err := h.Finish(created)
		if err != nil {
			t.Fatal(err)
		}
		if got != accept(options(i)) {
			t.Fatalf("accepted %+v", got)
		}
		if err := c.Add(l); err != nil {
			t.Fatal(err)
		}
		relays = append(relays, r)
	}
	return c, relays
}

func ping(b byte) cell.Message {
	return cell.Message{Command: cell.Ping, Data: bytes.Repeat([]byte{b}, 16)}
}

// carry sends a body along the relays and returns where it ended.
func carry(relays []*Layer, body []byte) (hop int, payload []byte, err error) {
	for i, r := range relays {
		p, mine, err := r.OpenForward(body)
		if err != nil {
			return i, nil, err
		}
		if mine {
			return i, p, nil
		}
	}
	return len(relays), nil, nil
}

func TestRoundTripToEachHop(t *testing.T) {
	c, relays := testCircuit(t, 4)
	body := make([]byte, cell.BodySize)
	for i := range 4 * 3 * RekeyInterval {
		hop := i % 4
		if err := c.SealForward(body, hop, ping(byte(i))); err != nil {
			t.Fatal(err)
		}
		at, p, err := carry(relays, body)
		if err != nil || at != hop {
			t.Fatalf("cell %d: ended at hop %d: %v", i, at, err)
		}
		m, err := cell.ParseMessage(p)
		if err != nil || m.Data[0] != byte(i) {
			t.Fatalf("cell %d: %+v %v", i, m, err)
		}
		if c.ForwardTag(hop) != relays[hop].ForwardTag() {
			t.Fatal("tags of the hop's own layer differ")
		}
		pong := m
		pong.Command = cell.Pong
		pong.Data = bytes.Clone(m.Data)
		if err := relays[hop].SealBackwardOwn(body, pong); err != nil {
			t.Fatal(err)
		}
		for j := hop - 1; j >= 0; j-- {
			relays[j].SealBackward(body)
		}
		from, p, err := c.OpenBackward(body)
		if err != nil || from != hop {
			t.Fatalf("cell %d: came from hop %d: %v", i, from, err)
		}
		if m, err := cell.ParseMessage(p); err != nil || m.Command != cell.Pong {
			t.Fatalf("cell %d: %+v %v", i, m, err)
		}
		if c.BackwardTag(hop) != relays[hop].BackwardTag() {
			t.Fatal("backward tags differ")
		}
	}
}

// TestTaggingDiesAtNextHonestHop flips every bit of the ciphertext that the
// first hop passes on: the next honest hop must refuse it.
func TestTaggingDiesAtNextHonestHop(t *testing.T) {
	for bit := range cell.CipherSize(1) * 8 {
		if bit%61 != 0 && bit > 64 && bit < cell.CipherSize(1)*8-200 {
			continue // every 61st bit, and all at both ends
		}
		l := mustLayer(1)
		peer := mustLayer(1)
		body := make([]byte, cell.BodySize)
		body[0] = flagOwn
		peer.forward.seal(body, 1+cell.PayloadSize(1))
		body[bit/8] ^= 1 << (bit % 8)
		if _, _, err := l.OpenForward(body); err == nil {
			t.Fatalf("bit %d survived", bit)
		}
	}
}

func mustLayer(slot int) *Layer {
	var f, b [32]byte
	f[0], b[0] = 1, 2
	l := newLayer(slot, &f, &b)
	return l
}

// TestTailMarksDoNotSurvive marks the bytes behind the ciphertext of the
// second hop, which that hop must overwrite.
func TestTailMarksDoNotSurvive(t *testing.T) {
	c, relays := testCircuit(t, 3)
	body := make([]byte, cell.BodySize)
	if err := c.SealForward(body, 2, ping(1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := relays[0].OpenForward(body); err != nil {
		t.Fatal(err)
	}
	mark := body[cell.CipherSize(1):]
	for i := range mark {
		mark[i] = 0xAA
	}
	if _, mine, err := relays[1].OpenForward(body); err != nil || mine {
		t.Fatal(err)
	}
	if bytes.Contains(body[cell.CipherSize(2):], []byte{0xAA, 0xAA, 0xAA, 0xAA}) {
		t.Fatal("the mark passed an honest hop")
	}
	if _, mine, err := relays[2].OpenForward(body); err != nil || !mine {
		t.Fatalf("the cell itself must still open: %v", err)
	}
}

// TestReplayReorderDropInsert shows that the implicit counter refuses each.
func TestReplayReorderDropInsert(t *testing.T) {
	cells := func(c *Client, n int) [][]byte {
		var out [][]byte
		for i := range n {
			b := make([]byte, cell.BodySize)
			if err := c.SealForward(b, 0, ping(byte(i))); err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	}
	for name, order := range map[string][]int{"replay": {0, 0}, "reorder": {1}, "drop": {0, 2}, "insert": {0, -1}} {
		c, relays := testCircuit(t, 1)
		in := cells(c, 3)
		for i, k := range order {
			b := make([]byte, cell.BodySize)
			if k >= 0 {
				copy(b, in[k])
			} else {
				crand.Read(b)
			}
			_, _, err := relays[0].OpenForward(b)
			if last := i == len(order)-1; (err != nil) != last {
				t.Fatalf("%s: step %d: %v", name, i, err)
			}
		}
	}
}

// TestNoFifthHop shows that a cell that four hops passed on has no room left
// for another layer: the client cannot add one.
func TestNoFifthHop(t *testing.T) {
	c, _ := testCircuit(t, 4)
	if err := c.Add(mustLayer(3)); err == nil {
		t.Fatal("a fifth layer was added")
	}
	if err := c.SealForward(make([]byte, cell.BodySize), 4, ping(0)); err == nil {
		t.Fatal("sealed for a fifth hop")
	}
}

// TestRelayCannotSpeakForAnotherHop lets the middle claim that its message is
// the last hop's.
func TestRelayCannotSpeakForAnotherHop(t *testing.T) {
	c, relays := testCircuit(t, 3)
	body := make([]byte, cell.BodySize)
	m := cell.Message{Command: cell.End, Stream: 1, Data: []byte{0}}
	if err := relays[1].SealBackwardOwn(body, m); err != nil {
		t.Fatal(err)
	}
	relays[0].SealBackward(body)
	hop, _, err := c.OpenBackward(body)
	if err != nil || hop != 1 {
		t.Fatalf("message of hop 1 came as hop %d: %v", hop, err)
	}
	// As a relayed cell, it would have to open under the third layer.
	p := make([]byte, cell.PayloadSize(1))
	crand.Read(p)
	copy(body, p)
	relays[1].SealBackward(body)
	relays[0].SealBackward(body)
	if _, _, err := c.OpenBackward(body); err == nil {
		t.Fatal("the middle forged a cell of the last hop")
	}
}

// TestAgainstReference compares the in-place layers with a slow reimplementation
// that copies, for all four hops and over two changes of key.
func TestAgainstReference(t *testing.T) {
	c, relays := testCircuit(t, 4)
	type ref struct {
		key [32]byte
		n   uint64
	}
	refs := make([]ref, 4)
	for i := range refs {
		refs[i].key = relays[i].forward.key
	}
	open := func(r *ref, ct []byte) []byte {
		a, _ := chacha20poly1305.New(r.key[:])
		nonce := make([]byte, 12)
		binary.LittleEndian.PutUint64(nonce[4:], r.n)
		p, err := a.Open(nil, nonce, ct, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.n++; r.n%64 == 0 {
			binary.LittleEndian.PutUint64(nonce[4:], math.MaxUint64)
			copy(r.key[:], a.Seal(nil, nonce, make([]byte, 32), nil)[:32])
		}
		return p
	}
	for i := range 130 {
		body := make([]byte, cell.BodySize)
		if err := c.SealForward(body, 3, ping(byte(i))); err != nil {
			t.Fatal(err)
		}
		cur := body
		for j := range 4 {
			p := open(&refs[j], cur[:1148-17*j])
			if want := j == 3; (p[0] == 1) != want {
				t.Fatalf("flag %d at hop %d", p[0], j)
			}
			cur = p[1:]
		}
		want := append([]byte{0x0C, 0, 0, 0, 0, 16, 0, 0}, bytes.Repeat([]byte{byte(i)}, 16)...)
		want = append(want, make([]byte, 1080-len(want))...)
		if !bytes.Equal(cur, want) {
			t.Fatalf("cell %d differs", i)
		}
	}
}

// TestRekeyErasesOwnKey shows that the key array changes at cells 64 and 128.
func TestRekeyErasesOwnKey(t *testing.T) {
	l := mustLayer(0)
	body := make([]byte, cell.BodySize)
	seen := map[[32]byte]int{}
	for i := range 129 {
		seen[l.backward.key]++
		if err := l.SealBackwardOwn(body, ping(byte(i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 3 {
		t.Fatalf("%d keys for 129 cells, want 3", len(seen))
	}
	l.Erase()
	if l.backward.key != [32]byte{} || l.forward.key != [32]byte{} {
		t.Fatal("keys stay after Erase")
	}
}

func TestNoAllocationPerCell(t *testing.T) {
	l, peer := mustLayer(0), mustLayer(0)
	body := make([]byte, cell.BodySize)
	n := testing.AllocsPerRun(RekeyInterval*4, func() {
		body[0] = flagRelayed
		peer.forward.seal(body, 1+cell.PayloadSize(0))
		if _, _, err := l.OpenForward(body); err != nil {
			t.Fatal(err)
		}
		l.SealBackward(body)
	})
	// A change of key allocates one AEAD; nothing else may.
	if n >= 1 {
		t.Fatalf("%v allocations per cell", n)
	}
}

func BenchmarkRelayForward(b *testing.B) {
	l, peer := mustLayer(1), mustLayer(1)
	body := make([]byte, cell.BodySize)
	b.SetBytes(cell.Size)
	b.ReportAllocs()
	for b.Loop() {
		body[0] = flagRelayed
		peer.forward.seal(body, 1+cell.PayloadSize(1))
		if _, _, err := l.OpenForward(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClientSeal4(b *testing.B) {
	c, _ := testCircuit(b, 4)
	body := make([]byte, cell.BodySize)
	m := cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)}
	b.SetBytes(cell.Size)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.SealForward(body, 3, m); err != nil {
			b.Fatal(err)
		}
	}
}
