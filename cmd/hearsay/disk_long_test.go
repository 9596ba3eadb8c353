//go:build long && linux && !race

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// place makes a directory that is not among those of t.TempDir, which all lie where
// the first one does.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hearsay-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// mounted mounts a small file system in memory.
func mounted(t *testing.T, size string) string {
	t.Helper()
	dir := place(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount: %v: run it by `just disk`", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// networkOn starts a network whose homes lie on a disk.
func networkOn(t *testing.T, disk string) *network {
	t.Helper()
	t.Setenv("TMPDIR", disk)
	w := startNetwork(t, 6)
	if !strings.HasPrefix(w.dir, disk) {
		t.Fatalf("the network lies in %s", w.dir)
	}
	return w
}

// fill takes space of a disk until so much is free, and returns what gives it back.
func fill(t *testing.T, dir string, free int64) (release func()) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-free); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// pairOfScripts starts two people who know each other.
func pairOfScripts(t *testing.T, w *network, homes ...string) (alice, bob *script, atAlice, atBob string) {
	t.Helper()
	alice = startScript(t, "hearsay", "rpc", "--home", homes[0], "--network", w.link, "--log-level", "error")
	bob = startScript(t, "hearsay", "rpc", "--home", homes[1], "--network", w.link, "--log-level", "error")
	alice.untilReady()
	bob.untilReady()
	atAlice, atBob = introduce(t, alice, bob, "bob", "alice")
	return alice, bob, atAlice, atBob
}

// send sends a text and returns its id.
func (s *script) send(contact, text string) string {
	s.t.Helper()
	var sent struct{ ID string }
	s.must(&sent, "message.send", map[string]any{"contact": contact, "text": text})
	return sent.ID
}

// has reports whether a text came, once.
func (s *script) has(contact, text string) bool {
	n := 0
	for _, m := range s.messages(contact) {
		if m.Direction == "in" && m.Text == text {
			n++
		}
	}
	if n > 1 {
		s.t.Errorf("%q came %d times", text, n)
	}
	return n == 1
}

// TestDiskOfRelaysFull: no relay has space for another block. What is written
// waits and is not called stored; what lies there is still handed out; five seconds
// after there is space it goes on.
func TestDiskOfRelaysFull(t *testing.T) {
	home, disk := place(t), mounted(t, "400m")
	w := networkOn(t, disk)
	alice, bob, atAlice, atBob := pairOfScripts(t, w, home+"/alice", home+"/bob")
	alice.send(atAlice, "before")
	bob.until("received", func() bool { return bob.has(atBob, "before") })

	release := fill(t, disk, 200<<20) // relays keep 256 MiB free
	<-time.After(3 * time.Second)     // they look once a second
	began := time.Now()
	id := alice.send(atAlice, "while it is full")
	took := time.Since(began)
	<-time.After(15 * time.Second)
	for _, m := range alice.messages(atAlice) {
		if m.ID == id && (m.State != "queued" || m.Copies != nil && m.Copies.Have > 0) {
			t.Errorf("the text is %s although no relay has space", m.State)
		}
	}
	if bob.has(atBob, "while it is full") {
		t.Error("a relay took a block without space")
	}
	release()
	began = time.Now()
	bob.until("received", func() bool { return bob.has(atBob, "while it is full") })
	t.Logf("taken in %v; received %.1f s after there was space (the relay looks once a second and says to come back in 5 s)", took.Round(time.Millisecond), time.Since(began).Seconds())
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestDiskOfRelaysWithoutAByte: the disk of all relays has nothing left at all.
// They may end or refuse, but lose nothing that they gave a receipt for.
func TestDiskOfRelaysWithoutAByte(t *testing.T) {
	home, disk := place(t), mounted(t, "400m")
	w := networkOn(t, disk)
	alice, bob, atAlice, atBob := pairOfScripts(t, w, home+"/alice", home+"/bob")
	bob.shutdown()
	stored := alice.send(atAlice, "has receipts")
	alice.until("two receipts", func() bool {
		return slices.ContainsFunc(alice.messages(atAlice), func(m message) bool { return m.ID == stored && m.Copies != nil && m.Copies.Have == 2 })
	})
	release := fill(t, disk, 0)
	for n := range 8 {
		alice.send(atAlice, fmt.Sprint("without a byte ", n))
	}
	<-time.After(10 * time.Second)
	ended := 0
	for _, r := range w.relays { // as a service manager would
		select {
		case <-r.exited:
			ended++
		default:
		}
	}
	release()
	for id, r := range w.relays {
		select {
		case <-r.exited:
			w.restart(id)
		default:
		}
	}
	bob = startScript(t, "hearsay", "rpc", "--home", home+"/bob", "--network", w.link, "--log-level", "error")
	began := time.Now()
	bob.until("received", func() bool { return bob.has(atBob, "has receipts") && bob.has(atBob, "without a byte 7") })
	for n := range 8 {
		if !bob.has(atBob, fmt.Sprint("without a byte ", n)) {
			t.Errorf("text %d is lost", n)
		}
	}
	t.Logf("%d of %d relays ended and were started again; all there %.1f s later", ended, len(w.relays), time.Since(began).Seconds())
}

// TestDiskOfAClientFull: what a person writes is refused with the reason, what comes
// stays at the relays, and with space all goes on.
func TestDiskOfAClientFull(t *testing.T) {
	home, disk := place(t), mounted(t, "64m")
	w := startNetwork(t, 6)
	alice, bob, atAlice, atBob := pairOfScripts(t, w, home+"/alice", disk+"/bob")
	release := fill(t, disk, 0)
	refused := false
	for n := range 200 { // free pages of the database come first
		if _, err := bob.call("message.send", map[string]any{"contact": atBob, "text": fmt.Sprint(n, strings.Repeat("x", 8000))}); err != nil {
			if !strings.Contains(err.Error(), "(io)") {
				t.Errorf("refused by %v", err)
			}
			refused = true
			break
		}
	}
	if !refused {
		t.Error("a full disk took everything")
	}
	alice.send(atAlice, "to a full disk")
	<-time.After(10 * time.Second)
	release()
	began := time.Now()
	bob.until("received", func() bool { return bob.has(atBob, "to a full disk") })
	t.Logf("received %.1f s after there was space", time.Since(began).Seconds())
	bob.send(atBob, "from a disk with space")
	alice.until("received", func() bool { return alice.has(atAlice, "from a disk with space") })
	bob.shutdown()
	soundDatabase(t, disk+"/bob")
}
