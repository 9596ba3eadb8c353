package signer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// chaosRuns is how many networks the test goes through, and for how many changes of
// what is lost. HEARSAY_CHAOS asks for more.
func chaosRuns(t *testing.T) (runs, windows int) {
	s := os.Getenv("HEARSAY_CHAOS")
	if s == "" {
		return 2, 10
	}
	n, err := strconv.Atoi(s)
	check(t, err)
	return n, 30
}

// TestOneHistoryWhateverIsLost: messages of all kinds are lost at random between
// some signers, signers are killed and come back, and one that has the keys of a
// signer says to each what may mislead it. There is one history, no number has two
// complete headers, no signer signs two of one number, and with the end of the
// trouble there are snapshots again.
func TestOneHistoryWhateverIsLost(t *testing.T) {
	runs, windows := chaosRuns(t)
	for seed := range runs {
		n := []int{4, 3, 5}[seed%3]
		t.Run(fmt.Sprintf("%d/%d", n, seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, n, uint64(seed), windows) })
		})
	}
}

func chaos(t *testing.T, n int, seed uint64, windows int) {
	r := rand.New(rand.NewPCG(seed, 1))
	c := lossy(t, n)
	honest := n
	l := &liar{c: c, r: rand.New(rand.NewPCG(seed, 2)), said: make(map[string]bool)}
	if 2*directory.SignThreshold(n)-n > 1 { // else one is enough to break the promise
		honest = n - 1
		l.i, c.liars = honest, 1
		check(t, c.members[honest].kill())
	}
	// Some messages never get to some signers, on no way; most of all signatures.
	salt := byte(seed)
	c.losing(func(_, to int, m *directory.SignerMessage) bool {
		odds := 0.15
		switch {
		case m.Cosign != nil:
			odds = 0.65
		case m.Echo != nil && m.Echo.Attempt > 0:
			odds = 0.3
		}
		fate := sha256.Sum256(append(m.Raw(), byte(to), salt))
		return float64(fate[0])/256 < odds
	})
	for range windows {
		c.mu.Lock()
		for a := range n {
			for b := range a {
				c.cut[[2]int{b, a}] = r.IntN(4) == 0
			}
		}
		c.mu.Unlock()
		for range 10 {
			time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
			if honest < n {
				l.speak(honest)
			}
			c.flow()
		}
		if m := c.members[r.IntN(honest)]; r.IntN(4) == 0 {
			check(t, m.kill())
			time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
			m.open()
			m.run()
		}
		c.agreed()
	}
	c.losing(nil)
	c.mu.Lock()
	clear(c.cut)
	c.mu.Unlock()
	c.flow()
	var all []int
	for i := range honest {
		all = append(all, i)
	}
	before := uint64(0)
	for _, i := range all {
		before = max(before, c.epochOf(i))
	}
	c.untilEpoch(before, 3*time.Minute, all...)
	c.agreed()
	c.stop()
}

// liar has the keys of a signer, sees what all others send, and tells each of them
// what it likes.
type liar struct {
	c    *committee
	i    int
	r    *rand.Rand
	said map[string]bool
}

// speak votes, echoes what others name to some of them, and signs whatever
// anybody has signed, each to a part of the signers only.
func (l *liar) speak(honest int) {
	c := l.c
	some := func() []int {
		var list []int
		for i := range honest {
			if l.r.IntN(2) == 0 && c.members[i].node != nil {
				list = append(list, i)
			}
		}
		return list
	}
	c.mu.Lock()
	echoes := make(map[[32]byte]*directory.Echo)
	heads := make(map[[32]byte][]byte)
	for _, m := range c.members[:honest] {
		for _, s := range m.held {
			if e := s.Echo; e != nil && e.Signer != publicOf(testKey(signerKey(l.i))) {
				echoes[e.Hash()] = e
			}
		}
		for h, raw := range m.docs {
			if _, err := directory.ParseHead(raw); err == nil {
				heads[h] = raw
			}
		}
	}
	c.mu.Unlock()
	newest := c.newest(l.r.IntN(honest))
	sl := nextSlot(c.lab, &newest.Header, time.Now())
	if once := fmt.Sprint("vote", sl.epoch); !l.said[once] && !time.Now().Before(sl.vote) {
		l.said[once] = true
		c.show(c.forgeVote(l.i, sl.epoch, newest.Hash()), some()...)
	}
	for _, h := range slices.SortedFunc(maps.Keys(echoes), compareHashes) {
		e := echoes[h]
		for a := range uint8(maxAttempt + 1) {
			once := fmt.Sprint("echo", e.Epoch, a, l.r.IntN(2))
			if l.said[once] || l.r.IntN(2) == 0 || (a == 0) != (e.Attempt == 0) {
				continue
			}
			l.said[once] = true
			c.show(c.forge(l.i, func(directory.Certificate) ([]byte, error) {
				o := &directory.Echo{Signer: publicOf(testKey(signerKey(l.i))), Epoch: e.Epoch, Attempt: a, Votes: e.Votes, Header: e.Header}
				return o.Sign(c.id, testKey("forged online"))
			}), some()...)
		}
	}
	for _, h := range slices.SortedFunc(maps.Keys(heads), compareHashes) {
		head, err := directory.ParseHead(heads[h])
		check(c.t, err)
		for range 2 {
			c.show(c.forge(l.i, func(cert directory.Certificate) ([]byte, error) {
				s := directory.Snapshot{Head: *head}
				raw, err := NewCertificate(c.id, testKey(signerKey(l.i)), bytes.Clone(cert.Online[:]), 9, time.Now())
				check(c.t, err)
				co, err := s.Unsigned().Cosign(max(head.Header.Epoch, sl.epoch), raw, testKey("forged online"))
				if err != nil {
					return nil, err
				}
				return co.Sign(c.id, testKey("forged online"))
			}), some()...)
		}
	}
}
