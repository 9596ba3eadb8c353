//go:build !race

// A week of virtual time in a quiet network: the race detector sees the same code in
// the tests of healing.

package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/lab"
)

// day of a lab network.
const labDay = 24 * time.Hour / 360

// warned tells whether a warning of the kind stands.
func (p *person) warned(kind directory.WarningKind) bool {
	return slices.ContainsFunc(p.Status().Warnings, func(w chat.Warning) bool { return w.Kind == string(kind) })
}

// TestAllSignersDie follows two people through the states of a network whose
// three signers are gone: a day without a banner, two with one, four with their
// consent, and then nothing; until founders sign a snapshot in place of the
// signers, and at last two of these return.
func TestAllSignersDie(t *testing.T) {
	talkingIn(t, "off", lab.Config{Relays: 5, Signers: 3, Lab: true}, func(t *testing.T, k *talk) {
		const soon = 30 * time.Second
		flows := func(when string) {
			t.Helper()
			if s := k.say(soon); s.received == 0 || s.stored == 0 {
				t.Errorf("%s: not delivered; %+v", when, k.a.Status())
			}
		}
		// No circuit is built then; one of before serves until its stream was idle for
		// a lab network's 72 s at most.
		silent := func(when string) {
			t.Helper()
			k.a.until("the end of the circuits of before", 2*time.Minute, func() bool { return len(k.a.open(circuit.Send)) == 0 })
			if s := k.say(soon); s.received != 0 {
				t.Errorf("%s: delivered after %v", when, s.received)
			}
		}
		flows("with signers")
		if err := k.n.StopDirectory(); err != nil {
			t.Fatal(err)
		}
		born := time.Now().Add(-k.a.Status().SnapshotAge)
		at := func(days float64) {
			<-time.After(time.Until(born.Add(time.Duration(days * float64(labDay)))))
		}

		at(0.8)
		flows("the first day")
		if s := k.a.Status(); s.Health == chat.StaleView || k.a.warned(directory.WarnStale) {
			t.Errorf("a banner on the first day: %v, %+v", s.Health, s.Warnings)
		}
		at(1.5)
		flows("the second day")
		if s := k.a.Status(); s.Health != chat.StaleView || !k.a.warned(directory.WarnStale) || s.Outlook.NeedsConsent {
			t.Errorf("no banner on the second day: %v, %+v", s.Health, s.Warnings)
		}
		if !raceDetector { // it slows time down; what follows is the same code
			k.consents(t, at, flows, silent)
		}

		k.emergency(t)
		for _, p := range []*person{k.a, k.b} {
			p.until("the founders' snapshot", 2*time.Minute, func() bool { return p.warned(directory.WarnFounders) })
		}
		flows("in the emergency")
		if !raceDetector {
			<-time.After(2 * labDay)
			flows("two days into the emergency")
		}
		if s := k.a.Status(); s.Health == chat.StaleView {
			t.Errorf("the founders' snapshot is stale: %+v", s)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := k.n.Signers()[1].Start(ctx); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*person{k.a, k.b} {
			p.until("a snapshot of the signers", 2*time.Minute, func() bool { return !p.warned(directory.WarnFounders) && p.Status().SnapshotAge < 40*time.Second })
		}
		flows("with signers again")
	})
}

// consents follows the two from the third day to the eighth.
func (k *talk) consents(t *testing.T, at func(days float64), flows, silent func(when string)) {
	t.Helper()
	const soon = 30 * time.Second
	at(2.8)
	flows("the third day")
	at(3.2)
	for _, p := range []*person{k.a, k.b} {
		p.until("the question for consent", soon, func() bool { return p.Status().Outlook.NeedsConsent })
		if !p.warned(directory.WarnEmergency) {
			t.Errorf("no banner on the fourth day: %+v", p.Status().Warnings)
		}
	}
	silent("the fourth day, without consent")
	for _, p := range []*person{k.a, k.b} {
		if err := p.Consent(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	flows("the fourth day, with consent")
	at(6.5)
	flows("the seventh day, with consent")
	at(7.2)
	silent("the eighth day")
	if err := k.a.Consent(t.Context()); err == nil {
		t.Error("consent is of use on the eighth day")
	}
}

// emergency lets a founder's directory learn the relays' present keys, drafts,
// signs and publishes an emergency snapshot, and leaves that directory alone.
func (k *talk) emergency(t *testing.T) {
	t.Helper()
	first, second := k.n.Signers()[0], k.n.Signers()[1]
	// Its snapshot is of no use any more, and alone it makes no other.
	if err := first.Begin(); err != nil {
		t.Fatal(err)
	}
	<-time.After(30 * time.Second)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	d, err := relay.DraftEmergency(first.Home(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if renewed, gone := d.Changes(); gone != 0 || d.Header().N != 5 {
		t.Errorf("%d relays, %d renewed, %d gone", d.Header().N, renewed, gone)
	}
	for _, s := range []*lab.Signer{first, second} {
		if err := relay.SignEmergency(s.Home(), d, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := relay.InstallEmergency(first.Home(), d); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := first.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(first.Home(), "emergency")); err != nil {
		t.Error(err)
	}
}
