package programtest

import (
	"net"
	"testing"
)

// TestPortsAreHandedOutOnce, although nobody listens on them yet, and one on which
// somebody listens is not.
func TestPortsAreHandedOutOnce(t *testing.T) {
	const first, count = 30_000, 200
	p, seen := NewPorts(first, count), map[string]bool{}
	for range count / 2 {
		a, err := p.Free()
		if err != nil {
			t.Fatal(err)
		}
		if seen[a] {
			t.Fatalf("%s is handed out twice", a)
		}
		seen[a] = true
	}
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.LocalAddr().(*net.UDPAddr).Port
	if a, err := (&Ports{first: at - 1, count: 3, next: 1}).Free(); err != nil || a == taken.LocalAddr().String() {
		t.Errorf("%s is free although somebody listens there: %v", a, err)
	}
}
