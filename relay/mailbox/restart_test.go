package mailbox

import (
	"crypto/ed25519"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// restartBlocks is how many blocks a relay restarts with, and in what time at most;
// with HEARSAY_MAILBOX=full it is the number that the limit of 2 s is meant for. A
// busy machine says nothing about a relay.
func restartBlocks() (int, time.Duration) {
	if os.Getenv("HEARSAY_MAILBOX") == "full" {
		return 100_000, 2 * time.Second
	}
	return 10_000, time.Minute
}

// TestRestartIsFast: a relay that was killed soon serves all it holds.
func TestRestartIsFast(t *testing.T) {
	s := startFast(t)
	blocks, most := restartBlocks()
	var last *queue
	for left := blocks; left > 0; left -= 500 {
		last = s.fillQueue(t, 500)
	}
	s.shutdown()
	start := time.Now()
	s.start()
	p := s.peer()
	ok := p.subscribe(last, 0, 1, false)
	p.wantMsg(last, 1, 0)
	took := time.Since(start)
	p.session.Close()
	if ok.Next != 501 || s.Stats().Blocks != blocks {
		t.Errorf("%+v, %d blocks", ok, s.Stats().Blocks)
	}
	if took > most {
		t.Errorf("%d blocks are served after %v", blocks, took)
	}
	t.Logf("%d blocks are served after %v", blocks, took)
	s.shutdown()
}

// fillQueue makes a queue with blocks in one transaction.
func (s *testServer) fillQueue(t testing.TB, blocks int) *queue {
	q := newQueue(KindChat)
	err := s.update(func(tx *tx) error {
		made, err := tx.create(New{Kind: KindChat, RPK: [32]byte(q.key.Public().(ed25519.PublicKey)), Cap: q.cap}, 504, false)
		if err != nil {
			return err
		}
		q.sid = made.SID
		for n := range blocks {
			m := &Send{}
			m.ID, m.Block = testBlock(n)
			if _, _, err := tx.put(q.rid, m, [32]byte{}, grant{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestSpaceOfBlocks: what an operator's limit counts for blocks is what they take
// on the disk.
func TestSpaceOfBlocks(t *testing.T) {
	s := startFast(t)
	before := s.onDisk(t)
	const queues, each = 20, 500
	for range queues {
		s.fillQueue(t, each)
	}
	took, counted := s.onDisk(t)-before, s.Used()
	t.Logf("%d bytes a block on the disk, %d are counted", took/(queues*each), counted/(queues*each))
	if counted < took*3/4 || counted > took*3/2 {
		t.Errorf("%d bytes on the disk count as %d", took, counted)
	}
	s.shutdown()
}

// onDisk is the size of the files of the queues.
func (s *testServer) onDisk(t *testing.T) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(s.cfg.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
