package onion

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"hearsay/circuit/cell"
)

var update = flag.Bool("update", false, "write testdata again")

func testParams(k OnionKey) Params {
	return Params{Network: testNetwork, Identity: testIdentity, OnionKey: k.Public(), OnionEpoch: k.NotBefore(), Options: options(2)}
}

// TestHandshakeBindsEverything changes each thing that the two sides must
// agree on, and each part of both messages.
func TestHandshakeBindsEverything(t *testing.T) {
	key := testKey(t, 7)
	run := func(change func(p *Params), create, created func([]byte), network, identity [32]byte) error {
		p := testParams(key)
		if change != nil {
			change(&p)
		}
		h, msg, err := NewClientHandshake(crand.Reader, p)
		if err != nil {
			return err
		}
		if create != nil {
			create(msg)
		}
		_, _, reply, err := Respond(crand.Reader, network, identity, []OnionKey{key}, msg, accept)
		if err != nil {
			return err
		}
		if created != nil {
			created(reply)
		}
		_, _, err = h.Finish(reply)
		return err
	}
	flip := func(at int) func([]byte) { return func(b []byte) { b[at] ^= 1 } }
	if err := run(nil, nil, nil, testNetwork, testIdentity); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	other := [32]byte{9}
	cases := map[string]error{
		"network":        run(nil, nil, nil, other, testIdentity),
		"identity":       run(nil, nil, nil, testNetwork, other),
		"epoch":          run(func(p *Params) { p.OnionEpoch = 8 }, nil, nil, testNetwork, testIdentity),
		"epoch in msg":   run(nil, flip(7), nil, testNetwork, testIdentity),
		"version":        run(nil, flip(1), nil, testNetwork, testIdentity),
		"suite":          run(nil, flip(2), nil, testNetwork, testIdentity),
		"reserved":       run(nil, flip(3), nil, testNetwork, testIdentity),
		"e":              run(nil, flip(8), nil, testNetwork, testIdentity),
		"ek":             run(nil, flip(40), nil, testNetwork, testIdentity),
		"options":        run(nil, flip(1230), nil, testNetwork, testIdentity),
		"tag":            run(nil, flip(1255), nil, testNetwork, testIdentity),
		"ct":             run(nil, nil, flip(0), testNetwork, testIdentity),
		"e of relay":     run(nil, nil, flip(1088), testNetwork, testIdentity),
		"options reply":  run(nil, nil, flip(1120), testNetwork, testIdentity),
		"tag of reply":   run(nil, nil, flip(1151), testNetwork, testIdentity),
		"wrong onionkey": run(func(p *Params) { p.OnionKey = testKey(t, 7).Public() }, nil, nil, testNetwork, testIdentity),
	}
	for name, err := range cases {
		if !errors.Is(err, ErrHandshake) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHandshakeTruncatedAtEveryByte(t *testing.T) {
	key := testKey(t, 7)
	h, create, err := NewClientHandshake(crand.Reader, testParams(key))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(create) {
		if _, _, _, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, create[:n], accept); !errors.Is(err, ErrHandshake) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	for n := range cell.CreatedSize {
		if _, _, err := h.Finish(make([]byte, n)); !errors.Is(err, ErrHandshake) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// TestRelayCannotRaiseCredit lets a relay accept more than was asked.
func TestRelayCannotRaiseCredit(t *testing.T) {
	key := testKey(t, 7)
	p := testParams(key)
	p.Options.Max = 64
	for name, o := range map[string]cell.Options{
		"more credit": {HasCredit: true, Initial: 64, Max: 65},
		"no credit":   {},
		"slot":        {HasSlot: true, Slot: 2, HasCredit: true, Initial: 64, Max: 64},
	} {
		h, create, err := NewClientHandshake(crand.Reader, p)
		if err != nil {
			t.Fatal(err)
		}
		_, _, created, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, create, func(cell.Options) cell.Options { return o })
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Finish(created); !errors.Is(err, ErrHandshake) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNonContributoryDH puts low-order points where X25519 keys are expected.
func TestNonContributoryDH(t *testing.T) {
	key := testKey(t, 7)
	low := [][]byte{
		make([]byte, 32),
		append([]byte{1}, make([]byte, 31)...),
		mustHex(t, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
		mustHex(t, "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
		mustHex(t, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		mustHex(t, "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		mustHex(t, "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	}
	for i, point := range low {
		p := testParams(key)
		p.OnionKey = [32]byte(point)
		if _, _, err := NewClientHandshake(crand.Reader, p); err == nil {
			t.Errorf("point %d accepted as onion key", i)
		}
		h, create, err := NewClientHandshake(crand.Reader, testParams(key))
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(create)
		copy(bad[8:40], point)
		if _, _, _, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, bad, accept); !errors.Is(err, ErrHandshake) {
			t.Errorf("point %d accepted in CREATE: %v", i, err)
		}
		_, _, created, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, create, accept)
		if err != nil {
			t.Fatal(err)
		}
		copy(created[1088:1120], point)
		if _, _, err := h.Finish(created); !errors.Is(err, ErrHandshake) {
			t.Errorf("point %d accepted in CREATED: %v", i, err)
		}
	}
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// handshakeVector is one recorded handshake with all randomness fixed.
type handshakeVector struct {
	Onion, Network, Identity, ClientSeed, RelaySeed, Encapsulation string // hex
	Prologue, PSK, Create, Created, Forward, Backward              string
}

// TestHandshakeVector pins every byte of a handshake: formats with this
// version byte never change.
func TestHandshakeVector(t *testing.T) {
	const file = "testdata/handshake.json"
	fill := func(seed byte) [32]byte {
		var b [32]byte
		for i := range b {
			b[i] = seed + byte(i)
		}
		return b
	}
	network, identity, private, clientSeed, relaySeed, encap := fill(1), fill(2), fill(3), fill(4), fill(5), fill(6)
	key, err := NewOnionKey(private, 1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	h, create, err := NewClientHandshake(rand.NewChaCha8(clientSeed), Params{
		Network: network, Identity: identity, OnionKey: key.Public(), OnionEpoch: key.NotBefore(), Options: options(1),
	})
	if err != nil {
		t.Fatal(err)
	}
	ekBytes := h.dk.EncapsulationKey().Bytes()
	var secret []byte
	relay, asked, created, err := respond(rand.NewChaCha8(relaySeed), network, identity, []OnionKey{key}, create, accept,
		func(ek *mlkem.EncapsulationKey768) ([]byte, []byte) {
			ss, ct, err := mlkemtest.Encapsulate768(ek, encap[:])
			if err != nil {
				t.Fatal(err)
			}
			secret = bytes.Clone(ss)
			return ss, ct
		})
	if err != nil || asked != options(1) {
		t.Fatalf("%+v %v", asked, err)
	}
	pro := prologue(&network, &identity, key.NotBefore())
	psk, err := presharedKey(secret, pro, ekBytes, created[:createdKEM], create[createHeader:])
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := h.Finish(created)
	if err != nil {
		t.Fatal(err)
	}
	if l.forward.key != relay.forward.key || l.backward.key != relay.backward.key {
		t.Fatal("the two sides hold different keys")
	}
	x := hex.EncodeToString
	got := handshakeVector{
		Onion: x(private[:]), Network: x(network[:]), Identity: x(identity[:]), ClientSeed: x(clientSeed[:]),
		RelaySeed: x(relaySeed[:]), Encapsulation: x(encap[:]), Prologue: x(pro), PSK: x(psk),
		Create: x(create), Created: x(created), Forward: x(l.forward.key[:]), Backward: x(l.backward.key[:]),
	}
	if *update {
		b, _ := json.MarshalIndent(got, "", "  ")
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want handshakeVector
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("handshake differs from the recorded one:\n got %+v\nwant %+v", got, want)
	}
}

// FuzzRespond gives hostile CREATE messages to a relay.
func FuzzRespond(f *testing.F) {
	key, err := NewOnionKey([32]byte{9}, 7)
	if err != nil {
		f.Fatal(err)
	}
	_, create, err := NewClientHandshake(crand.Reader, testParams(key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(create)
	f.Add(make([]byte, cell.CreateSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, o, created, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, b, accept)
		if err != nil {
			if l != nil || created != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if len(created) != cell.CreatedSize || !o.HasSlot || l.Slot() != o.Slot {
			t.Fatal("accepted a CREATE without sense")
		}
	})
}

// FuzzFinish gives hostile CREATED messages to a client.
func FuzzFinish(f *testing.F) {
	key, err := NewOnionKey([32]byte{9}, 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(make([]byte, cell.CreatedSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, err := NewClientHandshake(crand.Reader, testParams(key))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Finish(b); err == nil {
			t.Fatal("a CREATED that nobody made was accepted")
		}
	})
}

// FuzzLayers runs operations on a circuit of three hops: whatever the middle
// does to a cell, either it arrives as sent or the circuit ends.
func FuzzLayers(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4})
	f.Add([]byte{2, 2, 0x82, 5})
	f.Fuzz(func(t *testing.T, ops []byte) {
		c := &Client{}
		var relays []*Layer
		for i := range 3 {
			var fk, bk [32]byte
			fk[0], bk[0] = byte(i), byte(i+100)
			if err := c.Add(newLayer(i, &fk, &bk)); err != nil {
				t.Fatal(err)
			}
			r := newLayer(i, &fk, &bk)
			relays = append(relays, r)
		}
		body := make([]byte, cell.BodySize)
		for i, op := range ops {
			hop := int(op&0x7F) % 3
			if err := c.SealForward(body, hop, ping(byte(i))); err != nil {
				t.Fatal(err)
			}
			tampered := op&0x80 != 0
			if tampered {
				body[int(op&0x7F)*8] ^= 0x10
			}
			at, p, err := carry(relays, body)
			if tampered {
				if err == nil {
					t.Fatal("a changed cell was accepted")
				}
				return
			}
			if err != nil || at != hop {
				t.Fatalf("cell %d ended at %d: %v", i, at, err)
			}
			if m, err := cell.ParseMessage(p); err != nil || m.Data[0] != byte(i) {
				t.Fatal("message changed on the way")
			}
		}
	})
}

func BenchmarkClientHandshake(b *testing.B) {
	key := testKey(b, 7)
	for b.Loop() {
		if _, _, err := NewClientHandshake(crand.Reader, testParams(key)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRespond is what one CREATE costs a relay.
func BenchmarkRespond(b *testing.B) {
	key := testKey(b, 7)
	_, create, err := NewClientHandshake(crand.Reader, testParams(key))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := Respond(crand.Reader, testNetwork, testIdentity, []OnionKey{key}, create, accept); err != nil {
			b.Fatal(err)
		}
	}
}
