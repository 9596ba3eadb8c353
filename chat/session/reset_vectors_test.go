package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"
)

type resetVectors struct {
	Now       int64
	Receiver  hexBytes // State.Append
	Key       hexBytes // ResetKey.Append
	Public    hexBytes // content of RESETKEY
	Container hexBytes
	Core      hexBytes
	Chunks    []hexBytes
	Root      hexBytes
	HeaderA   hexBytes
	NextB     hexBytes
	Drop      hexBytes
	Counter   uint64
	After     hexBytes // the receiver's state once it took the reset
	First     hexBytes // the sender's first block
	Cases     []requestCase
	Again     string // class of the same reset, once more

	Rotation hexBytes // content of IDROT from the same sender
	Safety   string   // after it
	NonceA   hexBytes
	NonceB   hexBytes
	Commit   hexBytes
	Words    string // before the rotation, begun by the sender
}

func makeResetVectors() (v resetVectors) {
	random := seeded("reset vectors")
	alice, bob := pairUp(random)
	key := must(NewResetKey(random, 3))
	v.Now, v.Receiver, v.Key, v.Public = testNow.Unix(), bob.Append(nil), key.Append(nil), key.Public().Append(nil)
	a, b := must(NewSASNonce(random)), must(NewSASNonce(random))
	commit := SASCommit(a)
	v.NonceA, v.NonceB, v.Commit, v.Words = a[:], b[:], commit[:], alice.SASWords(alice.Identities(), true, a, b)
	r := must(alice.Reset(random, testNow, key.Public(), testPair(random)))
	v.Container, v.Counter = r.Container, r.Counter
	v.First = must(r.State.SealAck(random, testNow)).Inner
	for _, c := range must(SplitReset(r.Container)) {
		v.Chunks = append(v.Chunks, c)
	}
	core, _, _, err := key.openCore(r.Container)
	if err != nil {
		panic(err)
	}
	v.Core = core
	v.Root, v.HeaderA, v.NextB, v.Drop = oracleReset(v.Receiver, v.Key, v.Public, v.Container)
	for _, c := range []requestCase{
		{"good", v.Now, -1, ContainerSize, ""},
		{"22 days late", v.Now + 22*86400, -1, ContainerSize, ""},
		{"later", v.Now + 22*86400 + 1, -1, ContainerSize, ""},
		{"8 days early", v.Now - 8*86400, -1, ContainerSize, ""},
		{"earlier", v.Now - 8*86400 - 1, -1, ContainerSize, ""},
		{"encapsulation", v.Now, 0, ContainerSize, ""},
		{"encapsulated point", v.Now, 1100, ContainerSize, ""},
		{"core", v.Now, 2000, ContainerSize, ""},
		{"confirmation", v.Now, 3855, ContainerSize, ""},
		{"short", v.Now, -1, ContainerSize - 1, ""},
	} {
		_, err := bob.OpenReset(time.Unix(c.Now, 0), []*ResetKey{key}, c.apply(v.Container))
		c.Class = class(err)
		v.Cases = append(v.Cases, c)
	}
	if _, err := bob.AcceptReset(testNow, must(bob.OpenReset(testNow, []*ResetKey{key}, v.Container))); err != nil {
		panic(err)
	}
	v.After = bob.Append(nil)
	_, err = bob.OpenReset(testNow, []*ResetKey{key}, v.Container)
	v.Again = class(err)
	v.Rotation = must(ParseFrame(must(alice.RotateIdentity(random, testNow))[0].Body)).Content
	v.Safety = alice.SafetyNumber()
	return v
}

// oracleReset is the key schedule by hand: identity keys and the first th from
// fixed places of the receiver's serialised state.
func oracleReset(state, key, public, container []byte) (root, header, next, drop []byte) {
	ik := must(ecdh.X25519().NewPrivateKey(state[6:38]))
	peer, first := state[38:70], state[102:134]
	ry := must(ecdh.X25519().NewPrivateKey(key[5:37]))
	xwing := must(hpke.MLKEM768X25519().NewPrivateKey(key[37:69]))
	h := sha256.Sum256(public)
	r := must(hpke.NewRecipient(container[:1120], xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), append([]byte("hearsay/1 reset\x00"), h[:]...)))
	core := must(r.Open(nil, container[1120:3840]))
	exported := must(r.Export("hearsay/1 export\x00", 32))
	dh := func(k *ecdh.PrivateKey, p []byte) []byte {
		return must(k.ECDH(must(ecdh.X25519().NewPublicKey(p))))
	}
	ikm := bytes.Repeat([]byte{0xFF}, 32)
	for _, p := range [][]byte{dh(ry, peer), dh(ik, core[4:36]), dh(ry, core[4:36]), exported} {
		ikm = append(ikm, p...)
	}
	all := append([]byte("hearsay/1 reset th\x00"), first...)
	th := sha256.Sum256(append(append(all, h[:]...), core...))
	k := oracleHKDF(ikm, th[:], []byte("hearsay/1 sk\x00"), 160)
	if confirm := oracleHMAC(k[96:128], th[:]); !bytes.Equal(confirm[:16], container[3840:]) {
		panic("oracle: confirmation differs")
	}
	return k[:32], k[32:64], k[64:96], k[128:]
}

func TestResetVectors(t *testing.T) {
	v := vectors(t, "reset.json", makeResetVectors)
	bob, key := must(ParseState(v.Receiver)), must(ParseResetKey(v.Key))
	now := time.Unix(v.Now, 0)
	same(t, "key", key.Append(nil), v.Key)
	same(t, "public key", key.Public().Append(nil), v.Public)
	same(t, "parsed public key", must(ParseResetPublic(v.Public)).Append(nil), v.Public)
	for i, c := range must(SplitReset(v.Container)) {
		same(t, "chunk", c, v.Chunks[i])
	}
	for _, c := range v.Cases {
		if _, err := bob.OpenReset(time.Unix(c.Now, 0), []*ResetKey{key}, c.apply(v.Container)); class(err) != c.Class {
			t.Errorf("%s: %v, want %s", c.Name, err, c.Class)
		}
	}
	root, header, next, drop := oracleReset(v.Receiver, v.Key, v.Public, v.Container)
	same(t, "oracle: root", root, v.Root)
	same(t, "oracle: header key", header, v.HeaderA)
	same(t, "oracle: next header key", next, v.NextB)
	same(t, "oracle: drop", drop, v.Drop)
	// The table of the core, by offsets.
	core := []byte(v.Core)
	if len(core) != 2704 || !bytes.Equal(core[:4], []byte{1, 3, 0, 0}) || binary.BigEndian.Uint64(core[1492:]) != v.Counter ||
		binary.BigEndian.Uint32(core[1500:]) != 0 || binary.BigEndian.Uint32(core[1504:]) != 3 || binary.BigEndian.Uint64(core[1508:]) != 1 ||
		!allZero(core[1516:]) {
		t.Error("core")
	}
	same(t, "parsed core", must(parseResetCore(core)).append(nil), core)
	words := bob.SASWords(bob.Identities(), false, [32]byte(v.NonceA), [32]byte(v.NonceB))
	if words != v.Words || !SASOpens([32]byte(v.Commit), [32]byte(v.NonceA)) {
		t.Errorf("words %q, want %q", words, v.Words)
	}
	rotated := bob.Clone()
	if err := rotated.TakeRotation(v.Rotation); err != nil || rotated.SafetyNumber() != v.Safety {
		t.Errorf("rotation: %v, %s", err, rotated.SafetyNumber())
	}
	if _, err := bob.AcceptReset(now, must(bob.OpenReset(now, []*ResetKey{key}, v.Container))); err != nil {
		t.Fatal(err)
	}
	same(t, "state after it", bob.Append(nil), v.After)
	same(t, "drop", bob.drop[:], v.Drop)
	same(t, "header key", bob.ratchet.recv.hk[:], v.HeaderA)
	if _, err := bob.OpenReset(now, []*ResetKey{key}, v.Container); class(err) != v.Again {
		t.Errorf("again: %v, want %s", err, v.Again)
	}
	if got, err := bob.Open(now, v.First); err != nil || got.Frame.Type != FrameAck {
		t.Errorf("first block: %+v, %v", got, err)
	}
}

// TestNonContributoryReset puts points of low order into every key of a reset,
// of RESETKEY and of IDROT, with confirmations that are right for the all-zero
// agreement.
func TestNonContributoryReset(t *testing.T) {
	alice, bob := resetPair(t)
	zero := make([]byte, keySize)
	before := bob.Append(nil)
	for _, p := range torsion(t) {
		for _, field := range []string{"EP", "DH", "both"} {
			ep, dh := must(newDH(seeded("ep"))), must(newDH(seeded("dh")))
			c := resetCore{
				ep: [keySize]byte(ep.PublicKey().Bytes()), dh: [keySize]byte(dh.PublicKey().Bytes()),
				kem: must(newOffer(seeded("kem"))).EncapsulationKey().Bytes(), queues: testPair(seeded("queues")),
				counter: unixSeconds(testNow), key: 1, lowest: 1,
			}
			dh1, dh2, dh3 := must(agree(alice.ik, alice.peer.dh[:])), must(agree(ep, alice.peerIK[:])), must(agree(ep, alice.peer.dh[:]))
			if field != "DH" {
				c.ep, dh2, dh3 = p, zero, zero
			}
			if field != "EP" {
				c.dh = p
			}
			in, err := bob.OpenReset(testNow, []*ResetKey{bob.key}, craftReset(t, alice, c.append(nil), dh1, dh2, dh3))
			if err == nil {
				_, err = bob.AcceptReset(testNow, in)
			}
			if class(err) != "auth" {
				t.Errorf("%s = %x: %v", field, p, err)
			}
		}
		bad := alice.peer
		bad.dh = p
		if _, err := alice.Reset(seeded("x"), testNow, bad, testPair(seeded("y"))); class(err) != "auth" {
			t.Errorf("RESETKEY X25519 = %x: %v", p, err)
		}
		bad = alice.peer
		copy(bad.xwing[kemKeySize:], p[:])
		if _, err := alice.Reset(seeded("x"), testNow, bad, testPair(seeded("y"))); err == nil {
			t.Errorf("RESETKEY X-Wing = %x is taken", p)
		}
		var k [keySize]byte
		derive(k[:], zero, nil, labelIDRot)
		m := mac(k[:], []byte(labelIDRot), bob.renewal.first[:], p[:])
		if err := bob.TakeRotation(append(bytes.Clone(p[:]), m[:]...)); class(err) != "auth" {
			t.Errorf("IDROT = %x: %v", p, err)
		}
	}
	if !bytes.Equal(before, bob.Append(nil)) {
		t.Error("the state changed")
	}
}

// craftReset seals a core as the partner with the given agreements would.
func craftReset(t testing.TB, from *partner, core, dh1, dh2, dh3 []byte) []byte {
	t.Helper()
	h := sha256.Sum256(from.peer.Append(nil))
	enc, sealed, exported, err := sealCore(from.peer.xwing, resetInfo(h), core)
	if err != nil {
		t.Fatal(err)
	}
	th := resetTranscript(from.renewal.first, h, core)
	k := deriveSessionKeys(th, dh1, dh2, dh3, exported)
	confirm := mac(k.confirm[:], th[:])
	return append(append(enc, sealed...), confirm[:confirmSize]...)
}

// TestResetCoreFields changes what the format fixes: every byte of padding
// counts, and no field may be out of its bounds.
func TestResetCoreFields(t *testing.T) {
	v := vectors(t, "reset.json", makeResetVectors)
	for name, change := range map[string]func(b []byte){
		"version":            func(b []byte) { b[0] = 2 },
		"a request":          func(b []byte) { b[1] = 2 },
		"reserved":           func(b []byte) { b[3] = 1 },
		"encapsulation key":  func(b []byte) { b[68], b[69] = 0xFF, 0xFF },
		"no queue":           func(b []byte) { clear(b[1252:1372]) },
		"one relay twice":    func(b []byte) { copy(b[1372:], b[1252:1284]) },
		"counter 0":          func(b []byte) { clear(b[1492:1500]) },
		"counter too high":   func(b []byte) { b[1492] = 0x80 },
		"generation":         func(b []byte) { b[1500] = 0x80 },
		"lowest 0":           func(b []byte) { clear(b[1508:1516]) },
		"lowest too high":    func(b []byte) { b[1508] = 0x80 },
		"first padding byte": func(b []byte) { b[1516] = 1 },
		"last padding byte":  func(b []byte) { b[2703] = 1 },
	} {
		b := bytes.Clone(v.Core)
		change(b)
		if _, err := parseResetCore(b); class(err) != "format" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range v.Core {
		if _, err := parseResetCore(v.Core[:n]); class(err) != "format" {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	for n := range v.Public {
		if _, err := ParseResetPublic(v.Public[:n]); class(err) != "format" {
			t.Errorf("RESETKEY cut to %d bytes: %v", n, err)
		}
	}
	for n := range v.Key {
		if _, err := ParseResetKey(v.Key[:n]); class(err) != "format" {
			t.Errorf("key cut to %d bytes: %v", n, err)
		}
	}
	for n := range v.After {
		if _, err := ParseState(v.After[:n]); class(err) != "format" {
			t.Errorf("state cut to %d bytes: %v", n, err)
		}
	}
	bob := must(ParseState(v.Receiver))
	for n := range v.Rotation {
		if err := bob.TakeRotation(v.Rotation[:n]); class(err) != "format" {
			t.Errorf("IDROT cut to %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := ParseSAS(make([]byte, n)); class(err) != "format" {
			t.Errorf("words of %d bytes: %v", n, err)
		}
	}
}
