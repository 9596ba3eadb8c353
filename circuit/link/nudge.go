package link

import (
	"slices"
	"time"

	"hearsay/circuit/cell"
)

// Specification constants (SPEC.md §2.4).
const (
	nudgeAfter = relayKeepAlive + time.Second // without a packet of the peer
	nudgeEvery = time.Second                  // between two looks
)

// quiet is what was last seen of the packets on a link.
type quiet struct {
	received uint64
	since    time.Time
	nudged   bool
}

// nudge sends a PAD to each node from which nothing comes any more, not even
// the answer to a keepalive, until the endpoint is closed. One that was
// restarted answers so long a packet by a stateless reset; so its circuits end
// now and not when the link has idled out. Others take no notice.
func (e *Endpoint) nudge() {
	t := time.NewTicker(nudgeEvery)
	defer t.Stop()
	seen := map[*Link]quiet{}
	for {
		select {
		case <-t.C:
		case <-e.ctx.Done():
			return
		}
		now := time.Now()
		for _, l := range e.busyRelayLinks() {
			q, n := seen[l], l.conn.ConnectionStats().PacketsReceived
			switch {
			case q.received != n || q.since.IsZero():
				q = quiet{received: n, since: now}
			case !q.nudged && now.Sub(q.since) >= nudgeAfter:
				q.nudged = true
				l.sendPad()
			}
			seen[l] = q
		}
		for l := range seen {
			if l.conn.Context().Err() != nil {
				delete(seen, l)
			}
		}
	}
}

// busyRelayLinks returns the links with nodes that carry streams.
func (e *Endpoint) busyRelayLinks() (list []*Link) {
	e.mu.Lock()
	for l := range e.links {
		list = append(list, l)
	}
	e.mu.Unlock()
	return slices.DeleteFunc(list, func(l *Link) bool {
		return !l.relay || l.shaper.Load() != nil || l.Streams() == 0
	})
}

// sendPad sends a cell without content.
func (l *Link) sendPad() {
	l.mu.Lock()
	control := l.control
	l.mu.Unlock()
	if control == nil {
		return
	}
	var c [cell.Size]byte
	cell.Header{Type: cell.Pad}.Put(c[:])
	// It fits into one packet, so this does not wait for it to leave.
	_ = control.SetWriteDeadline(time.Now().Add(nudgeEvery / 10))
	_, _ = control.Write(c[:])
}
