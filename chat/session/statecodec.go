package session

import (
	"crypto/ecdh"
	"encoding/binary"
	"fmt"
)

// stateVersion is the version of the serialised state (SPEC.md §11). Version 1
// knew no resets: it ends before them.
const stateVersion = 2

// MaxState is the most bytes of a serialised state, with all the skipped keys
// that the limits allow; without skipped keys it is at most 8 KiB.
const MaxState = 8<<10 + (maxSkipped+maxOldSessions*(1+maxOldArchived)*maxOldSkipped)*(8+keySize)

// Append appends the serialised state: secret.
func (s *State) Append(b []byte) []byte {
	b = append(b, stateVersion)
	for _, v := range []bool{s.initiator, s.lab, s.heard, s.ackOwed, s.alive} {
		b = appendBool(b, v)
	}
	b = append(b, s.ik.Bytes()...)
	b = append(b, s.peerIK[:]...)
	b = append(b, s.drop[:]...)
	b = s.ratchet.append(b)
	b = s.pq.append(b)
	b = s.in.append(b)
	b = s.out.append(b)
	b = append(b, s.last[:]...)
	b = s.history.append(b)
	b = s.partial.append(b)
	b = s.renewal.append(b)
	return s.rotation.append(b)
}

// ParseState parses what Append wrote; ErrFormat if anything is wrong.
func ParseState(b []byte) (*State, error) {
	s := &State{}
	r := &reader{b: b}
	version := r.byte()
	if version < 1 || version > stateVersion {
		r.fail()
	}
	for _, v := range []*bool{&s.initiator, &s.lab, &s.heard, &s.ackOwed, &s.alive} {
		*v = r.bool()
	}
	s.ik = r.private()
	s.peerIK = r.key()
	s.drop = r.key()
	s.ratchet.parse(r)
	s.pq.parse(r)
	s.in.parse(r)
	s.out.parse(r)
	s.last = [16]byte(r.bytes(16))
	s.history.parse(r)
	s.partial.parse(r)
	if version == 1 {
		s.renewal.first = s.ratchet.th
	} else {
		s.renewal.parse(r)
		s.rotation.parse(r)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("parse session state: %w", err)
	}
	if !s.consistent() {
		return nil, fmt.Errorf("parse session state: parts contradict each other: %w", ErrFormat)
	}
	return s, nil
}

// consistent checks what spans several parts of a state.
func (s *State) consistent() bool {
	if s.renewal.dormant && (s.pq.phase != phaseIdle || len(s.partial) > 0 || s.renewal.waiting) {
		return false
	}
	if s.rotation.seq >= s.out.next && s.rotation.seq != maxSeq || s.rotation.seq != 0 && s.rotation.before == nil {
		return false
	}
	ours := s.ours(s.ratchet.epoch + 1)
	switch s.pq.phase {
	case phaseOffered, phaseMixing, phaseRejected:
		if !ours {
			return false
		}
	case phaseAsked, phaseAnswered:
		if ours {
			return false
		}
	}
	for _, r := range s.history.runs {
		if r.last > s.in.cum+inWindow {
			return false
		}
		for seq := max(r.first, s.in.cum+1); seq <= r.last; seq++ {
			if s.in.look(seq) != seqOld {
				return false
			}
		}
	}
	for _, p := range s.partial {
		for i := range uint64(p.count) {
			if getBit(p.have[:], i) != (s.in.look(p.first+i) == seqOld) {
				return false
			}
		}
	}
	return true
}

// private reads an X25519 private key; it never returns nil.
func (r *reader) private() *ecdh.PrivateKey {
	b := r.key()
	k, err := ecdh.X25519().NewPrivateKey(b[:])
	if err != nil {
		panic("session: X25519 key: " + err.Error()) // only for a wrong length
	}
	return k
}

func (r *ratchet) append(b []byte) []byte {
	for _, k := range [][keySize]byte{r.th, r.rk, r.cks, r.hks, r.nhks, r.nhkr, r.dhr} {
		b = append(b, k[:]...)
	}
	for _, n := range []uint32{r.ns, r.pn, r.epoch} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = appendBool(b, r.owes)
	if !r.owes {
		b = append(b, r.dhs.Bytes()...)
	}
	b = appendBool(b, r.receiving)
	if r.receiving {
		b = append(b, r.recv.ck[:]...)
		b = r.recv.append(b)
	}
	b = append(b, byte(len(r.archived)))
	for i := range r.archived {
		b = r.archived[i].append(b)
	}
	return b
}

func (r *ratchet) parse(d *reader) {
	for _, k := range []*[keySize]byte{&r.th, &r.rk, &r.cks, &r.hks, &r.nhks, &r.nhkr, &r.dhr} {
		*k = d.key()
	}
	r.ns, r.pn, r.epoch = d.uint32(), d.uint32(), d.uint32()
	if r.ns > maxChainBlocks || r.pn > maxChainBlocks || r.epoch == 1<<32-1 {
		d.fail()
	}
	if r.owes = d.bool(); !r.owes {
		r.dhs = d.private()
	}
	if r.receiving = d.bool(); r.receiving {
		r.recv.ck = d.key()
		r.recv.parse(d)
	}
	n := int(d.byte())
	if n > maxArchived {
		d.fail()
	}
	total := len(r.recv.skipped)
	for range n {
		if d.bad {
			return
		}
		var c chain
		c.parse(d)
		total += len(c.skipped)
		r.archived = append(r.archived, c)
	}
	if total > maxSkipped || r.owes && !r.receiving || !r.receiving && n > 0 {
		d.fail()
	}
}

func (c *chain) append(b []byte) []byte {
	b = append(b, c.hk[:]...)
	b = append(b, c.dh[:]...)
	b = binary.BigEndian.AppendUint32(b, c.next)
	b = binary.BigEndian.AppendUint32(b, c.epoch)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.skipped)))
	for _, k := range c.skipped {
		b = binary.BigEndian.AppendUint32(b, k.n)
		b = binary.BigEndian.AppendUint32(b, k.day)
		b = append(b, k.mk[:]...)
	}
	return b
}

func (c *chain) parse(d *reader) {
	c.hk, c.dh = d.key(), d.key()
	c.next, c.epoch = d.uint32(), d.uint32()
	n := int(d.uint16())
	if c.next > maxChainBlocks || n > maxSkipPerChain {
		d.fail()
		return
	}
	for range n {
		if d.bad {
			return
		}
		k := skippedKey{n: d.uint32(), day: d.uint32(), mk: d.key()}
		if k.n >= c.next || len(c.skipped) > 0 && k.n <= c.skipped[len(c.skipped)-1].n {
			d.fail()
		}
		c.skipped = append(c.skipped, k)
	}
}

func (x *exchange) append(b []byte) []byte {
	b = append(b, byte(x.phase))
	switch x.phase {
	case phaseOffered:
		b = append(b, x.seed[:]...)
	case phaseMixing:
		b = x.mix.append(b)
	case phaseAsked:
		b = binary.BigEndian.AppendUint64(b, x.askedAt)
		b = append(b, x.ek...)
	case phaseAnswered:
		b = binary.BigEndian.AppendUint64(b, x.askedAt)
		b = x.mix.append(b)
	}
	b = binary.BigEndian.AppendUint64(b, x.mixedAt)
	for _, n := range []uint32{x.sent, x.received, x.ackedAll, x.receivedIn, x.overdue} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = binary.BigEndian.AppendUint64(b, x.stepSeq)
	b = binary.BigEndian.AppendUint64(b, x.turnSeq)
	b = appendBool(b, x.turnReady)
	b = append(b, byte(len(x.parts)))
	for _, p := range x.parts {
		b = append(b, byte(p.kind), byte(p.index))
		b = binary.BigEndian.AppendUint64(b, p.first)
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.content)))
		b = append(b, p.content...)
	}
	return b
}

func (x *exchange) parse(d *reader) {
	x.phase = phase(d.byte())
	switch x.phase {
	case phaseIdle, phaseRejected:
	case phaseOffered:
		copy(x.seed[:], d.bytes(kemSeedSize))
	case phaseMixing:
		x.mix.parse(d)
	case phaseAsked:
		x.askedAt = d.uint64()
		x.ek = append([]byte(nil), d.bytes(kemKeySize)...)
		if !d.bad && checkKEM(x.ek) != nil {
			d.fail()
		}
	case phaseAnswered:
		x.askedAt = d.uint64()
		x.mix.parse(d)
	default:
		d.fail()
	}
	x.mixedAt = d.uint64()
	if x.mixedAt > maxSeq {
		d.fail()
	}
	for _, n := range []*uint32{&x.sent, &x.received, &x.ackedAll, &x.receivedIn, &x.overdue} {
		*n = d.uint32()
	}
	x.stepSeq, x.turnSeq = d.uint64(), d.uint64()
	x.turnReady = d.bool()
	n := int(d.byte())
	if n > maxControlParts {
		d.fail()
	}
	for range n {
		if d.bad {
			return
		}
		p := controlPart{kind: FrameType(d.byte()), index: uint16(d.byte()), first: d.uint64()}
		size := int(d.uint16())
		if size == 0 || size > ContentSize || p.index > 1 || p.kind.content() || p.kind == FrameAck || p.kind == FrameSync {
			d.fail()
			return
		}
		for _, o := range x.parts {
			if o.kind == p.kind {
				d.fail()
			}
		}
		p.content = append([]byte(nil), d.bytes(size)...)
		x.parts = append(x.parts, p)
	}
}

// maxControlParts is one for each type of the exchange.
const maxControlParts = 3

func (m *mixture) append(b []byte) []byte {
	b = append(b, m.ss[:]...)
	return append(b, m.bind[:]...)
}

func (m *mixture) parse(d *reader) { m.ss, m.bind = d.key(), d.key() }

func (w *inbound) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, w.cum)
	return appendWords(b, w.bits[:])
}

func (w *inbound) parse(d *reader) {
	w.cum = d.uint64()
	d.words(w.bits[:])
	if w.cum > maxSeq || getBit(w.bits[:], 0) {
		d.fail()
	}
}

func (w *outbound) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, w.next)
	b = binary.BigEndian.AppendUint64(b, w.acked)
	b = binary.BigEndian.AppendUint64(b, w.synced)
	b = appendWords(b, w.got[:])
	return appendWords(b, w.failed[:])
}

func (w *outbound) parse(d *reader) {
	w.next, w.acked, w.synced = d.uint64(), d.uint64(), d.uint64()
	d.words(w.got[:])
	d.words(w.failed[:])
	if w.next < 1 || w.next > maxSeq || w.acked >= w.next || w.next-1-w.acked > outBits || w.synced > w.next {
		d.fail()
		return
	}
	for i := uint64(0); i < outBits; i++ {
		sent := i < w.next-1-w.acked
		got, failed := getBit(w.got[:], i), getBit(w.failed[:], i)
		if got && failed || !sent && (got || failed) {
			d.fail()
		}
	}
	if w.inFlight() > maxUnacked {
		d.fail()
	}
}

func (h *history) append(b []byte) []byte {
	b = append(b, byte(len(h.runs)))
	for _, r := range h.runs {
		b = binary.BigEndian.AppendUint64(b, r.first)
		b = binary.BigEndian.AppendUint64(b, r.last)
		b = append(b, r.prev[:]...)
		b = append(b, r.hash[:]...)
	}
	return b
}

func (h *history) parse(d *reader) {
	n := int(d.byte())
	if n > maxRuns {
		d.fail()
	}
	for range n {
		if d.bad {
			return
		}
		r := run{first: d.uint64(), last: d.uint64(), prev: [16]byte(d.bytes(16)), hash: [16]byte(d.bytes(16))}
		if r.last < r.first || r.last > maxSeq || len(h.runs) > 0 && r.first <= h.runs[len(h.runs)-1].last+1 {
			d.fail()
		}
		h.runs = append(h.runs, r)
	}
}

func (ps *partials) append(b []byte) []byte {
	b = append(b, byte(len(*ps)))
	for _, p := range *ps {
		b = append(b, byte(p.kind), byte(p.count))
		b = binary.BigEndian.AppendUint64(b, p.first)
		b = append(b, p.id[:]...)
		b = appendWords(b, p.have[:])
	}
	return b
}

func (ps *partials) parse(d *reader) {
	n := int(d.byte())
	if n > maxPartial {
		d.fail()
	}
	for range n {
		if d.bad {
			return
		}
		p := partial{kind: FrameType(d.byte()), count: uint16(d.byte()), first: d.uint64(), id: [16]byte(d.bytes(16))}
		d.words(p.have[:])
		have := countBits(p.have[:])
		if p.count < 2 || p.count > MaxFragments || have == 0 || have >= int(p.count) || p.first == 0 || p.first > maxSeq {
			d.fail()
			return
		}
		for i := uint64(p.count); i < 128; i++ {
			if getBit(p.have[:], i) {
				d.fail()
			}
		}
		for _, o := range *ps {
			if p.first < o.first+uint64(o.count) && o.first < p.first+uint64(p.count) {
				d.fail()
			}
		}
		*ps = append(*ps, p)
	}
}

func (n *renewal) append(b []byte) []byte {
	b = append(b, n.first[:]...)
	for _, v := range []bool{n.dormant, n.waiting, n.syncOwed, n.resync} {
		b = appendBool(b, v)
	}
	b = append(b, n.ep[:]...)
	b = binary.BigEndian.AppendUint64(b, n.counter)
	b = binary.BigEndian.AppendUint64(b, n.seen)
	b = binary.BigEndian.AppendUint32(b, n.device)
	b = binary.BigEndian.AppendUint32(b, n.peerDevice)
	b = append(b, byte(len(n.drops)))
	for _, d := range n.drops {
		b = append(b, d.Secret[:]...)
		b = appendBool(b, d.Guest)
		b = binary.BigEndian.AppendUint64(b, d.Until)
	}
	b = append(b, byte(len(n.old)))
	for _, o := range n.old {
		b = append(b, o.th[:]...)
		b = binary.BigEndian.AppendUint64(b, o.until)
		b = append(b, o.recv.ck[:]...)
		b = o.recv.append(b)
		b = append(b, byte(len(o.archived)))
		for i := range o.archived {
			b = o.archived[i].append(b)
		}
	}
	return b
}

func (n *renewal) parse(d *reader) {
	n.first = d.key()
	for _, v := range []*bool{&n.dormant, &n.waiting, &n.syncOwed, &n.resync} {
		*v = d.bool()
	}
	n.ep = d.key()
	n.counter, n.seen = d.uint64(), d.uint64()
	n.device, n.peerDevice = d.uint32(), d.uint32()
	if n.counter > maxSeq || n.seen > maxSeq || n.device > maxDevice || n.peerDevice > maxDevice {
		d.fail()
	}
	count := int(d.byte())
	if count > maxOldDrops {
		d.fail()
	}
	for range count {
		if d.bad {
			return
		}
		n.drops = append(n.drops, Drop{Secret: d.key(), Guest: d.bool(), Until: d.uint64()})
	}
	if count = int(d.byte()); count > maxOldSessions {
		d.fail()
	}
	for range count {
		if d.bad {
			return
		}
		o := oldSession{th: d.key(), until: d.uint64()}
		o.recv.ck = d.key()
		o.recv.parse(d)
		archived := int(d.byte())
		if archived > maxOldArchived {
			d.fail()
		}
		for range archived {
			if d.bad {
				return
			}
			var c chain
			c.parse(d)
			o.archived = append(o.archived, c)
		}
		n.old = append(n.old, o)
	}
}

func (n *rotation) append(b []byte) []byte {
	b = appendBool(b, n.before != nil)
	if n.before != nil {
		b = append(b, n.before.Bytes()...)
	}
	b = binary.BigEndian.AppendUint64(b, n.seq)
	return append(b, n.peerBefore[:]...)
}

func (n *rotation) parse(d *reader) {
	if d.bool() {
		n.before = d.private()
	}
	n.seq = d.uint64()
	n.peerBefore = d.key()
}

func appendWords(b []byte, words []uint64) []byte {
	for _, w := range words {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}

func (r *reader) words(dst []uint64) {
	for i := range dst {
		dst[i] = r.uint64()
	}
}
