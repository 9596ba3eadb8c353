package chat

import (
	"path/filepath"
	"testing"

	"hearsay/circuit/link"
	"hearsay/directory"
)

// A choice of cover holds both ways and over restarts; without one, links are
// shaped in all networks but labs.
func TestCoverIsRemembered(t *testing.T) {
	text := directory.NetworkLink{ID: directory.NetworkID{1}, Bootstraps: []directory.Bootstrap{{Addr: mustAddr("127.0.0.1:4433")}}}.String()
	home := filepath.Join(t.TempDir(), "home")
	at := func(cover string, f func(m *Messenger)) {
		t.Helper()
		m, err := Open(Config{Home: home, Network: text, Cover: cover})
		if err != nil {
			t.Fatal(err)
		}
		f(m)
		if _, err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	want := func(m *Messenger, name string) {
		t.Helper()
		if m.Cover() != name || m.Status().Cover != name {
			t.Errorf("cover %s, status %s, want %s", m.Cover(), m.Status().Cover, name)
		}
		// What the links are made with, and how waits stretch.
		p, err := link.ParseProfile(name)
		if err != nil || m.profile() != p {
			t.Errorf("the links run %v", m.profile())
		}
		if (m.timing().openMail > timingOf(false).openMail) != (p != link.Off) {
			t.Errorf("with %s a mailbox relay has %v", name, m.timing().openMail)
		}
	}
	at("", func(m *Messenger) { want(m, "normal") })
	at("", func(m *Messenger) {
		m.mu.Lock()
		m.known.Lab = true
		m.mu.Unlock()
		want(m, "off")
	})
	at("", func(m *Messenger) {
		for _, name := range Covers() {
			if err := m.SetCover(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			want(m, name)
		}
		if err := m.SetCover(t.Context(), "loud"); KindOf(err) != KindRefused {
			t.Errorf("an unknown profile: %v", err)
		}
		want(m, "fast")
	})
	at("", func(m *Messenger) { want(m, "fast") })
	at("off", func(m *Messenger) { want(m, "off") })
	at("", func(m *Messenger) { want(m, "off") })
	at("saver", func(m *Messenger) { want(m, "saver") })
	at("", func(m *Messenger) { want(m, "saver") })
	if _, err := Open(Config{Home: home, Cover: "none"}); KindOf(err) != KindRefused {
		t.Errorf("an unknown profile: %v", err)
	}
	if _, err := Open(Config{Home: filepath.Join(home, "new"), Network: text, Cover: "none"}); KindOf(err) != KindRefused {
		t.Errorf("an unknown profile for a new home: %v", err)
	}
	at("", func(m *Messenger) { want(m, "saver") })
}

func TestCoverCost(t *testing.T) {
	for name, want := range map[string]int{"off": 32, "saver": 44, "normal": 111, "fast": 222, "loud": 0} {
		if got := CoverCost(name); got != want {
			t.Errorf("%s: %d MB a day, want %d", name, got, want)
		}
	}
}
