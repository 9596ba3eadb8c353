package relay

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

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
