package mailbox

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// pass lets virtual time pass; only inside a synctest bubble.
func pass(d time.Duration) { time.Sleep(d) }

// testServer is a running Server of a lab network with a disk that can be filled.
type testServer struct {
	*Server
	t     testing.TB
	cfg   Config
	free  uint64
	delay time.Duration // of batches; 0: the usual
	sync  bool          // to the disk, as in earnest
	done  chan error
	stop  context.CancelFunc
}

var testNetwork = directory.NetworkID(filled32(40))

func testIdentity(from byte) ed25519.PrivateKey {
	s := filled32(from)
	return ed25519.NewKeyFromSeed(s[:])
}

func startServer(t testing.TB, lab bool) *testServer {
	s := prepareServer(t, lab)
	s.start()
	return s
}

// startFast starts a lab server without rates and hardly any batch delay.
func startFast(t testing.TB) *testServer {
	s := prepareServer(t, true)
	s.cfg.TestOnlyNoRates = true
	s.delay = 50 * time.Microsecond
	s.start()
	return s
}

func prepareServer(t testing.TB, lab bool) *testServer {
	s := &testServer{t: t, free: math.MaxUint64}
	s.cfg = Config{
		Dir: filepath.Join(t.TempDir(), "mailbox"), Network: testNetwork, Identity: testIdentity(41), Lab: lab,
		FreeSpace: func() (uint64, uint64, error) { return s.free, 0, nil },
	}
	return s
}

func (s *testServer) start() {
	s.t.Helper()
	srv, err := newServer(s.cfg, !s.sync)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.delay > 0 {
		srv.batchDelay = s.delay
	}
	s.Server = srv
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.done = make(chan error, 1)
	go func() { s.done <- srv.Run(ctx) }()
}

func (s *testServer) shutdown() {
	s.t.Helper()
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Errorf("run: %v", err)
	}
	if err := s.Close(); err != nil {
		s.t.Errorf("close: %v", err)
	}
}

// peer is a client of one session that sends raw commands.
type peer struct {
	t       testing.TB
	session *Session
	auth    Auth
	hello   Hello
	replies chan reply
}

type reply struct {
	cmd  Command
	data []byte
}

// raw opens a session without greeting it.
func (s *testServer) raw() *peer {
	p := &peer{t: s.t, replies: make(chan reply, 4096)}
	p.session = s.Open(func(command, flags byte, stream uint16, data []byte) error {
		if flags != 0 || stream != 7 || len(data) > DataSize {
			s.t.Errorf("bad reply: flags %d stream %d length %d", flags, stream, len(data))
		}
		p.replies <- reply{Command(command), append([]byte(nil), data...)}
		return nil
	})
	return p
}

func (s *testServer) peer() *peer {
	s.t.Helper()
	p := s.raw()
	p.must(CmdOpen, Open{Version: 1}.Append(nil))
	h, err := ParseHello(p.want(CmdHello))
	if err != nil {
		s.t.Fatal(err)
	}
	p.hello = h
	p.auth = Auth{Network: testNetwork, Relay: s.relay, Nonce: h.Nonce, Counter: 1}
	return p
}

// send hands one command to the session and counts it.
func (p *peer) send(cmd Command, data []byte) error {
	err := p.session.Message(byte(cmd), 0, 7, data)
	p.auth.Counter++
	return err
}

func (p *peer) must(cmd Command, data []byte) {
	p.t.Helper()
	if err := p.send(cmd, data); err != nil {
		p.t.Fatalf("%s: %v", cmd, err)
	}
}

func (p *peer) next() reply {
	return <-p.replies
}

func (p *peer) want(cmd Command) []byte {
	p.t.Helper()
	r := p.next()
	if r.cmd != cmd {
		p.t.Fatalf("got %s %x, want %s", r.cmd, r.data[:min(16, len(r.data))], cmd)
	}
	return r.data
}

func (p *peer) wantErr(cmd Command, code Code) {
	p.t.Helper()
	e, err := ParseErr(p.want(CmdErr))
	if err != nil {
		p.t.Fatal(err)
	}
	if e.Command != cmd || e.Code != code {
		p.t.Fatalf("got ERR %s %s, want %s %s", e.Command, e.Code, cmd, code)
	}
}

// quiet checks that nothing more comes; only inside a synctest bubble.
func (p *peer) quiet() {
	p.t.Helper()
	synctest.Wait()
	select {
	case r := <-p.replies:
		p.t.Fatalf("unexpected %s", r.cmd)
	default:
	}
}

// queue is one queue as its owner knows it.
type queue struct {
	key  ed25519.PrivateKey
	cap  [32]byte
	kind Kind
	ttl  uint16
	lid  LID
	rid  RID
	sid  SID
}

func newQueue(kind Kind) *queue {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	q := &queue{key: key, kind: kind, rid: RIDOf([32]byte(key.Public().(ed25519.PublicKey)))}
	_, _ = rand.Read(q.cap[:])
	if kind == KindInvite || kind == KindAddress {
		_, _ = rand.Read(q.lid[:])
	}
	return q
}

func (p *peer) newCommand(q *queue) []byte {
	m := New{Kind: q.kind, TTL: q.ttl, RPK: [32]byte(q.key.Public().(ed25519.PublicKey)), Cap: q.cap, LID: q.lid}
	m.Work, _ = FindWork(nil, p.hello.Nonce, q.rid, int(p.hello.WorkBits))
	p.auth.SignNew(&m, q.key)
	return m.Append(nil)
}

func (p *peer) create(kind Kind) *queue {
	p.t.Helper()
	q := newQueue(kind)
	p.must(CmdNew, p.newCommand(q))
	ok, err := ParseOKNew(p.want(CmdOK))
	if err != nil {
		p.t.Fatal(err)
	}
	if ok.RID != q.rid {
		p.t.Fatal("another RID")
	}
	q.sid = ok.SID
	return q
}

func (p *peer) subCommand(q *queue, after uint64, window byte, push bool) []byte {
	m := Sub{RID: q.rid, After: after, Window: window, Push: push}
	p.auth.SignSub(&m, q.key)
	return m.Append(nil)
}

func (p *peer) subscribe(q *queue, after uint64, window byte, push bool) OKSub {
	p.t.Helper()
	p.must(CmdSub, p.subCommand(q, after, window, push))
	ok, err := ParseOKSub(p.want(CmdOK))
	if err != nil {
		p.t.Fatal(err)
	}
	return ok
}

func testBlock(n int) (id MessageID, block [BlockSize]byte) {
	h := sha256.Sum256([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	for i := range block {
		block[i] = h[i%32]
	}
	return MessageID(h[:]), block
}

func (p *peer) sendCommand(q *queue, n int) []byte {
	m := &Send{SID: q.sid}
	m.ID, m.Block = testBlock(n)
	p.auth.SealSend(m, q.cap)
	return m.Append(nil)
}

func (p *peer) store(q *queue, n int) OKSend {
	p.t.Helper()
	p.must(CmdSend, p.sendCommand(q, n))
	ok, err := ParseOKSend(p.want(CmdOK))
	if err != nil {
		p.t.Fatal(err)
	}
	return ok
}

func (p *peer) wantMsg(q *queue, seq uint64, n int) *Msg {
	p.t.Helper()
	m, err := ParseMsg(p.want(CmdMsg))
	if err != nil {
		p.t.Fatal(err)
	}
	if _, block := testBlock(n); m.RID != q.rid || m.Seq != seq || m.Block != block {
		p.t.Fatalf("got seq %d, want %d with block %d", m.Seq, seq, n)
	}
	return m
}

func (p *peer) ack(q *queue, seq uint64) {
	p.t.Helper()
	p.must(CmdAck, Ack{RID: q.rid, Seq: seq}.Append(nil))
}

func (p *peer) list(q *queue, after uint64) IDs {
	p.t.Helper()
	p.must(CmdList, List{RID: q.rid, After: after}.Append(nil))
	ids, err := ParseIDs(p.want(CmdIDs))
	if err != nil {
		p.t.Fatal(err)
	}
	return ids
}
