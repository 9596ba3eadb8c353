package mailbox

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// grant is the right to write one request into the queue of an address: what
// was paid for it, and a random number that tells it from others in the queue.
type grant struct {
	bits byte
	id   uint64 // never 0, but in the zero grant of who has paid nothing
}

const grantSize = 1 + 8

func (g grant) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(append(b, g.bits), g.id)
}

func parseGrant(d []byte) grant { return grant{bits: d[0], id: binary.BigEndian.Uint64(d[1:])} }

// payment is what one stream has paid for one queue.
type payment struct {
	grant
	left int    // SENDs
	next uint64 // the least counter that counts as new work
}

// onWork handles WORK (SPEC.md §3.17). It tells the price of a queue to whoever
// knows its SID, and no more: a queue that is missing, or asks for no work,
// costs what an empty one costs.
func (c *Session) onWork(data []byte) error {
	m, err := ParseWork(data)
	if err != nil {
		return err
	}
	price, err := c.srv.price(m.SID)
	if err != nil {
		return err
	}
	p := c.paid[m.SID]
	switch {
	case p == nil && len(c.paid) == GrantQueues:
		return c.refuse(CmdWork, CodeLimit, 0)
	case m.Bits < price, p != nil && m.Counter < p.next, m.Counter == math.MaxUint64,
		!CheckWork(c.auth.Nonce, m.SID, m.Counter, int(m.Bits)):
		return c.refuse(CmdWork, CodeWork, uint16(price))
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	c.paid[m.SID] = &payment{grant: grant{bits: m.Bits, id: binary.BigEndian.Uint64(id[:]) | 1}, left: GrantSends, next: m.Counter + 1}
	return c.answer(func() error { return c.send(CmdOK, OK{Command: CmdWork}.Append(nil)) })
}

// spend takes one SEND out of the stream's grant, if the kind asks for one.
func (c *Session) spend(sid SID, kind Kind) grant {
	p := c.paid[sid]
	if limits, _ := kind.Limits(); !limits.Work || p == nil || p.left == 0 {
		return grant{}
	}
	p.left--
	return p.grant
}

// price returns the bits that a request to the queue costs now.
func (s *Server) price(sid SID) (bits byte, err error) {
	rid, q, ok, err := s.store.bySID(sid, s.store.now())
	if err != nil {
		return 0, err
	}
	pending := 0
	if limits, _ := q.kind.Limits(); ok && limits.Work {
		err = s.store.db.View(func(b *bolt.Tx) error {
			pending = s.store.pending(rid, s.store.grants(b, rid))
			return nil
		})
	}
	return priceOf(s.cfg.Lab, pending), err
}

// readToday counts the requests that owners took out of queues of addresses in
// this day. They count for the price until it ends, or anybody could see by the
// price falling when an owner is there. A restart forgets them.
type readToday struct {
	mu     sync.Mutex
	day    uint32
	queues map[RID]int
}

func (r *readToday) count(rid RID, now uint32, more int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if day := now / 24; r.queues == nil || day > r.day {
		r.day, r.queues = day, make(map[RID]int)
	}
	if more > 0 {
		r.queues[rid] = min(r.queues[rid]+more, GrantsMax)
	}
	return r.queues[rid]
}

// pending is how many requests count for the price.
func (s *store) pending(rid RID, held map[uint64]*paidFor) int {
	return len(held) + s.readToday.count(rid, s.now(), 0)
}

// noteRead counts the requests that are gone with the blocks up to seq.
func (t *tx) noteRead(rid RID, seq uint64) {
	read := 0
	for _, p := range t.store.grants(t.Tx, rid) {
		if p.blocks[len(p.blocks)-1].seq <= seq {
			read++
		}
	}
	t.store.readToday.count(rid, t.now, read)
}

func priceOf(lab bool, pending int) byte {
	base := GrantBits
	if lab {
		base = 0
	}
	return byte(base + min(pending/GrantStep, GrantRise))
}

// paidFor is one request in the queue of an address.
type paidFor struct {
	bits   byte
	blocks []held
}

// grants returns the requests in a queue by the id of their grant. There are at
// most GrantsMax of them, with GrantSends blocks each.
func (s *store) grants(b *bolt.Tx, rid RID) map[uint64]*paidFor {
	got := make(map[uint64]*paidFor)
	c := b.Bucket(bucketBlocks).Cursor()
	for k, v := c.Seek(rid[:]); len(k) == IDSize+8 && bytes.HasPrefix(k, rid[:]); k, v = c.Next() {
		h, ok := s.readBlock(k, v)
		if !ok {
			s.dropped.Add(1)
			continue
		}
		p := got[h.paid.id]
		if p == nil {
			p = &paidFor{bits: h.paid.bits}
			got[h.paid.id] = p
		}
		p.blocks = append(p.blocks, h)
	}
	return got
}

// count returns the number of blocks of a queue.
func (s *store) count(b *bolt.Tx, rid RID, q *meta) int {
	if limits, _ := q.kind.Limits(); !limits.Work {
		return int(q.next - q.lowest)
	}
	n := 0
	c := b.Bucket(bucketBlocks).Cursor()
	for k, _ := c.Seek(rid[:]); len(k) == IDSize+8 && bytes.HasPrefix(k, rid[:]); k, _ = c.Next() {
		n++
	}
	return n
}

// admit lets one more block of g into the queue of an address. A full queue
// gives up the request with the least work, the youngest of several, if g has
// more (SPEC.md §3.17).
func (t *tx) admit(rid RID, q *meta, g grant) error {
	pending := t.store.grants(t.Tx, rid)
	if g.id == 0 {
		return &refusal{code: CodeWork, argument: uint16(priceOf(t.store.lab, t.store.pending(rid, pending)))}
	}
	if pending[g.id] != nil || len(pending) < GrantsMax {
		return nil
	}
	var least *paidFor
	for _, p := range pending {
		if least == nil || p.bits < least.bits || p.bits == least.bits && p.blocks[0].seq > least.blocks[0].seq {
			least = p
		}
	}
	if least.bits >= g.bits {
		return &refusal{code: CodeQuota}
	}
	for _, h := range least.blocks {
		if err := t.drop(rid, h.seq, true); err != nil {
			return err
		}
	}
	return nil
}
