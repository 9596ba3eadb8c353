package circuit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadConn is a stream that nobody reads; the rig moves cells by hand.
type deadConn struct {
	mu     sync.Mutex
	resets int
}

func (*deadConn) Read([]byte) (int, error)        { return 0, io.EOF }
func (*deadConn) Peek([]byte) (int, error)        { return 0, io.EOF }
func (*deadConn) Write(p []byte) (int, error)     { return len(p), nil }
func (*deadConn) SetReadDeadline(time.Time) error { return nil }
func (*deadConn) SetPriority(int8, bool)          {}

func (d *deadConn) CancelRead(quic.StreamErrorCode)  { d.reset() }
func (d *deadConn) CancelWrite(quic.StreamErrorCode) { d.reset() }

func (d *deadConn) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resets++
}

// rig is a circuit without a network: the test holds the layers of all relays
// and speaks for each of them.
type rig struct {
	t      testing.TB
	c      *Circuit
	conn   *deadConn
	layers []*onion.Layer
}

func newRig(t testing.TB, hops int) *rig {
	t.Helper()
	conn := new(deadConn)
	g := &guardLink{done: make(chan struct{}), shaped: func() bool { return false }}
	r := &rig{t: t, conn: conn}
	r.c = newCircuit("1", testNetwork, conn, g, time.Now(), nil)
	for i := range hops {
		relay, key := testRelay(byte(i))
		h, create, err := r.c.handshake(relay, i)
		if err != nil {
			t.Fatal(err)
		}
		layer, created := r.respond(relay.ID, key, create)
		l, o, err := h.Finish(created)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.c.addHop(relay.ID, l, o); err != nil {
			t.Fatal(err)
		}
		r.layers = append(r.layers, layer)
	}
	return r
}

var testNetwork = directory.NetworkID(sha256.Sum256([]byte("circuit test network")))

func (r *rig) respond(id directory.RelayID, key onion.OnionKey, create []byte) (*onion.Layer, []byte) {
	r.t.Helper()
	layer, _, created, err := onion.Respond(rand.Reader, testNetwork, id, []onion.OnionKey{key}, create, accept)
	if err != nil {
		r.t.Fatal(err)
	}
	return layer, created
}

func accept(o cell.Options) cell.Options {
	o.HasSlot = false
	return o
}

func testRelay(n byte) (*directory.Relay, onion.OnionKey) {
	key, err := onion.NewOnionKey(sha256.Sum256([]byte{'k', n}), 1)
	if err != nil {
		panic(err)
	}
	return &directory.Relay{ID: directory.RelayID(sha256.Sum256([]byte{'r', n})), OnionKey: key.Public(), OnionEpoch: 1}, key
}

// from lets a hop send a message to the client and returns the verdict.
func (r *rig) from(hop int, m cell.Message) error {
	r.t.Helper()
	var b [cell.Size]byte
	cell.Header{Type: cell.Relay}.Put(b[:])
	if err := r.layers[hop].SealBackwardOwn(cell.Body(b[:]), m); err != nil {
		r.t.Fatal(err)
	}
	for i := hop - 1; i >= 0; i-- {
		r.layers[i].SealBackward(cell.Body(b[:]))
	}
	defer r.c.wakeUsers()
	return r.c.handle(b[:])
}

// got is a message that a hop received.
type got struct {
	hop int
	m   cell.Message
	tag onion.Tag // of the hop's own layer
}

// sent seals what the client has queued and opens it at the relays.
func (r *rig) sent() []got {
	r.t.Helper()
	var out []got
	var list [batchCells]outbound
	var batch [batchCells * cell.Size]byte
	for {
		n := r.c.takeOut(list[:])
		if n == 0 {
			return out
		}
		if err := r.c.seal(batch[:], list[:n]); err != nil {
			r.t.Fatal(err)
		}
		for i := range n {
			if list[i].written != nil {
				list[i].written <- struct{}{}
			}
			out = append(out, r.open(batch[i*cell.Size:(i+1)*cell.Size]))
		}
	}
}

func (r *rig) open(b []byte) got {
	r.t.Helper()
	for hop, l := range r.layers {
		payload, mine, err := l.OpenForward(cell.Body(b))
		if err != nil {
			r.t.Fatal(err)
		}
		if !mine {
			continue
		}
		m, err := cell.ParseMessage(payload)
		if err != nil {
			r.t.Fatal(err)
		}
		m.Data = append([]byte(nil), m.Data...)
		return got{hop, m, l.ForwardTag()}
	}
	r.t.Fatal("a cell is for nobody")
	return got{}
}

// must fails the test if a hop's message is refused.
func (r *rig) must(hop int, m cell.Message) {
	r.t.Helper()
	if err := r.from(hop, m); err != nil {
		r.t.Fatalf("%#x from hop %d: %v", m.Command, hop, err)
	}
}

// mailbox opens a mailbox stream and sends its first message.
func (r *rig) mailbox() *mailboxStream {
	r.t.Helper()
	s, err := r.c.Mailbox(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.queue(s, []byte("open"))
	r.sent()
	return s.(*mailboxStream)
}

// queue sends on a mailbox stream without waiting for the writer, which the rig
// does not run.
func (r *rig) queue(s Stream, data []byte) {
	r.t.Helper()
	m := s.(*mailboxStream)
	msg := cell.Message{Command: cell.MailboxFirst, Stream: m.id, Data: data}
	if err := r.c.send(r.t.Context(), m.hop, msg, false, nil, func() { m.used = true }); err != nil {
		r.t.Fatal(err)
	}
}

// directory opens a directory stream; the relay has answered with CONNECTED if
// connect is set.
func (r *rig) directory(connect bool) *stream {
	r.t.Helper()
	s, err := r.c.newStream(false)
	if err != nil {
		r.t.Fatal(err)
	}
	s.used = true
	if connect {
		r.must(s.hop, cell.Message{Command: cell.Connected, Stream: s.id})
	}
	return s
}

var zero [cell.DataSize]byte

func isViolation(err error) bool {
	return errors.Is(err, errViolation) || errors.Is(err, cell.ErrFormat) || errors.Is(err, onion.ErrLayer)
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
