package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"hearsay/relay"
)

// TestCheckBesideARelay checks homes in which a relay runs: a port in the
// configuration that is not the running relay's is tried, and a relay without a
// status socket is found by its lock.
func TestCheckBesideARelay(t *testing.T) {
	taken, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	link := foundNetwork(t)
	dir, loopback := t.TempDir(), netip.MustParseAddrPort("127.0.0.1:0")
	home, mute := filepath.Join(dir, "home"), filepath.Join(dir, "mute")
	n := runNode(t, relay.NodeConfig{Home: home, Link: link, Listen: loopback, ServeStatus: true})
	runNode(t, relay.NodeConfig{Home: mute, Link: link, Listen: loopback})
	for _, v := range []struct{ home, listen, want string }{
		{home, n.Addr().String(), "ok       port      the running relay has " + n.Addr().String()},
		{home, "127.0.0.1:0", "ok       port      the running relay has " + n.Addr().String()},
		{home, taken.LocalAddr().String(), "failed   port      cannot be bound"},
		{mute, "127.0.0.1:0", "failed   home      another process uses this home"},
	} {
		out, _, _ := asked(t, "check", "--home", v.home, "--listen", v.listen)
		if !strings.Contains(out, v.want) || strings.Contains(out, "directory: ") {
			t.Errorf("%s at %s: not %q in\n%s", filepath.Base(v.home), v.listen, v.want, out)
		}
	}
}
