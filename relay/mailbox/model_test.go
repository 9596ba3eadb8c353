package mailbox

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// modelQueue is the slow reference of one chat queue: a list.
type modelQueue struct {
	next   uint64
	held   []modelBlock
	known  map[int]OKSend // by block number
	pushed uint64         // highest seq that the subscriber got
	acked  uint64
}

type modelBlock struct {
	seq uint64
	n   int
}

func (m *modelQueue) put(n int) (known, full bool) {
	if _, ok := m.known[n]; ok {
		return true, false
	}
	if len(m.held) == 512 {
		return false, true
	}
	m.next++
	m.held = append(m.held, modelBlock{m.next, n})
	return false, false
}

func (m *modelQueue) ack(seq uint64) {
	m.held = slices.DeleteFunc(m.held, func(b modelBlock) bool { return b.seq <= seq })
	m.acked = max(m.acked, min(seq, m.pushed))
}

func (m *modelQueue) above(after uint64) []modelBlock {
	i := slices.IndexFunc(m.held, func(b modelBlock) bool { return b.seq > after })
	if i < 0 {
		return nil
	}
	return m.held[i:]
}

// TestQueueAgainstModel runs random operations on one queue, with restarts, and
// compares all that the server says with the model.
func TestQueueAgainstModel(t *testing.T) {
	s := startFast(t)
	defer s.shutdown()
	rapid.Check(t, func(rt *rapid.T) {
		p := s.peer()
		q := p.create(KindChat)
		m := &modelQueue{known: make(map[int]OKSend)}
		defer func() { p.session.Close() }()
		settle := func() { // the ACK is on its way through the committer
			o, err := s.submit(func(*tx) error { return nil }, false)
			if err != nil {
				rt.Fatal(err)
			}
			if err := s.await(o); err != nil {
				rt.Fatal(err)
			}
		}
		poll := func(after uint64, limit byte) {
			ok := p.subscribe(q, after, limit, false)
			want := m.above(after)
			lowest := m.next + 1
			if len(want) > 0 {
				lowest = want[0].seq
			}
			if ok.Next != m.next+1 || ok.Lowest != lowest {
				rt.Fatalf("poll says %+v, model %d to %d", ok, lowest, m.next+1)
			}
			for i, b := range want[:min(len(want), int(limit))] {
				if msg := p.wantMsg(q, b.seq, b.n); int(msg.Backlog) != len(want)-1-i {
					rt.Fatalf("backlog %d", msg.Backlog)
				}
			}
		}
		poll(0, 0)
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) {
				n := rapid.IntRange(0, 60).Draw(rt, "block")
				known, full := m.put(n)
				p.must(CmdSend, p.sendCommand(q, n))
				if full {
					p.wantErr(CmdSend, CodeQuota)
					return
				}
				ok, err := ParseOKSend(p.want(CmdOK))
				if err != nil {
					rt.Fatal(err)
				}
				if old := m.known[n]; known && (ok.Stored != old.Stored || ok.Until != old.Until) {
					rt.Fatal("a duplicate got other times")
				}
				m.known[n] = ok
			},
			"poll": func(rt *rapid.T) {
				poll(rapid.Uint64Range(0, m.next+2).Draw(rt, "after"), byte(rapid.IntRange(0, 64).Draw(rt, "limit")))
			},
			"ack": func(rt *rapid.T) {
				seq := rapid.Uint64Range(0, m.next+2).Draw(rt, "seq")
				p.ack(q, seq)
				m.ack(seq)
				settle()
			},
			"list": func(rt *rapid.T) {
				after := rapid.Uint64Range(0, m.next+2).Draw(rt, "after")
				ids := p.list(q, after)
				want := m.above(after)
				if len(ids.IDs) != len(want) {
					rt.Fatalf("%d ids, want %d", len(ids.IDs), len(want))
				}
				for i, b := range want {
					if id, _ := testBlock(b.n); ids.IDs[i] != id || ids.First+uint64(i) != b.seq {
						rt.Fatal("another id")
					}
				}
			},
			"restart": func(rt *rapid.T) {
				p.session.Close()
				s.shutdown()
				s.start()
				p = s.peer()
				poll(0, 0)
			},
		})
	})
}

// TestPushAgainstModel pushes a queue through a window under random ACKs.
func TestPushAgainstModel(t *testing.T) {
	s := startFast(t)
	defer s.shutdown()
	rapid.Check(t, func(rt *rapid.T) {
		owner, sender := s.peer(), s.peer()
		defer owner.session.Close()
		defer sender.session.Close()
		q := owner.create(KindChat)
		window := rapid.IntRange(1, PushWindow).Draw(rt, "window")
		m := &modelQueue{known: make(map[int]OKSend)}
		owner.subscribe(q, 0, byte(window), true)
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) {
				sent := 0
				for range rapid.IntRange(1, SendWindow).Draw(rt, "blocks") {
					n := int(m.next)
					if _, full := m.put(n); full {
						break
					}
					sender.must(CmdSend, sender.sendCommand(q, n))
					sent++
				}
				for range sent {
					sender.want(CmdOK)
				}
			},
			"ack": func(rt *rapid.T) {
				if m.pushed == 0 {
					return
				}
				seq := rapid.Uint64Range(1, m.pushed).Draw(rt, "seq")
				owner.ack(q, seq)
				m.ack(seq)
			},
			"": func(rt *rapid.T) { // all that the window allows comes, and no more
				for m.pushed < m.next && m.pushed-m.acked < uint64(window) {
					m.pushed++
					owner.wantMsg(q, m.pushed, int(m.pushed-1))
				}
				select {
				case r := <-owner.replies:
					rt.Fatalf("unexpected %s", r.cmd)
				default:
				}
			},
		})
	})
}
