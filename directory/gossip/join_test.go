package gossip

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestVerdictOfEachWayToJoin: what a relay shows, in each kind of network, and
// what it is told.
func TestVerdictOfEachWayToJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(30 * 24 * time.Hour)
		club, gone := testKey("club"), testKey("gone")
		for _, tt := range []struct {
			name string
			join directory.Join
			show func(f *founder, d *directory.Descriptor, w []directory.WorkWindow)
			want VerdictCode
		}{
			{"named", directory.JoinClosed, nil, VerdictHeld},
			{"not named", directory.JoinClosed, nil, VerdictClosed},
			{"token by a founder", directory.JoinToken, nil, VerdictHeld},
			{"token by an inviter", directory.JoinToken, invited(club), VerdictHeld},
			{"token by one who was inviter", directory.JoinToken, invited(gone), VerdictIssuer},
			{"token by a stranger", directory.JoinToken, invited(testKey("stranger")), VerdictIssuer},
			{"token of another relay", directory.JoinToken, func(f *founder, d *directory.Descriptor, _ []directory.WorkWindow) {
				d.Admission = f.describe("another", 50).Admission
			}, VerdictToken},
			{"token alone", directory.JoinToken, func(_ *founder, d *directory.Descriptor, _ []directory.WorkWindow) {
				d.Admission = d.Admission[:1+directory.TokenSize]
			}, VerdictToken},
			{"no token", directory.JoinToken, nothing, VerdictNoToken},
			{"vouch", directory.JoinVouch, vouched("host", until), VerdictHeld},
			{"vouch by nobody listed", directory.JoinVouch, vouched("unlisted", until), VerdictVoucher},
			{"vouch over", directory.JoinVouch, vouched("host", time.Now()), VerdictVouch},
			{"vouch for ever", directory.JoinVouch, vouched("host", until.Add(151*24*time.Hour)), VerdictVouch},
			{"no vouch", directory.JoinVouch, nothing, VerdictNoVouch},
			{"work", directory.JoinOpen, worked(0, 1), VerdictHeld},
			{"work of the last window", directory.JoinOpen, worked(1, 1), VerdictHeld},
			{"work too easy", directory.JoinOpen, worked(0, 0), VerdictWork},
			{"work of no window", directory.JoinOpen, func(_ *founder, d *directory.Descriptor, w []directory.WorkWindow) {
				d.PoW = &directory.PoW{Window: w[0].Number + 1, Nonce: []byte{1}}
			}, VerdictOldWork},
			{"no work", directory.JoinOpen, nothing, VerdictNoWork},
			{"nothing", directory.JoinToken | directory.JoinVouch, nothing, VerdictNoToken},
			{"vouch among tokens", directory.JoinToken | directory.JoinVouch, vouched("host", until), VerdictHeld},
		} {
			f := found(t, false, tt.join, 1, func(file *directory.NetworkFile) {
				file.Params = map[directory.Param]int64{directory.ParamPoWBits: 1}
				file.Inviters = []directory.Inviter{
					{Public: publicOf(club), Expires: until, Label: "club"},
					{Public: publicOf(gone), Expires: time.Unix(time.Now().Unix(), 0), Label: "gone"},
				}
				if tt.join == directory.JoinClosed {
					file.Relays = []directory.RelayID{idOf("named")}
				} else {
					file.Seeds = []directory.RelayID{idOf("host")}
				}
			})
			m := newMesh(t)
			n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
			// A seed is listed first, whose family may vouch.
			d := f.describe("host", 40)
			d.Admission = nil
			d.Families = []directory.Family{directory.SignFamily(f.id, testKey("host family"), d.ID, until)}
			if tt.join != directory.JoinClosed {
				check(t, n.Publish(f.sign(d, "host")))
				r, _ := n.Store().Record(d.ID)
				check(t, n.AddSnapshot(f.snapshot(r), f.log))
			}
			d = f.describe(tt.name, 7)
			if tt.show != nil {
				var w []directory.WorkWindow
				if v := n.Views().Current(); v != nil {
					w = v.WorkWindows()
				}
				tt.show(f, d, w)
			}
			code, err := offer(t, n, f, tt.name, f.sign(d, tt.name))
			if err != nil || code != tt.want {
				t.Errorf("%s: %v, %v", tt.name, code, err)
			}
			if _, held := n.Store().Record(d.ID); held != (tt.want == VerdictHeld) {
				t.Errorf("%s: held is %v", tt.name, held)
			}
			m.stop()
		}
	})
}

func nothing(_ *founder, d *directory.Descriptor, _ []directory.WorkWindow) { d.Admission = nil }

func invited(by ed25519.PrivateKey) func(*founder, *directory.Descriptor, []directory.WorkWindow) {
	return func(f *founder, d *directory.Descriptor, _ []directory.WorkWindow) {
		i, err := directory.IssueToken(f.id, by, [32]byte{5}, time.Now().Add(time.Hour), 1)
		check(f.t, err)
		d.Admission = i.Admission(f.id, d.ID)
	}
}

func vouched(by string, until time.Time) func(*founder, *directory.Descriptor, []directory.WorkWindow) {
	return func(f *founder, d *directory.Descriptor, _ []directory.WorkWindow) {
		var err error
		d.Admission, err = directory.VouchAdmission(directory.SignVouch(f.id, testKey(by+" family"), d.ID, until))
		check(f.t, err)
	}
}

// worked does work of one bit, or, if good is 0, finds a nonce without it.
func worked(window, good int) func(*founder, *directory.Descriptor, []directory.WorkWindow) {
	return func(f *founder, d *directory.Descriptor, w []directory.WorkWindow) {
		salt := directory.WorkSalt(f.id, d.ID, w[window])
		for b := byte(0); ; b++ {
			if directory.WorkBits(salt, []byte{b}) >= 1 == (good == 1) {
				d.PoW = &directory.PoW{Window: w[window].Number, Nonce: []byte{b}}
				return
			}
		}
	}
}

// openNode is a store of an open network with a snapshot, whose tries of work
// are counted and make the given number of bits.
func openNode(t *testing.T, m *mesh, bits int) (f *founder, n *Node, tries *int) {
	f = found(t, false, directory.JoinOpen, 1)
	n = m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
	check(t, n.AddSnapshot(f.snapshot(), f.log))
	tries = new(int)
	n.works.try = func([32]byte, []byte) int { *tries++; return bits }
	return f, n, tries
}

func (f *founder) working(n *Node, name string, i int, nonce ...byte) []byte {
	d := f.describe(name, i)
	d.PoW = &directory.PoW{Window: n.Views().Current().WorkWindows()[0].Number, Nonce: nonce}
	return f.sign(d, name)
}

// TestAttackFloodOfWork: each proof costs the store 66 ms and 64 MiB, so a peer
// has ten a minute, all peers sixty, and none is looked at twice or for a record
// that would not be kept.
func TestAttackFloodOfWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.stop()
		f, n, tries := openNode(t, m, 12)
		var burst [][]byte
		for i := range 15 {
			burst = append(burst, f.working(n, nameOf(i), 200+i, byte(i)))
		}
		if code, err := offer(t, n, f, nameOf(14), burst...); err != nil || code != VerdictRate {
			t.Errorf("%v, %v", code, err)
		}
		if *tries != worksPerPeer || n.Store().Len() != worksPerPeer {
			t.Errorf("%d tries, %d records of one peer", *tries, n.Store().Len())
		}
		// The same work under a new descriptor is known.
		time.Sleep(15 * time.Minute)
		*tries = 0
		if code, err := offer(t, n, f, nameOf(0), f.working(n, nameOf(0), 200, 0)); err != nil || code != VerdictHeld || *tries != 0 {
			t.Errorf("again: %v, %v, %d tries", code, err, *tries)
		}
		for i := range 80 {
			_, _ = offer(t, n, f, nameOf(100+i), f.working(n, nameOf(100+i), 300+i, byte(i)))
		}
		if *tries != worksPerNode {
			t.Errorf("%d tries for all peers", *tries)
		}
	})
}

func nameOf(i int) string { return "worker " + string(rune('a'+i%26)) + string(rune('a'+i/26)) }

// TestWorkIsLookedAtLast: a record that the store has no room for costs no try.
func TestWorkIsLookedAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.stop()
		f, n, tries := openNode(t, m, 12)
		n.works.all.SetBurst(1000)
		for i := range prefixSmall {
			if code, err := offer(t, n, f, nameOf(i), f.crowd(n, nameOf(i), i)); err != nil || code != VerdictHeld {
				t.Fatalf("%d: %v, %v", i, code, err)
			}
		}
		*tries = 0
		if code, err := offer(t, n, f, nameOf(20), f.crowd(n, nameOf(20), 20)); err != nil || code != VerdictPrefix || *tries != 0 {
			t.Errorf("%v, %v, %d tries", code, err, *tries)
		}
	})
}

// crowd is a record at one /24 with those of other i.
func (f *founder) crowd(n *Node, name string, i int) []byte {
	d := f.describe(name, 1)
	a := d.Addrs[0].Addr().As4()
	a[3] = byte(i + 1)
	d.Addrs[0] = netip.AddrPortFrom(netip.AddrFrom4(a), 4000)
	d.PoW = &directory.PoW{Window: n.Views().Current().WorkWindows()[0].Number, Nonce: []byte{byte(i)}}
	return f.sign(d, name)
}

// TestAttackBadWorkOfOthers: peers forward only what they verified, so who gives
// another's record with bad work is refused; a relay's own may be of an older
// network file.
func TestAttackBadWorkOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.stop()
		f, n, _ := openNode(t, m, 11)
		if code, err := offer(t, n, f, "own", f.working(n, "own", 1, 1)); err != nil || code != VerdictWork {
			t.Errorf("own: %v, %v", code, err)
		}
		_, err := offer(t, n, f, "other", f.working(n, "own", 1, 1))
		var bye *byeError
		if !errors.As(err, &bye) || bye.code != ByeRefused {
			t.Errorf("another's: %v", err)
		}
		if !n.limits.refused(idOf("other"), time.Now()) || n.limits.refused(idOf("own"), time.Now()) {
			t.Error("the wrong one is refused")
		}
	})
}

// TestAttackMemoryOfWork: what is remembered of made-up work is bounded.
func TestAttackMemoryOfWork(t *testing.T) {
	w := newWorks()
	w.try = func([32]byte, []byte) int { return 0 }
	for i := range maxWorks + 100 {
		id := directory.RelayID{byte(i), byte(i >> 8), byte(i >> 16)}
		_ = w.check(nil, &directory.Descriptor{PoW: &directory.PoW{Nonce: id[:8]}}, [32]byte{}, 1)
		w.mu.Lock()
		w.allowLocked(id, time.Time{})
		w.mu.Unlock()
	}
	if len(w.bits) != maxWorks || len(w.peers) > maxPeersKnown {
		t.Errorf("%d works, %d peers", len(w.bits), len(w.peers))
	}
}

// TestVerdictsHaveWords: an operator is never told a number.
func TestVerdictsHaveWords(t *testing.T) {
	seen := make(map[string]VerdictCode)
	for c := VerdictHeld; c <= verdictLast; c++ {
		s := c.String()
		if other, ok := seen[s]; ok || strings.TrimSpace(s) == "" {
			t.Errorf("%d and %d: %q", c, other, s)
		}
		seen[s] = c
	}
	if (verdictLast + 1).String() == "" {
		t.Error("an unknown verdict has no words")
	}
	codes := make(map[VerdictCode]bool)
	for _, r := range refusals {
		if VerdictOf(r.err) != r.code {
			t.Errorf("%v is %v", r.err, VerdictOf(r.err))
		}
		codes[r.code] = true
	}
	if VerdictOf(&RefusedError{Verdict: VerdictFull}) != VerdictFull || VerdictOf(errors.New("x")) != VerdictMalformed {
		t.Error("other errors")
	}
}

// TestAttackFloodByTheHolderOfAToken: who holds one invitation signs for any
// number of relays at made-up addresses; the store stays open to others.
func TestAttackFloodByTheHolderOfAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		flood, err := directory.IssueToken(f.id, testKey("signer"), [32]byte{77}, time.Now().Add(time.Hour), 1)
		check(t, err)
		held := 0
		for i := range crowdRecords + 20 {
			d := f.describe(nameOf(i), 200+i)
			d.Admission = flood.Admission(f.id, d.ID)
			code, err := offer(t, n, f, nameOf(i), f.sign(d, nameOf(i)))
			check(t, err)
			switch {
			case code == VerdictHeld:
				held++
			case code != VerdictCrowd:
				t.Fatalf("%d: %v", i, code)
			}
		}
		if held != crowdRecords {
			t.Errorf("%d records are held", held)
		}
		// Those that are there stay and may change; others come by their own tokens.
		d := f.describe(nameOf(3), 203)
		d.Seq++
		d.Admission = flood.Admission(f.id, d.ID)
		if code, err := offer(t, n, f, nameOf(3), f.sign(d, nameOf(3))); err != nil || code != VerdictHeld {
			t.Errorf("a newer record: %v, %v", code, err)
		}
		if code, err := offer(t, n, f, "honest", f.sign(f.describe("honest", 5), "honest")); err != nil || code != VerdictHeld {
			t.Errorf("another: %v, %v", code, err)
		}
	})
}
