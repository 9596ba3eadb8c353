package gossip

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// counted counts what a client reads and writes.
type counted struct {
	Dialer
	bytes *atomic.Int64
}

type countedStream struct {
	Stream
	bytes *atomic.Int64
}

func (s countedStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.bytes.Add(int64(n))
	return n, err
}

func (s countedStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.bytes.Add(int64(n))
	return n, err
}

func (d counted) Request(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	s, id, err := d.Dialer.Request(ctx, p)
	if err != nil {
		return nil, id, err
	}
	return countedStream{s, d.bytes}, id, nil
}

// TestClientDay measures what a client fetches in a day, with four fetches, in
// networks that change as networks do: at most a quarter of a megabyte at 10,000
// relays, all messages counted in both directions.
func TestClientDay(t *testing.T) {
	for _, c := range []struct {
		relays int
		perDay int64
	}{{50, 50_000}, {1000, 50_000}, {10_000, 250_000}} {
		if raceDetector && c.relays > 1000 {
			continue // what is raced is the same, and takes half a minute
		}
		synctest.Test(t, func(t *testing.T) {
			w := newCrowd(t, c.relays)
			m := newMesh(t)
			boot := m.addQuiet(w.f, "bootstrap", RoleDirectory, t.TempDir())
			w.publish(boot)
			var n atomic.Int64
			client, err := NewClient(ClientConfig{
				Link: w.f.link(), Dialer: counted{&meshDialer{m: m}, &n}, Views: &directory.Views{}, State: &memoryState{},
			})
			check(t, err)
			check(t, client.fetch(t.Context()))
			first, full := n.Load(), len(boot.snapshot)
			for range 4 {
				for range 6 {
					w.hour()
					w.publish(boot)
				}
				check(t, client.fetch(t.Context()))
				if v := client.cfg.Views.Current(); v.Epoch() != w.f.header.Epoch || len(v.Relays()) != c.relays {
					t.Fatal("not the newest snapshot")
				}
			}
			day := n.Load() - first
			t.Logf("%d relays: snapshot %d B, first fetch %d B, then %d B a day", c.relays, full, first, day)
			if day > c.perDay {
				t.Errorf("%d relays: %d B a day, at most %d", c.relays, day, c.perDay)
			}
			m.stop()
		})
	}
}

// askNode opens a request stream to a node, with a quota or inside a circuit.
func askNode(t *testing.T, m *mesh, n *Node, serve func(s Stream)) *asker {
	t.Helper()
	p, q := net.Pipe()
	m.wg.Go(func() { serve(q) })
	a, err := askStream(t.Context(), p, n.cfg.Self, n.network)
	check(t, err)
	return a
}

// snapshots makes a node that holds a chain of bases, and returns the raw
// snapshots, the last being the newest.
func snapshots(t *testing.T, m *mesh, count int) (*crowd, *Node, [][]byte) {
	t.Helper()
	w := newCrowd(t, 120)
	n := m.addQuiet(w.f, "bootstrap", RoleDirectory, t.TempDir())
	var raws [][]byte
	for range count {
		raws = append(raws, w.publish(n))
		w.hour()
	}
	return w, n, raws
}

// opened verifies a snapshot, as the one who holds it as a base did.
func opened(t *testing.T, f *founder, raw []byte) *directory.Snapshot {
	t.Helper()
	return openedAt(t, f, raw, time.Now())
}

func openedAt(t testing.TB, f *founder, raw []byte, now time.Time) *directory.Snapshot {
	t.Helper()
	s, err := directory.ParseSnapshot(raw)
	check(t, err)
	proof, err := f.log.Prove(1, s.Header.LogSize, 0)
	check(t, err)
	_, _, err = f.chain.Verify(s, f.chain.InitialState(), proof, now)
	check(t, err)
	return s
}

// TestSnapshotFromBase: from each of the last 72 bases a difference leads to the
// newest snapshot, also after a restart; it is padded, and byte for byte the
// same snapshot comes out. From others there is the full one.
func TestSnapshotFromBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		w, n, raws := snapshots(t, m, maxBases+3)
		newest := raws[len(raws)-1]
		signed := func(h *directory.Head) error { return w.f.chain.VerifySigned(h, directory.State{}) }
		try := func(n *Node, age int, form byte) {
			t.Helper()
			base := opened(t, w.f, raws[len(raws)-1-age])
			b, err := n.answerSnapshot(snapshotRequest{base: base.Hash()}, func(time.Time) bool { return true })
			check(t, err)
			if b[0] != form || form == snapshotDiff && (len(b)%padUnit != 0 || len(b) > len(newest)) {
				t.Fatalf("%d epochs old: form %d, %d bytes", age, b[0], len(b))
			}
			a := askNode(t, m, n, func(s Stream) { _ = n.ServeLinkRequest(m.ctx, s, nil) })
			defer a.close()
			raw, s, err := a.newest(base, signed)
			check(t, err)
			if !bytes.Equal(raw, newest) || s.Header.Epoch != w.f.header.Epoch {
				t.Fatalf("%d epochs old: another snapshot", age)
			}
		}
		for _, age := range []int{1, 6, maxBases, 30} {
			try(n, age, snapshotDiff)
		}
		try(n, maxBases+1, snapshotFull)
		if got := len(n.bases.past); got != maxBases {
			t.Errorf("%d bases", got)
		}
		check(t, n.Close())
		again := m.addQuiet(w.f, "bootstrap", RoleDirectory, n.cfg.Dir)
		for _, age := range []int{maxBases, 2} {
			try(again, age, snapshotDiff)
		}
		// The chain goes on.
		raws = append(raws, w.publish(again))
		newest = raws[len(raws)-1]
		try(again, maxBases, snapshotDiff)
		stored, err := again.archive.bases()
		check(t, err)
		size := 0
		for _, b := range stored {
			size += len(b)
		}
		if len(stored) != maxBases || size > maxBases*len(newest)/3 {
			t.Errorf("%d bases of %d bytes on disk, snapshots have %d", len(stored), size, len(newest))
		}
		m.stop()
	})
}

// TestSmallNetworksSendWholeSnapshots: where a snapshot is no longer than one
// unit of padding, no base is kept.
func TestSmallNetworksSendWholeSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		a := f.record("relay 0", 0)
		check(t, n.AddSnapshot(f.snapshot(a), f.log))
		old := n.head.Hash()
		time.Sleep(10 * time.Second)
		check(t, n.AddSnapshot(f.snapshot(a), f.log))
		b, err := n.answerSnapshot(snapshotRequest{base: old}, func(time.Time) bool { return true })
		if err != nil || b[0] != snapshotFull || len(n.bases.past) != 0 {
			t.Errorf("form %d, %v", b[0], err)
		}
		m.stop()
	})
}

// differing serves requests like the node, but changes its differences.
func differing(n *Node, s Stream, change func(head, diff []byte) []byte, full *int) {
	defer s.Close()
	if _, err := s.Write(appendMessage(nil, TypeHello, n.hello().append(nil))); err != nil {
		return
	}
	r := frameReader{r: s}
	for {
		q, err := r.next()
		if err != nil {
			return
		}
		b, err := n.answerOne(q, func(time.Time) bool { *full++; return true })
		if err != nil {
			return
		}
		if q.typ == TypeSnapshot && b[0] == snapshotDiff {
			head, diff, err := parseDiffAnswer(b)
			if err != nil {
				return
			}
			b = change(bytes.Clone(head), bytes.Clone(diff))
		}
		if _, err := s.Write(appendMessage(nil, q.typ|answerBit, b)); err != nil {
			return
		}
	}
}

// TestAttackBadDifference: a difference that does not lead to the signed head is
// worth one request for the full snapshot. A head that nobody signed, and padding
// that hides something, are worth nothing.
func TestAttackBadDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		w, n, _ := snapshots(t, m, 4)
		client := newTestClient(t, w.f, m, &memoryState{}, &capture{})
		check(t, client.fetch(t.Context()))
		for name, c := range map[string]struct {
			change func(head, diff []byte) []byte
			full   int
			good   bool
			err    error
		}{
			"changed":          {func(h, d []byte) []byte { d[len(d)/2] ^= 1; return appendDiffAnswer(nil, h, d) }, 1, true, nil},
			"cut":              {func(h, d []byte) []byte { return appendDiffAnswer(nil, h, d[:len(d)-1]) }, 1, true, nil},
			"of another base":  {func(h, d []byte) []byte { d[0] ^= 1; return appendDiffAnswer(nil, h, d) }, 1, true, nil},
			"empty":            {func(h, _ []byte) []byte { return appendDiffAnswer(nil, h, nil) }, 1, true, nil},
			"not signed":       {func(h, d []byte) []byte { h[len(h)-20] ^= 1; return appendDiffAnswer(nil, h, d) }, 0, false, nil},
			"padding not zero": {func(h, d []byte) []byte { b := appendDiffAnswer(nil, h, d); b[len(b)-1] = 1; return b }, 0, false, errAnswer},
			"padding too long": {func(h, d []byte) []byte {
				return append(appendDiffAnswer(nil, h, d), make([]byte, padUnit)...)
			}, 0, false, errAnswer},
			"not padded": {func(h, d []byte) []byte { b := appendDiffAnswer(nil, h, d); return b[:len(b)-1] }, 0, false, errAnswer},
			"length beyond the end": {func(h, d []byte) []byte {
				b := appendDiffAnswer(nil, h, d)
				b[1] = 0xff
				return b
			}, 0, false, errTruncated},
		} {
			w.publish(n)
			w.hour()
			full := 0
			m.setServe(func(_ directory.RelayID, s Stream) bool { differing(n, s, c.change, &full); return true })
			before := client.cfg.Views.Current()
			err := client.fetch(t.Context())
			if (err == nil) != c.good || c.err != nil && !errors.Is(err, c.err) || full != c.full {
				t.Errorf("%s: %v, %d full snapshots", name, err, full)
			}
			if good := client.cfg.Views.Current() != before; good != c.good {
				t.Errorf("%s: taken %v", name, good)
			}
			m.setServe(nil)
		}
		w.publish(n)
		check(t, client.fetch(t.Context()))
		m.stop()
	})
}

// TestAttackManyDifferences: differences are bounded for each link and circuit,
// and however many are asked for, each is made once for a newest snapshot.
func TestAttackManyDifferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		w, n, raws := snapshots(t, m, 12)
		base := opened(t, w.f, raws[3])
		signed := func(*directory.Head) error { return nil }
		var q Quota
		ask := func(serve func(s Stream)) error {
			a := askNode(t, m, n, serve)
			defer a.close()
			_, _, err := a.newest(base, signed)
			return err
		}
		rate := func(err error) bool {
			var bye *byeError
			return errors.As(err, &bye) && bye.code == ByeRate
		}
		link := func(s Stream) { _ = n.ServeLinkRequest(m.ctx, s, &q) }
		for range linkDiffs {
			check(t, ask(link))
		}
		if err := ask(link); !rate(err) {
			t.Errorf("%d differences on one link: %v", linkDiffs+1, err)
		}
		time.Sleep(time.Hour)
		check(t, ask(link))
		a := askNode(t, m, n, func(s Stream) { _ = n.ServeRequest(m.ctx, s) })
		_, _, err := a.newest(base, signed)
		check(t, err)
		if _, _, err = a.newest(base, signed); !rate(err) {
			t.Errorf("two differences on one circuit's stream: %v", err)
		}
		a.close()

		for range 3 {
			for i := range len(raws) - 1 {
				s, err := directory.ParseSnapshot(raws[i])
				check(t, err)
				if n.bases.diff(s.Hash(), n.head) == nil {
					t.Fatalf("none from %d", i)
				}
			}
		}
		if got := n.bases.walks; got > len(raws) {
			t.Errorf("%d walks for %d bases", got, len(raws))
		}
		size := 0
		for _, d := range n.bases.diffs {
			size += len(d)
		}
		if size != n.bases.ready {
			t.Errorf("%d bytes counted, %d there", n.bases.ready, size)
		}
		m.stop()
	})
}

// TestDamagedBasesAreDropped: what no longer leads back costs full snapshots and
// nothing else.
func TestDamagedBasesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		_, n, _ := snapshots(t, m, 10)
		stored, err := n.archive.bases()
		check(t, err)
		newest := n.bases.current()
		for name, c := range map[string]struct {
			change func(list [][]byte) [][]byte
			left   int
		}{
			"whole":        {func(l [][]byte) [][]byte { return l }, 9},
			"a bit":        {func(l [][]byte) [][]byte { l[4][50] ^= 1; return l }, 4},
			"one missing":  {func(l [][]byte) [][]byte { return append(l[:2], l[3:]...) }, 2},
			"cut":          {func(l [][]byte) [][]byte { l[0] = l[0][:70]; return l }, 0},
			"empty values": {func(l [][]byte) [][]byte { l[7] = nil; return l }, 7},
		} {
			list := make([][]byte, len(stored))
			for i := range stored {
				list[i] = bytes.Clone(stored[i])
			}
			b := newBases()
			b.restore(newest, c.change(list))
			if len(b.past) != c.left {
				t.Errorf("%s: %d left", name, len(b.past))
			}
		}
		m.stop()
	})
}

// TestHeadKeepsOnlyWitnesses: a node passes on signatures of the network's
// witnesses alone.
func TestHeadKeepsOnlyWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		a := f.record("relay 0", 0)
		raw := f.snapshot(a)
		s, err := directory.ParseSnapshot(raw)
		check(t, err)
		for _, name := range []string{"relay 0", "made up 1", "made up 2"} {
			w, err := directory.State{Epoch: s.Header.Epoch, Header: s.Hash()}.Witness(&s.Head, testKey(name), time.Now())
			check(t, err)
			check(t, s.AddWitness(w))
		}
		raw, err = s.Encode()
		check(t, err)
		view := opened(t, f, raw)
		witness := len(view.Entries) == 1 && view.Entries[0].Flags&directory.FlagWitness != 0
		check(t, n.AddSnapshot(raw, f.log))
		kept := n.head.Witnesses()
		if witness && len(kept) != 1 || !witness && len(kept) != 0 {
			t.Errorf("%d signatures, relay 0 is a witness: %v", len(kept), witness)
		}
		again, err := directory.ParseSnapshot(n.snapshot)
		check(t, err)
		if len(again.Witnesses()) != len(kept) {
			t.Error("the snapshot that is given out has others")
		}
		m.stop()
	})
}

// BenchmarkDiffAnswer10000 makes what a relay answers to askers whose base is 6
// or 72 epochs old: the first asker waits for it, the others do not.
func BenchmarkDiffAnswer10000(b *testing.B) {
	w := newCrowd(b, 10_000)
	var chain bases
	chain.diffs = make(map[[32]byte][]byte)
	var newest *directory.Snapshot
	for range maxBases + 1 {
		raw := w.snapshot()
		newest = openedAt(b, w.f, raw, w.f.header.ValidAfter)
		chain.add(newest, len(raw))
		w.hour()
	}
	size := 0
	for _, p := range chain.past {
		size += len(p.back)
	}
	b.Logf("%d bases lead back in %d bytes", len(chain.past), size)
	for name, age := range map[string]int{"6 epochs": 6, "72 epochs": 72} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				clear(chain.diffs)
				chain.walks, chain.ready = 0, 0
				if chain.diff(chain.past[age-1].head.Hash(), &newest.Head) == nil {
					b.Fatal("none")
				}
			}
			b.ReportMetric(float64(chain.ready), "B-ready")
		})
	}
}
