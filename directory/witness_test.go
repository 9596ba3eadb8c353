package directory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// testVectorFile compares a vector file with what was made, and reads it.
func testVectorFile(t *testing.T, file string, made []vector, read func(vector) ([]byte, string)) {
	t.Helper()
	if *update {
		var b strings.Builder
		b.WriteString("# kind name expect hex; made by go test -update from fixed keys and times\n")
		for _, v := range made {
			fmt.Fprintf(&b, "%s %s %s %x\n", v.kind, v.name, v.expect, v.data)
		}
		check(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	list := readVectorsOf(t, file)
	if len(list) != len(made) {
		t.Fatalf("%d vectors in the file, %d made; run with -update", len(list), len(made))
	}
	for i, v := range list {
		if !bytes.Equal(v.data, made[i].data) {
			t.Errorf("%s/%s: the encoding has changed", v.kind, v.name)
		}
		again, got := read(v)
		if got != v.expect {
			t.Errorf("%s/%s: %s, want %s", v.kind, v.name, got, v.expect)
		}
		if got == "ok" && !bytes.Equal(again, v.data) {
			t.Errorf("%s/%s: encoded again: %x", v.kind, v.name, again)
		}
	}
}

// witnessed makes a network's first snapshot, the state of a relay that has
// verified it, and the witnesses' keys.
func witnessed(t testing.TB) (*network, *Snapshot, State, []ed25519.PrivateKey) {
	n := newNetwork(t, false, JoinToken)
	raw := n.publish(testTime, nil)
	_, state, err := n.verify(raw, n.chain.InitialState(), testTime)
	check(t, err)
	s, err := ParseSnapshot(raw)
	check(t, err)
	var keys []ed25519.PrivateKey
	for i := range 9 {
		keys = append(keys, testKey(fmt.Sprint("witness ", i)))
	}
	return n, s, state, keys
}

// viewOf makes a view of relays of which the first few are witnesses.
func viewOf(n *network, relays, witnesses int, keys []ed25519.PrivateKey) *View {
	var list []Relay
	for i := range relays {
		r := Relay{ID: RelayID(publicOf(testKey(fmt.Sprint("other ", i))))}
		if i < witnesses {
			r.ID, r.Flags = RelayID(publicOf(keys[i])), FlagWitness
		}
		list = append(list, r)
	}
	return InsecureView(n.id, n.chain.Current().Lab, testTime, list)
}

func TestWitnessesSignAHead(t *testing.T) {
	n, s, state, keys := witnessed(t)
	by := viewOf(n, 30, 7, keys)
	for i := range 9 {
		have, need := n.chain.Witnessed(&s.Head, by)
		if have != min(i, 7) || need != 3 {
			t.Errorf("%d signatures: %d of %d", i, have, need)
		}
		w, err := state.Witness(&s.Head, keys[i], testTime.Add(time.Duration(i)*time.Second))
		check(t, err)
		w, err = ParseWitness(w.Append(nil))
		check(t, err)
		check(t, s.AddWitness(w))
		check(t, s.AddWitness(w)) // again: no harm
	}
	raw, err := s.Encode()
	check(t, err)
	again, err := ParseSnapshot(raw)
	check(t, err)
	if have, _ := n.chain.Witnessed(&again.Head, by); have != 7 || len(again.Witnesses()) != 9 || again.Hash() != s.Hash() {
		t.Errorf("%d of %d after encoding", have, len(again.Witnesses()))
	}
	if _, _, err := n.chain.Verify(again, n.chain.InitialState(), Proof{Inclusion: nil}, testTime); err != nil {
		p, err := n.log.Prove(1, 1, 0)
		check(t, err)
		if _, _, err := n.chain.Verify(again, n.chain.InitialState(), p, testTime); err != nil {
			t.Error(err)
		}
	}
	again.KeepWitnesses(func(id RelayID) bool { r, ok := by.Relay(id); return ok && r.Flags&FlagWitness != 0 })
	if len(again.Witnesses()) != 7 || len(again.WithoutWitnesses().Witnesses()) != 0 || len(again.Witnesses()) != 7 {
		t.Errorf("%d kept", len(again.Witnesses()))
	}
}

func TestFalseWitnessesDoNotCount(t *testing.T) {
	n, s, state, keys := witnessed(t)
	by := viewOf(n, 30, 7, keys)
	good, err := state.Witness(&s.Head, keys[0], testTime)
	check(t, err)
	for name, edit := range map[string]func(w *Witness){
		"another relay":     func(w *Witness) { w.Relay = RelayID(publicOf(keys[1])) },
		"another time":      func(w *Witness) { w.Time = w.Time.Add(time.Second) },
		"another signature": func(w *Witness) { w.Signature[3] ^= 1 },
		"small order":       func(w *Witness) { w.Relay = RelayID{1} },
	} {
		w := good
		edit(&w)
		if err := s.AddWitness(w); !errors.Is(err, ErrBadWitness) {
			t.Errorf("%s: %v", name, err)
		}
		s.witnesses = []Witness{w} // as a peer may send it
		if have, _ := n.chain.Witnessed(&s.Head, by); have != 0 {
			t.Errorf("%s: counts", name)
		}
		s.KeepWitnesses(func(RelayID) bool { return true })
		if len(s.witnesses) != 0 {
			t.Errorf("%s: kept", name)
		}
	}
	// Another head, though of the same log, is not what it signed.
	fork, err := ParseSnapshot(n.publish(testTime.Add(time.Minute), nil))
	check(t, err)
	if err := fork.AddWitness(good); !errors.Is(err, ErrBadWitness) {
		t.Errorf("another head: %v", err)
	}
	// A relay signs nothing but the last head that it has verified and stored.
	if _, err := state.Witness(&fork.Head, keys[0], testTime); !errors.Is(err, ErrBadWitness) {
		t.Errorf("a head not seen: %v", err)
	}
	if _, err := n.chain.InitialState().Witness(&s.Head, keys[0], testTime); !errors.Is(err, ErrBadWitness) {
		t.Errorf("no head seen: %v", err)
	}
	for _, at := range []time.Duration{-time.Hour, 25 * time.Hour} {
		if _, err := state.Witness(&s.Head, keys[0], testTime.Add(at)); !errors.Is(err, ErrBadWitness) {
			t.Errorf("at %v: %v", at, err)
		}
	}
	for i := range maxWitnesses {
		w, err := state.Witness(&s.Head, testKey(fmt.Sprint("crowd ", i)), testTime)
		check(t, err)
		check(t, s.AddWitness(w))
	}
	if err := s.AddWitness(good); !errors.Is(err, ErrTooLarge) {
		t.Errorf("33 witnesses: %v", err)
	}
}

func TestWitnessThresholds(t *testing.T) {
	plain, lab := testFile(false, JoinToken), testFile(true, JoinToken)
	odd := testFile(false, JoinToken)
	odd.Params = map[Param]int64{ParamWitnesses: 9, ParamWitnessSet: 4}
	for _, tt := range []struct {
		f          *NetworkFile
		n, m, want int
	}{
		{&plain, 19, 7, 0},
		{&lab, 100, 7, 0},
		{&plain, 20, 7, 3},
		{&plain, 1000, 9, 3},
		{&plain, 20, 6, 3},
		{&plain, 20, 5, 3},
		{&plain, 20, 4, 2},
		{&plain, 20, 3, 2},
		{&plain, 20, 2, 1},
		{&plain, 20, 1, 1},
		{&plain, 20, 0, 0},
		{&odd, 20, 4, 4},
		{&odd, 20, 3, 2},
	} {
		if got := WitnessThreshold(tt.f, tt.n, tt.m); got != tt.want {
			t.Errorf("%d relays, %d witnesses: %d, want %d", tt.n, tt.m, got, tt.want)
		}
	}
}

func TestWitnessVectors(t *testing.T) {
	_, s, state, keys := witnessed(t)
	w, err := state.Witness(&s.Head, keys[0], testTime)
	check(t, err)
	good := w.Append(nil)
	late := bytes.Clone(good)
	late[39]++
	testVectorFile(t, "testdata/witness.txt", []vector{
		{"witness", "first", "ok", good},
		{"witness", "a-second-later", "witness", late},
		{"witness", "truncated", "malformed", good[:103]},
	}, func(v vector) ([]byte, string) {
		w, err := ParseWitness(v.data)
		if err != nil {
			return nil, "malformed"
		}
		if s.WithoutWitnesses().AddWitness(w) != nil {
			return nil, "witness"
		}
		return w.Append(nil), "ok"
	})
}

func FuzzParseWitnesses(f *testing.F) {
	_, s, state, keys := witnessed(f)
	for i := range 3 {
		w, err := state.Witness(&s.Head, keys[i], testTime)
		check(f, err)
		check(f, s.AddWitness(w))
		f.Add(appendWitnesses(s.Witnesses()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseWitnesses(b)
		if err != nil {
			return
		}
		same(t, b, appendWitnesses(list), nil)
		h := s.WithoutWitnesses()
		for _, w := range list {
			if h.AddWitness(w) == nil && !slices.Contains(s.Witnesses(), w) {
				t.Fatal("a forged witness")
			}
		}
	})
}
