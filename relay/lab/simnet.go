package lab

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// SimNet is a simulated network of UDP sockets in one process. Its packets
// take Latency and keep their order between two sockets; inside a bubble of
// testing/synctest its time is virtual. It is safe for concurrent use.
type SimNet struct {
	cfg SimConfig

	mu     sync.Mutex
	conns  map[netip.AddrPort]*simConn
	lanes  map[[2]netip.AddrPort]time.Time // when the last delayed packet arrives
	cut    map[netip.AddrPort]bool         // packets from and to these get lost
	next   uint32                          // the next address to give out
	closed bool
}

// SimConfig configures a SimNet.
type SimConfig struct {
	Latency time.Duration // one way; zero: 5 ms

	// Drop decides for each packet whether it gets lost. It is called
	// concurrently. Nil: none does.
	Drop func(from, to netip.AddrPort, packet []byte) bool

	// Tap sees each packet that is sent, lost ones included. It is called
	// concurrently and must copy what it keeps. Nil: nobody looks.
	Tap func(from, to netip.AddrPort, packet []byte)

	// Delay holds a packet back beyond the latency, as somebody on the way could.
	// Packets between two sockets keep their order. It is called concurrently.
	// Nil: nobody does.
	Delay func(from, to netip.AddrPort, packet []byte) time.Duration
}

// NewSimNet makes an empty network.
func NewSimNet(cfg SimConfig) *SimNet {
	if cfg.Latency == 0 {
		cfg.Latency = 5 * time.Millisecond
	}
	return &SimNet{cfg: cfg, conns: make(map[netip.AddrPort]*simConn), lanes: make(map[[2]netip.AddrPort]time.Time), cut: make(map[netip.AddrPort]bool)}
}

// Cut has all packets from and to an address get lost, from now on or no more.
func (s *SimNet) Cut(a netip.AddrPort, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cut {
		s.cut[a] = true
	} else {
		delete(s.cut, a)
	}
}

func (s *simRouter) isCut(from, to netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut[from] || s.cut[to]
}

// Address returns a global address that no socket has yet, each in a /16 of
// its own.
func (s *SimNet) Address() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	n := s.next
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + n/200%70), byte(1 + n%200), byte(n / 14000), 7}), 4443)
}

// Listen opens the socket of an address.
func (s *SimNet) Listen(a netip.AddrPort) (net.PacketConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.conns[a] != nil {
		return nil, errors.New("lab: address in use")
	}
	addr := net.UDPAddrFromAddrPort(a)
	l := &simnet.SimulatedLink{
		UplinkSettings:   simnet.LinkSettings{MTU: 1500},
		DownlinkSettings: simnet.LinkSettings{MTU: 1500},
		Latency:          s.cfg.Latency,
		UploadPacket:     (*simRouter)(s),
	}
	c := &simConn{SimConn: simnet.NewBlockingSimConn(addr, l), net: s, addr: a, link: l}
	s.conns[a] = c
	l.Start()
	return c, nil
}

// Close closes all sockets and waits for their goroutines.
func (s *SimNet) Close() {
	s.mu.Lock()
	s.closed = true
	conns := make([]*simConn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// simRouter delivers packets between the sockets of a SimNet.
type simRouter SimNet

// AddNode is part of simnet.Router; sockets are known already.
func (*simRouter) AddNode(net.Addr, simnet.PacketReceiver) {}

// SendPacket delivers a packet, now or after its delay, unless it gets lost.
func (s *simRouter) SendPacket(p simnet.Packet) error {
	from, to := addrPort(p.From), addrPort(p.To)
	if s.cfg.Tap != nil {
		s.cfg.Tap(from, to, p.Data)
	}
	if s.isCut(from, to) || s.cfg.Drop != nil && s.cfg.Drop(from, to, p.Data) {
		return nil
	}
	if s.cfg.Delay != nil {
		if wait := s.queue([2]netip.AddrPort{from, to}, s.cfg.Delay(from, to, p.Data)); wait > 0 {
			time.AfterFunc(wait, func() { s.deliver(to, p) })
			return nil
		}
	}
	s.deliver(to, p)
	return nil
}

// queue returns how long a packet waits that is to be delayed by d: no packet
// overtakes another between the same sockets.
func (s *simRouter) queue(lane [2]netip.AddrPort, d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	last, ok := s.lanes[lane]
	if d <= 0 && (!ok || !last.After(now)) {
		delete(s.lanes, lane)
		return 0
	}
	at := now.Add(d)
	if !at.After(last) {
		at = last.Add(time.Nanosecond)
	}
	s.lanes[lane] = at
	return at.Sub(now)
}

// deliver gives a packet to its socket, or loses it if nobody listens.
func (s *simRouter) deliver(to netip.AddrPort, p simnet.Packet) {
	s.mu.Lock()
	c := s.conns[to]
	s.mu.Unlock()
	if c != nil {
		c.link.RecvPacket(p)
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := u.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// simConn is one socket of a SimNet.
type simConn struct {
	*simnet.SimConn
	net  *SimNet
	addr netip.AddrPort
	link *simnet.SimulatedLink
	once sync.Once
}

// Close frees the address at once; packets under way are lost. Idempotent.
func (c *simConn) Close() error {
	c.once.Do(func() {
		c.net.mu.Lock()
		if c.net.conns[c.addr] == c {
			delete(c.net.conns, c.addr)
		}
		c.net.mu.Unlock()
		c.SimConn.Close()
		c.link.Close()
	})
	return nil
}
