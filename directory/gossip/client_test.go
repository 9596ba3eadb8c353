package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

func newTestClient(t *testing.T, f *founder, m *mesh, s State, logs *capture) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{
		Link: f.link(), Dialer: &meshDialer{m: m}, Views: &directory.Views{}, State: s, Log: logs.logger(),
	})
	check(t, err)
	return c
}

// recorder notes what a client writes.
type recorder struct {
	Dialer
	mu      sync.Mutex
	asked   []directory.RelayID
	written bytes.Buffer
}

type recordedStream struct {
	Stream
	r *recorder
}

func (s recordedStream) Write(b []byte) (int, error) {
	s.r.mu.Lock()
	s.r.written.Write(b)
	s.r.mu.Unlock()
	return s.Stream.Write(b)
}

func (r *recorder) Request(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	s, id, err := r.Dialer.Request(ctx, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, id)
	if err != nil {
		return nil, id, err
	}
	return recordedStream{s, r}, id, nil
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func TestFetchNetworkFromTheLinkAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		// The first bootstrap does not answer.
		link := f.link()
		link.Bootstraps = append([]directory.Bootstrap{{ID: [16]byte{1}, Addr: testAddr(7, false)}}, link.Bootstraps...)
		parsed, err := directory.ParseNetworkLink(link.String())
		check(t, err)
		chain, raws, err := FetchNetwork(t.Context(), &meshDialer{m: m}, parsed)
		check(t, err)
		if chain.ID() != f.id || len(raws) != 1 || !bytes.Equal(raws[0], f.raw) {
			t.Error("another network file")
		}
		m.stop()
	})
}

// silent is a dialer that loses the first exchanges: one without an answer, then
// some that fail at once.
type silent struct {
	Dialer
	lose int
}

func (s *silent) Request(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	s.lose--
	switch {
	case s.lose >= 3:
		<-ctx.Done()
		return nil, directory.RelayID{}, ctx.Err()
	case s.lose >= 0:
		return nil, directory.RelayID{}, errors.New("lost")
	}
	return s.Dialer.Request(ctx, p)
}

// TestFreshClientTriesAgainSoon: a client that knows the link alone and whose
// first exchange hangs, and three more fail, has a snapshot within 20 s, not after
// minutes.
func TestFreshClientTriesAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		var records []*directory.Record
		for i := range 5 {
			records = append(records, f.record(fmt.Sprintf("relay %d", i), i))
		}
		check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
		views := &directory.Views{}
		c, err := NewClient(ClientConfig{Link: f.link(), Dialer: &silent{&meshDialer{m: m}, 4}, Views: views, State: &memoryState{}})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		m.wg.Go(func() { _ = c.Run(ctx) })
		// The retries wait 0.5, 1, 2 and 4 s, each up to 30 % longer.
		limit, changed := time.After(firstAsk+7500*time.Millisecond*13/10+time.Second), views.Changed()
		select {
		case <-changed:
		case <-limit:
			t.Error("no snapshot")
		}
		cancel()
		m.stop()
	})
}

// stuck gives no circuit, like a pool that can build none.
type stuck struct{ asked chan struct{} }

func (c stuck) RequestOver(ctx context.Context, _ directory.RelayID) (Stream, error) {
	c.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestClientWithoutPathComparesNothing: a client that can build no path, before a
// comparison of heads or in the midst of one, looks for a snapshot as often as it
// should, and asks for no circuit before there is a path again.
func TestClientWithoutPathComparesNothing(t *testing.T) {
	for _, amid := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := found(t, true, directory.JoinOpen, 1)
			m := newMesh(t)
			boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
			var records []*directory.Record
			for i := range 5 {
				records = append(records, f.record(fmt.Sprintf("relay %d", i), i))
			}
			check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
			circuits := stuck{asked: make(chan struct{}, 100)}
			var noPath atomic.Bool
			noPath.Store(!amid)
			views := &directory.Views{}
			c, err := NewClient(ClientConfig{
				Link: f.link(), Dialer: &meshDialer{m: m}, Views: views, State: &memoryState{},
				NoPath: noPath.Load, Circuits: circuits,
			})
			check(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			m.wg.Go(func() { _ = c.Run(ctx) })
			synctest.Wait()
			if amid {
				<-circuits.asked // half an epoch after the fetch at the latest
				noPath.Store(true)
			}
			time.Sleep(15 * time.Second) // less than a comparison may take
			check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
			seen := views.Current().Epoch()
			time.Sleep(directory.RetryInterval(true)*13/10 + time.Second)
			synctest.Wait()
			if views.Current().Epoch() == seen {
				t.Error("a comparison kept a client without a path from the next snapshot")
			}
			if n := len(circuits.asked); n > 0 {
				t.Errorf("%d circuits while none can be built", n)
			}
			noPath.Store(false)
			select {
			case <-circuits.asked:
			case <-time.After(20 * time.Second): // put off by half an epoch
				t.Error("no comparison once there is a path")
			}
			cancel()
			m.stop()
		})
	}
}

// TestClientFollowsAndTellsNothing: a client follows snapshots on the schedule,
// asks bootstrap and guard only, and sends neither HELLO nor anything else that
// tells its state but the log size that a proof starts from.
func TestClientFollowsAndTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		guard := m.addQuiet(f, "relay 2", RoleRelay, t.TempDir())
		rec := &recorder{Dialer: &meshDialer{m: m}}
		views := &directory.Views{}
		var withGuard atomic.Bool
		c, err := NewClient(ClientConfig{
			Link: f.link(), Dialer: rec, Views: views, State: &memoryState{},
			Guard: func() (Peer, bool) {
				v := views.Current()
				if v == nil || !withGuard.Load() {
					return Peer{}, false
				}
				r, ok := v.Relay(idOf("relay 2"))
				if !ok {
					return Peer{}, false
				}
				return relayPeer(r), true
			},
		})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		m.wg.Go(func() { _ = c.Run(ctx) })

		// Without a snapshot it looks every three seconds.
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if n := rec.count(); n < 3 || n > 5 {
			t.Errorf("%d attempts in 8 s without a snapshot", n)
		}
		publish := func() {
			var records []*directory.Record
			for i := range 5 {
				records = append(records, f.record(fmt.Sprintf("relay %d", i), i))
			}
			check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
			check(t, guard.AddSnapshot(boot.snapshot, f.log))
		}
		publish()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if v := views.Current(); v == nil || len(v.Relays()) != 5 {
			t.Fatal("no view 4 s after the first snapshot")
		}
		withGuard.Store(true)
		from := rec.count()
		var fetched []time.Duration
		for range 60 {
			seen, since := views.Current().Epoch(), views.Current().ValidAfter()
			time.Sleep(10 * time.Second)
			publish()
			synctest.Wait()
			if views.Current().Epoch() != seen {
				fetched = append(fetched, time.Since(since))
			}
		}
		if len(fetched) < 60/9 || len(fetched) > 60/3 {
			t.Errorf("%d fetches in 60 epochs", len(fetched))
		}
		cancel()
		m.stop()
		for _, id := range rec.asked[from:] {
			if id != idOf("relay 2") {
				t.Error("asked another than the guard")
			}
		}

		r := frameReader{r: &rec.written}
		for {
			got, err := r.next()
			if err != nil {
				break
			}
			if got.typ < TypeFile || got.typ > TypeNotices {
				t.Errorf("a client sent a message of type %#02x", byte(got.typ))
			}
		}
	})
}

// TestClientRestartsOffline: a restart shows the last snapshot without network,
// and refuses older ones ever after.
func TestClientRestartsOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		a := f.record("relay 0", 0)
		old := f.snapshot(a)
		oldLog, err := directory.LogOf(f.log.Leaves(0))
		check(t, err)
		time.Sleep(10 * time.Second)
		check(t, boot.AddSnapshot(f.snapshot(a), f.log))
		state := &memoryState{}
		c := newTestClient(t, f, m, state, &capture{})
		check(t, c.fetch(t.Context()))

		m.setDown("bootstrap", true)
		again := newTestClient(t, f, m, state, &capture{})
		if v := again.cfg.Views.Current(); v == nil || v.Epoch() != f.header.Epoch {
			t.Fatal("no view after a restart without network")
		}
		m.setDown("bootstrap", false)
		rolled := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, rolled.AddSnapshot(old, oldLog))
		before := again.cfg.Views.Current()
		if err := again.fetch(t.Context()); err == nil || again.cfg.Views.Current() != before {
			t.Errorf("a bootstrap that went back in time: %v", err)
		}
		// Much later the snapshot is of no use, but older ones are still refused.
		time.Sleep(time.Hour)
		later := newTestClient(t, f, m, state, &capture{})
		if later.cfg.Views.Current() != nil || later.state.Epoch != f.header.Epoch {
			t.Error("an expired snapshot is used, or the state is lost")
		}
		check(t, boot.Close())
		m.stop()
	})
}

// TestClientStateDamaged: a damaged state is an error, not a fresh start, which
// would accept any old snapshot.
func TestClientStateDamaged(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	for _, b := range [][]byte{{0}, {0, 200, 1}, {0, 0}} {
		s := &memoryState{}
		check(t, s.Save(nameFiles, appendFiles(nil, [][]byte{f.raw})))
		check(t, s.Save(nameSnapshot, b))
		if _, err := NewClient(ClientConfig{Link: f.link(), Views: &directory.Views{}, State: s}); err == nil {
			t.Errorf("%x accepted", b)
		}
	}
}

// TestClientSchedule: the times of fetches are spread over the whole window.
func TestClientSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		var records []*directory.Record
		for i := range 4 {
			records = append(records, f.record(fmt.Sprintf("relay %d", i), i))
		}
		check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
		rec := &recorder{Dialer: &meshDialer{m: m}}
		var early, late int
		for range 200 {
			c, err := NewClient(ClientConfig{Link: f.link(), Dialer: rec, Views: &directory.Views{}, State: &memoryState{}})
			check(t, err)
			check(t, c.fetch(t.Context()))
			c.turn = 1
			from, until := c.cfg.Views.Current().FetchWindow()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			c.wait(ctx)
			if c.next.Before(from) || !c.next.Before(until) {
				t.Fatalf("%v is not in [%v, %v)", c.next, from, until)
			}
			if c.next.Before(from.Add(until.Sub(from) / 4)) {
				early++
			}
			if c.next.After(until.Add(-until.Sub(from) / 4)) {
				late++
			}
		}
		if early < 20 || late < 20 {
			t.Errorf("%d early, %d late of 200", early, late)
		}
		m.stop()
	})
}
