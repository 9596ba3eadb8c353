package circuit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"hearsay/circuit/cell"
)

// Specification constants of streams (SPEC.md §5.1).
const (
	maxStreams  = 16  // open at once on a circuit
	lifeStreams = 512 // of a circuit, in all: a relay takes no more
	xoffAt      = 256 // cells buffered on a stream
	xonAt       = 64
)

// stream is what a circuit knows about one stream of its last hop. Circuit.mu
// guards all but the constant fields.
type stream struct {
	c       *Circuit
	id      uint16
	hop     int
	mailbox bool
	notify  chan struct{} // capacity 1: something changed for the reader
	changed bool          // and the reader's goroutine will say so at the end of its batch

	used      bool // a message went out
	connected bool
	ended     bool // the relay sent END
	reason    byte // of its END
	closed    bool // this side is done; what still comes is taken and dropped
	paused    bool // the relay sent XOFF
	xoff      bool // we sent XOFF
	queue     queue[received]
	at        int // bytes of the first that were read
}

// received is one message for the user of a stream.
type received struct {
	command byte
	flags   byte
	data    []byte
	pooled  *[cell.DataSize]byte // memory of data, if it returns to the pool
}

var errStreamClosed = errors.New("circuit: stream closed")

// newStream registers a stream of the last hop.
func (c *Circuit) newStream(mailbox bool) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, c.closedErrorLocked()
	}
	if c.lastID == lifeStreams {
		if !c.retired {
			c.retired = true
			close(c.retire)
		}
		return nil, errors.New("circuit: this circuit has served its number of streams")
	}
	open := 0
	for _, s := range c.streams {
		if !s.closed {
			open++
		}
	}
	if open >= maxStreams {
		return nil, errors.New("circuit: too many streams on this circuit")
	}
	c.lastID++
	s := &stream{c: c, id: c.lastID, hop: len(c.relays) - 1, mailbox: mailbox, notify: make(chan struct{}, 1)}
	c.streams[s.id] = s
	c.flows[s.hop].send.AtMost(c.rtt, time.Since(c.born))
	return s, nil
}

// receiveLocked takes a message for this stream from its own hop.
func (s *stream) receiveLocked(m cell.Message) error {
	switch {
	case s.ended:
		return violation("message after END")
	case s.mailbox && (m.Command == cell.Data || m.Command == cell.Connected), !s.mailbox && m.Command.Mailbox():
		return violation("command of another kind of stream")
	case s.mailbox && !s.used:
		return violation("message on a stream that was never opened")
	case !s.mailbox && s.connected == (m.Command == cell.Connected) && m.Command != cell.End:
		return violation("CONNECTED and what needs it are out of order")
	}
	switch m.Command {
	default:
		s.pushLocked(received{command: byte(m.Command), flags: m.Flags, data: append([]byte(nil), m.Data...)})
		return nil
	case cell.Connected:
		s.connected = true
	case cell.Data:
		b := dataPool.Get().(*[cell.DataSize]byte)
		s.pushLocked(received{data: b[:copy(b[:], m.Data)], pooled: b})
		return nil
	case cell.End:
		s.ended, s.reason = true, m.Data[0]
		if s.closed {
			delete(s.c.streams, s.id)
		}
		s.c.wakeSendersLocked()
	case cell.XOff, cell.XOn:
		if s.paused == (m.Command == cell.XOff) {
			return violation("XOFF or XON twice")
		}
		s.paused = !s.paused
		s.c.wakeSendersLocked()
	}
	s.wakeLaterLocked()
	return nil
}

// pushLocked queues a credited message; the queue is bounded by the credit of
// the hop. Nobody reads a closed stream, so its messages count as consumed.
func (s *stream) pushLocked(r received) {
	if s.closed {
		s.release(r)
		s.c.consumeLocked(s.hop)
		return
	}
	s.queue.push(r)
	if !s.xoff && s.queue.n >= xoffAt {
		s.xoff = true
		s.c.enqueueLocked(outbound{hop: s.hop, m: cell.Message{Command: cell.XOff, Stream: s.id}})
	}
	s.wakeLaterLocked()
}

// popLocked removes the first message and counts it as consumed.
func (s *stream) popLocked() {
	s.queue.pop()
	s.at = 0
	s.c.consumeLocked(s.hop)
	if s.xoff && s.queue.n <= xonAt {
		s.xoff = false
		s.c.enqueueLocked(outbound{hop: s.hop, m: cell.Message{Command: cell.XOn, Stream: s.id}})
	}
}

func (s *stream) release(r received) {
	if r.pooled != nil {
		dataPool.Put(r.pooled)
	}
}

// wakeLaterLocked wakes the user when all cells that came together are handled.
func (s *stream) wakeLaterLocked() {
	if !s.changed {
		s.changed = true
		s.c.changed = append(s.c.changed, s)
	}
}

func (s *stream) wake() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// close ends this side. The relay is told if it knows the stream and has not
// ended it itself.
func (s *stream) close() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for s.queue.n > 0 {
		r := *s.queue.first()
		s.popLocked()
		s.release(r)
	}
	switch {
	case s.ended:
		delete(s.c.streams, s.id)
	case s.used:
		s.c.enqueueLocked(outbound{hop: s.hop, m: cell.Message{Command: cell.End, Stream: s.id, Data: endDone}})
	default:
		delete(s.c.streams, s.id)
	}
	s.c.wakeSendersLocked()
	s.wake()
}

var endDone = []byte{cell.EndDone}

// wait blocks until something may have changed for the stream's reader.
func (s *stream) wait(ctx context.Context) error {
	select {
	case <-s.notify:
		return nil
	case <-s.c.done:
		return s.c.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Mailbox opens a stream of mailbox messages to the last hop. Nothing is sent
// for it: the first message of the user opens it at the mailbox.
func (c *Circuit) Mailbox(context.Context) (Stream, error) {
	s, err := c.newStream(true)
	if err != nil {
		return nil, err
	}
	return (*mailboxStream)(s), nil
}

// mailboxStream is a stream as Stream.
type mailboxStream stream

var _ Stream = (*mailboxStream)(nil)

func (s *mailboxStream) Send(ctx context.Context, command, flags byte, data []byte) error {
	m := cell.Message{Command: cell.Command(command), Flags: flags, Stream: s.id, Data: data}
	if !m.Command.Mailbox() || len(data) > cell.DataSize {
		return fmt.Errorf("circuit: no mailbox message: command %#x with %d bytes", command, len(data))
	}
	return s.c.send(ctx, s.hop, m, true, func() (bool, error) {
		if s.closed || s.ended {
			return false, errStreamClosed
		}
		return !s.paused, nil
	}, func() { s.used = true })
}

func (s *mailboxStream) Recv(ctx context.Context) (Message, error) {
	for {
		s.c.mu.Lock()
		if s.closed {
			s.c.mu.Unlock()
			return Message{}, errStreamClosed
		}
		if s.queue.n > 0 {
			r := *s.queue.first()
			(*stream)(s).popLocked()
			s.c.mu.Unlock()
			return Message{Command: r.command, Flags: r.flags, Data: r.data}, nil
		}
		ended := s.ended
		s.c.mu.Unlock()
		if ended {
			return Message{}, io.EOF
		}
		if err := (*stream)(s).wait(ctx); err != nil {
			return Message{}, err
		}
	}
}

func (s *mailboxStream) Close() error {
	(*stream)(s).close()
	return nil
}

func (s *mailboxStream) Done() <-chan struct{} { return s.c.done }

// Directory opens a byte stream to the directory service of the last hop. It
// waits for the relay's answer; ErrRefused is wrapped if that is no. Reading,
// writing and closing may be used concurrently. Reading ends with io.EOF after
// the relay's regular END.
func (c *Circuit) Directory(ctx context.Context) (io.ReadWriteCloser, error) {
	s, err := c.newStream(false)
	if err != nil {
		return nil, err
	}
	begin := cell.Message{Command: cell.Begin, Stream: s.id, Data: []byte{cell.ServiceDirectory, 0, 0, 0}}
	if err := c.send(ctx, s.hop, begin, false, nil, func() { s.used = true }); err != nil {
		s.close()
		return nil, err
	}
	for {
		c.mu.Lock()
		connected, ended := s.connected, s.ended
		c.mu.Unlock()
		if connected {
			return (*directoryStream)(s), nil
		}
		if ended {
			s.close()
			return nil, fmt.Errorf("%w: directory", ErrRefused)
		}
		if err := s.wait(ctx); err != nil {
			s.close()
			return nil, err
		}
	}
}

// directoryStream is a stream as io.ReadWriteCloser.
type directoryStream stream

func (s *directoryStream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := s.readLocked(p)
		if n > 0 || err != nil {
			return n, err
		}
		if err := (*stream)(s).wait(context.Background()); err != nil {
			return 0, err
		}
	}
}

// readLocked takes c.mu and copies what there is.
func (s *directoryStream) readLocked(p []byte) (int, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.closed {
		return 0, errStreamClosed
	}
	n := 0
	for n < len(p) && s.queue.n > 0 {
		r := *s.queue.first()
		k := copy(p[n:], r.data[s.at:])
		n += k
		if s.at += k; s.at == len(r.data) {
			(*stream)(s).popLocked()
			(*stream)(s).release(r)
		}
	}
	switch {
	case n > 0 || !s.ended:
		return n, nil
	case s.reason == cell.EndDone:
		return 0, io.EOF
	}
	return 0, fmt.Errorf("%w: it ended", ErrRefused)
}

func (s *directoryStream) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k, credit, err := (*stream)(s).queueData(p[n:])
		if n += k; err != nil {
			return n, err
		}
		if n == len(p) {
			break
		}
		select {
		case <-credit:
		case <-s.c.done:
		}
	}
	return n, nil
}

// queueData queues copies of as much of p as there is credit for, all at once,
// so that the writer finds whole batches. If that is not all of p, the caller
// waits for the channel.
func (s *stream) queueData(p []byte) (n int, credit <-chan struct{}, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, nil, c.closedErrorLocked()
	case s.closed || s.ended:
		return 0, nil, errStreamClosed
	}
	for n < len(p) && !s.paused && c.flows[s.hop].send.Take() {
		o := outbound{hop: s.hop, data: dataPool.Get().(*[cell.DataSize]byte)}
		k := copy(o.data[:], p[n:])
		o.m = cell.Message{Command: cell.Data, Stream: s.id, Data: o.data[:k]}
		c.out.push(o)
		n += k
	}
	if n > 0 {
		c.wakeWriterLocked()
	}
	if n < len(p) {
		c.awaited = true
	}
	return n, c.credit, nil
}

func (s *directoryStream) Close() error {
	(*stream)(s).close()
	return nil
}
