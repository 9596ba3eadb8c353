package mailbox

import (
	"testing"
	"testing/synctest"
	"time"
)

func (p *peer) workCommand(q *queue, bits byte, from uint64) []byte {
	m := Work{SID: q.sid, Bits: bits}
	m.Counter, _ = FindWorkFrom(nil, p.auth.Nonce, q.sid, int(bits), from)
	return m.Append(nil)
}

// pay buys a grant with exactly that many bits.
func (p *peer) pay(q *queue, bits byte, from uint64) uint64 {
	p.t.Helper()
	d := p.workCommand(q, bits, from)
	p.must(CmdWork, d)
	if ok, err := ParseOK(p.want(CmdOK)); err != nil || ok.Command != CmdWork {
		p.t.Fatalf("%+v %v", ok, err)
	}
	m, _ := ParseWork(d)
	return m.Counter + 1
}

func (p *peer) wantPrice(cmd Command, bits uint16) {
	p.t.Helper()
	e, err := ParseErr(p.want(CmdErr))
	if err != nil || e.Command != cmd || e.Code != CodeWork || e.Argument != bits {
		p.t.Fatalf("got %+v %v, want a price of %d", e, err, bits)
	}
}

// TestAddressQueue: a grant pays for four blocks of one stream, repeats are free,
// and the price rises with what is pending.
func TestAddressQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, a := s.peer(), s.peer()
		defer owner.session.Close()
		defer a.session.Close()
		q := owner.create(KindAddress)
		owner.subscribe(q, 0, 16, true)
		a.must(CmdSend, a.sendCommand(q, 0))
		a.wantPrice(CmdSend, 0)
		next := a.pay(q, 3, 0)
		for n := range GrantSends {
			a.store(q, n)
			if m := owner.wantMsg(q, uint64(n+1), n); m.Work != 3 {
				t.Errorf("the owner is told of %d bits", m.Work)
			}
		}
		a.must(CmdSend, a.sendCommand(q, 9))
		a.wantPrice(CmdSend, 0)
		a.store(q, 2) // known
		b := s.peer()
		defer b.session.Close()
		b.store(q, 3) // known, and nothing paid on this stream
		b.must(CmdSend, b.sendCommand(q, 9))
		b.wantPrice(CmdSend, 0)
		a.must(CmdWork, a.workCommand(q, 0, next-1)) // the same counter
		a.wantPrice(CmdWork, 0)
		b.must(CmdWork, a.workCommand(q, 16, 0)) // work of another stream
		b.wantPrice(CmdWork, 0)
		for n := 1; n < GrantStep; n++ {
			next = a.pay(q, 0, next)
			a.store(q, 100+n)
		}
		a.must(CmdWork, a.workCommand(q, 0, next))
		a.wantPrice(CmdWork, 1)
		a.pay(q, 1, next)
		a.store(q, 200)
	})
}

// TestPriceHidesOwner: the price does not fall when the owner reads, or anybody
// who knows the address could see when that is; it falls when the day is over.
func TestPriceHidesOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		pass(24*time.Minute - time.Duration(time.Now().Unix()%(24*60))*time.Second) // a new day of labs
		owner, a := s.peer(), s.peer()
		defer owner.session.Close()
		defer a.session.Close()
		q := owner.create(KindAddress)
		owner.subscribe(q, 0, 0, false)
		var next uint64
		for n := range GrantStep {
			next = a.pay(q, 0, next)
			a.store(q, n)
		}
		a.must(CmdWork, a.workCommand(q, 0, next))
		a.wantPrice(CmdWork, 1)
		owner.ack(q, 100)
		pass(lazyDelay)
		synctest.Wait()
		if n := s.Stats().Blocks; n != 0 {
			t.Fatalf("%d blocks are left", n)
		}
		a.must(CmdWork, a.workCommand(q, 0, next))
		a.wantPrice(CmdWork, 1)
		b := s.peer()
		defer b.session.Close()
		b.must(CmdSend, b.sendCommand(q, 200))
		b.wantPrice(CmdSend, 1)
		pass(24 * time.Minute)
		a.pay(q, 0, next)
		a.store(q, 201)
	})
}

// TestRequestFlood: a full address queue gives up the cheapest request to one
// that paid more, and refuses those that did not.
func TestRequestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, a := s.peer(), s.peer()
		defer owner.session.Close()
		q := owner.create(KindAddress)
		var next uint64
		n := 0
		flood := func(bits byte) {
			next = a.pay(q, bits, next)
			a.store(q, n)
			n++
			pass(100 * time.Millisecond)
		}
		for range GrantsMax {
			flood(4)
		}
		if st := s.Stats(); st.Blocks != GrantsMax {
			t.Errorf("%d blocks", st.Blocks)
		}
		next = a.pay(q, 4, next)
		a.must(CmdSend, a.sendCommand(q, n))
		a.wantErr(CmdSend, CodeQuota)
		next = a.pay(q, 6, next)
		for i := range GrantSends { // an honest request
			a.store(q, 10_000+i)
		}
		if st := s.Stats(); st.Blocks != GrantsMax-1+GrantSends {
			t.Errorf("%d blocks after the first displaced another", st.Blocks)
		}
		for range GrantsMax - 1 { // everything else can be outbid
			flood(5)
		}
		next = a.pay(q, 5, next)
		a.must(CmdSend, a.sendCommand(q, n))
		a.wantErr(CmdSend, CodeQuota)
		owner.subscribe(q, 0, 0, false)
		found, after := 0, uint64(0)
		for {
			ids := owner.list(q, after)
			if len(ids.IDs) == 0 {
				break
			}
			for i, id := range ids.IDs {
				after = ids.First + uint64(i)
				for k := range GrantSends {
					if want, _ := testBlock(10_000 + k); id == want {
						found++
					}
				}
			}
		}
		if found != GrantSends {
			t.Errorf("%d of the dear request's blocks are left", found)
		}
		a.session.Close()
		a = s.peer()
		defer a.session.Close()
		a.pay(q, 7, 0)
		a.store(q, 0) // displaced once: its id is forgotten, so it is stored again
		if ok := owner.subscribe(q, 0, 0, false); ok.Next != after+2 {
			t.Errorf("a displaced block is not stored again: next is %d, the last one was %d", ok.Next, after)
		}
		owner.ack(q, ^uint64(0))
		pass(lazyDelay)
		synctest.Wait()
		if st := s.Stats(); st.Blocks != 0 {
			t.Errorf("%d blocks after the last ACK", st.Blocks)
		}
	})
}

// TestWorkTellsNothingOfOtherQueues: a price is asked for SIDs that lead nowhere
// as for an empty address.
func TestWorkTellsNothingOfOtherQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, false)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		for _, sid := range []SID{{}, {1}, p.create(KindChat).sid} {
			p.must(CmdWork, Work{SID: sid}.Append(nil))
			p.wantPrice(CmdWork, GrantBits)
		}
	})
}

// TestPaidQueuesPerStream bounds what a stream can make the relay remember.
func TestPaidQueuesPerStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		for n := range byte(GrantQueues) {
			p.pay(&queue{sid: SID{n}}, 0, 0)
		}
		p.must(CmdWork, Work{SID: SID{99}}.Append(nil))
		p.wantErr(CmdWork, CodeLimit)
	})
}

// TestAddressLink: everybody reads the link of an address, nobody locks it.
func TestAddressLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, p := s.peer(), s.peer()
		defer owner.session.Close()
		defer p.session.Close()
		q := owner.create(KindAddress)
		owner.subscribe(q, 0, 0, false)
		for version := range byte(2) { // the keys of an address rotate
			for part := range byte(2) {
				owner.must(CmdSetLink, (&SetLink{RID: q.rid, Part: part, Chunk: [BlockSize]byte{version, part}}).Append(nil))
				owner.want(CmdOK)
			}
			for range 3 {
				p.must(CmdGetLink, GetLink{LID: q.lid}.Append(nil))
				for part := range byte(2) {
					l, err := ParseLink(p.want(CmdLink))
					if err != nil || l.Part != part || l.Opens != 0 || l.Chunk != [BlockSize]byte{version, part} {
						t.Fatalf("part %d: %+v %v", part, l, err)
					}
				}
			}
		}
		p.must(CmdGetLink, GetLink{LID: q.lid, Reader: filled32(1)}.Append(nil))
		p.wantErr(CmdGetLink, CodeAuth)
		// The row and the link outlive their day's keys of other queues.
		pass(40 * 24 * Hour(true))
		p = s.peer()
		defer p.session.Close()
		p.must(CmdGetLink, GetLink{LID: q.lid}.Append(nil))
		p.want(CmdLink)
		p.want(CmdLink)
	})
}

// TestFileQueue: both sides make it, its rate is that of files, its ids are
// forgotten with their blocks, and nothing stays longer than three days.
func TestFileQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		a, b := s.peer(), s.peer()
		defer a.session.Close()
		defer b.session.Close()
		q := a.create(KindFile)
		b.must(CmdNew, b.newCommand(q))
		if ok, err := ParseOKNew(b.want(CmdOK)); err != nil || ok.SID != q.sid || ok.Capacity != 512 || ok.TTL != 72 {
			t.Fatalf("%+v %v", ok, err)
		}
		start := time.Now()
		for n := range 512 {
			a.store(q, n)
		}
		if d := time.Since(start); d > 1500*time.Millisecond {
			t.Errorf("512 blocks took %v", d)
		}
		a.must(CmdSend, a.sendCommand(q, 600))
		a.wantErr(CmdSend, CodeQuota)
		first := a.store(q, 0)
		if first.Until != first.Stored+72 {
			t.Errorf("%+v", first)
		}
		b.subscribe(q, 0, 0, false)
		b.ack(q, 1)
		pass(time.Minute)
		if again := a.store(q, 0); again.Stored == first.Stored {
			t.Error("an acknowledged block cannot be written again")
		}
		pass(73 * Hour(true))
		if st := s.Stats(); st.Blocks != 0 || st.Queues != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestDropQueue takes 64 blocks at the usual rate.
func TestDropQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindDrop)
		for n := range 64 {
			if ok := p.store(q, n); ok.Until != ok.Stored+72 {
				t.Fatalf("%+v", ok)
			}
		}
		p.must(CmdSend, p.sendCommand(q, 64))
		p.wantErr(CmdSend, CodeQuota)
		p.subscribe(q, 0, 0, false)
		p.ack(q, 64)
		pass(time.Minute)
		p.store(q, 0) // known
		if st := s.Stats(); st.Blocks != 0 {
			t.Error("a duplicate was stored")
		}
		pass(73 * Hour(true))
		if st := s.Stats(); st.Queues != 0 {
			t.Error("the queue stays")
		}
	})
}

// TestDraining is said in HELLO; no new queue is made, the others are served.
func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindChat)
		if p.hello.Draining {
			t.Error("drains")
		}
		s.Drain()
		late := s.peer()
		defer late.session.Close()
		if !late.hello.Draining {
			t.Error("does not say so")
		}
		late.must(CmdNew, late.newCommand(newQueue(KindChat)))
		late.wantErr(CmdNew, CodeFull)
		late.must(CmdNew, late.newCommand(q))
		late.want(CmdOK)
		late.store(q, 1)
		late.subscribe(q, 0, 1, false)
		late.wantMsg(q, 1, 1)
	})
}
