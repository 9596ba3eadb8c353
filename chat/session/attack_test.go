package session

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"hearsay/directory"
)

// torsion are the encodings of the points of low order of Curve25519 and of its
// twist, non-canonical ones included, with and without the ignored top bit.
func torsion(t testing.TB) (points [][32]byte) {
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		p := [32]byte(b)
		points = append(points, p)
		p[31] |= 0x80
		points = append(points, p)
	}
	return points
}

// TestNonContributoryBundle puts points of low order into the keys of a bundle:
// the guest refuses to make a request.
func TestNonContributoryBundle(t *testing.T) {
	good := testInvite(rand.Reader).Bundle().Append(nil)
	cfg := RequestConfig{Queues: testPair(rand.Reader)}
	for name, at := range map[string]int{"IKa": 36, "DHa": 68, "X-Wing": 100 + kemKeySize} {
		for _, p := range torsion(t) {
			b := bytes.Clone(good)
			copy(b[at:], p[:])
			u, err := ParseBundle(b)
			if err == nil {
				_, err = u.Request(rand.Reader, testNow, cfg)
			}
			if !errors.Is(err, ErrAuth) && !errors.Is(err, ErrFormat) {
				t.Errorf("%s = %x: %v", name, p, err)
			}
		}
	}
}

// craftRequest seals a core as a guest with the given agreements would.
func craftRequest(t testing.TB, u Bundle, core []byte, dh1, dh2, dh3 []byte) []byte {
	t.Helper()
	h := sha256.Sum256(u.Append(nil))
	pk := must(hpke.MLKEM768X25519().NewPublicKey(u.xwing[:]))
	enc, s, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), requestInfo(h))
	if err != nil {
		t.Fatal(err)
	}
	sealed := must(s.Seal(nil, core))
	th := hash(labelTranscript, h[:], core)
	k := deriveSessionKeys(th, dh1, dh2, dh3, must(s.Export(labelExport, keySize)))
	confirm := mac(k.confirm[:], th[:])
	return append(append(enc, sealed...), confirm[:confirmSize]...)
}

func testCore(t testing.TB) requestCore {
	t.Helper()
	k := func() (p [32]byte) { return [32]byte(must(newDH(rand.Reader)).PublicKey().Bytes()) }
	return requestCore{
		ik: k(), ep: k(), dh: k(), kem: must(newOffer(rand.Reader)).EncapsulationKey().Bytes(),
		queues: testPair(rand.Reader), day: unixDay(testNow), name: "eve",
	}
}

// TestNonContributoryRequest puts points of low order into the keys of a
// request whose confirmation is right for the all-zero agreement.
func TestNonContributoryRequest(t *testing.T) {
	inv := testInvite(rand.Reader)
	zero := make([]byte, 32)
	for name, set := range map[string]func(c *requestCore, p [32]byte){
		"IKb":   func(c *requestCore, p [32]byte) { c.ik = p },
		"EPb":   func(c *requestCore, p [32]byte) { c.ep = p },
		"DHb":   func(c *requestCore, p [32]byte) { c.dh = p },
		"three": func(c *requestCore, p [32]byte) { c.ik, c.ep, c.dh = p, p, p },
	} {
		for _, p := range torsion(t) {
			c := testCore(t)
			ik, ep := must(newDH(rand.Reader)), must(newDH(rand.Reader))
			c.ik, c.ep = [32]byte(ik.PublicKey().Bytes()), [32]byte(ep.PublicKey().Bytes())
			u := inv.Bundle()
			dh1, dh2, dh3 := must(agree(ik, u.dh[:])), must(agree(ep, u.ik[:])), must(agree(ep, u.dh[:]))
			set(&c, p)
			if c.ik == p {
				dh1 = zero
			}
			if c.ep == p {
				dh2, dh3 = zero, zero
			}
			_, err := inv.Accept(testNow, Config{}, craftRequest(t, u, c.append(nil), dh1, dh2, dh3))
			if !errors.Is(err, ErrAuth) {
				t.Errorf("%s = %x: %v", name, p, err)
			}
		}
	}
	// The X25519 half of the HPKE encapsulation.
	q := must(inv.Bundle().Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
	for _, p := range torsion(t) {
		b := bytes.Clone(q.Container)
		copy(b[kemTextSize:], p[:])
		if _, err := inv.Accept(testNow, Config{}, b); !errors.Is(err, ErrAuth) {
			t.Errorf("HPKE = %x: %v", p, err)
		}
	}
}

// forge seals a body under a header of the attacker's choice with the keys of
// the peer's sending chain.
func forge(t testing.TB, from *State, change func(header []byte), body []byte) []byte {
	t.Helper()
	r := from.ratchet
	if r.owes {
		if err := r.sendingHalf(rand.Reader, from.pq.toMix()); err != nil {
			t.Fatal(err)
		}
	}
	mk := stepChain(&r.cks)
	h := append([]byte(nil), r.dhs.PublicKey().Bytes()...)
	for _, n := range []uint32{r.pn, r.ns, r.epoch, 0} {
		h = binary.BigEndian.AppendUint32(h, n)
	}
	change(h)
	inner := append([]byte(nil), ratchetPrefix[:]...)
	inner = append(inner, make([]byte, nonceSize)...)
	must(rand.Read(inner[prefixSize:]))
	inner = seal(inner, r.hks[:], inner[prefixSize:], h, r.headerAAD())
	key, nonce := bodyKey(mk, inner[prefixSize:encHeaderAt])
	return seal(inner, key[:], nonce[:], body, r.bodyAAD(inner))
}

func bodyOf(f Frame) []byte { return f.Append(nil) }

// TestNonContributoryRatchetKey: a contact sends ratchet keys of low order.
func TestNonContributoryRatchetKey(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
	f := Frame{Type: FrameText, Count: 1, Seq: 2, Content: []byte("\x00x")}
	for _, p := range torsion(t) {
		refuse(t, alice, forge(t, bob, func(h []byte) { copy(h, p[:]) }, bodyOf(f)), ErrAuth)
	}
	turn(t, rand.Reader, bob, alice)
}

// TestHeaderFields forges each field of a header with the right keys.
func TestHeaderFields(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	turn(t, rand.Reader, alice, bob)
	f := bodyOf(Frame{Type: FrameText, Count: 1, Seq: 2, Content: []byte("\x00x")})
	put := func(at int, v uint32) func([]byte) {
		return func(h []byte) { binary.BigEndian.PutUint32(h[at:], v) }
	}
	for name, c := range map[string]struct {
		change func([]byte)
		want   error
	}{
		"pn below what arrived": {put(32, 0), ErrFormat},
		"pn too far":            {put(32, 1+1025), ErrLimit},
		"pn beyond a chain":     {put(32, 1<<32-1), ErrLimit},
		"n too far":             {put(36, 1025), ErrLimit},
		"n beyond a chain":      {put(36, 1<<20), ErrLimit},
		"epoch ahead by two":    {put(40, 2), ErrUndecryptable},
		"reserved":              {put(44, 1), ErrFormat},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, alice, forge(t, bob, c.change, f), c.want) })
	}
	// Within a chain the ratchet key and the epoch stay.
	turn(t, rand.Reader, bob, alice)
	f = bodyOf(Frame{Type: FrameText, Count: 1, Seq: 3, Content: []byte("\x00x")})
	refuse(t, alice, forge(t, bob, func(h []byte) { h[0] ^= 1 }, f), ErrFormat)
	refuse(t, alice, forge(t, bob, put(40, alice.Epoch()+1), f), ErrUndecryptable)
	refuse(t, alice, forge(t, bob, put(36, 0), f), ErrDuplicate)
	openAll(t, alice, forge(t, bob, func([]byte) {}, f))
}

// TestEveryByteChanged flips each byte of blocks and containers.
func TestEveryByteChanged(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	inner := sealAll(t, rand.Reader, bob, text(30))[0]
	before := alice.Append(nil)
	for i := range inner {
		bad := bytes.Clone(inner)
		bad[i] ^= 1
		if _, err := alice.Open(testNow, bad); err == nil {
			t.Fatalf("byte %d changed: opened", i)
		}
		if _, err := alice.Open(testNow, inner[:i]); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if !bytes.Equal(before, alice.Append(nil)) {
		t.Fatal("bad blocks changed the state")
	}
	openAll(t, alice, inner)

	a := testQAddr(rand.Reader)
	block, _, err := a.Seal(inner)
	if err != nil {
		t.Fatal(err)
	}
	for i := range block {
		bad := bytes.Clone(block)
		bad[i] ^= 1
		if _, err := OpenBlock(a.Key, a.SID, bad); !errors.Is(err, ErrAuth) {
			t.Fatalf("byte %d of a block changed: %v", i, err)
		}
		if _, err := OpenBlock(a.Key, a.SID, block[:i]); !errors.Is(err, ErrFormat) {
			t.Fatalf("block cut at %d: %v", i, err)
		}
	}
	other := a.SID
	other[0] ^= 1
	if _, err := OpenBlock(a.Key, other, block); !errors.Is(err, ErrAuth) {
		t.Errorf("block of another queue: %v", err)
	}

	inv := testInvite(rand.Reader)
	q := must(inv.Bundle().Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
	for i := 0; i < len(q.Container); i += 7 {
		bad := bytes.Clone(q.Container)
		bad[i] ^= 1
		if _, err := inv.Accept(testNow, Config{}, bad); !errors.Is(err, ErrAuth) {
			t.Fatalf("byte %d of a container changed: %v", i, err)
		}
		if _, err := inv.Accept(testNow, Config{}, q.Container[:i]); !errors.Is(err, ErrFormat) {
			t.Fatalf("container cut at %d: %v", i, err)
		}
	}
}

// TestAlternativeNonce: an inner block sealed under another nonce would have a
// message id of its own; it is refused.
func TestAlternativeNonce(t *testing.T) {
	a := testQAddr(rand.Reader)
	inner := make([]byte, InnerSize)
	inner[0] = innerVersion
	k := a.Key.outer()
	nonce := make([]byte, nonceSize)
	block := seal(bytes.Clone(nonce), k.out[:], nonce, inner, a.SID[:])
	if _, err := OpenBlock(a.Key, a.SID, block); !errors.Is(err, ErrAuth) {
		t.Errorf("OpenBlock = %v", err)
	}
}

// TestEveryTruncation cuts every format at every byte.
func TestEveryTruncation(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	for range 3 {
		turn(t, rand.Reader, bob, alice)
		turn(t, rand.Reader, alice, bob)
	}
	late := sealAll(t, rand.Reader, bob, text(2000))
	openAll(t, alice, late[1], late[2])
	inv := testInvite(rand.Reader)
	q := must(inv.Bundle().Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
	chunks := must(SplitContainer(q.Container))
	var as RequestAssembler
	must(as.Add(testNow, chunks[0]))
	must(as.Add(testNow, chunks[3]))
	reply := [16]byte{1}
	for name, c := range map[string]struct {
		good  []byte
		parse func([]byte) error
	}{
		"state":     {alice.Append(nil), func(b []byte) error { _, err := ParseState(b); return err }},
		"invite":    {inv.Append(nil), func(b []byte) error { _, err := ParseInvite(b); return err }},
		"bundle":    {inv.Bundle().Append(nil), func(b []byte) error { _, err := ParseBundle(b); return err }},
		"assembler": {as.Append(nil), func(b []byte) error { _, err := ParseRequestAssembler(b); return err }},
		"qaddr":     {testQAddr(rand.Reader).Append(nil), func(b []byte) error { _, err := ParseQAddr(b); return err }},
		"frame":     {Frame{Type: 0x33, Count: 1, Seq: 1}.Append(nil), func(b []byte) error { _, err := ParseFrame(b); return err }},
		"qadd":      {QAdd{Addr: testQAddr(rand.Reader)}.Append(nil), func(b []byte) error { _, err := ParseQAdd(b); return err }},
		"quse":      {QUse{Slot: 1, Generation: 9}.Append(nil), func(b []byte) error { _, err := ParseQUse(b); return err }},
		"text":      {must(Text{Reply: &reply, Timer: 9, Text: "é"}.Append(nil)), func(b []byte) error { _, err := ParseText(b); return err }},
		"core":      {testCore(t).append(nil), func(b []byte) error { _, err := parseRequestCore(testNow, b); return err }},
		"blob": {must(inv.SealBlob(rand.Reader)), func(b []byte) error {
			_, err := inv.Link().OpenBlob(testNow, testNetwork, b)
			return err
		}},
		"chunk": {chunks[0], func(b []byte) error { _, err := new(RequestAssembler).Add(testNow, b); return err }},
	} {
		if err := c.parse(c.good); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range c.good {
			if err := c.parse(c.good[:i]); !errors.Is(err, ErrFormat) {
				t.Errorf("%s cut at %d: %v", name, i, err)
			}
		}
		if name == "text" {
			continue // longer text is text
		}
		if err := c.parse(append(bytes.Clone(c.good), 0)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s with a byte behind: %v", name, err)
		}
	}
}

// TestRolledBackSender restores an older state and sends again: no key and
// nonce pair seals two bodies, and the peer takes each number once.
func TestRolledBackSender(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	turn(t, rand.Reader, bob, alice)
	old := bob.Append(nil)
	first := sealAll(t, rand.Reader, bob, text(10))[0]
	openAll(t, alice, first)
	bob = must(ParseState(old))
	chainKey := bob.ratchet.cks
	second := sealAll(t, rand.Reader, bob, text(11))[0]
	mk := stepChain(&chainKey)
	k1, n1 := bodyKey(mk, first[prefixSize:encHeaderAt])
	k2, n2 := bodyKey(mk, second[prefixSize:encHeaderAt])
	if k1 == k2 || n1 == n2 {
		t.Error("two bodies under one key")
	}
	refuse(t, alice, second, ErrDuplicate)
	// The next one shows that the histories differ; it is still delivered.
	third := sealAll(t, rand.Reader, bob, text(12))[0]
	if got := openAll(t, alice, third); !got.Diverged || !got.Fresh {
		t.Errorf("after a rollback: %+v", got)
	}
}

// TestReplayedRequest: outer bytes of a request are not malleable, and the same
// core sealed anew is known by Core.
func TestReplayedRequest(t *testing.T) {
	inv := testInvite(rand.Reader)
	u := inv.Bundle()
	ik, ep, dh := must(newDH(rand.Reader)), must(newDH(rand.Reader)), must(newDH(rand.Reader))
	c := testCore(t)
	c.ik, c.ep, c.dh = [32]byte(ik.PublicKey().Bytes()), [32]byte(ep.PublicKey().Bytes()), [32]byte(dh.PublicKey().Bytes())
	make := func() []byte {
		return craftRequest(t, u, c.append(nil), must(agree(ik, u.dh[:])), must(agree(ep, u.ik[:])), must(agree(ep, u.dh[:])))
	}
	a, b := make(), make()
	if bytes.Equal(a, b) {
		t.Fatal("containers are equal")
	}
	if must(inv.Accept(testNow, Config{}, a)).Core != must(inv.Accept(testNow, Config{}, b)).Core {
		t.Error("one core has two hashes")
	}
}

// TestStolenIdentityKeysOpenNothing: who has both identity keys but not the
// inviter's DHa and X-Wing keys cannot derive the session of a recording.
func TestStolenIdentityKeysOpenNothing(t *testing.T) {
	inv := testInvite(rand.Reader)
	q := must(inv.Bundle().Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
	thief := testInvite(rand.Reader)
	thief.ik, thief.bundle = inv.ik, inv.bundle
	if _, err := thief.Accept(testNow, Config{}, q.Container); !errors.Is(err, ErrAuth) {
		t.Errorf("Accept = %v", err)
	}
}

// TestForgedConfirmation: a container without the guest's identity key.
func TestForgedConfirmation(t *testing.T) {
	inv := testInvite(rand.Reader)
	u := inv.Bundle()
	c := testCore(t) // keys whose private halves the forger lacks
	ep := must(newDH(rand.Reader))
	c.ep = [32]byte(ep.PublicKey().Bytes())
	b := craftRequest(t, u, c.append(nil), make([]byte, 32), must(agree(ep, u.ik[:])), must(agree(ep, u.dh[:])))
	if _, err := inv.Accept(testNow, Config{}, b); !errors.Is(err, ErrAuth) {
		t.Errorf("Accept = %v", err)
	}
}

// TestRequestCoreFields changes what the table fixes.
func TestRequestCoreFields(t *testing.T) {
	good := testCore(t).append(nil)
	if len(good) != coreSize {
		t.Fatalf("core of %d bytes", len(good))
	}
	const queues, day, name, hello = 1284, 1524, 1528, 1592
	for what, change := range map[string]func(b []byte){
		"version":             func(b []byte) { b[0] = 2 },
		"type of a reset":     func(b []byte) { b[1] = 3 },
		"reserved":            func(b []byte) { b[3] = 1 },
		"ML-KEM key":          func(b []byte) { b[100], b[101], b[102] = 255, 255, 255 },
		"no first queue":      func(b []byte) { clear(b[queues : queues+120]) },
		"queues on one relay": func(b []byte) { copy(b[queues+120:queues+152], b[queues:]) },
		"too old":             func(b []byte) { binary.BigEndian.PutUint32(b[day:], unixDay(testNow)-35) },
		"from the future":     func(b []byte) { binary.BigEndian.PutUint32(b[day:], unixDay(testNow)+3) },
		"name too long":       func(b []byte) { b[name] = 64 },
		"name not UTF-8":      func(b []byte) { b[name+1] = 0xFF },
		"name not padded":     func(b []byte) { b[name+63] = 'x' },
		"greeting too long":   func(b []byte) { binary.BigEndian.PutUint16(b[hello:], 511) },
		"greeting not padded": func(b []byte) { b[hello+2] = 'x' },
		"zeros":               func(b []byte) { b[coreSize-1] = 1 },
	} {
		b := bytes.Clone(good)
		change(b)
		if _, err := parseRequestCore(testNow, b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestLinkErrors(t *testing.T) {
	inv := testInvite(rand.Reader)
	good := inv.Link().String()
	other := testNetwork
	other[0] ^= 1
	if _, err := ParseLink(good, other); !errors.Is(err, ErrOtherNetwork) {
		t.Errorf("other network: %v", err)
	}
	for i := range good {
		b := []byte(good)
		if b[i]++; b[i] == 'Z'+1 {
			b[i] = 'A'
		}
		if _, err := ParseLink(string(b), testNetwork); !errors.Is(err, ErrLinkCheck) && (i >= 8 || !errors.Is(err, ErrLinkFormat)) {
			t.Errorf("character %d mistyped: %v", i, err)
		}
		if _, err := ParseLink(good[:i], testNetwork); err == nil {
			t.Errorf("cut at %d", i)
		}
	}
	for _, s := range []string{"", "HEARSAY-NET:ABC", "hearsay:" + good[8:], "http://x"} {
		if _, err := ParseLink(s, testNetwork); !errors.Is(err, ErrLinkFormat) {
			t.Errorf("%.10q: %v", s, err)
		}
	}
}

func TestBlobErrors(t *testing.T) {
	inv := testInvite(rand.Reader)
	blob := must(inv.SealBlob(rand.Reader))
	l := inv.Link()
	if _, err := l.OpenBlob(testNow.AddDate(0, 0, 8), testNetwork, blob); !errors.Is(err, ErrExpired) {
		t.Errorf("after its last day: %v", err)
	}
	if _, err := l.OpenBlob(testNow.AddDate(0, 0, 7), testNetwork, blob); err != nil {
		t.Errorf("on its last day: %v", err)
	}
	if _, err := l.OpenBlob(testNow, directory.NetworkID{}, blob); !errors.Is(err, ErrOtherNetwork) {
		t.Errorf("other network: %v", err)
	}
	blob[100] ^= 1
	if _, err := l.OpenBlob(testNow, testNetwork, blob); !errors.Is(err, ErrAuth) {
		t.Errorf("changed: %v", err)
	}
	// A relay that substitutes a bundle would need the key; one who has the
	// link has it, and is caught by the hash.
	u := testInvite(rand.Reader).Bundle()
	forged := must(l.sealBlob(rand.Reader, u.Append(nil)))
	if _, err := l.OpenBlob(testNow, testNetwork, forged); !errors.Is(err, ErrAuth) {
		t.Errorf("substituted: %v", err)
	}
}

func TestAssemblerLimits(t *testing.T) {
	var as RequestAssembler
	first := must(SplitContainer(must(newContainer())))
	must(as.Add(testNow, first[0]))
	for range maxPartialContainers {
		must(as.Add(testNow, must(SplitContainer(must(newContainer())))[1]))
	}
	if len(as.partial) != maxPartialContainers {
		t.Errorf("%d partial containers", len(as.partial))
	}
	if as.find([containerID]byte(first[0][prefixSize:])) >= 0 {
		t.Error("the oldest was kept")
	}
	if n := len(as.Append(nil)); n > maxPartialContainers*(3*chunkSize+40)+2 {
		t.Errorf("%d bytes", n)
	}
	must(as.Add(testNow.Add(24*time.Hour), first[0]))
	if len(as.partial) != 1 {
		t.Errorf("%d partial containers after a day", len(as.partial))
	}
	// Chunks of two containers under one id.
	evil := bytes.Clone(first[1])
	evil[500] ^= 1
	for _, b := range [][]byte{evil, first[2], evil} {
		if c, err := as.Add(testNow.Add(24*time.Hour), b); c != nil || err != nil {
			t.Fatal(err)
		}
	}
	if _, err := as.Add(testNow.Add(24*time.Hour), first[3]); !errors.Is(err, ErrAuth) {
		t.Errorf("mixed chunks: %v", err)
	}
}

func newContainer() ([]byte, error) {
	b := make([]byte, ContainerSize)
	_, err := rand.Read(b)
	return b, err
}

// TestOverlappingMessages: a contact cuts messages so that they share seqs. Each
// is refused, and the state can still be written and read.
func TestOverlappingMessages(t *testing.T) {
	alice, bob := pairUp(rand.Reader)
	full := bytes.Repeat([]byte{'x'}, ContentSize)
	send := func(f Frame) error {
		f.ID[0] = 1
		inner := forge(t, bob, func([]byte) {}, bodyOf(f))
		bob.ratchet.cks, bob.ratchet.ns = mac(bob.ratchet.cks[:], []byte{2}), bob.ratchet.ns+1
		before := alice.Append(nil)
		_, err := alice.Open(testNow, inner)
		if err != nil && !bytes.Equal(before, alice.Append(nil)) {
			t.Error("a refused frame changed the state")
		}
		reload(t, alice)
		return err
	}
	for i, c := range []struct {
		f    Frame
		want error
	}{
		{Frame{Type: FrameText, Index: 1, Count: 3, Seq: 4, Content: full}, nil},
		{Frame{Type: FrameText, Count: 1, Seq: 3, Content: full}, ErrFormat},
		{Frame{Type: FramePQNO, Count: 1, Seq: 5, Content: full[:4]}, ErrFormat},
		{Frame{Type: FrameText, Count: 4, Seq: 3, Content: full}, ErrFormat},
		{Frame{Type: 0x55, Count: 3, Seq: 3, Content: full}, ErrFormat},
		{Frame{Type: FrameText, Count: 4, Seq: 2, Content: full}, ErrFormat},
		{Frame{Type: FrameText, Count: 1, Seq: 7, Content: full}, nil},
		{Frame{Type: FrameText, Count: 3, Seq: 6, Content: full}, ErrFormat},
		{Frame{Type: FrameText, Index: 2, Count: 3, Seq: 5, Content: full}, nil},
		{Frame{Type: FrameText, Count: 3, Seq: 3, Content: full}, nil},
	} {
		if err := send(c.f); !errors.Is(err, c.want) {
			t.Errorf("frame %d: %v, want %v", i, err, c.want)
		}
	}
	if len(alice.partial) != 0 {
		t.Errorf("%d incomplete messages", len(alice.partial))
	}
}
