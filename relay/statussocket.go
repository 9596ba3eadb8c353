package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// Errors of asking a relay for its status.
var (
	// ErrNotRunning says that no relay runs in the home.
	ErrNotRunning = errors.New("relay: no relay runs in this home")
	// ErrStatus is returned for an answer that is none.
	ErrStatus = errors.New("relay: the relay's answer is no status")
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

// serveStatus answers on the home's status socket until ctx ends. Without a socket
// the relay runs on: nobody's messages depend on it.
func (n *Node) serveStatus(ctx context.Context) error {
	l, err := listenStatus(n.home.dir)
	if err != nil {
		n.log.Warn("no status socket: `hearsay-relay status` will not work", logError, err)
		return nil
	}
	since := time.Now()
	m := &meter{at: since}
	load := func(now time.Time) uint64 {
		c := n.sw.Counters()
		return m.read(now, c.Forward+c.Backward, n.chain.Current().Lab)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	wg.Go(func() { keepLoad(ctx, load) })
	places := make(chan struct{}, statusClients) // who comes when all are taken waits in the listener's queue
	for {
		places <- struct{}{}
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			n.log.Warn("the status socket takes nobody for now", logError, err)
			<-places
			if !pause(ctx, statusPause) {
				return nil
			}
			continue
		}
		wg.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			now := time.Now()
			answerStatus(c, now, func() *StatusReport { return n.report(now, since, load(now)) })
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
func answerStatus(c net.Conn, now time.Time, report func() *StatusReport) {
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
		answer = statusError{1, "error", "this relay speaks version 1 of the status socket"}
	case q.Request != "status":
		answer = statusError{1, "error", "this relay answers to the request status only"}
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
	return readStatus(c)
}

func readStatus(r io.Reader) (*StatusReport, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxStatusAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if len(b) > maxStatusAnswer {
		return nil, ErrStatus
	}
	var s struct {
		StatusReport
		Error string `json:"error"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatus, err)
	}
	switch {
	case s.Type == "error":
		return nil, fmt.Errorf("%w: it says: %q", ErrStatus, s.Error)
	case s.Type != "status" || s.V != 1:
		return nil, ErrStatus
	}
	return &s.StatusReport, nil
}
