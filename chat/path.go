package chat

import (
	"slices"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// Path is the circuit that last served a conversation, in the names that
// people read.
type Path struct {
	Relays  []string // guard, layer-2 guard, middle
	Mailbox string   // the mailbox relay at the end
	RTT     time.Duration
	Open    bool // false: it has closed since
}

// Path returns the circuit over which the last block to or from a contact went,
// or false if none has served it since the start.
func (m *Messenger) Path(contact string) (Path, bool) {
	m.mu.Lock()
	info, ok := m.served[contact]
	net := m.net
	m.mu.Unlock()
	if !ok {
		return Path{}, false
	}
	var p Path
	if net != nil {
		for _, now := range net.Circuits() {
			if now.ID == info.ID && now.State == "open" {
				info, p.Open = now, true
			}
		}
	}
	ids := append([]directory.RelayID{info.Destination}, info.Path...)
	if view := m.views.Current(); view != nil {
		for i := range view.Relays() {
			ids = append(ids, view.Relays()[i].ID)
		}
	}
	slices.SortFunc(ids, func(a, b directory.RelayID) int { return slices.Compare(a[:], b[:]) })
	names := directory.RelayNames(slices.Compact(ids))
	for _, id := range info.Path {
		p.Relays = append(p.Relays, names[id])
	}
	p.Mailbox, p.RTT = names[info.Destination], info.RTT
	return p, true
}

// serves notes that a circuit carried a block of a conversation.
func (m *Messenger) serves(contact string, info circuit.Info) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.served[contact] = info
}
