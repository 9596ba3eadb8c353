package chat

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/relay/lab/anonymity"
)

// TestCarelessWhisperOfContact: a contact who sends text after text to learn from
// the acknowledgements when somebody is there learns nothing but that their program
// runs. Acknowledgements wait for a random time, the same whether what came is read
// at once, answered elsewhere, or looked at by nobody. HEARSAY_PROBES sets how many.
func TestCarelessWhisperOfContact(t *testing.T) {
	if tm := timingOf(false); tm.ackMin != 2*time.Second || tm.ackMax != 30*time.Second {
		t.Errorf("acknowledgements wait %v to %v", tm.ackMin, tm.ackMax)
	}
	synctest.Test(t, func(t *testing.T) {
		probes, _ := strconv.Atoi(os.Getenv("HEARSAY_PROBES"))
		probes = max(40, probes&^1)
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		tm := bob.timing()

		var mu sync.Mutex
		var there bool     // bob is before the screen
		var came time.Time // the probe under way
		var present, absent []float64
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		atBob, atAlice := bob.Subscribe(), alice.Subscribe()
		wg.Go(func() {
			for {
				ev, err := atBob.Next(ctx)
				if err != nil {
					return
				}
				if ev.Type != MessageReceived {
					continue
				}
				mu.Lock()
				came = time.Now()
				reads := there
				mu.Unlock()
				if reads {
					if err := bob.MarkDisplayed(ctx, a, ev.Message.Seq); err != nil {
						t.Error(err)
					}
					if _, err := bob.Send(ctx, NotesID, "seen"); err != nil {
						t.Error(err)
					}
				}
			}
		})
		wg.Go(func() {
			for {
				ev, err := atAlice.Next(ctx)
				if err != nil {
					return
				}
				if ev.Type != MessageStateChanged || ev.Message.State != Delivered {
					continue
				}
				mu.Lock()
				wait := time.Since(came)
				if wait < tm.ackMin || wait > tm.ackMax+tm.ackGap+time.Second {
					t.Errorf("acknowledged after %v, want %v to %v", wait, tm.ackMin, tm.ackMax)
				}
				if there {
					present = append(present, wait.Seconds())
				} else {
					absent = append(absent, wait.Seconds())
				}
				mu.Unlock()
			}
		})
		for i := range probes {
			mu.Lock()
			there = i%2 == 0
			mu.Unlock()
			alice.say(b, fmt.Sprint("probe ", i))
			<-time.After(tm.ackMax + tm.ackGap + 2*time.Second)
		}
		cancel()
		wg.Wait()
		if len(present) != probes/2 || len(absent) != probes/2 {
			t.Fatalf("%d and %d acknowledgements of %d probes", len(present), len(absent), probes)
		}
		// One run in ten thousand fails by chance; what depends on somebody's
		// being there does nearly always.
		if d, p := anonymity.KS(present, absent); p < 1e-4 {
			t.Errorf("acknowledgements tell who is there: distance %.3f, p %.6f", d, p)
		}
	})
}
