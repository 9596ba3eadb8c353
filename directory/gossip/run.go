package gossip

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"hearsay/directory"
)

// Specification constants of the schedule (SPEC.md §8).
const (
	antiEntropy    = 60 * time.Second // ± a quarter
	labAntiEntropy = 5 * time.Second
	dialTimeout    = 10 * time.Second
	firstBackOff   = time.Second
	lastBackOff    = time.Minute
	labBackOff     = 3 * time.Second
)

// Run keeps streams to peers, reconciles, and pulls new snapshots until ctx
// ends. It returns ctx.Err after everything that it started has ended.
func (n *Node) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { n.keepPeers(ctx) })
	wg.Go(func() { n.keepInStep(ctx) })
	wg.Go(func() { n.follow(ctx) })
	wg.Go(func() { n.search(ctx) })
	wg.Go(func() { n.watchHeads(ctx) })
	wg.Go(func() { n.watchNotices(ctx) })
	n.keepRecords(ctx)
	return ctx.Err()
}

// keepRecords drops what expires and saves the records now and then.
func (n *Node) keepRecords(ctx context.Context) {
	every := time.NewTicker(n.interval())
	defer every.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-every.C:
		}
		n.store.expire(time.Now())
		if err := n.store.save(n.recordsPath()); err != nil {
			n.log.Warn("records are not saved", logReason, err)
		}
	}
}

// interval is the mean time between two reconciliations with random relays.
func (n *Node) interval() time.Duration {
	if n.lab {
		return labAntiEntropy
	}
	return antiEntropy
}

// jitter returns d ± the given share of it.
func jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}

// sleep waits and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// snapshotChanged returns a channel that is closed at the next new snapshot.
func (n *Node) snapshotChanged() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.announce
}

// keepPeers runs one goroutine for each peer wanted, and ends those of peers
// that no longer are.
func (n *Node) keepPeers(ctx context.Context) {
	type keeper struct {
		cancel context.CancelFunc
		peer   Peer
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	kept := make(map[[16]byte]keeper)
	for {
		changed := n.snapshotChanged()
		want := n.wanted(time.Now())
		for k, old := range kept {
			if p, ok := want[k]; !ok || !samePeer(p, old.peer) {
				old.cancel()
				delete(kept, k)
			}
		}
		for k, p := range want {
			if _, ok := kept[k]; ok {
				continue
			}
			peerCtx, cancel := context.WithCancel(ctx)
			kept[k] = keeper{cancel: cancel, peer: p}
			wg.Go(func() { n.keepPeer(peerCtx, p); cancel() })
		}
		redraw := time.NewTimer(directory.Scale(n.lab, redrawPeriod))
		select {
		case <-ctx.Done():
		case <-changed:
		case <-redraw.C:
		}
		redraw.Stop()
		if ctx.Err() != nil {
			for _, k := range kept {
				k.cancel()
			}
			return
		}
	}
}

// samePeer tells whether a stream to old still serves for p.
func samePeer(p, old Peer) bool {
	return p.Partial == old.Partial && p.LinkKey == old.LinkKey && slices.Equal(p.Addrs, old.Addrs)
}

// keepPeer holds a stream to one peer. In a small network, where all want each
// other, of two listed relays the one with the smaller identity dials; the other
// does so only if nothing came for a while.
func (n *Node) keepPeer(ctx context.Context, p Peer) {
	backOff := firstBackOff
	maxBackOff := lastBackOff
	if n.lab {
		maxBackOff = labBackOff
	}
	second := !p.Partial && string(p.ID[:]) < string(n.cfg.Self[:]) && len(n.others())+1 < standingSmall
	if second && !sleep(ctx, jitter(2*maxBackOff/3, 0.5)) {
		return
	}
	for {
		if n.talking(p) || n.refusing(p) {
			if !sleep(ctx, jitter(maxBackOff, 0.3)) {
				return
			}
			continue
		}
		began := time.Now()
		retry := n.meet(ctx, p, false)
		if time.Since(began) > lastBackOff {
			backOff = firstBackOff
		}
		if !sleep(ctx, max(jitter(backOff, 0.3), min(retry, directory.Scale(n.lab, fullRetry)))) {
			return
		}
		backOff = min(2*backOff, maxBackOff)
	}
}

// talking tells whether a stream with the peer is open, from either side.
func (n *Node) talking(p Peer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ss := range n.sessions {
		if ss.peer.Prefix() == p.ID.Prefix() && !ss.once {
			return true
		}
	}
	return false
}

func (n *Node) refusing(p Peer) bool { return !p.Partial && n.limits.refused(p.ID, time.Now()) }

// meet opens a stream to the peer and runs it to its end. It returns how long
// the peer asks to stay away.
func (n *Node) meet(ctx context.Context, p Peer, once bool) time.Duration {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	s, id, err := n.cfg.Dialer.Gossip(dialCtx, p)
	cancel()
	if err != nil {
		n.log.Debug("no gossip stream", logReason, err)
		return 0
	}
	if _, _, ok := n.limits.open(id, time.Now()); !ok {
		_ = s.Close()
		return 0
	}
	if once {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, reconcileTimeout)
		defer end()
	}
	err = n.converse(ctx, id, s, true, once)
	var bye *byeError
	if errors.As(err, &bye) {
		return bye.retry
	}
	return 0
}

// keepInStep reconciles with a random listed relay, or before the first
// snapshot with a bootstrap, about once a minute.
func (n *Node) keepInStep(ctx context.Context) {
	for sleep(ctx, jitter(n.interval(), 0.25)) {
		relays, boots := n.others(), n.bootstrapPeers()
		switch {
		case len(relays) > 0:
			p := relayPeer(&relays[rand.N(len(relays))])
			if !n.refusing(p) {
				n.meet(ctx, p, true)
			}
		case len(boots) > 0:
			n.meet(ctx, boots[rand.N(len(boots))], true)
		}
	}
}

// follow pulls snapshots that peers announce. Who announces what then does not
// come or does not verify is not believed for three epochs, so that liars do not
// keep this node from others.
func (n *Node) follow(ctx context.Context) {
	distrusted := make(map[directory.RelayID]time.Time)
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-n.pulls:
			now := time.Now()
			if now.Before(distrusted[a.peer.ID]) || !n.behind(a.hello) {
				continue
			}
			if n.pull(ctx, a.peer) {
				delete(distrusted, a.peer.ID)
				continue
			}
			if len(distrusted) >= maxPeersKnown {
				clear(distrusted)
			}
			distrusted[a.peer.ID] = now.Add(3 * n.epochLength())
		}
	}
}

func (n *Node) epochLength() time.Duration {
	if v := n.cfg.Views.Current(); v != nil {
		return v.EpochLength()
	}
	return directory.EpochUnit(n.lab)
}

// search looks for a snapshot when the next is due and nobody announced it.
func (n *Node) search(ctx context.Context) {
	for first := true; ; {
		changed := n.snapshotChanged()
		timer := time.NewTimer(n.nextLook(first))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-timer.C:
			n.alarm(time.Now())
			n.look(ctx, changed)
			first = false
		}
		timer.Stop()
	}
}

// look asks a bootstrap and a random relay at once, until both have answered or
// there is a new snapshot.
func (n *Node) look(ctx context.Context, changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	answered := make(chan struct{})
	for _, p := range n.sources() {
		wg.Go(func() { n.pull(ctx, p) })
	}
	go func() {
		wg.Wait()
		close(answered)
	}()
	select {
	case <-changed:
	case <-answered:
	}
	cancel()
	<-answered
}

// alarm warns when two epochs went by without a snapshot.
func (n *Node) alarm(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view != nil && n.stalledLocked(now) {
		n.log.Warn("no new snapshot for two epochs", logEpoch, n.view.Epoch())
	}
}

// stalledLocked tells whether the snapshots of two epochs did not come. Of all
// that an eclipse does, a node can see this one alone.
func (n *Node) stalledLocked(now time.Time) bool {
	return now.Sub(n.view.ValidAfter()) > 3*n.view.EpochLength()
}

// nextLook returns how long to wait for an announcement: until a while after
// the next snapshot is due, and then from retry to retry.
func (n *Node) nextLook(first bool) time.Duration {
	retry := jitter(directory.RetryInterval(n.lab), 0.3)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view == nil {
		if first {
			return 0
		}
		return retry
	}
	due := n.view.ValidAfter().Add(n.view.EpochLength())
	grace := min(n.view.EpochLength()/4, 15*time.Second)
	return max(time.Until(due.Add(grace)), retry)
}

// sources returns a random bootstrap and a random listed relay.
func (n *Node) sources() []Peer {
	var list []Peer
	if boots := n.bootstrapPeers(); len(boots) > 0 {
		list = append(list, boots[rand.N(len(boots))])
	}
	if relays := n.others(); len(relays) > 0 {
		list = append(list, relayPeer(&relays[rand.N(len(relays))]))
	}
	return list
}

// pull fetches what the peer has that this node lacks: versions of the network
// file, then the newest snapshot with the log leaves before it. It tells whether the
// peer kept its word.
func (n *Node) pull(ctx context.Context, p Peer) bool {
	pullCtx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := n.pullFrom(pullCtx, p)
	if err != nil && ctx.Err() == nil {
		n.log.Warn("no newer snapshot from a peer", logPeer, p.ID.String(), logReason, err)
	}
	return err == nil
}

func (n *Node) pullFrom(ctx context.Context, p Peer) error {
	a, err := ask(ctx, n.cfg.Dialer, p, n.network)
	if err != nil {
		return err
	}
	defer a.close()
	return n.pullOn(a)
}

// pullOn does so on an open stream.
func (n *Node) pullOn(a *asker) error {
	if have := n.Chain().Current().Version; uint64(a.hello.fileVersion) > have {
		raws, err := a.files(uint32(have) + 1)
		if err != nil {
			return err
		}
		if err := n.extend(raws, time.Now()); err != nil {
			return err
		}
	}
	n.mu.Lock()
	chain, state, known := n.chain, n.state, n.log6962.Size()
	n.mu.Unlock()
	if a.hello.epoch <= state.Epoch {
		return nil
	}
	raw, s, err := a.newest(n.bases.current(), func(h *directory.Head) error { return chain.VerifySigned(h, state) })
	if err != nil {
		if !n.behind(a.hello) {
			return nil // another pull was faster
		}
		return err
	}
	var leaves [][32]byte
	if s.Header.LogSize > known {
		if leaves, err = a.leaves(known, s.Header.LogSize); err != nil {
			return err
		}
	}
	if err := n.install(raw, s, leaves, time.Now()); err != nil && n.behind(a.hello) {
		return n.contested(a, raw, s, err)
	}
	return nil // or another pull was faster
}
