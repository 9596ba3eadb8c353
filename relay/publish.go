package relay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"time"

	"hearsay/directory"
)

// Publishing (SPEC.md §7.3); in lab networks the 360th part.
const (
	fileDescriptor = "descriptor"
	publishEvery   = 18 * time.Hour
	publishJitter  = 2 * time.Hour
	// checkEvery is how often keys and descriptor are looked at. Descriptors
	// that follow each other faster are refused.
	checkEvery = 10 * time.Minute

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
		Roles:     directory.RoleGuard | directory.RoleInner | directory.RoleMailbox | directory.RoleCache,
		Software:  n.cfg.Software,
	}
	if t := n.token(); t != nil {
		token, err := directory.ParseInvitation(t)
		if err != nil {
			return err
		}
		d.Admission = token.Admission(n.chain.ID(), n.ID())
	}
	if n.published == nil {
		raw, err := n.home.read(fileDescriptor)
		if err != nil {
			return err
		}
		if old, err := directory.ParseDescriptor(rules, raw, now); err == nil {
			n.seq = old.Seq
			d.Seq = old.Seq
			if d.Admission == nil {
				d.Admission = old.Admission
			}
			if same(d, old) && now.Before(old.Made().Add(directory.Scale(rules.Lab, publishEvery-publishJitter))) {
				n.published = raw
				n.again = old.Made().Add(n.interval())
				return nil
			}
		}
	} else if !again {
		return nil
	} else if old, err := directory.ParseDescriptor(rules, n.published, now); err == nil && d.Admission == nil {
		d.Admission = old.Admission
	}
	d.Seq = max(uint64(now.Unix()), n.seq+1)
	raw, err := d.Sign(n.chain.ID(), n.keys.identity)
	if err != nil {
		return err
	}
	if err := n.home.write(fileDescriptor, raw); err != nil {
		return err
	}
	n.published, n.seq = raw, d.Seq
	n.again = now.Add(n.interval())
	return nil
}

// token returns the token to join with, or nil.
func (n *Node) token() []byte {
	if n.cfg.Token != nil {
		return n.cfg.Token
	}
	return n.cfg.Link.Token
}

// interval draws the time to the next publication.
func (n *Node) interval() time.Duration {
	return directory.Scale(n.chain.Current().Lab, publishEvery-publishJitter+rand.N(2*publishJitter))
}

// same reports whether two descriptors say the same but for their time.
func same(a, b *directory.Descriptor) bool {
	return a.Life == b.Life && a.LinkKey == b.LinkKey && a.Roles == b.Roles && a.Software == b.Software &&
		slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.OnionKeys, b.OnionKeys) &&
		slices.Equal(a.Protocols, b.Protocols) && bytes.Equal(a.Admission, b.Admission)
}

// maintain publishes the descriptor, rotates keys, and reports changes of the
// relay's standing, until ctx ends.
func (n *Node) maintain(ctx context.Context) error {
	if err := n.gossip.Publish(n.Descriptor()); err != nil {
		n.log.Warn("own descriptor is refused", logError, err)
	}
	t := time.NewTicker(directory.Scale(n.chain.Current().Lab, checkEvery))
	defer t.Stop()
	listed := false
	for {
		changed := n.views.Changed()
		if v := n.views.Current(); v != nil {
			if _, ok := v.Relay(n.ID()); ok != listed {
				listed = ok
				n.log.Info("standing in the directory changed", "listed", listed, "epoch", v.Epoch())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case now := <-t.C:
			if err := n.renew(now); err != nil {
				return err
			}
		}
	}
}

// renew rotates keys and publishes a new descriptor where that is due.
func (n *Node) renew(now time.Time) error {
	n.mu.Lock()
	changed, linkKey, err := n.keys.rotate(now)
	due := changed || !now.Before(n.again)
	n.mu.Unlock()
	if err != nil {
		return err
	}
	n.shareOnionKeys()
	if linkKey {
		if err := n.endpoint.SetLinkKey(n.keys.linkKey()); err != nil {
			return err
		}
	}
	if !due {
		return nil
	}
	if err := n.describe(now, true); err != nil {
		return err
	}
	if err := n.gossip.Publish(n.Descriptor()); err != nil {
		n.log.Warn("own descriptor is refused", logError, err)
	}
	return nil
}
