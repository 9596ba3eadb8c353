package chat

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// mailboxConfig says whose mailbox a stream leads to.
type mailboxConfig struct {
	Network directory.NetworkID
	Relay   directory.RelayID // the destination of the circuit
	Lab     bool
	Now     func() time.Time // snapshot time; certificates and receipts are judged by it
}

// mailboxClient is the client's side of one mailbox stream. One goroutine reads
// the replies, which come in the order of the commands, and the pushed blocks.
// All methods are safe for concurrent use. Whatever the relay does against the
// protocol, and whatever leaves the stream in doubt, ends the client with an
// error; Done and Err tell.
type mailboxClient struct {
	cfg    mailboxConfig
	stream circuit.Stream
	hello  mailbox.Hello

	ctx    context.Context // ends with the client
	cancel context.CancelFunc
	done   chan struct{} // closed when the reader has ended

	turn   chan struct{} // held while a command is numbered and sent
	auth   mailbox.Auth  // guarded by turn
	paying chan struct{} // held while a WORK is computed and sent
	sends  chan struct{} // tokens of SENDs without a reply
	others chan struct{} // tokens of other commands without a reply

	mu      sync.Mutex
	paid    map[mailbox.SID]mailboxPaid
	waiting []*mailboxCall // commands without a complete reply, oldest first
	subs    map[mailbox.RID]*mailboxSub
	err     error // why the client ended
}

// mailboxCall is a command that waits for its reply.
type mailboxCall struct {
	command mailbox.Command
	// take handles one message of the reply, in the reader goroutine and with
	// mu held, and tells whether the reply is complete. An error other than a
	// refusal ends the client.
	take  func(m circuit.Message) (complete bool, err error)
	slots chan struct{} // where the token goes back to
	done  chan struct{} // closed when the reply is complete or the client ended
	err   error         // set before done is closed
}

// openMailbox greets the relay at the other end of s and verifies that it is the
// expected one. The client owns s from here on; on an error s is closed.
func openMailbox(ctx context.Context, s circuit.Stream, cfg mailboxConfig) (*mailboxClient, error) {
	hello, err := mailboxHello(ctx, s, cfg)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	c := &mailboxClient{
		cfg: cfg, stream: s, hello: hello,
		done: make(chan struct{}), turn: make(chan struct{}, 1), paying: make(chan struct{}, 1), paid: make(map[mailbox.SID]mailboxPaid),
		auth:   mailbox.Auth{Network: cfg.Network, Relay: cfg.Relay, Nonce: hello.Nonce, Counter: 1},
		sends:  make(chan struct{}, mailbox.SendWindow),
		others: make(chan struct{}, mailbox.OtherWindow),
		subs:   make(map[mailbox.RID]*mailboxSub),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.read()
	return c, nil
}

func mailboxHello(ctx context.Context, s circuit.Stream, cfg mailboxConfig) (mailbox.Hello, error) {
	open := mailbox.Open{Version: mailbox.Version}
	if err := s.Send(ctx, byte(mailbox.CmdOpen), 0, open.Append(nil)); err != nil {
		return mailbox.Hello{}, err
	}
	m, err := s.Recv(ctx)
	if err != nil {
		return mailbox.Hello{}, err
	}
	switch {
	case m.Flags != 0:
		return mailbox.Hello{}, mailboxProtocolError("flags")
	case mailbox.Command(m.Command) == mailbox.CmdErr:
		e, err := mailbox.ParseErr(m.Data)
		if err != nil || e.Command != mailbox.CmdOpen {
			return mailbox.Hello{}, mailboxProtocolError("bad refusal")
		}
		return mailbox.Hello{}, &mailboxRefusal{Command: e.Command, Code: e.Code, Argument: e.Argument}
	case mailbox.Command(m.Command) != mailbox.CmdHello:
		return mailbox.Hello{}, mailboxProtocolError("no HELLO")
	}
	h, err := mailbox.ParseHello(m.Data)
	if err != nil {
		return mailbox.Hello{}, mailboxProtocolError(err.Error())
	}
	return h, h.Custody.Verify(cfg.Network, cfg.Relay, cfg.Now())
}

// Relay returns the identity of the relay.
func (c *mailboxClient) Relay() directory.RelayID { return c.cfg.Relay }

// Draining tells whether the relay said that it is about to go for good.
func (c *mailboxClient) Draining() bool { return c.hello.Draining }

// Done is closed when the client has ended, by Close or by a failure.
func (c *mailboxClient) Done() <-chan struct{} { return c.done }

// Err returns why the client ended, or nil while it has not.
func (c *mailboxClient) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the stream and everything that waits on it. It returns when the
// reader has ended and is idempotent.
func (c *mailboxClient) Close() error {
	c.fail(errMailboxClosed)
	<-c.done
	return nil
}

// fail ends the client; the first reason counts.
func (c *mailboxClient) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.cancel()
}

// read runs in its own goroutine until the client ends, and cleans up.
func (c *mailboxClient) read() {
	defer close(c.done)
	for {
		m, err := c.stream.Recv(c.ctx)
		if err == nil {
			err = c.dispatch(m)
		} else {
			err = fmt.Errorf("%w: %w", errMailboxClosed, err)
		}
		if err != nil {
			c.fail(err)
			break
		}
	}
	c.stream.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.waiting {
		w.finish(c.err)
	}
	c.waiting = nil
	for r, s := range c.subs {
		s.end(c.err)
		delete(c.subs, r)
	}
}

// dispatch gives a message to the command or subscription that it belongs to.
func (c *mailboxClient) dispatch(m circuit.Message) error {
	if m.Flags != 0 {
		return mailboxProtocolError("flags")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch cmd := mailbox.Command(m.Command); cmd {
	case mailbox.CmdOK, mailbox.CmdErr, mailbox.CmdIDs, mailbox.CmdLink, mailbox.CmdRecord:
		return c.replyLocked(m)
	case mailbox.CmdMsg:
		return c.pushLocked(m)
	case mailbox.CmdEnd:
		return c.endLocked(m.Data)
	default:
		return mailboxProtocolError("unexpected " + cmd.String())
	}
}

// replyLocked gives a reply to the oldest waiting command.
func (c *mailboxClient) replyLocked(m circuit.Message) error {
	if len(c.waiting) == 0 {
		return mailboxProtocolError("reply without a command")
	}
	w := c.waiting[0]
	var complete bool
	var err error
	if mailbox.Command(m.Command) == mailbox.CmdErr {
		err = w.refused(m.Data)
	} else {
		complete, err = w.take(m)
	}
	if err == nil && !complete {
		return nil
	}
	c.waiting = c.waiting[1:]
	w.finish(err)
	if _, ok := err.(*mailboxRefusal); ok {
		return nil
	}
	return err
}

func (w *mailboxCall) refused(data []byte) error {
	e, err := mailbox.ParseErr(data)
	if err != nil || e.Command != w.command {
		return mailboxProtocolError("refusal of another command")
	}
	return &mailboxRefusal{Command: e.Command, Code: e.Code, Argument: e.Argument}
}

func (w *mailboxCall) finish(err error) {
	w.err = err
	<-w.slots
	close(w.done)
}

// call numbers and sends one command and registers it for its reply. build makes
// the data under the stream's authentication state. With a nil take there is no
// reply to wait for, and call returns nil.
//
// If ctx ends while the cell waits for credit, nobody knows whether it left:
// the client ends.
func (c *mailboxClient) call(ctx context.Context, cmd mailbox.Command, build func(a *mailbox.Auth) []byte, take func(m circuit.Message) (bool, error)) (*mailboxCall, error) {
	var w *mailboxCall
	if take != nil {
		w = &mailboxCall{command: cmd, take: take, slots: c.others, done: make(chan struct{})}
		if cmd == mailbox.CmdSend {
			w.slots = c.sends
		}
		if err := c.acquire(ctx, w.slots); err != nil {
			return nil, err
		}
	}
	if err := c.acquire(ctx, c.turn); err != nil {
		if w != nil {
			<-w.slots
		}
		return nil, err
	}
	defer func() { <-c.turn }()
	data := build(&c.auth)
	if w != nil {
		c.mu.Lock()
		if c.err != nil {
			err := c.err
			c.mu.Unlock()
			<-w.slots
			return nil, err
		}
		c.waiting = append(c.waiting, w)
		c.mu.Unlock()
	}
	c.auth.Counter++
	sendCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	if err := c.stream.Send(sendCtx, byte(cmd), 0, data); err != nil {
		c.fail(fmt.Errorf("send %s: %w", cmd, err))
		return nil, c.Err()
	}
	return w, nil
}

// do sends one command and waits for its reply.
func (c *mailboxClient) do(ctx context.Context, cmd mailbox.Command, build func(a *mailbox.Auth) []byte, take func(m circuit.Message) (bool, error)) error {
	w, err := c.call(ctx, cmd, build, take)
	if err != nil {
		return err
	}
	return w.wait(ctx)
}

// wait returns the outcome of the command. If ctx ends first the reply is
// dropped when it comes, and the client goes on.
func (w *mailboxCall) wait(ctx context.Context) error {
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acquire puts a token into slots, which is full at the limit.
func (c *mailboxClient) acquire(ctx context.Context, slots chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return c.Err()
	}
	if c.ctx.Err() != nil {
		<-slots
		return c.Err()
	}
	return nil
}

// okFor is the take of a command that is answered by a plain OK.
func okFor(cmd mailbox.Command) func(m circuit.Message) (bool, error) {
	return func(m circuit.Message) (bool, error) {
		ok, err := mailbox.ParseOK(m.Data)
		if err != nil || mailbox.Command(m.Command) != mailbox.CmdOK || ok.Command != cmd {
			return false, mailboxProtocolError("bad OK to " + cmd.String())
		}
		return true, nil
	}
}

// mailboxRID returns the id of the queue that key owns.
func mailboxRID(key ed25519.PrivateKey) mailbox.RID {
	return mailbox.RIDOf([32]byte(key.Public().(ed25519.PublicKey)))
}
