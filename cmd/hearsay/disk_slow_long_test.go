//go:build long && linux && !race

package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestDiskSlow: each sync of every database takes 300 ms. Nothing times out for
// good, nothing is lost, nothing comes twice.
func TestDiskSlow(t *testing.T) {
	const sync = 300 * time.Millisecond
	useBuild(t, filepath.Join("syscall", "zsyscall_linux_"+runtime.GOARCH+".go"), "func Fdatasync(fd int) (err error) {\n",
		fmt.Sprintf("func Fdatasync(fd int) (err error) {\n\tpause := NsecToTimespec(%d)\n\t_ = Nanosleep(&pause, nil)\n", sync.Nanoseconds()))
	w := startNetwork(t, 6)
	alice, bob, atAlice, atBob := pairOfScripts(t, w, w.dir+"/alice", w.dir+"/bob")
	var took []time.Duration
	for n := range 20 {
		text := fmt.Sprint("slowly ", n)
		began := time.Now()
		alice.send(atAlice, text)
		bob.until("received", func() bool { return bob.has(atBob, text) })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d texts with %v for each sync: half within %.1f s, all within %.1f s", len(took), sync, took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	if p50 := took[len(took)/2]; p50 > 15*sync {
		t.Errorf("half of them took %v or more", p50)
	}
}
