package circuit

import (
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// asked shakes hands with a relay for a circuit and returns what CREATE asked.
func asked(t *testing.T, r *rig) (o cell.Options) {
	t.Helper()
	relay, key := testRelay(byte(len(r.layers)))
	_, create, err := r.c.handshake(relay, len(r.layers))
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = onion.Respond(zeroReader{}, testNetwork, relay.ID, []onion.OnionKey{key}, create, func(got cell.Options) cell.Options {
		o = got
		return accept(got)
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i) + 1
	}
	return len(p), nil
}

// TestCreditThatCreateAsksFor: on a shaped link a fixed window, which the
// guard's queues hold; bulk circuits, which pass the ticks, ask as ever.
func TestCreditThatCreateAsksFor(t *testing.T) {
	for _, c := range []struct {
		shaped, bulk bool
		maximum      uint16
	}{{false, false, 1024}, {false, true, 1024}, {true, false, 64}, {true, true, 1024}} {
		r := newRig(t, 2)
		if c.shaped {
			r.shape()
		}
		r.c.rank.bulk = c.bulk
		if o := asked(t, r); o.Initial != 64 || o.Max != c.maximum || o.Slot != 2 {
			t.Errorf("%+v: asked for %+v", c, o)
		}
	}
}

// TestWaitsForTicksAreNoSilence: on a shaped link one cell is sealed at a time,
// and an answer is expected from when the cell left.
func TestWaitsForTicksAreNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.shape()
		conn := &guardConn{wake: make(chan struct{}), stuck: true}
		r.c.conn = conn
		r.c.users.Store(1)
		done := make(chan struct{})
		go func() { defer close(done); r.c.write() }()
		for range 3 {
			if _, err := r.c.sendPing(2, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		r.c.mu.Lock()
		waiting := r.c.out.n
		r.c.mu.Unlock()
		if waiting != 2 {
			t.Errorf("%d of 3 cells are not sealed yet", waiting)
		}
		pass(10 * time.Second)
		left := time.Now()
		conn.set(func() { conn.stuck = false })
		synctest.Wait()
		r.c.mu.Lock()
		if !r.c.asked.Equal(left) {
			t.Errorf("silence counts from %v before the cell left", left.Sub(r.c.asked))
		}
		for i, p := range r.c.pings[2] {
			if !p.sent.Equal(left) {
				t.Errorf("PING %d counts from %v before it left", i, left.Sub(p.sent))
			}
		}
		r.c.mu.Unlock()
		r.c.Close()
		<-done
	})
}
