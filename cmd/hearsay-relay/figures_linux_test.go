package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearsay/cmd/program"
	"hearsay/relay"
)

// What the program of a relay may take.
const (
	mostSize   = 20 << 20        // bytes of the program, as it is released
	mostIdle   = 40 << 10        // KiB in memory, of a listed relay that carries nothing
	mostToBoot = time.Second     // from its start to the ready line
	idleFor    = 5 * time.Second // after it was listed, before memory is read
)

// BenchmarkProgram builds the program as it is released, starts it in a network of
// four relays, and reports its size, the time to its ready line, with a new home and
// with an old one, and what it takes in memory when it is listed and idle. A figure
// over its target fails.
func BenchmarkProgram(b *testing.B) {
	bin := filepath.Join(b.TempDir(), name)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	st, err := os.Stat(bin)
	if err != nil {
		b.Fatal(err)
	}
	link := foundNetwork(b).String()
	for i := range 3 {
		startMeasured(b, bin, "--home", filepath.Join(b.TempDir(), fmt.Sprint(i)), "--network", link)
	}
	home := filepath.Join(b.TempDir(), "measured")
	p, first := startMeasured(b, bin, "--home", home, "--network", link)
	var again []time.Duration
	for range 9 {
		p.stop(b)
		var d time.Duration
		p, d = startMeasured(b, bin, "--home", home)
		again = append(again, d)
	}
	slices.Sort(again)
	for s := (&relay.StatusReport{}); !s.Listed; {
		<-time.After(200 * time.Millisecond)
		if s, err = relay.AskStatus(b.Context(), home); err != nil {
			b.Fatal(err)
		}
	}
	<-time.After(idleFor)
	idle := p.memory(b)

	b.ReportMetric(float64(st.Size())/(1<<20), "MiB-program")
	b.ReportMetric(float64(idle)/(1<<10), "MiB-idle")
	b.ReportMetric(float64(first.Milliseconds()), "ms-to-first-ready")
	b.ReportMetric(float64(again[len(again)/2].Milliseconds()), "ms-to-ready")
	b.ReportMetric(float64(again[len(again)-1].Milliseconds()), "ms-to-ready-max")
	b.ReportMetric(0, "ns/op") // the time of the whole says nothing
	if st.Size() > mostSize || idle > mostIdle || max(first, again[len(again)-1]) > mostToBoot {
		b.Errorf("over a target: %d bytes of %d, %d KiB of %d in memory, %v and %v of %v to be ready", st.Size(), mostSize, idle, mostIdle, first, again, mostToBoot)
	}
}

// measured is a process of the program.
type measured struct {
	cmd *exec.Cmd
}

// startMeasured runs a relay and returns it with the time to its ready line.
func startMeasured(b *testing.B, bin string, args ...string) (*measured, time.Duration) {
	b.Helper()
	p := &measured{exec.Command(bin, append([]string{"run", "--listen", "127.0.0.1:0", "--json", "--log-level", "error"}, args...)...)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.stop(b) })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	took := time.Since(began)
	var ready program.Ready
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		b.Fatalf("%q: %v", line, err)
	}
	return p, took
}

// stop ends the process as an operator does. It is idempotent.
func (p *measured) stop(b *testing.B) {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		b.Error(err)
	}
}

// memory returns the KiB that the process has in memory.
func (p *measured) memory(b *testing.B) (kib int) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil || kib == 0 {
		b.Fatalf("no VmRSS in %s", text)
	}
	return kib
}
