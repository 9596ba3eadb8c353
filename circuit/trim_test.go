package circuit

import (
	"bytes"
	"io"
	"testing"

	"hearsay/circuit/cell"
)

// chunks is a stream that gives its bytes in pieces.
type chunks struct {
	deadConn
	list [][]byte
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.list) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.list[0])
	if c.list[0] = c.list[0][n:]; len(c.list[0]) == 0 {
		c.list = c.list[1:]
	}
	return n, nil
}

// pongs makes one PONG cell for each trim, in order, that answers a PING to
// the guard.
func (r *rig) pongs(trims ...int) []byte {
	r.t.Helper()
	var out []byte
	for _, trim := range trims {
		r.c.mu.Lock()
		r.c.pingLocked(0, nil, r.c.born)
		r.c.mu.Unlock()
		var b [cell.Size]byte
		cell.Header{Type: cell.Relay, Trim: byte(trim)}.Put(b[:])
		if err := r.layers[0].SealBackwardOwn(cell.Body(b[:]), cell.Message{Command: cell.Pong, Data: r.sent()[0].m.Data}); err != nil {
			r.t.Fatal(err)
		}
		out = append(append(out, b[:]...), make([]byte, trim)...)
	}
	return out
}

func (r *rig) shape() { r.c.guard.shaped = func() bool { return true } }

// TestTrimIsTakenOff: zero bytes that follow cells of a shaped link vanish,
// however the stream is cut.
func TestTrimIsTakenOff(t *testing.T) {
	for _, size := range []int{1, 7, cell.Size - 1, cell.Size, cell.Size + 1, cell.Size + 4, 5000, 1 << 20} {
		r := newRig(t, 1)
		r.shape()
		stream := r.pongs(0, 1, 11, 4, 0, 9)
		conn := new(chunks)
		for len(stream) > 0 {
			n := min(size, len(stream))
			conn.list = append(conn.list, stream[:n])
			stream = stream[n:]
		}
		r.c.conn = conn
		for len(conn.list) > 0 {
			var buf [batchCells * cell.Size]byte
			if err := r.c.readBatch(buf[:]); err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
		}
		if n := len(r.c.pings[0]); n != 0 {
			t.Fatalf("pieces of %d: %d PINGs unanswered", size, n)
		}
	}
}

// TestTrimThatIsNotAllowed: on a link that was never shaped, with too many
// bytes, or with a byte that is not zero, which would carry a mark.
func TestTrimThatIsNotAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		shaped bool
		change func(b []byte) []byte
	}{
		"unshaped":   {false, func(b []byte) []byte { return b }},
		"too many":   {true, func(b []byte) []byte { b[3] = cell.MaxTrim + 1; return append(b, 0) }},
		"far more":   {true, func(b []byte) []byte { b[3] = 255; return append(b, make([]byte, 300)...) }},
		"first":      {true, func(b []byte) []byte { b[cell.Size] = 1; return b }},
		"last":       {true, func(b []byte) []byte { b[len(b)-1] = 0x80; return b }},
		"too few":    {true, func(b []byte) []byte { return append(b[:len(b)-1], bytes.Repeat([]byte{3}, cell.Size)...) }},
		"undeclared": {true, func(b []byte) []byte { b[3] = 0; return append(b, make([]byte, cell.Size)...) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1)
			if c.shaped {
				r.shape()
			}
			if _, err := r.c.handleAll(c.change(r.pongs(11))); !isViolation(err) {
				t.Fatalf("accepted: %v", err)
			}
		})
	}
}

// TestTrimAfterShaping: cells that were on their way when shaping ended keep
// their trim.
func TestTrimAfterShaping(t *testing.T) {
	r := newRig(t, 1)
	r.shape()
	if !r.c.guard.isShaped() {
		t.Fatal("not shaped")
	}
	r.c.guard.shaped = func() bool { return false }
	b := r.pongs(5)
	if n, err := r.c.handleAll(b); err != nil || n != len(b) {
		t.Fatalf("%d of %d bytes: %v", n, len(b), err)
	}
}
