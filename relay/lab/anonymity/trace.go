package anonymity

import (
	"net/netip"
	"sync"
	"time"
)

// ipHeader is what IPv4 and UDP add to a packet.
const ipHeader = 28

// cellPacket is the payload from which on a packet may carry a whole cell.
const cellPacket = 1152

// Packet is one packet as somebody on the wire sees it.
type Packet struct {
	At   time.Duration // since the observation began
	Size int32         // UDP payload in bytes
	Up   bool          // away from the client, or from the smaller address
	// Socket numbers the sockets of a client: each belongs to one guard.
	Socket uint16
}

// Trace are the packets of one link in order of time.
type Trace []Packet

// Bytes returns the volume in both directions with IP and UDP headers.
func (t Trace) Bytes() (n int) {
	for _, p := range t {
		n += int(p.Size) + ipHeader
	}
	return n
}

// Main returns the packets of the socket with the most: those to the guard in
// use. A client has a second one while a mailbox relay that it needs is its
// first guard, or while a guard fails.
func (t Trace) Main() Trace {
	count := make(map[uint16]int)
	var best uint16
	for _, p := range t {
		if count[p.Socket]++; count[p.Socket] > count[best] {
			best = p.Socket
		}
	}
	out := make(Trace, 0, count[best])
	for _, p := range t {
		if p.Socket == best {
			out = append(out, p)
		}
	}
	return out
}

// Kind selects packets of a trace.
type Kind int

// The kinds of packets that attacks look at.
const (
	All   Kind = iota
	Cells      // large enough for a cell
	Small      // all others: acknowledgements, window updates, resets
)

// Times returns when packets of a kind went one way.
func (t Trace) Times(k Kind, up bool) []time.Duration {
	var out []time.Duration
	for _, p := range t {
		if p.Up == up && (k == All || (k == Cells) == (p.Size >= cellPacket)) {
			out = append(out, p.At)
		}
	}
	return out
}

// Tap writes down the packets of a SimNet: of each client link by the number of
// the client, of each link between others by its two addresses. It is safe for
// concurrent use.
type Tap struct {
	mu       sync.Mutex
	on       bool
	begin    time.Time
	clients  map[netip.AddrPort]socket
	sockets  []uint16 // by client: how many it had
	links    []Trace
	backbone map[[2]netip.AddrPort]Trace
}

// socket is one of a client's.
type socket struct {
	client int
	number uint16
}

// NewTap makes a Tap for a number of clients. It sees nothing before Start.
func NewTap(clients int) *Tap {
	return &Tap{
		clients: make(map[netip.AddrPort]socket), sockets: make([]uint16, clients),
		links: make([]Trace, clients), backbone: make(map[[2]netip.AddrPort]Trace),
	}
}

// Client says that a socket belongs to a client. A client may have several.
func (t *Tap) Client(a netip.AddrPort, client int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients[a] = socket{client, t.sockets[client]}
	t.sockets[client]++
}

// Of returns the client whose socket an address is.
func (t *Tap) Of(a netip.AddrPort) (client int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.clients[a]
	return s.client, ok
}

// Start begins the observation.
func (t *Tap) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.begin = true, time.Now()
}

// Links returns what was seen of each client. It is called after Stop.
func (t *Tap) Links() []Trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.links
}

// Stop ends it.
func (t *Tap) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = false
}

// See is a lab.SimConfig.Tap.
func (t *Tap) See(from, to netip.AddrPort, packet []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return
	}
	p := Packet{At: time.Since(t.begin), Size: int32(len(packet)), Up: true}
	if s, ok := t.clients[from]; ok {
		p.Socket = s.number
		t.links[s.client] = append(t.links[s.client], p)
		return
	}
	p.Up = false
	if s, ok := t.clients[to]; ok {
		p.Socket = s.number
		t.links[s.client] = append(t.links[s.client], p)
		return
	}
	key := [2]netip.AddrPort{to, from}
	if from.Compare(to) < 0 {
		p.Up, key = true, [2]netip.AddrPort{from, to}
	}
	t.backbone[key] = append(t.backbone[key], p)
}
