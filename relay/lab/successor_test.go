package lab

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
	"hearsay/relay"
)

// TestSuccessorIsPublishedByItsHome: a founder names another network while his
// directory node runs. Relays and clients are told whom he names, and nobody moves.
func TestSuccessorIsPublishedByItsHome(t *testing.T) {
	simulated(t, Config{Relays: 4, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		waitListed(t, c.views, 4, time.Minute)
		next := n.Link()
		next.ID[0] ^= 1
		s, err := relay.SignSuccessor(filepath.Join(n.cfg.Dir, "directory"), next, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		told := func(v *directory.Views) bool {
			return slices.ContainsFunc(v.Warnings(time.Now()), func(w directory.Warning) bool {
				return w.Kind == directory.WarnSuccessor && strings.Contains(w.Text, s.Link().String())
			})
		}
		time.Sleep(15 * time.Second)
		for i, r := range n.Relays() {
			if !told(r.Node().Views()) {
				t.Errorf("relay %d was not told", i)
			}
		}
		time.Sleep(2 * time.Minute)
		if !told(c.views) || c.views.NoNewGuards() || c.views.Current().Network() != n.Link().ID {
			t.Errorf("the client: %+v", c.views.Warnings(time.Now()))
		}
	})
}
