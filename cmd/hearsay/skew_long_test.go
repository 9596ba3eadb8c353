//go:build long && linux && !race

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clockVariable says how many seconds the clock of a program is off that was built by
// useClocks.
const clockVariable = "HEARSAY_TEST_CLOCK"

// useClocks has the test run programs whose clock the environment sets: a time
// namespace does not move the time of day.
func useClocks(t *testing.T) {
	t.Helper()
	useBuild(t, filepath.Join("time", "time.go"),
		"\t\"math/bits\"\n\t_ \"unsafe\"", "\t\"math/bits\"\n\t\"syscall\"\n\t_ \"unsafe\"",
		"\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {", "\tsec, nsec, mono := runtimeNow()\n\tsec += skewed\n\tif mono == 0 {",
		"", `
// skewed is how many seconds this clock is ahead.
var skewed = func() (n int64) {
	s, _ := syscall.Getenv("HEARSAY_TEST_CLOCK")
	minus := len(s) > 0 && s[0] == '-'
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n = 10*n + int64(s[i]-'0')
		}
	}
	if minus {
		return -n
	}
	return n
}()
`)
}

// at runs f with a clock that is so far off for the programs that it starts.
func at(t *testing.T, off time.Duration, f func()) {
	t.Helper()
	t.Setenv(clockVariable, fmt.Sprint(int(off.Seconds())))
	f()
	t.Setenv(clockVariable, "0")
}

// TestSkewOfClocks: relays whose clocks are ten minutes off carry a conversation, and
// so do clients whose clocks are 36 hours behind, who are told. One whose clock is
// further behind hears why nothing goes. What is signed for some time is so by the clock
// of an ordinary network; here it is a lab's, whose days last four minutes, so a
// client's clock that is ahead may be so by less.
func TestSkewOfClocks(t *testing.T) {
	useClocks(t)
	w := startNetwork(t, 8)
	n := 0
	for id, r := range w.relays { // two of them
		r.kill()
		off := 10 * time.Minute
		if n == 1 {
			off = -off
		}
		at(t, off, func() { w.restart(id) })
		if n++; n == 2 {
			break
		}
	}
	home := func(name string) []string {
		return []string{"rpc", "--home", filepath.Join(w.dir, name), "--network", w.link, "--log-level", "error"}
	}
	for _, c := range []struct {
		off   time.Duration
		works bool
	}{{0, true}, {-time.Hour, true}, {-36 * time.Hour, true}, {3 * time.Minute, true}, {-37 * time.Hour, false}} {
		t.Run(fmt.Sprint(c.off), func(t *testing.T) {
			name := strings.NewReplacer("-", "behind", ".", "").Replace(fmt.Sprint(c.off))
			bob := startScript(t, "hearsay", home("bob"+name)...)
			var alice *script
			at(t, c.off, func() { alice = startScript(t, "hearsay", home("alice"+name)...) })
			type told struct {
				Ready    bool
				Health   string
				Why      *string
				Skew     float64 `json:"clock_skew_s"`
				Warnings json.RawMessage
				Network  json.RawMessage `json:"network_warnings"`
			}
			st := func() (s told) {
				alice.must(&s, "status", nil)
				return s
			}
			words := func(s told) string {
				why := ""
				if s.Why != nil {
					why = *s.Why
				}
				return fmt.Sprintf("%s, %s %s %s", s.Health, why, s.Warnings, s.Network)
			}
			if !c.works {
				alice.until("a reason that names the clock", func() bool { return strings.Contains(words(st()), "clock") })
				if st().Ready {
					t.Error("ready all the same")
				}
				t.Log(words(st()))
				return
			}
			alice.untilReady()
			bob.untilReady()
			atAlice, atBob := introduce(t, alice, bob, "bob", "alice")
			alice.send(atAlice, "what time is it?")
			bob.until("received", func() bool { return bob.has(atBob, "what time is it?") })
			bob.send(atBob, "late")
			alice.until("received", func() bool { return alice.has(atAlice, "late") })
			s := st()
			t.Logf("clock %+.0f s: %s", s.Skew, words(s))
			if off := time.Duration(s.Skew * float64(time.Second)); c.off.Abs() > 30*time.Minute && (off-c.off).Abs() > 5*time.Minute {
				t.Errorf("the clock is said to be off by %v", off)
			}
		})
	}
}
