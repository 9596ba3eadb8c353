package relay

import (
	"errors"
	"sync"

	"hearsay/circuit/cell"
)

// serviceStream is one stream of a circuit to a service of this relay. One
// goroutine of the service consumes what the client sends on it.
type serviceStream struct {
	c       *circuit
	id      uint16
	mailbox bool // else a directory request
	inbox   inbox
	cut     chan struct{} // closed when either side has ended the stream

	mu      sync.Mutex
	isCut   bool
	resumed chan struct{} // not nil while the client's XOFF holds; closed by XON
}

var errStreamEnded = errors.New("relay: stream has ended")

// openStream registers a stream under a new id. It returns nil if the circuit
// has too many, and an error if the id was used before.
func (c *circuit) openStream(id uint16, mailbox bool) (*serviceStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, used := c.ended[id]
	if _, open := c.streams[id]; open || used {
		return nil, errProtocol
	}
	if len(c.streams) >= streamsPerCircuit || len(c.ended) >= streamsPerLife {
		return nil, nil
	}
	if c.streams == nil {
		c.streams = make(map[uint16]*serviceStream)
	}
	s := &serviceStream{c: c, id: id, mailbox: mailbox, cut: make(chan struct{})}
	s.inbox.init(&c.sw.clock)
	c.streams[id] = s
	return s, nil
}

// forget removes a stream whose goroutine is done. Its id stays used.
func (c *circuit) forget(s *serviceStream) {
	c.mu.Lock()
	if c.ended == nil {
		c.ended = make(map[uint16]struct{})
	}
	c.ended[s.id] = struct{}{}
	delete(c.streams, s.id)
	c.mu.Unlock()
	c.consumed(s.inbox.drain())
}

// begin takes a BEGIN, which names a service.
func (c *circuit) begin(m cell.Message) error {
	end := func(reason byte) error {
		return c.reply(cell.Message{Command: cell.End, Stream: m.Stream, Data: []byte{reason}})
	}
	serve := c.sw.cfg.ServeRequest
	if m.Data[0] != cell.ServiceDirectory || serve == nil {
		return end(cell.EndRefused)
	}
	s, err := c.openStream(m.Stream, false)
	if err != nil {
		return err
	}
	if s == nil {
		return end(cell.EndOverload)
	}
	if err := c.reply(cell.Message{Command: cell.Connected, Stream: m.Stream}); err != nil {
		return err
	}
	c.wg.Go(func() {
		r := newRequestStream(s)
		serve(lifetime(c.done), r)
		r.finish()
		c.forget(s)
	})
	return nil
}

// streamMessage takes a message that names a stream (SPEC.md §3.4).
func (c *circuit) streamMessage(m cell.Message) error {
	c.mu.Lock()
	s := c.streams[m.Stream]
	_, used := c.ended[m.Stream]
	c.mu.Unlock()
	if s == nil && m.Command == cell.MailboxFirst && !used {
		var err error
		if s, err = c.openMailbox(m.Stream); err != nil {
			return err
		}
	}
	switch {
	case s == nil && !used:
		return errProtocol
	case s == nil: // it crossed our END; nobody will read it
		if m.Command.Credited() {
			return c.consumed(1)
		}
		return nil
	case m.Command.Credited():
		if m.Command.Mailbox() != s.mailbox {
			return errProtocol
		}
		pause, taken := s.inbox.push(newLocal(m))
		if !taken {
			return c.consumed(1)
		}
		if pause {
			return c.reply(cell.Message{Command: cell.XOff, Stream: s.id})
		}
		return nil
	case m.Command == cell.End:
		s.end()
		return nil
	case m.Command == cell.XOff:
		return s.pause()
	}
	return s.resume()
}

// end marks the stream as ended; it reports whether it was not before.
func (s *serviceStream) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isCut {
		return false
	}
	s.isCut = true
	close(s.cut)
	return true
}

// pause takes an XOFF.
func (s *serviceStream) pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumed != nil {
		return errProtocol
	}
	s.resumed = make(chan struct{})
	return nil
}

// resume takes an XON.
func (s *serviceStream) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumed == nil {
		return errProtocol
	}
	close(s.resumed)
	s.resumed = nil
	return nil
}

// next waits for the client's next cell on this stream, which then counts as
// consumed. It returns nil when the stream or circuit has ended, or late was
// closed.
func (s *serviceStream) next(late <-chan struct{}) *localCell {
	l, resume := s.inbox.pop(s.c.done, s.cut, late)
	if l == nil {
		return nil
	}
	if resume && s.c.reply(cell.Message{Command: cell.XOn, Stream: s.id}) != nil || s.c.consumed(1) != nil {
		localCells.Put(l)
		return nil
	}
	return l
}

// send sends a credited message on the stream. It waits for credit and while
// the client's XOFF holds, but not after late was closed.
func (s *serviceStream) send(m cell.Message, late <-chan struct{}) error {
	for {
		s.mu.Lock()
		resumed := s.resumed
		s.mu.Unlock()
		if resumed == nil {
			break
		}
		select {
		case <-resumed:
		case <-s.c.done:
			return errGone
		case <-s.cut:
			return errStreamEnded
		case <-late:
			return errStreamEnded
		}
	}
	select {
	case <-s.cut:
		return errStreamEnded
	default:
	}
	if !s.c.tx.take(s.c.done, s.cut, late) {
		return errStreamEnded
	}
	return s.c.reply(m)
}
