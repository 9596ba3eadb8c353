package relay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// Files of a relay's home by which it joins (SPEC.md §7.10).
const (
	fileAdmission = "admission"
	fileWork      = "work"
)

// Implementation constants of joining by work.
const (
	workTrials   = 4                // tries by which the time for all is estimated
	workProgress = 30 * time.Second // between two words on progress
)

// NoticeKind says what a Notice tells.
type NoticeKind int

// The notices.
const (
	NoticeListed   NoticeKind = iota // the relay is in the newest snapshot
	NoticeUnlisted                   // it was, and is not any more
	NoticeRefused                    // a bootstrap does not take its descriptor, or does not list it: Verdict
	NoticeWork                       // it begins a proof of work that takes about Expected
	NoticeProgress                   // it has worked for Elapsed
	NoticeWorked                     // it has done its work, in Elapsed
)

// Notice is something that the operator of a relay should know: how joining goes.
type Notice struct {
	Kind     NoticeKind
	Verdict  gossip.VerdictCode
	Tries    uint64        // of the work so far
	Elapsed  time.Duration // since it began
	Expected time.Duration // on average for the whole of it
}

// tell passes a notice on, if anybody wants it.
func (n *Node) tell(m Notice) {
	if n.cfg.Notice != nil {
		n.cfg.Notice(m)
	}
}

// judged is told what the bootstraps say of this relay.
func (n *Node) judged(code gossip.VerdictCode) {
	switch code {
	case gossip.VerdictHeld:
		return
	case gossip.VerdictNoWork, gossip.VerdictOldWork, gossip.VerdictWork:
		select {
		case n.workAgain <- struct{}{}:
		default: // it is at it
		}
		if n.worksToJoin() {
			return // the operator need do nothing
		}
	}
	n.mu.Lock()
	again := n.refusal == code
	n.refusal = code
	n.mu.Unlock()
	if again {
		return
	}
	if n.cfg.Notice == nil {
		n.log.Warn("the directory does not take or list this relay", "reason", code.String())
	}
	n.tell(Notice{Kind: NoticeRefused, Verdict: code})
}

// admission returns what the relay shows to join, token or vouches: what it was
// configured with, or what it showed before. It is kept apart from the
// descriptor, which a relay that is away outlives.
func (n *Node) admission() ([]byte, error) {
	given, err := n.givenAdmission()
	if err != nil {
		return nil, err
	}
	if given == nil {
		return n.home.read(fileAdmission)
	}
	return given, n.home.write(fileAdmission, given)
}

func (n *Node) givenAdmission() ([]byte, error) {
	join := n.chain.Current().Join
	token := n.cfg.Token
	if token == nil {
		token = n.cfg.Link.Token
	}
	if token != nil && (len(n.cfg.Vouches) == 0 || join&directory.JoinToken != 0) {
		i, err := directory.ParseInvitation(token)
		if err != nil {
			return nil, err
		}
		return i.Admission(n.chain.ID(), n.ID()), nil
	}
	if len(n.cfg.Vouches) == 0 {
		return nil, nil
	}
	for _, v := range n.cfg.Vouches {
		if v.Relay != n.ID() {
			return nil, fmt.Errorf("vouch: %w: %s, this one is %s", ErrOtherRelay, v.Relay, n.ID())
		}
		// One that has expired is no fault here: the relay may be listed since.
		if err := v.Verify(n.chain.ID(), n.ID(), v.Expires.Add(-time.Second)); err != nil {
			return nil, err
		}
	}
	return directory.VouchAdmission(n.cfg.Vouches...)
}

// worksToJoin tells whether a proof of work is this relay's way into the network.
func (n *Node) worksToJoin() bool {
	rules := n.gossip.Chain().Rules()
	if rules.Join&directory.JoinOpen == 0 || rules.WorkBits == 0 {
		return false
	}
	for _, id := range rules.Seeds {
		if id == n.ID() {
			return false
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.shown) == 0 || rules.Join&directory.Join(n.shown[0]) == 0
}

// mayPublish tells whether the relay has, or needs no, proof of work.
func (n *Node) mayPublish() bool {
	if !n.worksToJoin() {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.work != nil
}

// loadWork reads the proof of work of an earlier run: window u32, nonce.
func (n *Node) loadWork() error {
	b, err := n.home.read(fileWork)
	if err != nil {
		return err
	}
	if len(b) >= 5 && len(b) <= 4+16 {
		n.work = &directory.PoW{Window: binary.BigEndian.Uint32(b), Nonce: b[4:]}
	}
	return nil // another one can be made
}

// joinByWork does proofs of work while the relay needs one, until ctx ends
// (SPEC.md §7.10).
func (n *Node) joinByWork(ctx context.Context) error {
	refused := false
	for {
		changed := n.views.Changed()
		if w, ok := n.wantedWork(refused); ok {
			if err := n.doWork(ctx, w); err != nil {
				return err
			}
			refused = false
			continue
		}
		if n.views.Current() != nil {
			refused = false // it was looked at
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-n.workAgain:
			refused = true
		}
	}
}

// wantedWork returns the window for which the relay should work now: it joins by
// work, is not listed, and has none that counts, or one that was refused although
// it counts here.
func (n *Node) wantedWork(refused bool) (directory.WorkWindow, bool) {
	v := n.views.Current()
	if v == nil || !n.worksToJoin() {
		return directory.WorkWindow{}, false
	}
	if _, listed := v.Relay(n.ID()); listed {
		return directory.WorkWindow{}, false
	}
	list := v.WorkWindows()
	if len(list) == 0 {
		return directory.WorkWindow{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.work != nil && !refused {
		for _, w := range list {
			if w.Number == n.work.Window {
				return directory.WorkWindow{}, false
			}
		}
	}
	if refused && n.work != nil && n.work.Window == list[0].Number &&
		directory.VerifyWork(directory.WorkSalt(v.Network(), n.ID(), list[0]), n.work.Nonce, n.gossip.Chain().Rules().WorkBits) == nil {
		return directory.WorkWindow{}, false // the bootstrap's snapshot will catch up
	}
	return list[0], true
}

// doWork does one proof of work and publishes it.
func (n *Node) doWork(ctx context.Context, w directory.WorkWindow) error {
	rules := n.gossip.Chain().Rules()
	began := time.Now()
	said := began
	var expected time.Duration
	var start [8]byte
	rand.Read(start[:])
	tried := func(tries uint64) error {
		elapsed := time.Since(began)
		if tries == workTrials {
			expected = elapsed / workTrials << min(rules.WorkBits, 30)
			n.tell(Notice{Kind: NoticeWork, Tries: tries, Elapsed: elapsed, Expected: expected})
		} else if time.Since(said) >= workProgress {
			said = time.Now()
			n.tell(Notice{Kind: NoticeProgress, Tries: tries, Elapsed: elapsed, Expected: expected})
		}
		return ctx.Err()
	}
	n.log.Info("proof of work begins", "bits", rules.WorkBits)
	p, err := directory.SolveWork(w, directory.WorkSalt(rules.Network, n.ID(), w), rules.WorkBits, start, tried)
	if err != nil {
		return err
	}
	n.tell(Notice{Kind: NoticeWorked, Elapsed: time.Since(began), Expected: expected})
	if err := n.home.write(fileWork, append(binary.BigEndian.AppendUint32(nil, p.Window), p.Nonce...)); err != nil {
		return err
	}
	n.mu.Lock()
	n.work = &p
	n.mu.Unlock()
	if err := n.describe(time.Now(), true); err != nil {
		return err
	}
	n.publish()
	return nil
}

// publish hands the own descriptor to the network, unless it would be refused
// for want of work.
func (n *Node) publish() {
	if !n.mayPublish() {
		return
	}
	if err := n.gossip.Publish(n.Descriptor()); err != nil {
		n.log.Warn("own descriptor is refused", logError, err)
	}
}
