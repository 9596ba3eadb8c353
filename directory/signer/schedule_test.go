package signer

import (
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestSlots: by hand, for each length of an epoch.
func TestSlots(t *testing.T) {
	base := time.Unix(1_800_000_000, 0)
	for _, tc := range []struct {
		name    string
		lab     bool
		length  time.Duration
		after   time.Duration // of now, after the newest snapshot
		at      time.Duration // of the slot
		vote    time.Duration // before it
		until   time.Duration // of the next one's votes
		nothing bool          // no snapshot yet
	}{
		{"hour", false, time.Hour, time.Minute, time.Hour, 12 * time.Minute, 64 * time.Minute, false},
		{"hour, votes of the retry", false, time.Hour, 64 * time.Minute, 65 * time.Minute, time.Minute, 69 * time.Minute, false},
		{"hour, days later", false, time.Hour, 71*time.Hour + time.Second, 71 * time.Hour, time.Minute, 71*time.Hour + 4*time.Minute, false},
		{"minute", false, time.Minute, time.Second, time.Minute, 12 * time.Second, 108 * time.Second, false},
		{"minute, third", false, time.Minute, 170 * time.Second, 180 * time.Second, 12 * time.Second, 8*time.Minute - 12*time.Second, false},
		{"minute, every fifth", false, time.Minute, 8 * time.Minute, 8 * time.Minute, 12 * time.Second, 13*time.Minute - 12*time.Second, false},
		{"minute, a day later", false, time.Minute, 24*time.Hour + time.Second, 24*time.Hour - 2*time.Minute, 12 * time.Second, 24*time.Hour + 3*time.Minute - 12*time.Second, false},
		{"lab", true, 10 * time.Second, time.Second, 10 * time.Second, 4 * time.Second, 16 * time.Second, false},
		{"lab, next", true, 10 * time.Second, 16 * time.Second, 20 * time.Second, 4 * time.Second, 26 * time.Second, false},
		{"lab, third", true, 10 * time.Second, 36 * time.Second, 30 * time.Second, 4 * time.Second, 76 * time.Second, false},
		{"lab, every fifth", true, 10 * time.Second, 76 * time.Second, 80 * time.Second, 4 * time.Second, 126 * time.Second, false},
		{"first", false, 0, 47 * time.Second, 0, 12 * time.Second, 48 * time.Second, true},
		{"first, next", false, 0, 48 * time.Second, time.Minute, 12 * time.Second, 108 * time.Second, true},
	} {
		prev := &directory.Header{ValidAfter: base, NextEpoch: tc.length}
		if tc.nothing {
			prev = nil
		}
		s := nextSlot(tc.lab, prev, base.Add(tc.after))
		if at, vote, until := s.at.Sub(base), s.at.Sub(s.vote), s.until.Sub(base); at != tc.at || vote != tc.vote || until != tc.until {
			t.Errorf("%s: at %v, votes %v before, until %v", tc.name, at, vote, until)
		}
		if !s.cutoff.After(s.vote) && !s.vote.After(s.end) && s.end.Before(s.echo) && s.echo.Before(s.judge) && s.judge.Before(s.at) && s.epoch == directory.EpochNumber(tc.lab, s.at) {
			continue
		}
		t.Errorf("%s: %+v", tc.name, s)
	}
}

// TestSlotsFollowOnEachOther: at any time all who hold one snapshot work on one
// slot, and its number is above the snapshot's.
func TestSlotsFollowOnEachOther(t *testing.T) {
	base := time.Unix(1_800_000_000, 0)
	for _, tc := range []struct {
		lab    bool
		length time.Duration
	}{{true, 10 * time.Second}, {false, time.Minute}, {false, 5 * time.Minute}, {false, time.Hour}, {false, 3 * time.Hour}} {
		prev := &directory.Header{ValidAfter: base, NextEpoch: tc.length, Epoch: directory.EpochNumber(tc.lab, base)}
		last := nextSlot(tc.lab, prev, base)
		if last.epoch <= prev.Epoch {
			t.Errorf("%v: number %d after %d", tc.length, last.epoch, prev.Epoch)
		}
		for now := base; now.Before(base.Add(30 * tc.length)); now = now.Add(tc.length / 60) {
			s := nextSlot(tc.lab, prev, now)
			switch {
			case s.epoch < last.epoch, !now.Before(s.until):
				t.Fatalf("%v: slot %+v at %v", tc.length, s, now)
			case s.epoch > last.epoch && (s.vote != last.until || now.Before(s.vote)):
				t.Fatalf("%v: slot %+v at %v after %+v", tc.length, s, now, last)
			}
			last = s
		}
	}
}

// TestLongEpochIsRetried: with an epoch of half an hour, two of three signers are
// away at its time. There is a snapshot five minutes later, or ten.
func TestLongEpochIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, false, 3)
		c.relays(25)
		c.start()
		c.untilEpoch(0, 2*time.Minute, 0, 1, 2)
		h := c.newest(0).Header
		if h.N != 25 || h.NextEpoch != 30*time.Minute {
			t.Fatalf("%d relays, an epoch of %v", h.N, h.NextEpoch)
		}
		time.Sleep(time.Minute)
		check(t, c.members[1].kill())
		check(t, c.members[2].kill())
		due := h.ValidAfter.Add(h.NextEpoch)
		time.Sleep(time.Until(due.Add(90 * time.Second)))
		if c.epochOf(0) != h.Epoch {
			t.Error("one of three made a snapshot")
		}
		c.start(1, 2)
		c.untilEpoch(h.Epoch, 4*time.Minute, 0, 1, 2)
		if n := c.newest(2).Header; !n.ValidAfter.Equal(due.Add(5*time.Minute)) || n.N != 25 {
			t.Errorf("the retry is of %v, %v after its time, with %d relays", n.ValidAfter, n.ValidAfter.Sub(due), n.N)
		}
		c.agreed()
		c.stop()
	})
}
