package abuse

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// operations are what a process can be told to do, by name.
type operations map[string]func(args json.RawMessage) (any, error)

// op makes an operation of a function with typed arguments.
func op[A any](f func(A) (any, error)) func(json.RawMessage) (any, error) {
	return func(raw json.RawMessage) (any, error) {
		var a A
		if err := json.Unmarshal(raw, &a); err != nil {
			return nil, err
		}
		return f(a)
	}
}

type none struct{}

type order struct {
	ID   int
	Op   string
	Args json.RawMessage
}

type answer struct {
	ID     int
	Err    string          `json:",omitempty"`
	Result json.RawMessage `json:",omitempty"`
}

// serve is the main loop of a process: one order a line on standard input, one
// answer a line on standard output. Orders run side by side.
func serve(ops operations) {
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			os.Exit(0) // the parent is gone
		}
		go func() {
			a := answer{ID: o.ID}
			result, err := any(nil), errors.New("no such operation")
			if f := ops[o.Op]; f != nil {
				result, err = f(o.Args)
			}
			if err != nil {
				a.Err = err.Error()
			} else if a.Result, err = json.Marshal(result); err != nil {
				a.Err = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(a)
		}()
	}
}

// process is another process, as its parent sees it.
type process struct {
	t      *testing.T
	role   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr tail

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	gone    chan struct{}
}

// spawn starts a process; it ends with the test.
func spawn(t *testing.T, role string, env ...string) *process {
	t.Helper()
	argv := []string{os.Args[0]}
	if role == "attacker" { // it has another machine in truth
		if nice, err := exec.LookPath("nice"); err == nil {
			argv = []string{nice, "-n", "10", os.Args[0]}
		}
	}
	p := &process{t: t, role: role, waiting: make(map[int]chan answer), gone: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(append(os.Environ(), envRole+"="+role), env...)
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	t.Cleanup(p.end)
	return p
}

func (p *process) read(out io.Reader) {
	defer close(p.gone)
	dec := json.NewDecoder(bufio.NewReader(out))
	for {
		var a answer
		if dec.Decode(&a) != nil {
			return
		}
		p.mu.Lock()
		ch := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		ch <- a
	}
}

// end closes the process and waits for it.
func (p *process) end() {
	_ = p.in.Close()
	select {
	case <-p.gone:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the %s ended: %v\n%s", p.role, err, p.stderr.String())
	}
}

// cpu returns the processor time that the process has used, 0 where the system
// does not tell it in /proc.
func (p *process) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte(") ")) // the name may hold anything
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * 10 * time.Millisecond
}

// begin gives an order; wait returns when it is done.
func (p *process) begin(name string, args, result any) (wait func() error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return func() error { return err }
	}
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.next++
	o := order{ID: p.next, Op: name, Args: raw}
	p.waiting[o.ID] = ch
	line, _ := json.Marshal(o)
	_, err = p.in.Write(append(line, '\n'))
	p.mu.Unlock()
	return func() error {
		if err != nil {
			return err
		}
		select {
		case a := <-ch:
			if a.Err != "" {
				return fmt.Errorf("%s of the %s: %s", name, p.role, a.Err)
			}
			if result != nil {
				return json.Unmarshal(a.Result, result)
			}
			return nil
		case <-p.gone:
			return fmt.Errorf("the %s is gone: %s", p.role, p.stderr.String())
		}
	}
}

// call gives an order and waits for it.
func (p *process) call(name string, args, result any) {
	p.t.Helper()
	if err := p.begin(name, args, result)(); err != nil {
		p.t.Fatal(err)
	}
}

// tail keeps the end of what a process says on standard error.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, p...)
	if n := len(w.b) - 8192; n > 0 {
		w.b = w.b[n:]
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.b)
}
