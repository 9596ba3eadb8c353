package gossip

import (
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// Specification constants of proofs of work (SPEC.md §9): one costs 66 ms and
// 64 MiB to verify.
const (
	worksPerPeer = 10 // a minute
	worksPerNode = 60 // a minute for all peers together
)

// maxWorks bounds the proofs that are remembered.
const maxWorks = 8192

// works verifies proofs of work, each once and one at a time, since each takes
// 64 MiB while it is looked at. It is safe for concurrent use.
type works struct {
	try func(salt [32]byte, nonce []byte) (bits int)

	trying sync.Mutex // held during a try

	mu    sync.Mutex
	bits  map[[32]byte]int // what known nonces make, by the hash of salt and nonce
	all   *rate.Limiter
	peers map[directory.RelayID]*rate.Limiter
}

func newWorks() *works {
	return &works{
		try:   directory.WorkBits,
		bits:  make(map[[32]byte]int),
		all:   rate.NewLimiter(rate.Limit(worksPerNode)/60, worksPerNode),
		peers: make(map[directory.RelayID]*rate.Limiter),
	}
}

// check verifies the work of a descriptor that a peer gave; nil is this node.
func (w *works) check(peer *directory.RelayID, d *directory.Descriptor, salt [32]byte, wanted int) error {
	id := sha256.Sum256(append(salt[:], d.PoW.Nonce...))
	w.mu.Lock()
	n, known := w.bits[id]
	if !known && peer != nil && !w.allowLocked(*peer, time.Now()) {
		w.mu.Unlock()
		return &RefusedError{Verdict: VerdictRate}
	}
	w.mu.Unlock()
	if !known {
		w.trying.Lock()
		n = w.try(salt, d.PoW.Nonce)
		w.trying.Unlock()
		w.remember(id, n)
	}
	if n < wanted {
		return directory.ErrBadWork
	}
	return nil
}

// allowLocked takes one try from what the peer, and all peers, have.
func (w *works) allowLocked(peer directory.RelayID, now time.Time) bool {
	p := w.peers[peer]
	if p == nil {
		if len(w.peers) >= maxPeersKnown {
			clear(w.peers) // who made up so many identities is held by the limit for all
		}
		p = rate.NewLimiter(rate.Limit(worksPerPeer)/60, worksPerPeer)
		w.peers[peer] = p
	}
	return p.AllowN(now, 1) && w.all.AllowN(now, 1)
}

func (w *works) remember(id [32]byte, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for old := range w.bits {
		if len(w.bits) < maxWorks {
			break
		}
		delete(w.bits, old) // an arbitrary one: it costs one try when it comes again
	}
	w.bits[id] = n
}

// joinRules completes the rules with what this node knows by a snapshot: who may
// vouch, and what work counts.
func (n *Node) joinRules(r *directory.Rules, v *directory.View) {
	if v != nil {
		r.Windows = v.WorkWindows()
	}
	r.Own = n.cfg.Self
	r.Voucher = func(family [32]byte) bool { return n.store.listsFamily(family, time.Now()) }
	r.CheckWork = func(d *directory.Descriptor, salt [32]byte, bits int) error {
		return n.works.check(nil, d, salt, bits)
	}
}

// rulesFor are the rules for records that a peer gives: work is looked at only
// if the store would take the record, and not too often.
func (n *Node) rulesFor(peer directory.RelayID) directory.Rules {
	r := n.rules()
	r.CheckWork = func(d *directory.Descriptor, salt [32]byte, bits int) error {
		if code := n.store.wouldRefuse(d); code != VerdictHeld {
			return &RefusedError{Verdict: code}
		}
		return n.works.check(&peer, d, salt, bits)
	}
	return r
}

// Offer announces this relay's own record again on all streams. A peer that did
// not take it asks for it, looks at it anew, and answers with a verdict.
func (n *Node) Offer() {
	if r, ok := n.store.Record(n.cfg.Self); ok {
		n.spread(r, nil, 0)
	}
}

// trusting returns rules for this node's own file of records: what it once
// verified at some cost is not verified again, nor in another order than it came.
func trusting(r directory.Rules) directory.Rules {
	r.Voucher = nil
	r.CheckWork = func(*directory.Descriptor, [32]byte, int) error { return nil }
	return r
}

// listsFamily tells whether a listed relay belongs to the family.
func (s *Store) listsFamily(family [32]byte, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.records {
		if h.Descriptor == nil {
			continue
		}
		for _, f := range h.Descriptor.Families {
			if f.Key == family && now.Before(f.Expires) && s.listed(h.ID) {
				return true
			}
		}
	}
	return false
}

// wouldRefuse tells why put would refuse the descriptor, at no cost, or
// VerdictHeld if it may take it.
func (s *Store) wouldRefuse(d *directory.Descriptor) VerdictCode {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(directory.GossipKey(s.network, d.ID))
	r := &directory.Record{ID: d.ID, Seq: d.Seq, Descriptor: d}
	if old := s.records[k]; old != nil {
		if d.Seq < old.Seq {
			return VerdictOld
		}
		return s.roomLocked(r, old.Record)
	}
	if m, ok := s.memory[k]; ok && d.Seq < m.seq {
		return VerdictOld
	}
	if len(s.records) >= s.capacityLocked() && !s.listed(d.ID) {
		return VerdictFull
	}
	return s.roomLocked(r, nil)
}
