package path

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

func FuzzParseState(f *testing.F) {
	s := selector(1, relays(20))
	st, _ := s.State()
	f.Add(st.Append(nil))
	f.Add(State{Network: testNetwork}.Append(nil))
	f.Add([]byte{1})
	f.Add([]byte{2})
	f.Add(vector1())
	f.Add(vectorState().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseState(b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again := st.Append(nil)
		if b[0] == stateVersion && !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x", b, again)
		}
		if read, err := ParseState(again); err != nil || !reflect.DeepEqual(read, st) {
			t.Fatalf("%x: %v", again, err)
		}
		s := New(st.Network, false, newRand(1))
		if err := s.Restore(st); err != nil {
			t.Fatal(err)
		}
		s.dirty = true
		if kept, _ := s.State(); !reflect.DeepEqual(kept, st) {
			t.Fatal("another state after a restart")
		}
	})
}

// vectorState is a state with everything in it.
func vectorState() State {
	return State{
		Network: directory.NetworkID{0xaa, 31: 0xbb},
		Guards: []Guard{
			{
				ID: directory.RelayID{1, 31: 2}, Added: time.Unix(0x01020304, 0), Confirmed: time.Unix(0x05060708, 0),
				Unlisted: time.Unix(0x0a0b0c0d, 0), Worked: 0x0102, Failed: 0x0003, Disabled: true,
			},
			{ID: directory.RelayID{5, 31: 6}, Added: time.Unix(0x0e0f1011, 0)},
		},
		Layer2: []Layer2{{ID: directory.RelayID{3, 31: 4}, Until: time.Unix(0x11121314, 0)}},
		Times: [profiles]Times{
			2: {Doubled: 1, Bins: []Bin{{At: 0x0021, Count: 0x0102}, {At: 0xffff, Count: 2}}},
		},
	}
}

// id32 is an identity or network id with a first and a last byte.
func id32(first, last byte) []byte {
	b := make([]byte, 32)
	b[0], b[31] = first, last
	return b
}

// TestStateVector fixes the encoding.
func TestStateVector(t *testing.T) {
	want := slices.Concat(
		[]byte{2}, id32(0xaa, 0xbb),
		[]byte{2},
		id32(1, 2), []byte{1, 2, 3, 4, 5, 6, 7, 8, 0x0a, 0x0b, 0x0c, 0x0d, 1, 2, 0, 3, 1},
		id32(5, 6), []byte{0x0e, 0x0f, 0x10, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		[]byte{1}, id32(3, 4), []byte{0x11, 0x12, 0x13, 0x14},
		[]byte{0, 0, 0},
		[]byte{0, 0, 0},
		[]byte{1, 0, 2, 0, 0x21, 1, 2, 0xff, 0xff, 0, 2},
		[]byte{0, 0, 0},
	)
	st := vectorState()
	if got := st.Append(nil); !bytes.Equal(got, want) {
		t.Fatalf("%x\nwant %x", got, want)
	}
	if got, err := ParseState(want); err != nil || !reflect.DeepEqual(got, st) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range want {
		if _, err := ParseState(want[:i]); !errors.Is(err, ErrState) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
	if _, err := ParseState(append(want, 0)); !errors.Is(err, ErrState) {
		t.Errorf("trailing byte: %v", err)
	}
	for version := range 256 {
		b := append([]byte{byte(version)}, want[1:]...)
		if _, err := ParseState(b); version != 2 && !errors.Is(err, ErrState) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestStateIsStrict: one change at a time that must be refused.
func TestStateIsStrict(t *testing.T) {
	for name, spoil := range map[string]func(*State){
		"a guard twice":           func(s *State) { s.Guards[1].ID = s.Guards[0].ID },
		"a guard never drawn":     func(s *State) { s.Guards[1].Added = time.Time{} },
		"confirmed after another": func(s *State) { s.Guards[0], s.Guards[1] = s.Guards[1], s.Guards[0] },
		"too many circuits":       func(s *State) { s.Guards[0].Worked, s.Guards[0].Failed = 150, 150 },
		"counts that overflow":    func(s *State) { s.Guards[0].Worked, s.Guards[0].Failed = 0xffff, 2 },
		"a layer-2 guard twice":   func(s *State) { s.Layer2 = append(s.Layer2, s.Layer2[0]) },
		"a layer-2 guard for 0 s": func(s *State) { s.Layer2[0].Until = time.Time{} },
		"doubled too often":       func(s *State) { s.Times[1].Doubled = 3 },
		"an empty bin":            func(s *State) { s.Times[2].Bins[0].Count = 0 },
		"bins out of order":       func(s *State) { s.Times[2].Bins[1].At = 0x20 },
		"a bin twice":             func(s *State) { s.Times[2].Bins[1].At = 0x21 },
		"too many builds":         func(s *State) { s.Times[2].Bins[0].Count = 999 },
	} {
		st := vectorState()
		spoil(&st)
		if _, err := ParseState(st.Append(nil)); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw := vectorState().Append(nil)
	raw[34+48] = 2 // the first guard's byte for disabled
	if _, err := ParseState(raw); !errors.Is(err, ErrState) {
		t.Errorf("disabled is 2: %v", err)
	}
}

// TestStateSize: the largest state is small, and everything longer is refused
// before it is read.
func TestStateSize(t *testing.T) {
	st := State{Network: testNetwork}
	for i := range maxGuards {
		st.Guards = append(st.Guards, Guard{ID: relayID(i), Added: t0})
	}
	for i := range maxLayer2 {
		st.Layer2 = append(st.Layer2, Layer2{relayID(i), t0})
	}
	for i := range st.Times {
		for at := range buildSamples {
			st.Times[i].Bins = append(st.Times[i].Bins, Bin{uint16(at), 1})
		}
	}
	raw := st.Append(nil)
	if len(raw) != 19_471 { // SPEC.md §8
		t.Fatalf("%d bytes", len(raw))
	}
	if got, err := ParseState(raw); err != nil || len(got.Guards) != maxGuards {
		t.Fatal(err)
	}
	raw[33]++
	if _, err := ParseState(raw); !errors.Is(err, ErrState) {
		t.Fatal(err)
	}
}

// vector1 is a state of version 1: three guards of which the second and third
// were confirmed, and two layer-2 guards.
func vector1() []byte {
	return slices.Concat(
		[]byte{1}, id32(0xaa, 0xbb),
		[]byte{3},
		id32(1, 1), []byte{1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0},
		id32(2, 2), []byte{1, 2, 3, 5, 1, 2, 3, 6, 0, 0, 0, 0},
		id32(3, 3), []byte{1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3, 9},
		[]byte{2},
		id32(4, 4), []byte{9, 9, 9, 9},
		id32(5, 5), []byte{8, 8, 8, 8},
	)
}

// TestUpgrade reads what the first version kept: no guard is lost, and those
// that were used come first.
func TestUpgrade(t *testing.T) {
	at := func(u int64) time.Time { return time.Unix(u, 0) }
	want := State{
		Network: directory.NetworkID{0xaa, 31: 0xbb},
		Guards: []Guard{
			{ID: directory.RelayID{2, 31: 2}, Added: at(0x01020305), Confirmed: at(0x01020306)},
			{ID: directory.RelayID{3, 31: 3}, Added: at(0x01020307), Confirmed: at(0x01020308), Unlisted: at(0x01020309)},
			{ID: directory.RelayID{1, 31: 1}, Added: at(0x01020304)},
		},
		Layer2: []Layer2{{directory.RelayID{4, 31: 4}, at(0x09090909)}, {directory.RelayID{5, 31: 5}, at(0x08080808)}},
	}
	raw := vector1()
	got, err := ParseState(raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	if again, err := ParseState(got.Append(nil)); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%+v, %v", again, err)
	}
	for i := range raw {
		if _, err := ParseState(raw[:i]); !errors.Is(err, ErrState) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
	if _, err := ParseState(append(raw, 0)); !errors.Is(err, ErrState) {
		t.Errorf("trailing byte: %v", err)
	}
	many := raw
	many[33] = 17
	if _, err := ParseState(many); !errors.Is(err, ErrState) {
		t.Errorf("17 guards: %v", err)
	}
}

// TestUpgradeKeepsTheGuard: a client of the first version goes on with the guard
// and the layer-2 guards that it had.
func TestUpgradeKeepsTheGuard(t *testing.T) {
	list := relays(60)
	old := []byte{1}
	old = append(old, testNetwork[:]...)
	old = append(old, 3)
	for i := range 3 {
		id := relayID(10 + i)
		old = append(old, id[:]...)
		old = appendTime(old, t0.Add(-20*day))
		confirmed := time.Time{}
		if i == 0 {
			confirmed = t0.Add(-19 * day)
		}
		old = appendTime(appendTime(old, confirmed), time.Time{})
	}
	old = append(old, 4)
	for i := range 4 {
		id := relayID(20 + i)
		old = append(old, id[:]...)
		old = appendTime(old, t0.Add(5*day))
	}
	st, err := ParseState(old)
	if err != nil {
		t.Fatal(err)
	}
	s := New(testNetwork, false, newRand(1))
	if err := s.Restore(st); err != nil {
		t.Fatal(err)
	}
	update(s, list, t0)
	for i, r := range s.primaries {
		if r.ID != relayID(10+i) {
			t.Fatalf("primary %d is another one", i)
		}
	}
	for i, l := range s.state.Layer2 {
		if l.ID != relayID(20+i) {
			t.Fatalf("layer-2 guard %d is another one", i)
		}
	}
	if _, changed := s.State(); !changed {
		t.Fatal("the larger sample is not kept")
	}
}

// TestRestartInEveryState: whatever happened before, a restart keeps guards,
// order, layer-2 guards, counts and times.
func TestRestartInEveryState(t *testing.T) {
	list := relays(150)
	for name, happen := range map[string]func(*Selector){
		"new":              func(*Selector) {},
		"confirmed":        func(s *Selector) { s.GuardConfirmed(s.primaries[1].ID, t0) },
		"down":             func(s *Selector) { s.GuardFailed(s.primaries[0].ID, t0) },
		"a guard disabled": func(s *Selector) { bias(s, s.primaries[0].ID, 150, 10) },
		"circuits counted": func(s *Selector) { bias(s, s.primaries[0].ID, 40, 90) },
		"times learned": func(s *Selector) {
			for i := range 1500 {
				s.BuildTook(1, 3, time.Duration(300+i%700)*time.Millisecond)
			}
			s.BuildAbandoned(1, 3)
		},
		"timeouts doubled": func(s *Selector) {
			for range 20 {
				s.BuildTimedOut(2, 3)
			}
		},
		"unlisted": func(s *Selector) {
			gone := s.primaries[0].ID
			update(s, slices.DeleteFunc(slices.Clone(list), func(r directory.Relay) bool { return r.ID == gone }), t0)
		},
		"beyond the primaries": func(s *Selector) {
			for _, g := range slices.Clone(s.primaries) {
				s.GuardFailed(g.ID, t0)
			}
			s.Guard(t0, none)
			s.GuardConfirmed(s.order[3].ID, t0.Add(time.Hour))
			s.GuardConfirmed(s.order[3].ID, t0.Add(2*time.Hour))
		},
	} {
		s := selector(11, list)
		happen(s)
		update(s, list, t0)
		again := restart(t, s, list, t0)
		if len(again.order) != len(s.order) {
			t.Fatalf("%s: %d guards after a restart, not %d", name, len(again.order), len(s.order))
		}
		for i := range s.order {
			if again.order[i].ID != s.order[i].ID {
				t.Fatalf("%s: another order of guards", name)
			}
		}
		if !bytes.Equal(again.state.Append(nil), s.state.Append(nil)) {
			t.Fatalf("%s: another state", name)
		}
		for profile := range byte(profiles) {
			for hops := 1; hops <= 4; hops++ {
				give, closeAt := s.BuildTimeout(profile, hops)
				if g, c := again.BuildTimeout(profile, hops); g != give || c != closeAt {
					t.Fatalf("%s: timeouts %v, %v after a restart, not %v, %v", name, g, c, give, closeAt)
				}
			}
		}
		if _, changed := again.State(); changed {
			t.Fatalf("%s: the restart changed something", name)
		}
	}
}

// TestFewWrites: circuits one by one do not make the state be written; sixteen
// do, and Settle does.
func TestFewWrites(t *testing.T) {
	s := selector(1, relays(20))
	s.State()
	s.BuildTook(0, 3, time.Second)
	if _, changed := s.State(); changed {
		t.Fatal("one circuit changed the state")
	}
	s.Settle()
	if st, changed := s.State(); !changed || len(st.Times[0].Bins) != 1 {
		t.Fatal("the last circuits were not kept")
	}
	for range manyLittle {
		s.BuildTook(0, 3, time.Second)
	}
	if _, changed := s.State(); !changed {
		t.Fatal("sixteen circuits changed nothing")
	}
}
