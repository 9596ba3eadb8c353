package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

func documentOf(text string) Document {
	return Document{Hash: sha256.Sum256([]byte(text)), Raw: []byte(text)}
}

// TestDocumentsAreKept keeps one document per epoch, one that a single epoch
// needs, and one that all need.
func TestDocumentsAreKept(t *testing.T) {
	for _, c := range []struct {
		name string
		lab  bool
		step uint64 // between epoch numbers
		kept int    // of 110 epochs
	}{
		{"lab epochs of 10 s: 72 of them", true, 1, 72},
		{"epochs of an hour: 72 of them", false, 60, 72},
		// Of 30 minutes 49 hours are 98 epochs before the newest.
		{"epochs of 30 minutes: 49 hours", false, 30, 99},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := found(t, c.lab, directory.JoinOpen, 1)
			m := newMesh(t)
			dir := t.TempDir()
			n := m.addQuiet(f, "bootstrap", RoleDirectory, dir)
			shared, once := documentOf("shared"), documentOf("once")
			const epochs = 110
			for i := range uint64(epochs) {
				docs := []Document{shared, documentOf(fmt.Sprint(i))}
				if i == epochs-uint64(c.kept) {
					docs = append(docs, once)
				}
				check(t, n.Keep(10_000+i*c.step, docs))
			}
			for i := range epochs {
				d := documentOf(fmt.Sprint(i))
				if got := n.answerDocument(d.Hash) != nil; got != (i >= epochs-c.kept) {
					t.Errorf("document of epoch %d of %d is there: %v", i, epochs, got)
				}
			}
			if n.answerDocument(shared.Hash) == nil || n.answerDocument(once.Hash) == nil {
				t.Error("a document is gone that a kept epoch needs")
			}
			half := shared.Hash
			clear(half[16:])
			if got := n.answerDocument(half); !bytes.Equal(got, shared.Raw) {
				t.Errorf("by the first half of its hash: %q", got)
			}
			half[0]++
			if got := n.answerDocument(half); got != nil {
				t.Errorf("another name finds %q", got)
			}
			check(t, n.Keep(10_000+epochs*c.step, nil))
			if n.answerDocument(once.Hash) != nil || n.answerDocument(shared.Hash) == nil {
				t.Error("what only an old epoch needed stays, or what others need is gone")
			}
		})
	}
}

// TestHeadsAreNamedByTheirHeaders finds heads by what votes call them.
func TestHeadsAreNamedByTheirHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		want := make(map[[32]byte]uint64)
		for range 3 {
			raw := f.snapshot()
			check(t, n.AddSnapshot(raw, f.log))
			s, err := directory.ParseSnapshot(raw)
			check(t, err)
			want[s.Hash()] = s.Header.Epoch
			time.Sleep(10 * time.Second)
		}
		for hash, epoch := range want {
			h, err := directory.ParseHead(n.answerDocument(hash))
			check(t, err)
			if h.Header.Epoch != epoch || h.Hash() != hash {
				t.Errorf("epoch %d, want %d", h.Header.Epoch, epoch)
			}
		}
	})
}

// TestRecordsByHalfHashes asks for held, kept and unknown records at once.
func TestRecordsByHalfHashes(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	m := newMesh(t)
	n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
	held, kept := f.record("relay 0", 0), f.record("relay 1", 1)
	check(t, n.Publish(held.Raw))
	check(t, n.Keep(7, []Document{{Hash: kept.Hash, Raw: kept.Raw}, {Hash: sha256.Sum256(make([]byte, 5000)), Raw: make([]byte, 5000)}}))
	long := sha256.Sum256(make([]byte, 5000))
	a := request(t, m, n, f, nil)
	list, err := a.records([][16]byte{kept.Value(), {1}, held.Value(), [16]byte(long[:16])})
	check(t, err)
	if len(list) != 4 || !bytes.Equal(list[0], kept.Raw) || list[1] != nil || !bytes.Equal(list[2], held.Raw) || list[3] != nil {
		t.Errorf("%x", list)
	}
	if _, err := a.do(TypeRecords, make([]byte, 17)); err == nil {
		t.Error("a request of odd length is answered")
	}
}

// request opens a request stream to the node; circuit if q is nil and so on.
func request(t *testing.T, m *mesh, n *Node, f *founder, q *Quota) *asker {
	t.Helper()
	p, s := net.Pipe()
	m.wg.Go(func() { _ = n.ServeLinkRequest(m.ctx, s, q) })
	a, err := askStream(t.Context(), p, n.cfg.Self, f.id)
	check(t, err)
	t.Cleanup(a.close)
	return a
}

// TestLedgersAreNoAmplifier takes the largest documents over one link, over new
// links, and over a circuit, as fast as it can.
func TestLedgersAreNoAmplifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		ledger := Document{Raw: make([]byte, 7_200_000)} // of 50,000 relays
		ledger.Hash = sha256.Sum256(ledger.Raw)
		small := documentOf("small")
		check(t, n.Keep(7, []Document{ledger, small}))
		check2 := func(a *asker, want error) {
			t.Helper()
			b, err := a.document(ledger.Hash)
			if want == nil && (err != nil || !bytes.Equal(b, ledger.Raw)) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			var bye *byeError
			if want != nil && (!errors.As(err, &bye) || bye.code != ByeBusy) {
				t.Errorf("%v, want BYE 1", err)
			}
		}
		q := &Quota{}
		a := request(t, m, n, f, q)
		check2(a, nil)
		check2(a, nil)
		check2(a, errBusy) // the link's share
		a = request(t, m, n, f, q)
		if _, err := a.document(small.Hash); err != nil {
			t.Errorf("a small document: %v", err)
		}
		check2(request(t, m, n, f, &Quota{}), errBusy) // the share of all
		time.Sleep(30 * time.Second)
		check2(request(t, m, n, f, q), nil)
		time.Sleep(time.Minute)

		p, s := net.Pipe()
		m.wg.Go(func() { _ = n.ServeRequest(m.ctx, s) })
		c, err := askStream(t.Context(), p, n.cfg.Self, f.id)
		check(t, err)
		defer c.close()
		if _, err := c.document(small.Hash); err != nil {
			t.Errorf("a small document over a circuit: %v", err)
		}
		check2(c, errBusy)
	})
}

// TestFetchAsksTheNext: one bootstrap is silent, one gives something else.
func TestFetchAsksTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		defer m.stop()
		relays := []*directory.Record{f.record("silent", 0), f.record("liar", 1), f.record("honest", 2), f.record("asker", 3)}
		raw := f.snapshot(relays...)
		nodes := make(map[string]*Node)
		for _, name := range []string{"silent", "liar", "honest", "asker"} {
			nodes[name] = m.addQuiet(f, name, RoleRelay, t.TempDir())
			check(t, nodes[name].AddSnapshot(raw, nil))
		}
		d := documentOf("the ledger")
		check(t, nodes["honest"].Keep(7, []Document{d}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for name := range nodes {
			if name != "asker" {
				p, _ := nodes["asker"].peer(idOf(name))
				m.wg.Go(func() { nodes["asker"].keepPeer(ctx, p) })
			}
		}
		time.Sleep(15 * time.Second) // of two relays the one with the larger identity waits
		m.setServe(func(id directory.RelayID, s Stream) bool {
			switch id {
			case idOf("silent"):
				m.wg.Go(func() { <-m.ctx.Done(); _ = s.Close() })
				return true
			case idOf("liar"):
				m.wg.Go(func() {
					h := nodes["liar"].hello()
					_, _ = s.Write(appendMessage(nil, TypeHello, h.append(nil)))
					b := make([]byte, 36)
					_, _ = s.Read(b)
					_, _ = s.Write(appendMessage(nil, TypeDocument|answerBit, []byte("something else")))
				})
				return true
			}
			return false
		})
		began := time.Now()
		got, err := nodes["asker"].Fetch(t.Context(), d.Hash)
		check(t, err)
		if !bytes.Equal(got, d.Raw) {
			t.Errorf("%q", got)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := nodes["honest"].Fetch(t.Context(), d.Hash); err != nil {
			t.Errorf("its own document: %v", err)
		}
	})
}

func FuzzParseRecordList(f *testing.F) {
	f.Add([]byte{0, 1, 9, 0, 0}, 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		list, err := parseRecordList(b, min(max(n, 0), maxRecordsAsked))
		if err != nil {
			return
		}
		var again []byte
		for _, r := range list {
			again = append(again, byte(len(r)>>8), byte(len(r)))
			again = append(again, r...)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is read as %x", b, again)
		}
	})
}
