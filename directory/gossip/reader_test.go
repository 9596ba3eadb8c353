package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// library is a network with two bootstraps and a reader of it.
type library struct {
	f      *founder
	m      *mesh
	nodes  [2]*Node
	reader *Reader
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{f: found(t, true, directory.JoinOpen, 1), m: newMesh(t)}
	for i, name := range []string{"bootstrap", "second"} {
		l.nodes[i] = l.m.addQuiet(l.f, name, RoleDirectory, t.TempDir())
	}
	link := l.f.link()
	link.Bootstraps = append(link.Bootstraps, directory.Bootstrap{ID: idOf("second").Prefix(), Addr: testAddr(98, true)})
	l.reader = NewReader(ReaderConfig{Link: link, Dialer: &meshDialer{l.m, idOf("reader")}})
	return l
}

// end closes reader and nodes inside of the test's bubble.
func (l *library) end() {
	l.reader.Close()
	l.m.stop()
}

// TestReaderAsksTheNextBootstrap: what one lacks the other gives, and one that is
// down costs nothing but time.
func TestReaderAsksTheNextBootstrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		defer l.end()
		// The network file names one bootstrap: before it is read, the link counts.
		first, second := documentOf("of the first"), documentOf("of the second")
		check(t, l.nodes[0].Keep(7, []Document{first}))
		check(t, l.nodes[1].Keep(7, []Document{second}))
		for _, d := range []Document{first, second, first, second} {
			got, err := l.reader.Document(t.Context(), d.Hash)
			if err != nil || !bytes.Equal(got, d.Raw) {
				t.Errorf("%q, %v", got, err)
			}
		}
		if _, err := l.reader.Document(t.Context(), sha256.Sum256([]byte("nobody's"))); !errors.Is(err, ErrNotPublished) {
			t.Errorf("what nobody has: %v", err)
		}
		l.m.setDown("second", true)
		if got, err := l.reader.Document(t.Context(), first.Hash); err != nil || !bytes.Equal(got, first.Raw) {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := l.reader.Document(t.Context(), second.Hash); err == nil || errors.Is(err, ErrNotPublished) {
			t.Errorf("who is down may have it: %v", err)
		}
		list, err := l.reader.Records(t.Context(), [][16]byte{{1}})
		if err == nil && list[0] != nil {
			t.Errorf("%v", list)
		}
	})
}

// TestReaderWaitsForABusyNode: an empty quota costs the time that the node asks
// for, and a context that ends ends the waiting.
func TestReaderWaitsForABusyNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary(t)
		defer l.end()
		l.m.setDown("second", true)
		d := Document{Raw: bytes.Repeat([]byte("ledger "), 1<<20)}
		d.Hash = sha256.Sum256(d.Raw)
		check(t, l.nodes[0].Keep(7, []Document{d}))
		began := time.Now()
		for range 3 {
			if _, err := l.reader.Document(t.Context(), d.Hash); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 10*time.Second || took > time.Minute {
			t.Errorf("three times 7 MiB took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began = time.Now()
		for {
			_, err := l.reader.Document(ctx, d.Hash)
			if err == nil {
				continue
			}
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			return
		}
	})
}

// TestReaderManyRequests: more than a stream answers.
func TestReaderManyRequests(t *testing.T) {
	l := newLibrary(t)
	defer l.end()
	d := documentOf("again and again")
	check(t, l.nodes[0].Keep(7, []Document{d}))
	for i := range 3 * requestsPerStream {
		if _, err := l.reader.Document(t.Context(), d.Hash); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if l.m.streams > 8 {
		t.Errorf("%d streams", l.m.streams)
	}
}

// TestReaderRefusesForgeries: a bootstrap that answers with what was not asked for,
// or that nobody signed, is passed over.
func TestReaderRefusesForgeries(t *testing.T) {
	l := newLibrary(t)
	defer l.end()
	r := l.f.record("relay 0", 0)
	raw := l.f.snapshot(r)
	check(t, l.nodes[1].AddSnapshot(raw, l.f.log))
	check(t, l.nodes[1].Publish(r.Raw))
	evil := found(t, true, directory.JoinOpen, 2)
	forged := bytes.Clone(raw)
	forged[len(forged)/2] ^= 1
	s, err := directory.ParseSnapshot(raw)
	check(t, err)
	l.m.setServe(func(id directory.RelayID, st Stream) bool {
		if id != idOf("bootstrap") {
			return false
		}
		l.m.wg.Go(func() {
			defer st.Close()
			h := l.nodes[1].hello()
			_, _ = st.Write(appendMessage(nil, TypeHello, h.append(nil)))
			fr := frameReader{r: st}
			for {
				m, err := fr.next()
				if err != nil {
					return
				}
				answer := []byte("something else")
				switch m.typ {
				case TypeFile:
					answer = appendFiles(nil, [][]byte{evil.raw})
				case TypeSnapshot:
					answer = append([]byte{snapshotFull}, forged...)
				case TypeRecords:
					answer = make([]byte, 2*len(m.body)/16)
				}
				if _, err := st.Write(appendMessage(nil, m.typ|answerBit, answer)); err != nil {
					return
				}
			}
		})
		return true
	})
	chain, err := l.reader.Chain(t.Context())
	if err != nil || chain.ID() != l.f.id {
		t.Fatalf("%v", err)
	}
	// The network file names the forger alone, which is asked from here on.
	l.reader.Close()
	if _, _, err := l.reader.Snapshot(t.Context(), 0); err == nil {
		t.Error("a forged snapshot is taken")
	}
	if _, err := l.reader.Head(t.Context(), s.Hash()); err == nil {
		t.Error("a forged head is taken")
	}
	if _, err := l.reader.HeadAt(t.Context(), s.Header.Epoch); err == nil {
		t.Error("a forged head is taken")
	}
	if _, err := l.reader.Document(t.Context(), r.Hash); err == nil {
		t.Error("a document of another name is taken")
	}
	if list, err := l.reader.Records(t.Context(), [][16]byte{r.Value()}); err != nil || list[0] != nil {
		t.Errorf("%v %v", list, err)
	}
	if e, s, err := l.reader.Notices(t.Context()); err == nil && len(e)+len(s) > 0 {
		t.Error("notices of nobody are taken")
	}

	l.m.setServe(nil)
	check(t, l.nodes[0].AddSnapshot(raw, l.f.log))
	if _, v, err := l.reader.Snapshot(t.Context(), 0); err != nil || len(v.Relays()) != 1 {
		t.Errorf("the true snapshot: %v", err)
	}
	if h, err := l.reader.HeadAt(t.Context(), s.Header.Epoch); err != nil || h.Hash() != s.Hash() {
		t.Errorf("the true head: %v", err)
	}
	if h, err := l.reader.Head(t.Context(), s.Hash()); err != nil || h.Header.Epoch != s.Header.Epoch {
		t.Errorf("the true head: %v", err)
	}
	if leaves, err := l.reader.Leaves(t.Context(), 1); err != nil || len(leaves) != 1 {
		t.Errorf("%d leaves, %v", len(leaves), err)
	}
}
