package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// child is a node in a process of its own. One goroutine uses it.
type child struct {
	name string
	cmd  *exec.Cmd
	in   *json.Encoder
	out  *bufio.Reader
	end  func() error
}

// spawn starts a node.
func spawn(role, name string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), nodeEnv+"="+role, "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{name: name, cmd: cmd, in: json.NewEncoder(in), out: bufio.NewReader(out), end: in.Close}, nil
}

// call asks a node and waits for its answer; result may be nil.
func (c *child) call(op string, args, result any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if err := c.in.Encode(request{Op: op, Args: raw}); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s ended: %w", c.name, err)
	}
	var a reply
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if a.Error != "" {
		return fmt.Errorf("%s: %s: %s", c.name, op, a.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(a.Result, result)
}

// usage returns what the process has used so far.
func (c *child) usage() (u usage, err error) {
	err = c.call("usage", nil, &u)
	return u, err
}

// collect is usage after a collection of garbage.
func (c *child) collect() (u usage, err error) {
	err = c.call("collect", nil, &u)
	return u, err
}

// stop ends a node; nothing of it remains that matters.
func (c *child) stop() {
	c.end()
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// usages asks several nodes one after the other.
func usages(nodes []*child) ([]usage, error) {
	us := make([]usage, len(nodes))
	for i, n := range nodes {
		var err error
		if us[i], err = n.usage(); err != nil {
			return nil, err
		}
	}
	return us, nil
}

// heapProfile has a node write what its heap holds, if the user wants profiles.
func heapProfile(label string, n *child) error {
	dir := os.Getenv("PROFILE")
	if dir == "" {
		return nil
	}
	return errors.Join(os.MkdirAll(dir, 0o755), n.call("heap", filepath.Join(dir, label+"-"+n.name+".heap"), nil))
}

// profiled runs f and has the nodes write CPU profiles of it, if the user
// wants any.
func profiled(label string, nodes []*child, f func() error) error {
	dir := os.Getenv("PROFILE")
	if dir == "" {
		return f()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var errs []error
	for _, n := range nodes {
		path := filepath.Join(dir, strings.ReplaceAll(label+"-"+n.name+".cpu", " ", "-"))
		errs = append(errs, n.call("profile", path, nil))
	}
	errs = append(errs, f())
	for _, n := range nodes {
		errs = append(errs, n.call("profile", "", nil))
	}
	return errors.Join(errs...)
}
