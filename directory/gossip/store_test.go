package gossip

import (
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestMergeInAnyOrder: stores that saw the same records in any order and as
// often as they like hold the same set.
func TestMergeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		var all []*directory.Record
		for round := range 3 {
			for i := range 5 {
				name := fmt.Sprintf("relay %d", i)
				all = append(all, f.record(name, i), f.record(name, i+10)) // two of one number
				if round == 2 && i == 4 {
					raw, err := directory.SignLeave(f.id, testKey(name), uint64(time.Now().Unix())+1)
					check(t, err)
					r, err := directory.ParseRecord(f.chain.Rules(), raw, time.Now())
					check(t, err)
					all = append(all, r)
				}
			}
			time.Sleep(2 * time.Second)
		}
		r := rand.New(rand.NewPCG(1, 1))
		var want fingerprint
		for trial := range 50 {
			s := newStore(f.id, true)
			// A leave notice of an unknown relay is not taken, so it comes last.
			for range 2 {
				for _, i := range r.Perm(len(all)) {
					s.put(all[i], time.Now())
				}
			}
			_, got := s.set()
			if trial == 0 {
				want = got
			}
			if got != want || s.Len() != 5 {
				t.Fatalf("trial %d: another set of %d", trial, s.Len())
			}
			if left, ok := s.Record(idOf("relay 4")); !ok || left.Descriptor != nil {
				t.Fatal("the relay has not left")
			}
			if len(s.Conflicts()) == 0 {
				t.Fatal("no conflict was kept")
			}
		}
	})
}

// TestOldRecordCannotBeReplayed: also after the newer one has expired.
func TestOldRecordCannotBeReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		s := newStore(f.id, false)
		d := f.describe("relay 0", 0)
		long := f.record("relay 0", 0)
		time.Sleep(time.Hour)
		d.Seq, d.Life = uint64(time.Now().Unix()), time.Hour
		short, err := directory.ParseRecord(f.chain.Rules(), f.sign(d, "relay 0"), time.Now())
		check(t, err)
		if code, _ := s.put(short, time.Now()); code != VerdictHeld {
			t.Fatal(code)
		}
		if code, _ := s.put(long, time.Now()); code != VerdictOld {
			t.Errorf("an older record: %v", code)
		}
		time.Sleep(2 * time.Hour)
		s.expire(time.Now())
		if s.Len() != 0 {
			t.Fatal("an expired record is held")
		}
		path := filepath.Join(t.TempDir(), recordsName)
		check(t, s.save(path))
		again := newStore(f.id, false)
		check(t, again.load(path, f.chain.Rules(), time.Now()))
		for _, s := range []*Store{s, again} {
			if code, _ := s.put(long, time.Now()); code != VerdictOld {
				t.Errorf("an older record after the newer one expired: %v", code)
			}
		}
		time.Sleep(73 * time.Hour)
		if s.expire(time.Now()); len(s.memory) != 0 {
			t.Error("numbers are remembered for ever")
		}
	})
}

func TestStoreFileDamaged(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	s := newStore(f.id, true)
	s.put(f.record("relay 0", 0), time.Now())
	path := filepath.Join(t.TempDir(), recordsName)
	check(t, s.save(path))
	b, err := os.ReadFile(path)
	check(t, err)
	for _, bad := range [][]byte{nil, b[:len(b)-1], append([]byte{2}, b[1:]...), append(b[:30:30], b[31:]...)} {
		check(t, os.WriteFile(path, bad, 0o600))
		if err := newStore(f.id, true).load(path, f.chain.Rules(), time.Now()); err == nil {
			t.Errorf("%d bytes accepted", len(bad))
		}
	}
}

// TestPrefixCaps: an operator of one network cannot fill the store, and listed
// relays are not kept out by those who are not.
func TestPrefixCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		s := newStore(f.id, false)
		put := func(name, addr string) VerdictCode {
			d := f.describe(name, 0)
			d.Addrs = []netip.AddrPort{netip.MustParseAddrPort(addr)}
			r, err := directory.ParseRecord(f.chain.Rules(), f.sign(d, name), time.Now())
			check(t, err)
			code, _ := s.put(r, time.Now())
			return code
		}
		for i := range prefixSmall {
			if code := put(fmt.Sprintf("a %d", i), fmt.Sprintf("8.8.8.%d:1", i+1)); code != VerdictHeld {
				t.Fatal(code)
			}
		}
		if code := put("one more", "8.8.8.99:1"); code != VerdictPrefix {
			t.Errorf("the 17th in a /24: %v", code)
		}
		time.Sleep(time.Second)
		if code := put("a 3", "8.8.8.99:1"); code != VerdictHeld {
			t.Errorf("an update of the third: %v", code)
		}
		for i := range prefixLarge - prefixSmall {
			if code := put(fmt.Sprintf("b %d", i), fmt.Sprintf("8.8.%d.%d:1", 10+i/16, i%16)); code != VerdictHeld {
				t.Fatal(i, code)
			}
		}
		if code := put("one more", "8.8.200.1:1"); code != VerdictPrefix {
			t.Errorf("the 257th in a /16: %v", code)
		}
		s.setListed(func(id directory.RelayID) bool { return id == idOf("listed") }, 1)
		if code := put("listed", "8.8.8.77:1"); code != VerdictHeld {
			t.Errorf("a listed relay: %v", code)
		}
		if code := put("v6", "[2a00:1450::9]:1"); code != VerdictHeld {
			t.Errorf("another network: %v", code)
		}
	})
}

// TestFullStoreEvictsNewestUnlisted: a flood displaces itself, never the relays
// that were there before or are listed.
func TestFullStoreEvictsNewestUnlisted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		s := newStore(f.id, true)
		// The store takes records for verified, so that they need no signature here.
		unsigned := func(i int) *directory.Record {
			sum := sha256.Sum256([]byte(fmt.Sprint(i)))
			return &directory.Record{ID: sum, Hash: sum, Descriptor: &directory.Descriptor{ID: sum}}
		}
		for i := range storeFloor {
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
			s.put(unsigned(i), time.Now())
		}
		if code, _ := s.put(unsigned(storeFloor), time.Now()); code != VerdictFull {
			t.Errorf("%v", code)
		}
		listed := unsigned(storeFloor)
		s.setListed(func(id directory.RelayID) bool { return id == listed.ID || id == unsigned(1999).ID }, 2)
		if code, _ := s.put(listed, time.Now()); code != VerdictHeld {
			t.Errorf("a listed relay: %v", code)
		}
		if s.Len() != storeFloor {
			t.Errorf("%d records", s.Len())
		}
		for _, i := range []int{0, 1899, 1999, storeFloor} {
			if _, ok := s.Record(unsigned(i).ID); !ok {
				t.Errorf("relay %d was evicted", i)
			}
		}
	})
}

// TestUpdateFlood: a relay may publish twelve times a day, and then every two
// hours.
func TestUpdateFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		s := newStore(f.id, false)
		taken := 0
		for range 100 {
			if code, _ := s.put(f.record("relay 0", 0), time.Now()); code == VerdictHeld {
				taken++
			}
			time.Sleep(time.Second)
		}
		if taken != 1+updatesPerDay {
			t.Errorf("%d updates in 100 s", taken)
		}
		time.Sleep(4 * time.Hour)
		taken = 0
		for range 10 {
			if code, _ := s.put(f.record("relay 0", 0), time.Now()); code == VerdictHeld {
				taken++
			}
			time.Sleep(time.Second)
		}
		if taken != 2 {
			t.Errorf("%d updates after 4 h", taken)
		}
	})
}

// TestLeaveNoticeLastsSevenDays: so long nobody brings the relay back by an older
// descriptor, and three days more its number is remembered.
func TestLeaveNoticeLastsSevenDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		s := newStore(f.id, false)
		old := f.record("relay 0", 0)
		s.put(old, time.Now())
		raw, err := directory.SignLeave(f.id, testKey("relay 0"), old.Seq+1)
		check(t, err)
		left, err := directory.ParseRecord(f.chain.Rules(), raw, time.Now())
		check(t, err)
		if code, _ := s.put(left, time.Now()); code != VerdictHeld {
			t.Fatal(code)
		}
		until := time.Unix(int64(old.Seq)+1, 0).Add(7 * 24 * time.Hour)
		for day := range 10 {
			s.expire(time.Now())
			if got := s.Len(); (got == 1) != time.Now().Before(until) {
				t.Errorf("day %d: %d records", day, got)
			}
			if code, _ := s.put(old, time.Now()); code != VerdictOld {
				t.Errorf("day %d: the old descriptor: %v", day, code)
			}
			time.Sleep(24 * time.Hour)
		}
		time.Sleep(time.Hour)
		if s.expire(time.Now()); len(s.memory) != 0 {
			t.Error("the number is remembered for ever")
		}
	})
}

// TestLeaveOfUnknownRelay: notices for made-up relays are not stored.
func TestLeaveOfUnknownRelay(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	s := newStore(f.id, true)
	raw, err := directory.SignLeave(f.id, testKey("nobody"), uint64(time.Now().Unix()))
	check(t, err)
	r, err := directory.ParseRecord(f.chain.Rules(), raw, time.Now())
	check(t, err)
	if code, _ := s.put(r, time.Now()); code != VerdictOther || s.Len() != 0 {
		t.Errorf("%v", code)
	}
}

// TestPeersOfAnEpoch: with the next snapshot the anchors stay, and the random
// peers are others.
func TestPeersOfAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		w := newCrowd(t, 200)
		n := m.addQuiet(w.f, "bootstrap", RoleDirectory, t.TempDir())
		n.secret = []byte("the same in each run") // by others two random peers may stay by chance
		w.publish(n)
		now := time.Now()
		first := n.draw(n.others(), now)
		w.publish(n)
		second := n.draw(n.others(), now)
		same := 0
		for i := range first {
			if first[i].ID == second[i].ID {
				same++
			}
		}
		if first[0].ID != second[0].ID || first[1].ID != second[1].ID {
			t.Error("an anchor changed")
		}
		if same > anchorPeers+2 {
			t.Errorf("%d of %d are the same in the next epoch", same, len(first))
		}
		m.stop()
	})
}

// TestPeersAreDrawn: in a large network each node keeps eight streams, to relays
// of different networks: the same anchors always, random peers of an epoch, a
// feeler of ten minutes, and a witness or bootstrap.
func TestPeersAreDrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "relay 0", RoleRelay, t.TempDir())
		relays := make([]directory.Relay, 60)
		for i := range relays {
			// Pairs share a /16.
			relays[i] = directory.Relay{ID: idOf(fmt.Sprintf("relay %d", i)), LinkKey: [32]byte{byte(i)}, Addrs: []netip.AddrPort{testAddr(i/2, false)}}
		}
		relays[50].Family, relays[51].Family = 1, 1
		now := time.Now()
		n.mu.Lock()
		n.view = directory.InsecureView(f.id, false, now, relays)
		n.mu.Unlock()
		// Choose a secret by which it is this node's turn to talk to an overseer, and
		// the bootstrap's, which is one node more as it is not listed.
		lucky := func(id directory.RelayID) bool {
			return n.turn(rank(hmac.New(sha256.New, n.secret), saltOverseer|n.epoch(), id), 1, len(relays)+1)
		}
		for !lucky(n.cfg.Self) || !lucky(idOf("bootstrap")) {
			crand.Read(n.secret)
		}
		want := n.wanted(now)
		const most = anchorPeers + randomPeers + feelerPeers
		if len(want) != most+1 {
			t.Fatalf("%d peers", len(want))
		}
		if p, ok := want[idOf("bootstrap").Prefix()]; !ok || !p.Partial {
			t.Error("no signer among the peers")
		}
		chosen := n.draw(n.others(), now)
		if len(chosen) != most {
			t.Fatalf("%d drawn", len(chosen))
		}
		same := func(other []*directory.Relay) (n int) {
			for n < most && chosen[n].ID == other[n].ID {
				n++
			}
			return n
		}
		feelers := 0
		for i := range 10 {
			later := n.draw(n.others(), now.Add(time.Duration(i+1)*redrawPeriod))
			switch same(later) {
			case most:
			case most - 1:
				feelers++
			default:
				t.Error("others than the feeler changed within an epoch")
			}
		}
		if feelers < 5 {
			t.Errorf("%d other feelers in ten periods", feelers)
		}
		for i := range chosen {
			if chosen[i].ID == n.cfg.Self {
				t.Error("itself")
			}
			for _, c := range chosen[:i] {
				if n.akin(c, chosen[i]) {
					t.Error("two peers of one network")
				}
			}
		}
		// Witnesses may take the bootstrap's place, but never twice one relay.
		relays[7].Flags |= directory.FlagWitness
		n.mu.Lock()
		n.view = directory.InsecureView(f.id, false, now, relays)
		n.mu.Unlock()
		if p, ok := n.overseer(n.others(), []*directory.Relay{&relays[7]}); !ok || !p.Partial {
			t.Error("a peer is chosen twice")
		}
		n.cfg.Link.Bootstraps, n.cfg.Self = nil, idOf("bootstrap")
		if p, ok := n.overseer(n.others(), chosen[:1]); !ok && chosen[0].ID != relays[7].ID || ok && p.ID != relays[7].ID {
			t.Error("the witness is not chosen")
		}
		// In a large network few take a turn, but each does some time.
		for _, c := range []struct{ overseers, nodes, want int }{{1, 32, 10_000}, {12, 10_000, 384}, {12, 384, 10_000}} {
			turns := 0
			mac := hmac.New(sha256.New, []byte("the same in each run"))
			for i := range uint64(10_000) {
				if n.turn(rank(mac, saltOverseer|i, n.cfg.Self), c.overseers, c.nodes) {
					turns++
				}
			}
			if turns < c.want*8/10 || turns > c.want*12/10 {
				t.Errorf("%d turns in 10,000 epochs with %d overseers of %d nodes, not about %d", turns, c.overseers, c.nodes, c.want)
			}
		}
		n.cfg.Self = idOf("relay 0")
		// Small: every one, and the bootstrap.
		n.mu.Lock()
		n.view = directory.InsecureView(f.id, false, now, relays[:10])
		n.mu.Unlock()
		if want := n.wanted(now); len(want) != 10 {
			t.Errorf("%d peers of a small network", len(want))
		}
		m.stop()
	})
}
