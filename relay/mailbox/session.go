package mailbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Rates of one circuit (SPEC.md §8).
const (
	sendRate  = 20 // a second
	sendBurst = 128
	fileRate  = 2000 // of SENDs to queues of files
	fileBurst = 2048
)

var (
	errProtocol = errors.New("mailbox: command malformed or not expected")
	errClosed   = errors.New("mailbox: session closed")
	errFailures = errors.New("mailbox: too many failures")
)

// Session is the service's side of one circuit. Message parses and authenticates
// commands in the caller's goroutine and hands writes to the committer; a
// goroutine of the session, which starts with OPEN and ends with Close or an
// error, sends the replies in order and the pushed blocks between them.
type Session struct {
	srv   *Server
	reply func(command, flags byte, stream uint16, data []byte) error

	// Owned by the caller of Message.
	stream uint16
	auth   Auth
	news   int
	owned  map[RID]Kind // subscribed to or polled
	half   *SetLink     // first half of a blob
	record []byte       // first parts of an address record
	puts   int
	rate   *rate.Limiter
	bulk   *rate.Limiter // of SENDs to queues of files
	paid   map[SID]*payment

	custody *custody
	answers chan answer // holds all commands that may be without a reply
	sends   atomic.Int32
	others  atomic.Int32
	poke    chan struct{} // one token: look at the subscriptions
	closed  chan struct{}
	once    sync.Once

	mu   sync.Mutex
	acks map[RID]uint64 // not yet seen by the writer; at most QueuesMax
	err  error          // why the session is dead

	// Owned by the writer goroutine.
	subs     map[RID]*pushSub
	failures int
}

// answer is a command whose reply is due. The writer calls run after all earlier
// ones.
type answer struct {
	count *atomic.Int32 // of commands without a reply; lowered before the reply
	run   func() error
}

// Open starts a session for one circuit. reply sends a message back to the
// client; it may block while the client gives no credit, and must fail when the
// circuit is gone.
func (s *Server) Open(reply func(command, flags byte, stream uint16, data []byte) error) *Session {
	return &Session{
		srv: s, reply: reply, owned: make(map[RID]Kind), acks: make(map[RID]uint64), subs: make(map[RID]*pushSub),
		rate: rate.NewLimiter(sendRate, sendBurst), bulk: rate.NewLimiter(fileRate, fileBurst), paid: make(map[SID]*payment),
		answers: make(chan answer, SendWindow+OtherWindow), poke: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

// Close ends the session. It does not wait for a reply that is being sent.
// Idempotent.
func (c *Session) Close() { c.kill(errClosed) }

func (c *Session) kill(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.once.Do(func() { close(c.closed) })
}

func (c *Session) dead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Message takes one command, in order. data is not kept. It blocks while the
// client sends faster than its rate or the disk is behind. An error means that
// the circuit has to be destroyed.
func (c *Session) Message(command, flags byte, stream uint16, data []byte) error {
	if err := c.dead(); err != nil {
		return err
	}
	err := c.message(Command(command), flags, stream, data)
	if err != nil {
		c.kill(err)
	}
	c.auth.Counter++
	return err
}

func (c *Session) message(cmd Command, flags byte, stream uint16, data []byte) error {
	if flags != 0 || stream == 0 || (cmd == CmdOpen) != (c.stream == 0) || c.stream != 0 && c.stream != stream {
		return errProtocol
	}
	if c.stream != 0 && c.custody == nil {
		return errProtocol // the version was refused
	}
	switch cmd {
	case CmdOpen:
		return c.onOpen(stream, data)
	case CmdNew:
		return c.onNew(data)
	case CmdSub:
		return c.onSub(data)
	case CmdAck:
		return c.onAck(data)
	case CmdSend:
		return c.onSend(data)
	case CmdList:
		return c.onList(data)
	case CmdSetLink:
		return c.onSetLink(data)
	case CmdGetLink:
		return c.onGetLink(data)
	case CmdWork:
		return c.onWork(data)
	case CmdRotCap:
		return c.onRotCap(data)
	case CmdDel:
		return c.onDel(data)
	case CmdPut:
		return c.onPut(data)
	case CmdGet:
		return c.onGet(data)
	}
	return errProtocol
}

// onOpen handles OPEN (SPEC.md §3.3).
func (c *Session) onOpen(stream uint16, data []byte) error {
	m, err := ParseOpen(data)
	if err != nil {
		return err
	}
	c.stream = stream
	go c.write()
	if m.Version != Version {
		return c.refuse(CmdOpen, CodeVersion, Version)
	}
	c.custody = c.srv.custodyKey()
	c.auth = Auth{Network: c.srv.cfg.Network, Relay: c.srv.relay}
	_, _ = rand.Read(c.auth.Nonce[:])
	hello := Hello{Draining: c.srv.draining.Load(), Window: PushWindow, WorkBits: c.srv.workBits(), Nonce: c.auth.Nonce, Custody: c.custody.cert}
	return c.answer(func() error { return c.send(CmdHello, hello.Append(nil)) })
}

func (s *Server) workBits() byte {
	if s.cfg.Lab || s.cfg.TestOnlyNoWork {
		return 0
	}
	return WorkBits
}

// onNew handles NEW (SPEC.md §3.5).
func (c *Session) onNew(data []byte) error {
	m, err := ParseNew(data)
	if err != nil {
		return err
	}
	limits, ok := m.Kind.Limits()
	if ok && !limits.HasLink && m.LID != (LID{}) {
		return errProtocol
	}
	c.news++
	switch {
	case !c.auth.VerifyNew(m):
		return c.refuse(CmdNew, CodeAuth, 0)
	case !ok || c.news > NewMax && !c.srv.cfg.TestOnlyNoRates:
		return c.refuse(CmdNew, CodeLimit, 0)
	case !CheckWork(c.auth.Nonce, RIDOf(m.RPK), m.Work, int(c.srv.workBits())):
		return c.refuse(CmdNew, CodeWork, uint16(c.srv.workBits()))
	}
	ttl := min(m.TTL, limits.MaxTTL)
	if ttl == 0 {
		ttl = limits.TTL
	}
	full, _ := c.srv.refuses()
	full = full || c.srv.draining.Load()
	var made OKNew
	return c.write1(CmdNew, func(t *tx) (err error) {
		made, err = t.create(m, ttl, full)
		return err
	}, func() error { return c.send(CmdOK, made.Append(nil)) })
}

// onSend handles SEND (SPEC.md §3.8). The sender is authenticated first, and
// only then learns anything about the queue or the disk.
func (c *Session) onSend(data []byte) error {
	m, err := ParseSend(data)
	if err != nil {
		return err
	}
	rid, q, ok, err := c.srv.store.bySID(m.SID, c.srv.store.now())
	if err != nil {
		return err
	}
	right := c.auth.VerifySend(m, q.cap)
	pace := c.rate
	if limits, _ := q.kind.Limits(); ok && right && limits.Bulk {
		pace = c.bulk
	}
	if err := c.pace(pace); err != nil {
		return err
	}
	if !ok || !right {
		return c.refuseSend(m.ID, CodeAuth, 0)
	}
	if _, full := c.srv.refuses(); full {
		return c.refuseSend(m.ID, CodeBusy, busyArgument)
	}
	hash := sha256.Sum256(m.Block[:])
	var stored, until uint32
	g := c.spend(m.SID, q.kind)
	o, err := c.srv.submit(func(t *tx) (err error) {
		stored, until, err = t.put(rid, m, hash, g)
		return err
	}, false)
	if err != nil {
		return err
	}
	return c.answerSend(func() error {
		err := c.srv.await(o)
		if r, ok := err.(*refusal); ok {
			return c.err1(CmdSend, r.code, r.argument, m.ID)
		}
		if err != nil {
			return err
		}
		c.srv.stats.stored.Add(1)
		r := Receipt{Relay: c.srv.relay, SID: m.SID, ID: m.ID, BlockHash: hash, Stored: stored, Until: until}
		r.sign(c.srv.cfg.Network, c.custody.key)
		return c.send(CmdOK, OKSend{ID: m.ID, Stored: stored, Until: until, Receipt: r.Sig}.Append(nil))
	})
}

// pace waits until the client may SEND again.
func (c *Session) pace(l *rate.Limiter) error {
	if c.srv.cfg.TestOnlyNoRates {
		return nil
	}
	d := l.Reserve().Delay()
	if d == 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.closed:
		return c.dead()
	}
}

// onSetLink handles SETLINK (SPEC.md §3.12).
func (c *Session) onSetLink(data []byte) error {
	m, err := ParseSetLink(data)
	if err != nil {
		return err
	}
	kind, ok := c.owned[m.RID]
	if !ok {
		return errProtocol
	}
	if l, _ := kind.Limits(); !l.HasLink {
		return c.refuse(CmdSetLink, CodeLimit, 0)
	}
	done := func() error { return c.send(CmdOK, OK{Command: CmdSetLink}.Append(nil)) }
	if m.Part == 0 {
		c.half = m
		return c.answer(done)
	}
	half := c.half
	if half == nil || half.RID != m.RID {
		return errProtocol
	}
	c.half = nil
	blob := append(append(make([]byte, 0, LinkSize), half.Chunk[:]...), m.Chunk[:]...)
	return c.write1(CmdSetLink, func(t *tx) error { return t.setLink(m.RID, blob) }, done)
}

// onGetLink handles GETLINK (SPEC.md §3.13).
func (c *Session) onGetLink(data []byte) error {
	m, err := ParseGetLink(data)
	if err != nil {
		return err
	}
	var blob []byte
	var opens uint16
	return c.write1(CmdGetLink, func(t *tx) (err error) {
		blob, opens, err = t.openLink(m)
		return err
	}, func() error {
		for part := range LinkParts {
			l := &Link{Part: byte(part), Opens: opens, Chunk: [BlockSize]byte(blob[part*BlockSize:])}
			if err := c.send(CmdLink, l.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	})
}

// onRotCap handles ROTCAP (SPEC.md §3.14).
func (c *Session) onRotCap(data []byte) error {
	m, err := ParseRotCap(data)
	if err != nil {
		return err
	}
	q, ok, err := c.srv.store.byRID(m.RID, c.srv.store.now())
	if err != nil {
		return err
	}
	if right := c.auth.VerifyRotCap(m, q.rpk); !right || !ok || q.deleted {
		return c.refuse(CmdRotCap, CodeAuth, 0)
	}
	return c.write1(CmdRotCap, func(t *tx) error { return t.rotate(m.RID, m.Cap) }, func() error {
		return c.send(CmdOK, OK{Command: CmdRotCap}.Append(nil))
	})
}

// onDel handles DEL (SPEC.md §3.15).
func (c *Session) onDel(data []byte) error {
	m, err := ParseDel(data)
	if err != nil {
		return err
	}
	q, ok, err := c.srv.store.byRID(m.RID, c.srv.store.now())
	if err != nil {
		return err
	}
	if right := c.auth.VerifyDel(m, q.rpk); !right || !ok {
		return c.refuse(CmdDel, CodeAuth, 0)
	}
	return c.write1(CmdDel, func(t *tx) error { return t.delete(m.RID) }, func() error {
		return c.send(CmdOK, OK{Command: CmdDel}.Append(nil))
	})
}

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
