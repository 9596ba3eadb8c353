package lab

import (
	"context"
	"crypto/ed25519"
	"io"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/link"
	"hearsay/directory"
)

// takesSnapshot asks for the newest snapshot on a directory stream and tells
// whether it came.
func takesSnapshot(t testing.TB, s io.ReadWriter) bool {
	t.Helper()
	// SNAPSHOT of the newest epoch without a base: type, flags, length, 40 zeros.
	if _, err := s.Write(append([]byte{0x12, 0, 0, 40}, make([]byte, 40)...)); err != nil {
		t.Fatal(err)
	}
	for {
		var h [4]byte
		if _, err := io.ReadFull(s, h[:]); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(h[2])<<8|int(h[3]))
		if _, err := io.ReadFull(s, body); err != nil {
			t.Fatal(err)
		}
		switch h[0] {
		case 0x92: // the snapshot, in one frame
			return body[0] == 1
		case 0x06: // BYE
			return false
		}
	}
}

// TestAttackSnapshotsOverOneCircuit opens one directory stream after the other
// on a circuit: there is one snapshot for all of them.
func TestAttackSnapshotsOverOneCircuit(t *testing.T) {
	simulated(t, Config{Relays: 5, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		waitListed(t, c.views, 5, time.Minute)
		circ := get(t, c, circuit.Request{Purpose: circuit.Directory, Isolation: "a"})
		for i := range 3 {
			s, err := circ.Directory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := takesSnapshot(t, s); got != (i == 0) {
				t.Errorf("stream %d: snapshot %v", i, got)
			}
			s.Close()
		}
	})
}

// TestAttackSnapshotsForAMadeUpIdentity: an identity made up on the spot is
// proven, but worth no more than an anonymous client.
func TestAttackSnapshotsForAMadeUpIdentity(t *testing.T) {
	simulated(t, Config{Relays: 5, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		r := n.Relays()[0]
		waitListed(t, r.Node().Views(), 5, time.Minute)
		conn, err := n.ListenPacket()
		if err != nil {
			t.Fatal(err)
		}
		key := func(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(append(make([]byte, 31), b)) }
		e, err := link.New(link.Config{
			Role: link.RoleRelay, Network: n.Link().ID, Lab: true, Conn: conn,
			Identity: &link.Identity{Key: key(1), LinkKey: key(2)}, Views: new(directory.Views),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		v := r.Node().Views().Current()
		to, _ := v.Relay(r.ID())
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		l, err := e.Link(ctx, link.Target{ID: to.ID, LinkKey: to.LinkKey, Addrs: to.Addrs})
		if err != nil {
			t.Fatal(err)
		}
		taken := 0
		for range 6 {
			s, err := l.Open(ctx, link.KindRequest)
			if err != nil {
				t.Fatal(err)
			}
			if takesSnapshot(t, s) {
				taken++
			}
			s.CancelRead(0)
			s.Close()
		}
		if taken > 4 { // two an epoch, and an epoch may end in between
			t.Errorf("%d snapshots at once", taken)
		}
	})
}
