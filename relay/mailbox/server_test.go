package mailbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

func TestStoreAndPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, sender := s.peer(), s.peer()
		defer owner.session.Close()
		defer sender.session.Close()
		q := owner.create(KindChat)
		if ok := owner.subscribe(q, 0, 16, true); ok.Lowest != 1 || ok.Next != 1 {
			t.Errorf("empty queue: %+v", ok)
		}
		ok := sender.store(q, 1)
		m := &Send{SID: q.sid}
		m.ID, m.Block = testBlock(1)
		r := NewReceipt(directory.RelayID(s.relay), sender.hello.Custody, m, ok)
		if err := r.Verify(testNetwork, time.Now()); err != nil {
			t.Error(err)
		}
		if ok.Until-ok.Stored != 21*24 || ok.Stored != Hours(time.Now(), true) {
			t.Errorf("times %d to %d", ok.Stored, ok.Until)
		}
		owner.wantMsg(q, 1, 1)
		owner.ack(q, 1)
		sender.store(q, 2)
		if m := owner.wantMsg(q, 2, 2); m.Backlog != 0 {
			t.Errorf("backlog %d", m.Backlog)
		}
		if st := s.Stats(); st.Queues != 1 || st.Stored != 2 || st.Delivered != 2 {
			t.Errorf("stats %+v", st)
		}
		owner.quiet()
	})
}

func TestNewIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		p.must(CmdNew, p.newCommand(q))
		if ok, err := ParseOKNew(p.want(CmdOK)); err != nil || ok.SID != q.sid || ok.Capacity != 512 || ok.TTL != 504 {
			t.Errorf("second NEW: %+v %v", ok, err)
		}
		q.cap[0] ^= 1
		p.must(CmdNew, p.newCommand(q))
		p.wantErr(CmdNew, CodeConflict)
		other := newQueue(KindInvite)
		p.must(CmdNew, p.newCommand(other))
		p.want(CmdOK)
		thief := newQueue(KindInvite)
		thief.lid = other.lid
		p.must(CmdNew, p.newCommand(thief))
		p.wantErr(CmdNew, CodeConflict)
	})
}

func TestPushWindowAndAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, sender := s.peer(), s.peer()
		defer owner.session.Close()
		defer sender.session.Close()
		q := owner.create(KindChat)
		for n := range 40 {
			sender.store(q, n)
		}
		if ok := owner.subscribe(q, 0, 16, true); ok.Lowest != 1 || ok.Next != 41 {
			t.Errorf("%+v", ok)
		}
		for n := range 16 {
			if m := owner.wantMsg(q, uint64(n+1), n); m.Backlog != uint16(39-n) {
				t.Errorf("backlog %d of block %d", m.Backlog, n)
			}
		}
		owner.quiet()
		owner.ack(q, 3)
		for n := 16; n < 19; n++ {
			owner.wantMsg(q, uint64(n+1), n)
		}
		owner.quiet()
		owner.ack(q, 40) // more than was pushed: what the owner knows from elsewhere
		synctest.Wait()
		pass(lazyDelay)
		synctest.Wait()
		if st := s.Stats(); st.Blocks != 0 {
			t.Errorf("%d blocks after the last ACK", st.Blocks)
		}
	})
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, other, sender := s.peer(), s.peer(), s.peer()
		defer owner.session.Close()
		defer other.session.Close()
		defer sender.session.Close()
		q := owner.create(KindChat)
		owner.subscribe(q, 0, 1, true)
		for n := range 5 {
			sender.store(q, n)
		}
		owner.wantMsg(q, 1, 0)
		if ok := other.subscribe(q, 2, 0, false); ok.Lowest != 3 || ok.Next != 6 {
			t.Errorf("%+v", ok)
		}
		other.quiet()
		other.subscribe(q, 2, 2, false)
		if m := other.wantMsg(q, 3, 2); m.Backlog != 2 {
			t.Errorf("backlog %d", m.Backlog)
		}
		other.wantMsg(q, 4, 3)
		other.quiet()
		if ok := other.subscribe(q, 5, 64, false); ok.Lowest != 6 {
			t.Errorf("%+v", ok)
		}
		other.quiet()
		if ids := other.list(q, 1); ids.First != 2 || len(ids.IDs) != 4 {
			t.Errorf("%+v", ids)
		}
		id, _ := testBlock(4)
		if ids := other.list(q, 4); ids.First != 5 || ids.IDs[0] != id {
			t.Errorf("%+v", ids)
		}
		owner.ack(q, 1)
		owner.wantMsg(q, 2, 1) // the poll ended nothing
		owner.must(CmdSub, owner.subCommand(q, 0, 1, false))
		owner.wantErr(CmdSub, CodeLimit)
	})
}

func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		a, b, sender := s.peer(), s.peer(), s.peer()
		defer a.session.Close()
		defer b.session.Close()
		defer sender.session.Close()
		q := a.create(KindChat)
		a.subscribe(q, 0, 16, true)
		a.subscribe(q, 0, 16, true) // replaces itself silently
		b.subscribe(q, 0, 16, true)
		end, err := ParseEnd(a.want(CmdEnd))
		if err != nil || end.RID != q.rid || end.Reason != EndTakenOver {
			t.Errorf("%+v %v", end, err)
		}
		sender.store(q, 1)
		b.wantMsg(q, 1, 1)
		a.quiet()
		a.must(CmdDel, func() []byte { m := Del{RID: q.rid}; a.auth.SignDel(&m, q.key); return m.Append(nil) }())
		a.want(CmdOK)
		if end, err := ParseEnd(b.want(CmdEnd)); err != nil || end.Reason != EndDeleted {
			t.Errorf("%+v %v", end, err)
		}
	})
}

func TestDuplicateAndConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		first := p.store(q, 1)
		pass(3 * time.Minute)
		again := p.store(q, 1)
		if again != first {
			// The receipt is deterministic under one custody key.
			t.Errorf("a duplicate SEND got %+v, first %+v", again, first)
		}
		p.subscribe(q, 0, 0, false)
		p.ack(q, 1)
		pass(time.Minute)
		if again = p.store(q, 1); again != first {
			t.Error("a duplicate of an acknowledged block got other times")
		}
		if st := s.Stats(); st.Blocks != 0 {
			t.Error("a duplicate was stored")
		}
		m := &Send{SID: q.sid}
		m.ID, m.Block = testBlock(1)
		m.Block[0] ^= 1
		p.auth.SealSend(m, q.cap)
		p.must(CmdSend, m.Append(nil))
		p.wantErr(CmdSend, CodeConflict)
		pass(RememberHours*time.Minute + 2*Hour(true))
		p = s.peer()
		defer p.session.Close()
		p.subscribe(q, 0, 0, false)
		if later := p.store(q, 1); later.Stored == first.Stored {
			t.Error("the message id was remembered for ever")
		}
	})
}

func TestQuotaAt512(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p, owner := s.peer(), s.peer()
		defer p.session.Close()
		defer owner.session.Close()
		q := p.create(KindChat)
		owner.subscribe(q, 0, 0, false)
		for n := range 512 {
			p.store(q, n)
		}
		p.must(CmdSend, p.sendCommand(q, 512))
		p.wantErr(CmdSend, CodeQuota)
		if again := p.store(q, 511); again.Stored == 0 {
			t.Error("a duplicate was refused by a full queue")
		}
		owner.ack(q, 1)
		pass(lazyDelay)
		p.store(q, 512)
	})
}

func TestSendRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		start := time.Now()
		for n := range sendBurst + 40 {
			p.store(q, n)
		}
		if d := time.Since(start); d < 1500*time.Millisecond || d > 5*time.Second {
			t.Errorf("%d blocks took %v", sendBurst+40, d)
		}
	})
}

func TestNewRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		for range NewMax {
			p.create(KindChat)
		}
		p.must(CmdNew, p.newCommand(newQueue(KindChat)))
		p.wantErr(CmdNew, CodeLimit)
	})
}

// TestKindsThatDoNotExist are refused.
func TestKindsThatDoNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		for _, kind := range []Kind{5, 6, 255} {
			p.must(CmdNew, p.newCommand(newQueue(kind)))
			p.wantErr(CmdNew, CodeLimit)
		}
	})
}

func TestWorkIsAskedFor(t *testing.T) {
	s := startServer(t, false)
	defer s.shutdown()
	p := s.peer()
	defer p.session.Close()
	if p.hello.WorkBits != WorkBits {
		t.Fatalf("%d bits", p.hello.WorkBits)
	}
	q := newQueue(KindChat)
	p.hello.WorkBits = 0 // and pay nothing
	p.must(CmdNew, p.newCommand(q))
	e, err := ParseErr(p.want(CmdErr))
	if err != nil || e.Code != CodeWork || e.Argument != WorkBits {
		t.Fatalf("%+v %v", e, err)
	}
	p.hello.WorkBits = WorkBits
	p.must(CmdNew, p.newCommand(q))
	p.want(CmdOK)
}

func TestRotateAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		p.store(q, 1)
		rot := RotCap{RID: q.rid, Cap: filled32(77)}
		p.auth.SignRotCap(&rot, q.key)
		p.must(CmdRotCap, rot.Append(nil))
		p.want(CmdOK)
		p.must(CmdSend, p.sendCommand(q, 2))
		p.wantErr(CmdSend, CodeAuth)
		q.cap = rot.Cap
		p.store(q, 2)
		del := func() []byte {
			m := Del{RID: q.rid}
			p.auth.SignDel(&m, q.key)
			return m.Append(nil)
		}
		p.must(CmdDel, del())
		p.want(CmdOK)
		p.must(CmdDel, del()) // a repeat after a lost reply
		p.want(CmdOK)
		p.must(CmdSend, p.sendCommand(q, 3))
		p.wantErr(CmdSend, CodeAuth)
		p.must(CmdSub, p.subCommand(q, 0, 1, false))
		p.wantErr(CmdSub, CodeAuth)
		p.must(CmdNew, p.newCommand(q))
		p.wantErr(CmdNew, CodeUsed)
		if st := s.Stats(); st.Queues != 0 || st.Blocks != 0 {
			t.Errorf("%+v", st)
		}
		pass(TombstoneHours*time.Minute + Hour(true))
		p = s.peer()
		defer p.session.Close()
		p.must(CmdNew, p.newCommand(q))
		p.want(CmdOK)
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		sender := s.peer()
		defer sender.session.Close()
		q := p.create(KindChat)
		inv := newQueue(KindInvite)
		inv.ttl = 24
		p.must(CmdNew, p.newCommand(inv))
		ok, _ := ParseOKNew(p.want(CmdOK))
		inv.sid = ok.SID
		p.subscribe(inv, 0, 16, true)
		p.store(q, 1)
		if r := sender.store(inv, 1); r.Until != Hours(time.Now(), true)+24 {
			t.Errorf("until %d", r.Until)
		}
		p.wantMsg(inv, 1, 1)
		pass(25 * time.Minute)
		if end, err := ParseEnd(p.want(CmdEnd)); err != nil || end.Reason != EndExpired {
			t.Errorf("%+v %v", end, err)
		}
		sender.must(CmdSend, sender.sendCommand(inv, 2))
		sender.wantErr(CmdSend, CodeAuth)
		if st := s.Stats(); st.Queues != 1 || st.Blocks != 1 {
			t.Errorf("%+v", st)
		}
		pass(10 * 24 * time.Minute)
		p.store(q, 2)
		pass(11*24*time.Minute + 10*time.Second)
		if got := p.subscribe(q, 0, 0, false); got.Lowest != 2 || got.Next != 3 {
			t.Errorf("after 21 days: %+v", got)
		}
		// Thirty days without SUB close the queue to senders, yet what was
		// promised before is kept, and a SUB opens it again.
		pass(29 * 24 * time.Minute)
		r := p.store(q, 3)
		pass(2 * 24 * time.Minute)
		p.must(CmdSend, p.sendCommand(q, 4))
		p.wantErr(CmdSend, CodeAuth)
		owner := s.peer()
		defer owner.session.Close()
		owner.subscribe(q, 0, 1, false)
		owner.wantMsg(q, 3, 3)
		p.store(q, 4)
		pass(time.Duration(r.Until-Hours(time.Now(), true)+1) * time.Minute)
		pass(60 * 24 * time.Minute)
		if st := s.Stats(); st.Queues != 0 || st.Blocks != 0 {
			t.Errorf("at the end: %+v", st)
		}
		for class, most := range map[string]int{"0": 0, "1": 33} { // the dummy queue takes one a day
			files, err := filepath.Glob(filepath.Join(s.cfg.Dir, "keys", class+"-*"))
			if err != nil || len(files) > most {
				t.Errorf("%d key files of class %s (%v)", len(files), class, err)
			}
		}
	})
}

// TestTimeNeverRunsBackwards: an hour that was seen is remembered over a restart.
func TestTimeNeverRunsBackwards(t *testing.T) {
	s := startServer(t, true)
	high := s.store.now() + 1000
	s.store.hour.Store(high)
	p := s.peer()
	q := p.create(KindChat)
	if ok := p.store(q, 1); ok.Stored != high {
		t.Error("the hour fell")
	}
	p.session.Close()
	if err := s.Server.update(func(t *tx) error { return t.keepTime() }); err != nil {
		t.Fatal(err)
	}
	s.shutdown()
	s.start()
	defer s.shutdown()
	if s.store.now() != high {
		t.Error("the hour fell over a restart")
	}
}

func TestRestartServesEverything(t *testing.T) {
	s := startServer(t, true)
	p := s.peer()
	q := p.create(KindChat)
	for n := range 20 {
		p.store(q, n)
	}
	p.session.Close()
	s.shutdown()
	s.start()
	defer s.shutdown()
	if st := s.Stats(); st.Queues != 1 || st.Blocks != 20 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
	p = s.peer()
	defer p.session.Close()
	p.subscribe(q, 0, 64, false)
	for n := range 20 {
		p.wantMsg(q, uint64(n+1), n)
	}
	p.store(q, 19) // still known
	p.must(CmdList, List{RID: q.rid, After: 20}.Append(nil))
	if ids, err := ParseIDs(p.want(CmdIDs)); err != nil || len(ids.IDs) != 0 {
		t.Error("stored twice over a restart")
	}
}

// TestLostKeyDropsRows: without its day's key a row is dropped and counted, and
// the rest is served.
func TestLostKeyDropsRows(t *testing.T) {
	s := startServer(t, true)
	p := s.peer()
	q := p.create(KindChat)
	p.store(q, 1)
	p.session.Close()
	s.shutdown()
	keys, err := filepath.Glob(filepath.Join(s.cfg.Dir, "keys", "0-*.key"))
	if err != nil || len(keys) == 0 {
		t.Fatal("no key file", err)
	}
	for _, k := range keys {
		if err := os.Remove(k); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	p = s.peer()
	p.subscribe(q, 0, 1, false) // empty, but the seq goes on
	if ok := p.store(q, 2); ok.Stored == 0 {
		t.Error("not stored")
	}
	p.subscribe(q, 0, 1, false)
	p.wantMsg(q, 2, 2)
	if s.Stats().Dropped == 0 {
		t.Error("nothing counted")
	}
	p.session.Close()
	s.shutdown()
	keys, _ = filepath.Glob(filepath.Join(s.cfg.Dir, "keys", "*.key"))
	for _, k := range keys {
		_ = os.Remove(k)
	}
	s.start()
	defer s.shutdown()
	if st := s.Stats(); st.Queues != 0 || st.Dropped == 0 {
		t.Errorf("%+v", st)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	s := startServer(t, true)
	defer s.shutdown()
	if _, err := newServer(s.cfg, true); err == nil {
		t.Error("two servers share a directory")
	}
}

// TestCommitErrorIsFatal: what was not synced is not answered, and the service
// ends.
func TestCommitErrorIsFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		broken := errors.New("the disk burns")
		synctest.Wait()
		s.testOnlyCommitError = func() error { return broken }
		p.must(CmdSend, p.sendCommand(q, 1))
		if err := <-s.done; !errors.Is(err, broken) {
			t.Errorf("Run ended with %v", err)
		}
		p.quiet()
		if err := p.send(CmdSend, p.sendCommand(q, 2)); err == nil {
			t.Error("a dead service took a block")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error("Close is not idempotent")
		}
	})
}

// TestDiskFull: BUSY and FULL while there is no space, yet ACK and DEL work, and
// it resumes by itself.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		sender := s.peer() // a block may be pushed before its OK
		defer sender.session.Close()
		q, other := p.create(KindChat), p.create(KindChat)
		p.subscribe(q, 0, 16, true)
		sender.store(q, 1)
		p.wantMsg(q, 1, 1)
		s.free = MinFree - 1
		pass(spaceCache)
		sender.must(CmdSend, sender.sendCommand(q, 2))
		sender.wantErr(CmdSend, CodeBusy)
		p.must(CmdNew, p.newCommand(newQueue(KindChat)))
		p.wantErr(CmdNew, CodeFull)
		p.must(CmdNew, p.newCommand(q)) // there already
		p.want(CmdOK)
		p.ack(q, 1)
		del := Del{RID: other.rid}
		p.auth.SignDel(&del, other.key)
		p.must(CmdDel, del.Append(nil))
		p.want(CmdOK)
		pass(lazyDelay)
		if st := s.Stats(); st.Blocks != 0 || st.Queues != 1 {
			t.Errorf("%+v", st)
		}
		s.free = MinFree
		pass(spaceCache)
		sender.store(q, 2)
	})
}

// TestOperatorsSpace: an operator's limit holds like a full disk, can be changed
// while the relay runs, and deletes nothing.
func TestOperatorsSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		for n := range 4 {
			p.store(q, n+1)
		}
		s.SetSpace(s.Used() * 100 / 92)
		p.must(CmdNew, p.newCommand(newQueue(KindChat)))
		p.wantErr(CmdNew, CodeFull)
		p.store(q, 5)
		p.must(CmdSend, p.sendCommand(q, 6))
		p.wantErr(CmdSend, CodeBusy)
		s.SetSpace(blockSpace)
		if st := s.Stats(); st.Blocks != 5 {
			t.Errorf("%d blocks are left of 5", st.Blocks)
		}
		s.SetSpace(0)
		p.store(q, 6)
		p.create(KindChat)
	})
}

func TestSpacePercentages(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		free      uint64
		lab       bool
		new, send bool
	}{
		{11 * gib, false, false, false},
		{10 * gib, false, true, false},
		{5 * gib, false, true, true},
		{5 * gib, true, false, false},
		{MinFree - 1, true, true, true},
	} {
		s := space{lab: c.lab, read: func() (uint64, uint64, error) { return c.free, 100 * gib, nil }}
		if n, snd := s.refuses(); n != c.new || snd != c.send {
			t.Errorf("%+v: new %v send %v", c, n, snd)
		}
	}
	s := space{read: func() (uint64, uint64, error) { return 0, 0, errors.New("gone") }}
	if n, snd := s.refuses(); !n || !snd {
		t.Error("a disk that does not answer is written to")
	}
	if free, total, err := diskSpace(t.TempDir()); err != nil || free == 0 || total != 0 && free > total {
		t.Errorf("the disk here: %d of %d, %v", free, total, err)
	}
}

func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner := s.peer()
		defer owner.session.Close()
		q := owner.create(KindInvite)
		get := func(p *peer, reader byte) {
			p.must(CmdGetLink, GetLink{LID: q.lid, Reader: filled32(reader)}.Append(nil))
		}
		early := s.peer()
		defer early.session.Close()
		get(early, 1)
		early.wantErr(CmdGetLink, CodeAuth)
		owner.subscribe(q, 0, 0, false)
		for round := range byte(2) { // the second replaces the first
			for part := range byte(2) {
				m := &SetLink{RID: q.rid, Part: part}
				fill(m.Chunk[:], part+100*round)
				owner.must(CmdSetLink, m.Append(nil))
				owner.want(CmdOK)
			}
		}
		read := func(p *peer, opens uint16) {
			t.Helper()
			for part := range byte(2) {
				l, err := ParseLink(p.want(CmdLink))
				if err != nil || l.Part != part || l.Opens != opens || l.Chunk[0] != part+100 {
					t.Fatalf("part %d: %v", part, err)
				}
			}
		}
		bob, eve := s.peer(), s.peer()
		defer bob.session.Close()
		defer eve.session.Close()
		get(bob, 1)
		read(bob, 1)
		get(bob, 1) // may retry
		read(bob, 1)
		get(eve, 2)
		eve.wantErr(CmdGetLink, CodeUsed)
		eve.must(CmdGetLink, GetLink{LID: q.lid}.Append(nil))
		eve.wantErr(CmdGetLink, CodeAuth)
		get(bob, 1)
		read(bob, 2)
		if ok := owner.subscribe(q, 0, 0, false); ok.Opens != 2 {
			t.Errorf("the owner sees %d opens", ok.Opens)
		}
		// A link names the SID, so its id may come with a second NEW.
		late := newQueue(KindInvite)
		late.lid = LID{}
		owner.must(CmdNew, owner.newCommand(late))
		owner.want(CmdOK)
		owner.subscribe(late, 0, 0, false)
		for part := range byte(2) {
			owner.must(CmdSetLink, (&SetLink{RID: late.rid, Part: part}).Append(nil))
		}
		owner.want(CmdOK)
		owner.wantErr(CmdSetLink, CodeLimit)
		for _, want := range []struct {
			lid  LID
			code Code
		}{{q.lid, CodeConflict}, {LID{5}, 0}, {LID{5}, 0}, {LID{}, 0}, {LID{6}, CodeConflict}} {
			late.lid = want.lid
			owner.must(CmdNew, owner.newCommand(late))
			if want.code != 0 {
				owner.wantErr(CmdNew, want.code)
			} else {
				owner.want(CmdOK)
			}
		}
		chat := owner.create(KindChat)
		owner.subscribe(chat, 0, 0, false)
		owner.must(CmdSetLink, (&SetLink{RID: chat.rid}).Append(nil))
		owner.wantErr(CmdSetLink, CodeLimit)
	})
}

// TestForeignSecret: a sender's id that leads to no queue is a missing queue.
func TestForeignSecret(t *testing.T) {
	s := startServer(t, true)
	defer s.shutdown()
	p := s.peer()
	defer p.session.Close()
	q := newQueue(KindChat)
	if err := s.update(func(t *tx) error { return t.Bucket(bucketSenders).Put(q.sid[:], q.rid[:]) }); err != nil {
		t.Fatal(err)
	}
	p.must(CmdSend, p.sendCommand(q, 1))
	p.wantErr(CmdSend, CodeAuth)
}
