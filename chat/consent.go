package chat

import (
	"context"

	"hearsay/circuit"
)

// outlooker is a network that chooses relays itself.
type outlooker interface {
	Outlook() circuit.Outlook
	Consent(given bool)
}

// Outlook asks the pool.
func (n *circuitNetwork) Outlook() circuit.Outlook { return n.client.Pool().Outlook() }

// Consent tells the pool.
func (n *circuitNetwork) Consent(given bool) { n.client.Pool().Consent(given) }

// Consent gives the user's consent to build circuits from a snapshot that is
// more than 3 days old, with the guards there are, until a newer one comes or
// this run ends. It is an Error of kind refused if nothing waits for it: it
// cannot be given in advance.
func (m *Messenger) Consent(context.Context) error {
	m.mu.Lock()
	net := m.net
	m.mu.Unlock()
	n, ok := net.(outlooker)
	if !ok || !n.Outlook().NeedsConsent {
		return &Error{Kind: KindRefused, Text: "nothing waits for your consent", Hint: "it is asked for when the snapshot of the network is more than 3 days old"}
	}
	n.Consent(true)
	return nil
}
