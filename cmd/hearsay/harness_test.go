package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearsay/cmd/program/programtest"
)

// bin is the directory of the programs that TestMain builds.
var bin string

// patience is how long a test waits for anything, to end one that hangs. It judges no
// speed: a machine may be busy with other tests, or stand still for seconds.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hearsay-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "hearsay/cmd/...").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	bin = dir
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// process is a program of ours under test.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string // of stdout; the tests read all
	exited chan struct{}
	err    error // after exited
	mu     sync.Mutex
	stderr bytes.Buffer
}

// start runs a program and kills it at the end of the test.
func start(t *testing.T, command string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(command), cmd: exec.Command(command, args...), lines: make(chan string, 4096), exited: make(chan struct{})}
	if !filepath.IsAbs(command) {
		p.cmd = exec.Command(filepath.Join(bin, command), args...)
	}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		defer close(p.lines)
		s := bufio.NewScanner(stdout)
		s.Buffer(nil, 2<<20)
		for s.Scan() {
			p.lines <- s.Text()
		}
	})
	readers.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := stderr.Read(b)
			p.mu.Lock()
			p.stderr.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	go func() {
		readers.Wait()
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("end of stderr of %s:\n%s", p.name, lastLines(p.errors(), 8))
		}
	})
	return p
}

// lastLines keeps the end of a log: a failure must stay in sight among the logs of
// a whole network.
func lastLines(log string, n int) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (p *process) errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// kill is kill -9. The output that nobody read is thrown away.
func (p *process) kill() {
	p.cmd.Process.Kill()
	go func() {
		for range p.lines {
		}
	}()
	<-p.exited
}

// line returns the next line of stdout.
func (p *process) line() string {
	p.t.Helper()
	select {
	case l, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s ended: %s", p.name, p.errors())
		}
		return l
	case <-time.After(patience):
		p.t.Fatalf("%s printed no line within %s: %s", p.name, patience, p.errors())
	}
	return ""
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end within %s: %s", p.name, patience, p.errors())
	}
	return p.cmd.ProcessState.ExitCode()
}

// ready is the line of a program that serves.
type readyLine struct {
	V       int    `json:"v"`
	Type    string `json:"type"`
	Program string `json:"program"`
	ID      string `json:"id"`
	Listen  string `json:"listen"`
	Network string `json:"network"`
	Lab     bool   `json:"lab"`
}

// network is a lab network of separate processes.
type network struct {
	t         *testing.T
	dir       string
	link      string
	level     string // of all logs
	directory *process
	relays    map[string]*relayProcess // by id
}

type relayProcess struct {
	*process
	home, listen string
}

// ports are those of this package's tests.
var ports = programtest.NewPorts(10_000, 10_000)

// freePort finds a UDP port on loopback that nobody uses, and no other test gets.
func freePort(t *testing.T) string {
	t.Helper()
	addr, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// startNetwork founds a network and starts a directory and n relays.
func startNetwork(t *testing.T, n int) *network {
	t.Helper()
	return startNetworkLogging(t, n, "warn")
}

// startNetworkLogging is startNetwork with a log level.
func startNetworkLogging(t *testing.T, n int, level string) *network {
	t.Helper()
	w := &network{t: t, dir: t.TempDir(), level: level, relays: map[string]*relayProcess{}}
	home := filepath.Join(w.dir, "directory")
	p := start(t, "hearsay-directory", "init", "--home", home, "--lab", "--join", "open", "--name", "harbour", "--listen", freePort(t), "--json")
	var made struct {
		Type, Name, ID, Link, Join string
		Lab                        bool
		RelayLink                  *string `json:"relay_link"`
	}
	unmarshal(t, p.line(), &made)
	if code := p.wait(); code != 0 || made.Type != "network" || made.Name != "harbour" || made.Join != "open" || !made.Lab || made.RelayLink != nil {
		t.Fatalf("init: code %d, %+v", code, made)
	}
	w.link = made.Link
	w.directory = start(t, "hearsay-directory", "run", "--home", home, "--json", "--log-level", w.level)
	if r := w.ready(w.directory); r.Program != "hearsay-directory" || !r.Lab || r.Network != "harbour" {
		t.Fatalf("ready line %+v", r)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			r := &relayProcess{home: filepath.Join(w.dir, fmt.Sprint("relay", i))}
			r.process = start(t, "hearsay-relay", "run", "--home", r.home, "--network", w.link, "--listen", freePort(t), "--json", "--log-level", w.level)
			line := w.ready(r.process)
			r.listen = line.Listen
			mu.Lock()
			w.relays[line.ID] = r
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(w.relays) != n {
		t.Fatalf("%d relays are ready, want %d", len(w.relays), n)
	}
	return w
}

func (w *network) ready(p *process) readyLine {
	w.t.Helper()
	var r readyLine
	unmarshal(w.t, p.line(), &r)
	if r.V != 1 || r.Type != "ready" {
		w.t.Errorf("ready line %+v", r)
	}
	return r
}

// restart starts a killed relay again, on its address and home.
func (w *network) restart(id string) {
	w.t.Helper()
	r := w.relays[id]
	r.process = start(w.t, "hearsay-relay", "run", "--home", r.home, "--listen", r.listen, "--json", "--log-level", w.level)
	if line := w.ready(r.process); line.ID != id {
		w.t.Errorf("relay %s came back as %s", id, line.ID)
	}
}

// untilOrGuard is until, but for what may wait for a guard while relays are down:
// where a mailbox relay is one of somebody's first two guards and the other one is
// down, no third serves for hours (circuit/path/SPEC.md §2.2). If people are told so
// for half a minute, the relays come back.
func (s *script) untilOrGuard(what string, people []*script, back func(), ok func() bool) {
	s.t.Helper()
	awaits := func() bool {
		return slices.ContainsFunc(people, func(p *script) bool {
			var st status
			p.must(&st, "status", nil)
			return slices.ContainsFunc(st.Warnings, func(w string) bool { return strings.Contains(w, "the mailbox relay is your guard") })
		})
	}
	began := time.Now()
	s.until(what, func() bool {
		if back != nil && time.Since(began) > 30*time.Second && awaits() {
			s.t.Logf("%s: waits for a guard; relays come back", what)
			back()
			back = nil
		}
		return ok()
	})
}

func unmarshal(t *testing.T, line string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), v); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

// script speaks JSON-RPC with a hearsay process.
type script struct {
	*process
	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	events  []event
	changed chan struct{} // closed and replaced at each event
	drained chan struct{} // closed when the program ended and all its lines were taken
}

type answer struct {
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    struct{ Kind, Hint string }
	}
}

type event struct {
	Seq     uint64
	Type    string
	ID      string
	State   string
	Contact json.RawMessage
	Message *message
	Copies  *struct{ Have, Want int }
}

type message struct {
	ID, Contact, Direction, Text, State string
	Seq                                 uint64
	Late                                bool
	Copies                              *struct{ Have, Want int }
}

type circuitInfo struct {
	ID, Purpose, State string
	Path               []string
	Destination        *string
}

type status struct {
	Network  *string
	Lab      bool
	Ready    bool
	Relays   int
	Circuits []circuitInfo
	Warnings []string
}

// startScript starts a program that speaks JSON-RPC and reads its ready line.
func startScript(t *testing.T, command string, args ...string) *script {
	t.Helper()
	s := &script{process: start(t, command, args...), waiting: map[int]chan answer{}, changed: make(chan struct{}), drained: make(chan struct{})}
	var first struct {
		Jsonrpc, Method string
		Params          struct{ V int }
	}
	unmarshal(t, s.line(), &first)
	if first.Jsonrpc != "2.0" || first.Method != "ready" || first.Params.V != 1 {
		t.Fatalf("first line %+v", first)
	}
	go func() {
		defer close(s.drained)
		for l := range s.lines {
			var msg struct {
				ID     *int
				Method string
				Params json.RawMessage
				answer
			}
			if err := json.Unmarshal([]byte(l), &msg); err != nil {
				t.Errorf("%q: %v", l, err)
				continue
			}
			s.mu.Lock()
			if msg.ID != nil {
				s.waiting[*msg.ID] <- msg.answer
				delete(s.waiting, *msg.ID)
			} else if msg.Method == "event" {
				var ev event
				if err := json.Unmarshal(msg.Params, &ev); err != nil {
					t.Errorf("%q: %v", l, err)
				}
				s.events = append(s.events, ev)
				close(s.changed)
				s.changed = make(chan struct{})
			}
			s.mu.Unlock()
		}
	}()
	return s
}

// value returns what was answered.
func (a answer) value(method string) (json.RawMessage, error) {
	if a.Error != nil {
		return nil, fmt.Errorf("%s: %d %s (%s)", method, a.Error.Code, a.Error.Message, a.Error.Data.Kind)
	}
	return a.Result, nil
}

// call sends a request and returns its answer.
func (s *script) call(method string, params any) (json.RawMessage, error) {
	s.mu.Lock()
	s.next++
	id := s.next
	c := make(chan answer, 1)
	s.waiting[id] = c
	s.mu.Unlock()
	req := map[string]any{"jsonrpc": "2.0", "id": id, "method": method}
	if params != nil {
		req["params"] = params
	}
	b, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if _, err := s.stdin.Write(append(b, '\n')); err != nil {
		return nil, err
	}
	select {
	case a := <-c:
		return a.value(method)
	case <-s.drained: // it ended; the answer may have come before that
		select {
		case a := <-c:
			return a.value(method)
		default:
			return nil, errors.New("the program ended")
		}
	case <-time.After(patience):
		return nil, fmt.Errorf("%s: no answer in %s", method, patience)
	}
}

// must calls and decodes the result.
func (s *script) must(v any, method string, params any) {
	s.t.Helper()
	raw, err := s.call(method, params)
	if err != nil {
		s.t.Fatal(err)
	}
	if v != nil {
		unmarshal(s.t, string(raw), v)
	}
}

// until waits until ok holds, which is asked again after each event and every
// 50 ms.
func (s *script) until(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-tick.C:
		case <-s.exited:
			s.t.Fatalf("%s: the program ended: %s", what, s.errors())
		case <-ctx.Done():
			s.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func (s *script) untilReady() {
	s.t.Helper()
	s.until("status.ready", func() bool {
		var st status
		s.must(&st, "status", nil)
		return st.Ready
	})
}

// contact returns the id of an active contact, or "".
func (s *script) contact(name string) string {
	s.t.Helper()
	var r struct {
		Contacts []struct{ ID, Name, State string }
	}
	s.must(&r, "contact.list", nil)
	for _, c := range r.Contacts {
		if c.Name == name && c.State == "active" {
			return c.ID
		}
	}
	return ""
}

// introduce makes two scripts contacts of each other and returns the id of the
// other one at each.
func introduce(t *testing.T, a, b *script, nameOfB, nameOfA string) (atA, atB string) {
	t.Helper()
	var inv struct{ Link string }
	a.must(&inv, "invite.create", map[string]any{"name": nameOfB})
	b.must(nil, "invite.accept", map[string]any{"link": inv.Link, "name": nameOfA})
	a.until("active at the inviter", func() bool { atA = a.contact(nameOfB); return atA != "" })
	b.until("active at the guest", func() bool { atB = b.contact(nameOfA); return atB != "" })
	return atA, atB
}

// messages returns the whole conversation.
func (s *script) messages(contact string) []message {
	s.t.Helper()
	var all []message
	after := uint64(0)
	for {
		var r struct{ Messages []message }
		s.must(&r, "message.list", map[string]any{"contact": contact, "after": after, "limit": 1000})
		all = append(all, r.Messages...)
		if len(r.Messages) < 1000 {
			return all
		}
		after = all[len(all)-1].Seq
	}
}

// shutdown asks for the end and checks the exit code.
func (s *script) shutdown() {
	s.t.Helper()
	if _, err := s.call("shutdown", nil); err != nil {
		s.t.Error(err)
	}
	if code := s.wait(); code != 0 {
		s.t.Errorf("%s exited with %d after shutdown", s.name, code)
	}
}

// terminate is SIGTERM.
func (p *process) terminate() { p.cmd.Process.Signal(syscall.SIGTERM) }

// fields splits a printed command.
func fields(s string) []string { return strings.Fields(s) }
