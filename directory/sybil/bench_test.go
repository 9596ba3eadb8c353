package sybil

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"hearsay/directory"
)

// crowd is a grown network of n relays with seven signers, an AS table, and
// histories as they come: several restarts, families, settings.
func crowd(t testing.TB, n int) *world {
	c := open
	c.signers = 7
	for i := range 220 {
		c.as += fmt.Sprintf("%d.0.0.0/8 %d\n", i+1, i%60+1)
	}
	w := newWorld(t, c)
	w.old()
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	var parts directory.LedgerParts
	for i := range n {
		a := w.add(fmt.Sprint("relay", i), addr4(byte(1+i%220), byte(i/220), byte(i%7), 1).Addr().String())
		a.speed = byte(60 + rnd.IntN(30))
		a.d.Declared, a.d.Software = uint64(1000*(1+rnd.IntN(30))), fmt.Sprint("hearsay 0.", rnd.IntN(5))
		a.d.Nick, a.d.Contact = fmt.Sprint("relay", rnd.IntN(n/2)), fmt.Sprint("op", rnd.IntN(n/2))
		if rnd.IntN(4) > 0 {
			a.d.Families = []directory.Family{{Key: [32]byte{1, byte(i / 3), byte(i / 768)}, Expires: w.at.Add(1e4 * time.Hour)}}
		}
		w.ledger = nil
		w.history(a, func(h *directory.History) {
			h.Listed = uint32(rnd.IntN(290 * daySeconds))
			h.FirstListed = uint32(w.at.Unix()) - h.Listed - 7200
			if rnd.IntN(2) == 0 {
				h.State |= directory.StateVouched
			}
			for range rnd.IntN(8) {
				ups(h, rnd.IntN(720))
			}
		})
		parts.Relays = append(parts.Relays, w.ledger.Parts().Relays[0])
	}
	w.ledger = directory.NewLedger(w.at.Add(-time.Hour), parts)
	return w
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := crowd(b, n).input()
			b.ReportAllocs()
			for b.Loop() {
				if out := Judge(in); len(out.Listed) < n*9/10 {
					b.Fatal(len(out.Listed))
				}
			}
		})
	}
}
