package session

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"
)

// partner is one of two contacts with what they keep for resets.
type partner struct {
	*State
	key  *ResetKey
	peer ResetPublic
}

// resetPair returns two contacts that exchanged reset keys and a few texts.
func resetPair(t testing.TB) (alice, bob *partner) {
	t.Helper()
	random := seeded("reset pair")
	a, b := pairUp(random)
	alice, bob = &partner{State: a, key: must(NewResetKey(random, 1))}, &partner{State: b, key: must(NewResetKey(random, 1))}
	alice.peer, bob.peer = bob.key.Public(), alice.key.Public()
	for range 3 {
		turn(t, random, bob.State, alice.State)
		turn(t, random, alice.State, bob.State)
	}
	settle(t, random, alice, bob)
	return alice, bob
}

// settle has both sides know what the other received.
func settle(t testing.TB, random io.Reader, alice, bob *partner) {
	t.Helper()
	for range 2 {
		openAll(t, bob.State, must(alice.SealAck(random, testNow)).Inner)
		openAll(t, alice.State, must(bob.SealAck(random, testNow)).Inner)
	}
}

func (s *partner) makeReset(t testing.TB, seed string) *Reset {
	t.Helper()
	random := seeded(seed)
	r, err := s.Reset(random, testNow, s.peer, testPair(random))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// accept takes a reset through its blocks.
func (s *partner) accept(t testing.TB, r *Reset) *Incoming {
	t.Helper()
	in := s.open(t, r)
	if !in.Wins {
		t.Fatal("the reset does not win")
	}
	if _, err := s.AcceptReset(testNow, in); err != nil {
		t.Fatal(err)
	}
	return in
}

func (s *partner) open(t testing.TB, r *Reset) *Incoming {
	t.Helper()
	as := &RequestAssembler{}
	var container []byte
	for _, b := range must(SplitReset(r.Container)) {
		container = must(as.AddReset(testNow, b))
		as = must(ParseRequestAssembler(as.Append(nil)))
	}
	if !bytes.Equal(container, r.Container) {
		t.Fatal("container differs")
	}
	return must(s.OpenReset(testNow, []*ResetKey{must(NewResetKey(seeded("other"), 7)), s.key}, container))
}

// reseal seals every frame in flight anew.
func (s *partner) reseal(t testing.TB, bodies map[uint64][]byte) (blocks [][]byte) {
	t.Helper()
	for _, seq := range s.Unacked() {
		b, err := s.Reseal(seeded("reseal"), testNow, bodies[seq])
		if err != nil || b.Seq != seq {
			t.Fatal(b.Seq, err)
		}
		blocks = append(blocks, b.Inner)
	}
	return blocks
}

// TestResetHeals has each side lose its ratchet while 100 frames of each are in
// flight: after the reset all arrive, once.
func TestResetHeals(t *testing.T) {
	for _, lost := range []string{"sender of the reset", "receiver of the reset"} {
		t.Run(lost, func(t *testing.T) {
			alice, bob := resetPair(t)
			random := seeded("heals")
			bodies := map[*partner]map[uint64][]byte{alice: {}, bob: {}}
			for n := range 100 {
				for _, s := range []*partner{alice, bob} {
					for _, x := range must(s.Seal(random, testNow, text(n))) {
						bodies[s][x.Seq] = x.Body
					}
				}
			}
			broken := alice
			if lost == "receiver of the reset" {
				broken = bob
			}
			for _, k := range []*[keySize]byte{&broken.ratchet.rk, &broken.ratchet.cks, &broken.ratchet.hks, &broken.ratchet.nhkr, &broken.ratchet.recv.hk} {
				k[0] ^= 1
			}
			number := alice.SafetyNumber()
			r := alice.makeReset(t, "first")
			alice.State = reload(t, r.State)
			toBob := alice.reseal(t, bodies[alice])
			in := bob.accept(t, r)
			if in.Restored || in.Counter != r.Counter {
				t.Errorf("%+v", in)
			}
			bob.State = reload(t, bob.State)
			sync := must(bob.SealAck(random, testNow))
			if sync.Type != FrameSync {
				t.Errorf("first answer is a frame of type %d", sync.Type)
			}
			toAlice := append([][]byte{sync.Inner}, bob.reseal(t, bodies[bob])...)
			fresh := map[*partner]int{}
			for s, blocks := range map[*partner][][]byte{alice: toAlice, bob: toBob} {
				for range 2 {
					for _, b := range blocks {
						got, err := s.Open(testNow, b)
						if err == nil && got.Fresh {
							fresh[s]++
						}
						if got.Diverged || got.Lost > 0 || got.SetBack {
							t.Errorf("%+v", got)
						}
					}
				}
			}
			if fresh[alice] != 100 || fresh[bob] != 100 {
				t.Errorf("%d and %d frames arrived, want 100 each", fresh[alice], fresh[bob])
			}
			if alice.ResetPending() || !alice.initiator || bob.initiator {
				t.Error("roles, or the reset still counts as unanswered")
			}
			for range 40 {
				turn(t, random, alice.State, bob.State)
				turn(t, random, bob.State, alice.State)
			}
			if bob.SyncDue() || len(alice.Unacked()) > 1 || alice.Epoch() == 0 || alice.Epoch() != bob.Epoch() {
				t.Errorf("sync due %v, %d unacked, epochs %d and %d", bob.SyncDue(), len(alice.Unacked()), alice.Epoch(), bob.Epoch())
			}
			if alice.SafetyNumber() != number || bob.SafetyNumber() != number {
				t.Error("a reset changed the safety number")
			}
			if x, y := alice.Drops(testNow), bob.Drops(testNow); x[0].Secret != y[0].Secret || !x[0].Guest || y[0].Guest ||
				len(x) != 2 || x[1].Secret != y[1].Secret || x[0].Secret == x[1].Secret || len(alice.Drops(testNow.Add(oldDrops))) != 1 {
				t.Error("the secrets of last resort do not fit")
			}
		})
	}
}

// TestBothReset: whichever order the two resets and what follows them arrive
// in, both end in one session. The higher counter wins, then the lower key.
func TestBothReset(t *testing.T) {
	for _, later := range []uint64{0, 5} {
		for range 4 {
			alice, bob := resetPair(t)
			random := seeded("both")
			ra := alice.makeReset(t, "alice")
			bob.renewal.counter += later + ra.Counter - 1
			rb := bob.makeReset(t, "bob")
			alice.State, bob.State = ra.State, rb.State
			early := must(alice.SealAck(random, testNow)) // in a session that may be abandoned
			wins := bytes.Compare(ra.State.renewal.ep[:], rb.State.renewal.ep[:]) < 0 && later == 0
			winner, loser, won, lost := bob, alice, rb, ra
			if wins {
				winner, loser, won, lost = alice, bob, ra, rb
			}
			if in := winner.open(t, lost); in.Wins {
				t.Fatal("both win")
			} else if result := winner.NoteReset(in); result.Lost != 0 {
				t.Error("lost frames")
			}
			loser.accept(t, won)
			sync := must(loser.SealAck(random, testNow))
			openAll(t, winner.State, sync.Inner)
			if _, err := winner.OpenReset(testNow, []*ResetKey{winner.key}, lost.Container); !errors.Is(err, ErrDuplicate) {
				t.Errorf("the reset that lost, again: %v", err)
			}
			if !wins {
				refuse(t, bob.State, early.Inner, ErrUndecryptable)
			}
			for range 20 {
				turn(t, random, alice.State, bob.State)
				turn(t, random, bob.State, alice.State)
			}
		}
	}
}

// TestLateReset: a reset that was abandoned comes when the other one is long
// answered. It is older, and stays without effect.
func TestLateReset(t *testing.T) {
	alice, bob := resetPair(t)
	rb := bob.makeReset(t, "bob")
	alice.renewal.counter = rb.Counter
	ra := alice.makeReset(t, "alice")
	alice.State, bob.State = ra.State, rb.State
	bob.accept(t, ra)
	turn(t, seeded("late"), bob.State, alice.State)
	if alice.open(t, rb).Wins {
		t.Error("an abandoned reset wins later")
	}
}

// TestRestoredBackup restores one backup twice: no seq is used again, the peer's
// lost frames are counted, and its new ones arrive.
func TestRestoredBackup(t *testing.T) {
	alice, bob := resetPair(t)
	random := seeded("restored")
	backup := alice.Backup()
	if bytes.Contains(backup, alice.ratchet.rk[:]) || bytes.Contains(backup, alice.ratchet.hks[:]) || bytes.Contains(backup, alice.ratchet.recv.hk[:]) {
		t.Fatal("a backup holds keys of the ratchet")
	}
	for range 1100 { // more than a window
		openAll(t, alice.State, sealAll(t, random, bob.State, text(1))...)
		openAll(t, bob.State, must(alice.SealAck(random, testNow)).Inner)
	}
	turn(t, random, alice.State, bob.State)
	received := bob.in.cum
	used := map[uint64]bool{}
	for n := range 2 {
		own, _ := alice.Device()
		device := NextDevice(own, testNow.Add(time.Duration(n)*time.Hour))
		restored, err := RestoreState(backup, device)
		if err != nil {
			t.Fatal(err)
		}
		alice.State = reload(t, restored)
		if _, err := alice.Seal(random, testNow, text(1)); !errors.Is(err, ErrWindowFull) || !alice.Dormant() || alice.AckOwed() {
			t.Errorf("sealed before the reset: %v", err)
		}
		unacked := must(bob.Seal(random, testNow, text(9)))[0]
		refuse(t, alice.State, unacked.Inner, ErrUndecryptable)
		r := must(alice.Reset(seeded("restored"+string(rune(n))), testNow.Add(time.Duration(n)*time.Hour), alice.peer, testPair(random)))
		alice.State = r.State
		sent := sealAll(t, random, alice.State, text(3))
		in := bob.open(t, r)
		if !in.Restored {
			t.Error("the restore does not show")
		}
		result := must(bob.AcceptReset(testNow, in))
		if result.Lost != 0 {
			t.Errorf("%d frames lost by the restored side's own word", result.Lost)
		}
		sync := must(bob.SealAck(random, testNow))
		got := openAll(t, alice.State, sync.Inner)
		if n == 0 && got.Lost < 1090 || got.Fresh {
			t.Errorf("%d frames counted as lost", got.Lost)
		}
		if got := openAll(t, alice.State, bob.reseal(t, map[uint64][]byte{unacked.Seq: unacked.Body})...); !got.Fresh {
			t.Error("a frame in flight over the restore is taken for a repeat")
		}
		got = openAll(t, bob.State, sent...)
		if !got.Fresh || got.Diverged || !got.Frame.Restored || got.Frame.Seq != uint64(device)<<32+1 || used[got.Frame.Seq] {
			t.Errorf("first frame after the restore: %+v", got)
		}
		used[got.Frame.Seq] = true
		for range 4 {
			turn(t, random, alice.State, bob.State)
			turn(t, random, bob.State, alice.State)
		}
		settle(t, random, alice, bob)
		if _, err := RestoreState(alice.Backup(), device); err == nil {
			t.Error("one generation twice")
		}
	}
	if bob.in.cum <= received || alice.SyncDue() || bob.SyncDue() {
		t.Error("a window is stuck")
	}
}

// TestSetBackIsSeen: a database that was set back sees acknowledgements of
// frames that it never sealed.
func TestSetBackIsSeen(t *testing.T) {
	alice, bob := resetPair(t)
	random := seeded("set back")
	turn(t, random, alice.State, bob.State)
	old := alice.Clone()
	for range 3 {
		openAll(t, bob.State, sealAll(t, random, alice.State, text(1))...)
	}
	blocks := sealAll(t, random, bob.State, text(1))
	if got := openAll(t, alice.Clone(), blocks...); got.SetBack {
		t.Fatal("false alarm")
	}
	alice.State = old
	if got := openAll(t, alice.State, blocks...); !got.SetBack || !got.Fresh || len(got.Acked) != 0 {
		t.Fatalf("%+v", got)
	}
	if err := alice.SetBack(NextDevice(0, testNow)); err != nil {
		t.Fatal(err)
	}
	r := alice.makeReset(t, "set back")
	alice.State = r.State
	sent := must(alice.Seal(random, testNow, text(5)))
	if in := bob.accept(t, r); !in.Restored {
		t.Error("the peer is not told")
	}
	if got := openAll(t, bob.State, sent[0].Inner); !got.Fresh || got.Diverged {
		t.Errorf("%+v", got)
	}
}

// TestOldChains: what was on its way when the peer took our reset still opens,
// for a day.
func TestOldChains(t *testing.T) {
	alice, bob := resetPair(t)
	random := seeded("old chains")
	openAll(t, bob.State, sealAll(t, random, alice.State, text(1))...)
	late := [][]byte{}
	for n := range 4 {
		late = append(late, sealAll(t, random, alice.State, text(n))...)
	}
	r := alice.makeReset(t, "old")
	alice.State = r.State
	bob.accept(t, r)
	bob.State = reload(t, bob.State)
	openAll(t, bob.State, late[2], late[0])
	if !bob.SyncDue() {
		t.Error("a block of the session before answers a SYNC")
	}
	openAll(t, bob.State, must(alice.SealAck(random, testNow)).Inner)
	openAll(t, bob.State, late[1])
	if bob.SyncDue() {
		t.Error("the SYNC was answered")
	}
	if _, err := bob.Open(testNow.Add(oldChains), late[3]); !errors.Is(err, ErrUndecryptable) {
		t.Errorf("a day later: %v", err)
	}
	if n := len(bob.Append(nil)); n > 8<<10 {
		t.Errorf("state of %d bytes", n)
	}
}

// TestResetRefused goes through what makes a reset void. Nothing changes.
func TestResetRefused(t *testing.T) {
	alice, bob := resetPair(t)
	r := alice.makeReset(t, "refused")
	keys := []*ResetKey{bob.key}
	before := bob.Append(nil)
	try := func(name string, want error, now time.Time, container []byte, keys ...*ResetKey) {
		t.Helper()
		if _, err := bob.OpenReset(now, keys, container); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for at := range r.Container {
		if at%61 != 0 && at < ContainerSize-confirmSize {
			continue
		}
		c := bytes.Clone(r.Container)
		c[at] ^= 1
		try("flipped bit", ErrAuth, testNow, c, keys...)
	}
	for n := range ContainerSize {
		if n%97 == 0 {
			try("cut", ErrFormat, testNow, r.Container[:n], keys...)
		}
	}
	try("no key", ErrAuth, testNow, r.Container)
	try("other key", ErrAuth, testNow, r.Container, must(NewResetKey(seeded("x"), 1)))
	try("too old", ErrExpired, testNow.Add(resetBehind+time.Second), r.Container, keys...)
	try("too new", ErrExpired, testNow.Add(-resetAhead-time.Second), r.Container, keys...)
	stranger, _ := resetPair(t)
	stranger.ik = must(newDH(seeded("stranger")))
	try("who stole the public reset key alone", ErrAuth, testNow, must(stranger.Reset(seeded("y"), testNow, alice.peer, testPair(seeded("z")))).Container, keys...)
	if !bytes.Equal(before, bob.Append(nil)) {
		t.Error("a refused reset changed the state")
	}
	bob.accept(t, r)
	try("again", ErrDuplicate, testNow, r.Container, keys...)
	other := Bundle{ik: alice.peerIK, dh: alice.peer.dh, xwing: alice.peer.xwing, Queues: testPair(seeded("q")), Network: testNetwork, Expires: unixDay(testNow)}
	q := must(other.Request(seeded("type"), testNow, RequestConfig{Queues: testPair(seeded("w"))}))
	try("a request to the same keys", ErrAuth, testNow, q.Container, keys...)
	for n, b := range must(SplitReset(r.Container)) {
		if _, err := new(RequestAssembler).Add(testNow, b); !errors.Is(err, ErrFormat) {
			t.Errorf("chunk %d of a reset as one of a request: %v", n, err)
		}
		refuse(t, bob.State, b, ErrFormat)
	}
	for _, b := range must(SplitContainer(r.Container)) {
		if _, err := new(RequestAssembler).AddReset(testNow, b); !errors.Is(err, ErrFormat) {
			t.Errorf("chunk of a request as one of a reset: %v", err)
		}
	}
}

func TestRotateIdentity(t *testing.T) {
	alice, bob := resetPair(t)
	random := seeded("rotate")
	number := alice.SafetyNumber()
	r := bob.makeReset(t, "before")
	sealed := must(alice.RotateIdentity(random, testNow))
	alice.State = reload(t, alice.State)
	if alice.SafetyNumber() == number {
		t.Error("the safety number stays")
	}
	content := must(ParseFrame(sealed[0].Body)).Content
	for at := range content {
		c := bytes.Clone(content)
		c[at] ^= 1
		if err := bob.TakeRotation(c); !errors.Is(err, ErrAuth) {
			t.Fatalf("byte %d changed: %v", at, err)
		}
	}
	// The peer does not know yet: resets of both sides still hold.
	if _, err := alice.OpenReset(testNow, []*ResetKey{alice.key}, r.Container); err != nil {
		t.Error("a reset under the key before:", err)
	}
	if _, err := bob.OpenReset(testNow, []*ResetKey{bob.key}, alice.makeReset(t, "unknown").Container); err != nil {
		t.Error("our reset before the peer knows:", err)
	}
	openAll(t, bob.State, sealed[0].Inner)
	if err := bob.TakeRotation(content); err != nil {
		t.Fatal(err)
	}
	bob.State = reload(t, bob.State)
	if bob.SafetyNumber() != alice.SafetyNumber() {
		t.Error("safety numbers differ")
	}
	if err := bob.TakeRotation(content); !errors.Is(err, ErrDuplicate) {
		t.Errorf("again: %v", err)
	}
	if _, err := bob.OpenReset(testNow, []*ResetKey{bob.key}, alice.makeReset(t, "unacknowledged").Container); err != nil {
		t.Error("our reset before the ack:", err)
	}
	turn(t, random, bob.State, alice.State)
	r = alice.makeReset(t, "known")
	alice.State = r.State
	bob.accept(t, r)
	turn(t, random, bob.State, alice.State)
	turn(t, random, alice.State, bob.State)
}

func TestWords(t *testing.T) {
	alice, bob := resetPair(t)
	random := seeded("words")
	a, b := must(NewSASNonce(random)), must(NewSASNonce(random))
	if !SASOpens(SASCommit(a), a) || SASOpens(SASCommit(a), b) {
		t.Error("commitment")
	}
	words := alice.SASWords(alice.Identities(), true, a, b)
	if w := bob.SASWords(bob.Identities(), false, a, b); w != words || len(bytes.Fields([]byte(w))) != 4 {
		t.Errorf("%q and %q", words, w)
	}
	if alice.SASWords(alice.Identities(), false, a, b) == words || alice.SASWords(alice.Identities(), true, b, a) == words {
		t.Error("the words do not tell who began")
	}
	list := bytes.Fields([]byte(sasWords))
	if len(list) != sasListing || !slices.IsSortedFunc(list, bytes.Compare) {
		t.Fatalf("%d words", len(list))
	}
	starts := map[string]bool{}
	for _, w := range list {
		starts[string(w[:min(4, len(w))])] = true
	}
	if len(starts) != sasListing {
		t.Error("words that begin alike")
	}
}

// TestStateOfVersionOne reads what was written before there were resets.
func TestStateOfVersionOne(t *testing.T) {
	alice, bob := pairUp(seeded("version one"))
	turn(t, seeded("one"), bob, alice)
	raw := alice.Append(nil)
	raw[0] = 1
	raw = raw[:len(raw)-len(alice.rotation.append(alice.renewal.append(nil)))]
	old := must(ParseState(raw))
	if !bytes.Equal(old.Append(nil), alice.Append(nil)) {
		t.Error("something is missing")
	}
	if _, err := ParseState(raw[:len(raw)-1]); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}
