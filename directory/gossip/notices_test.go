package gossip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestEvidenceReachesAllAndStays: what one node finds reaches every node, also one
// that connects later, a client by its next fetch, and the disk.
func TestEvidenceReachesAllAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		twin := d.a.twin()
		raw := d.a.publish(listings(5, true, directory.FlagGuard), nil)
		twin.publish(listings(4, true, directory.FlagGuard), nil)
		for _, n := range d.nodes {
			check(t, n.AddSnapshot(raw, d.a.log))
		}
		d.m.setDown("relay 4", true)
		for _, n := range d.nodes {
			d.m.wg.Go(func() { _ = n.Run(d.m.ctx) })
		}
		time.Sleep(10 * time.Second)
		e, err := d.f.chain.ForkEvidence(d.a.head(), twin.head())
		check(t, err)
		d.nodes["relay 0"].AddEvidence(e)
		time.Sleep(time.Second)
		synctest.Wait()
		for name, n := range d.nodes {
			if got := len(n.Evidence()); (got == 1) != (name != "relay 4") {
				t.Errorf("%s holds %d pieces a second later", name, got)
			}
		}
		d.m.setDown("relay 4", false)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		late := d.nodes["relay 4"]
		if got := len(late.Evidence()); got != 1 {
			t.Errorf("a node that was away holds %d pieces", got)
		}
		var logs capture
		c := clientOf(t, d.f, d.m, "relay 2", &memoryState{}, &logs)
		check(t, c.fetch(t.Context()))
		if !warns(c.cfg.Views, directory.WarnEvidence) || c.cfg.Views.Current() == nil {
			t.Errorf("a client: %v", kinds(c.cfg.Views))
		}
		d.m.stop()
		again, err := NewNode(NodeConfig{Role: RoleRelay, Self: late.cfg.Self, Link: d.f.link(), Views: &directory.Views{}, Dir: late.cfg.Dir})
		check(t, err)
		defer again.Close()
		if len(again.Evidence()) != 1 || !warns(again.Views(), directory.WarnEvidence) {
			t.Error("not there after a restart")
		}
	})
}

// TestAnswersPutSevereEvidenceFirst, then what founders say; what does not fit is
// left out, and nothing is cut.
func TestAnswersPutSevereEvidenceFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		n := d.nodes["relay 0"]
		two := func(size int) *directory.Evidence {
			var votes [2]*directory.Vote
			for i := range votes {
				votes[i] = &directory.Vote{Signer: publicOf(testKey("signer")), Epoch: directory.EpochNumber(true, time.Now()), Recommended: []string{fmt.Sprint(i)}}
				for k := range size {
					votes[i].Relays = append(votes[i].Relays, directory.RelayVote{
						Key: [8]byte{byte(k >> 16), byte(k >> 8), byte(k)}, Failures: directory.UnknownFailures,
					})
				}
				_, err := votes[i].Sign(d.f.id, testKey("online"))
				check(t, err)
			}
			e, err := d.f.chain.VoteEvidence(votes[0], d.f.cert, votes[1], d.f.cert)
			check(t, err)
			return e
		}
		n.AddEvidence(two(20_000))
		twin := d.a.twin()
		d.a.publish(listings(5, true, directory.FlagGuard), nil)
		twin.publish(listings(4, true, directory.FlagGuard), nil)
		e, err := d.f.chain.ForkEvidence(d.a.head(), twin.head())
		check(t, err)
		n.AddEvidence(e)
		other := found(t, true, directory.JoinOpen, 9)
		s, err := d.f.chain.SignSuccessor(other.link(), time.Now(), testKey("root"))
		check(t, err)
		check(t, n.AddSuccessor(s.Bytes()))
		list, err := parseNotices(n.answerNotices())
		check(t, err)
		if len(n.Evidence()) != 2 || len(list) != 2 || list[0].kind != noticeEvidence || !severe(list[0].raw) || list[1].kind != noticeSuccessor {
			t.Errorf("%d held, answer %+v", len(n.Evidence()), len(list))
		}
		if severeOnly := n.Views().Warnings(time.Now()); len(severeOnly) != 2 {
			t.Errorf("quarrels of signers are shown to people: %+v", severeOnly)
		}
		d.m.stop()
	})
}

// TestRecordsThatContradict: of listed relays they are evidence, of others they
// are not.
func TestRecordsThatContradict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		n := d.nodes["relay 0"]
		for i, name := range []string{"relay 1", "stranger"} {
			for k := range 2 {
				desc := d.f.describe(name, i+1)
				desc.Nick = fmt.Sprint("name", k)
				r, err := directory.ParseRecord(n.rules(), d.f.sign(desc, name), time.Now())
				check(t, err)
				n.store.put(r, time.Now())
			}
		}
		if len(n.store.Conflicts()) != 2 {
			t.Fatalf("%d conflicts", len(n.store.Conflicts()))
		}
		for range 2 {
			n.accuseRelays()
		}
		list := n.Evidence()
		if len(list) != 1 {
			t.Fatalf("%d pieces", len(list))
		}
		if id, ok := list[0].Relay(); !ok || id != idOf("relay 1") {
			t.Errorf("blames %v", id)
		}
		d.m.stop()
	})
}

// TestSuccessorIsToldAndNothingMoves: founders name another network; nodes pass it
// on, clients show who signed, and go on as before.
func TestSuccessorIsToldAndNothingMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		for _, n := range d.nodes {
			d.m.wg.Go(func() { _ = n.Run(d.m.ctx) })
		}
		time.Sleep(10 * time.Second)
		other := found(t, true, directory.JoinOpen, 9)
		s, err := d.f.chain.SignSuccessor(other.link(), time.Now(), testKey("root"))
		check(t, err)
		if err := d.nodes["bootstrap"].AddSuccessor([]byte(other.raw)); err == nil {
			t.Error("took something else")
		}
		check(t, d.nodes["bootstrap"].AddSuccessor(s.Bytes()))
		time.Sleep(time.Second)
		synctest.Wait()
		for name, n := range d.nodes {
			if len(n.Successors()) != 1 {
				t.Errorf("%s holds %d", name, len(n.Successors()))
			}
		}
		var logs capture
		state := &memoryState{}
		c := clientOf(t, d.f, d.m, "relay 2", state, &logs)
		check(t, c.fetch(t.Context()))
		list := c.cfg.Views.Warnings(time.Now())
		if len(list) != 1 || !strings.Contains(list[0].Text, "1 of the 1 founders (root") || !strings.Contains(list[0].Text, other.link().String()) {
			t.Errorf("%+v", list)
		}
		if c.cfg.Views.NoNewGuards() || c.cfg.Link.ID != d.f.id {
			t.Error("the client acted on it")
		}
		if again := clientOf(t, d.f, d.m, "relay 2", state, &logs); !warns(again.cfg.Views, directory.WarnSuccessor) {
			t.Error("forgotten at a restart")
		}
		d.m.stop()
	})
}

// TestSlowClockIsProven: a snapshot that signers dated in the future tells that
// this computer is behind. Up to 36 hours a client uses it all the same, and looks
// for the next when that is due by signed time; beyond, it refuses and says why. A
// warning ends with the next snapshot.
func TestSlowClockIsProven(t *testing.T) {
	for _, tt := range []struct {
		ahead time.Duration
		text  string // of the warning
		taken bool
	}{
		{20 * time.Minute, "", true},
		{40 * time.Minute, "40m0s in the future: this computer's clock is behind", true},
		{36*time.Hour - time.Minute, "35h59m0s in the future: this computer's clock is behind", true},
		{36*time.Hour + time.Minute, "36h1m0s in the future: this computer's clock is behind", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := divide(t)
			var logs capture
			c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
			check(t, c.fetch(t.Context()))
			base := c.cfg.Views.Current()
			raw := d.a.twin()
			raw.at = time.Now().Add(tt.ahead).Truncate(10 * time.Second)
			ahead := raw.publish(listings(5, true, directory.FlagGuard), nil)
			s, err := directory.ParseSnapshot(ahead)
			check(t, err)
			proof, err := raw.log.Prove(c.state.ProofRange(s.Header.LogSize))
			check(t, err)
			if err = c.install(ahead, s, proof, time.Now()); err != nil {
				err = c.contested(nil, ahead, s, err)
			}
			if taken := c.cfg.Views.Current() != base; taken != tt.taken || (err == nil) != tt.taken {
				t.Errorf("%v ahead: taken %v, %v", tt.ahead, taken, err)
			}
			if !tt.taken && !errors.Is(err, directory.ErrSlowClock) {
				t.Errorf("%v ahead: %v", tt.ahead, err)
			}
			list := c.cfg.Views.Warnings(time.Now())
			if tt.text == "" && len(list) != 0 || tt.text != "" && (len(list) != 1 || list[0].Kind != directory.WarnClock || !strings.Contains(list[0].Text, tt.text)) {
				t.Errorf("%v ahead: %+v", tt.ahead, list)
			}
			if v := c.cfg.Views.Current(); tt.taken {
				now := time.Now()
				from, until := windowOf(v, now)
				if from.Before(now) || until.After(now.Add(9*v.EpochLength())) || v.State(now) != directory.Fresh {
					t.Errorf("%v ahead: the next one is sought from %v to %v, state %v", tt.ahead, from.Sub(now), until.Sub(now), v.State(now))
				}
				// Nobody's clock but the client's was wrong.
				if err := d.nodes["relay 1"].AddSnapshot(ahead, raw.log); tt.text != "" && !errors.Is(err, directory.ErrSlowClock) {
					t.Errorf("%v ahead, by a relay: %v", tt.ahead, err)
				}
			} else {
				d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), nil)
				check(t, c.fetch(t.Context()))
				if len(kinds(c.cfg.Views)) != 0 {
					t.Errorf("still %v", kinds(c.cfg.Views))
				}
			}
			d.m.stop()
		})
	}
}

// TestOldHeadAtThreePlacesIsAsked: the newest snapshot is a day old at the guard
// and at two relays. Signers may be away or the clock ahead; the client says so,
// and guesses nothing.
func TestOldHeadAtThreePlacesIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
		check(t, c.fetch(t.Context()))
		d.m.wg.Go(func() { _ = c.Run(d.m.ctx) })
		day := directory.Scale(true, 24*time.Hour)
		time.Sleep(day - 20*time.Second)
		if warns(c.cfg.Views, directory.WarnClock) {
			t.Error("a valid snapshot is doubted")
		}
		time.Sleep(day)
		synctest.Wait()
		list := c.cfg.Views.Warnings(time.Now())
		i := slices.IndexFunc(list, func(w directory.Warning) bool { return w.Kind == directory.WarnClock })
		if i < 0 || !strings.Contains(list[i].Text, "either the network's founders are away, or this computer's clock is ahead") || !warns(c.cfg.Views, directory.WarnStale) {
			t.Errorf("%+v", list)
		}
		if c.cfg.Views.Current().State(time.Now()) != directory.Stale {
			t.Errorf("state %v", c.cfg.Views.Current().State(time.Now()))
		}
		d.m.stop()
	})
}

// TestComparisonsAreSpread: after a fetch two different relays are asked, neither
// of them the guard, not at once, and each over a circuit of its own.
func TestComparisonsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
		var at []time.Duration
		var asked []directory.RelayID
		var fetched time.Time
		c.cfg.Circuits = hiddenDialer{m: d.m, asked: func(id directory.RelayID) {
			asked, at = append(asked, id), append(at, time.Since(fetched))
		}}
		soon := 0
		for range 100 {
			next := d.a.publish(listings(5, true, directory.FlagGuard), nil)
			for _, n := range d.nodes {
				check(t, n.AddSnapshot(next, d.a.log))
			}
			asked, at, fetched = nil, nil, time.Now()
			check(t, c.fetch(t.Context()))
			c.pause(t.Context(), 10*time.Second)
			if len(asked) != 2 || asked[0] == asked[1] || slices.Contains(asked, idOf("relay 0")) {
				t.Fatalf("asked %v", asked)
			}
			if at[1] > 5*time.Second {
				t.Fatalf("asked %v after the fetch", at[1])
			}
			if at[0] < 500*time.Millisecond {
				soon++
			}
		}
		if soon > 40 { // 1 − 0.9² of a hundred are 19
			t.Errorf("%d of 100 at once", soon)
		}
		if len(kinds(c.cfg.Views)) != 0 {
			t.Errorf("%v", kinds(c.cfg.Views))
		}
		d.m.stop()
	})
}
