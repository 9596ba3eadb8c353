package chat

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

var errTestCircuitGone = errors.New("circuit gone")

// memStream is a circuit.Stream that ends in this process. What the client
// sends goes to take; what push is given comes out of Recv.
type memStream struct {
	take    func(s *memStream, cmd mailbox.Command, data []byte) error
	replies chan circuit.Message // holds the credit of a circuit
	gone    chan struct{}
	once    sync.Once
	onClose func()
}

func newMemStream(take func(s *memStream, cmd mailbox.Command, data []byte) error) *memStream {
	return &memStream{take: take, replies: make(chan circuit.Message, 64), gone: make(chan struct{})}
}

func (s *memStream) Send(ctx context.Context, command, flags byte, data []byte) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.gone:
		return errTestCircuitGone
	default:
	}
	if err := s.take(s, mailbox.Command(command), data); err != nil {
		s.Close()
	}
	return nil
}

func (s *memStream) Recv(ctx context.Context) (circuit.Message, error) {
	select {
	case m := <-s.replies:
		return m, nil
	default:
	}
	select {
	case m := <-s.replies:
		return m, nil
	case <-ctx.Done():
		return circuit.Message{}, ctx.Err()
	case <-s.gone:
		return circuit.Message{}, errTestCircuitGone
	}
}

func (s *memStream) Close() error {
	s.once.Do(func() {
		close(s.gone)
		if s.onClose != nil {
			s.onClose()
		}
	})
	return nil
}

func (s *memStream) Done() <-chan struct{} { return s.gone }

func (s *memStream) push(command, flags byte, data []byte) error {
	select {
	case s.replies <- circuit.Message{Command: command, Flags: flags, Data: append([]byte(nil), data...)}:
		return nil
	case <-s.gone:
		return errTestCircuitGone
	}
}

// mailboxRelay is a mailbox server with streams to it.
type mailboxRelay struct {
	t      *testing.T
	cfg    mailboxConfig
	server *mailbox.Server
	stop   context.CancelFunc
	done   chan error
}

func startMailboxRelay(t *testing.T) *mailboxRelay {
	_, identity, _ := ed25519.GenerateKey(rand.Reader)
	r := &mailboxRelay{t: t, cfg: mailboxConfig{
		Network: directory.NetworkID{1}, Relay: directory.RelayID(identity.Public().(ed25519.PublicKey)), Lab: true, Now: time.Now,
	}}
	server, err := mailbox.NewServer(mailbox.Config{
		Dir: t.TempDir(), Network: r.cfg.Network, Identity: identity, Lab: true,
		FreeSpace: func() (uint64, uint64, error) { return math.MaxUint64, 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.server = server
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.done = cancel, make(chan error, 1)
	go func() { r.done <- server.Run(ctx) }()
	return r
}

func (r *mailboxRelay) close() {
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	if err := r.server.Close(); err != nil {
		r.t.Error(err)
	}
}

// stream makes a circuit to the relay; the stream's Close ends it.
func (r *mailboxRelay) stream() *memStream {
	var session *mailbox.Session
	s := newMemStream(func(_ *memStream, cmd mailbox.Command, data []byte) error {
		return session.Message(byte(cmd), 0, 1, data)
	})
	session = r.server.Open(func(command, flags byte, _ uint16, data []byte) error { return s.push(command, flags, data) })
	s.onClose = session.Close
	return s
}

func (r *mailboxRelay) open() *mailboxClient {
	r.t.Helper()
	c, err := openMailbox(context.Background(), r.stream(), r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func testQueue(kind mailbox.Kind) mailboxQueue {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	q := mailboxQueue{Kind: kind, Key: key}
	_, _ = rand.Read(q.Cap[:])
	if kind == mailbox.KindInvite {
		_, _ = rand.Read(q.LID[:])
	}
	return q
}

func testMailboxBlock(n int) (id mailbox.MessageID, block [mailbox.BlockSize]byte) {
	id[0], id[1], id[7] = byte(n), byte(n>>8), 1
	block[0], block[1], block[mailbox.BlockSize-1] = byte(n), byte(n>>8), 1
	return id, block
}
