package programtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports hands out UDP addresses on loopback for programs that are told where to
// listen, and may be started there again. Tests of several packages run at a time,
// and between the moment at which a port is found free and that at which its program
// listens another test may look for one: so each has ports of its own, which are
// handed out once. They are none that systems give to those who ask for any.
type Ports struct {
	mu                 sync.Mutex
	first, count, next int
}

// NewPorts returns count ports from first on, in order from any of them: what runs
// already on this computer may be a test of the same package.
func NewPorts(first, count int) *Ports {
	return &Ports{first: first, count: count, next: rand.IntN(count)}
}

// Free returns the next address that nobody listens on.
func (p *Ports) Free() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for range 100 {
		at := p.first + p.next
		p.next = (p.next + 1) % p.count
		var c net.PacketConn
		if c, err = net.ListenPacket("udp4", fmt.Sprint("127.0.0.1:", at)); err == nil {
			return c.LocalAddr().String(), c.Close()
		}
	}
	return "", err
}
