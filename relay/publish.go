package relay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// Publishing (SPEC.md §7.3); in lab networks the 360th part.
const (
	fileDescriptor = "descriptor"
	publishEvery   = 18 * time.Hour
	publishJitter  = 2 * time.Hour
	// checkEvery is how often keys and descriptor are looked at. Descriptors
	// that follow each other faster are refused.
	checkEvery = 10 * time.Minute

	// offerEvery is how many retry intervals of the directory lie between two
	// offers of a relay that is not listed: two minutes, in labs twelve seconds.
	offerEvery = 4

	protocolVersion = 1
)

// describe makes and stores the descriptor, if the last one differs, is due to
// be renewed, or again is set. It does not publish.
func (n *Node) describe(now time.Time, again bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	rules := n.chain.Rules()
	rules.Listed = func(directory.RelayID) bool { return true } // a token may have expired meanwhile
	d := &directory.Descriptor{
		ID:        n.ID(),
		Life:      directory.Scale(rules.Lab, directory.MaxDescriptorLife),
		Addrs:     n.addrs,
		OnionKeys: n.keys.published(now),
		LinkKey:   [32]byte(n.keys.linkKey().Public().(ed25519.PublicKey)),
		Protocols: []uint16{protocolVersion},
		Roles:     directory.RoleGuard | directory.RoleInner | directory.RoleMailbox | directory.RoleCache | directory.RoleWitness,
		Software:  n.cfg.Software,
		Nick:      n.cfg.Settings.Nick,
		Contact:   n.cfg.Settings.Contact,
	}
	var err error
	if d.Admission, err = n.admission(); err != nil {
		return err
	}
	n.shown = d.Admission
	if d.Families, err = n.home.goodFamilies(n.chain.ID(), n.ID(), now); err != nil {
		return err
	}
	if rules.Join&directory.JoinOpen != 0 {
		d.PoW = n.work
	}
	if n.published == nil {
		raw, err := n.home.read(fileDescriptor)
		if err != nil {
			return err
		}
		if old, err := directory.ParseDescriptor(rules, raw, now); err == nil {
			n.seq = old.Seq
			d.Seq = old.Seq
			if same(d, old) && now.Before(old.Made().Add(directory.Scale(rules.Lab, publishEvery-publishJitter))) {
				n.published = raw
				n.again = old.Made().Add(n.interval())
				return nil
			}
		}
	} else if !again {
		return nil
	}
	d.Seq = max(uint64(now.Unix()), n.seq+1)
	raw, err := d.Sign(n.chain.ID(), n.keys.identity)
	if err != nil {
		return err
	}
	if err := n.home.write(fileDescriptor, raw); err != nil {
		if n.published == nil {
			return err // at the start, while somebody looks
		}
		n.log.Error("the descriptor is published, but not kept", logError, err)
	}
	n.published, n.seq = raw, d.Seq
	n.again = now.Add(n.interval())
	return nil
}

// interval draws the time to the next publication.
func (n *Node) interval() time.Duration {
	return directory.Scale(n.chain.Current().Lab, publishEvery-publishJitter+rand.N(2*publishJitter))
}

// same reports whether two descriptors say the same but for their time.
func same(a, b *directory.Descriptor) bool {
	return a.Life == b.Life && a.LinkKey == b.LinkKey && a.Roles == b.Roles && a.Software == b.Software && a.Nick == b.Nick && a.Contact == b.Contact &&
		slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.OnionKeys, b.OnionKeys) &&
		slices.Equal(a.Protocols, b.Protocols) && bytes.Equal(a.Admission, b.Admission) &&
		slices.Equal(a.Families, b.Families) && sameWork(a.PoW, b.PoW)
}

func sameWork(a, b *directory.PoW) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Window == b.Window && bytes.Equal(a.Nonce, b.Nonce)
}

// maintain publishes the descriptor, rotates keys, and reports changes of the
// relay's standing, until ctx ends.
func (n *Node) maintain(ctx context.Context) error {
	n.publish()
	lab := n.chain.Current().Lab
	t := time.NewTicker(directory.Scale(lab, checkEvery))
	defer t.Stop()
	// While it is not listed the relay offers its descriptor again: what it lacked
	// may be there now.
	offer := time.NewTicker(offerEvery * directory.RetryInterval(lab))
	defer offer.Stop()
	listed := false
	for {
		changed := n.views.Changed()
		if v := n.views.Current(); v != nil {
			if _, ok := v.Relay(n.ID()); ok != listed {
				listed = ok
				kind := NoticeUnlisted
				if ok {
					kind = NoticeListed
					n.mu.Lock()
					n.refusal = gossip.VerdictHeld
					n.mu.Unlock()
				}
				n.tell(Notice{Kind: kind})
				n.log.Info("standing in the directory changed", "listed", listed, "epoch", v.Epoch())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-offer.C:
			if !listed && n.mayPublish() {
				n.gossip.Offer()
			}
		case now := <-t.C:
			n.renew(now)
		}
	}
}

// renew rotates keys and publishes a new descriptor where that is due. What fails, as
// on a full disk, is tried again at the next look: circuits and mailboxes go on.
func (n *Node) renew(now time.Time) {
	n.mu.Lock()
	changed, linkKey, err := n.keys.rotate(now)
	due := changed || !now.Before(n.again)
	n.mu.Unlock()
	if err != nil {
		n.log.Error("keys that are due cannot be made; they will be tried again", logError, err)
	}
	if families, err := n.home.goodFamilies(n.chain.ID(), n.ID(), now); err != nil {
		n.log.Warn("family certificates are not read", logError, err)
	} else if d, err := n.described(now); err == nil {
		due = due || !slices.Equal(d.Families, families)
	}
	n.shareOnionKeys()
	if linkKey {
		if err := n.endpoint.SetLinkKey(n.keys.linkKey()); err != nil {
			n.log.Error("the new link key is not in use", logError, err)
		}
	}
	if !due {
		return
	}
	if err := n.describe(now, true); err != nil {
		n.mu.Lock()
		n.again = time.Time{} // due at the next look
		n.mu.Unlock()
		n.log.Error("the descriptor cannot be made; it will be tried again", logError, err)
		return
	}
	n.publish()
}

// publishedElsewhere reports whether the network has a newer descriptor of this relay
// than the one that was made here: its circuit keys are not known here, so that
// circuits fail.
func (n *Node) publishedElsewhere() bool {
	r, held := n.gossip.Store().Record(n.ID())
	n.mu.Lock()
	defer n.mu.Unlock()
	return held && r.Descriptor != nil && r.Seq > n.seq
}

// described returns the present descriptor.
func (n *Node) described(now time.Time) (*directory.Descriptor, error) {
	rules := n.chain.Rules()
	rules.Listed = func(directory.RelayID) bool { return true }
	return directory.ParseDescriptor(rules, n.Descriptor(), now)
}
