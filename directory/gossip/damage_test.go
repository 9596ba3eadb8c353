package gossip

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
)

// damaged makes a node with records and a few snapshots and closes it.
func damaged(t *testing.T, f *founder) (dir string, epoch uint64) {
	t.Helper()
	m := newMesh(t)
	dir = t.TempDir()
	n := m.addQuiet(f, "relay 0", RoleRelay, dir)
	records := relayRecords(f, 3)
	for _, r := range records {
		check(t, n.Publish(r.Raw))
	}
	for range 3 {
		time.Sleep(time.Until(directory.NextEpoch(f.chain.Current().Lab, f.header, time.Now())))
		check(t, n.AddSnapshot(f.snapshot(records...), f.log))
	}
	m.stop()
	return dir, f.header.Epoch
}

func reopen(f *founder, dir string) (*Node, error) {
	return NewNode(NodeConfig{Role: RoleRelay, Self: idOf("relay 0"), Link: f.link(), Views: &directory.Views{}, Dir: dir})
}

// copyDir copies the state so that each case damages its own.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	check(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// TestArchiveFileDamaged: whatever became of the bytes of gossip.db, the start
// ends with one error or goes on with what is whole: never in a panic, and never
// with a view or a log that is not the true one.
func TestArchiveFileDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		dir, epoch := damaged(t, f)
		whole, err := os.ReadFile(filepath.Join(dir, archiveName))
		check(t, err)
		rng := rand.New(rand.NewPCG(1, 2))
		cases := map[string][]byte{
			"empty pages":    make([]byte, len(whole)),
			"text":           bytes.Repeat([]byte("no database "), 2000),
			"half":           whole[:len(whole)/2],
			"two pages":      whole[:2*os.Getpagesize()],
			"a page missing": whole[:len(whole)-os.Getpagesize()],
		}
		for i := range 60 {
			b := bytes.Clone(whole)
			at := rng.IntN(len(b))
			for j := range min(1<<(i%9), len(b)-at) {
				b[at+j] = byte(rng.Uint32())
			}
			cases["overwritten "+string(rune('a'+i))] = b
		}
		refused, went := 0, 0
		for name, b := range cases {
			own := copyDir(t, dir)
			check(t, os.WriteFile(filepath.Join(own, archiveName), b, 0o600))
			n, err := reopen(f, own)
			if err != nil {
				refused++
				continue
			}
			went++
			if v := n.cfg.Views.Current(); v != nil && v.Epoch() > epoch {
				t.Errorf("%s: a view of epoch %d", name, v.Epoch())
			}
			if n.state.Epoch > epoch || n.log6962.Size() > f.log.Size() {
				t.Errorf("%s: state of epoch %d, log of %d leaves", name, n.state.Epoch, n.log6962.Size())
			}
			if root, err := n.log6962.Root(n.log6962.Size()); err == nil {
				if want, _ := f.log.Root(n.log6962.Size()); root != want {
					t.Errorf("%s: another log", name)
				}
			}
			check(t, n.Close())
		}
		if refused < 5 || went == 0 {
			t.Errorf("%d refused, %d went on", refused, went)
		}
	})
}

// TestArchiveValuesDamaged: state, log and snapshot tell on each other.
func TestArchiveValuesDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		dir, epoch := damaged(t, f)
		flip := func(bucket, key []byte, at int) func(tx *bbolt.Tx) error {
			return func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucket)
				if key == nil {
					key, _ = b.Cursor().Last()
				}
				v := bytes.Clone(b.Get(key))
				v[at%len(v)] ^= 1
				return b.Put(key, v)
			}
		}
		both := func(a, b func(tx *bbolt.Tx) error) func(tx *bbolt.Tx) error {
			return func(tx *bbolt.Tx) error { return errors.Join(a(tx), b(tx)) }
		}
		const stateEpoch, stateHeader, stateRoot, stateCert = 1 + 7, 1 + 8 + 5, 1 + 8 + 32 + 8 + 5, 1 + 8 + 32 + 8 + 32 + 8 + 1 + 8 + 1
		leaf := flip(bucketLeaves, nil, 3)
		for name, c := range map[string]struct {
			change     func(tx *bbolt.Tx) error
			err        error
			view, logs bool
		}{
			"nothing":           {func(*bbolt.Tx) error { return nil }, nil, true, true},
			"snapshot's header": {flip(bucketMeta, metaSnapshot, 200), nil, false, true},
			"snapshot's relays": {func(tx *bbolt.Tx) error {
				v := tx.Bucket(bucketMeta).Get(metaSnapshot)
				return flip(bucketMeta, metaSnapshot, len(v)-150)(tx)
			}, nil, false, true},
			"a leaf":                {leaf, nil, true, false},
			"a leaf missing":        {func(tx *bbolt.Tx) error { c := tx.Bucket(bucketLeaves).Cursor(); c.Last(); return c.Delete() }, nil, true, false},
			"state: root":           {flip(bucketMeta, metaState, stateRoot), ErrDamaged, false, false},
			"state: header":         {flip(bucketMeta, metaState, stateHeader), ErrDamaged, false, false},
			"state: form":           {flip(bucketMeta, metaState, 0), ErrDamaged, false, false},
			"leaf and snapshot":     {both(leaf, flip(bucketMeta, metaSnapshot, 200)), ErrDamaged, false, false},
			"state: epoch":          {flip(bucketMeta, metaState, stateEpoch), ErrDamaged, false, false},
			"state: certificate":    {flip(bucketMeta, metaState, stateCert), ErrDamaged, false, false},
			"network file":          {flip(bucketFiles, nil, 60), ErrDamaged, false, false},
			"no state, no snapshot": {func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(metaSnapshot) }, nil, false, true},
		} {
			own := copyDir(t, dir)
			db, err := bbolt.Open(filepath.Join(own, archiveName), 0o600, nil)
			check(t, err)
			check(t, db.Update(c.change))
			check(t, db.Close())
			n, err := reopen(f, own)
			if c.err != nil || err != nil {
				if !errors.Is(err, c.err) || c.err == nil {
					t.Errorf("%s: %v", name, err)
				}
				if err == nil {
					check(t, n.Close())
				}
				continue
			}
			v := n.cfg.Views.Current()
			if (v != nil && v.Epoch() == epoch) != c.view || (n.log6962.Size() == f.log.Size()) != c.logs {
				t.Errorf("%s: view %v, %d leaves", name, v != nil, n.log6962.Size())
			}
			if n.Store().Len() != 3 {
				t.Errorf("%s: %d records", name, n.Store().Len())
			}
			check(t, n.Close())
		}
	})
}

// TestNodeRecoversFromDamage: with leaves or snapshot gone a node is whole again
// with the next snapshot that it pulls.
func TestNodeRecoversFromDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		dir, _ := damaged(t, f)
		records := relayRecords(f, 3)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		time.Sleep(10 * time.Second)
		first := f.snapshot(records...)
		check(t, boot.AddSnapshot(first, f.log))
		for name, change := range map[string]func(tx *bbolt.Tx) error{
			"leaves":   func(tx *bbolt.Tx) error { c := tx.Bucket(bucketLeaves).Cursor(); c.Last(); return c.Delete() },
			"snapshot": func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(metaSnapshot, []byte{1}) },
			"bases":    func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucketBases); return err },
		} {
			own := copyDir(t, dir)
			db, err := bbolt.Open(filepath.Join(own, archiveName), 0o600, nil)
			check(t, err)
			check(t, db.Update(change))
			check(t, db.Close())
			for range 2 { // and once more after a restart
				n := m.addQuiet(f, "relay 0", RoleRelay, own)
				n.pull(t.Context(), n.bootstrapPeers()[0])
				root, err := n.log6962.Root(n.log6962.Size())
				check(t, err)
				want, err := f.log.Root(f.log.Size())
				check(t, err)
				if v := n.cfg.Views.Current(); v == nil || v.Epoch() != f.header.Epoch || root != want {
					t.Errorf("%s: not whole again", name)
				}
				check(t, n.Close())
			}
		}
		m.mu.Lock()
		delete(m.nodes, idOf("relay 0"))
		m.mu.Unlock()
		m.stop()
	})
}

// TestRecordsFileDamaged: records come back by gossip, so a damaged file is no
// reason not to serve, and the archive stays as it is.
func TestRecordsFileDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		dir, epoch := damaged(t, f)
		whole, err := os.ReadFile(filepath.Join(dir, recordsName))
		check(t, err)
		for name, b := range map[string][]byte{
			"empty": {}, "cut": whole[:len(whole)-40], "a bit": append(append([]byte(nil), whole[:100]...), append([]byte{whole[100] ^ 1}, whole[101:]...)...),
			"another format": append([]byte{9}, whole[1:]...),
		} {
			own := copyDir(t, dir)
			check(t, os.WriteFile(filepath.Join(own, recordsName), b, 0o600))
			n, err := reopen(f, own)
			check(t, err)
			if v := n.cfg.Views.Current(); n.Store().Len() != 0 || v == nil || v.Epoch() != epoch {
				t.Errorf("%s: %d records, view %v", name, n.Store().Len(), v != nil)
			}
			check(t, n.Publish(f.record("relay 1", 1).Raw))
			check(t, n.Close())
			if n, err = reopen(f, own); err != nil || n.Store().Len() != 1 {
				t.Errorf("%s: not served on: %v", name, err)
			}
			check(t, n.Close())
		}
		own := copyDir(t, dir)
		check(t, os.Remove(filepath.Join(own, recordsName)))
		n, err := reopen(f, own)
		check(t, err)
		check(t, n.Close())
		if _, err := os.Stat(filepath.Join(own, recordsName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

// TestClientValueDamaged: a bit that changed in a client's stored value is one
// error or nothing worse than a snapshot that is fetched anew; never another view
// than the true one.
func TestClientValueDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, boot.AddSnapshot(f.snapshot(relayRecords(f, 3)...), f.log))
		state := &memoryState{}
		c := newTestClient(t, f, m, state, &capture{})
		check(t, c.fetch(t.Context()))
		whole, err := state.Load(nameSnapshot)
		check(t, err)
		bad := 0
		for at := 0; at < len(whole); at += 7 {
			b := bytes.Clone(whole)
			b[at] ^= 1
			s := &memoryState{}
			files, err := state.Load(nameFiles)
			check(t, err)
			check(t, s.Save(nameFiles, files))
			check(t, s.Save(nameSnapshot, b))
			again, err := NewClient(ClientConfig{Link: f.link(), Dialer: &meshDialer{m: m}, Views: &directory.Views{}, State: s})
			if err != nil {
				bad++
				continue
			}
			if v := again.cfg.Views.Current(); v != nil && v.HeaderHash() != c.cfg.Views.Current().HeaderHash() {
				t.Fatalf("byte %d: another snapshot", at)
			}
		}
		if bad == 0 {
			t.Error("no damage is seen")
		}
		m.stop()
	})
}
