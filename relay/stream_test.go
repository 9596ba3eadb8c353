package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory/gossip"
)

// withService runs f with a client on one relay that serves directory requests.
func withService(t *testing.T, serve func(ctx context.Context, s gossip.Stream) error, f func(t *testing.T, m *memNet, c *testClient)) {
	t.Helper()
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.ServeRequest = serve; cfg.Service = quiet{} }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		f(t, m, c)
	})
}

func begin(c *testClient, id uint16) {
	c.send(0, cell.Message{Command: cell.Begin, Stream: id, Data: []byte{cell.ServiceDirectory, 0, 0, 0}})
}

func TestDirectoryStream(t *testing.T) {
	answer := bytes.Repeat([]byte("hearsay"), 20_000)
	withService(t, func(_ context.Context, s gossip.Stream) error {
		req := make([]byte, 5)
		if _, err := io.ReadFull(s, req); err != nil {
			return err
		}
		if _, err := s.Write(append(req, answer...)); err != nil {
			return err
		}
		return s.Close()
	}, func(t *testing.T, m *memNet, c *testClient) {
		begin(c, 3)
		c.expect(t, 0, cell.Connected)
		c.send(0, cell.Message{Command: cell.Data, Stream: 3, Data: []byte("ab")})
		c.send(0, cell.Message{Command: cell.Data, Stream: 3, Data: []byte("cde")})
		var got []byte
		for {
			_, x, err := c.recv()
			if err != nil {
				t.Fatal(err)
			}
			if x.Command == cell.End {
				if x.Data[0] != cell.EndDone {
					t.Errorf("END %d", x.Data[0])
				}
				break
			}
			if x.Command == cell.Data {
				got = append(got, x.Data...)
			}
		}
		if want := append([]byte("abcde"), answer...); !bytes.Equal(got, want) {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
		// What crossed the END is dropped; the id is used up.
		c.send(0, cell.Message{Command: cell.Data, Stream: 3, Data: []byte("late")})
		c.send(0, cell.Message{Command: cell.End, Stream: 3, Data: []byte{cell.EndDone}})
		m.expectCircuits(1)
		begin(c, 3)
		m.expectCircuits(0)
	})
}

func TestUnknownServiceIsRefused(t *testing.T) {
	withService(t, nil, func(t *testing.T, m *memNet, c *testClient) {
		begin(c, 1)
		if x := c.expect(t, 0, cell.End); x.Data[0] != cell.EndRefused {
			t.Errorf("END %d", x.Data[0])
		}
		m.expectCircuits(1)
	})
}

// TestClientEndsAStream shows that both the reader and a writer without credit
// notice.
func TestClientEndsAStream(t *testing.T) {
	var ended chan error // made in the bubble, where time can see who waits
	withService(t, func(_ context.Context, s gossip.Stream) error {
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(s)
			read <- err
		}()
		_, err := s.Write(make([]byte, 1<<20))
		ended <- err
		ended <- <-read
		return nil
	}, func(t *testing.T, m *memNet, c *testClient) {
		ended = make(chan error, 2)
		begin(c, 1)
		synctest.Wait() // the writer has no credit left
		c.send(0, cell.Message{Command: cell.End, Stream: 1, Data: []byte{cell.EndDone}})
		if err := <-ended; !errors.Is(err, errStreamEnded) {
			t.Errorf("write: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("read: %v", err)
		}
		m.expectCircuits(1)
	})
}

func TestStreamDeadlines(t *testing.T) {
	var result chan error
	withService(t, func(_ context.Context, s gossip.Stream) error {
		s.SetDeadline(time.Now().Add(time.Minute))
		_, err := s.Read(make([]byte, 1))
		result <- err
		s.SetDeadline(time.Time{})
		go func() { // as a context that ends would do it
			advance(time.Minute)
			s.SetDeadline(time.Unix(1, 0))
		}()
		_, err = s.Write(make([]byte, 1<<20))
		result <- err
		_, err = s.Read(make([]byte, 1))
		result <- err
		return nil
	}, func(t *testing.T, m *memNet, c *testClient) {
		result = make(chan error, 4)
		start := time.Now()
		begin(c, 1)
		for range 3 {
			if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want a deadline", err)
			}
		}
		if d := time.Since(start); d != 2*time.Minute {
			t.Errorf("after %v", d)
		}
		m.expectCircuits(1)
	})
}

func TestXOffAndXOn(t *testing.T) {
	withService(t, func(_ context.Context, s gossip.Stream) error {
		if _, err := s.Read(make([]byte, 1)); err != nil {
			return err
		}
		_, err := s.Write([]byte("after"))
		return err
	}, func(t *testing.T, m *memNet, c *testClient) {
		begin(c, 1)
		c.expect(t, 0, cell.Connected)
		c.send(0, cell.Message{Command: cell.XOff, Stream: 1})
		c.send(0, cell.Message{Command: cell.Data, Stream: 1, Data: []byte{1}})
		synctest.Wait()
		c.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
		c.expect(t, 0, cell.Pong) // and no DATA before it
		c.send(0, cell.Message{Command: cell.XOn, Stream: 1})
		if x := c.expect(t, 0, cell.Data); string(x.Data) != "after" {
			t.Errorf("%q", x.Data)
		}
		c.expect(t, 0, cell.End)
	})
	withService(t, waitForEnd, func(t *testing.T, m *memNet, c *testClient) {
		begin(c, 1)
		c.send(0, cell.Message{Command: cell.XOff, Stream: 1})
		m.expectCircuits(1)
		c.send(0, cell.Message{Command: cell.XOff, Stream: 1})
		m.expectCircuits(0)
	})
}

func waitForEnd(_ context.Context, s gossip.Stream) error {
	_, err := io.ReadAll(s)
	return err
}

// TestRelaySendsXOff fills a stream that nobody reads, with the credit limit
// lifted.
func TestRelaySendsXOff(t *testing.T) {
	read := make(chan struct{})
	serve := func(ctx context.Context, s gossip.Stream) error {
		<-read
		return waitForEnd(ctx, s)
	}
	bubble(t, 1, func(_ int, cfg *SwitchConfig) {
		read = make(chan struct{})
		cfg.ServeRequest, cfg.InsecureNoRateLimits = serve, true
	}, func(t *testing.T, m *memNet) {
		c := m.client()
		c.credit = cell.CreditMax
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		begin(c, 1)
		c.expect(t, 0, cell.Connected)
		for range xoffAt {
			c.send(0, cell.Message{Command: cell.Data, Stream: 1, Data: []byte{1}})
		}
		c.expect(t, 0, cell.XOff)
		close(read)
		c.expect(t, 0, cell.XOn)
		reset(c.s)
	})
}

func TestTooManyStreams(t *testing.T) {
	withService(t, waitForEnd, func(t *testing.T, m *memNet, c *testClient) {
		for id := range uint16(streamsPerCircuit) {
			begin(c, id+1)
			c.expect(t, 0, cell.Connected)
		}
		begin(c, 100)
		if x := c.expect(t, 0, cell.End); x.Data[0] != cell.EndOverload {
			t.Errorf("END %d", x.Data[0])
		}
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 101})
		m.expectCircuits(0)
	})
}

// TestStreamsDoNotMix sends the messages of one service on a stream of another.
func TestStreamsDoNotMix(t *testing.T) {
	withService(t, waitForEnd, func(t *testing.T, m *memNet, c *testClient) {
		begin(c, 1)
		c.send(0, cell.Message{Command: cell.MailboxFirst + 6, Stream: 1})
		m.expectCircuits(0)
	})
	withService(t, waitForEnd, func(t *testing.T, m *memNet, c *testClient) {
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		m.expectCircuits(1)
		c.send(0, cell.Message{Command: cell.Data, Stream: 1, Data: []byte{1}})
		m.expectCircuits(0)
	})
}

// rejecting is a mailbox that takes no message.
type rejecting struct{ closed chan struct{} }

func (r rejecting) Open(func(byte, byte, uint16, []byte) error) ServiceSession { return r }
func (r rejecting) Message(byte, byte, uint16, []byte) error {
	return errors.New("malformed")
}
func (r rejecting) Close() { close(r.closed) }

// TestMailboxRejects ends the circuit by a message that the session rejects,
// and closes the session.
func TestMailboxRejects(t *testing.T) {
	var r rejecting
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { r.closed = make(chan struct{}); cfg.Service = r }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		<-r.closed
		m.expectCircuits(0)
	})
}

// TestServiceOutlivesNothing closes the circuit under a service that is busy.
func TestServiceOutlivesNothing(t *testing.T) {
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.Service = talker{} }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		synctest.Wait()
		reset(c.s)
		m.expectCircuits(0)
	})
}

// TestReplyChecksWhatServicesSend keeps a service from sending what is not its
// own.
func TestReplyChecksWhatServicesSend(t *testing.T) {
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.Service = wrongReplies{t} }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		c.expect(t, 0, cell.MailboxFirst+1)
	})
}

type wrongReplies struct{ t *testing.T }

func (w wrongReplies) Open(reply func(byte, byte, uint16, []byte) error) ServiceSession {
	if reply(byte(cell.Data), 0, 1, nil) == nil || reply(0x41, 0, 2, nil) == nil || reply(0x41, 0, 1, make([]byte, cell.DataSize+1)) == nil {
		w.t.Error("a wrong reply is sent")
	}
	if err := reply(0x41, 0, 1, nil); err != nil {
		w.t.Error(err)
	}
	return quiet{}
}
