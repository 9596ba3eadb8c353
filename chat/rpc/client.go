package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"hearsay/chat"
)

// Implementation constants of the client.
const maxAnswer = 64 << 20 // bytes of one line from the daemon, which is our own program

// ErrGone is what calls fail with when the daemon is gone, and Err returns it.
var ErrGone = &chat.Error{
	Kind: chat.KindIO, Text: "the daemon has ended",
	Hint: "start it again with hearsay daemon: what it had taken is on the disk",
}

// Client is a messenger in a daemon, over its socket. Its methods are those of
// the messenger and may be called concurrently. Close it after use.
type Client struct {
	path  string
	conn  net.Conn
	ready Ready
	feed  *chat.Feed
	ended chan struct{} // closed when the connection has ended

	writing sync.Mutex // one line at a time
	next    uint64     // of the last request; guarded by writing

	mu     sync.Mutex // guards what follows
	calls  map[uint64]chan answer
	err    error
	closed bool
	sealed bool // the profile has a passphrase, as far as is known
}

// answer is one line of the daemon.
type answer struct {
	ID     *uint64         `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *answerError    `json:"error"`
}

// Attach connects to the daemon that serves the socket at path, and subscribes
// to its events from now on. It fails with an error of net if no daemon listens
// there.
func Attach(ctx context.Context, path string) (*Client, error) {
	c, lines, err := connect(ctx, path, params{})
	if err != nil {
		return nil, err
	}
	go c.read(lines)
	return c, nil
}

// connect subscribes over a new connection. read is to follow.
func connect(ctx context.Context, path string, since params) (*Client, *bufio.Reader, error) {
	conn, err := Dial(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := &Client{path: path, conn: conn, ended: make(chan struct{}), calls: make(map[uint64]chan answer)}
	r := bufio.NewReaderSize(conn, 64<<10)
	seq, err := c.greet(r, since)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	c.feed = chat.NewFeed(seq)
	return c, r, nil
}

// greet reads the first line of the daemon and subscribes. It returns the number
// behind which events follow.
func (c *Client) greet(r *bufio.Reader, since params) (seq uint64, err error) {
	first, err := readAnswer(r)
	if err == nil && first.Error != nil { // too many are attached
		return 0, first.into(nil)
	}
	if err != nil || first.Method != "ready" {
		return 0, errors.Join(errors.New("rpc: no daemon answers at the socket"), err)
	}
	var ready readyShape
	if err := json.Unmarshal(first.Params, &ready); err != nil {
		return 0, fmt.Errorf("rpc: read the daemon's first line: %w", err)
	}
	if ready.Network != nil && ready.Lab != nil {
		c.ready = Ready{Network: *ready.Network, Lab: *ready.Lab, Known: true}
	}
	if err := json.NewEncoder(c.conn).Encode(map[string]any{"jsonrpc": jsonVersion, "id": 0, "method": "subscribe", "params": since}); err != nil {
		return 0, err
	}
	a, err := readAnswer(r)
	if err != nil {
		return 0, err
	}
	var result struct{ Seq uint64 }
	err = a.into(&result)
	return result.Seq, err
}

func readAnswer(r *bufio.Reader) (a answer, err error) {
	line, err := readLine(r, maxAnswer)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(line, &a)
}

// Ready tells what the daemon said when the client attached.
func (c *Client) Ready() Ready { return c.ready }

// Err returns ErrGone once the daemon ended, and nil before and after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Gone is closed when the connection has ended.
func (c *Client) Gone() <-chan struct{} { return c.ended }

// Close detaches; the daemon goes on. Idempotent.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.conn.Close()
	<-c.ended
	return nil
}

// read takes answers and events until the connection ends.
func (c *Client) read(r *bufio.Reader) {
	defer close(c.ended)
	defer c.feed.Close()
	defer c.conn.Close()
	for {
		a, err := readAnswer(r)
		if err != nil {
			c.fail()
			return
		}
		if a.Method == "event" {
			var e eventShape
			if json.Unmarshal(a.Params, &e) == nil {
				c.feed.Pass(e.event())
			}
			continue
		}
		if a.ID == nil {
			continue
		}
		c.mu.Lock()
		waiting := c.calls[*a.ID]
		delete(c.calls, *a.ID)
		c.mu.Unlock()
		if waiting != nil {
			waiting <- a // capacity 1
		}
	}
}

// fail ends all calls.
func (c *Client) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.err = ErrGone
	}
	clear(c.calls)
}

// start sends a request; wait returns the answer in result, which may be nil.
func (c *Client) start(ctx context.Context, method string, params any) (wait func(result any) error) {
	failed := func(err error) func(any) error { return func(any) error { return err } }
	raw, err := json.Marshal(params)
	if err != nil {
		return failed(fmt.Errorf("rpc: encode %s: %w", method, err))
	}
	done := make(chan answer, 1)
	c.writing.Lock()
	defer c.writing.Unlock()
	c.next++
	id := c.next
	line, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      uint64          `json:"id"`
		Method  string          `json:"method"`
		Params  json.RawMessage `json:"params"`
	}{jsonVersion, id, method, raw})
	switch {
	case err != nil:
		return failed(fmt.Errorf("rpc: encode %s: %w", method, err))
	case len(line) > maxLine:
		return failed(&chat.Error{Kind: chat.KindTooLarge, Text: "the request is too long", Hint: "1 MiB at most"})
	}
	c.mu.Lock()
	over := c.closed || c.err != nil
	c.calls[id] = done
	c.mu.Unlock()
	if over {
		return failed(ErrGone)
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return failed(ErrGone)
	}
	return func(result any) error {
		select {
		case a := <-done:
			return a.into(result)
		case <-c.ended:
			select {
			case a := <-done:
				return a.into(result)
			default:
				return ErrGone
			}
		case <-ctx.Done():
			c.mu.Lock()
			delete(c.calls, id)
			c.mu.Unlock()
			return ctx.Err()
		}
	}
}

func (a answer) into(result any) error {
	switch {
	case a.Error != nil && a.Error.Data != nil:
		return &chat.Error{Kind: a.Error.Data.Kind, Text: a.Error.Message, Hint: a.Error.Data.Hint}
	case a.Error != nil:
		return &chat.Error{Kind: chat.KindRefused, Text: a.Error.Message, Hint: "the daemon may be of another version: restart it"}
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("rpc: read the daemon's answer: %w", err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, method string, params, result any) error {
	return c.start(ctx, method, params)(result)
}

// Subscribe returns the events from now on.
func (c *Client) Subscribe() *chat.Subscription { return c.feed.Subscribe() }

// SubscribeSince returns the durable events behind a number and then all, over a
// connection of its own that ends with the subscription.
func (c *Client) SubscribeSince(ctx context.Context, since uint64) (*chat.Subscription, error) {
	other, lines, err := connect(ctx, c.path, params{"since": since})
	var refused *chat.Error
	if errors.As(err, &refused) {
		return nil, refused
	}
	if err != nil {
		return nil, ErrGone
	}
	sub := other.feed.SubscribeThen(func() { _ = other.Close() })
	go other.read(lines)
	return sub, nil
}

// Relay passes lines between a script and a daemon: requests from in, answers
// and events to out, the line ready included. It returns nil after the end of in
// or a shutdown request, and ErrGone if the daemon ended before.
func Relay(ctx context.Context, conn net.Conn, in io.Reader, out io.Writer) error {
	ended := make(chan struct{}) // the script is done
	go func() {
		r := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := readLine(r, maxLine)
			if err != nil && !errors.Is(err, errLineTooLong) {
				break
			}
			if err != nil {
				line = make([]byte, maxLine+1) // the daemon refuses it as it would have
				for i := range line {
					line[i] = ' '
				}
			}
			req, bad := parseRequest(line)
			if len(line) > 0 && bad == nil && req.method == "shutdown" && len(req.params) == 0 {
				close(ended) // before the daemon can know of it and end the connection
				_, _ = conn.Write(append(line, '\n'))
				closeWrite(conn)
				return
			}
			if _, err := conn.Write(append(line, '\n')); err != nil {
				return
			}
		}
		close(ended)
		closeWrite(conn)
	}()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_, err := io.Copy(out, conn)
	conn.Close()
	select {
	case <-ended:
		return nil
	default:
	}
	if ctx.Err() != nil {
		return nil
	}
	var local *net.OpError
	if err != nil && !errors.As(err, &local) {
		return err // the output is gone
	}
	return ErrGone
}

// closeWrite tells the daemon that no further line comes.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
