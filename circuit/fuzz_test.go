package circuit

import (
	"bytes"
	"io"
	"testing"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// FuzzClientCircuit turns bytes into operations of the user and of the relays
// on a living circuit. Whatever happens, there is no panic, no hop is sent more
// than its credit, what relays may not send is refused, and a refused message
// changes nothing for the user.
func FuzzClientCircuit(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 2, 2, 3, 3, 4, 4})
	f.Add([]byte{0x10, 0x83, 0x20, 0x21, 0x30, 0x43, 0x52, 0x63, 0x70, 0x83, 0x93, 0xa0})
	f.Add(bytes.Repeat([]byte{0x10, 0x20, 0x43}, 40))
	f.Add(bytes.Repeat([]byte{0x10, 0x20, 0x21, 0x43, 0x53, 0x33}, 60))
	f.Add(bytes.Repeat([]byte{0x60, 0x70, 0xb3, 0x83, 0xc0}, 30))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 4096 {
			return
		}
		w := &fuzzWorld{t: t, rig: newRig(t, 4)}
		for _, op := range ops {
			if !w.do(op) {
				break
			}
		}
		w.c.Close()
		for _, s := range w.streams {
			s.close()
		}
		if w.conn.resets != 2 {
			t.Fatal("not destroyed in both directions")
		}
	})
}

type fuzzWorld struct {
	*rig
	t        *testing.T
	streams  []*stream
	credited [4]int         // to each hop
	acked    [4]int         // SENDMEs accepted from each hop
	tags     [4][]onion.Tag // not acknowledged
	pings    [4][][]byte    // that the hop may answer
	echoes   [4][][]byte
}

// do executes one operation; false ends the run.
func (w *fuzzWorld) do(op byte) bool {
	hop := int(op & 3)
	var s *stream
	if n := len(w.streams); n > 0 {
		s = w.streams[int(op&15)%n]
	}
	var last *stream
	if n := len(w.streams); n > 0 {
		last = w.streams[n-1]
	}
	switch op >> 4 {
	case 0: // a stream is opened
		if n, err := w.c.newStream(op&1 == 0); err == nil {
			n.used = true
			w.streams = append(w.streams, n)
		}
		return true
	case 1: // the user sends
		if s != nil {
			m := cell.Message{Command: cell.Data, Stream: s.id, Data: zero[:7]}
			if s.mailbox {
				m.Command = 0x46
			}
			_ = w.c.send(canceled(), s.hop, m, false, func() (bool, error) {
				if s.closed || s.ended {
					return false, errStreamClosed
				}
				return !s.paused, nil
			}, nil)
		}
		return true
	case 2: // the writer runs
		w.flush()
		return true
	case 3: // the user reads
		if s != nil && s.mailbox {
			_, _ = (*mailboxStream)(s).Recv(canceled())
		} else if s != nil {
			_, _ = (*directoryStream)(s).readLocked(make([]byte, 9))
		}
		return true
	case 4: // the right SENDME
		if len(w.tags[hop]) == 0 {
			return w.bad(hop, cell.Message{Command: cell.SendMe, Data: zero[:16]})
		}
		tag := w.tags[hop][0]
		w.tags[hop] = w.tags[hop][1:]
		w.acked[hop]++
		w.must(hop, cell.Message{Command: cell.SendMe, Data: tag[:]})
		return true
	case 5: // the user closes
		if s != nil {
			s.close()
		}
		return true
	case 6:
		_, _ = w.c.sendPing(hop, nil)
		return true
	case 7: // the right PONG
		if len(w.pings[hop]) == 0 {
			return w.bad(hop, cell.Message{Command: cell.Pong, Data: bytes.Repeat([]byte{9}, 16)})
		}
		data := w.pings[hop][0]
		w.pings[hop] = w.pings[hop][1:]
		w.must(hop, cell.Message{Command: cell.Pong, Data: data})
		return true
	case 8: // a message on a stream, from any hop
		if s != nil {
			return w.streamMessage(hop, s, cell.Message{Command: 0x48, Stream: s.id, Data: zero[:3]})
		}
	case 9:
		if s != nil {
			return w.streamMessage(hop, s, cell.Message{Command: cell.Data, Stream: s.id, Data: zero[:5]})
		}
	case 10:
		if last != nil {
			return w.streamMessage(hop, last, cell.Message{Command: cell.Connected, Stream: last.id})
		}
	case 11:
		if last != nil {
			return w.streamMessage(hop, last, cell.Message{Command: cell.End, Stream: last.id, Data: endDone})
		}
	case 12:
		if s != nil {
			return w.streamMessage(hop, s, cell.Message{Command: cell.XOff, Stream: s.id})
		}
	case 13: // an echo and, for odd hops, its answer
		_ = w.c.sendEcho(canceled(), hop, zero[:], func(error) {})
		w.flush()
		if hop&1 == 1 && len(w.echoes[hop]) > 0 {
			data := w.echoes[hop][0]
			w.echoes[hop] = w.echoes[hop][1:]
			w.must(hop, cell.Message{Command: cell.EchoReply, Data: data})
		}
		return true
	case 14: // a cell that was changed on the way
		var b [cell.Size]byte
		cell.Header{Type: cell.Relay}.Put(b[:])
		_ = w.layers[0].SealBackwardOwn(cell.Body(b[:]), cell.Message{Command: cell.Pong, Data: zero[:16]})
		b[4+int(op&15)*70] ^= 1
		if w.c.handle(b[:]) == nil {
			w.t.Fatal("a changed cell was accepted")
		}
		return false
	case 15: // what no relay may ever send
		list := []cell.Message{
			{Command: cell.Drop},
			{Command: cell.Ping, Data: zero[:16]},
			{Command: cell.Echo, Data: zero[:]},
			cell.SplitExtended(make([]byte, cell.CreatedSize))[op>>3&1],
		}
		return w.bad(hop, list[op>>2&3])
	}
	return true
}

// bad sends what must be refused.
func (w *fuzzWorld) bad(hop int, m cell.Message) bool {
	if err := w.from(hop, m); err == nil {
		w.t.Fatalf("%#x from hop %d was accepted", m.Command, hop)
	}
	return false
}

// streamMessage sends a message of a stream; a wrong hop is always refused.
func (w *fuzzWorld) streamMessage(hop int, s *stream, m cell.Message) bool {
	w.c.mu.Lock()
	known := w.c.streams[s.id] == s
	queued, closed := s.queue.n, s.closed
	w.c.mu.Unlock()
	err := w.from(hop, m)
	if err == nil && (hop != s.hop || !known) {
		w.t.Fatalf("%#x from hop %d for a stream of hop %d was accepted", m.Command, hop, s.hop)
	}
	w.c.mu.Lock()
	now := s.queue.n
	w.c.mu.Unlock()
	if (err != nil || closed) && now > queued {
		w.t.Fatal("a refused message reached the user")
	}
	return err == nil
}

// flush runs the writer and checks credit as the relays see it.
func (w *fuzzWorld) flush() {
	for _, g := range w.sent() {
		switch {
		case g.m.Command == cell.Ping:
			w.pings[g.hop] = append(w.pings[g.hop], g.m.Data)
		case g.m.Command == cell.Echo:
			w.echoes[g.hop] = append(w.echoes[g.hop], g.m.Data)
		}
		if !g.m.Command.Credited() {
			continue
		}
		w.credited[g.hop]++
		if w.credited[g.hop]%cell.CreditStep == 0 {
			w.tags[g.hop] = append(w.tags[g.hop], g.tag)
		}
		if w.credited[g.hop]-cell.CreditStep*w.acked[g.hop] > cell.CreditInitial {
			w.t.Fatalf("hop %d was sent more than its credit", g.hop)
		}
	}
}

var _ io.ReadWriteCloser = (*directoryStream)(nil)
