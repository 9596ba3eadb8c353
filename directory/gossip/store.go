package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hearsay/directory"
)

// Store holds the newest verified record of each relay: its descriptor, or the
// notice that it left. It judges nothing beyond admission and its own bounds.
// It is safe for concurrent use.
type Store struct {
	network directory.NetworkID
	lab     bool

	mu        sync.Mutex
	records   map[key]*held
	digests   map[digest]key
	memory    map[key]seqMemory // numbers of records that are gone
	conflicts map[key][2]*directory.Record
	prefixes  map[netip.Prefix]int
	listed    func(directory.RelayID) bool
	listedN   int
	items     []item // sorted; nil when records changed
	print     fingerprint
	changed   chan struct{}
	dirty     bool // since the last save
}

type held struct {
	*directory.Record
	since   time.Time // when its relay became known
	updates float64   // tokens of the update bucket at the time of updated
	updated time.Time
}

// seqMemory keeps a record's number after its expiry, so that no old one can
// be replayed.
type seqMemory struct {
	seq   uint64
	until time.Time
}

func newStore(network directory.NetworkID, lab bool) *Store {
	return &Store{
		network: network, lab: lab,
		records:   make(map[key]*held),
		digests:   make(map[digest]key),
		memory:    make(map[key]seqMemory),
		conflicts: make(map[key][2]*directory.Record),
		prefixes:  make(map[netip.Prefix]int),
		listed:    func(directory.RelayID) bool { return false },
	}
}

// Changed returns a channel that is closed when a record is next added,
// replaced or dropped.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Records returns all records, leave notices included, in order of their keys.
func (s *Store) Records() []*directory.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*directory.Record, 0, len(s.records))
	for _, it := range s.itemsLocked() {
		out = append(out, s.records[it.key].Record)
	}
	return out
}

// Record returns the record of a relay.
func (s *Store) Record(id directory.RelayID) (*directory.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.records[directory.GossipKey(s.network, id)]
	if !ok {
		return nil, false
	}
	return h.Record, true
}

// Len returns the number of records.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// Conflicts returns the pairs of records that prove a relay signed two with
// one number.
func (s *Store) Conflicts() [][2]*directory.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.conflicts))
}

// setListed says which relays the newest snapshot lists, and how many: they
// are never evicted, and the cap grows with them.
func (s *Store) setListed(listed func(directory.RelayID) bool, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed, s.listedN = listed, n
}

// put merges a verified record. The verdict is VerdictHeld if the store now
// holds this very record; fresh tells that it did not before.
func (s *Store) put(r *directory.Record, now time.Time) (code VerdictCode, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(directory.GossipKey(s.network, r.ID))
	old := s.records[k]
	if old == nil {
		return s.insertLocked(k, r, now)
	}
	if r.Conflicts(old.Record) && len(s.conflicts) < maxConflicts {
		s.conflicts[k] = [2]*directory.Record{old.Record, r}
	}
	if r.Hash == old.Hash {
		return VerdictHeld, false
	}
	if !r.Supersedes(old.Record) {
		return VerdictOld, false
	}
	day := directory.Scale(s.lab, 24*time.Hour)
	tokens := min(updatesPerDay, old.updates+updatesPerDay*float64(now.Sub(old.updated))/float64(day))
	if tokens < 1 {
		return VerdictRate, false
	}
	if code := s.roomLocked(r, old.Record); code != VerdictHeld {
		return code, false
	}
	s.dropLocked(k)
	s.addLocked(k, &held{Record: r, since: old.since, updates: tokens - 1, updated: now})
	return VerdictHeld, true
}

func (s *Store) insertLocked(k key, r *directory.Record, now time.Time) (VerdictCode, bool) {
	m, remembered := s.memory[k]
	if remembered && r.Seq < m.seq {
		return VerdictOld, false
	}
	listed := s.listed(r.ID)
	// Anybody can sign a leave notice for an id made up on the spot; only those
	// of relays that were here are of use.
	if r.Descriptor == nil && !remembered && !listed {
		return VerdictOther, false
	}
	if len(s.records) >= s.capacityLocked() && (!listed || !s.evictLocked()) {
		return VerdictFull, false
	}
	if code := s.roomLocked(r, nil); code != VerdictHeld {
		return code, false
	}
	delete(s.memory, k)
	s.addLocked(k, &held{Record: r, since: now, updates: updatesPerDay, updated: now})
	return VerdictHeld, true
}

func (s *Store) capacityLocked() int {
	return min(max(storeFloor, storePerListed*s.listedN), storeCeiling)
}

// evictLocked drops the newest unlisted record, so that a flood displaces only
// itself.
func (s *Store) evictLocked() bool {
	var newest key
	var found *held
	for k, h := range s.records {
		if !s.listed(h.ID) && (found == nil || h.since.After(found.since)) {
			newest, found = k, h
		}
	}
	if found == nil {
		return false
	}
	s.dropLocked(newest)
	return true
}

// roomLocked applies the prefix caps, counting without old, which r replaces.
func (s *Store) roomLocked(r, old *directory.Record) VerdictCode {
	if s.listed(r.ID) {
		return VerdictHeld
	}
	if s.crowdedLocked(r) {
		return VerdictCrowd
	}
	if s.lab {
		return VerdictHeld
	}
	had := make(map[netip.Prefix]bool)
	for _, p := range prefixesOf(old) {
		had[p.prefix] = true
	}
	for _, p := range prefixesOf(r) {
		if !had[p.prefix] && s.prefixes[p.prefix] >= p.limit {
			return VerdictPrefix
		}
	}
	return VerdictHeld
}

func (s *Store) addLocked(k key, h *held) {
	s.records[k] = h
	s.digests[h.Value()] = k
	for _, p := range prefixesOf(h.Record) {
		s.prefixes[p.prefix]++
	}
	s.touchLocked()
}

func (s *Store) dropLocked(k key) {
	h := s.records[k]
	delete(s.records, k)
	delete(s.digests, h.Value())
	for _, p := range prefixesOf(h.Record) {
		if s.prefixes[p.prefix]--; s.prefixes[p.prefix] == 0 {
			delete(s.prefixes, p.prefix)
		}
	}
	s.touchLocked()
}

func (s *Store) touchLocked() {
	s.items, s.dirty = nil, true
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// expire drops what has expired, and remembers its numbers for a while.
func (s *Store) expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, h := range s.records {
		if now.Before(h.Expires()) {
			continue
		}
		if len(s.memory) < storeCeiling {
			s.memory[k] = seqMemory{seq: h.Seq, until: h.Expires().Add(directory.Scale(s.lab, directory.SeqMemory))}
		}
		s.dropLocked(k)
	}
	for k, m := range s.memory {
		if !now.Before(m.until) {
			delete(s.memory, k)
			s.dirty = true
		}
	}
	for k, c := range s.conflicts {
		if !now.Before(c[0].Expires()) && !now.Before(c[1].Expires()) {
			delete(s.conflicts, k)
		}
	}
}

// set returns the sorted items and their fingerprint. The slice is shared and
// never changes.
func (s *Store) set() ([]item, fingerprint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := s.itemsLocked()
	return items, s.print
}

func (s *Store) itemsLocked() []item {
	if s.items == nil {
		s.items = make([]item, 0, len(s.records))
		for k, h := range s.records {
			s.items = append(s.items, item{key: k, digest: h.Value()})
		}
		slices.SortFunc(s.items, compareItems)
		s.print = fingerprintOf(s.items)
	}
	return s.items
}

// held returns the record with this digest, if it is held.
func (s *Store) held(d digest) (*directory.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.digests[d]
	if !ok {
		return nil, false
	}
	return s.records[k].Record, true
}

// lacks tells whether a rumour announces something newer than what is held.
func (s *Store) lacks(h have) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range matching(s.itemsLocked(), h.key.wildcard()) {
		if it.digest.short() == h.digest || s.records[it.key].Seq > h.seq {
			return false
		}
	}
	return true
}

// bodies returns the records that a WANT key asks for.
func (s *Store) bodies(k key) []*directory.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*directory.Record
	for _, it := range matching(s.itemsLocked(), k) {
		out = append(out, s.records[it.key].Record)
	}
	return out
}

// matching returns the items with the key, or, if its second half is zero, with
// its first half.
func matching(items []item, k key) []item {
	wild := [8]byte(k[8:]) == [8]byte{}
	from, _ := slices.BinarySearchFunc(items, k, func(it item, k key) int {
		return slices.Compare(it.key[:], k[:])
	})
	to := from
	for to < len(items) && (items[to].key == k || wild && items[to].key.short() == k.short()) {
		to++
	}
	return items[from:to]
}

type prefixLimit struct {
	prefix netip.Prefix
	limit  int
}

// prefixesOf returns each prefix that a record counts against, once.
func prefixesOf(r *directory.Record) []prefixLimit {
	if r == nil || r.Descriptor == nil {
		return nil
	}
	var out []prefixLimit
	for _, a := range r.Descriptor.Addrs {
		small, large := 24, 16
		if a.Addr().Is6() {
			small, large = 48, 32
		}
		for _, p := range []prefixLimit{
			{netip.PrefixFrom(a.Addr(), small).Masked(), prefixSmall},
			{netip.PrefixFrom(a.Addr(), large).Masked(), prefixLarge},
		} {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}
