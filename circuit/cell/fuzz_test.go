package cell

import (
	"bytes"
	"testing"
)

func FuzzParseCell(f *testing.F) {
	f.Add(make([]byte, Size))
	c := make([]byte, Size)
	PutFragments(c, make([]byte, Size), Create, make([]byte, CreateSize))
	f.Add(c)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		out := make([]byte, HeaderSize)
		h.Put(out)
		if !bytes.Equal(out, b[:HeaderSize]) {
			t.Fatalf("% x became % x", b[:HeaderSize], out)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	for _, m := range messages() {
		p := make([]byte, PayloadSize(3))
		if err := m.Put(p); err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			return
		}
		out := make([]byte, len(b))
		if err := m.Put(out); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, b) {
			t.Fatal("not re-encoded as it was")
		}
	})
}

func FuzzParseOptions(f *testing.F) {
	f.Add(Options{HasSlot: true, Slot: 3, HasCredit: true, Initial: 64, Max: 1024}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOptions(b)
		if err != nil {
			return
		}
		again, err := ParseOptions(o.Append(nil))
		if err != nil || again != o {
			t.Fatalf("%+v became %+v: %v", o, again, err)
		}
	})
}

func FuzzParseHello(f *testing.F) {
	b := make([]byte, BodySize)
	testHello().Put(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHello(b)
		if err != nil {
			return
		}
		out := make([]byte, BodySize)
		h.Put(out)
		if !bytes.Equal(out, b) {
			t.Fatal("not re-encoded as it was")
		}
	})
}

func FuzzParseShaping(f *testing.F) {
	b := make([]byte, BodySize)
	Shaping{Profile: 2, Op: ShapeBurst, Seconds: MaxBurst}.Put(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShaping(b)
		if err != nil {
			return
		}
		out := make([]byte, BodySize)
		s.Put(out)
		if !bytes.Equal(out, b) {
			t.Fatal("not re-encoded as it was")
		}
		if s.Profile > 3 || s.Seconds > MaxBurst || s.Op != ShapeBurst && s.Seconds > 0 {
			t.Fatalf("accepted %+v", s)
		}
	})
}

// FuzzAssemble gives a sequence of fragments in any order and shape.
func FuzzAssemble(f *testing.F) {
	f.Add([]byte{0, 1}, []byte("x"))
	f.Fuzz(func(t *testing.T, ops, fill []byte) {
		as, ms := Assembler{Type: Created}, MessageAssembler{Command: Extended}
		cells := [2][]byte{make([]byte, Size), make([]byte, Size)}
		msg := make([]byte, CreatedSize)
		copy(msg, fill)
		PutFragments(cells[0], cells[1], Created, msg)
		parts := SplitExtended(msg)
		for _, op := range ops {
			if op&2 == 0 {
				if got, done, err := as.Add(cells[op&1]); err != nil {
					return
				} else if done && !bytes.Equal(got, msg) {
					t.Fatal("assembled something else")
				}
			} else if got, done, err := ms.Add(parts[op&1]); err != nil {
				return
			} else if done && !bytes.Equal(got, msg) {
				t.Fatal("assembled something else")
			}
		}
	})
}

func BenchmarkParseMessage(b *testing.B) {
	p := make([]byte, PayloadSize(3))
	if err := messages()["data"].Put(p); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMessage(p); err != nil {
			b.Fatal(err)
		}
	}
}
