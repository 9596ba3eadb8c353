package gossip

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// Specification constants: what a node takes from others (SPEC.md §9). Periods
// of ten minutes and more shrink in lab networks as the network file says.
const (
	frameTimeout      = 10 * time.Second // a started frame must be complete by then: slow peers
	reconcileTimeout  = 60 * time.Second // one reconciliation, all rounds: slow peers
	standingSmall     = 20               // below so many relays, gossip with every one
	maxInbound        = 64               // relays that may hold streams to us: connection floods
	maxPerPeer        = 4                // streams of one peer at once
	recordRate        = 5                // new records a second from one peer: update floods
	recordBurst       = 500
	strangersRumour   = 16        // rumours of a node that is neither listed nor a bootstrap count so often
	peerByteRate      = 256 << 10 // bytes of records a minute from one peer
	allByteRate       = 4 << 20   // … from all peers together
	fullSyncBytes     = 16 << 20  // once per peer and hour, while we hold under half of its records
	fullSyncPeriod    = time.Hour
	firstPenalty      = time.Hour // refusal after a record with a bad signature, doubling
	lastPenalty       = 24 * time.Hour
	updatesPerDay     = 12 // records of one relay: update floods by the origin
	storeFloor        = 2000
	storePerListed    = 4
	storeCeiling      = 50_000
	prefixSmall       = 16  // records per IPv4 /24 or IPv6 /48: identity floods
	prefixLarge       = 256 // records per IPv4 /16 or IPv6 /32
	snapshotsPerTerm  = 2   // full snapshots per client link and epoch length
	requestsPerStream = 64  // requests on one stream

	// Bytes of answers a second, and at once, to all askers of one kind together:
	// known nodes, clients on links, and circuits. About a tenth of what a small
	// relay has; one kind does not keep another from answers.
	answerRate  = 1 << 20
	answerBurst = 32 << 20

	// Bytes of records a second, and at once, given to all together that are not
	// known: amplification.
	strangersGivenRate  = 1 << 20
	strangersGivenBurst = 32 << 20
)

// Implementation constants: memory.
const (
	maxPeersKnown = 4096 // peers whose rates and penalties are remembered
	maxConflicts  = 64   // pairs of conflicting records kept as evidence
	maxQueue      = 256  // control messages waiting to be written on one stream
	maxOwed       = 4 * maxWant
)

// peerLimits is what is remembered of a peer across its streams.
type peerLimits struct {
	records  *rate.Limiter
	bytes    *rate.Limiter
	rumours  *rate.Limiter // of records that are lacking
	given    *rate.Limiter // bytes of records to it
	streams  int
	fullSync time.Time // start of the last full sync
	budget   int       // bytes left of it
	penalty  time.Duration
	until    time.Time // refused until then
	used     time.Time
}

// limits enforces what peers may do. It is safe for concurrent use.
type limits struct {
	lab bool

	mu    sync.Mutex
	peers map[directory.RelayID]*peerLimits
	all   *rate.Limiter
	given *rate.Limiter // bytes of records to those that are not known
}

func newLimits(lab bool) *limits {
	return &limits{
		lab:   lab,
		peers: make(map[directory.RelayID]*peerLimits),
		all:   rate.NewLimiter(rate.Limit(allByteRate)/60, allByteRate),
		given: rate.NewLimiter(strangersGivenRate, strangersGivenBurst),
	}
}

// peer returns the entry of a peer. When the table is full, the entry that was
// idle for longest and bears no penalty goes; if there is none, the longest idle.
func (l *limits) peer(id directory.RelayID, now time.Time) *peerLimits {
	p := l.peers[id]
	if p == nil {
		if len(l.peers) >= maxPeersKnown {
			l.evict(now)
		}
		p = &peerLimits{
			records: rate.NewLimiter(recordRate, recordBurst),
			bytes:   rate.NewLimiter(rate.Limit(peerByteRate)/60, peerByteRate),
			rumours: rate.NewLimiter(recordRate, recordBurst),
			given:   rate.NewLimiter(rate.Limit(peerByteRate)/60, fullSyncBytes),
		}
		l.peers[id] = p
	}
	p.used = now
	return p
}

func (l *limits) evict(now time.Time) {
	var worst directory.RelayID
	var found *peerLimits
	rank := func(p *peerLimits) int {
		switch {
		case p.streams > 0:
			return 2
		case now.Before(p.until):
			return 1
		}
		return 0
	}
	for id, p := range l.peers {
		if found == nil || rank(p) < rank(found) || rank(p) == rank(found) && p.used.Before(found.used) {
			worst, found = id, p
		}
	}
	delete(l.peers, worst)
}

// open counts a stream of a peer. It refuses one that is under a penalty or
// has too many; retry says when to come back.
func (l *limits) open(id directory.RelayID, now time.Time) (code ByeCode, retry time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer(id, now)
	if now.Before(p.until) {
		return ByeRefused, p.until.Sub(now), false
	}
	if p.streams >= maxPerPeer {
		return ByeBusy, time.Second, false
	}
	p.streams++
	return 0, 0, true
}

func (l *limits) close(id directory.RelayID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[id]; p != nil && p.streams > 0 {
		p.streams--
	}
}

// punish refuses a peer for an hour, for twice as long each further time.
func (l *limits) punish(id directory.RelayID, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer(id, now)
	p.penalty = min(max(2*p.penalty, directory.Scale(l.lab, firstPenalty)), directory.Scale(l.lab, lastPenalty))
	p.until = now.Add(p.penalty)
}

func (l *limits) refused(id directory.RelayID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[id]
	return p != nil && now.Before(p.until)
}

// record takes one new record of size bytes from the peer's rates, or tells
// that the peer has sent more than its share. ours is the number of records that
// this node holds as the peer does, theirs that of the peer: a node far behind
// may take a whole set at once.
func (l *limits) record(id directory.RelayID, size, ours, theirs int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer(id, now)
	if 2*ours < theirs && (p.fullSync.IsZero() || now.Sub(p.fullSync) >= directory.Scale(l.lab, fullSyncPeriod)) {
		p.fullSync, p.budget = now, fullSyncBytes
	}
	// Once begun it goes on for as long as a reconciliation may, or half of a new
	// node's set would come at once and the other half within hours.
	if now.Sub(p.fullSync) < reconcileTimeout && p.budget >= size {
		p.budget -= size
		return true
	}
	return p.records.AllowN(now, 1) && p.bytes.AllowN(now, size) && l.all.AllowN(now, size)
}

// rumour takes one announcement of a record that is lacking from the peer's rate,
// which is that of its records.
func (l *limits) rumour(id directory.RelayID, known bool, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 1
	if !known {
		n = strangersRumour
	}
	return l.peer(id, now).rumours.AllowN(now, n)
}

// give takes the bytes of a record from what a peer is given, on all its streams.
// Those that are not known have a share together, since identities can be made up.
func (l *limits) give(id directory.RelayID, known bool, size int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer(id, now).given.AllowN(now, size) && (known || l.given.AllowN(now, size))
}

// believed returns how many records a peer holds as far as that matters here:
// only listed relays and bootstraps can have this node take a whole set at once,
// since anybody can make up an identity and a number.
func (n *Node) believed(ss *session) int {
	if _, ok := n.peer(ss.peer); !ok {
		return 0
	}
	return min(int(ss.theirs.count), storeCeiling)
}

// Quota bounds the snapshots that one client link may take in each epoch length
// of the network: two full ones and four differences. The zero value is ready
// for use by all streams of one link. It is safe for concurrent use.
type Quota struct {
	documents documentLimit

	mu    sync.Mutex
	since time.Time
	taken int // full snapshots
	diffs int
}

func (q *Quota) take(now time.Time, epoch time.Duration) bool {
	return q.count(now, epoch, &q.taken, snapshotsPerTerm)
}

func (q *Quota) takeDiff(now time.Time, epoch time.Duration) bool {
	return q.count(now, epoch, &q.diffs, linkDiffs)
}

func (q *Quota) count(now time.Time, epoch time.Duration, n *int, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= epoch {
		q.since, q.taken, q.diffs = now, 0, 0
	}
	if *n >= most {
		return false
	}
	*n++
	return true
}
