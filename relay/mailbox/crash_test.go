package mailbox

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestCrashKeepsWhatGotOK copies the database at random moments of a busy run,
// as a crash would leave it, and opens each copy: every block that had an OK
// before the copy began is served from it.
func TestCrashKeepsWhatGotOK(t *testing.T) {
	s := startFast(t)
	defer s.shutdown()
	owner := s.peer()
	defer owner.session.Close()

	const writers, blocks, copies = 4, 150, 6
	queues := make([]*queue, writers)
	peers := make([]*peer, writers)
	for i := range queues {
		queues[i] = owner.create(KindChat)
		peers[i] = s.peer()
		defer peers[i].session.Close()
	}
	var mu sync.Mutex
	stored := make([]int, writers) // blocks with an OK
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range writers {
		wg.Go(func() {
			for n := range blocks {
				peers[i].store(queues[i], n)
				mu.Lock()
				stored[i]++
				mu.Unlock()
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	var crashes []string
	var promised [][]int
	for range copies {
		mu.Lock()
		was := append([]int(nil), stored...)
		mu.Unlock()
		// bbolt writes meta pages last, so a copy between two commits is what
		// a crash leaves; the transaction below keeps commits out meanwhile.
		dir := t.TempDir()
		hold, err := s.submit(func(*tx) error { return copyTree(dir, s.cfg.Dir) }, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.await(hold); err != nil {
			t.Fatal(err)
		}
		crashes, promised = append(crashes, dir), append(promised, was)
	}
	<-done
	for c, dir := range crashes {
		after := &testServer{t: t, cfg: s.cfg, free: s.free}
		after.cfg.Dir = dir
		after.start()
		for i, q := range queues {
			// A peer for each queue: blocks stored after the promise are still
			// being pushed to it when the next queue is asked for.
			p := after.peer()
			p.must(CmdSub, p.subCommand(q, 0, 0, false))
			ok, err := ParseOKSub(p.want(CmdOK))
			if err != nil || ok.Next-1 < uint64(promised[c][i]) || ok.Lowest != 1 && ok.Next != 1 {
				t.Errorf("copy %d, queue %d: %d blocks had an OK, found %+v", c, i, promised[c][i], ok)
			}
			for n := range promised[c][i] {
				if n%64 == 0 {
					p.subscribe(q, uint64(n), 64, false)
				}
				if n < int(ok.Next-1) {
					p.wantMsg(q, uint64(n+1), n)
				}
			}
			p.session.Close()
		}
		after.shutdown()
	}
}

// TestTornCreationIsRepaired: what a crash leaves of the first start is no
// hindrance to the next.
func TestTornCreationIsRepaired(t *testing.T) {
	s := startServer(t, true)
	s.shutdown()
	if err := os.Remove(filepath.Join(s.cfg.Dir, "mailbox.db")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mailbox.db" + newSuffix, filepath.Join("keys", "0-00000001.key"+newSuffix)} {
		if err := os.WriteFile(filepath.Join(s.cfg.Dir, name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	defer s.shutdown()
	p := s.peer()
	defer p.session.Close()
	p.store(p.create(KindChat), 1)
	if left, _ := filepath.Glob(filepath.Join(s.cfg.Dir, "*", "*"+newSuffix)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(filepath.Join(to, rel))
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			out.Close()
			return err
		}
		return out.Close()
	})
}
