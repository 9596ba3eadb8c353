package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"time"
)

// historyVectors are a conversation from its request to a reset, with all that
// each side draws and all that happens to blocks on their way.
type historyVectors struct {
	Now       int64
	Invite    hexBytes // Invite.Append
	Container hexBytes // of the request
	States    map[string]hexBytes
	ResetKey  hexBytes   // alice's: ResetKey.Append
	Private   []hexBytes // every ratchet key of both sides, for the second decoder
	Seeds     []hexBytes // and every ML-KEM seed
	Steps     []historyStep
}

// historyStep is one operation of one side. Seal, ack, control and giveup are
// done with the bytes of Random and make Inners; where the library draws by
// itself, After is the state that came of it. Open, accept and again take Input.
type historyStep struct {
	Name string
	Op   string
	Side string
	Now  int64

	Random  hexBytes   `json:",omitempty"`
	Type    FrameType  `json:",omitempty"`
	Content hexBytes   `json:",omitempty"`
	Seq     uint64     `json:",omitempty"`
	Inners  []hexBytes `json:",omitempty"`
	After   hexBytes   `json:",omitempty"`

	Input    hexBytes `json:",omitempty"`
	Class    string   `json:",omitempty"`
	Body     hexBytes `json:",omitempty"` // without the zeros at its end
	Fresh    bool     `json:",omitempty"`
	Complete bool     `json:",omitempty"`
	Diverged bool     `json:",omitempty"`
	Acked    []uint64 `json:",omitempty"`
	Lost     uint64   `json:",omitempty"`
	Epoch    uint32   `json:",omitempty"`
}

// historyMaker runs a conversation and writes it down.
type historyMaker struct {
	v      historyVectors
	random io.Reader
	drawn  bytes.Buffer
	sides  map[string]*State
	now    time.Time
}

func (m *historyMaker) Read(p []byte) (int, error) {
	n, err := m.random.Read(p)
	m.drawn.Write(p[:n])
	return n, err
}

// add notes the step and the secrets that it made.
func (m *historyMaker) add(e historyStep) {
	e.Now = m.now.Unix()
	s := m.sides[e.Side]
	if s.ratchet.dhs != nil {
		m.secret(&m.v.Private, s.ratchet.dhs.Bytes())
	}
	if s.pq.seed != [kemSeedSize]byte{} {
		m.secret(&m.v.Seeds, s.pq.seed[:])
	}
	m.v.Steps = append(m.v.Steps, e)
}

func (m *historyMaker) secret(list *[]hexBytes, b []byte) {
	if !slices.ContainsFunc(*list, func(o hexBytes) bool { return bytes.Equal(o, b) }) {
		*list = append(*list, bytes.Clone(b))
	}
}

func (m *historyMaker) sealed(e historyStep, all []Sealed) (inners [][]byte) {
	e.Random = bytes.Clone(m.drawn.Bytes())
	m.drawn.Reset()
	for _, b := range all {
		e.Inners = append(e.Inners, b.Inner)
		inners = append(inners, b.Inner)
	}
	m.add(e)
	return inners
}

func (m *historyMaker) seal(side, words string) []byte {
	content := must(Text{Text: words}.Append(nil))
	all := must(m.sides[side].Seal(m, m.now, Message{Type: FrameText, Content: content}))
	return m.sealed(historyStep{Name: words, Op: "seal", Side: side, Type: FrameText, Content: content}, all)[0]
}

func (m *historyMaker) ack(side, name string) []byte {
	return m.sealed(historyStep{Name: name, Op: "ack", Side: side}, []Sealed{must(m.sides[side].SealAck(m, m.now))})[0]
}

func (m *historyMaker) control(side, name string) [][]byte {
	all := must(m.sides[side].Control(m, m.now))
	e := historyStep{Name: name, Op: "control", Side: side}
	if all[0].Type == FramePQCT {
		e.After = m.sides[side].Append(nil)
	}
	return m.sealed(e, all)
}

// jump puts a side into another state.
func (m *historyMaker) jump(side, name string, s *State) {
	m.sides[side] = s
	m.add(historyStep{Name: name, Op: "jump", Side: side, After: s.Append(nil)})
}

func (m *historyMaker) open(side, name string, inner []byte) {
	e := historyStep{Name: name, Op: "open", Side: side, Input: inner}
	got, err := m.sides[side].Open(m.now, inner)
	e.note(got, err, m.sides[side])
	m.add(e)
}

func (e *historyStep) note(got Received, err error, s *State) {
	e.Class, e.Epoch = class(err), s.Epoch()
	if err == nil {
		e.Body = bytes.TrimRight(got.Frame.Append(nil), "\x00")
		e.Fresh, e.Complete, e.Diverged, e.Acked, e.Lost = got.Fresh, got.Complete, got.Diverged, got.Acked, got.Lost
	}
}

func (m *historyMaker) accept(side, name string, keys []*ResetKey, container []byte) {
	_, err := takeReset(m.sides[side], m.now, keys, container)
	m.add(historyStep{Name: name, Op: "accept", Side: side, Input: container, Class: class(err)})
}

func takeReset(s *State, now time.Time, keys []*ResetKey, container []byte) (ResetResult, error) {
	in, err := s.OpenReset(now, keys, container)
	if err != nil {
		return ResetResult{}, err
	}
	return s.AcceptReset(now, in)
}

func makeHistoryVectors() historyVectors {
	random := seeded("history vectors")
	m := &historyMaker{random: random, now: testNow}
	inv := testInvite(random)
	q := must(inv.Bundle().Request(random, testNow, RequestConfig{Queues: testPair(random), Name: "bob"}))
	alice := must(inv.Accept(testNow, Config{}, q.Container)).State
	key := must(NewResetKey(random, 3))
	m.sides = map[string]*State{"alice": alice, "bob": q.State}
	m.v = historyVectors{
		Now: testNow.Unix(), Invite: inv.Append(nil), Container: q.Container, ResetKey: key.Append(nil),
		States: map[string]hexBytes{"alice": alice.Append(nil), "bob": q.State.Append(nil)},
	}
	const a, b = "alice", "bob"
	m.secret(&m.v.Private, q.State.ratchet.dhs.Bytes())
	m.secret(&m.v.Seeds, q.State.pq.seed[:])

	b0, b1, b2 := m.seal(b, "b0"), m.seal(b, "b1"), m.seal(b, "b2")
	m.open(a, "b2 overtakes", b2)
	m.open(a, "b0, overtaken", b0)
	m.open(a, "b0 again", b0)
	m.open(a, "a bit of b1's body", flipped(b1, 700))
	m.open(a, "a bit of b1's header", flipped(b1, 40))
	m.open(a, "a bit of b1's prefix", flipped(b1, 2))
	m.open(a, "b1 cut", b1[:983])
	m.open(a, "b1", b1)
	far := m.sides[b].Clone()
	var last []byte
	for range maxSkipPerChain + 2 {
		last = must(far.SealAck(random, testNow)).Inner
	}
	m.open(a, "too far ahead", last)

	b3 := m.seal(b, "b3, late")
	answer := m.control(a, "answer to the offer of the request")
	a0 := m.seal(a, "a0")
	m.open(b, "second half of the answer", answer[1])
	m.open(b, "a0", a0)
	m.open(b, "first half of the answer", answer[0])
	b4 := m.seal(b, "b4, in epoch 1")
	m.open(a, "b4", b4)
	m.open(a, "b3 of the chain before", b3)
	m.open(a, "b3 again", b3)
	m.open(b, "the ack, in epoch 1 too", m.ack(a, "ack"))

	m.open(a, "b5", m.seal(b, "b5"))
	before := m.sides[b].Clone()
	b5 := m.seal(b, "b6")
	m.open(a, "b6", b5)
	m.jump(b, "set back to before b6", before)
	m.open(a, "number and seq of b6 again", m.seal(b, "another b6"))
	m.open(a, "b7 of another history", m.seal(b, "b7 of another history"))

	a1 := m.seal(a, "a1, not sent in time")
	a2 := m.seal(a, "a2")
	m.open(b, "a2", a2)
	lost := m.sides[a].out.next - 2
	m.sides[a].GiveUp(lost)
	m.add(historyStep{Name: "a1 is given up", Op: "giveup", Side: a, Seq: lost})
	m.open(b, "SYNC", m.ack(a, "SYNC"))
	m.open(b, "a1 after all", a1)

	across := m.sides[b].Clone()
	b8 := m.seal(b, "b8")
	m.open(a, "b8", b8)
	whole := m.sides[b].Clone()
	m.jump(b, "set back to before a turn", across)
	m.open(a, "another key of the same turn", m.seal(b, "another b8"))
	ack := m.ack(a, "ack")
	m.open(b, "a block that rests on the turn which was forgotten", ack)
	m.jump(b, "as if nothing had happened", whole)
	m.open(b, "the same block", ack)

	m.open(a, "the first of a chain", m.seal(b, "the first of a chain"))
	b9 := m.seal(b, "b9, under way when bob resets")
	b10 := m.seal(b, "b10, under way for long")
	r := must(m.sides[b].Reset(m, m.now, key.Public(), testPair(random)))
	m.drawn.Reset()
	m.jump(b, "reset", r.State)
	keys := []*ResetKey{key}
	m.accept(a, "a bit of the reset", keys, flipped(r.Container, 2000))
	m.accept(a, "the reset cut", keys, r.Container[:ContainerSize-1])
	m.accept(a, "the reset", keys, r.Container)
	m.accept(a, "the reset again", keys, r.Container)
	m.open(a, "b9 of the session before", b9)
	m.open(a, "b9 of the session before, again", b9)
	b11 := m.seal(b, "b11")
	m.open(a, "b11 in the new session", b11)
	sync := m.ack(a, "SYNC that answers the reset")
	m.open(b, "SYNC that answers the reset", sync)
	answer = m.control(a, "answer to the offer of the reset")
	m.open(b, "first half of that answer", answer[0])
	m.open(b, "second half of that answer", answer[1])
	m.open(a, "epoch 1 of the new session", m.seal(b, "b12"))
	m.now = m.now.Add(oldChains)
	m.open(a, "b10 of the session before, after its time", b10)
	return m.v
}

// TestHistoryVectors does it all again: with the same bytes drawn come the same
// blocks, and every block has the outcome that was frozen. The second decoder,
// which has only the keys, reads each block that opens.
func TestHistoryVectors(t *testing.T) {
	v := vectors(t, "history.json", makeHistoryVectors)
	w := newWiretap(must(ParseInvite(v.Invite)), v)
	sides := map[string]*State{"alice": must(ParseState(v.States["alice"])), "bob": must(ParseState(v.States["bob"]))}
	keys := []*ResetKey{must(ParseResetKey(v.ResetKey))}
	classes := map[string]bool{}
	for _, e := range v.Steps {
		t.Run(e.Name, func(t *testing.T) {
			s, now, drawn := sides[e.Side], time.Unix(e.Now, 0), bytes.NewReader(e.Random)
			before := s.Append(nil)
			var all []Sealed
			var err error
			switch e.Op {
			case "seal":
				all, err = s.Seal(drawn, now, Message{Type: e.Type, Content: e.Content})
			case "control":
				if e.After == nil {
					all, err = s.Control(drawn, now)
				}
			case "ack":
				var one Sealed
				one, err = s.SealAck(drawn, now)
				all = []Sealed{one}
			case "giveup":
				s.GiveUp(e.Seq)
			case "open":
				var got Received
				again := e
				got, err = s.Open(now, e.Input)
				again.note(got, err, s)
				if again.Class != e.Class || !bytes.Equal(again.Body, e.Body) || again.Epoch != e.Epoch || again.Lost != e.Lost ||
					again.Fresh != e.Fresh || again.Complete != e.Complete || again.Diverged != e.Diverged || !slices.Equal(again.Acked, e.Acked) {
					t.Errorf("%+v, %v", got, err)
				}
				w.check(t, e)
			case "accept":
				if _, err = takeReset(s, now, keys, e.Input); class(err) != e.Class {
					t.Errorf("%v, want %s", err, e.Class)
				}
				if err == nil {
					w.reset(v.ResetKey, e.Input)
				}
			}
			if e.Class != "" {
				classes[e.Class] = true
				if err != nil {
					same(t, "state after a refused input", s.Append(nil), before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.After != nil {
				sides[e.Side] = must(ParseState(e.After))
				return
			}
			if len(all) != len(e.Inners) || drawn.Len() != 0 {
				t.Fatalf("%d blocks, %d random bytes left", len(all), drawn.Len())
			}
			for i := range all {
				same(t, "inner", all[i].Inner, e.Inners[i])
			}
		})
	}
	for _, c := range []string{"ok", "duplicate", "auth", "format", "limit", "undecryptable"} {
		if !classes[c] {
			t.Errorf("nothing is expected to be %s", c)
		}
	}
}

// wiretap is the second decoder of whole conversations: it has every private key
// and sees every block. Root steps are totally ordered, so it needs one root for
// both sides; chains and message keys it keeps for ever.
type wiretap struct {
	inv            *Invite
	private, seeds []hexBytes

	first, peer   []byte // of the request: th, IKb
	th, rk        [32]byte
	chains        []*tapChain
	nextHK        [2][32]byte // of the guest's next chain, of the inviter's next
	lastDH        [2][]byte   // public
	epoch         uint32
	offer, answer []byte // key, and ciphertext with confirmation, of the exchange under way
	parts         map[string][]byte
}

type tapChain struct {
	th, hk, ck [32]byte
	keys       [][32]byte
}

func newWiretap(inv *Invite, v historyVectors) *wiretap {
	w := &wiretap{inv: inv, private: v.Private, seeds: v.Seeds}
	w.request(v.Container)
	return w
}

// begin starts a session from its keys: the guest's first chain is there.
func (w *wiretap) begin(th, k, guest []byte, inviter *ecdh.PrivateKey, offer []byte) {
	w.th, w.epoch = [32]byte(th), 0
	w.lastDH = [2][]byte{guest, inviter.PublicKey().Bytes()}
	w.offer, w.answer, w.parts = offer, nil, map[string][]byte{}
	next := oracleHKDF(oracleDH(inviter, guest), k[:32], []byte("hearsay/1 rk\x00"), 96)
	w.rk = [32]byte(next)
	w.chains = append(w.chains, &tapChain{th: w.th, hk: [32]byte(k[32:]), ck: [32]byte(next[32:])})
	w.nextHK = [2][32]byte{[32]byte(next[64:]), [32]byte(k[64:])}
}

// agree finds the private key of one of two points and agrees with the other.
func (w *wiretap) agree(a, b []byte) []byte {
	for _, raw := range w.private {
		k := must(ecdh.X25519().NewPrivateKey(raw))
		for _, p := range [][2][]byte{{a, b}, {b, a}} {
			if bytes.Equal(k.PublicKey().Bytes(), p[0]) {
				return oracleDH(k, p[1])
			}
		}
	}
	panic("wiretap: a key is missing")
}

func (c *tapChain) header(inner []byte) ([]byte, bool) {
	return oracleOpen(c.hk[:], inner[4:28], inner[28:92], append(bytes.Clone(c.th[:]), inner[:4]...))
}

func (c *tapChain) body(inner, header []byte) ([]byte, bool) {
	n := binary.BigEndian.Uint32(header[36:])
	for len(c.keys) <= int(n) {
		c.keys = append(c.keys, oracleHMAC(c.ck[:], []byte{1}))
		c.ck = oracleHMAC(c.ck[:], []byte{2})
	}
	k := oracleHKDF(c.keys[n][:], inner[4:28], []byte("hearsay/1 msg\x00"), 56)
	return oracleOpen(k[:32], k[32:], inner[92:], append(bytes.Clone(c.th[:]), inner[:92]...))
}

// read opens a block of either side.
func (w *wiretap) read(inner []byte) ([]byte, bool) {
	for _, c := range w.chains {
		if h, ok := c.header(inner); ok {
			return c.body(inner, h)
		}
	}
	for by := range w.nextHK {
		c := &tapChain{th: w.th, hk: w.nextHK[by]}
		h, ok := c.header(inner)
		if !ok {
			continue
		}
		dh := w.agree(h[:32], w.lastDH[1-by])
		info := []byte("hearsay/1 rk\x00")
		if epoch := binary.BigEndian.Uint32(h[40:]); epoch != w.epoch {
			ss, bind := w.exchanged(epoch)
			dh = append(dh, ss...)
			info = append(binary.BigEndian.AppendUint32([]byte("hearsay/1 rk pq\x00"), epoch), bind...)
			w.epoch = epoch
		}
		k := oracleHKDF(dh, w.rk[:], info, 96)
		w.rk, c.ck, w.nextHK[by], w.lastDH[by] = [32]byte(k), [32]byte(k[32:]), [32]byte(k[64:]), h[:32]
		w.chains = append(w.chains, c)
		return c.body(inner, h)
	}
	return nil, false
}

// exchanged returns the secret of the exchange that is under way, which has to
// be confirmed.
func (w *wiretap) exchanged(epoch uint32) (ss, bind []byte) {
	for _, seed := range w.seeds {
		dk := must(mlkem.NewDecapsulationKey768(seed))
		if !bytes.Equal(dk.EncapsulationKey().Bytes(), w.offer) {
			continue
		}
		ss = must(dk.Decapsulate(w.answer[:1088]))
		confirm := oracleHMAC(ss, binary.BigEndian.AppendUint32([]byte("hearsay/1 pq confirm\x00"), epoch))
		if bytes.Equal(confirm[:16], w.answer[1088:]) {
			return ss, oracleHash(w.offer, w.answer[:1088])
		}
	}
	panic("wiretap: no confirmed secret")
}

// check compares what an opened block said.
func (w *wiretap) check(t *testing.T, e historyStep) {
	t.Helper()
	if e.Class != "ok" {
		return
	}
	body, ok := w.read(e.Input)
	if !ok {
		t.Fatal("the wiretap cannot read it")
	}
	same(t, "wiretap's body", bytes.TrimRight(body, "\x00"), e.Body)
	if e.Epoch != w.epoch {
		t.Errorf("epoch %d, the wiretap is in %d", e.Epoch, w.epoch)
	}
	kind, index, count, _, _, content := oracleFrame(body)
	if count != 2 || kind != 0x20 && kind != 0x21 {
		return
	}
	w.parts[string([]byte{kind, byte(index)})] = bytes.Clone(content)
	first, second := w.parts[string([]byte{kind, 0})], w.parts[string([]byte{kind, 1})]
	if first != nil && second != nil {
		whole := append(bytes.Clone(first), second...)
		if kind == 0x20 {
			w.offer = whole[4:]
		} else {
			w.answer = whole[4:]
		}
	}
}

// open opens a container for an X-Wing key and returns core, exported secret and
// confirmation.
func (w *wiretap) open(xwing hpke.PrivateKey, info, container []byte) (core, exported []byte) {
	r := must(hpke.NewRecipient(container[:1120], xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info))
	return must(r.Open(nil, container[1120:3840])), must(r.Export("hearsay/1 export\x00", 32))
}

// keys derives and confirms the keys of a session; dh are three agreements.
func (w *wiretap) keys(th, exported, confirm []byte, dh ...[]byte) []byte {
	k := oracleHKDF(append(append(bytes.Repeat([]byte{0xFF}, 32), bytes.Join(dh, nil)...), exported...), th, []byte("hearsay/1 sk\x00"), 160)
	if c := oracleHMAC(k[96:128], th); !bytes.Equal(c[:16], confirm) {
		panic("wiretap: confirmation differs")
	}
	return k
}

func (w *wiretap) request(container []byte) {
	bundle := oracleHash(w.inv.bundle.Append(nil))
	core, exported := w.open(w.inv.xwing, append([]byte("hearsay/1 request\x00"), bundle...), container)
	th := oracleHash("hearsay/1 th\x00", bundle, core)
	w.first, w.peer = th, core[4:36]
	k := w.keys(th, exported, container[3840:], oracleDH(w.inv.dh, core[4:36]), oracleDH(w.inv.ik, core[36:68]), oracleDH(w.inv.dh, core[36:68]))
	w.begin(th, k, core[68:100], w.inv.dh, core[100:1284])
}

// reset begins the session of a container of bob's for alice's key.
func (w *wiretap) reset(raw, container []byte) {
	ry, xwing := must(ecdh.X25519().NewPrivateKey(raw[5:37])), must(hpke.MLKEM768X25519().NewPrivateKey(raw[37:69]))
	public := oracleHash(append(append(bytes.Clone(raw[1:5]), ry.PublicKey().Bytes()...), xwing.PublicKey().Bytes()...))
	core, exported := w.open(xwing, append([]byte("hearsay/1 reset\x00"), public...), container)
	th := oracleHash("hearsay/1 reset th\x00", w.first, public, core)
	k := w.keys(th, exported, container[3840:], oracleDH(ry, w.peer), oracleDH(w.inv.ik, core[4:36]), oracleDH(ry, core[4:36]))
	w.begin(th, k, core[36:68], ry, core[68:1252])
}

func oracleDH(k *ecdh.PrivateKey, p []byte) []byte {
	return must(k.ECDH(must(ecdh.X25519().NewPublicKey(p))))
}
