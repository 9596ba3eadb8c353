package lab

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay"
)

// TestRelayAsTheOnlyBootstrap: two founders have no address, and a relay is the
// only bootstrap. The signers meet there, and it is listed by what they sign.
func TestRelayAsTheOnlyBootstrap(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sim := NewSimNet(SimConfig{})
		defer sim.Close()
		addr := sim.Address()
		file := relay.NewNetworkFile("harbour", directory.JoinOpen, true, time.Now())
		card := func(f relay.Founder) *directory.Card {
			f.Lab = true
			raw, err := relay.MakeCard(f)
			if err != nil {
				t.Fatal(err)
			}
			c, err := directory.ParseCard(raw)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		var homes []string
		for _, name := range []string{"anna", "ben"} {
			home := filepath.Join(dir, name)
			if err := file.AddFounder(card(relay.Founder{Home: home, Label: name})); err != nil {
				t.Fatal(err)
			}
			homes = append(homes, home)
		}
		// Only the address and identity of the relay's home get into the file.
		middle := filepath.Join(dir, "relay")
		file.Bootstraps = append(file.Bootstraps, *card(relay.Founder{Home: middle, Label: "relay", Listen: addr}).Bootstrap)
		d, err := directory.DraftFounding(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, home := range homes {
			if err := relay.SignDraft(home, d, nil, false); err != nil {
				t.Fatal(err)
			}
		}
		var chain *directory.Chain
		for _, home := range homes {
			if chain, err = relay.InstallDraft(home, d); err != nil {
				t.Fatal(err)
			}
		}
		listen := func() (net.PacketConn, error) { return sim.Listen(sim.Address()) }
		conn, err := sim.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		node, err := relay.NewNode(relay.NodeConfig{Home: middle, Link: chain.Link(nil), Files: chain.Raw(1), Conn: conn, ListenPacket: listen})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		serve := func(f func(context.Context) error) {
			wg.Go(func() {
				if err := f(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		serve(node.Run)
		for _, home := range homes {
			n, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home, ListenPacket: listen})
			if err != nil {
				t.Fatal(err)
			}
			serve(n.Run)
		}
		first := waitListed(t, node.Views(), 1, 2*time.Minute)
		if first.Relays()[0].ID != node.ID() {
			t.Error("another relay is listed")
		}
		time.Sleep(35 * time.Second)
		if now := node.Views().Current(); now.Epoch() < first.Epoch()+3 {
			t.Errorf("epoch %d after %d in 35 s", now.Epoch(), first.Epoch())
		}
	})
}
