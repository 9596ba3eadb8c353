package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Specification constants of the status socket (SPEC.md §12.1).
const (
	fileStatus      = "status.sock"
	maxStatusAsk    = 1024
	maxStatusAnswer = 64 << 10
	statusTimeout   = 5 * time.Second
	statusClients   = 4   // connections at once
	maxSocketPath   = 103 // bytes: what all systems take
)

// statusPause is how long nobody is taken after that failed, as when no more files
// can be opened.
const statusPause = time.Second

// Errors of asking what runs in a home for its status.
var (
	// ErrNotRunning says that nothing runs in the home that answers.
	ErrNotRunning = errors.New("relay: nothing runs in this home")
	// ErrStatus is returned for an answer that is none.
	ErrStatus = errors.New("relay: what runs in this home gives no such status")
	// ErrSocketPath says that the home's path is too long for a socket.
	ErrSocketPath = errors.New("relay: the path of the home is too long for a socket")
)

type statusRequest struct {
	V       int    `json:"v"`
	Request string `json:"request"`
}

type statusError struct {
	V     int    `json:"v"`
	Type  string `json:"type"` // error
	Error string `json:"error"`
}

// openStatus opens the status socket of a home. Without one the node runs on, since
// nobody's messages depend on it: what it returns is nil then.
func openStatus(dir string, log *slog.Logger) net.Listener {
	l, err := listenStatus(dir)
	if err != nil {
		log.Warn("no status socket: the command status will not work", logError, err)
		return nil
	}
	return l
}

// serveStatus answers on the home's status socket until ctx ends.
func (n *Node) serveStatus(ctx context.Context, l net.Listener) error {
	since := time.Now()
	m := &meter{at: since}
	load := func(now time.Time) uint64 {
		c := n.sw.Counters()
		return m.read(now, c.Forward+c.Backward, n.chain.Current().Lab)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { keepLoad(ctx, load) })
	serveSocket(ctx, l, n.log, func(c net.Conn, now time.Time) {
		answerStatus(c, now, func() *StatusReport { return n.report(now, since, load(now)) })
	})
	return nil
}

// serveSocket has a status socket answered until ctx ends, and closes it.
func serveSocket(ctx context.Context, l net.Listener, log *slog.Logger, answer func(c net.Conn, now time.Time)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	places := make(chan struct{}, statusClients) // who comes when all are taken waits in the listener's queue
	for {
		places <- struct{}{}
		c, err := l.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Warn("the status socket takes nobody for now", logError, err)
			<-places
			if !pause(ctx, statusPause) {
				return
			}
			continue
		}
		wg.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			answer(c, time.Now())
		})
	}
}

// pause waits and tells whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// keepLoad looks at the load often enough for its periods to be of one length.
func keepLoad(ctx context.Context, load func(time.Time) uint64) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			load(now)
		}
	}
}

// listenStatus opens the socket. The home is locked, so one that is there is left
// over from a crash.
func listenStatus(dir string) (net.Listener, error) {
	p := filepath.Join(dir, fileStatus)
	if len(p) > maxSocketPath {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSocketPath, len(p), maxSocketPath)
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", p)
	if err != nil {
		return nil, err
	}
	// The home's own mode keeps others out in between.
	if err := os.Chmod(p, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// answerStatus answers one request on a connection.
func answerStatus[T any](c net.Conn, now time.Time, report func() *T) {
	_ = c.SetDeadline(now.Add(statusTimeout))
	line, err := bufio.NewReaderSize(io.LimitReader(c, maxStatusAsk), maxStatusAsk).ReadSlice('\n')
	if err != nil {
		return // no whole line: nobody to answer to
	}
	var q statusRequest
	var answer any
	switch err := json.Unmarshal(line, &q); {
	case err != nil:
		answer = statusError{1, "error", "that is no request"}
	case q.V != 1:
		answer = statusError{1, "error", "this node speaks version 1 of the status socket"}
	case q.Request != "status":
		answer = statusError{1, "error", "this node answers to the request status only"}
	default:
		answer = report()
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return
	}
	_, _ = c.Write(append(b, '\n')) // the other side may be gone
}

// AskStatus asks the relay that runs in the home for its status, over the socket
// there. It fails with ErrNotRunning if none runs.
func AskStatus(ctx context.Context, dir string) (*StatusReport, error) {
	return ask(ctx, dir, readStatus)
}

// ask sends the request to the socket of a home and reads the answer.
func ask[T any](ctx context.Context, dir string, read func(io.Reader) (*T, error)) (*T, error) {
	p := filepath.Join(dir, fileStatus)
	if len(p) > maxSocketPath {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSocketPath, len(p), maxSocketPath)
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", p)
	switch {
	case errors.Is(err, fs.ErrPermission) || ctx.Err() != nil:
		return nil, fmt.Errorf("status: %w", err)
	case err != nil:
		return nil, ErrNotRunning // no socket, or one of a process that is gone
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	b, err := json.Marshal(statusRequest{V: 1, Request: "status"})
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return read(c)
}

func readStatus(r io.Reader) (*StatusReport, error) { return readAnswer[StatusReport](r, "status") }

// readAnswer reads an answer of the type that is wanted.
func readAnswer[T any](r io.Reader, kind string) (*T, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxStatusAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if len(b) > maxStatusAnswer {
		return nil, ErrStatus
	}
	var head struct {
		V     int    `json:"v"`
		Type  string `json:"type"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatus, err)
	}
	switch {
	case head.Type == "error":
		return nil, fmt.Errorf("%w: it says: %q", ErrStatus, head.Error)
	case head.Type != kind || head.V != 1:
		return nil, ErrStatus
	}
	s := new(T)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatus, err)
	}
	return s, nil
}
