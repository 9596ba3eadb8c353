package mailbox

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestNonceRelayAttack replays a SEND and a SUB on another stream, at another
// place of the same stream, and at another relay: all of it is AUTH.
func TestNonceRelayAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		other := &testServer{t: t, cfg: s.cfg, free: s.free}
		other.cfg.Dir = t.TempDir()
		other.cfg.Identity = testIdentity(42)
		other.start()
		defer other.shutdown()

		victim, replay, there := s.peer(), s.peer(), other.peer()
		defer victim.session.Close()
		defer replay.session.Close()
		defer there.session.Close()
		q := victim.create(KindChat)
		replay.must(CmdWork, Work{Bits: 255}.Append(nil)) // to have the same counter
		replay.wantErr(CmdWork, CodeWork)

		send := victim.sendCommand(q, 1)
		replay.must(CmdSend, send)
		replay.wantErr(CmdSend, CodeAuth)
		victim.must(CmdSend, send)
		victim.want(CmdOK)
		victim.must(CmdSend, send) // the counter has moved on
		victim.wantErr(CmdSend, CodeAuth)

		sub := victim.subCommand(q, 0, 16, true)
		replay.must(CmdSub, sub)
		replay.wantErr(CmdSub, CodeAuth)

		// The other relay holds a queue of the same owner and capability and
		// even shows the same nonce.
		twin := *q
		there.must(CmdNew, there.newCommand(&twin))
		ok, err := ParseOKNew(there.want(CmdOK))
		if err != nil {
			t.Fatal(err)
		}
		twin.sid = ok.SID
		if twin.sid == q.sid {
			t.Error("two relays give one queue the same SID")
		}
		if twin.rid != q.rid {
			t.Error("RID depends on the relay")
		}
		victim.auth.Nonce, victim.auth.Counter = there.auth.Nonce, there.auth.Counter
		there.must(CmdSub, victim.subCommand(q, 0, 16, true))
		there.wantErr(CmdSub, CodeAuth)
		twinSend := victim.sendCommand(&twin, 1)
		there.must(CmdSend, twinSend)
		there.wantErr(CmdSend, CodeAuth)
	})
}

// TestMissingQueueCostsAsMuchAsWrongKey: the same rows are read and opened and
// the same reply is given, whether a queue is missing or the key is wrong.
func TestMissingQueueCostsAsMuchAsWrongKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner := s.peer()
		defer owner.session.Close()
		q := owner.create(KindChat)
		wrong, missing := *q, *newQueue(KindChat)
		wrong.cap[0] ^= 1
		wrong.key = newQueue(KindChat).key
		missing.sid[0] = 9
		cost := func(q *queue, cmd Command) uint64 {
			p := s.peer()
			defer p.session.Close()
			var data []byte
			switch cmd {
			case CmdSend:
				data = p.sendCommand(q, 1)
			case CmdSub:
				data = p.subCommand(q, 0, 1, true)
			case CmdRotCap:
				m := RotCap{RID: q.rid}
				p.auth.SignRotCap(&m, q.key)
				data = m.Append(nil)
			case CmdDel:
				m := Del{RID: q.rid}
				p.auth.SignDel(&m, q.key)
				data = m.Append(nil)
			}
			before := s.store.reads.Load()
			p.must(cmd, data)
			p.wantErr(cmd, CodeAuth)
			return s.store.reads.Load() - before
		}
		for _, cmd := range []Command{CmdSend, CmdSub, CmdRotCap, CmdDel} {
			if a, b := cost(&wrong, cmd), cost(&missing, cmd); a != b || a != 1 {
				t.Errorf("%s: %d reads for a wrong key, %d for a missing queue", cmd, a, b)
			}
		}
		// The dummy queue itself cannot be used.
		dummy := &queue{rid: s.store.dummy, sid: sidOf(s.store.secret, s.store.dummy), key: q.key}
		if cost(dummy, CmdSend) != 1 || cost(dummy, CmdSub) != 1 {
			t.Error("the dummy queue costs otherwise")
		}
	})
}

// TestQuotaIsToldToTheAuthenticatedOnly: a stranger cannot ask how full a queue is.
func TestQuotaIsToldToTheAuthenticatedOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		q := p.create(KindInvite)
		for n := range 64 {
			p.store(q, n)
		}
		p.must(CmdSend, p.sendCommand(q, 64))
		p.wantErr(CmdSend, CodeQuota)
		stranger := *q
		stranger.cap[0] ^= 1
		p.must(CmdSend, p.sendCommand(&stranger, 64))
		p.wantErr(CmdSend, CodeAuth)
		s.free = 0
		pass(time.Minute)
		p.must(CmdSend, p.sendCommand(&stranger, 64))
		p.wantErr(CmdSend, CodeAuth)
	})
}

// TestEightFailuresEndTheCircuit: guessing is cut off.
func TestEightFailuresEndTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		q := newQueue(KindChat)
		for range FailuresMax {
			p.must(CmdSend, p.sendCommand(q, 1))
			p.wantErr(CmdSend, CodeAuth)
		}
		synctest.Wait()
		if err := p.send(CmdSend, p.sendCommand(q, 1)); err == nil {
			t.Error("a ninth attempt")
		}
		p.quiet()
	})
}

// TestUnexpectedCommandsEndTheCircuit sends everything that a client must not.
func TestUnexpectedCommandsEndTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		q := newQueue(KindChat)
		late := map[string]func(p *peer) error{
			"second OPEN": func(p *peer) error { return p.send(CmdOpen, Open{Version: 1}.Append(nil)) },
			"HELLO":       func(p *peer) error { return p.send(CmdHello, p.hello.Append(nil)) },
			"OK":          func(p *peer) error { return p.send(CmdOK, OK{Command: CmdDel}.Append(nil)) },
			"ERR":         func(p *peer) error { return p.send(CmdErr, Err{Command: CmdDel, Code: CodeAuth}.Append(nil)) },
			"MSG":         func(p *peer) error { return p.send(CmdMsg, (&Msg{Seq: 1}).Append(nil)) },
			"IDS":         func(p *peer) error { return p.send(CmdIDs, IDs{}.Append(nil)) },
			"LINK":        func(p *peer) error { return p.send(CmdLink, (&Link{}).Append(nil)) },
			"END":         func(p *peer) error { return p.send(CmdEnd, End{Reason: EndDeleted}.Append(nil)) },
			"code 0x52":   func(p *peer) error { return p.send(0x52, nil) },
			"ACK before SUB": func(p *peer) error {
				return p.send(CmdAck, Ack{RID: q.rid, Seq: 1}.Append(nil))
			},
			"LIST before SUB":    func(p *peer) error { return p.send(CmdList, List{RID: q.rid}.Append(nil)) },
			"SETLINK before SUB": func(p *peer) error { return p.send(CmdSetLink, (&SetLink{RID: q.rid}).Append(nil)) },
			"second half of a link first": func(p *peer) error {
				inv := p.create(KindInvite)
				p.subscribe(inv, 0, 0, false)
				return p.send(CmdSetLink, (&SetLink{RID: inv.rid, Part: 1}).Append(nil))
			},
			"a chat with a LID": func(p *peer) error {
				chat := newQueue(KindChat)
				chat.lid[0] = 1
				return p.send(CmdNew, p.newCommand(chat))
			},
			"another stream": func(p *peer) error {
				return p.session.Message(byte(CmdWork), 0, 8, Work{}.Append(nil))
			},
			"flags":          func(p *peer) error { return p.session.Message(byte(CmdWork), 1, 7, Work{}.Append(nil)) },
			"truncated SEND": func(p *peer) error { return p.send(CmdSend, p.sendCommand(q, 1)[:1071]) },
		}
		for name, send := range late {
			p := s.peer()
			if err := send(p); err == nil {
				t.Errorf("%s was accepted", name)
			}
			if err := p.send(CmdWork, Work{}.Append(nil)); err == nil {
				t.Errorf("%s: the session goes on", name)
			}
			p.quiet()
		}
		p := s.raw()
		if err := p.send(CmdWork, Work{}.Append(nil)); err == nil {
			t.Error("a command before OPEN was accepted")
		}
		p = s.raw()
		p.must(CmdOpen, Open{Version: 9}.Append(nil))
		p.wantErr(CmdOpen, CodeVersion)
		if err := p.send(CmdSend, p.sendCommand(q, 1)); err == nil {
			t.Error("a command after a refused version was accepted")
		}
	})
}

// TestSilentReader: a client that takes no replies is cut off after 32 commands,
// and holds up nobody else.
func TestSilentReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		gone := make(chan struct{})
		opened := make(chan Hello, 1)
		silent := s.Open(func(command, flags byte, stream uint16, data []byte) error {
			if h, err := ParseHello(data); Command(command) == CmdHello && err == nil {
				opened <- h
				return nil
			}
			<-gone
			return errClosed
		})
		if err := silent.Message(byte(CmdOpen), 0, 7, Open{Version: 1}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		<-opened
		var err error
		n := 0
		for ; err == nil; n++ {
			err = silent.Message(byte(CmdWork), 0, 7, Work{}.Append(nil))
			synctest.Wait()
		}
		if n > OtherWindow+2 {
			t.Errorf("%d commands without a reply", n)
		}
		p := s.peer()
		defer p.session.Close()
		p.store(p.create(KindChat), 1)
		close(gone)
	})
}

// TestAckOfStranger: the right to ACK comes from SUB on the same stream alone.
func TestAckOfStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		owner, eve := s.peer(), s.peer()
		defer owner.session.Close()
		q := owner.create(KindChat)
		owner.store(q, 1)
		thief := *q
		thief.key = newQueue(KindChat).key
		eve.must(CmdSub, eve.subCommand(&thief, 0, 16, true))
		eve.wantErr(CmdSub, CodeAuth)
		if err := eve.send(CmdAck, Ack{RID: q.rid, Seq: 1}.Append(nil)); err == nil {
			t.Error("a stranger's ACK was taken")
		}
		pass(lazyDelay)
		owner.subscribe(q, 0, 1, false)
		owner.wantMsg(q, 1, 1)
	})
}
