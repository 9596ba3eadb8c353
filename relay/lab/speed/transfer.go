package main

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"hearsay/circuit/cell"
)

// What a client asks of the last node of a chain or circuit: kind u8 and the
// number of bytes u64. Echo comes back in messages of echoSize bytes.
const (
	kindDownload = 'd'
	kindUpload   = 'u'
	kindEcho     = 'e'

	askSize  = 9
	echoSize = 256
	// batchSize is what relays read and write at once.
	batchSize = 32 * cell.Size
)

// serveBytes is the source and sink behind the last node. It takes one request
// after the other until the stream ends.
func serveBytes(s io.ReadWriter) error {
	buf := make([]byte, batchSize)
	for {
		var ask [askSize]byte
		if _, err := io.ReadFull(s, ask[:]); err != nil {
			return err
		}
		left := int64(binary.BigEndian.Uint64(ask[1:]))
		for left > 0 {
			var n int
			var err error
			part := buf[:min(left, int64(len(buf)))]
			switch ask[0] {
			case kindDownload:
				n, err = s.Write(part)
			case kindUpload:
				n, err = s.Read(part)
			case kindEcho:
				part = buf[:echoSize]
				if n, err = io.ReadFull(s, part); err == nil {
					_, err = s.Write(part)
				}
			default:
				return errors.New("unknown request")
			}
			if err != nil {
				return err
			}
			left -= int64(n)
		}
		if ask[0] == kindUpload {
			if _, err := s.Write([]byte{1}); err != nil {
				return err
			}
		}
	}
}

func ask(s io.Writer, kind byte, n int64) error {
	var b [askSize]byte
	b[0] = kind
	binary.BigEndian.PutUint64(b[1:], uint64(n))
	_, err := s.Write(b[:])
	return err
}

// transferArgs says what to move over each open stream.
type transferArgs struct {
	Bytes int64 // over each stream
	Up    bool
	// Skip is left out at the beginning of the measured time.
	Skip time.Duration
	// For, if not zero, ends the measured time that long after Skip.
	For time.Duration
}

// transferResult is what was moved.
type transferResult struct {
	Rate  float64 // bytes a second, of the middle of the transfer
	Bytes int64
}

// transfer moves bytes over all streams at once. The rate leaves out the first
// 5 % and the last 20 %, in which not all streams are busy.
func transfer(streams []io.ReadWriter, a transferArgs) (transferResult, error) {
	total := a.Bytes * int64(len(streams))
	m := &meter{begin: total / 20, finish: total - total/5, started: time.Now(), args: a}
	errs := make([]error, len(streams))
	var wg sync.WaitGroup
	for i, s := range streams {
		wg.Go(func() {
			if a.Up {
				errs[i] = upload(s, a.Bytes, m)
			} else {
				errs[i] = download(s, a.Bytes, m)
			}
		})
	}
	wg.Wait()
	return transferResult{Rate: m.rate(), Bytes: m.moved.Load()}, firstError(errs)
}

// firstError stands for all: streams of one link fail together.
func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// besideBytes is what a busy stream asks for at once.
const besideBytes = 512 << 10

// keepBusy downloads over all streams until stop is closed; m counts.
func keepBusy(streams []io.ReadWriter, m *meter, stop <-chan struct{}) error {
	errs := make([]error, len(streams))
	var wg sync.WaitGroup
	for i, s := range streams {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-stop:
					return
				default:
					errs[i] = download(s, besideBytes, m)
				}
			}
		})
	}
	wg.Wait()
	return firstError(errs)
}

func download(s io.ReadWriter, n int64, m *meter) error {
	if err := ask(s, kindDownload, n); err != nil {
		return err
	}
	buf := make([]byte, batchSize)
	for n > 0 {
		k, err := s.Read(buf[:min(n, int64(len(buf)))])
		n -= int64(k)
		m.add(int64(k))
		if err != nil {
			return err
		}
	}
	return nil
}

func upload(s io.ReadWriter, n int64, m *meter) error {
	if err := ask(s, kindUpload, n); err != nil {
		return err
	}
	buf := make([]byte, batchSize)
	for n > 0 {
		k, err := s.Write(buf[:min(n, int64(len(buf)))])
		n -= int64(k)
		m.add(int64(k))
		if err != nil {
			return err
		}
	}
	_, err := io.ReadFull(s, buf[:1])
	return err
}

// meter counts bytes and notes when its marks were passed.
type meter struct {
	args          transferArgs
	begin, finish int64 // marks of bytes, without args.For
	started       time.Time
	moved         atomic.Int64

	mu            sync.Mutex
	first, last   time.Time
	from, through int64
}

func (m *meter) add(n int64) {
	moved := m.moved.Add(n)
	now := time.Now()
	after, before := moved >= m.begin, moved <= m.finish
	if m.args.For != 0 {
		since := now.Sub(m.started)
		after, before = since >= m.args.Skip, since <= m.args.Skip+m.args.For
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if after && m.first.IsZero() {
		m.first, m.from = now, moved
	}
	if before && moved > m.through {
		m.last, m.through = now, moved
	}
}

func (m *meter) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.last.Sub(m.first).Seconds()
	if m.first.IsZero() || d <= 0 {
		return 0
	}
	return float64(m.through-m.from) / d
}

// echo measures round trips of echoSize bytes, one after the other, until it
// has n or the time is over.
func echo(s io.ReadWriter, n int, limit time.Duration) ([]time.Duration, error) {
	buf := make([]byte, askSize+echoSize) // one cell
	buf[0] = kindEcho
	binary.BigEndian.PutUint64(buf[1:], echoSize) // one request each, so that the stream is free at the end
	took := make([]time.Duration, 0, n)
	for begin := time.Now(); len(took) < n && time.Since(begin) < limit; {
		start := time.Now()
		if _, err := s.Write(buf); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(s, buf[askSize:]); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}
