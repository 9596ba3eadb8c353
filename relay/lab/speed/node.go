package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
)

// nodeEnv, in the environment, makes the program a node and names its role.
const nodeEnv = "HEARSAY_SPEED_NODE"

// request is one line to a node.
type request struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

// reply is its answer.
type reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// operations of a node, by name. They run one at a time.
type operations map[string]func(args json.RawMessage) (any, error)

// operation makes an operation of a function with typed arguments.
func operation[A any](f func(A) (any, error)) func(json.RawMessage) (any, error) {
	return func(raw json.RawMessage) (any, error) {
		var a A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &a); err != nil {
				return nil, err
			}
		}
		return f(a)
	}
}

// runNode serves operations until stdin ends, and returns the exit code.
func runNode(role string, in io.Reader, out io.Writer) int {
	ops := map[string]func() operations{
		"relay": relayNode, "chain": chainNode, "chain client": chainClient,
		"client": clientNode, "builder": builderNode, "network": networkNode,
	}[role]
	if ops == nil {
		fmt.Fprintf(os.Stderr, "speed: no role %q\n", role)
		return 2
	}
	if err := serveNode(ops(), in, out); err != nil {
		fmt.Fprintf(os.Stderr, "speed: %s: %v\n", role, err)
		return 1
	}
	return 0
}

func serveNode(ops operations, in io.Reader, out io.Writer) error {
	var profile *os.File
	ops["usage"] = operation(func(struct{}) (any, error) { return measureSelf() })
	ops["collect"] = operation(func(struct{}) (any, error) {
		runtime.GC() // twice: what pools hold goes with the second
		runtime.GC()
		return measureSelf()
	})
	ops["profile"] = operation(func(path string) (any, error) {
		if profile != nil {
			pprof.StopCPUProfile()
			err := profile.Close()
			profile = nil
			return nil, err
		}
		var err error
		if profile, err = os.Create(path); err != nil {
			return nil, err
		}
		return nil, pprof.StartCPUProfile(profile)
	})
	ops["heap"] = operation(func(path string) (any, error) {
		f, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		return nil, errors.Join(pprof.WriteHeapProfile(f), f.Close())
	})
	lines := bufio.NewReader(in)
	enc := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var q request
		if err := json.Unmarshal(line, &q); err != nil {
			return err
		}
		var a reply
		result, err := any(nil), fmt.Errorf("no operation %q", q.Op)
		if op := ops[q.Op]; op != nil {
			result, err = op(q.Args)
		}
		if err == nil && result != nil {
			a.Result, err = json.Marshal(result)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}
