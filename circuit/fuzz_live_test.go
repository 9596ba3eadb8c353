package circuit

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/circuit/credit"
)

// guardConn is the stream of a circuit whose other end is the test.
type guardConn struct {
	mu     sync.Mutex
	in     []byte
	out    []byte
	stuck  bool // the guard reads nothing
	read   bool // cancelled
	write  bool
	wake   chan struct{}
	expiry time.Time
}

func (g *guardConn) changed() {
	close(g.wake)
	g.wake = make(chan struct{})
}

func (g *guardConn) await(p []byte, take bool) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		switch {
		case g.read:
			return 0, io.ErrClosedPipe
		case len(g.in) > 0:
			n := copy(p, g.in)
			if take {
				g.in = g.in[n:]
			}
			return n, nil
		case !g.expiry.IsZero() && !time.Now().Before(g.expiry):
			return 0, os.ErrDeadlineExceeded
		}
		wake, expiry := g.wake, g.expiry
		g.mu.Unlock()
		if expiry.IsZero() {
			<-wake
		} else {
			t := time.NewTimer(time.Until(expiry))
			select {
			case <-wake:
			case <-t.C:
			}
			t.Stop()
		}
		g.mu.Lock()
	}
}

func (g *guardConn) Read(p []byte) (int, error) { return g.await(p, true) }
func (g *guardConn) Peek(p []byte) (int, error) { return g.await(p[:1], false) }

func (g *guardConn) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.stuck && !g.write {
		wake := g.wake
		g.mu.Unlock()
		<-wake
		g.mu.Lock()
	}
	if g.write {
		return 0, io.ErrClosedPipe
	}
	g.out = append(g.out, p...)
	return len(p), nil
}

func (g *guardConn) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	g.changed()
}

func (g *guardConn) CancelRead(quic.StreamErrorCode)  { g.set(func() { g.read = true }) }
func (g *guardConn) CancelWrite(quic.StreamErrorCode) { g.set(func() { g.write = true }) }
func (g *guardConn) SetPriority(int8, bool)           {}

func (g *guardConn) SetReadDeadline(t time.Time) error {
	g.set(func() { g.expiry = t })
	return nil
}

// FuzzHostileGuard lets a guard, and the hops behind it, do to a living circuit
// with its goroutines and users whatever bytes say. Nothing panics, the circuit
// never holds more than the credit that it gave, and whatever was refused ends
// it for all its users.
func FuzzHostileGuard(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add(bytes.Repeat([]byte{0x01, 0x23, 0x43, 0x63}, 30))
	f.Add(bytes.Repeat([]byte{0x07, 0x28, 0x48}, 60))
	f.Add(append([]byte{0x09}, bytes.Repeat([]byte{0x68, 0x66}, 80)...))
	f.Add([]byte{0x02, 0x06, 0x0b, 0x01, 0x0c, 0x0a})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 512 {
			return
		}
		synctest.Test(t, func(t *testing.T) { hostileGuard(t, ops) })
	})
}

func hostileGuard(t *testing.T, ops []byte) {
	r := newRig(t, 3)
	conn := &guardConn{wake: make(chan struct{})}
	r.c.conn = conn
	ctx, cancel := context.WithCancel(t.Context())
	var circuits, users sync.WaitGroup
	r.c.start(&circuits)
	mailbox, err := r.c.Mailbox(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var pinged, echoed [][]byte
	var tags [3][][]byte
	var credited, acked [3]int

	// take opens what the client sent, as the hops do.
	take := func() {
		synctest.Wait()
		conn.mu.Lock()
		out := conn.out
		conn.out = nil
		conn.mu.Unlock()
		for len(out) > 0 {
			g := r.open(out[:cell.Size])
			out = out[cell.Size:]
			switch g.m.Command {
			case cell.Ping:
				pinged = append(pinged, g.m.Data)
			case cell.Echo:
				echoed = append(echoed, g.m.Data)
			}
			if !g.m.Command.Credited() {
				continue
			}
			if credited[g.hop]++; credited[g.hop]%credit.Step == 0 {
				tags[g.hop] = append(tags[g.hop], bytes.Clone(g.tag[:]))
			}
			if credited[g.hop]-credit.Step*acked[g.hop] > credit.Max {
				t.Fatalf("hop %d was sent more than any window", g.hop)
			}
		}
	}
	give := func(hop int, m cell.Message, trim byte) {
		b := make([]byte, cell.Size, cell.Size+cell.MaxTrim)
		cell.Header{Type: cell.Relay, Trim: trim}.Put(b)
		if r.layers[hop].SealBackwardOwn(cell.Body(b), m) != nil {
			return
		}
		for i := hop - 1; i >= 0; i-- {
			r.layers[i].SealBackward(cell.Body(b))
		}
		conn.set(func() { conn.in = append(conn.in, b[:cell.Size+int(trim)]...) })
	}
	first := func(list *[][]byte, size int) []byte {
		if len(*list) == 0 {
			return zero[:size]
		}
		v := (*list)[0]
		*list = (*list)[1:]
		return v
	}
	for _, op := range ops {
		hop := int(op>>4) % 3
		n := 1 + int(op>>6)*40
		switch op & 15 {
		case 0:
			users.Go(func() { _ = mailbox.Send(ctx, byte(cell.MailboxFirst), 0, zero[:]) })
		case 1:
			users.Go(func() {
				if s, err := r.c.Directory(ctx); err == nil {
					_, _ = s.Write(zero[:])
					_, _ = io.Copy(io.Discard, s)
					_ = s.Close()
				}
			})
		case 2:
			users.Go(func() { _, _ = r.c.Ping(ctx, hop) })
		case 3:
			users.Go(func() { _, _ = r.c.Echo(ctx, hop, zero[:]) })
		case 4:
			users.Go(func() { _, _ = mailbox.Recv(ctx) })
		case 5:
			take()
			give(hop, cell.Message{Command: cell.Pong, Data: first(&pinged, 16)}, 0)
		case 6:
			take()
			give(hop, cell.Message{Command: cell.EchoReply, Data: first(&echoed, cell.DataSize)}, 0)
		case 7:
			for range n {
				give(2, cell.Message{Command: cell.MailboxFirst, Stream: 1, Data: zero[:]}, 0)
			}
		case 8:
			for i := range n {
				give(2, cell.Message{Command: cell.Data, Stream: uint16(2 + i%3), Data: zero[:]}, 0)
			}
		case 9:
			give(2, cell.Message{Command: cell.Connected, Stream: uint16(2 + op>>6)}, 0)
		case 10:
			give(hop, cell.Message{Command: cell.End, Stream: uint16(1 + op>>6), Data: endDone}, 0)
		case 11:
			conn.set(func() { conn.stuck = !conn.stuck })
		case 12: // bytes that are no cell
			conn.set(func() { conn.in = append(conn.in, bytes.Repeat([]byte{op}, n)...) })
		case 13:
			take()
			if hop < 3 && len(tags[hop]) > 0 {
				acked[hop]++
			}
			give(hop, cell.Message{Command: cell.SendMe, Data: first(&tags[hop], 16)}, 0)
		case 14:
			give(2, cell.Message{Command: []cell.Command{cell.XOff, cell.XOn}[op>>6&1], Stream: 2}, op>>4&1)
		case 15:
			pass(time.Duration(n) * 100 * time.Millisecond)
		}
		take()
		r.checkHeld()
	}
	r.c.Close()
	cancel()
	conn.set(func() { conn.stuck = false })
	users.Wait()
	circuits.Wait()
	if !conn.read || !conn.write {
		t.Fatal("not destroyed in both directions")
	}
}

func pass(d time.Duration) { <-time.After(d) }

// checkHeld fails the test if the circuit holds more for a hop than the credit
// that it gave.
func (r *rig) checkHeld() {
	r.t.Helper()
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	granted, queued := 0, 0
	for i := range r.c.flows {
		held := r.c.flows[i].recv.Held()
		if held > credit.Max {
			r.t.Fatalf("hop %d has %d cells here", i, held)
		}
		granted += held
	}
	for _, s := range r.c.streams {
		queued += s.queue.n
	}
	if queued > granted {
		r.t.Fatalf("%d cells wait for users, %d are accounted for", queued, granted)
	}
	// What waits for the guard: ECHOs and stream messages within the window,
	// a SENDME for 32 cells of those held, XOFF, XON, BEGIN and END of streams,
	// and PINGs.
	if most := len(r.c.flows)*(credit.Max+credit.Max/credit.Step+pingBurst) + 5*len(r.c.streams); r.c.out.n > most {
		r.t.Fatalf("%d messages wait for the guard", r.c.out.n)
	}
}
