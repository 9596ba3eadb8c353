package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
)

// TestWhatEachRelaySees sends a mailbox command over a circuit and shows, for
// every circuit of the client: only the guard sees the client's address, only
// the mailbox relay the queue's id, the hops between neither, and every cell on
// every link has one size.
func TestWhatEachRelaySees(t *testing.T) {
	var seen Recorder
	var mu sync.Mutex
	clientAddrs := make(map[netip.AddrPort]bool)
	simulated(t, Config{Relays: 6, Trace: seen.Trace}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClientFrom(t, n, func() (net.PacketConn, error) {
			pc, err := n.ListenPacket()
			if err == nil {
				mu.Lock()
				clientAddrs[addrPort(pc.LocalAddr())] = true
				mu.Unlock()
			}
			return pc, err
		})
		defer c.stop()
		v := waitListed(t, c.views, 6, 3*time.Minute)
		queue := make([]byte, 24)
		rand.Read(queue)
		for i := range 3 {
			x := v.Relays()[i].ID
			circ := get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: string(rune('a' + i)), Destination: x})
			s, err := circ.Mailbox(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			const open, hello, getlink, errReply = 0x40, 0x41, 0x4c, 0x48
			if err := s.Send(context.Background(), open, 0, []byte{1, 0, 0, 0}); err != nil {
				t.Fatal(err)
			}
			if m, err := s.Recv(context.Background()); err != nil || m.Command != hello {
				t.Fatal(m.Command, err)
			}
			if err := s.Send(context.Background(), getlink, 0, append(bytes.Clone(queue), make([]byte, 32)...)); err != nil {
				t.Fatal(err)
			}
			if m, err := s.Recv(context.Background()); err != nil || m.Command != errReply {
				t.Fatalf("%#x, %v", m.Command, err)
			}
		}
		mailboxes := 0
		for _, path := range seen.Paths() {
			for hop, at := range path {
				if got := clientAddrs[at.From]; got != (hop == 0) {
					t.Errorf("hop %d of %d: link from the client's address %v", hop, len(path), got)
				}
				for a := range clientAddrs {
					for _, m := range at.Messages {
						if bytes.Contains(m.Data, a.Addr().AsSlice()) {
							t.Errorf("hop %d was told the client's address", hop)
						}
					}
				}
				last := hop == len(path)-1 && hop == cell.Slots-1
				if got := at.Saw(queue); got && !last {
					t.Errorf("hop %d of %d sees the queue's id", hop, len(path))
				} else if got {
					mailboxes++
				}
			}
		}
		if mailboxes != 3 {
			t.Errorf("%d mailbox relays saw the queue's id, want 3", mailboxes)
		}
		if sizes := seen.Sizes(); len(sizes) != 1 || sizes[cell.Size] == 0 {
			t.Errorf("cells by size: %v", sizes)
		}
	})
}
