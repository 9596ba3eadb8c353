package gossip

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of comparing heads (SPEC.md §8.5) and of looking after
// the own descriptor (SPEC.md §8.6).
const (
	headPeers       = 3 // relays with which heads are compared
	headTries       = 2 * headPeers
	headInterval    = 10 * time.Minute // at least so long between two comparisons
	labHeadInterval = time.Minute
	signerInterval  = 6 * time.Hour // between two comparisons with a bootstrap
	ownPeers        = 2             // relays that are asked for the own descriptor
	ownInterval     = 6 * time.Hour
	ownSettled      = 5 // reconciliations after which everybody should have it
)

// headWatch is what a node found when it looked around. It is guarded by Node.mu.
type headWatch struct {
	agreed     int // relays that showed the same history at the last comparison
	comparedAt time.Time
	differing  int // signed heads seen that deny this node's
	missing    int // relays asked last that lack the own descriptor
	lookedAt   time.Time
}

// watchHeads compares heads with other relays and looks after this node's own
// descriptor, over circuits, until ctx ends.
func (n *Node) watchHeads(ctx context.Context) {
	compare := time.NewTimer(jitter(n.headInterval(), 0.25))
	defer compare.Stop()
	signer := time.NewTimer(jitter(directory.Scale(n.lab, signerInterval), 0.25))
	defer signer.Stop()
	own := time.NewTimer(jitter(directory.Scale(n.lab, ownInterval), 0.25))
	defer own.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-compare.C:
			n.compareHeads(ctx)
			compare.Reset(jitter(n.headInterval(), 0.25))
		case <-signer.C:
			n.compareWithSigner(ctx)
			signer.Reset(jitter(directory.Scale(n.lab, signerInterval), 0.25))
		case <-own.C:
			n.lookAfterOwn(ctx)
			own.Reset(jitter(directory.Scale(n.lab, ownInterval), 0.25))
		}
	}
}

// headInterval is the mean time between two comparisons: an epoch, or longer
// where epochs are short.
func (n *Node) headInterval() time.Duration {
	if n.lab {
		return max(n.epochLength(), labHeadInterval)
	}
	return max(n.epochLength(), headInterval)
}

// compareHeads compares with three random relays of different networks: those
// that this node gossips with could be of one hand, and know whom they talk to.
func (n *Node) compareHeads(ctx context.Context) {
	if n.cfg.Views.Current() == nil {
		return
	}
	agreed, answered := 0, 0
	seen := make(map[netip.Prefix]bool)
	relays := n.others()
	tries := 0
	for _, i := range rand.Perm(len(relays)) {
		r := &relays[i]
		if answered == headPeers || tries == headTries || ctx.Err() != nil {
			break
		}
		if !n.lab && seenAny(seen, r.Addrs) {
			continue
		}
		tries++
		for _, a := range r.Addrs {
			seen[wide(a.Addr())] = true
		}
		same, err := n.compareWith(ctx, relayPeer(r), true)
		if err != nil {
			n.log.Debug("heads not compared", logPeer, r.ID.String(), logReason, err)
			continue
		}
		answered++
		if same {
			agreed++
		}
	}
	if answered == 0 && n.cfg.Circuits != nil && len(relays) > 0 {
		// Without any circuit, as when nearly all of an old view is gone, one that
		// knows who asks is better than none.
		same, err := n.compareWith(ctx, relayPeer(&relays[rand.N(len(relays))]), false)
		if err == nil {
			answered = 1
		}
		if same {
			agreed = 1
		}
	}
	if answered == 0 {
		return
	}
	n.mu.Lock()
	n.heads.agreed, n.heads.comparedAt = agreed, time.Now()
	n.mu.Unlock()
}

func seenAny(seen map[netip.Prefix]bool, addrs []netip.AddrPort) bool {
	for _, a := range addrs {
		if seen[wide(a.Addr())] {
			return true
		}
	}
	return false
}

// compareWithSigner compares with a random bootstrap, where founders run their
// signers. Over no circuit: bootstraps need not be listed.
func (n *Node) compareWithSigner(ctx context.Context) {
	boots := n.bootstrapPeers()
	if len(boots) == 0 || n.cfg.Views.Current() == nil {
		return
	}
	p := boots[rand.N(len(boots))]
	if _, err := n.compareWith(ctx, p, !p.Partial); err != nil && ctx.Err() == nil {
		n.log.Debug("heads not compared", logPeer, p.ID.String(), logReason, err)
	}
}

// anonymous opens a request stream to a relay over a circuit, if this node has
// circuits, else directly.
func (n *Node) anonymous(ctx context.Context, p Peer) (*asker, error) {
	if n.cfg.Circuits == nil {
		return ask(ctx, n.cfg.Dialer, p, n.network)
	}
	s, err := n.cfg.Circuits.RequestOver(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return askStream(ctx, s, p.ID, n.network)
}

// compareWith compares this node's head with that of a peer, and tells whether
// both belong to one history. Two histories are evidence; a newer snapshot is
// pulled at once.
func (n *Node) compareWith(ctx context.Context, p Peer, hidden bool) (same bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var a *asker
	if hidden {
		a, err = n.anonymous(ctx, p)
	} else {
		a, err = ask(ctx, n.cfg.Dialer, p, n.network)
	}
	if err != nil {
		return false, err
	}
	defer a.close()
	n.mu.Lock()
	head := n.head
	n.mu.Unlock()
	if head == nil {
		return false, errUnknown
	}
	if a.hello.epoch == head.Header.Epoch && a.hello.headerHash == head.Hash() {
		return true, nil
	}
	theirs, err := a.headOf(head.Header.Epoch)
	if err == nil && theirs == nil {
		theirs, err = a.headOf(0)
	}
	if err != nil {
		return false, err
	}
	if theirs == nil {
		return false, errUnknown
	}
	same, err = n.judgeHead(theirs)
	if err == nil && n.behind(a.hello) {
		err = n.pullOn(a)
	}
	return same, err
}

// judgeHead verifies a head that somebody showed and looks whether it denies this
// node's history: then evidence is made. It is an error if nobody signed it.
func (n *Node) judgeHead(theirs *directory.Head) (same bool, err error) {
	n.mu.Lock()
	chain, log := n.chain, n.log6962
	place := log.Leaves(min(theirs.Header.LogSize, log.Size()))
	n.mu.Unlock()
	if err := chain.VerifySigned(theirs, directory.State{}); err != nil {
		return false, err
	}
	hash := theirs.Hash()
	if len(place) == 0 || place[0] == directory.HeaderLeaf(hash) {
		return true, nil // it goes on from this node's log, or is in it
	}
	for _, own := range n.bases.heads() {
		if slices.Contains(own.Header.Abandoned, hash) {
			return true, nil // signed too late; the signers have said so
		}
	}
	n.mu.Lock()
	n.heads.differing++
	n.mu.Unlock()
	n.log.Error("somebody shows a signed snapshot that denies this node's history", logEpoch, theirs.Header.Epoch)
	own, err := n.headOf(theirs.Header.Epoch)
	if err != nil {
		return false, err
	}
	n.accuse(own, theirs)
	return false, nil
}

// lookAfterOwn asks random relays, over circuits, whether they give out this
// node's newest descriptor, and tells it anew if one does not. Over a link the
// relay would know who asks.
func (n *Node) lookAfterOwn(ctx context.Context) {
	own, ok := n.store.Record(n.cfg.Self)
	if n.cfg.Circuits == nil || n.cfg.Role != RoleRelay || !ok || own.Descriptor == nil ||
		time.Since(time.Unix(int64(own.Seq), 0)) < ownSettled*n.interval() {
		return
	}
	relays := n.others()
	asked, missing := 0, 0
	for _, i := range rand.Perm(len(relays))[:min(len(relays), 2*ownPeers)] {
		if asked == ownPeers || ctx.Err() != nil {
			break
		}
		has, err := n.hasOwn(ctx, relayPeer(&relays[i]), own)
		if err != nil {
			n.log.Debug("own descriptor not asked for", logPeer, relays[i].ID.String(), logReason, err)
			continue
		}
		asked++
		if has {
			continue
		}
		missing++
		n.log.Warn("a relay does not give out this relay's descriptor", logPeer, relays[i].ID.String())
		n.spread(own, nil, 0)
		n.meet(ctx, relayPeer(&relays[i]), true)
	}
	if asked == 0 {
		return
	}
	n.mu.Lock()
	n.heads.missing, n.heads.lookedAt = missing, time.Now()
	n.mu.Unlock()
}

func (n *Node) hasOwn(ctx context.Context, p Peer, own *directory.Record) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, err := n.anonymous(ctx, p)
	if err != nil {
		return false, err
	}
	defer a.close()
	_, err = a.document(own.Hash)
	if errors.Is(err, errUnknown) {
		return false, nil
	}
	return err == nil, err
}
