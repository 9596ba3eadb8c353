package link

// Count returns how many links there are to peers that have proven an identity,
// which are relays and directory nodes, and to others, which are clients.
func (e *Endpoint) Count() (proven, clients int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.links {
		if _, _, ok := l.Peer(); ok || l.dialed {
			proven++
		} else {
			clients++
		}
	}
	return proven, clients
}

// Bytes of the IP and UDP headers of a packet.
const (
	headersIPv4 = 20 + 8
	headersIPv6 = 40 + 8
)

// Volume is what links have sent and received, in bytes of IP packets.
type Volume struct {
	Sent, Received uint64
}

// Volume returns what all links of the endpoint have sent and received since it was
// made: cells, everything else on their streams, and what QUIC adds. Handshakes that
// did not become links are not in it.
func (e *Endpoint) Volume() Volume {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.ended
	for l := range e.links {
		v.add(l)
	}
	return v
}

func (v *Volume) add(l *Link) {
	headers := uint64(headersIPv4)
	if l.RemoteAddr().Addr().Is6() {
		headers = headersIPv6
	}
	s := l.conn.ConnectionStats()
	v.Sent += s.BytesSent + headers*s.PacketsSent
	v.Received += s.BytesReceived + headers*s.PacketsReceived
}
