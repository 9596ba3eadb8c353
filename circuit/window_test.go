package circuit_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/relay/lab"
)

// TestWindowFollowsThePath moves data over relays as they are, on a path with a
// round trip of 150 ms, where the first window alone would carry 457 kB/s and
// the client's link carries 1.3 MB/s.
func TestWindowFollowsThePath(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, _, stop := labClient(t, lab.Config{Dir: dir, InsecureServeRequest: echoService}, lab.SimConfig{Latency: 25 * time.Millisecond}, link.Off)
		defer stop()
		open := func(isolation string) io.ReadWriteCloser {
			k, err := c.Pool().Get(t.Context(), circuit.Request{Purpose: circuit.Directory, Isolation: isolation})
			if err != nil {
				t.Fatal(err)
			}
			s, err := k.Directory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		most := 4 << 20
		if raceDetector {
			most = 2 << 20 // twice the window at its largest
		}
		buf := make([]byte, 32*cell.DataSize)
		rate := func(s io.Reader) float64 {
			start, n := time.Now(), 0
			for n < most {
				k, err := s.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				n += k
			}
			return float64(n) / time.Since(start).Seconds()
		}

		down := open("down")
		if _, err := down.Write([]byte("d")); err != nil {
			t.Fatal(err)
		}
		if got := rate(down); got < 900e3 {
			t.Errorf("download: %.0f bytes/s", got)
		}
		down.Close()

		both := open("both") // what goes up comes down again
		done := make(chan struct{})
		go func() {
			defer close(done)
			up := make([]byte, 32*cell.DataSize)
			up[0] = 'e'
			for {
				if _, err := both.Write(up); err != nil {
					return
				}
			}
		}()
		if got := rate(both); got < 700e3 {
			t.Errorf("there and back: %.0f bytes/s", got)
		}
		both.Close()
		<-done
	})
}
