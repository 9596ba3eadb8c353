package gossip

import (
	"testing"
	"time"

	"hearsay/directory"
)

// TestClockMedian: by hand. No single bootstrap says that this clock is wrong, late
// words count less, and others than bootstraps not at all.
func TestClockMedian(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	boot := func(i byte) directory.Bootstrap { return directory.Bootstrap{ID: [16]byte{i}} }
	for _, tc := range []struct {
		name  string
		said  map[byte][]time.Duration // of each bootstrap, one after the other
		boots int
		want  time.Duration
		heard int
	}{
		{"nobody", nil, 3, 0, 0},
		{"one that differs", map[byte][]time.Duration{1: {time.Hour}}, 3, 0, 1},
		{"two that differ alike", map[byte][]time.Duration{1: {time.Hour}, 2: {time.Hour}}, 3, time.Hour, 2},
		{"two that differ otherwise", map[byte][]time.Duration{1: {time.Hour}, 2: {-time.Hour}}, 3, 0, 2},
		{"one of three", map[byte][]time.Duration{1: {-time.Hour}, 2: {time.Millisecond}, 3: {time.Millisecond}}, 3, 0, 3},
		{"two of three", map[byte][]time.Duration{1: {-9 * time.Second}, 2: {-8 * time.Second}, 3: {0}}, 3, 0, 3},
		{"three of three", map[byte][]time.Duration{1: {-9 * time.Second}, 2: {-8 * time.Second}, 3: {-7 * time.Second}}, 3, -7 * time.Second, 3},
		{"late words", map[byte][]time.Duration{1: {-4 * time.Second, 0, -9 * time.Second}, 2: {-time.Second, -2 * time.Second}}, 3, 0, 2},
		{"the last three words", map[byte][]time.Duration{1: {0, -5 * time.Second, -6 * time.Second, -7 * time.Second}, 2: {-8 * time.Second}}, 3, -5 * time.Second, 2},
		{"no bootstrap any more", map[byte][]time.Duration{1: {time.Hour}, 2: {time.Hour}}, 1, 0, 1},
	} {
		var c clocks
		for b, list := range tc.said {
			for _, d := range list {
				c.note(boot(b), now.Add(d), now)
			}
		}
		var boots []directory.Bootstrap
		for i := range tc.boots {
			boots = append(boots, boot(byte(i+1)), boot(byte(i+1))) // two addresses
		}
		got, heard := c.median(boots, time.Hour, now.Add(time.Minute))
		if got != tc.want || heard != tc.heard {
			t.Errorf("%s: %v of %d", tc.name, got, heard)
		}
		if got, heard := c.median(boots, time.Hour, now.Add(2*time.Hour)); got != 0 || heard != 0 {
			t.Errorf("%s, two hours later: %v of %d", tc.name, got, heard)
		}
	}
}

// TestStrangersSetNoClock: HELLOs of bootstraps count, those of others do not.
func TestStrangersSetNoClock(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1, func(file *directory.NetworkFile) {
		file.Bootstraps = append(file.Bootstraps, directory.Bootstrap{ID: idOf("second").Prefix(), Addr: testAddr(98, true)})
	})
	m := newMesh(t)
	n := m.addQuiet(f, "signer's node", RoleDirectory, t.TempDir())
	for i := range 40 {
		n.heard(idOf(string(rune('a'+i))), hello{role: RoleDirectory, time: time.Now().Add(time.Hour)})
	}
	if off, heard := n.ClockOffset(); off != 0 || heard != 0 {
		t.Errorf("strangers: %v of %d", off, heard)
	}
	for _, name := range []string{"bootstrap", "second"} {
		n.heard(idOf(name), hello{role: RoleDirectory, time: time.Now().Add(time.Hour)})
	}
	if off, heard := n.ClockOffset(); heard != 2 || off < 59*time.Minute || off > time.Hour {
		t.Errorf("bootstraps: %v of %d", off, heard)
	}
	m.stop()
}

// TestNewestForSigners: snapshot and log belong together, and nobody can change the
// node's own.
func TestNewestForSigners(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	m := newMesh(t)
	n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
	if raw, leaves := n.Newest(); raw != nil || len(leaves) != 1 {
		t.Errorf("%d bytes, %d leaves before the first", len(raw), len(leaves))
	}
	for range 3 {
		check(t, n.AddSnapshot(f.snapshot(f.record("relay", 1)), f.log))
		raw, leaves := n.Newest()
		s, err := directory.ParseSnapshot(raw)
		check(t, err)
		if uint64(len(leaves)) != s.Header.LogSize+1 || leaves[s.Header.LogSize] != directory.HeaderLeaf(s.Hash()) {
			t.Errorf("%d leaves, header at %d", len(leaves), s.Header.LogSize)
		}
		leaves[0] = [32]byte{}
	}
	if _, leaves := n.Newest(); leaves[0] == [32]byte{} {
		t.Error("the node's log changed")
	}
	if _, err := n.ParseRecord(f.sign(f.describe("relay", 1), "relay"), time.Now()); err != nil {
		t.Error(err)
	}
	m.stop()
}
