package chat

import (
	"hearsay/directory"
)

// RelayDir is the directory in a home where the relay that is lent beside the profile
// has its own. Wipe destroys it with the profile.
const RelayDir = "lent-relay"

// Lent is how the relay stands that this computer lends to the network.
type Lent struct {
	Address   string // that others dial
	Bandwidth int64  // bytes per second for circuits, each way
	Problem   string // why it does not run; empty: it does
	Waits     string // why it is not listed, if that is known
}

// LentView is a lent relay in the network view.
type LentView struct {
	Lent
	Name   string // among the listed relays
	Listed bool   // others find it
}

// Lend names the relay whose key lies beside this profile: no circuit of the
// profile goes through it, and no queue is made there (circuit/path/SPEC.md §11).
// state tells how it stands; nil: it is not lent now. Lend must be called before
// Run.
func (m *Messenger) Lend(own directory.RelayID, state func() Lent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own, m.lent = own, state
}

// ownRelay is the relay that Lend named, or zero.
func (m *Messenger) ownRelay() directory.RelayID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.own
}

// NetworkLink returns the link of the profile's network, without a token.
func (m *Messenger) NetworkLink() directory.NetworkLink { return m.link }

// lentView describes the lent relay; nil: there is none now.
func (m *Messenger) lentView(view *directory.View) *LentView {
	m.mu.Lock()
	own, state := m.own, m.lent
	m.mu.Unlock()
	if state == nil {
		return nil
	}
	v := &LentView{Lent: state(), Listed: listedIn(view, own), Name: directory.RelayNames([]directory.RelayID{own})[own]}
	v.Problem, v.Waits = sanitizeText(v.Problem), sanitizeText(v.Waits)
	return v
}
