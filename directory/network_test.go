package directory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// founders returns a file with n roots and n signers and their root keys.
func founders(n int) (NetworkFile, []ed25519.PrivateKey) {
	f := testFile(false, JoinToken)
	f.Roots, f.Signers = nil, nil
	var keys []ed25519.PrivateKey
	for i := range n {
		k := testKey(fmt.Sprintf("root %d", i))
		keys = append(keys, k)
		f.Roots = append(f.Roots, FounderKey{Public: publicOf(k), Label: fmt.Sprintf("founder %d", i)})
		f.Signers = append(f.Signers, FounderKey{Public: publicOf(testKey(fmt.Sprintf("signer %d", i)))})
	}
	return f, keys
}

// amend signs the version after the chain's last, changed by edit.
func amend(t testing.TB, c *Chain, edit func(*NetworkFile), keys ...ed25519.PrivateKey) []byte {
	t.Helper()
	f := *c.Current()
	f.Version++
	f.Previous, _ = c.Hash(c.Current().Version)
	f.Created, f.Expires = f.Created.Add(time.Hour), f.Expires.Add(time.Hour)
	edit(&f)
	b, err := f.encode()
	check(t, err)
	raw, err := sealDocument(labelNetwork, c.ID(), b, keys...)
	check(t, err)
	return raw
}

func TestThresholds(t *testing.T) {
	for n, want := range map[int][2]int{1: {1, 1}, 2: {2, 2}, 3: {2, 2}, 4: {3, 3}, 5: {4, 3}, 6: {5, 4}, 7: {5, 4}, 8: {6, 5}, 9: {7, 5}} {
		if got := [2]int{SignThreshold(n), RootThreshold(n)}; got != want {
			t.Errorf("%d founders: %v, want %v", n, got, want)
		}
	}
}

func TestFirstVersionNeedsEveryRoot(t *testing.T) {
	f, keys := founders(3)
	if _, _, err := Found(f, keys...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Found(f, keys[:2]...); !errors.Is(err, ErrThreshold) {
		t.Fatalf("two of three: %v", err)
	}
	if _, _, err := Found(f, keys[0], keys[1], testKey("stranger")); !errors.Is(err, ErrThreshold) {
		t.Fatalf("a stranger for the third: %v", err)
	}
}

func TestChainRules(t *testing.T) {
	f, keys := founders(3)
	raw, id, err := Found(f, keys...)
	check(t, err)
	first, err := VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	rename := func(f *NetworkFile) { f.Name = "new harbour" }
	second := amend(t, first, rename, keys[:2]...)
	c, err := first.Extend([][]byte{raw, second}, testTime)
	check(t, err)
	if c.Current().Name != "new harbour" || len(c.Raw(0)) != 2 || len(c.Raw(2)) != 1 || c.Raw(3) != nil {
		t.Fatalf("chain %+v", c.Current())
	}
	replaceRoots := func(f *NetworkFile) {
		f.Roots = nil
		for i := 3; i < 6; i++ {
			f.Roots = append(f.Roots, FounderKey{Public: publicOf(testKey(fmt.Sprintf("root %d", i)))})
		}
	}
	fresh := []ed25519.PrivateKey{testKey("root 3"), testKey("root 4"), testKey("root 5")}
	third := amend(t, c, replaceRoots, keys[1], keys[2], fresh[0], fresh[2])
	tests := []struct {
		name string
		base *Chain
		raws [][]byte
		now  time.Time
		err  error
	}{
		{"the second again", c, [][]byte{second}, testTime, nil},
		{"old and new roots sign", c, [][]byte{third}, testTime, nil},
		{"no version", &Chain{id: id}, nil, testTime, ErrBadNetworkFile},
		{"a version left out", first, [][]byte{third}, testTime, ErrBadNetworkFile},
		{"second first", &Chain{id: id}, [][]byte{second}, testTime, ErrBadNetworkFile},
		{"one root of three", first, [][]byte{amend(t, first, rename, keys[0])}, testTime, ErrThreshold},
		{"the same root twice", first, [][]byte{amend(t, first, rename, keys[0], keys[0])}, testTime, ErrThreshold},
		{"only new roots sign", c, [][]byte{amend(t, c, replaceRoots, fresh...)}, testTime, ErrThreshold},
		{"only old roots sign", c, [][]byte{amend(t, c, replaceRoots, keys...)}, testTime, ErrThreshold},
		{"another second version", c, [][]byte{amend(t, first, func(f *NetworkFile) { f.Name = "x" }, keys...)}, testTime, ErrRollback},
		{"another predecessor", c, [][]byte{amend(t, c, func(f *NetworkFile) { f.Previous[0]++ }, keys...)}, testTime, ErrBadNetworkFile},
		{"lab switched on", c, [][]byte{amend(t, c, func(f *NetworkFile) { f.Lab = true }, keys...)}, testTime, ErrBadNetworkFile},
		{"another salt", c, [][]byte{amend(t, c, func(f *NetworkFile) { f.Salt[0]++ }, keys...)}, testTime, ErrBadNetworkFile},
		{"made earlier", c, [][]byte{amend(t, c, func(f *NetworkFile) { f.Created, f.Expires = testTime, testTime.Add(time.Hour) }, keys...)}, testTime, ErrBadNetworkFile},
		{"floor reset with old signers", c, [][]byte{amend(t, c, func(f *NetworkFile) { f.EpochFloorReset = 9 }, keys...)}, testTime, ErrBadNetworkFile},
		{"expired", c, nil, c.Current().Expires, ErrExpired},
		{"expired first, good second", &Chain{id: id}, [][]byte{raw, second}, first.Current().Expires, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.base.Extend(tt.raws, tt.now); !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
		})
	}
	if len(first.files) != 1 {
		t.Error("Extend changed its receiver")
	}
}

func TestNetworkFileRules(t *testing.T) {
	edits := map[string]func(*NetworkFile){
		"no name":                 func(f *NetworkFile) { f.Name = "" },
		"long name":               func(f *NetworkFile) { f.Name = strings.Repeat("x", 65) },
		"escape in name":          func(f *NetworkFile) { f.Name = "a\x1b[2J" },
		"override in name":        func(f *NetworkFile) { f.Name = "a\u202eb" },
		"long life":               func(f *NetworkFile) { f.Expires = f.Created.Add(maxFileLife + time.Second) },
		"expires first":           func(f *NetworkFile) { f.Expires = f.Created },
		"no join mode":            func(f *NetworkFile) { f.Join = 0 },
		"unknown join mode":       func(f *NetworkFile) { f.Join = 16 },
		"closed and open":         func(f *NetworkFile) { f.Join = JoinClosed | JoinOpen },
		"relays of a token net":   func(f *NetworkFile) { f.Relays = []RelayID{{1}} },
		"no roots":                func(f *NetworkFile) { f.Roots = nil },
		"no signers":              func(f *NetworkFile) { f.Signers = nil },
		"root is signer":          func(f *NetworkFile) { f.Signers = f.Roots },
		"ten signers":             func(f *NetworkFile) { f.Signers = make([]FounderKey, 10) },
		"key of small order":      func(f *NetworkFile) { f.Signers[0].Public = [32]byte{1} },
		"key not canonical":       func(f *NetworkFile) { f.Signers[0].Public = [32]byte(bytes.Repeat([]byte{0xff}, 32)) },
		"long label":              func(f *NetworkFile) { f.Signers[0].Label = strings.Repeat("x", 33) },
		"no bootstrap":            func(f *NetworkFile) { f.Bootstraps = nil },
		"17 bootstraps":           func(f *NetworkFile) { f.Bootstraps = make([]Bootstrap, 17) },
		"loopback bootstrap":      func(f *NetworkFile) { f.Bootstraps[0].Addr = netip.MustParseAddrPort("127.0.0.1:1") },
		"unknown parameter":       func(f *NetworkFile) { f.Params = map[Param]int64{17: 1} },
		"epoch of a minute":       func(f *NetworkFile) { f.Params = map[Param]int64{ParamEpoch: 60} },
		"epoch of odd seconds":    func(f *NetworkFile) { f.Params = map[Param]int64{ParamEpoch: 3601} },
		"65 seeds":                func(f *NetworkFile) { f.Seeds = make([]RelayID, 65) },
		"fraction of a second":    func(f *NetworkFile) { f.Created = f.Created.Add(1) },
		"version 0":               func(f *NetworkFile) { f.Version = 0 },
		"predecessor of nothing":  func(f *NetworkFile) { f.Previous[0] = 1 },
		"version 1025":            func(f *NetworkFile) { f.Version, f.Previous[0] = 1025, 1 },
		"no predecessor of a 2nd": func(f *NetworkFile) { f.Version = 2 },
	}
	for name, edit := range edits {
		f := testFile(false, JoinToken)
		f.Version = 1
		edit(&f)
		if _, err := f.encode(); !errors.Is(err, ErrBadNetworkFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, join := range []Join{JoinClosed, JoinVouch, JoinOpen, JoinToken | JoinVouch | JoinOpen} {
		f := testFile(false, join)
		if _, _, err := Found(f, testKey("root")); err != nil {
			t.Errorf("join %v: %v", join, err)
		}
	}
}

func TestNetworkFileOfAnotherNetworkFails(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	lab := newNetwork(t, true, JoinToken)
	if _, err := VerifyChain(n.id, [][]byte{lab.raw}, testTime); !errors.Is(err, ErrOtherNetwork) {
		t.Fatal(err)
	}
	// The second version of one network is none of the other.
	f := testFile(false, JoinToken)
	f.Name = "twin"
	twin := foundNetwork(t, f)
	second := amend(t, twin.chain, func(*NetworkFile) {}, twin.root)
	if _, err := n.chain.Extend([][]byte{second}, testTime); err == nil {
		t.Fatal("accepted")
	}
}

func TestAnyFlippedBitOfANetworkFileFails(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	eachFlip(n.raw, func(b []byte, at int) {
		if _, err := VerifyChain(n.id, [][]byte{b}, testTime); err == nil {
			t.Errorf("bit %d", at)
		}
	})
	second := amend(t, n.chain, func(*NetworkFile) {}, n.root)
	eachFlip(second, func(b []byte, at int) {
		if _, err := n.chain.Extend([][]byte{b}, testTime); err == nil {
			t.Errorf("second version, bit %d", at)
		}
	})
}

// eachFlip calls f with b after each single bit was flipped; under the race
// detector after some were.
func eachFlip(b []byte, f func(b []byte, bit int)) {
	for i := 0; i < len(b)*8; i += flipStep {
		b[i/8] ^= 1 << (i % 8)
		f(b, i)
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestNetworkLink(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	l := n.chain.Link(nil)
	text := l.String()
	if len(text) != 107 {
		t.Errorf("a link with one IPv4 bootstrap has %d characters", len(text))
	}
	mangled := "  " + strings.ToLower(text[:20]) + "\r\n\t " + text[20:50] + "\u00a0" + strings.ToLower(text[50:]) + "\n"
	for _, s := range []string{text, strings.ToLower(text), mangled} {
		got, err := ParseNetworkLink(s)
		if err != nil || got.String() != text || got.ID != n.id || got.Token != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	relay := n.chain.Link(n.token(3).Bytes())
	got, err := ParseNetworkLink(relay.String())
	if err != nil || !bytes.Equal(got.Token, relay.Token) {
		t.Errorf("relay link: %v", err)
	}
	for at := range len(text) {
		for _, c := range []byte{'A', '7', '1'} {
			if text[at] == c {
				continue
			}
			if _, err := ParseNetworkLink(text[:at] + string(c) + text[at+1:]); !errors.Is(err, ErrBadLink) {
				t.Fatalf("character %d: %v", at, err)
			}
		}
		if _, err := ParseNetworkLink(text[:at]); !errors.Is(err, ErrBadLink) {
			t.Fatalf("truncated to %d: %v", at, err)
		}
	}
	for _, s := range []string{"", "HEARSAY:ABC", text + "A", text + "=", text + "ı", "ſ" + text, strings.Repeat(" ", 5000) + text} {
		if _, err := ParseNetworkLink(s); !errors.Is(err, ErrBadLink) {
			t.Errorf("%.40q: %v", s, err)
		} else if strings.Contains(err.Error(), text[20:40]) {
			t.Errorf("the error repeats the link: %v", err)
		}
	}
}

func TestLinkSizes(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	for count, want := range map[int]int{1: 107, 3: 180, 5: 254} {
		l := NetworkLink{ID: n.id}
		for i := range count {
			l.Bootstraps = append(l.Bootstraps, Bootstrap{ID: [16]byte{byte(i)}, Addr: testAddr(i, false)})
		}
		if got := len(l.String()); got != want {
			t.Errorf("%d bootstraps: %d characters, want %d", count, got, want)
		}
	}
}
