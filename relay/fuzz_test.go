package relay

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// FuzzRelayCircuit turns bytes into operations on a live circuit of two
// relays: commands to either hop, junk on any stream, time that passes, resets.
// Whatever comes, nothing panics, the client never reads a cell that does not
// open, and all goroutines end.
func FuzzRelayCircuit(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19})
	f.Add([]byte{40, 2, 40, 1, 40, 80, 81, 82, 83, 60, 200, 120})
	f.Add(bytes.Repeat([]byte{14}, 100))
	f.Add([]byte{250, 251, 252, 253, 254, 255})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			m := newMemNet(t, 3, func(_ int, cfg *SwitchConfig) { cfg.Service = echoMailbox{} })
			defer m.close()
			c := m.client()
			if err := c.build(m.relays[:2]...); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				for {
					if _, _, err := c.recv(); err != nil {
						done <- err
						return
					}
				}
			}()
			all := commands()
			for i, op := range ops {
				synctest.Wait() // the reader seals SENDMEs of its own
				hop := int(op) / len(all) % 2
				switch {
				case op < byte(2*len(all)):
					c.send(hop, all[int(op)%len(all)].m)
				case op < 120: // data for whatever stream is open
					c.send(hop, cell.Message{Command: cell.Data, Stream: 9, Data: []byte{op}})
				case op < 180:
					advance(time.Duration(op-120) * time.Second)
				case op < 200: // a real extension, of an open circuit or not
					_, create, err := onion.NewClientHandshake(rand.Reader, c.params(m.relays[2], 2))
					if err != nil {
						t.Fatal(err)
					}
					for _, x := range cell.SplitExtend(m.relays[2].ID, create) {
						c.send(1, x)
					}
				case op < 210 && m.sw[1].Circuits() > 0: // the second relay goes mad
					m.sw[1].all(nil)[0].prev.Write(bytes.Repeat([]byte{op}, 100*(i+1)))
				case op < 240:
					c.s.Write(bytes.Repeat([]byte{op - 210}, i))
				case op < 250 && m.sw[0].Circuits() > 0:
					m.sw[0].all(nil)[0].close()
				case op > 253:
					reset(c.s)
				}
			}
			synctest.Wait()
			reset(c.s)
			if err := <-done; err == onion.ErrLayer {
				// A relay's junk may end the onion, but the honest first hop
				// seals whatever it passes on, so the client's layer opens.
				t.Fatal("the client read a cell that does not open")
			}
			m.expectCircuits(0, 0, 0)
		})
	})
}

// echoMailbox answers each message with itself.
type echoMailbox struct{}

func (echoMailbox) Open(reply func(byte, byte, uint16, []byte) error) ServiceSession {
	return echoSession{reply}
}

type echoSession struct {
	reply func(byte, byte, uint16, []byte) error
}

func (s echoSession) Message(cmd, flags byte, stream uint16, data []byte) error {
	return s.reply(cmd, flags, stream, data)
}
func (echoSession) Close() {}

// FuzzReader cuts any bytes, in pieces of any size, into cells: what comes out
// is what went in without its trim.
func FuzzReader(f *testing.F) {
	f.Add(make([]byte, 3*cell.Size), uint16(700))
	trimmed := make([]byte, 2*cell.Size+5)
	trimmed[3] = 5
	f.Add(trimmed, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint16) {
		if len(b) > 40*cell.Size {
			return
		}
		var want []byte
		bad := false
		for rest := b; len(rest) >= cell.Size; {
			trim := int(rest[3])
			if trim > cell.MaxTrim {
				bad = true
				break
			}
			if len(rest) < cell.Size+trim {
				break
			}
			for _, x := range rest[cell.Size : cell.Size+trim] {
				bad = bad || x != 0
			}
			if bad {
				break
			}
			want = append(want, rest[:cell.Size]...)
			want[len(want)-cell.Size+3] = 0
			rest = rest[cell.Size+trim:]
		}
		near, far := memPipe()
		near.w.limit = 64 * cell.Size
		for rest := b; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			near.Write(rest[:n])
			rest = rest[n:]
		}
		near.w.fail(io.EOF)
		r := cellReader{s: far, clock: new(clock)}
		var got []byte
		for {
			buf, cells, err := r.next()
			if err != nil {
				if (err == errTrim) != bad {
					t.Fatalf("%v, bad %v", err, bad)
				}
				break
			}
			got = append(got, cells...)
			batches.Put(buf)
		}
		if !bytes.Equal(got, want[:min(len(got), len(want))]) || !bad && len(got) != len(want) {
			t.Fatalf("%d bytes of cells, want %d", len(got), len(want))
		}
	})
}

// FuzzKeyFile decodes key files; what is accepted encodes to the same bytes.
func FuzzKeyFile(f *testing.F) {
	f.Add(keyFile{kind: keyOnion, from: time.Unix(7, 0)}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind := keyOnion
		if len(b) > 1 {
			kind = keyKind(b[1])
		}
		k, err := parseKeyFile(b, kind)
		if err == nil && !bytes.Equal(k.append(nil), b) {
			t.Fatal("another encoding")
		}
	})
}

// FuzzNetwork decodes remembered networks; what is accepted encodes to the
// same bytes.
func FuzzNetwork(f *testing.F) {
	f.Add(append(make([]byte, 32), 0, 0, 0, 1, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, raws, err := parseNetwork(b)
		if err != nil {
			return
		}
		again := bytes.Clone(id[:])
		for _, raw := range raws {
			again = append(binary.BigEndian.AppendUint32(again, uint32(len(raw))), raw...)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("another encoding")
		}
	})
}
