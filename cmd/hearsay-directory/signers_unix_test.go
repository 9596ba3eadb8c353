//go:build unix && !race

// A minute of this test goes by in waiting for epochs. The race detector sees the
// same code in relay/lab.

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/relay"
)

// process is a program of ours in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	first  chan string // the first line of stdout
	exited chan struct{}

	mu     sync.Mutex
	stderr bytes.Buffer
}

// start runs a program, and kills it at the end of the test.
func start(t *testing.T, command string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(command, args...), first: make(chan string, 1), exited: make(chan struct{})}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = (*stderrOf)(p)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		s := bufio.NewScanner(stdout)
		for n := 0; s.Scan(); n++ {
			if n == 0 {
				p.first <- s.Text()
			}
		}
		_ = p.cmd.Wait() // the code of what was killed says nothing
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("stderr of %s:\n%s", strings.Join(args, " "), p.stderr.String())
		}
	})
	return p
}

// stderrOf collects what a process writes to stderr.
type stderrOf process

func (s *stderrOf) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(b)
}

// kill is kill -9, also of a process that is stopped.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// ready waits for the line that says that the program serves, and returns the id.
func (p *process) ready() string {
	p.t.Helper()
	select {
	case l := <-p.first:
		var r struct{ Type, ID string }
		if err := json.Unmarshal([]byte(l), &r); err != nil || r.Type != "ready" {
			p.t.Fatalf("%q: %v", l, err)
		}
		return r.ID
	case <-p.exited:
		p.t.Fatal("the program ended")
	case <-time.After(3 * time.Minute):
		p.t.Fatal("the program is not ready")
	}
	return ""
}

// committee is a lab network of four founders, three of whom must sign, each with a
// process.
type committee struct {
	t        *testing.T
	bin, dir string
	chain    *directory.Chain
	link     string
	asks     *link.Endpoint
	signers  [4]*process
	relays   []string // ids
	hashes   map[uint64][32]byte
	began    time.Time
}

// run runs a command to its end and returns what it prints.
func (c *committee) run(args ...string) string {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

func (c *committee) home(i int) string { return filepath.Join(c.dir, fmt.Sprint("founder", i)) }

// found holds the ceremony as four people would, by their commands.
func (c *committee) found() {
	c.t.Helper()
	var cards []string
	for i := range 4 {
		addr, err := ports.Free()
		if err != nil {
			c.t.Fatal(err)
		}
		card := filepath.Join(c.dir, fmt.Sprint(i, ".card"))
		c.run("founder", "card", "--home", c.home(i), "--label", fmt.Sprint("founder", i), "--lab", "--listen", addr, "--out", card)
		cards = append(cards, card)
	}
	draft := filepath.Join(c.dir, "draft")
	c.run(append([]string{"founder", "draft", "--name", "harbour", "--lab", "--join", "open", "--out", draft}, cards...)...)
	for i := range 4 {
		c.run("founder", "sign", draft, "--home", c.home(i), "--yes", "--json")
	}
	for i := range 4 {
		var made struct{ Link string }
		if err := json.Unmarshal([]byte(c.run("founder", "assemble", draft, "--home", c.home(i), "--json")), &made); err != nil {
			c.t.Fatal(err)
		}
		c.link = made.Link
	}
	var err error
	if c.chain, err = relay.FounderChain(c.home(0)); err != nil {
		c.t.Fatal(err)
	}
	if n, k := len(c.chain.Current().Signers), directory.SignThreshold(4); n != 4 || k != 3 {
		c.t.Fatalf("%d signers, %d must sign", n, k)
	}
}

func (c *committee) serve(i int) *process {
	c.t.Helper()
	return start(c.t, filepath.Join(c.bin, name), "run", "--home", c.home(i), "--json", "--log-level", "info")
}

// head asks the directory of a founder for a head, 0 for the newest, and verifies
// that at least three signed it; nil if it has none or does not answer.
func (c *committee) head(i int, epoch uint64) *directory.Head {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // it may be stopped
	defer cancel()
	raw, err := c.ask(ctx, i, epoch)
	if err != nil || len(raw) == 0 {
		return nil
	}
	h, err := directory.ParseHead(raw)
	if err == nil {
		err = c.chain.VerifySigned(h, c.chain.InitialState())
	}
	if signed, _ := h.Signers(c.chain); err != nil || len(signed) < 3 {
		c.t.Fatalf("founder %d serves a head with %d signatures: %v", i, len(signed), err)
	}
	if old, ok := c.hashes[h.Header.Epoch]; ok && old != h.Hash() {
		c.t.Fatalf("two headers of epoch %d", h.Header.Epoch)
	}
	c.hashes[h.Header.Epoch] = h.Hash()
	return h
}

// ask sends HEAD and reads the answer.
func (c *committee) ask(ctx context.Context, i int, epoch uint64) ([]byte, error) {
	id := c.boot(i)
	var t link.Target
	t.Partial = true
	copy(t.ID[:], id.ID[:])
	t.Addrs = append(t.Addrs, id.Addr)
	l, err := c.asks.Link(ctx, t)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s, err := l.Open(ctx, link.KindRequest)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := s.Write(binary.BigEndian.AppendUint64([]byte{0x11, 0, 0, 8}, epoch)); err != nil {
		return nil, err
	}
	for {
		var h [4]byte
		if _, err := io.ReadFull(s, h[:]); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint16(h[2:]))
		if _, err := io.ReadFull(s, body); err != nil || h[0] == 0x91 {
			return body, err
		}
	}
}

// boot is the bootstrap that a founder's directory is.
func (c *committee) boot(i int) directory.Bootstrap {
	c.t.Helper()
	raw, err := relay.Card(c.home(i))
	if err != nil {
		c.t.Fatal(err)
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		c.t.Fatal(err)
	}
	return *card.Bootstrap
}

// until asks a founder's directory again and again until its newest head is as
// wanted, and returns its epoch.
func (c *committee) until(what string, i int, ok func(h *directory.Head) bool) uint64 {
	c.t.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); <-again.C {
		if h := c.head(i, 0); h != nil && ok(h) {
			c.t.Logf("%s: epoch %d, %v after the start", what, h.Header.Epoch, time.Since(c.began).Round(time.Second))
			return h.Header.Epoch
		}
	}
	c.t.Fatalf("%s: never", what)
	return 0
}

// by tells whether a founder signed a head.
func (c *committee) by(h *directory.Head, i int) bool {
	signed, _ := h.Signers(c.chain)
	return slices.ContainsFunc(signed, func(k directory.FounderKey) bool { return k.Label == fmt.Sprint("founder", i) })
}

// since wants epochs after one.
func since(epoch uint64) func(h *directory.Head) bool {
	return func(h *directory.Head) bool { return h.Header.Epoch > epoch }
}

// TestFourSignersThreeMustSign runs a network of four founders, each in a process of
// its own. One is killed, one is cut off, one equivocates: snapshots go on, those
// that come back sign again, who votes twice is named, and no epoch has two headers.
func TestFourSignersThreeMustSign(t *testing.T) {
	t.Parallel() // most of it is waiting
	c := &committee{t: t, bin: t.TempDir(), dir: t.TempDir(), hashes: make(map[uint64][32]byte), began: time.Now()}
	if out, err := exec.Command("go", "build", "-o", c.bin+string(filepath.Separator), "hearsay/cmd/hearsay-directory", "hearsay/cmd/hearsay-relay").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	c.found()
	var err error
	listen := func() (net.PacketConn, error) { return net.ListenPacket("udp4", "127.0.0.1:0") }
	if c.asks, err = link.New(link.Config{Role: link.RoleClient, Network: c.chain.ID(), Lab: true, ListenPacket: listen}); err != nil {
		t.Fatal(err)
	}
	defer c.asks.Close()
	for i := range 4 {
		c.signers[i] = c.serve(i)
	}
	for i := range 3 {
		p := start(t, filepath.Join(c.bin, "hearsay-relay"), "run", "--home", filepath.Join(c.dir, fmt.Sprint("relay", i)), "--network", c.link, "--listen", "127.0.0.1:0", "--json")
		c.relays = append(c.relays, p.ready())
	}
	for _, p := range c.signers {
		p.ready()
	}
	began := c.until("all relays are listed", 0, func(h *directory.Head) bool { return h.Header.N == 3 })

	// Killed: the others go on, and it signs again when it is back.
	c.signers[0].kill()
	last := c.until("after a kill", 1, func(h *directory.Head) bool { return h.Header.Epoch > began && !c.by(h, 0) })
	c.signers[0] = c.serve(0)
	c.signers[0].ready()
	last = c.until("the killed one signs again", 0, func(h *directory.Head) bool { return h.Header.Epoch > last && c.by(h, 0) })

	// Cut off, as if its packets were dropped: it takes in nothing and sends nothing.
	if err := c.signers[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	last = c.until("one is cut off", 0, func(h *directory.Head) bool { return h.Header.Epoch > last && !c.by(h, 1) })
	if err := c.signers[1].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	// Equivocates: a second process with the same keys says something else of a
	// relay. Its directory has another identity, so it dials out alone.
	c.signers[2].kill()
	twin := c.home(2) + "-twin"
	if err := os.Remove(filepath.Join(c.home(2), "status.sock")); err != nil { // no file to copy
		t.Fatal(err)
	}
	if err := os.CopyFS(twin, os.DirFS(c.home(2))); err != nil {
		t.Fatal(err)
	}
	hide(t, twin)
	if err := os.Remove(filepath.Join(twin, "identity.key")); err != nil {
		t.Fatal(err)
	}
	c.run("mark", c.relays[0], "--home", twin, "--watch", "--reason", "the twin says so")
	c.signers[2] = c.serve(2)
	start(t, filepath.Join(c.bin, name), "run", "--home", twin, "--json")

	last = c.until("the one that was cut off signs again", 1, func(h *directory.Head) bool { return h.Header.Epoch > last && c.by(h, 1) })
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for end := time.Now().Add(4 * time.Minute); !c.accused("founder2"); <-again.C {
		if time.Now().After(end) {
			t.Fatal("no evidence against the one that votes twice")
		}
	}
	last = max(last, c.until("evidence is there", 3, func(*directory.Head) bool { return true }))
	last = c.until("the network goes on", 3, since(last))
	c.until("and everybody has it", 0, func(h *directory.Head) bool { return h.Header.Epoch >= last })

	// What each of them holds of each epoch is the same.
	for i := range 4 {
		for epoch := began; epoch <= last; epoch++ {
			c.head(i, epoch)
		}
	}
	if len(c.hashes) < 5 {
		t.Errorf("only %d epochs", len(c.hashes))
	}
}

// hide takes from all but the owner what the copy of a home gave them.
func hide(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if e.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// accused tells whether people are shown evidence against a founder alone.
func (c *committee) accused(label string) bool {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, name), "show", "--network", c.link, "--json", "--timeout", "5s")
	out, _ := cmd.Output() // it may find no snapshot at that moment
	for line := range strings.Lines(string(out)) {
		var e evidenceJSON
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "evidence" {
			if !slices.Equal(e.Culprits, []string{label}) {
				c.t.Fatalf("evidence against %v: %s", e.Culprits, e.Text)
			}
			c.t.Log(e.Text)
			return true
		}
	}
	return false
}
