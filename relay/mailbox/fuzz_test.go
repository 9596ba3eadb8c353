package mailbox

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// fuzzParser checks that a parser does not panic and that what it accepts has
// no other encoding.
func fuzzParser(f *testing.F, names ...string) {
	golden, err := os.ReadFile("testdata/commands.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		w := strings.Fields(line)
		if d, err := hex.DecodeString(w[2]); err == nil && slices.Contains(names, w[1]) {
			f.Add(d)
		}
	}
	f.Fuzz(func(t *testing.T, d []byte) {
		for _, name := range names {
			enc, err := parsers[name](d)
			switch {
			case err == nil && !bytes.Equal(enc, d):
				t.Errorf("%s: %x encodes as %x", name, d, enc)
			case err != nil && !errors.Is(err, ErrMalformed):
				t.Errorf("%s: error %v", name, err)
			}
		}
	})
}

func FuzzParseOpen(f *testing.F)        { fuzzParser(f, "OPEN") }
func FuzzParseHello(f *testing.F)       { fuzzParser(f, "HELLO") }
func FuzzParseNew(f *testing.F)         { fuzzParser(f, "NEW") }
func FuzzParseSub(f *testing.F)         { fuzzParser(f, "SUB") }
func FuzzParseMsg(f *testing.F)         { fuzzParser(f, "MSG") }
func FuzzParseAck(f *testing.F)         { fuzzParser(f, "ACK") }
func FuzzParseSend(f *testing.F)        { fuzzParser(f, "SEND") }
func FuzzParseOK(f *testing.F)          { fuzzParser(f, "OK", "OK-NEW", "OK-SUB", "OK-SEND") }
func FuzzParseErr(f *testing.F)         { fuzzParser(f, "ERR") }
func FuzzParseList(f *testing.F)        { fuzzParser(f, "LIST") }
func FuzzParseIDs(f *testing.F)         { fuzzParser(f, "IDS") }
func FuzzParseSetLink(f *testing.F)     { fuzzParser(f, "SETLINK") }
func FuzzParseGetLink(f *testing.F)     { fuzzParser(f, "GETLINK") }
func FuzzParseLink(f *testing.F)        { fuzzParser(f, "LINK") }
func FuzzParseWork(f *testing.F)        { fuzzParser(f, "WORK") }
func FuzzParseRotCap(f *testing.F)      { fuzzParser(f, "ROTCAP") }
func FuzzParseDel(f *testing.F)         { fuzzParser(f, "DEL") }
func FuzzParseEnd(f *testing.F)         { fuzzParser(f, "END") }
func FuzzParsePut(f *testing.F)         { fuzzParser(f, "PUT") }
func FuzzParseGet(f *testing.F)         { fuzzParser(f, "GET") }
func FuzzParseRecord(f *testing.F)      { fuzzParser(f, "RECORD") }
func FuzzParseCertificate(f *testing.F) { fuzzParser(f, "CERTIFICATE") }
func FuzzParseReceipt(f *testing.F)     { fuzzParser(f, "RECEIPT") }

// FuzzParseMeta covers the one row of the database that has a format of its own.
func FuzzParseMeta(f *testing.F) {
	f.Add((&meta{kind: KindChat, ttl: 7, lowest: 1, next: 2}).append(nil))
	f.Fuzz(func(t *testing.T, d []byte) {
		if m, err := parseMeta(d); err == nil && !bytes.Equal(m.append(nil), d) {
			t.Errorf("%x encodes otherwise", d)
		}
	})
}

// FuzzSession turns bytes into operations on a live server: proper commands of
// two peers, broken ones and raw junk. The server must neither panic nor break
// what it promised.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 0, 2, 1, 3, 1, 4, 1, 5, 9, 6, 5, 7, 3, 8, 9})
	f.Add([]byte{1, 1, 2, 2, 2, 3, 3, 3, 10, 1, 11, 1, 4, 200, 12, 0x46})
	f.Add([]byte{9, 0x43, 9, 0x45, 9, 0x46, 9, 0x4B, 9, 0x40})
	f.Add([]byte{13, 0, 13, 1, 13, 2, 2, 0, 2, 1, 2, 2, 14, 0, 11, 0, 15, 3, 16, 3, 15, 3})
	f.Add([]byte{13, 0, 14, 0, 14, 0, 2, 0, 2, 0, 5, 0, 4, 64, 9, 0x4E, 9, 0x52, 9, 0x53, 12, 0x52})
	s := startFast(f)
	f.Cleanup(s.shutdown)
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			return
		}
		fz := &sessionFuzz{t: t, s: s}
		fz.s.t = t
		fz.run(ops)
	})
}

type sessionFuzz struct {
	t      *testing.T
	s      *testServer
	p      *peer
	queues []*queue
	stored map[*queue]int // highest block that got an OK
	paid   uint64
}

func (z *sessionFuzz) run(ops []byte) {
	z.stored = make(map[*queue]int)
	z.p = z.s.peer()
	for len(ops) >= 2 {
		op, arg := ops[0], ops[1]
		ops = ops[2:]
		if !z.step(op, arg, ops) {
			z.p.session.Close()
			z.p = z.s.peer()
		}
	}
	z.p.session.Close()
	for _, q := range z.queues {
		z.check(q)
	}
}

// step does one operation and tells whether the session lives on.
func (z *sessionFuzz) step(op, arg byte, rest []byte) bool {
	var q *queue
	if len(z.queues) > 0 {
		q = z.queues[int(arg)%len(z.queues)]
	} else if op %= 17; op > 1 && op != 9 && op != 12 && op != 13 && op < 15 {
		q = newQueue(KindChat)
	}
	var cmd Command
	var data []byte
	op %= 17
	switch op {
	case 0, 1, 13:
		if len(z.queues) > 4 {
			return true
		}
		kind := Kind(op)
		if op == 13 {
			kind = KindAddress + Kind(arg%3)
		}
		q = newQueue(kind)
		cmd, data = CmdNew, z.p.newCommand(q)
	case 14:
		cmd, data = CmdWork, z.p.workCommand(q, arg%8, uint64(arg)<<16)
	case 15:
		seed := filled32(arg % 4)
		r, err := directory.SealAddressRecord(testNetwork, ed25519.NewKeyFromSeed(seed[:]), directory.PlacementPeriod(true, time.Now()), uint64(arg)+1, nil, [24]byte{arg})
		if err != nil {
			z.t.Fatal(err)
		}
		raw := r.Append(nil)
		for part := range byte(RecordParts - 1) {
			m := &Put{Part: part, Chunk: [RecordChunk]byte(raw[int(part)*RecordChunk:])}
			if z.p.send(CmdPut, m.Append(nil)) != nil || !z.reply(CmdPut, nil, op) {
				return false
			}
		}
		cmd, data = CmdPut, (&Put{Part: RecordParts - 1, Chunk: [RecordChunk]byte(raw[(RecordParts-1)*RecordChunk:])}).Append(nil)
	case 16:
		cmd, data = CmdGet, Get{Period: uint64(arg)}.Append(nil)
	case 2:
		if q.kind == KindAddress {
			z.paid++
			if z.p.send(CmdWork, z.p.workCommand(q, 4, z.paid<<20)) != nil || !z.reply(CmdWork, q, 14) {
				return false
			}
		}
		cmd, data = CmdSend, z.p.sendCommand(q, z.stored[q])
	case 3:
		cmd, data = CmdSub, z.p.subCommand(q, uint64(arg), 1+arg%16, true)
	case 4:
		cmd, data = CmdSub, z.p.subCommand(q, uint64(arg), arg%65, false)
	case 5:
		cmd, data = CmdAck, Ack{RID: q.rid}.Append(nil) // deletes nothing
	case 6:
		cmd, data = CmdList, List{RID: q.rid, After: uint64(arg)}.Append(nil)
	case 7:
		cmd, data = CmdSetLink, (&SetLink{RID: q.rid, Part: arg % 2}).Append(nil)
	case 8:
		cmd, data = CmdGetLink, GetLink{LID: q.lid, Reader: filled32(arg)}.Append(nil)
	case 9:
		cmd, data = Command(arg), rest[:min(len(rest), 64)]
	case 10:
		broken := *q
		broken.cap[0] ^= 1
		cmd, data = CmdSend, z.p.sendCommand(&broken, 1)
	case 11:
		cmd, data = CmdSend, z.p.sendCommand(q, 0)
	case 12:
		cmd, data = Command(arg), make([]byte, DataSize)
		copy(data, rest)
	}
	if err := z.p.send(cmd, data); err != nil {
		return false
	}
	if cmd == CmdAck {
		return true
	}
	return z.reply(cmd, q, op)
}

// reply waits for the reply of the last command, taking what is pushed before.
func (z *sessionFuzz) reply(cmd Command, q *queue, op byte) bool {
	for {
		var r reply
		select {
		case r = <-z.p.replies:
		case <-z.p.session.closed:
			return false
		}
		switch r.cmd {
		case CmdMsg, CmdEnd:
			continue
		case CmdErr:
			if e, err := ParseErr(r.data); err != nil || e.Command != cmd {
				z.t.Fatalf("ERR %x to %s", r.data, cmd)
			}
		case CmdOK:
			if Command(r.data[0]) != cmd {
				z.t.Fatalf("OK %x to %s", r.data, cmd)
			}
			switch op {
			case 0, 1, 13:
				ok, err := ParseOKNew(r.data)
				if err != nil {
					z.t.Fatal(err)
				}
				q.sid = ok.SID
				z.queues = append(z.queues, q)
			case 2:
				z.stored[q]++
			}
		case CmdLink:
			if l, err := ParseLink(r.data); err != nil || l.Part == 0 {
				continue
			}
		case CmdRecord:
			if m, err := ParseRecordPart(r.data); err != nil || m.Part < RecordParts-1 {
				continue
			}
		}
		return true
	}
}

// check looks for every block that got an OK.
func (z *sessionFuzz) check(q *queue) {
	p := z.s.peer()
	defer p.session.Close()
	p.must(CmdSub, p.subCommand(q, 0, 0, false))
	ok, err := ParseOKSub(p.want(CmdOK))
	if err != nil || ok.Next < uint64(z.stored[q])+1 || ok.Lowest != 1 {
		z.t.Fatalf("%d blocks got OK, the relay says %+v (%v)", z.stored[q], ok, err)
	}
	var got []MessageID
	for {
		ids := p.list(q, uint64(len(got)))
		if len(ids.IDs) == 0 {
			break
		}
		got = append(got, ids.IDs...)
	}
	for n := range z.stored[q] {
		if id, _ := testBlock(n); !slices.Contains(got, id) {
			z.t.Fatalf("block %d of %d got OK and is not listed", n, z.stored[q])
		}
	}
}

// TestLongestQueueNumbers: seqs at the very end of the range do no harm.
func TestLongestQueueNumbers(t *testing.T) {
	s := startServer(t, true)
	defer s.shutdown()
	p := s.peer()
	defer p.session.Close()
	q := p.create(KindChat)
	p.store(q, 1)
	if ok := p.subscribe(q, math.MaxUint64, 16, true); ok.Lowest != 2 {
		t.Errorf("%+v", ok)
	}
	if ids := p.list(q, math.MaxUint64); len(ids.IDs) != 0 {
		t.Error("listed something behind the end")
	}
	p.ack(q, math.MaxUint64)
	p.store(q, 2)
	if got := p.subscribe(q, math.MaxUint64-1, 16, true); got.Next != 3 {
		t.Errorf("%+v", got)
	}
}
