package session

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// checkParse is what each parser target asks: an error of ours, or the same
// bytes again.
func checkParse(t *testing.T, in, out []byte, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrAuth) { // the latter: an address that is not signed
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(in, out) {
		t.Fatal("encodes to something else")
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add(testInvite(seeded("fuzz")).Link().String())
	f.Add("HEARSAY:")
	f.Add("HEARSAY-NET:AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s, testNetwork)
		if err == nil && l.String() != s {
			t.Fatal("encodes to something else")
		}
		// Behind the check, which a fuzzer does not find.
		b := make([]byte, linkSize-linkCheckSize)
		copy(b, s)
		b[0], b[1] = linkVersion, linkOneTime
		c := hash(labelLinkCheck, b)
		s = linkPrefix + linkText.EncodeToString(append(b, c[:linkCheckSize]...))
		if l, err := ParseLink(s, [32]byte(append(b[2:6:6], make([]byte, 28)...))); err == nil && l.String() != s {
			t.Fatal("encodes to something else")
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	inv := testInvite(seeded("fuzz"))
	f.Add(inv.Bundle().Append(nil))
	f.Add(inv.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseBundle(b)
		checkParse(t, b, u.Append(nil), err)
		if err == nil {
			_, _ = u.Request(rand.Reader, testNow, RequestConfig{Queues: u.Queues})
		}
		i, err := ParseInvite(b)
		if err == nil {
			checkParse(t, b, i.Append(nil), nil)
		}
	})
}

// FuzzOpenBlob feeds blobs as they are and plaintexts that are sealed first.
func FuzzOpenBlob(f *testing.F) {
	inv := testInvite(seeded("fuzz"))
	l := inv.Link()
	f.Add(must(inv.SealBlob(seeded("blob"))))
	f.Add(inv.Bundle().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := l.OpenBlob(testNow, testNetwork, b); err == nil {
			checkParse(t, inv.Bundle().Append(nil), u.Append(nil), nil)
		}
		plain := make([]byte, blobPlainSize)
		copy(plain, b)
		link := Link{Relays: l.Relays, Key: linkKeyOf(plain[:BundleSize])}
		blob := must(link.sealBlob(seeded("nonce"), plain))
		if u, err := link.OpenBlob(testNow, testNetwork, blob); err == nil {
			checkParse(t, plain[:BundleSize], u.Append(nil), nil)
		}
	})
}

// FuzzRequest feeds containers, cores and sequences of chunks.
func FuzzRequest(f *testing.F) {
	v := frozen[requestVectors](f, "request.json")
	inv, good := must(ParseInvite(v.Invite)), []byte(v.Container)
	f.Add(good, []byte(v.Core), []byte{0, 1, 2, 3})
	f.Add(good[:100], []byte(v.Core[:100]), []byte{3, 0x41, 2, 1, 0})
	chunks := must(SplitContainer(good))
	f.Fuzz(func(t *testing.T, container, core, order []byte) {
		if _, err := inv.Accept(testNow, Config{}, container); err == nil && !bytes.Equal(container, good) {
			t.Fatal("accepted another container")
		}
		c, err := parseRequestCore(testNow, core)
		if err == nil {
			checkParse(t, core, c.append(nil), nil)
		}
		as := &RequestAssembler{}
		seen := byte(0)
		for _, o := range order {
			b := bytes.Clone(chunks[o&3])
			if o&0x40 != 0 {
				copy(b, container) // hostile bytes in between
			}
			got, err := as.Add(testNow, b)
			if err != nil {
				continue
			}
			if bytes.Equal(b, chunks[o&3]) {
				seen |= 1 << (o & 3)
			}
			if got != nil && bytes.Equal(got, good) {
				if seen != 15 {
					t.Fatal("complete without all chunks")
				}
				seen = 0
			}
			raw := as.Append(nil)
			again, err := ParseRequestAssembler(raw)
			if err != nil {
				t.Fatal(err)
			}
			checkParse(t, raw, again.Append(nil), nil)
			as = again
		}
		as, err = ParseRequestAssembler(container)
		if err == nil {
			checkParse(t, container, as.Append(nil), nil)
		}
	})
}

// FuzzReset feeds containers, cores, reset keys and parts of resets.
func FuzzReset(f *testing.F) {
	v := frozen[resetVectors](f, "reset.json")
	key, good := must(ParseResetKey(v.Key)), []byte(v.Container)
	f.Add(good, []byte(v.Core), []byte(v.Public), []byte(v.Key))
	f.Add(good[:100], []byte(v.Core[:100]), []byte(v.Public[:100]), []byte(v.Key[:10]))
	chunks := must(SplitReset(good))
	f.Fuzz(func(t *testing.T, container, core, public, private []byte) {
		s := must(ParseState(v.Receiver))
		if _, err := s.OpenReset(testNow, []*ResetKey{key}, container); err == nil && !bytes.Equal(container, good) {
			t.Fatal("accepted another container")
		}
		if !bytes.Equal(s.Append(nil), v.Receiver) {
			t.Fatal("opening changed the state")
		}
		if c, err := parseResetCore(core); err == nil {
			checkParse(t, core, c.append(nil), nil)
		}
		if p, err := ParseResetPublic(public); err == nil {
			checkParse(t, public, p.Append(nil), nil)
			if _, err := s.Reset(seeded("fuzz"), testNow, p, testPair(seeded("queues"))); err == nil && !bytes.Equal(s.Append(nil), v.Receiver) {
				t.Fatal("making a reset changed the state")
			}
		}
		if k, err := ParseResetKey(private); err == nil {
			checkParse(t, private, k.Append(nil), nil)
		}
		as := &RequestAssembler{}
		for i := range chunks {
			b := bytes.Clone(chunks[i])
			copy(b, core[:min(len(core), i*30)])
			if got, err := as.AddReset(testNow, b); err == nil && got != nil && !bytes.Equal(got, good) {
				t.Fatal("put another container together")
			}
		}
	})
}

// frozen loads golden vectors: encapsulations draw from the system's generator,
// and all processes of a fuzz run need the same seeds.
func frozen[T any](f *testing.F, name string) (v T) {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		f.Fatal(err)
	}
	return v
}

func FuzzParseFrame(f *testing.F) {
	for _, v := range makeFrameVectors() {
		f.Add(append(bytes.Clone(v.Body), make([]byte, BodySize-len(v.Body))...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseFrame(b)
		if err != nil {
			p.Content = nil
			checkParse(t, b, nil, err)
			return
		}
		checkParse(t, b, p.Append(nil), nil)
	})
}

func FuzzParseContent(f *testing.F) {
	reply := [16]byte{1}
	f.Add(must(Text{Text: "hello"}.Append(nil)))
	f.Add(must(Text{Text: "é", Reply: &reply, Timer: 5}.Append(nil)))
	f.Add(QAdd{Slot: 1, Addr: testQAddr(seeded("fuzz"))}.Append(nil))
	f.Add(QUse{Slot: 1, Generation: 5}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := ParseText(b)
		if err == nil {
			checkParse(t, b, must(text.Append(nil)), nil)
		}
		add, err := ParseQAdd(b)
		checkParse(t, b, add.Append(nil), err)
		use, err := ParseQUse(b)
		checkParse(t, b, use.Append(nil), err)
		a, err := ParseQAddr(b)
		checkParse(t, b, a.Append(nil), err)
	})
}

// FuzzOpenBlock feeds blocks, and inner blocks that are sealed first.
func FuzzOpenBlock(f *testing.F) {
	random := seeded("fuzz")
	a := testQAddr(random)
	v := frozen[ratchetVectors](f, "ratchet.json")
	raw, good := []byte(v.States["alice at the start"]), []byte(v.Steps[0].Inner)
	block, _, err := a.Seal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(block)
	f.Add(good)
	f.Add([]byte{1, 2, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		if inner, err := OpenBlock(a.Key, a.SID, b); err == nil {
			again, _, err := a.Seal(inner)
			checkParse(t, b, again, err)
		}
		inner := make([]byte, InnerSize)
		copy(inner, b)
		sealed, id, err := a.Seal(inner)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := OpenBlock(a.Key, a.SID, sealed)
		checkParse(t, inner, opened, err)
		if id != a.MessageID(inner) {
			t.Fatal("message id differs")
		}
		s := must(ParseState(raw))
		typ, err := ParseInner(inner)
		if err != nil || typ != InnerRatchet {
			return
		}
		if _, err := s.Open(testNow, inner); err == nil {
			if !bytes.Equal(inner, good) {
				t.Fatal("opened a forged block")
			}
		} else if !bytes.Equal(raw, s.Append(nil)) {
			t.Fatal("a refused block changed the state")
		}
	})
}

// FuzzState feeds serialised states; what is accepted encodes to the same and
// works without panic.
func FuzzState(f *testing.F) {
	random := seeded("fuzz")
	v := frozen[ratchetVectors](f, "ratchet.json")
	for _, raw := range v.States {
		f.Add([]byte(raw), []byte{0, 1, 2, 3, 4, 5, 6, 7})
	}
	alice, bob := must(ParseState(v.States["alice at the start"])), must(ParseState(v.States["bob at the start"]))
	late := must(bob.Seal(random, testNow, text(3000)))
	must(alice.Open(testNow, late[2].Inner))
	f.Add(alice.Append(nil), []byte{5, 6, 7})
	f.Fuzz(func(t *testing.T, b, ops []byte) {
		s, err := ParseState(b)
		if err != nil {
			checkParse(t, b, nil, err)
			return
		}
		if b[0] == stateVersion { // older ones become newer ones
			checkParse(t, b, s.Append(nil), nil)
		}
		if len(ops) > 20 {
			ops = ops[:20]
		}
		for _, op := range ops {
			operate(s, op, late)
		}
		raw := s.Append(nil)
		s, err = ParseState(raw)
		if err != nil {
			t.Fatal(err)
		}
		checkParse(t, raw, s.Append(nil), nil)
	})
}

// operate does one thing to a state and looks at nothing.
func operate(s *State, op byte, blocks []Sealed) {
	random := seeded("operate")
	switch op % 8 {
	case 0:
		_, _ = s.Seal(random, testNow, text(int(op)*10))
	case 1:
		_, _ = s.Control(random, testNow)
	case 2:
		_, _ = s.SealAck(random, testNow)
	case 3:
		_, _ = s.Open(testNow, blocks[int(op)%len(blocks)].Inner)
	case 4:
		_, _ = s.Reseal(random, testNow, blocks[int(op)%len(blocks)].Body)
	case 5:
		for _, seq := range s.Unacked() {
			s.GiveUp(seq + uint64(op%3))
		}
	case 6:
		f, err := ParseFrame(blocks[0].Body)
		if err == nil {
			f.AckValid, f.Ack = true, s.out.next-1
			f.Seq += uint64(op)
			c := *s
			if _, err := c.take(f, false); err == nil {
				*s = c
			}
		}
	case 7:
		_, _, _, _, _ = s.Missing(), s.Room(true), s.Stalled(), s.AckOwed(), s.SyncDue()
	}
}

// FuzzSession turns bytes into operations on two live states and the blocks
// between them: seal, lose, repeat, change, deliver out of order, forge frames
// with the right keys, restart.
func FuzzSession(f *testing.F) {
	v := frozen[ratchetVectors](f, "ratchet.json")
	rawA, rawB := v.States["alice at the start"], v.States["bob at the start"]
	f.Add([]byte{0, 0x80, 4, 0x84, 0, 0x80, 4, 0x84, 3, 0x83})
	f.Add([]byte{2, 2, 4, 4, 4, 4, 0x80, 0x84, 1, 1, 5, 5, 6, 9})
	f.Add(append([]byte{7}, Frame{Type: FramePQCT, Count: 1, Seq: 1, Content: make([]byte, 4)}.Append(nil)...))
	f.Add([]byte{0, 0x80, 10, 0x8A, 11, 0x8B, 0, 4, 0x80, 0x84, 3, 0x83, 4, 0x84})
	f.Add([]byte{12, 0, 10, 11, 3, 4, 0, 4, 0x80, 0x84, 13, 4, 10, 11, 14})
	f.Add(append([]byte{0x87}, Frame{Type: FrameSync, Count: 1, Content: make([]byte, 8)}.Append(nil)...))
	f.Fuzz(func(t *testing.T, ops []byte) {
		random := seeded("session")
		states := [2]*State{must(ParseState(rawA)), must(ParseState(rawB))}
		var wires [2][][]byte
		var resets [2][]byte
		keys := []*ResetKey{must(NewResetKey(random, 1)), must(NewResetKey(random, 1))}
		queues := testPair(random)
		for n := 0; len(ops) > 0 && n < 60; n++ {
			op := ops[0]
			ops = ops[1:]
			i := int(op >> 7)
			s, peer := states[i], states[1-i]
			put := func(all []Sealed, err error) {
				for _, b := range all {
					wires[i] = append(wires[i], b.Inner)
				}
			}
			open := func(inner []byte) {
				before := peer.Append(nil)
				if _, err := peer.Open(testNow, inner); err != nil && !bytes.Equal(before, peer.Append(nil)) {
					t.Fatal("a refused block changed the state")
				}
			}
			at := -1
			if len(wires[i]) > 0 {
				at = int(op>>4&7) % len(wires[i])
			}
			switch op & 15 {
			case 0, 1:
				put(s.Seal(random, testNow, text(int(op>>4&7)*300)))
			case 2:
				put(s.Control(random, testNow))
			case 3:
				if b, err := s.SealAck(random, testNow); err == nil {
					put([]Sealed{b}, nil)
				}
			case 4, 5:
				if at >= 0 {
					open(wires[i][at])
					wires[i] = append(wires[i][:at:at], wires[i][at+1:]...)
				}
			case 6:
				if at >= 0 {
					open(wires[i][at])
				}
			case 7: // a frame of the fuzzer's, with the right keys
				body := make([]byte, BodySize)
				ops = ops[copy(body, ops):]
				if s.Dormant() {
					break
				}
				c := s.Clone()
				if c.ratchet.owes {
					if err := c.ratchet.sendingHalf(random, nil); err != nil {
						t.Fatal(err)
					}
				}
				inner := must(c.ratchet.seal(random, body))
				s.ratchet = c.ratchet
				open(inner)
			case 8:
				if at >= 0 {
					bad := bytes.Clone(wires[i][at])
					bad[int(op)*7%InnerSize] ^= 1
					open(bad)
				}
			case 9:
				for _, seq := range s.Unacked() {
					s.GiveUp(seq)
				}
			case 10: // a reset, which the peer may take now, later or never
				r, err := s.Reset(random, testNow, keys[1-i].Public(), queues)
				if err != nil {
					break
				}
				states[i], wires[i], resets[i] = r.State, nil, r.Container
			case 11:
				before := peer.Append(nil)
				in, err := peer.OpenReset(testNow, keys[1-i:2-i], resets[i])
				switch {
				case err != nil:
					if !bytes.Equal(before, peer.Append(nil)) {
						t.Fatal("a refused reset changed the state")
					}
				case in.Wins:
					if _, err := peer.AcceptReset(testNow, in); err != nil {
						t.Fatal(err)
					}
				default:
					peer.NoteReset(in)
				}
			case 12:
				own, _ := s.Device()
				if err := s.SetBack(NextDevice(own, testNow)); err == nil && (!s.Dormant() || s.Room(true) != 0 || s.AckOwed()) {
					t.Fatal("awake after it was set back")
				}
			case 13:
				if all, err := s.RotateIdentity(random, testNow); err == nil {
					put(all, nil)
					_ = peer.TakeRotation(must(ParseFrame(all[0].Body)).Content)
				}
			default:
				raw := s.Append(nil)
				again, err := ParseState(raw)
				if err != nil {
					t.Fatal(err)
				}
				checkParse(t, raw, again.Append(nil), nil)
				states[i] = again
			}
			if len(s.Append(nil)) > MaxState {
				t.Fatal("state too large")
			}
		}
	})
}
