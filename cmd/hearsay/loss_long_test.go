//go:build long && linux && !race

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// loseDatagrams has the kernel lose so many of 100 datagrams of this network
// namespace, each way: where they come in, since the sender would hear of it where
// they go out. It returns what tells how many were lost.
func loseDatagrams(t *testing.T, percent int) (lost func() int) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`table inet loss {
  chain c {
    type filter hook input priority 0;
    iifname "lo" meta l4proto udp numgen random mod 100 < %d counter drop
  }
}
`, percent))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s: run it by `just loss`", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", "loss").Run() })
	return func() (n int) {
		out, err := exec.Command("nft", "list", "table", "inet", "loss").Output()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(out), "counter packets ")
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return n
	}
}

// TestLossOfDatagrams: two people write to each other while the kernel loses
// HEARSAY_LOSS of 100 datagrams on every link. Each text comes, once, in the time that
// the target gives, and clients do not build circuits without end.
func TestLossOfDatagrams(t *testing.T) {
	percent, _ := strconv.Atoi(os.Getenv("HEARSAY_LOSS"))
	if percent <= 0 {
		percent = 10
	}
	texts, _ := strconv.Atoi(os.Getenv("HEARSAY_LOSS_TEXTS"))
	texts = max(60, texts)
	half, nearly := 1500*time.Millisecond, 10*time.Second
	if percent > 10 {
		half, nearly = 8*time.Second, time.Minute
	}
	w := startNetwork(t, 8)
	alice, bob, atAlice, atBob := pairOfScripts(t, w, w.dir+"/alice", w.dir+"/bob")
	for _, s := range []*script{alice, bob} {
		s.must(nil, "subscribe", nil)
	}
	lost := loseDatagrams(t, percent)
	<-time.After(5 * time.Second)

	began := time.Now()
	circuits := func(s *script) (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, ev := range s.events {
			if ev.Type == "circuit.built" {
				n++
			}
		}
		return n
	}
	before := circuits(alice) + circuits(bob)
	sent := map[string]time.Time{}
	took := map[string]time.Duration{}
	look := func() {
		for _, s := range []struct {
			*script
			at string
		}{{alice, atAlice}, {bob, atBob}} {
			seen := map[string]int{}
			for _, m := range s.messages(s.at) {
				if m.Direction != "in" {
					continue
				}
				if seen[m.Text]++; seen[m.Text] > 1 {
					t.Errorf("%q came twice", m.Text)
				}
				if _, ok := took[m.Text]; !ok {
					took[m.Text] = time.Since(sent[m.Text])
				}
			}
		}
	}
	for n := 0; n < texts; n++ {
		from, at := alice, atAlice
		if n%2 == 1 {
			from, at = bob, atBob
		}
		text := fmt.Sprint("text ", n)
		sent[text] = time.Now()
		from.send(at, text)
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			<-time.After(50 * time.Millisecond)
			look()
		}
	}
	for end := time.Now().Add(3 * time.Minute); len(took) < texts && time.Now().Before(end); {
		<-time.After(50 * time.Millisecond)
		look()
	}
	minutes := time.Since(began).Minutes()
	if len(took) != texts {
		t.Errorf("%d of %d texts came", len(took), texts)
	}
	var all []time.Duration
	for _, d := range took {
		all = append(all, d)
	}
	slices.Sort(all)
	p50, p99 := all[len(all)/2], all[min(len(all)-1, len(all)*99/100)]
	built := float64(circuits(alice)+circuits(bob)-before) / 2 / minutes
	if lost() < texts {
		t.Errorf("only %d datagrams were lost", lost())
	}
	t.Logf("%d %% of datagrams lost each way, %d in all, %d texts: p50 %.2f s (target %.1f), p99 %.2f s (target %.0f), %.1f circuits built a minute and client (target 6)",
		percent, lost(), texts, p50.Seconds(), half.Seconds(), p99.Seconds(), nearly.Seconds(), built)
	if p50 > half || p99 > nearly {
		t.Error("slower than the target")
	}
	if built > 6 {
		t.Error("more circuits are built than the target allows")
	}
}
