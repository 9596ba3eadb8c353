package chat_test

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat"
	"hearsay/chat/session"
	"hearsay/relay/lab"
)

// TestAddressOverCircuits asks through an address over real circuits, by a link
// whose relays are gone: the bundle comes from where the directory places it.
func TestAddressOverCircuits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sim := lab.NewSimNet(lab.SimConfig{})
		defer sim.Close()
		n, err := lab.Start(t.Context(), lab.Config{Dir: filepath.Join(dir, "network"), Relays: 8, Lab: true, Sim: sim})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		alice := start(t, n, filepath.Join(dir, "alice"))
		defer alice.stop()
		a, err := alice.CreateAddress(t.Context(), "card")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		alice.until("the record is public", 5*time.Minute, func() bool {
			list, err := alice.Addresses(t.Context())
			return err == nil && len(list) == 1 && strings.HasPrefix(list[0].State, "published, and on 6 of 6 ")
		})
		t.Logf("public after %v", time.Since(began))
		bob := start(t, n, filepath.Join(dir, "bob"))
		defer bob.stop()
		link, err := session.ParseLink(a.Link, n.Link().ID)
		if err != nil {
			t.Fatal(err)
		}
		link.Relays = [2][16]byte{{1}, {2}}
		c, err := bob.AskContact(t.Context(), link.String(), "alice", "Bob", "from the harbour")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bob.Send(t.Context(), c.ID, "hello"); err != nil {
			t.Fatal(err)
		}
		var r []chat.Request
		alice.until("a request", 5*time.Minute, func() bool {
			r, _ = alice.Requests(t.Context())
			return len(r) == 1
		})
		got, err := alice.AcceptRequest(t.Context(), r[0].ID, "")
		if err != nil || got.Name != "Bob" || r[0].Text != "from the harbour" {
			t.Fatal(got, r, err)
		}
		bob.until("delivered", 2*time.Minute, func() bool {
			list := bob.list(c.ID, chat.Out)
			return len(list) == 1 && list[0].State == chat.Delivered
		})
		t.Logf("asked and delivered after %v", time.Since(began))
	})
}
