package gossip

import (
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// Specification constants of the board (SPEC.md §12).
const (
	boardEpochs     = 2                // messages are held and taken for so many epochs around now
	boardReplay     = 10 * time.Minute // what is older still is no matter of clocks: replay
	boardVotes      = 2                // votes of a signer for one epoch, and partial signatures: two that differ are evidence
	boardEchoes     = 16               // echoes of a signer for one epoch
	boardSameEchoes = 2                // of which so many for one attempt
	boardMessages   = 64               // messages of a signer in all
	boardBytes      = 8 << 20          // and their bytes
	boardRate       = 256 << 10        // bytes a second of messages from one peer, and to one
	boardBurst      = 64 << 20         // and at once: a whole board
	strangerBurst   = 32 << 20         // to all together that are no bootstraps and brought nothing new
)

// boardIDs bounds the ids in one BOARD message and those remembered as refused.
const (
	maxBoardIDs   = 9*boardMessages + 64
	maxBoardWaste = 4096
)

// boardID names a message on the board by the SHA-256 of all its bytes, so that
// it is known before it is parsed.
type boardID [32]byte

// posted is one message on the board.
type posted struct {
	id boardID
	m  *directory.SignerMessage
}

// board holds what signers tell each other, for signers that cannot reach one
// another (SPEC.md §12). It is safe for concurrent use.
type board struct {
	mu      sync.Mutex
	held    []posted      // in the order in which they came
	changed chan struct{} // closed and replaced at each new message
	ids     map[boardID]*directory.SignerMessage
	waste   map[boardID]time.Time // refused without blame; not asked for again
	certs   map[[32]byte]uint64   // highest certificate number seen of each signer
	asked   map[boardID]time.Time // when a peer was last asked for it
	swept   time.Time             // when old ones of these were last looked for
	peers   map[directory.RelayID]*boardPeer
	others  *rate.Limiter // bytes to strangers
}

// boardPeer is what the board remembers of a peer across its streams.
type boardPeer struct {
	in, out *rate.Limiter
	news    time.Time // when it last brought a message that nobody had brought
	used    time.Time
}

func newBoard() *board {
	return &board{
		changed: make(chan struct{}),
		ids:     make(map[boardID]*directory.SignerMessage),
		waste:   make(map[boardID]time.Time),
		certs:   make(map[[32]byte]uint64),
		asked:   make(map[boardID]time.Time),
		peers:   make(map[directory.RelayID]*boardPeer),
		others:  rate.NewLimiter(boardRate, strangerBurst),
	}
}

// Reasons for which a signer's message is not held; nobody is to blame for them.
var (
	errBoardEpoch = errors.New("gossip: a signer's message for another time")
	errBoardFull  = errors.New("gossip: the signer has sent more than its share")
	errBoardKey   = errors.New("gossip: the signer's certificate was replaced")
	errBoardKnown = errors.New("gossip: the signer's message is known")
)

// keepsBoard tells whether this node holds signers' messages: it is a directory
// node, or a bootstrap.
func (n *Node) keepsBoard() bool { return n.welcomes() }

// needs tells whether signers may depend on the streams of a peer: it is a
// bootstrap, or brings new messages of signers.
func (n *Node) needs(id directory.RelayID) bool { return n.isBootstrap(id) || n.bringsNews(id) }

func (n *Node) isBootstrap(id directory.RelayID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.bootstrapLocked(id)
	return ok
}

// Post spreads a message of this node's own signer to all signers and
// bootstraps: those connected, and those that connect within two epochs.
func (n *Node) Post(m *directory.SignerMessage) {
	if err := n.post(m, nil); err != nil && !errors.Is(err, errBoardKnown) {
		n.log.Warn("own signer's message is not spread", logReason, err)
	}
}

// Messages returns the signers' messages that are held, in the order in which
// they came, this node's own included, and a channel that is closed when there
// is a new one. Contradicting messages of one signer are both held.
func (n *Node) Messages() ([]*directory.SignerMessage, <-chan struct{}) {
	epoch := n.epochLength()
	b := n.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireLocked(n.lab, epoch, time.Now())
	list := make([]*directory.SignerMessage, 0, len(b.held))
	for _, p := range b.held {
		list = append(list, p.m)
	}
	return list, b.changed
}

// post holds a message and tells all streams but the one it came from of it:
// whose signer made it gives it, who was given it says that it is there. It
// returns why it is not held.
func (n *Node) post(m *directory.SignerMessage, from *session) error {
	id := boardID(sha256.Sum256(m.Raw()))
	if err := n.board.hold(id, m, n.lab, n.epochLength(), time.Now()); err != nil {
		return err
	}
	n.contradiction(m)
	for _, ss := range n.open() {
		switch {
		case from == nil:
			ss.pin(posted{id, m})
		case ss != from && ss.peer != from.peer:
			ss.announce(id)
		}
	}
	return nil
}

// contradiction tells everybody if a signer sent two votes for one epoch.
func (n *Node) contradiction(m *directory.SignerMessage) {
	if m.Vote == nil {
		return
	}
	n.board.mu.Lock()
	var other *directory.SignerMessage
	for _, p := range n.board.held {
		if o := p.m; o.Vote != nil && o.Signer() == m.Signer() && o.Epoch() == m.Epoch() && o.Hash() != m.Hash() {
			other = o
		}
	}
	n.board.mu.Unlock()
	if other == nil {
		return
	}
	e, err := n.Chain().VoteEvidence(other.Vote, other.RawCertificate, m.Vote, m.RawCertificate)
	if err != nil {
		n.log.Error("two votes of one signer prove nothing", logEpoch, m.Epoch(), logReason, err)
		return
	}
	n.AddEvidence(e)
}

// hold takes a message, or says why it does not.
func (b *board) hold(id boardID, m *directory.SignerMessage, lab bool, epoch time.Duration, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireLocked(lab, epoch, now)
	if b.ids[id] != nil {
		return errBoardKnown
	}
	err := b.fitsLocked(m, lab, epoch, now)
	if errors.Is(err, errBoardFull) {
		b.roomLocked(m)
		err = b.fitsLocked(m, lab, epoch, now)
	}
	if err != nil {
		b.refuseLocked(id, now)
		return err
	}
	b.certs[m.Signer()] = max(b.certs[m.Signer()], m.Certificate.Seq)
	b.held = append(b.held, posted{id, m})
	b.ids[id] = m
	delete(b.asked, id)
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// roomLocked drops what the signer has said for earlier epochs, the earliest first,
// until its message fits: in a long epoch without a snapshot signers try anew every
// five minutes, and what they say now must be heard.
func (b *board) roomLocked(m *directory.SignerMessage) {
	for {
		bytes, all, first := len(m.Raw()), 0, -1
		for i, p := range b.held {
			if p.m.Signer() != m.Signer() {
				continue
			}
			bytes += len(p.m.Raw())
			all++
			if p.m.Epoch() < m.Epoch() && (first < 0 || p.m.Epoch() < b.held[first].m.Epoch()) {
				first = i
			}
		}
		if first < 0 || bytes <= boardBytes && all < boardMessages {
			return
		}
		delete(b.ids, b.held[first].id)
		b.held = slices.Delete(b.held, first, first+1)
	}
}

func (b *board) fitsLocked(m *directory.SignerMessage, lab bool, epoch time.Duration, now time.Time) error {
	if off := directory.EpochTime(lab, m.Epoch()).Sub(now).Abs(); off > boardEpochs*epoch {
		return errBoardEpoch
	}
	if m.Certificate.Seq < b.certs[m.Signer()] {
		return errBoardKey
	}
	bytes, all, like, same := len(m.Raw()), 0, 0, 0
	for _, p := range b.held {
		o := p.m
		if o.Signer() != m.Signer() {
			continue
		}
		bytes += len(o.Raw())
		all++
		if o.Epoch() != m.Epoch() || boardType(o) != boardType(m) {
			continue
		}
		if o.Hash() == m.Hash() {
			return errBoardKnown // under another certificate
		}
		like++
		if m.Echo != nil && o.Echo.Attempt == m.Echo.Attempt {
			same++
		}
	}
	most := boardVotes
	if m.Echo != nil {
		most = boardEchoes
	}
	if bytes > boardBytes || all >= boardMessages || like >= most || same >= boardSameEchoes {
		return errBoardFull
	}
	return nil
}

// expireLocked drops what is for an epoch too long ago.
func (b *board) expireLocked(lab bool, epoch time.Duration, now time.Time) {
	kept := b.held[:0]
	for _, p := range b.held {
		if now.Sub(directory.EpochTime(lab, p.m.Epoch())) > boardEpochs*epoch {
			delete(b.ids, p.id)
			continue
		}
		kept = append(kept, p)
	}
	clear(b.held[len(kept):])
	b.held = kept
	for id, at := range b.waste {
		if now.Sub(at) > 2*boardEpochs*epoch {
			delete(b.waste, id)
		}
	}
	for id, at := range b.asked {
		if now.Sub(at) > boardEpochs*epoch {
			delete(b.asked, id)
		}
	}
}

// refuseLocked notes that a message is not to be asked for again.
func (b *board) refuseLocked(id boardID, now time.Time) {
	if len(b.waste) >= maxBoardWaste {
		clear(b.waste)
	}
	b.waste[id] = now
}

func (b *board) refuse(id boardID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuseLocked(id, now)
}

// lacks tells whether a message is neither held nor refused.
func (b *board) lacks(id boardID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, refused := b.waste[id]
	return b.ids[id] == nil && !refused
}

// claim tells whether a message may be asked for now: of one announcer, and of
// the next if it did not come. Strangers, who can announce what does not exist, have
// half of what is remembered.
func (b *board) claim(id boardID, known bool, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.asked[id]; ok && now.Sub(at) < boardAskAgain {
		return false
	}
	most := maxBoardWaste
	if !known {
		most /= 2
	}
	if len(b.asked) >= most && now.Sub(b.swept) >= boardAskAgain {
		b.swept = now
		for old, at := range b.asked {
			if now.Sub(at) >= boardAskAgain {
				delete(b.asked, old)
			}
		}
	}
	if len(b.asked) >= most {
		return false
	}
	b.asked[id] = now
	return true
}

// list returns what is held.
func (b *board) list() []posted {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]posted(nil), b.held...)
}

func (b *board) get(id boardID) (posted, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.ids[id]
	return posted{id, m}, m != nil
}

// peerLocked returns the entry of a peer; the longest idle one goes if there are
// too many.
func (b *board) peerLocked(id directory.RelayID, now time.Time) *boardPeer {
	p := b.peers[id]
	if p == nil {
		if len(b.peers) >= maxPeersKnown {
			var oldest directory.RelayID
			var found *boardPeer
			for k, q := range b.peers {
				if found == nil || q.used.Before(found.used) {
					oldest, found = k, q
				}
			}
			delete(b.peers, oldest)
		}
		p = &boardPeer{in: rate.NewLimiter(boardRate, boardBurst), out: rate.NewLimiter(boardRate, boardBurst)}
		b.peers[id] = p
	}
	p.used = now
	return p
}

// takes tells whether so many bytes may still come from a peer.
func (b *board) takes(id directory.RelayID, size int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peerLocked(id, now).in.AllowN(now, size)
}

// gives tells whether so many bytes may still go to a peer. Who is no bootstrap
// and never brought anything new shares with all others of that kind.
func (b *board) gives(id directory.RelayID, known bool, size int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peerLocked(id, now)
	if !known && p.news.IsZero() && !b.others.AllowN(now, size) {
		return false
	}
	return p.out.AllowN(now, size)
}

// brought notes that a peer gave a message that was new here.
func (b *board) brought(id directory.RelayID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peerLocked(id, now).news = now
}

// bringsNews tells whether a peer gave something new within the last two epochs,
// as signers' nodes do.
func (n *Node) bringsNews(id directory.RelayID) bool {
	epoch := n.epochLength()
	n.board.mu.Lock()
	defer n.board.mu.Unlock()
	p := n.board.peers[id]
	return p != nil && !p.news.IsZero() && time.Since(p.news) <= boardEpochs*epoch
}

func boardType(m *directory.SignerMessage) Type {
	switch {
	case m.Vote != nil:
		return TypeVote
	case m.Echo != nil:
		return TypeEcho
	}
	return TypeCosign
}
