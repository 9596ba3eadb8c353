package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hearsay/chat"
)

// SocketName is the socket of a daemon in its home.
const SocketName = "hearsay.sock"

// Implementation constants of the socket.
const (
	maxConnections = 64              // at once; one more is told so and closed
	maxSocketPath  = 100             // bytes; what all systems take
	dialTime       = 5 * time.Second // a daemon that does not accept is taken for hung
)

// Listen makes the socket at path, mode 0600. The caller holds the home, so that
// a socket that is there is one of a daemon that was killed: it is replaced.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, &chat.Error{Kind: chat.KindRefused, Text: "the path of the socket is too long", Hint: "give a --home with a shorter path"}
	}
	if at, err := os.Lstat(path); err == nil {
		if at.Mode()&fs.ModeSocket == 0 {
			return nil, &chat.Error{Kind: chat.KindExists, Text: "a file lies where the socket belongs", Hint: "move " + filepath.Base(path) + " out of the home"}
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("rpc: replace the socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("rpc: make the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("rpc: make the socket: %w", err)
	}
	return l, nil
}

// Dial connects to the socket at path, if it and its peer are ours. The errors
// fs.ErrNotExist and syscall.ECONNREFUSED say that no daemon is there.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("rpc: %w", fs.ErrNotExist) // Listen refuses it too
	}
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := checkPeer(conn.(*net.UnixConn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// errForeign is what becomes of a connection with a process of another user.
var errForeign = &chat.Error{Kind: chat.KindRefused, Text: "the process at the other end of the socket belongs to another user"}

// ServeSocket serves connections, many at once, each with its own subscription,
// until ctx ends; requests at work then get one second. The end of a connection,
// or a shutdown request in it, ends that connection alone. It closes the
// listener and removes the socket. stop is called for daemon.stop.
func ServeSocket(ctx context.Context, l net.Listener, backend Backend, info func() Ready, stop func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	slots := make(chan struct{}, maxConnections)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // too many open files: others will close
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		unix := conn.(*net.UnixConn)
		select {
		case slots <- struct{}{}:
		default:
			turnAway(unix)
			continue
		}
		conns.Go(func() {
			defer func() { <-slots }()
			defer unix.Close()
			if checkPeer(unix) != nil {
				return
			}
			// A reader may take as long as it likes: what it does not read waits on
			// the disk. But it does not hold up the end of the daemon.
			defer context.AfterFunc(ctx, func() { _ = unix.SetWriteDeadline(time.Now().Add(finishGrace)) })()
			serve(ctx, backend, unix, unix, info(), stop)
		})
	}
}

// turnAway says why a connection is closed.
func turnAway(conn *net.UnixConn) {
	defer conn.Close()
	if conn.SetWriteDeadline(time.Now().Add(finishGrace)) != nil { // the line fits into the empty buffer: it takes no time
		return
	}
	full := &answerError{Code: codeFailed, Message: "too many programs are attached", Data: &errorData{chat.KindLimit, "end one of them"}}
	(&server{cancel: func(error) {}, encoder: json.NewEncoder(conn)}).answer(nil, nil, full)
}
