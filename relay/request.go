package relay

import (
	"errors"
	"io"
	"os"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory/gossip"
)

// requestStream carries a directory request and its answer over DATA messages
// of one stream. Read and Write may be used concurrently with each other, each
// by one goroutine at a time.
type requestStream struct {
	s     *serviceStream
	rest  *localCell // being read
	at    int        // bytes of rest already read
	read  deadline
	write deadline
}

var _ gossip.CircuitStream = (*requestStream)(nil)

func newRequestStream(s *serviceStream) *requestStream {
	r := &requestStream{s: s}
	r.read.init()
	r.write.init()
	return r
}

// Read returns bytes that the client sent, io.EOF after its END.
func (r *requestStream) Read(p []byte) (int, error) {
	if r.rest == nil {
		if r.read.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		if r.rest, r.at = r.s.next(r.read.wait()), 0; r.rest == nil {
			switch {
			case state(r.s.c.state.Load()) == stateClosed:
				return 0, errGone
			case r.read.passed():
				return 0, os.ErrDeadlineExceeded
			}
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest.m.Data[r.at:])
	if r.at += n; r.at == len(r.rest.m.Data) {
		localCells.Put(r.rest)
		r.rest = nil
	}
	return n, nil
}

// Write sends bytes to the client; it waits for credit.
func (r *requestStream) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.write.passed() {
			return n, os.ErrDeadlineExceeded
		}
		end := min(n+cell.DataSize, len(p))
		err := r.s.send(cell.Message{Command: cell.Data, Stream: r.s.id, Data: p[n:end]}, r.write.wait())
		if err != nil {
			if errors.Is(err, errStreamEnded) && r.write.passed() {
				err = os.ErrDeadlineExceeded
			}
			return n, err
		}
		n = end
	}
	return n, nil
}

// Close ends the stream, after what was written. Idempotent.
func (r *requestStream) Close() error {
	if !r.s.end() {
		return nil
	}
	return r.s.c.reply(cell.Message{Command: cell.End, Stream: r.s.id, Data: []byte{cell.EndDone}})
}

// SetDeadline limits Read and Write; zero means no limit.
func (r *requestStream) SetDeadline(t time.Time) error {
	r.read.set(t)
	r.write.set(t)
	return nil
}

// TakeSnapshot takes the one full snapshot of the circuit.
func (r *requestStream) TakeSnapshot() bool { return !r.s.c.snapshotTaken.Swap(true) }

// finish ends the stream and gives back what it holds.
func (r *requestStream) finish() {
	r.Close()
	r.read.stop()
	r.write.stop()
	if r.rest != nil {
		localCells.Put(r.rest)
		r.rest = nil
	}
}
