package circuit

import (
	"testing"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// steady is a circuit of three hops in the middle of a transfer over a
// directory stream, without a network.
type steady struct {
	*rig
	s     *stream
	list  [batchCells]outbound
	batch [batchCells * cell.Size]byte
	sent  uint64
	tags  []onion.Tag // due to be acknowledged
	buf   []byte
}

func newSteady(t testing.TB) *steady {
	r := newRig(t, 3)
	s := r.directory(true)
	return &steady{rig: r, s: s, buf: make([]byte, batchCells*cell.DataSize), tags: make([]onion.Tag, 0, 64)}
}

// upload writes 32 cells, seals them, and takes the SENDME for them.
func (s *steady) upload() {
	if _, err := (*directoryStream)(s.s).Write(s.buf); err != nil {
		s.t.Fatal(err)
	}
	for {
		n := s.c.takeOut(s.list[:])
		if n == 0 {
			break
		}
		if err := s.c.seal(s.batch[:], s.list[:n]); err != nil {
			s.t.Fatal(err)
		}
		s.c.guard.ranking.sent(s.c.rank, n, time.Unix(int64(s.sent), 0))
		s.sent += uint64(n)
		clear(s.list[:])
	}
	tag := s.c.onion.ForwardTag(2)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.c.flows[2].acknowledge(tag[:], time.Duration(s.sent)); err != nil {
		s.t.Fatal(err)
	}
	s.c.wakeSendersLocked()
}

// arrive makes 32 cells of the last hop.
func (s *steady) arrive(batch []byte) {
	for i := range batchCells {
		b := batch[i*cell.Size : (i+1)*cell.Size]
		cell.Header{Type: cell.Relay}.Put(b)
		m := cell.Message{Command: cell.Data, Stream: s.s.id, Data: zero[:]}
		if err := s.layers[2].SealBackwardOwn(cell.Body(b), m); err != nil {
			s.t.Fatal(err)
		}
		s.layers[1].SealBackward(cell.Body(b))
		s.layers[0].SealBackward(cell.Body(b))
	}
}

// download takes 32 cells, reads what is in them, and seals the SENDME.
func (s *steady) download(batch []byte) {
	n, err := s.c.handleAll(batch)
	if err != nil || n != len(batch) {
		s.t.Fatal(n, err)
	}
	if n, err := (*directoryStream)(s.s).readLocked(s.buf); err != nil || n != len(s.buf) {
		s.t.Fatal(n, err)
	}
	if n := s.c.takeOut(s.list[:]); n != 1 || s.list[0].m.Command != cell.SendMe {
		s.t.Fatalf("%d messages instead of a SENDME", n)
	}
	if err := s.c.seal(s.batch[:], s.list[:1]); err != nil {
		s.t.Fatal(err)
	}
	clear(s.list[:1])
}

// BenchmarkCells shows what the client's side of a three-hop transfer costs
// without a network, for 32 cells.
func BenchmarkCells(b *testing.B) {
	b.Run("upload", func(b *testing.B) {
		s := newSteady(b)
		b.SetBytes(batchCells * cell.DataSize)
		b.ReportAllocs()
		for b.Loop() {
			s.upload()
		}
	})
	b.Run("download", func(b *testing.B) {
		s := newSteady(b)
		var in [64][batchCells * cell.Size]byte
		b.SetBytes(batchCells * cell.DataSize)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%len(in) == 0 {
				b.StopTimer()
				for k := range in {
					s.arrive(in[k][:])
				}
				b.StartTimer()
			}
			s.download(in[i%len(in)][:])
		}
	})
}
