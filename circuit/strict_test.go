package circuit

import (
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// TestStrictness sends, in every state, what a relay must not send there. A
// cell that is dropped instead would be a signal between relays.
func TestStrictness(t *testing.T) {
	const last = 3
	tests := []struct {
		name  string
		setup func(r *rig) cell.Message
		hop   int
	}{
		{"unasked PONG", func(*rig) cell.Message { return cell.Message{Command: cell.Pong, Data: zero[:16]} }, last},
		{"PONG with other bytes", func(r *rig) cell.Message {
			r.c.sendPing(last, nil)
			return cell.Message{Command: cell.Pong, Data: zero[:16]}
		}, last},
		{"PONG from another hop", func(r *rig) cell.Message {
			r.c.sendPing(last, nil)
			return cell.Message{Command: cell.Pong, Data: r.sent()[0].m.Data}
		}, 1},
		{"unasked ECHO_REPLY", func(*rig) cell.Message { return cell.Message{Command: cell.EchoReply, Data: zero[:]} }, last},
		{"unasked ECHO_BUSY", func(*rig) cell.Message { return cell.Message{Command: cell.EchoBusy, Data: zero[:2]} }, last},
		{"unasked SENDME", func(*rig) cell.Message { return cell.Message{Command: cell.SendMe, Data: zero[:16]} }, last},
		{"EXTENDED without EXTEND", func(*rig) cell.Message {
			return cell.SplitExtended(make([]byte, cell.CreatedSize))[0]
		}, last},
		{"EXTEND_FAIL without EXTEND", func(*rig) cell.Message {
			return cell.Message{Command: cell.ExtendFail, Data: []byte{cell.FailRefused}}
		}, last},
		{"backward PING", func(*rig) cell.Message { return cell.Message{Command: cell.Ping, Data: zero[:16]} }, last},
		{"backward DROP", func(*rig) cell.Message { return cell.Message{Command: cell.Drop} }, last},
		{"backward BEGIN", func(*rig) cell.Message { return cell.Message{Command: cell.Begin, Stream: 1, Data: []byte{1, 0, 0, 0}} }, last},
		{"backward EXTEND", func(*rig) cell.Message {
			return cell.SplitExtend([32]byte{}, make([]byte, cell.CreateSize))[0]
		}, last},
		{"backward ECHO", func(*rig) cell.Message { return cell.Message{Command: cell.Echo, Data: zero[:]} }, last},
		{"mailbox message without a stream", func(*rig) cell.Message {
			return cell.Message{Command: cell.MailboxFirst, Stream: 1}
		}, last},
		{"mailbox message before the client's first", func(r *rig) cell.Message {
			s, _ := r.c.newStream(true)
			return cell.Message{Command: cell.MailboxFirst, Stream: s.id}
		}, last},
		{"mailbox message from the middle", func(r *rig) cell.Message {
			return cell.Message{Command: cell.MailboxFirst, Stream: r.mailbox().id}
		}, 2},
		{"DATA on a mailbox stream", func(r *rig) cell.Message {
			return cell.Message{Command: cell.Data, Stream: r.mailbox().id, Data: zero[:1]}
		}, last},
		{"CONNECTED on a mailbox stream", func(r *rig) cell.Message {
			return cell.Message{Command: cell.Connected, Stream: r.mailbox().id}
		}, last},
		{"DATA before CONNECTED", func(r *rig) cell.Message {
			return cell.Message{Command: cell.Data, Stream: r.directory(false).id, Data: zero[:1]}
		}, last},
		{"CONNECTED twice", func(r *rig) cell.Message {
			return cell.Message{Command: cell.Connected, Stream: r.directory(true).id}
		}, last},
		{"mailbox message on a directory stream", func(r *rig) cell.Message {
			return cell.Message{Command: cell.MailboxFirst, Stream: r.directory(true).id}
		}, last},
		{"forged END from the middle", func(r *rig) cell.Message {
			return cell.Message{Command: cell.End, Stream: r.directory(true).id, Data: endDone}
		}, 2},
		{"END twice", func(r *rig) cell.Message {
			m := cell.Message{Command: cell.End, Stream: r.directory(true).id, Data: endDone}
			r.must(last, m)
			return m
		}, last},
		{"DATA after END", func(r *rig) cell.Message {
			id := r.directory(true).id
			r.must(last, cell.Message{Command: cell.End, Stream: id, Data: endDone})
			return cell.Message{Command: cell.Data, Stream: id, Data: zero[:1]}
		}, last},
		{"XOFF twice", func(r *rig) cell.Message {
			m := cell.Message{Command: cell.XOff, Stream: r.directory(true).id}
			r.must(last, m)
			return m
		}, last},
		{"XON without XOFF", func(r *rig) cell.Message {
			return cell.Message{Command: cell.XOn, Stream: r.directory(true).id}
		}, last},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, last+1)
			m := test.setup(r)
			if err := r.from(test.hop, m); !isViolation(err) {
				t.Fatalf("accepted: %v", err)
			}
		})
	}
}

// TestCellsThatDoNotBelong feeds cells that are no RELAY cells of this circuit.
func TestCellsThatDoNotBelong(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"type":    func(b []byte) { b[0] = byte(cell.Created); b[2] = cell.FirstOfTwo },
		"pad":     func(b []byte) { clear(b) },
		"unknown": func(b []byte) { b[0] = 9 },
		"trim":    func(b []byte) { b[3] = 1 },
		"flags":   func(b []byte) { b[1] = 1 },
		"bit":     func(b []byte) { b[500] ^= 4 },
		"random":  func(b []byte) { rand.Read(b[4:]) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			var b [cell.Size]byte
			cell.Header{Type: cell.Relay}.Put(b[:])
			r.c.sendPing(0, nil)
			pong := cell.Message{Command: cell.Pong, Data: r.sent()[0].m.Data}
			if err := r.layers[0].SealBackwardOwn(cell.Body(b[:]), pong); err != nil {
				t.Fatal(err)
			}
			change(b[:])
			if _, err := r.c.handleAll(b[:]); !isViolation(err) {
				t.Fatalf("accepted: %v", err)
			}
		})
	}
}

// TestReplayedCellIsRefused: the nonce counts cells, so none opens twice.
func TestReplayedCellIsRefused(t *testing.T) {
	r := newRig(t, 1)
	r.mailbox()
	var b, again [cell.Size]byte
	cell.Header{Type: cell.Relay}.Put(b[:])
	if err := r.layers[0].SealBackwardOwn(cell.Body(b[:]), cell.Message{Command: cell.MailboxFirst, Stream: 1}); err != nil {
		t.Fatal(err)
	}
	again = b
	if err := r.c.handle(b[:]); err != nil {
		t.Fatal(err)
	}
	if err := r.c.handle(again[:]); !errors.Is(err, onion.ErrLayer) {
		t.Fatalf("accepted: %v", err)
	}
}

// TestExtendedTwice answers one EXTEND twice: the second answer ends it.
func TestExtendedTwice(t *testing.T) {
	r := newRig(t, 2)
	relay, key := testRelay(9)
	done := make(chan error, 1)
	go func() { done <- r.c.extend(t.Context(), relay) }()
	create := r.takeExtend(relay.ID)
	_, created := r.respond(relay.ID, key, create)
	for _, m := range cell.SplitExtended(created) {
		r.must(1, m)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r.c.Hops() != 3 {
		t.Fatalf("%d hops", r.c.Hops())
	}
	if err := r.from(1, cell.SplitExtended(created)[0]); !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
}

// TestExtendedFromTheWrongHop lets the guard answer for the hop that extends.
func TestExtendedFromTheWrongHop(t *testing.T) {
	r := newRig(t, 2)
	relay, key := testRelay(9)
	done := make(chan error, 1)
	go func() { done <- r.c.extend(t.Context(), relay) }()
	create := r.takeExtend(relay.ID)
	_, created := r.respond(relay.ID, key, create)
	err := r.from(0, cell.SplitExtended(created)[0])
	if !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
	r.c.fail(err)
	if err := <-done; err == nil {
		t.Fatal("extended")
	}
}

// TestExtendedByAnImpostor answers with another identity's key.
func TestExtendedByAnImpostor(t *testing.T) {
	r := newRig(t, 2)
	relay, _ := testRelay(9)
	go r.c.extend(t.Context(), relay)
	r.takeExtend(relay.ID)
	parts := cell.SplitExtended(make([]byte, cell.CreatedSize))
	r.must(1, parts[0])
	err := r.from(1, parts[1])
	if !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
	r.c.fail(err)
}

// takeExtend waits for both EXTEND messages and returns the CREATE message.
func (r *rig) takeExtend(want [32]byte) []byte {
	r.t.Helper()
	a := cell.MessageAssembler{Command: cell.Extend}
	for {
		select {
		case <-r.c.wake:
		case <-r.t.Context().Done():
			r.t.Fatal("no EXTEND")
		}
		for _, g := range r.sent() {
			data, done, err := a.Add(g.m)
			if err != nil {
				r.t.Fatal(err)
			}
			if done {
				if [32]byte(data[:32]) != want {
					r.t.Fatal("EXTEND to another relay")
				}
				return data[32:]
			}
		}
	}
}

// TestExtendFail gives the reason to the builder.
func TestExtendFail(t *testing.T) {
	r := newRig(t, 2)
	relay, _ := testRelay(9)
	done := make(chan error, 1)
	go func() { done <- r.c.extend(t.Context(), relay) }()
	r.takeExtend(relay.ID)
	r.must(1, cell.Message{Command: cell.ExtendFail, Data: []byte{cell.FailUnreachable}})
	var x *extendError
	if err := <-done; !errors.As(err, &x) || x.code != cell.FailUnreachable {
		t.Fatalf("got %v", err)
	}
}

// TestCloseIsIdempotent closes from both sides at once.
func TestCloseIsIdempotent(t *testing.T) {
	r := newRig(t, 3)
	s := r.mailbox()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.c.Close()
	}()
	r.c.fail(io.EOF)
	r.c.Close()
	<-done
	if r.conn.resets != 2 {
		t.Fatalf("%d resets, want one in each direction", r.conn.resets)
	}
	select {
	case <-s.Done():
	default:
		t.Fatal("the stream does not know")
	}
	if err := s.Send(t.Context(), 0x40, 0, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("send: %v", err)
	}
	if _, err := s.Recv(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("recv: %v", err)
	}
	if _, err := r.c.Mailbox(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("open: %v", err)
	}
	if r.c.Info().State != "closed" || r.c.Info().Reason == "" {
		t.Fatalf("info: %+v", r.c.Info())
	}
}
