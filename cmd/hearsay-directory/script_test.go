package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hearsay/cmd/program"
	"hearsay/cmd/program/programtest"
	"hearsay/relay"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		name: func() { os.Exit(program.Main(root())) },
	})
}

// TestScripts runs one script per command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// field FILE NAME VAR puts a text of a JSON line into a variable.
			"field": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[2], jsonField[string](ts, args[0], args[1]))
			},
			// serve HOME runs the directory of a lab network until it is ready.
			"serve": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(serveOnce(ts.MkAbs(args[0]))) },
			// known HOME VAR has the directory of a lab network hear of a relay, and puts
			// the relay's id into a variable.
			"known": func(ts *testscript.TestScript, _ bool, args []string) {
				id, err := hearOfRelay(ts.MkAbs(args[0]), ts.MkAbs("relay"))
				ts.Check(err)
				ts.Setenv(args[1], id)
			},
			// familykey FILE makes what hearsay-relay family new makes.
			"familykey": func(ts *testscript.TestScript, _ bool, args []string) {
				_, err := relay.NewFamilyKey(ts.MkAbs(args[0]))
				ts.Check(err)
			},
			// words FILE OUT writes the words of a root key as they are typed.
			"words": func(ts *testscript.TestScript, _ bool, args []string) {
				list := jsonField[[]string](ts, args[0], "root_words")
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(list, "\n")), 0o600))
			},
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each program waits for a second at its end
			addr, err := ports.Free()
			e.Setenv("ADDR", addr)
			return errors.Join(err, writeBadInput(e.WorkDir))
		},
	})
}

// ports are those of this package's tests.
var ports = programtest.NewPorts(20_000, 10_000)

func hearOfRelay(home, relayHome string) (string, error) {
	chain, err := relay.FounderChain(home)
	if err != nil {
		return "", err
	}
	r, err := relay.NewNode(relay.NodeConfig{Home: relayHome, Link: chain.Link(nil), Files: chain.Raw(1), Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		return "", err
	}
	defer r.Close()
	d, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home})
	if err != nil {
		return "", err
	}
	defer d.Close() // keeps the records
	return r.ID().String(), d.Publish(r.Descriptor())
}

func serveOnce(home string) error {
	n, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	select {
	case err := <-done:
		cancel()
		return err
	case <-n.Ready():
	}
	cancel()
	return <-done
}

func jsonField[T any](ts *testscript.TestScript, file, name string) (v T) {
	fields := map[string]json.RawMessage{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &fields))
	ts.Check(json.Unmarshal(fields[name], &v))
	return v
}
