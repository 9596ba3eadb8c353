package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// script is a messenger in a process of its own, driven by JSON-RPC. Its
// methods are safe for concurrent use.
type script struct {
	cmd *exec.Cmd

	mu       sync.Mutex
	in       io.WriteCloser
	next     int
	waiting  map[int]chan scriptAnswer
	received chan time.Time // one for each text that came; nobody else reads it
	ended    chan struct{}
}

type scriptAnswer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// startScript starts the program with a home of its own.
func startScript(program, home, network string) (*script, error) {
	s := &script{waiting: map[int]chan scriptAnswer{}, received: make(chan time.Time, 1<<16), ended: make(chan struct{})}
	s.cmd = exec.Command(program, "rpc", "--home", home, "--network", network, "--log-level", "error")
	s.cmd.Env = append(os.Environ(), "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true")
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.read(out)
	return s, nil
}

// read takes answers and events until the program ends.
func (s *script) read(out io.Reader) {
	defer close(s.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		now := time.Now()
		var m struct {
			ID     *int
			Params struct{ Type string }
			scriptAnswer
		}
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		if m.ID == nil {
			if m.Params.Type == "message.received" {
				s.received <- now
			}
			continue
		}
		s.mu.Lock()
		c := s.waiting[*m.ID]
		delete(s.waiting, *m.ID)
		s.mu.Unlock()
		if c != nil {
			c <- m.scriptAnswer
		}
	}
}

// send writes a request; the answer comes on the channel.
func (s *script) send(method string, params any) (<-chan scriptAnswer, error) {
	c := make(chan scriptAnswer, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	s.waiting[s.next] = c
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": s.next, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	_, err = s.in.Write(append(b, '\n'))
	return c, err
}

// call sends a request and waits for its answer; result may be nil.
func (s *script) call(method string, params, result any) error {
	if params == nil {
		params = struct{}{}
	}
	c, err := s.send(method, params)
	if err != nil {
		return err
	}
	select {
	case a := <-c:
		switch {
		case a.Error != nil:
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-s.ended:
		return fmt.Errorf("%s: the program ended", method)
	case <-time.After(45 * time.Second):
		return fmt.Errorf("%s: no answer", method)
	}
}

// until asks until ok holds, for a minute.
func (s *script) until(what string, ok func() (bool, error)) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done, err := ok(); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("not within a minute: %s", what)
}

// active waits for an active contact and returns its id.
func (s *script) active(name string) (id string, err error) {
	err = s.until("contact "+name, func() (bool, error) {
		var r struct {
			Contacts []struct{ ID, Name, State string }
		}
		err := s.call("contact.list", nil, &r)
		for _, c := range r.Contacts {
			if c.Name == name && c.State == "active" {
				id = c.ID
			}
		}
		return id != "", err
	})
	return id, err
}

func (s *script) stop() {
	s.in.Close()
	s.cmd.Process.Kill()
	<-s.ended
	s.cmd.Wait()
}
