package main

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the nodes of the tests that start processes.
func TestMain(m *testing.M) {
	if role := os.Getenv(nodeEnv); role != "" {
		os.Exit(runNode(role, os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// TestCircuitsBesideAChain runs a small measurement with all its processes. How
// fast they are is no matter of a test.
func TestCircuitsBesideAChain(t *testing.T) {
	var said strings.Builder
	b := &bench{progress: &said, rounds: 1, megabytes: 1, links: 1, each: 2}
	if err := b.run("roundtrip,one,upload,many"); err != nil {
		t.Fatal(err)
	}
	measured := map[string]float64{}
	for _, f := range b.figures {
		measured[f.name] = f.measured
	}
	for _, name := range []string{
		"round trip of 256 bytes, three hops, p50", "round trip of 256 bytes, three hops, beside 1 bulk circuits, p50",
		"download, one circuit, ratio to the chain", "CPU per MB in one relay", "upload, one circuit, ratio to the chain",
		"download, 64 circuits, ratio to the chain",
	} {
		if measured[name] <= 0 {
			t.Errorf("%s: %v", name, measured[name])
		}
	}
	if t.Failed() {
		t.Log(said.String())
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		f    figure
		want string
	}{
		{figure{must: 6, aim: 4.8, measured: 4.8}, "aim"},
		{figure{must: 6, aim: 4.8, measured: 5}, "must"},
		{figure{must: 6, aim: 4.8, measured: 6.1}, "MISSED"},
		{figure{must: 0.6, aim: 0.8, more: true, measured: 0.7}, "must"},
		{figure{must: 0.6, aim: 0.8, more: true, measured: 0.5}, "MISSED"},
		{figure{must: 12, measured: 11}, "must"},
		{figure{measured: 11}, ""},
	} {
		if got := c.f.verdict(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.f, got, c.want)
		}
	}
}

// TestRateLeavesOutBothEnds moves bytes at a known pace past the marks.
func TestRateLeavesOutBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{begin: 1000, finish: 8000, started: time.Now()}
		for range 100 { // 100 bytes each second, but for a slow beginning and end
			time.Sleep(time.Second)
			m.add(100)
			if n := m.moved.Load(); n < 1000 || n >= 8000 {
				time.Sleep(time.Minute)
			}
		}
		if r := m.rate(); r != 100 {
			t.Errorf("%v bytes a second, want 100", r)
		}
	})
}
