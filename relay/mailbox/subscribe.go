package mailbox

import (
	"math"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// pushSub is a standing subscription. The server's table holds the newest one of
// each queue; the fields without a remark belong to the session's writer.
type pushSub struct {
	rid     RID
	session *Session
	window  int
	sent    uint64        // highest seq sent
	unacked []uint64      // seqs sent and not acknowledged, rising
	dirty   atomic.Bool   // set by anybody: there may be new blocks
	ended   atomic.Uint32 // set by anybody: EndReason, or 0
}

// subscribe puts p in the place of an older subscription, which it ends.
func (s *Server) subscribe(p *pushSub) {
	s.mu.Lock()
	old := s.subs[p.rid]
	s.subs[p.rid] = p
	s.mu.Unlock()
	if old != nil && old.session != p.session {
		old.end(EndTakenOver)
	}
}

// unsubscribe takes p out of the table if it is still there.
func (s *Server) unsubscribe(p *pushSub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs[p.rid] == p {
		delete(s.subs, p.rid)
	}
}

// wake tells the subscriber of a queue that it has new blocks.
func (s *Server) wake(rid RID) {
	s.mu.Lock()
	p := s.subs[rid]
	s.mu.Unlock()
	if p != nil {
		p.dirty.Store(true)
		p.session.wakeup()
	}
}

// endSub ends the subscription of a queue that is gone.
func (s *Server) endSub(rid RID, reason EndReason) {
	s.mu.Lock()
	p := s.subs[rid]
	delete(s.subs, rid)
	s.mu.Unlock()
	if p != nil {
		p.end(reason)
	}
}

func (p *pushSub) end(reason EndReason) {
	p.ended.Store(uint32(reason))
	p.session.wakeup()
}

func (c *Session) wakeup() {
	select {
	case c.poke <- struct{}{}:
	default: // the writer will look anyway
	}
}

// onSub handles SUB (SPEC.md §3.6).
func (c *Session) onSub(data []byte) error {
	m, err := ParseSub(data)
	if err != nil {
		return err
	}
	now := c.srv.store.now()
	q, ok, err := c.srv.store.byRID(m.RID, now)
	if err != nil {
		return err
	}
	if right := c.auth.VerifySub(m, q.rpk); !right || !ok || q.deleted {
		return c.refuse(CmdSub, CodeAuth, 0)
	}
	if _, known := c.owned[m.RID]; !known && len(c.owned) == QueuesMax {
		return c.refuse(CmdSub, CodeLimit, 0)
	}
	c.owned[m.RID] = q.kind
	serve := func() error { return c.serve(m) }
	if q.seen >= now {
		return c.answer(serve)
	}
	return c.write1(CmdSub, func(t *tx) error { return t.touch(m.RID) }, serve)
}

// serve answers a SUB, in the writer.
func (c *Session) serve(m Sub) error {
	if !m.Push && c.subs[m.RID] != nil {
		return c.err1(CmdSub, CodeLimit, 0, MessageID{})
	}
	if m.Push { // before the rows are read, so that no block slips between
		p := &pushSub{rid: m.RID, session: c, window: int(m.Window), sent: m.After}
		c.subs[m.RID] = p
		c.srv.subscribe(p)
		p.dirty.Store(true)
		c.wakeup()
	}
	ok := OKSub{RID: m.RID}
	var got []held
	var behind int
	gone := false
	err := c.srv.store.db.View(func(b *bolt.Tx) error {
		q, err := c.srv.store.readMeta(b, m.RID)
		if err != nil || q.deleted {
			gone = true
			return nil
		}
		ok.Next, ok.Opens, ok.Lowest = q.next, q.opens, q.next
		got, behind = c.srv.store.peek(b, m.RID, m.After, max(1, int(m.Window)))
		return nil
	})
	if err != nil {
		return err
	}
	if gone { // deleted since it was authenticated
		if p := c.subs[m.RID]; p != nil {
			delete(c.subs, m.RID)
			c.srv.unsubscribe(p)
		}
		return c.err1(CmdSub, CodeAuth, 0, MessageID{})
	}
	if len(got) > 0 {
		ok.Lowest = got[0].seq
	}
	if err := c.send(CmdOK, ok.Append(nil)); err != nil || m.Push || m.Window == 0 {
		return err
	}
	for i, h := range got {
		if err := c.deliver(m.RID, h, len(got)-1-i+behind); err != nil {
			return err
		}
	}
	return nil
}

// onAck handles ACK (SPEC.md §3.7), which has no reply.
func (c *Session) onAck(data []byte) error {
	m, err := ParseAck(data)
	if err != nil {
		return err
	}
	if _, ok := c.owned[m.RID]; !ok {
		return errProtocol
	}
	if _, err := c.srv.submit(func(t *tx) error { return t.ackTo(m.RID, m.Seq) }, true); err != nil {
		return err
	}
	c.mu.Lock()
	c.acks[m.RID] = max(c.acks[m.RID], m.Seq)
	c.mu.Unlock()
	c.wakeup()
	return nil
}

// push sends ENDs and as many blocks as the windows allow, in the writer.
func (c *Session) push() error {
	c.mu.Lock()
	acks := c.acks
	c.acks = make(map[RID]uint64)
	c.mu.Unlock()
	for rid, p := range c.subs {
		if reason := EndReason(p.ended.Load()); reason != 0 {
			delete(c.subs, rid)
			if err := c.send(CmdEnd, End{RID: rid, Reason: reason}.Append(nil)); err != nil {
				return err
			}
			continue
		}
		if seq, ok := acks[rid]; ok {
			for len(p.unacked) > 0 && p.unacked[0] <= seq {
				p.unacked = p.unacked[1:]
			}
			p.dirty.Store(true)
		}
		if err := c.pushOne(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Session) pushOne(p *pushSub) error {
	room := p.window - len(p.unacked)
	if room == 0 || !p.dirty.Swap(false) {
		return nil
	}
	var got []held
	var behind int
	err := c.srv.store.db.View(func(b *bolt.Tx) error {
		got, behind = c.srv.store.peek(b, p.rid, p.sent, room)
		return nil
	})
	if err != nil {
		return err
	}
	for i, h := range got {
		p.sent = h.seq
		p.unacked = append(p.unacked, h.seq)
		if err := c.deliver(p.rid, h, len(got)-1-i+behind); err != nil {
			return err
		}
	}
	return nil
}

func (c *Session) deliver(rid RID, h held, behind int) error {
	c.srv.stats.delivered.Add(1)
	m := &Msg{RID: rid, Seq: h.seq, Backlog: uint16(min(behind, math.MaxUint16)), Work: h.paid.bits, Block: [BlockSize]byte(h.block)}
	return c.send(CmdMsg, m.Append(nil))
}

// onList handles LIST (SPEC.md §3.11).
func (c *Session) onList(data []byte) error {
	m, err := ParseList(data)
	if err != nil {
		return err
	}
	if _, ok := c.owned[m.RID]; !ok {
		return errProtocol
	}
	return c.answer(func() error {
		var got []held
		err := c.srv.store.db.View(func(b *bolt.Tx) error {
			got, _ = c.srv.store.peek(b, m.RID, m.After, ListMax)
			return nil
		})
		if err != nil {
			return err
		}
		return c.send(CmdIDs, idsOf(m.RID, got).Append(nil))
	})
}

// idsOf lists the blocks up to the first gap, which only a lost key can make.
func idsOf(rid RID, got []held) IDs {
	m := IDs{RID: rid}
	for i, h := range got {
		if i == 0 {
			m.First = h.seq
		}
		if h.seq != m.First+uint64(i) {
			break
		}
		m.IDs = append(m.IDs, h.id)
	}
	return m
}
