package relay

import (
	"hearsay/circuit/cell"
	"hearsay/relay/mailbox"
)

// mailboxService is the mailbox server as a Service.
type mailboxService struct{ *mailbox.Server }

// Open starts a session.
func (m mailboxService) Open(reply func(command, flags byte, stream uint16, data []byte) error) ServiceSession {
	return m.Server.Open(reply)
}

// openMailbox opens the mailbox stream with the given id and starts the
// session of the service behind it.
func (c *circuit) openMailbox(id uint16) (*serviceStream, error) {
	if c.sw.cfg.Service == nil {
		return nil, errProtocol
	}
	s, err := c.openStream(id, true)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errTooMuch
	}
	c.wg.Go(func() {
		c.serveMailbox(s)
		c.forget(s)
	})
	return s, nil
}

// serveMailbox hands the client's messages to a session, one after the other.
// A message that the session rejects ends the circuit.
func (c *circuit) serveMailbox(s *serviceStream) {
	session := c.sw.cfg.Service.Open(func(command, flags byte, stream uint16, data []byte) error {
		m := cell.Message{Command: cell.Command(command), Flags: flags, Stream: stream, Data: data}
		if !m.Command.Mailbox() || stream != s.id || len(data) > cell.DataSize {
			return errProtocol
		}
		return s.send(m, nil)
	})
	defer session.Close()
	for {
		l := s.next(nil)
		if l == nil {
			return
		}
		err := session.Message(byte(l.m.Command), l.m.Flags, l.m.Stream, l.m.Data)
		localCells.Put(l)
		if err != nil {
			c.end(EndService)
			return
		}
	}
}
