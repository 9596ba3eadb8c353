package session

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"
)

const testKeep = 28 * 24 * time.Hour

func testAddress(random io.Reader) *Address {
	return must(NewAddress(random, testNetwork, testPair(random), testNow.AddDate(0, 0, 28), 22))
}

func (a *Address) rotated(random io.Reader, now time.Time) *Address {
	if err := a.Rotate(random, now, 0, testPair(random), now.AddDate(0, 0, 28), 22); err != nil {
		panic(err)
	}
	return a
}

// TestAddressRequest: two guests answer one bundle of an address, neither needs
// a key of its own, and both sessions work.
func TestAddressRequest(t *testing.T) {
	a := testAddress(rand.Reader)
	l := must(ParseLink(a.Link().String(), testNetwork))
	u := must(l.OpenBlob(testNow, testNetwork, must(a.SealBlob(rand.Reader))))
	if !u.IsAddress() || u.Seq() != 1 || u.WorkBits() != 22 {
		t.Fatalf("%v %d %d", u.IsAddress(), u.Seq(), u.WorkBits())
	}
	var before []*Accepted
	for range 2 {
		q := must(u.Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader), Name: "bob", Hello: "hi"}))
		got := must(a.Accept(testNow, Config{}, q.Container))
		if got.Name != "bob" || got.Hello != "hi" {
			t.Errorf("%q %q", got.Name, got.Hello)
		}
		for _, p := range before {
			if p.Core == got.Core || p.Guest() == got.Guest() {
				t.Error("two guests are taken for one")
			}
		}
		before = append(before, got)
		for _, s := range must(got.State.Seal(rand.Reader, testNow, text(10))) {
			must(q.State.Open(testNow, s.Inner))
		}
		for _, s := range must(q.State.Seal(rand.Reader, testNow, text(10))) {
			must(got.State.Open(testNow, s.Inner))
		}
	}
}

// TestAddressRotation: requests to a bundle are taken until 28 days after the
// next came; keys are gone then, and a stolen store opens nothing older.
func TestAddressRotation(t *testing.T) {
	a := testAddress(rand.Reader)
	link := a.Link()
	now := testNow
	q := must(a.Bundle().Request(rand.Reader, now, RequestConfig{Queues: testPair(rand.Reader)}))
	for n := uint32(2); n < 5; n++ {
		now = now.AddDate(0, 0, 7)
		a.rotated(rand.Reader, now)
		a = must(ParseSecretAddress(a.Append(nil)))
		u := must(link.OpenBlob(now, testNetwork, must(a.SealBlob(rand.Reader))))
		if u.Seq() != n {
			t.Errorf("seq %d, want %d", u.Seq(), n)
		}
		must(a.Accept(now, Config{}, q.Container))
	}
	if now = testNow.AddDate(0, 0, 7).Add(testKeep - time.Second); a.Forget(now, testKeep) {
		t.Error("forgets early")
	}
	must(a.Accept(testNow.AddDate(0, 0, 34), Config{}, q.Container))
	if now = now.Add(time.Second); !a.Forget(now, testKeep) || a.Forget(now, testKeep) {
		t.Error("does not forget once")
	}
	if _, err := a.Accept(testNow.AddDate(0, 0, 34), Config{}, q.Container); !errors.Is(err, ErrAuth) {
		t.Errorf("a forgotten bundle: %v", err)
	}
	for range 2 * maxAddressKeys {
		a.rotated(rand.Reader, now)
	}
	if a = must(ParseSecretAddress(a.Append(nil))); len(a.keys) != maxAddressKeys {
		t.Errorf("%d generations", len(a.keys))
	}
	check := func(least, want uint32) {
		if err := a.Rotate(rand.Reader, now, least, testPair(rand.Reader), now, 0); err != nil || a.Bundle().Seq() != want {
			t.Errorf("seq %d, want %d: %v", a.Bundle().Seq(), want, err)
		}
	}
	check(1000, 1000)
	check(1000, 1001)
}

// TestForeignAddressBlob: whoever has the link can seal a blob, yet only the
// owner's bundles are taken from it.
func TestForeignAddressBlob(t *testing.T) {
	a, other := testAddress(rand.Reader), testAddress(rand.Reader)
	l := a.Link()
	seal := func(bundle []byte) []byte { return must(l.sealBlob(rand.Reader, bundle)) }
	good := a.Bundle().Append(nil)
	forged := other.Bundle()
	forged.address.root = a.Bundle().address.root
	for name, c := range map[string]struct {
		blob []byte
		now  time.Time
		err  error
	}{
		"own":               {seal(good), testNow, nil},
		"last day":          {seal(good), testNow.AddDate(0, 0, 28), nil},
		"expired":           {seal(good), testNow.AddDate(0, 0, 29), ErrExpired},
		"another address":   {seal(other.Bundle().Append(nil)), testNow, ErrAuth},
		"forged root":       {seal(forged.Append(nil)), testNow, ErrAuth},
		"changed queue":     {seal(flipped(good, 1400)), testNow, ErrAuth},
		"changed expiry":    {seal(flipped(good, 139)), testNow, ErrAuth},
		"changed signature": {seal(flipped(good, 1690)), testNow, ErrAuth},
		"one-time bundle":   {seal(testInvite(rand.Reader).Bundle().Append(nil)), testNow, ErrFormat},
		"trailing byte":     {seal(append(bytes.Clone(good), 1)), testNow, ErrFormat},
	} {
		if _, err := l.OpenBlob(c.now, testNetwork, c.blob); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if _, err := testInvite(rand.Reader).Link().OpenBlob(testNow, testNetwork, seal(good)); !errors.Is(err, ErrAuth) {
		t.Errorf("blob of an address under the link of an invite: %v", err)
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// TestAddressRecord: the record of a period opens with the link alone, and only
// for its own address.
func TestAddressRecord(t *testing.T) {
	a := testAddress(rand.Reader)
	r := must(a.SealRecord(rand.Reader, 20000, 1))
	if key := must(a.Link().Blinded(testNetwork, 20000)); key != r.Key {
		t.Error("the link leads to another key")
	}
	u := must(a.Link().OpenRecord(testNow, testNetwork, r))
	same(t, "bundle", u.Append(nil), a.Bundle().Append(nil))
	if _, err := testAddress(rand.Reader).Link().OpenRecord(testNow, testNetwork, r); !errors.Is(err, ErrAuth) {
		t.Errorf("another address: %v", err)
	}
	if _, err := a.Link().OpenRecord(testNow.AddDate(0, 0, 29), testNetwork, r); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
}

// TestRootWithTorsion: a root key that has several blinded forms, or is none, is
// no address.
func TestRootWithTorsion(t *testing.T) {
	l := testAddress(rand.Reader).Link()
	for name, root := range map[string][32]byte{
		"identity":      {1},
		"order 2":       {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"order 4":       {},
		"not canonical": {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		l.Key.b = root
		if _, err := ParseLink(l.String(), testNetwork); !errors.Is(err, ErrLinkFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPrekeyPogo: asking again and again takes nothing away. There is no stock
// of keys that could be drained, neither of invites nor of addresses.
func TestPrekeyPogo(t *testing.T) {
	a := testAddress(rand.Reader)
	inv := testInvite(rand.Reader)
	before, invBefore := a.Append(nil), inv.Append(nil)
	blob := must(a.SealBlob(rand.Reader))
	for range 20 {
		u := must(a.Link().OpenBlob(testNow, testNetwork, blob))
		same(t, "bundle", u.Append(nil), a.Bundle().Append(nil))
		q := must(u.Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
		must(a.Accept(testNow, Config{}, q.Container))
		if _, err := inv.Accept(testNow, Config{}, q.Container); !errors.Is(err, ErrAuth) {
			t.Fatal(err)
		}
	}
	same(t, "address", a.Append(nil), before)
	same(t, "invite", inv.Append(nil), invBefore)
}

// TestReplayOfMalleableRequest changes and reseals the outside of a request: the
// replay key is the authenticated core, which stays, or nothing opens.
func TestReplayOfMalleableRequest(t *testing.T) {
	a := testAddress(rand.Reader)
	q := must(a.Bundle().Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
	first := must(a.Accept(testNow, Config{}, q.Container))
	for at := 0; at < len(q.Container); at++ {
		c := bytes.Clone(q.Container)
		c[at] ^= 0x80
		if got, err := a.Accept(testNow, Config{}, c); err == nil && got.Core != first.Core {
			t.Fatalf("byte %d: another core", at)
		} else if err == nil {
			t.Fatalf("byte %d can be changed", at)
		}
		if at > 40 {
			at += 60
		}
	}
	if again := must(a.Accept(testNow, Config{}, q.Container)); again.Core != first.Core {
		t.Error("the core of a repeat differs")
	}
}

// TestAddressBundleIsBound: a request to one generation or type answers no other.
func TestAddressBundleIsBound(t *testing.T) {
	a := testAddress(rand.Reader)
	old := a.Bundle()
	q := must(old.Request(rand.Reader, testNow, RequestConfig{Queues: testPair(rand.Reader)}))
	mixed := &Address{root: a.root, ik: a.ik, keys: []addressKeys{a.keys[0]}}
	u := mixed.keys[0].bundle
	u.address.seq++
	mixed.keys[0].bundle = mixed.sign(u, mixed.keys[0]) // same keys, another bundle
	if _, err := mixed.Accept(testNow, Config{}, q.Container); !errors.Is(err, ErrAuth) {
		t.Errorf("another seq: %v", err)
	}
	u = old
	u.address = addressPart{} // as if it were an invite
	i := &Invite{ik: a.ik, dh: a.keys[0].dh, xwing: a.keys[0].xwing, bundle: u}
	if _, err := i.Accept(testNow, Config{}, q.Container); !errors.Is(err, ErrAuth) {
		t.Errorf("as an invite: %v", err)
	}
}

type addressVectors struct {
	Now     int64
	Network hexBytes
	Private hexBytes // Address.Append
	Bundle  hexBytes
	Link    string
	LID     hexBytes
	Blob    hexBytes
	Bundles []struct {
		Name   string
		Bundle hexBytes
		Class  string
	}
	Containers []struct {
		Name      string
		Now       int64
		Container hexBytes
		Core      hexBytes
		Class     string
	}
}

func makeAddressVectors() (v addressVectors) {
	random := seeded("address vectors")
	a := testAddress(random)
	first := a.Bundle()
	a.rotated(random, testNow.AddDate(0, 0, 7))
	v.Now, v.Network = testNow.Unix(), testNetwork[:]
	v.Private, v.Bundle = a.Append(nil), a.Bundle().Append(nil)
	l := a.Link()
	lid := l.LID()
	v.Link, v.LID, v.Blob = l.String(), lid[:], must(a.SealBlob(random))
	bundle := func(name string, b []byte) {
		_, err := ParseBundle(b)
		v.Bundles = append(v.Bundles, struct {
			Name   string
			Bundle hexBytes
			Class  string
		}{name, b, class(err)})
	}
	bundle("good", v.Bundle)
	bundle("truncated", v.Bundle[:AddressSize-1])
	for name, at := range map[string]int{
		"version": 0, "type": 1, "zero": 3, "network": 4, "root": 36, "identity key": 68, "salt": 100,
		"seq": 135, "expiry": 139, "work": 140, "reserved": 143, "ratchet key": 144, "queue": 1400, "signature": 1640,
	} {
		bundle(name, flipped(v.Bundle, at))
	}
	container := func(name string, u Bundle, at int) {
		q := must(u.Request(random, testNow, RequestConfig{Queues: testPair(random), Name: "guest", Hello: "hello"}))
		c := q.Container
		if at >= 0 {
			c = flipped(c, at)
		}
		got, err := a.Accept(testNow, Config{}, c)
		var core []byte
		if err == nil {
			core = got.Core[:]
		}
		v.Containers = append(v.Containers, struct {
			Name      string
			Now       int64
			Container hexBytes
			Core      hexBytes
			Class     string
		}{name, testNow.Unix(), c, core, class(err)})
	}
	container("to the newest bundle", a.Bundle(), -1)
	container("to the bundle before", first, -1)
	container("to another address", testAddress(random).Bundle(), -1)
	container("changed encapsulation", first, 7)
	container("changed text", first, 2000)
	container("changed confirmation", first, ContainerSize-1)
	return v
}

func TestAddressVectors(t *testing.T) {
	v := vectors(t, "address.json", makeAddressVectors)
	a, err := ParseSecretAddress(v.Private)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "private", a.Append(nil), v.Private)
	same(t, "bundle", a.Bundle().Append(nil), v.Bundle)
	l := a.Link()
	lid := l.LID()
	same(t, "LID", lid[:], v.LID)
	if l.String() != v.Link || len(v.Link) != LinkLength {
		t.Errorf("link = %s", l)
	}
	same(t, "blob", must(l.sealBlob(bytes.NewReader(v.Blob[:nonceSize]), v.Bundle)), v.Blob)
	if !ed25519.Verify(ed25519.PublicKey(v.Bundle[36:68]), append([]byte("hearsay/1 address\x00"), v.Bundle[:AddressSize-64]...), v.Bundle[AddressSize-64:]) {
		t.Error("the signature does not hold by hand")
	}
	for _, c := range v.Bundles {
		u, err := ParseBundle(c.Bundle)
		if class(err) != c.Class {
			t.Errorf("bundle, %s: %v, want %s", c.Name, err, c.Class)
		}
		if err == nil {
			same(t, "bundle again", u.Append(nil), c.Bundle)
		}
	}
	for _, c := range v.Containers {
		got, err := a.Accept(time.Unix(c.Now, 0), Config{}, c.Container)
		if class(err) != c.Class {
			t.Errorf("container, %s: %v, want %s", c.Name, err, c.Class)
		}
		if err == nil {
			same(t, "core", got.Core[:], c.Core)
		}
	}
}

func FuzzParseSecretAddress(f *testing.F) {
	a := testAddress(seeded("fuzz"))
	f.Add(a.Append(nil))
	f.Add(a.Bundle().Append(nil))
	f.Add(a.rotated(seeded("more"), testNow).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := parseAddress(b); err == nil && !bytes.Equal(u.Append(nil), b) {
			t.Fatal("a bundle encodes to something else")
		}
		a, err := ParseSecretAddress(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(a.Append(nil), b) {
			t.Fatal("encodes to something else")
		}
		_ = a.rotated(rand.Reader, testNow).Forget(testNow.Add(2*testKeep), testKeep)
	})
}
