package relay

import (
	"context"
	"crypto/ed25519"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
)

// TestAttackDescriptorWithForeignLinkKey: who signs a descriptor with the link
// key and address of another relay is not reached, or else he would be listed
// in its place.
func TestAttackDescriptorWithForeignLinkKey(t *testing.T) {
	network := directory.NetworkID{9}
	seeded := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(append(make([]byte, 31), b))
	}
	publicOf := func(b byte) [32]byte { return [32]byte(seeded(b).Public().(ed25519.PublicKey)) }
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	victim, err := link.New(link.Config{
		Role: link.RoleRelay, Network: network, Lab: true, Conn: conn,
		Identity: &link.Identity{Key: seeded(1), LinkKey: seeded(2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProber(network, listenAny, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var wg sync.WaitGroup
	wg.Go(func() { _ = victim.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	defer p.endpoint.Close()

	addrs := []netip.AddrPort{victim.Addr()}
	for _, tt := range []struct {
		name      string
		id, key   [32]byte
		reachable bool
	}{
		{"its own", publicOf(1), publicOf(2), true},
		{"foreign link key", publicOf(3), publicOf(2), false},
		{"foreign address", publicOf(3), publicOf(4), false},
		{"another link key", publicOf(1), publicOf(4), false},
	} {
		reached, err := p.Probe(ctx, &directory.Descriptor{ID: tt.id, LinkKey: tt.key, Addrs: addrs})
		if got := len(reached) == 1; got != tt.reachable || got != (err == nil) {
			t.Errorf("%s: reached %v, %v", tt.name, reached, err)
		}
	}
}
