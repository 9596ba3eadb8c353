package circuit

import (
	"fmt"
	"testing"

	"hearsay/circuit/cell"
)

// backward has one message of every command, as well formed as can be; those
// of streams are for the given one.
func backward(stream uint16, ping, echo, tag []byte) []cell.Message {
	list := []cell.Message{
		{Command: cell.Data, Stream: stream, Data: zero[:9]},
		{Command: cell.Begin, Stream: stream, Data: []byte{cell.ServiceDirectory, 0, 0, 0}},
		{Command: cell.Connected, Stream: stream},
		{Command: cell.End, Stream: stream, Data: endDone},
		{Command: cell.XOff, Stream: stream},
		{Command: cell.XOn, Stream: stream},
		{Command: cell.SendMe, Data: tag},
		{Command: cell.ExtendFail, Data: []byte{cell.FailRefused}},
		{Command: cell.Drop},
		{Command: cell.Ping, Data: zero[:16]},
		{Command: cell.Pong, Data: ping},
		{Command: cell.Echo, Data: zero[:]},
		{Command: cell.EchoReply, Data: echo},
		{Command: cell.EchoBusy, Data: zero[:2]},
		{Command: cell.MailboxFirst, Stream: stream},
		{Command: cell.MailboxLast, Stream: stream, Data: zero[:]},
	}
	for _, m := range cell.SplitExtend([32]byte{}, make([]byte, cell.CreateSize)) {
		list = append(list, m)
	}
	for _, m := range cell.SplitExtended(make([]byte, cell.CreatedSize)) {
		list = append(list, m)
	}
	return list
}

// situation is a circuit in one state, with what the relays may say in it.
type situation struct {
	r      *rig
	stream uint16
	ping   []byte
	echo   []byte
	tag    []byte
	// allowed, by hop and command. EXTENDED stands for its first fragment.
	allowed map[string]bool
}

func at(hop int, c cell.Command) string { return fmt.Sprintf("%#02x from hop %d", byte(c), hop) }

// situations are the states of a circuit of four hops, or of three that are
// being extended. What a state allows is written down from SPEC.md §3.
var situations = map[string]func(t *testing.T) situation{
	"open": func(t *testing.T) situation { return newSituation(newRig(t, 4)) },
	"extending": func(t *testing.T) situation {
		s := newSituation(newRig(t, 3), at(2, cell.Extended), at(2, cell.ExtendFail))
		relay, _ := testRelay(9)
		h, create, err := s.r.c.handshake(relay, 3)
		if err != nil {
			t.Fatal(err)
		}
		_ = create
		s.r.c.extending = &extension{
			hop: 2, relay: relay, handshake: h, result: make(chan error, 1),
			assembler: cell.MessageAssembler{Command: cell.Extended},
		}
		return s
	},
	"PING to hop 1": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(1, cell.Pong))
		if _, err := s.r.c.sendPing(1, nil); err != nil {
			t.Fatal(err)
		}
		s.ping = s.r.sent()[0].m.Data
		return s
	},
	"ECHO to hop 2": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(2, cell.EchoReply), at(2, cell.EchoBusy))
		s.echo = make([]byte, cell.DataSize)
		s.echo[5] = 7
		if err := s.r.c.sendEcho(t.Context(), 2, s.echo, func(error) {}); err != nil {
			t.Fatal(err)
		}
		s.r.sent()
		return s
	},
	"SENDME due at hop 1": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(1, cell.SendMe), at(1, cell.EchoBusy))
		for range cell.CreditStep {
			if err := s.r.c.sendEcho(t.Context(), 1, zero[:], func(error) {}); err != nil {
				t.Fatal(err)
			}
		}
		list := s.r.sent()
		tag := list[len(list)-1].tag
		s.tag = tag[:]
		s.echo = make([]byte, cell.DataSize)
		s.echo[0] = 1 // not what was sent
		return s
	},
	"mailbox stream that was not used": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4))
		m, err := s.r.c.newStream(true)
		if err != nil {
			t.Fatal(err)
		}
		s.stream = m.id
		return s
	},
	"mailbox stream": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(3, cell.MailboxFirst), at(3, cell.MailboxLast), at(3, cell.End), at(3, cell.XOff))
		s.stream = s.r.mailbox().id
		return s
	},
	"mailbox stream, XOFF": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(3, cell.MailboxFirst), at(3, cell.MailboxLast), at(3, cell.End), at(3, cell.XOn))
		s.stream = s.r.mailbox().id
		s.r.must(3, cell.Message{Command: cell.XOff, Stream: s.stream})
		return s
	},
	"mailbox stream that the user closed": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(3, cell.MailboxFirst), at(3, cell.MailboxLast), at(3, cell.End), at(3, cell.XOff))
		m := s.r.mailbox()
		s.stream = m.id
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return s
	},
	"mailbox stream that the relay ended": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4))
		s.stream = s.r.mailbox().id
		s.r.must(3, cell.Message{Command: cell.End, Stream: s.stream, Data: endDone})
		return s
	},
	"BEGIN without answer": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(3, cell.Connected), at(3, cell.End))
		s.stream = s.r.directory(false).id
		return s
	},
	"directory stream": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(3, cell.Data), at(3, cell.End), at(3, cell.XOff))
		s.stream = s.r.directory(true).id
		return s
	},
	"directory stream that the user closed": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4), at(3, cell.Data), at(3, cell.End), at(3, cell.XOff))
		m := s.r.directory(true)
		s.stream = m.id
		m.close()
		return s
	},
	"directory stream that the relay ended": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4))
		s.stream = s.r.directory(true).id
		s.r.must(3, cell.Message{Command: cell.End, Stream: s.stream, Data: endDone})
		return s
	},
	"directory stream that both ended": func(t *testing.T) situation {
		s := newSituation(newRig(t, 4))
		m := s.r.directory(true)
		s.stream = m.id
		m.close()
		s.r.must(3, cell.Message{Command: cell.End, Stream: s.stream, Data: endDone})
		return s
	},
}

func newSituation(r *rig, allowed ...string) situation {
	s := situation{r: r, stream: 1, ping: zero[:16], echo: zero[:], tag: zero[:16], allowed: map[string]bool{}}
	for _, a := range allowed {
		s.allowed[a] = true
	}
	return s
}

// TestEveryCommandInEveryState sends each command from each hop in each state.
// What SPEC.md §3 does not list ends the circuit, the rest does not.
func TestEveryCommandInEveryState(t *testing.T) {
	for name, prepare := range situations {
		t.Run(name, func(t *testing.T) {
			s := prepare(t)
			used := map[string]bool{}
			for hop := range s.r.layers {
				for _, m := range backward(s.stream, s.ping, s.echo, s.tag) {
					what := at(hop, m.Command)
					if s.allowed[what] && m.Flags != cell.SecondOfTwo {
						used[what] = true
						f := prepare(t) // each gets a circuit that nothing happened to yet
						for _, n := range backward(f.stream, f.ping, f.echo, f.tag) {
							if n.Command == m.Command && n.Flags == m.Flags {
								if err := f.r.from(hop, n); err != nil {
									t.Errorf("%s was refused: %v", what, err)
								}
							}
						}
						continue
					}
					if err := s.r.from(hop, m); !isViolation(err) {
						t.Errorf("%s, flags %#x, was accepted: %v", what, m.Flags, err)
					}
				}
			}
			if len(used) != len(s.allowed) {
				t.Errorf("only %d of %v were tried", len(used), s.allowed)
			}
		})
	}
}
