package chat

import (
	"context"
	"testing"

	"hearsay/circuit"
)

// oldNetwork needs consent until it is given.
type oldNetwork struct {
	network
	outlook circuit.Outlook
}

func (*oldNetwork) Why() string                { return "it needs your consent" }
func (*oldNetwork) Circuits() []circuit.Info   { return nil }
func (n *oldNetwork) Outlook() circuit.Outlook { return n.outlook }
func (n *oldNetwork) Consent(given bool)       { n.outlook.NeedsConsent = !given }

// TestConsentIsGivenOnlyWhereItIsAskedFor: not in advance, and not twice.
func TestConsentIsGivenOnlyWhereItIsAskedFor(t *testing.T) {
	n := &oldNetwork{}
	m := &Messenger{}
	if err := m.Consent(context.Background()); KindOf(err) != KindRefused {
		t.Errorf("without a network: %v", err)
	}
	m.net = n
	if err := m.Consent(context.Background()); KindOf(err) != KindRefused {
		t.Errorf("in advance: %v", err)
	}
	n.outlook.NeedsConsent = true
	if err := m.Consent(context.Background()); err != nil || n.outlook.NeedsConsent {
		t.Errorf("asked for: %v", err)
	}
	if err := m.Consent(context.Background()); KindOf(err) != KindRefused {
		t.Errorf("twice: %v", err)
	}
}

// TestWarningsOfGuardsAreTold: whoever looks at the screen learns of them.
func TestWarningsOfGuardsAreTold(t *testing.T) {
	m := &Messenger{feed: NewFeed(0), circuits: make(chan struct{}, 1)}
	sub := m.Subscribe()
	defer sub.Close()
	m.circuitEvent(circuit.Event{Type: circuit.EventWarning, Detail: "a guard is not used any more"})
	ev, err := sub.Next(t.Context())
	if err != nil || ev.Type != ErrorEvent || ev.Kind != KindRefused || ev.Detail != "a guard is not used any more" {
		t.Errorf("%+v, %v", ev, err)
	}
}
