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
