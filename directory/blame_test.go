package directory

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// replaced adds a version of the network file to the council's chain in which
// other keys stand in the places of the signers named.
func (k *council) replaced(signers ...int) {
	_, roots := founders(4)
	raw := amend(k.t, k.chain, func(f *NetworkFile) {
		f.Signers = slices.Clone(f.Signers)
		for _, i := range signers {
			f.Signers[i].Public = publicOf(testKey("new signer " + string(rune('0'+i))))
		}
	}, roots...)
	var err error
	k.chain, err = k.chain.Extend([][]byte{raw}, testTime)
	check(k.t, err)
}

// TestSnapshotsOfCulpritsCountNoLonger: after ben and carla signed two snapshots,
// one that needs either of them is refused, and one that three others signed
// counts, until the founders replace both.
func TestSnapshotsOfCulpritsCountNoLonger(t *testing.T) {
	k := newCouncil(t)
	e, err := k.chain.ForkEvidence(k.head(k.log(), 1, "one", nil, 0, 1, 2), k.head(k.log(), 1, "two", nil, 1, 2, 3))
	check(t, err)
	held := []*Evidence{e}
	by := k.head(k.log(), 2, "", nil, 0, 1, 3)
	all := k.head(k.log(), 2, "", nil, 0, 1, 2, 3)
	for name, h := range map[string]*Head{"one culprit of three": by, "two of four": all} {
		if err := k.chain.Trusted(h, held); !errors.Is(err, ErrBlamed) {
			t.Errorf("%s: %v", name, err)
		}
		check(t, k.chain.Trusted(h, nil))
	}
	if k.chain.Answered(e) || k.chain.Fork(e, State{FileVersion: 1}) != nil {
		t.Error("answered before the founders acted")
	}
	k.replaced(1)
	if k.chain.Answered(e) {
		t.Error("answered although carla signs on")
	}
	k.replaced(2)
	if !k.chain.Answered(e) {
		t.Error("not answered")
	}
	check(t, k.chain.Trusted(by, held))
}

// TestOneCulpritOfFour: the other three are enough, with or without her name under
// the snapshot.
func TestOneCulpritOfFour(t *testing.T) {
	k := newCouncil(t)
	e := &Evidence{kind: EvidenceFork, culprits: []FounderKey{k.chain.Current().Signers[1]}}
	held := []*Evidence{e}
	check(t, k.chain.Trusted(k.head(k.log(), 2, "", nil, 0, 2, 3), held))
	check(t, k.chain.Trusted(k.head(k.log(), 2, "", nil, 0, 1, 2, 3), held))
	if err := k.chain.Trusted(k.head(k.log(), 2, "", nil, 0, 1, 2), held); !errors.Is(err, ErrBlamed) {
		t.Error(err)
	}
}

// TestWayOutOfTwoHistories: a reader of either history goes on from the fork, by
// its own epoch, once the founders have acted, and only until it has.
func TestWayOutOfTwoHistories(t *testing.T) {
	k := newCouncil(t)
	a, b := k.head(k.log(), 1, "one", nil, 0, 1, 2), k.head(k.log(), 1, "two", nil, 1, 2, 3)
	e, err := k.chain.ForkEvidence(a, b)
	check(t, err)
	k.replaced(1, 2)
	own := State{Epoch: EpochNumber(false, testTime.Add(5*time.Minute)), LogSize: 9, FileVersion: 1}
	states := k.chain.Fork(e, own)
	if len(states) != 2 {
		t.Fatalf("%d states", len(states))
	}
	for i, s := range states {
		h := e.Heads()[i]
		if s.Epoch != own.Epoch || s.Header != h.Hash() || s.LogSize != h.Header.LogSize || s.LogRoot != h.Header.LogRoot || s.FileVersion != 1 {
			t.Errorf("state %+v", s)
		}
	}
	own.FileVersion = 2
	if k.chain.Fork(e, own) != nil {
		t.Error("a way back for a reader that is past it")
	}
}

// TestAbandonedHeadIsSteppedOver: who holds a snapshot that its signers gave up
// goes on from the one in its place, if that says so.
func TestAbandonedHeadIsSteppedOver(t *testing.T) {
	k := newCouncil(t)
	a := k.head(k.log(), 1, "one", nil, 0, 1, 2)
	next := k.head(k.log(), 2, "two", []*Head{a}, 0, 1, 2)
	other := k.head(k.log(), 2, "two", nil, 0, 1, 2)
	own := State{Epoch: a.Header.Epoch, Header: a.Hash(), LogSize: a.Header.LogSize, LogRoot: a.Header.LogRoot, FileVersion: 1}
	s, ok := own.StepOver(next)
	if !ok || s.Header != next.Hash() || s.LogSize != own.LogSize || s.Epoch != own.Epoch {
		t.Errorf("%v %+v", ok, s)
	}
	if _, ok := own.StepOver(other); ok {
		t.Error("stepped over a head that does not say so")
	}
	if _, err := k.chain.RewriteEvidence(a, next, nil); err == nil {
		t.Error("an abandoned header is evidence")
	}
}

func TestWarnings(t *testing.T) {
	var s Views
	if s.NoNewGuards() || len(s.Warnings(testTime)) != 0 {
		t.Error("warnings from the start")
	}
	changed := s.Changed()
	s.Warn(WarnSuccessor, Warning{Text: "anna names another network", Since: testTime})
	select {
	case <-changed:
	default:
		t.Error("readers were not told")
	}
	if s.NoNewGuards() {
		t.Error("a successor stops guards")
	}
	for _, kind := range []WarningKind{WarnEvidence, WarnWitnesses, WarnShrink} {
		s.Warn(kind, Warning{Text: "x", Since: testTime})
		if !s.NoNewGuards() {
			t.Errorf("%s does not stop guards", kind)
		}
		s.Warn(kind)
		if s.NoNewGuards() {
			t.Errorf("%s was taken back", kind)
		}
	}
	s.Warn(WarnEvidence, Warning{Text: "ben", Since: testTime})
	changed = s.Changed()
	s.Warn(WarnEvidence, Warning{Text: "ben", Since: testTime.Add(time.Hour)})
	select {
	case <-changed:
		t.Error("told of the same warning twice")
	default:
	}
	list := s.Warnings(testTime)
	if len(list) != 2 || list[0].Kind != WarnEvidence || !list[0].Since.Equal(testTime) {
		t.Errorf("%+v", list)
	}
}

func TestWarningsOfAge(t *testing.T) {
	for _, lab := range []bool{false, true} {
		var s Views
		s.Set(InsecureView(NetworkID{1}, lab, testTime, nil))
		for age, want := range map[time.Duration]WarningKind{
			time.Hour: "", 23 * time.Hour: "", 25 * time.Hour: WarnStale, 71 * time.Hour: WarnStale,
			73 * time.Hour: WarnEmergency, 8 * 24 * time.Hour: WarnEmergency,
		} {
			list := s.Warnings(testTime.Add(Scale(lab, age)))
			switch {
			case want == "" && len(list) != 0, want != "" && (len(list) != 1 || list[0].Kind != want):
				t.Errorf("lab %v, %v: %+v", lab, age, list)
			}
		}
		if s.NoNewGuards() {
			t.Error("age is told by State alone")
		}
	}
}

// TestSuddenShrink: over half of the relays, or in a network that is not small over
// three tenths of the guards.
func TestSuddenShrink(t *testing.T) {
	view := func(relays, guards, from int) *View {
		var list []Relay
		for i := from; i < from+relays; i++ {
			r := Relay{ID: RelayID{byte(i), byte(i >> 8), 1}}
			if i-from < guards {
				r.Flags = FlagGuard
			}
			list = append(list, r)
		}
		return InsecureView(NetworkID{1}, false, testTime, list)
	}
	for _, c := range []struct {
		name          string
		before, after *View
		warn          bool
	}{
		{"first", nil, view(5, 5, 0), false},
		{"half", view(100, 0, 0), view(50, 0, 0), false},
		{"more than half", view(100, 0, 0), view(49, 0, 0), true},
		{"three of ten guards", view(100, 10, 0), view(97, 7, 3), false},
		{"four of ten guards", view(100, 10, 0), view(96, 6, 4), true},
		{"two of five in a small network", view(5, 5, 0), view(3, 3, 2), false},
		{"three of five in a small network", view(5, 5, 0), view(2, 2, 3), true},
		{"growth", view(20, 5, 0), view(200, 50, 0), false},
	} {
		if got := Shrunk(c.before, c.after); (got != "") != c.warn {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
