package lab

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/circuit"
	"hearsay/circuit/path"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// rogue is the founder of a network, who has stopped its directory node and signs
// by hand what no honest program would.
type rogue struct {
	t      *testing.T
	n      *Network
	chain  *directory.Chain
	online ed25519.PrivateKey
	cert   []byte
	leaves [][32]byte
	at     time.Time
}

func newRogue(t *testing.T, n *Network, last *directory.View) *rogue {
	t.Helper()
	home := filepath.Join(n.cfg.Dir, "directory")
	r := &rogue{t: t, n: n, at: last.ValidAfter().Add(last.EpochLength())}
	var err error
	if r.chain, err = directory.VerifyChain(n.Link().ID, n.files, time.Now()); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(home, "online.key"))
	if err != nil || len(key) < ed25519.SeedSize {
		t.Fatal(err, len(key))
	}
	r.online = ed25519.NewKeyFromSeed(key[len(key)-ed25519.SeedSize:])
	db, err := bbolt.Open(filepath.Join(home, "signer", "signer.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		r.cert = slices.Clone(tx.Bucket([]byte("meta")).Get([]byte("certificate")))
		return tx.Bucket([]byte("leaves")).ForEach(func(_, v []byte) error {
			r.leaves = append(r.leaves, [32]byte(v))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// snapshot signs a snapshot of the next epoch that lists the relays of the view; the
// software that it recommends tells it from others.
func (r *rogue) snapshot(v *directory.View, software string) ([]byte, *directory.Log) {
	r.t.Helper()
	j := directory.Judgement{Ledger: &directory.Ledger{}, Epoch: v.EpochLength(), Recommended: []string{software}}
	for _, x := range v.Relays() {
		j.Listed = append(j.Listed, directory.Listing{
			Descriptor: &directory.Descriptor{ID: x.ID, LinkKey: x.LinkKey, Protocols: []uint16{1}, Software: software},
			Onion:      directory.OnionKey{NotBefore: x.OnionEpoch, Key: x.OnionKey},
			Addrs:      x.Addrs, Flags: x.Flags, Guard: 60, Inner: 60, Mailbox: 60,
		})
	}
	log, err := directory.LogOf(slices.Clone(r.leaves))
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := directory.NewSnapshot(r.chain, log, r.at, j)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := s.Sign(r.cert, r.online); err != nil {
		r.t.Fatal(err)
	}
	raw, err := s.Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	return raw, log
}

// show has a relay hold a snapshot, as if it had come by gossip.
func (r *rogue) show(x *Relay, raw []byte, log *directory.Log) {
	r.t.Helper()
	id := x.ID()
	x.Kill()
	g, err := gossip.NewNode(gossip.NodeConfig{
		Role: gossip.RoleRelay, Self: id, Link: r.n.Link(), Views: &directory.Views{}, Dir: filepath.Join(x.Home(), "gossip"),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := g.AddSnapshot(raw, log); err != nil {
		r.t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := x.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// guards are those that a client keeps.
func (c *client) guards(t *testing.T) []directory.RelayID {
	t.Helper()
	raw, err := c.state.Load("circuit/path")
	if err != nil || raw == nil {
		t.Fatal("no guards are kept", err)
	}
	st, err := path.ParseState(raw)
	if err != nil {
		t.Fatal(err)
	}
	var list []directory.RelayID
	for _, g := range st.Guards {
		list = append(list, g.ID)
	}
	return list
}

// TestAttackFounderEquivocates over real links: the only founder of a network signs
// two snapshots for one epoch; half of the relays get one, half the other. A client
// is told in plain words, keeps its guards and the snapshot it had or took first,
// takes no new guards, and goes on building circuits.
func TestAttackFounderEquivocates(t *testing.T) {
	simulated(t, Config{Relays: 8, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		waitListed(t, c.views, 8, time.Minute)
		get := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := c.Pool().Get(ctx, circuit.Request{Purpose: circuit.Send, Fresh: true})
			return err
		}
		if err := get(); err != nil {
			t.Fatal(err)
		}
		if err := n.StopDirectory(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second) // all relays have its last snapshot
		last := n.Relays()[0].Node().Views().Current()
		r := newRogue(t, n, last)
		a, logA := r.snapshot(last, "one")
		b, logB := r.snapshot(last, "two")
		for i, x := range n.Relays() {
			if i%2 == 0 {
				r.show(x, a, logA)
			} else {
				r.show(x, b, logB)
			}
		}
		end := time.After(2 * time.Minute)
		for !c.views.NoNewGuards() {
			changed := c.views.Changed()
			select {
			case <-changed:
			case <-end:
				t.Fatalf("nothing was noticed; warnings %+v", c.views.Warnings(time.Now()))
			}
		}
		told := c.views.Warnings(time.Now())
		if told[0].Kind != directory.WarnEvidence || !strings.Contains(told[0].Text, "signed two different snapshots") {
			t.Errorf("warnings %+v", told)
		}
		guards, view := c.guards(t), c.views.Current()
		time.Sleep(time.Minute)
		if got := c.guards(t); !slices.Equal(got, guards) {
			t.Errorf("guards %v became %v", guards, got)
		}
		if c.views.Current() != view {
			t.Error("another snapshot of the founder was taken")
		}
		if err := get(); err != nil {
			t.Errorf("no circuit any more: %v", err)
		}
		for i, x := range n.Relays() {
			if w := x.Node().Views().Warnings(time.Now()); len(w) == 0 || w[0].Kind != directory.WarnEvidence {
				t.Errorf("relay %d warns of %+v", i, w)
			}
		}
	})
}
