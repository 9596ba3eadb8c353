package main

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hearsay/chat"
	"hearsay/directory"
)

// screen is a program on a pseudo-terminal.
type screen struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	began  time.Time
	ended  chan error

	mu      sync.Mutex
	out     []byte
	at      time.Time // of the last reading
	changed chan struct{}
}

// startOnTerminal runs a program of ours on a pseudo-terminal of w by h cells, and
// ends it with the test.
func startOnTerminal(t *testing.T, w, h int, command string, args ...string) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(h), Col: uint16(w)}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, cmd: exec.Command(filepath.Join(bin, command), args...), master: master, ended: make(chan error, 1), changed: make(chan struct{})}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 64<<10)
		for {
			n, err := master.Read(b)
			at := time.Now()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.out, s.at = append(s.out, b[:n]...), at
			close(s.changed)
			s.changed = make(chan struct{})
			s.mu.Unlock()
		}
	}()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.ended
		<-read
		master.Close()
	})
	return s
}

// until waits until a text was written after the first skip bytes, and tells when
// it was read.
func (s *screen) until(text string, skip int) time.Time {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		found, at, changed := bytes.Contains(s.out[skip:], []byte(text)), s.at, s.changed
		s.mu.Unlock()
		if found {
			return at
		}
		select {
		case <-changed:
		case <-deadline:
			s.t.Fatalf("%q is not on the screen after %s", text, patience)
		}
	}
}

func (s *screen) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.out)
}

func (s *screen) keys(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.master, text); err != nil {
		s.t.Fatal(err)
	}
}

// memory returns the resident memory, now and at its highest, in MiB.
func (s *screen) memory() (now, highest float64) {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			highest = kib / 1024
		}
	}
	return now, highest
}

// fullScreen tells whether the screen is measured in full:
// HEARSAY_SCREEN=full go test -v -run OnATerminal ./cmd/hearsay.
func fullScreen() bool { return os.Getenv("HEARSAY_SCREEN") == "full" }

// TestStartOnATerminal opens a home with 100,000 messages on a pseudo-terminal, and
// measures how long it takes until the last one stands on the screen, and the
// memory after scrolling and searching.
func TestStartOnATerminal(t *testing.T) {
	n := 2000
	if fullScreen() {
		n = 100_000
	}
	home := filepath.Join(t.TempDir(), "home")
	const passphrase = "correct horse battery staple"
	if fullScreen() {
		fillNotes(t, home, n, []byte(passphrase))
	} else {
		fillNotes(t, home, n, nil) // deriving the key takes a second, on purpose
	}
	s := startOnTerminal(t, 100, 28, "hearsay", "--home", home, "--cover", "off")
	from := s.began
	if fullScreen() {
		asked := s.until("passphrase: ", 0).Sub(s.began)
		from = time.Now()
		s.keys(passphrase + "\r")
		t.Logf("asks for the passphrase after %s", asked.Round(time.Millisecond))
	}
	s.until("notes", 0)
	s.keys("\x1b1") // alt+1: the first of the list
	shown := s.until(fmt.Sprint("note ", n-1), 0).Sub(from)
	skip := s.written()
	s.keys("see you")
	usable := s.until("y", skip).Sub(from)
	for range 20 {
		skip = s.written()
		s.keys("\x1b[5~")      // page up
		s.until("\x1b[", skip) // what changed, cell by cell
	}
	s.keys("\x15") // clears the line
	s.keys("/search no such word")
	skip = s.written()
	s.keys("s")
	s.until("s", skip) // alone: a word may be drawn in parts
	at := time.Now()
	s.keys("\r")
	searched := s.until("nothing found", 0).Sub(at)
	now, highest := s.memory()
	t.Logf("all of them searched in %s", searched.Round(time.Millisecond))
	t.Logf("%d messages: shown after %s, takes keys after %s, memory %.0f MiB, at its highest %.0f MiB",
		n, shown.Round(time.Millisecond), usable.Round(time.Millisecond), now, highest)
	// Behind a passphrase the key costs a second and 256 MiB for that time.
	if fullScreen() && (shown > time.Second+keyTime || now > 150) {
		t.Error("more than 1 s after the key was derived, or 150 MiB")
	}
}

// keyTime is how long deriving a key from a passphrase may take here.
const keyTime = 1500 * time.Millisecond

// fillNotes makes a home with n notes, offline.
func fillNotes(t *testing.T, home string, n int, passphrase []byte) {
	t.Helper()
	link := directory.NetworkLink{ID: directory.NetworkID{1}, Bootstraps: []directory.Bootstrap{{Addr: netip.MustParseAddrPort(freePort(t))}}}
	m, err := chat.Open(chat.Config{Home: home, Network: link.String(), Passphrase: passphrase})
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan func() (chat.Message, error), 1000)
	go func() {
		defer close(waits)
		for i := range n {
			waits <- m.StartSend(t.Context(), chat.NotesID, fmt.Sprintf("note %d: the quick brown fox jumps over the lazy dog, as people write", i), chat.SendOptions{})
		}
	}()
	for wait := range waits {
		if _, err := wait(); err != nil {
			t.Error(err)
		}
	}
	if _, err := m.Close(); err != nil {
		t.Fatal(err)
	}
}
