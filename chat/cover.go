package chat

import (
	"context"
	"time"

	"hearsay/chat/store"
	"hearsay/circuit/link"
)

// openMailTicks is how many ticks a try to reach a mailbox relay may take
// beyond its time: a circuit of four hops and the greeting need about twenty,
// if other circuits leave every second one to it.
const openMailTicks = 40

// makeInviteTicks is the same for an invite, which takes two such circuits, one
// for each queue, and two more where those broke or other relays had to be drawn.
const makeInviteTicks = 4 * openMailTicks

// Covers returns the names of the cover profiles, from none to most.
func Covers() []string {
	return []string{link.Off.String(), link.Saver.String(), link.Normal.String(), link.Fast.String()}
}

// CoverCost returns what a profile costs a day in millions of bytes, 0 for an
// unknown name.
func CoverCost(name string) int {
	p, err := link.ParseProfile(name)
	if err != nil {
		return 0
	}
	return p.MegabytesPerDay()
}

// Cover returns the name of the cover profile by which links are shaped: the
// one that was chosen for this home, else normal, and off in a lab network.
func (m *Messenger) Cover() string { return m.profile().String() }

func (m *Messenger) profile() link.Profile {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.cover != nil:
		return *m.cover
	case m.known.Lab:
		return link.Off
	}
	return link.Normal
}

// SetCover chooses a cover profile by its name, for good. Links change within
// seconds, and no circuit is lost. An unknown name is an Error of kind refused.
func (m *Messenger) SetCover(ctx context.Context, name string) error {
	p, err := parseCover(name)
	if err != nil {
		return err
	}
	if err := m.do(ctx, func(t *turn) error { return t.tx.Bucket(bucketMeta).Put(metaCover, encode(name)) }); err != nil {
		return err
	}
	m.mu.Lock()
	m.cover = &p
	net := m.net
	m.mu.Unlock()
	if n, ok := net.(interface{ SetProfile(link.Profile) }); ok {
		n.SetProfile(p)
	}
	return nil
}

// rememberCover reads the chosen profile, or chooses the one given.
func (m *Messenger) rememberCover(name string) error {
	return m.store.Update(func(tx *store.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if name == "" {
			raw, err := meta.Get(metaCover)
			if raw == nil || err != nil {
				return err
			}
			if err := decode(raw, &name); err != nil {
				return err
			}
		} else if err := meta.Put(metaCover, encode(name)); err != nil {
			return err
		}
		p, err := parseCover(name)
		if err != nil {
			return err
		}
		m.cover = &p
		return nil
	})
}

func parseCover(name string) (link.Profile, error) {
	p, err := link.ParseProfile(name)
	if err != nil {
		return 0, &Error{Kind: KindRefused, Text: "no cover profile is called " + Sanitize(name), Hint: "choose off, saver, normal or fast"}
	}
	return p, nil
}

// tick is the time between two cells of a shaped link, zero if none is.
func (m *Messenger) tick() time.Duration {
	if p := m.profile(); p != link.Off {
		return p.Tick()
	}
	return 0
}

// warmUp asks for more ticks for a short while, since a contact is being added:
// that takes several circuits on each side.
func (m *Messenger) warmUp() {
	m.mu.Lock()
	net := m.net
	m.mu.Unlock()
	if n, ok := net.(interface{ WarmUp() bool }); ok {
		n.WarmUp()
	}
}

// WarmUp asks the links.
func (n *circuitNetwork) WarmUp() bool { return n.client.WarmUp() }

// SetProfile changes the links.
func (n *circuitNetwork) SetProfile(p link.Profile) { n.client.SetProfile(p) }
