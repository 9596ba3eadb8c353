package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hearsay/cmd/program"
	"hearsay/directory"
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
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each program waits for a second at its end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// field FILE NAME VAR puts a text of a JSON line into a variable.
			"field": func(ts *testscript.TestScript, _ bool, args []string) {
				fields := map[string]any{}
				ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &fields))
				ts.Setenv(args[2], fields[args[1]].(string))
			},
			// relayhome DIR LINK ID makes the home of a relay that has run once, in
			// a new lab network, and puts the network's link and the relay's id into
			// variables.
			"relayhome": func(ts *testscript.TestScript, _ bool, args []string) {
				link, id, err := makeRelayHome(ts.MkAbs(args[0]), ts.MkAbs(args[0]+"-founder"))
				ts.Check(err)
				ts.Setenv(args[1], link.String())
				ts.Setenv(args[2], id.String())
			},
		},
	})
}

func makeRelayHome(home, founder string) (link directory.NetworkLink, id directory.RelayID, err error) {
	loopback := netip.MustParseAddrPort("127.0.0.1:4443")
	if link, err = relay.Found(founder, relay.Founding{Name: "harbour", Listen: loopback, Lab: true, Join: directory.JoinVouch}); err != nil {
		return link, id, err
	}
	chain, err := relay.FounderChain(founder)
	if err != nil {
		return link, id, err
	}
	n, err := relay.NewNode(relay.NodeConfig{Home: home, Link: link, Files: chain.Raw(1), Listen: netip.AddrPortFrom(loopback.Addr(), 0)})
	if err != nil {
		return link, id, err
	}
	id = n.ID()
	n.Close()
	return link, id, nil
}
