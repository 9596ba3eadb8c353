package gossip

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestAttackHeadsThatDoNotExist: a listed relay names another head of an old epoch in
// each of many HELLOs, and has none of them. It is asked now and then, and not each
// time, nor does it fill the log.
func TestAttackHeadsThatDoNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinToken, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		liar := f.record("liar", 0)
		check(t, n.Publish(liar.Raw))
		check(t, n.AddSnapshot(f.snapshot(liar), f.log))
		var asked atomic.Int32
		m.setServe(func(_ directory.RelayID, s Stream) bool {
			asked.Add(1)
			_ = s.Close()
			return true
		})
		m.addQuiet(f, "liar", RoleRelay, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		m.wg.Go(func() { n.watchNotices(ctx) })
		k := talk(t, n, "liar", RoleRelay)
		m.wg.Go(func() { k.hear() })
		const span = 20 * time.Second
		for i := range 100 {
			h := hello{role: RoleRelay, network: f.id, time: time.Now(), fileVersion: 1, epoch: f.header.Epoch}
			binary.BigEndian.PutUint64(h.headerHash[:], uint64(i)+1)
			k.send(TypeHello, h.append(nil))
			time.Sleep(span / 100)
		}
		if most, got := int(span/doubtEvery)+1, int(asked.Load()); got > most || got < 2 {
			t.Errorf("asked %d times in %v, for at most %d", got, span, most)
		}
		cancel()
		k.close()
	})
}
