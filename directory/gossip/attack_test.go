package gossip

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// liar answers requests like a node, but with a HELLO and a snapshot of its own.
func liar(n *Node, s Stream, change func(h *hello), raw []byte) {
	defer s.Close()
	h := n.hello()
	change(&h)
	if _, err := s.Write(appendMessage(nil, TypeHello, h.append(nil))); err != nil {
		return
	}
	r := frameReader{r: s}
	for {
		m, err := r.next()
		if err != nil {
			return
		}
		var b []byte
		if m.typ == TypeSnapshot {
			b = append([]byte{snapshotFull}, raw...)
		} else if b, err = n.answerOne(m, func(time.Time) bool { return true }); err != nil {
			return
		}
		if _, err := s.Write(appendMessage(nil, m.typ|answerBit, b)); err != nil {
			return
		}
	}
}

// capture collects log lines.
type capture struct {
	mu sync.Mutex
	b  strings.Builder
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *capture) has(s string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.b.String(), s)
}

func (c *capture) logger() *slog.Logger { return slog.New(slog.NewTextHandler(c, nil)) }

// badSnapshots are what nodes and clients must refuse: each made when the
// network has published twice, the second being known to the victim.
func badSnapshots(t *testing.T, f *founder, old, current []byte) map[string]struct {
	raw  []byte
	rule string
	err  error
} {
	t.Helper()
	other := found(t, true, directory.JoinOpen, 7)
	other.snapshot()
	time.Sleep(20 * time.Second)
	foreign := other.snapshot(other.record("relay 0", 0))
	next := f.snapshot(f.record("relay 0", 0))
	flipped := append([]byte(nil), next...)
	flipped[len(flipped)/2] ^= 1
	return map[string]struct {
		raw  []byte
		rule string
		err  error
	}{
		"rollback":         {old, "epoch", directory.ErrRollback},
		"the same again":   {current, "epoch", directory.ErrRollback},
		"another network":  {foreign, "network", directory.ErrOtherNetwork},
		"one changed byte": {flipped, "", nil},
		"cut":              {next[:len(next)-1], "", nil},
		"trailing byte":    {append(append([]byte(nil), next...), 0), "", nil},
	}
}

// TestNodeRefusesBadSnapshots: an older one, one of another network and one with
// a changed byte change nothing, whoever offers them, and the log names the rule.
func TestNodeRefusesBadSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		a := f.record("relay 0", 0)
		old := f.snapshot(a)
		check(t, boot.AddSnapshot(old, f.log))
		time.Sleep(10 * time.Second)
		current := f.snapshot(a)
		check(t, boot.AddSnapshot(current, f.log))
		for name, c := range badSnapshots(t, f, old, current) {
			err := boot.AddSnapshot(c.raw, f.log)
			if err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.rule) {
				t.Errorf("%s handed over: %v", name, err)
			}

			// A relay that pulls it from its bootstrap keeps what it has.
			logs := &capture{}
			victim := m.addQuiet(f, "relay 0", RoleRelay, t.TempDir())
			victim.log = logs.logger()
			check(t, victim.AddSnapshot(current, f.log))
			before := victim.cfg.Views.Current()
			m.setServe(func(_ directory.RelayID, s Stream) bool {
				liar(boot, s, func(h *hello) { h.epoch += 5 }, c.raw)
				return true
			})
			victim.pull(t.Context(), victim.bootstrapPeers()[0])
			if victim.cfg.Views.Current() != before || !logs.has("no newer snapshot") || c.rule != "" && !logs.has("refused: "+c.rule) {
				t.Errorf("%s pulled: accepted, or the log does not say why: %s", name, logs.b.String())
			}
			check(t, victim.Close())
		}
		m.mu.Lock()
		delete(m.nodes, idOf("relay 0"))
		m.mu.Unlock()
		m.stop()
	})
}

// TestClientRefusesBadSnapshots: likewise, and also those whose log does not go
// on from the one the client knows.
func TestClientRefusesBadSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		a := f.record("relay 0", 0)
		old := f.snapshot(a)
		check(t, boot.AddSnapshot(old, f.log))
		time.Sleep(10 * time.Second)
		current := f.snapshot(a)
		check(t, boot.AddSnapshot(current, f.log))

		logs := &capture{}
		c := newTestClient(t, f, m, &memoryState{}, logs)
		check(t, c.fetch(t.Context()))
		before := c.cfg.Views.Current()
		if before == nil || before.Epoch() != f.header.Epoch {
			t.Fatal("no view from the link alone")
		}
		for name, bad := range badSnapshots(t, f, old, current) {
			m.setServe(func(_ directory.RelayID, s Stream) bool {
				liar(boot, s, func(h *hello) { h.epoch += 5 }, bad.raw)
				return true
			})
			err := c.fetch(t.Context())
			if err == nil || bad.err != nil && !errors.Is(err, bad.err) || !strings.Contains(err.Error(), bad.rule) {
				t.Errorf("%s: %v", name, err)
			}
			if c.cfg.Views.Current() != before {
				t.Fatalf("%s: replaced the good one", name)
			}
		}

		// The founder's keys, but another past: the log gives it away.
		fork := found(t, true, directory.JoinOpen, 1)
		if fork.id != f.id {
			// Founded later, so make the same network anew from its file.
			fork.raw, fork.id, fork.chain, fork.cert = f.raw, f.id, f.chain, f.cert
			var err error
			fork.log, err = directory.NewLog(f.chain)
			check(t, err)
		}
		fork.snapshot()
		time.Sleep(20 * time.Second)
		forged := fork.snapshot(a)
		m.setServe(func(_ directory.RelayID, s Stream) bool {
			liar(boot, s, func(h *hello) { h.epoch += 5 }, forged)
			return true
		})
		if err := c.fetch(t.Context()); !errors.Is(err, directory.ErrLog) {
			t.Errorf("a snapshot with another past: %v", err)
		}
		m.stop()
	})
}

func TestClientRefusesAnotherNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, g := found(t, true, directory.JoinOpen, 1), found(t, true, directory.JoinOpen, 2)
		m := newMesh(t)
		m.addQuiet(g, "bootstrap", RoleDirectory, t.TempDir())
		_, _, err := FetchNetwork(t.Context(), &meshDialer{m: m}, f.link())
		if !errors.Is(err, errOtherNetwork) || !errors.Is(err, ErrNoBootstrap) {
			t.Errorf("its HELLO says so: %v", err)
		}
		// And if it lies, the hash in the link tells.
		m.setServe(func(id directory.RelayID, s Stream) bool {
			liar(m.nodes[id], s, func(h *hello) { h.network = f.id }, nil)
			return true
		})
		if _, _, err = FetchNetwork(t.Context(), &meshDialer{m: m}, f.link()); !errors.Is(err, directory.ErrOtherNetwork) {
			t.Errorf("its file says so: %v", err)
		}
		m.stop()
	})
}

// offer lets a peer with the given name give one record to a node over a real
// stream and returns the verdict, or how the stream ended.
func offer(t *testing.T, n *Node, f *founder, name string, records ...[]byte) (VerdictCode, error) {
	t.Helper()
	a, b := net.Pipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = n.ServeGossip(t.Context(), idOf(name), b) })
	defer a.Close()
	check(t, a.SetDeadline(time.Now().Add(30*time.Second)))
	var body []byte
	for _, raw := range records {
		body = appendGive(body, raw)
	}
	wg.Go(func() {
		h := hello{role: RoleRelay, network: f.id, time: time.Now(), fileVersion: 1, count: 1}
		out := appendMessage(nil, TypeHello, h.append(nil))
		_, _ = a.Write(appendMessage(out, TypeGive, body))
	})
	r := frameReader{r: a}
	for {
		m, err := r.next()
		if err != nil {
			return 0, err
		}
		switch m.typ {
		case TypeVerdict:
			vs, err := parseVerdict(m.body)
			check(t, err)
			return vs[0].code, nil
		case TypeBye:
			code, retry, err := parseBye(m.body)
			check(t, err)
			return 0, &byeError{code, retry}
		}
	}
}

// TestRefusedDescriptorGetsItsReason: a new relay learns why it is not taken.
func TestRefusedDescriptorGetsItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		for i, c := range []struct {
			name   string
			change func(d *directory.Descriptor)
			want   VerdictCode
		}{
			{"good", func(*directory.Descriptor) {}, VerdictHeld},
			{"expired", func(d *directory.Descriptor) { d.Seq -= 49 * 3600 }, VerdictExpired},
			{"clock ahead", func(d *directory.Descriptor) { d.Seq += 3600 }, VerdictClock},
			{"loopback", func(d *directory.Descriptor) { d.Addrs[0] = testAddr(1, true) }, VerdictAddress},
			{"no token", func(d *directory.Descriptor) { d.Admission = nil }, VerdictNoToken},
			{"token expired", func(d *directory.Descriptor) {
				d.Admission = f.token(-time.Minute).Admission(f.id, d.ID)
			}, VerdictToken},
			{"token forged", func(d *directory.Descriptor) {
				d.Admission = f.token(time.Hour).Admission(f.id, d.ID)
				d.Admission[100] ^= 1
			}, VerdictToken},
		} {
			d := f.describe(c.name, i)
			c.change(d)
			code, err := offer(t, n, f, c.name, f.sign(d, c.name))
			if err != nil || code != c.want {
				t.Errorf("%s: %v, %v", c.name, code, err)
			}
			if _, held := n.Store().Record(idOf(c.name)); held != (c.want == VerdictHeld) {
				t.Errorf("%s: held %v", c.name, held)
			}
		}
		m.stop()
	})
}

// TestForgedDescriptorRefusesPeer: who passes on a record that does not verify
// is refused for an hour, twice as long the next time, also on new streams.
func TestForgedDescriptorRefusesPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		forged := f.record("victim", 1).Raw
		forged[len(forged)-1] ^= 1
		refusedWith := func(err error) *byeError {
			var bye *byeError
			if !errors.As(err, &bye) || bye.code != ByeRefused {
				t.Fatalf("%v", err)
			}
			return bye
		}
		for penalty := time.Hour; penalty <= 32*time.Hour; penalty *= 2 {
			_, err := offer(t, n, f, "forger", forged)
			refusedWith(err)
			_, err = offer(t, n, f, "forger", f.record("forger", 2).Raw)
			if got, want := refusedWith(err).retry, min(penalty, 24*time.Hour); got < want-time.Second || got > min(want, 65535*time.Second) {
				if want <= 65535*time.Second {
					t.Errorf("refused for %v, not %v", got, want)
				}
			}
			time.Sleep(min(penalty, 24*time.Hour))
		}
		if n.Store().Len() != 0 {
			t.Error("a forged record is held")
		}
		// Others are served.
		if code, err := offer(t, n, f, "honest", f.record("honest", 3).Raw); err != nil || code != VerdictHeld {
			t.Errorf("%v, %v", code, err)
		}
		m.stop()
	})
}

// TestRecordFloodIsBounded: one peer gets a burst of records into the store and
// then five a second.
func TestRecordFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		ss := &session{n: n, peer: idOf("flooder")}
		ss.theirs.count = 1
		for i := range 540 {
			name := fmt.Sprintf("made up %d", i)
			_, _, err := n.take(ss, f.sign(f.describe(name, i), name))
			check(t, err)
		}
		// The first record counts as a full sync, as the node held none; then
		// the burst is 500 records or 256 KiB, what is less.
		if got := n.Store().Len(); got < 400 || got > 502 {
			t.Errorf("%d records of one peer at once", got)
		}
		before := n.Store().Len()
		time.Sleep(10 * time.Second)
		for i := 540; i < 660; i++ {
			name := fmt.Sprintf("made up %d", i)
			_, _, err := n.take(ss, f.sign(f.describe(name, i), name))
			check(t, err)
		}
		if got := n.Store().Len() - before; got < 20 || got > 110 {
			t.Errorf("%d records in ten seconds", got)
		}
		m.stop()
	})
}

// TestSlowPeerIsCutOff: a frame that is started must be complete within ten
// seconds, HELLO must come by then, and so must be taken what is written.
func TestSlowPeerIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		hi := appendMessage(nil, TypeHello, hello{role: RoleRelay, network: f.id, time: time.Now()}.append(nil))
		for name, sent := range map[string][]byte{
			"says nothing":    {},
			"half a HELLO":    hi[:60],
			"half a frame":    append(append([]byte(nil), hi...), byte(TypeWant), 0, 0, 16, 1, 2, 3),
			"half a header":   append(append([]byte(nil), hi...), byte(TypeWant), 0),
			"endless message": append(append([]byte(nil), hi...), byte(TypeRanges), flagMore, 0xff, 0xff, 1),
		} {
			a, b := net.Pipe()
			began := time.Now()
			var wg sync.WaitGroup
			wg.Go(func() { _ = n.ServeGossip(t.Context(), idOf(name), b) })
			wg.Go(func() { _, _ = io.Copy(io.Discard, a) })
			_, _ = a.Write(sent)
			synctest.Wait()
			for n.Status().Peers > 0 {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if took := time.Since(began); took > 2*frameTimeout+2*time.Second {
				t.Errorf("%s: served for %v", name, took)
			}
			_ = a.Close()
			wg.Wait()
		}
		// A peer that reads nothing.
		a, b := net.Pipe()
		began := time.Now()
		_ = n.ServeGossip(t.Context(), idOf("reads nothing"), b)
		if took := time.Since(began); took > frameTimeout+time.Second {
			t.Errorf("reads nothing: served for %v", took)
		}
		_ = a.Close()
		m.stop()
	})
}

// TestStreamsPerPeerAreBounded: the fifth stream of a peer is refused at once.
func TestStreamsPerPeerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		var wg sync.WaitGroup
		var open []net.Conn
		for range maxPerPeer {
			a, b := net.Pipe()
			open = append(open, a)
			wg.Go(func() { _ = n.ServeGossip(t.Context(), idOf("greedy"), b) })
		}
		synctest.Wait()
		a, b := net.Pipe()
		wg.Go(func() { _ = n.ServeGossip(t.Context(), idOf("greedy"), b) })
		r := frameReader{r: a}
		got, err := r.next()
		if err != nil || got.typ != TypeBye || got.body[0] != byte(ByeBusy) {
			t.Errorf("%v, %v", got, err)
		}
		for _, c := range append(open, a) {
			_ = c.Close()
		}
		wg.Wait()
		m.stop()
	})
}

// TestInboundPlacesAreForListedRelays: made-up identities fill the places, and
// a listed relay still gets one.
func TestInboundPlacesAreForListedRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, n.AddSnapshot(f.snapshot(f.record("listed", 0)), f.log))
		var wg sync.WaitGroup
		var open []net.Conn
		join := func(name string) {
			a, b := net.Pipe()
			open = append(open, a)
			wg.Go(func() { _ = n.ServeGossip(t.Context(), idOf(name), b) })
			wg.Go(func() { _, _ = io.Copy(io.Discard, a) })
			_, _ = a.Write(appendMessage(nil, TypeHello, hello{role: RoleRelay, network: f.id, time: time.Now()}.append(nil)))
			synctest.Wait()
		}
		for i := range maxInbound {
			join(fmt.Sprintf("made up %d", i))
		}
		join("listed")
		if s := n.Status(); s.Peers != maxInbound {
			t.Errorf("%d peers", s.Peers)
		}
		found := false
		for _, ss := range n.open() {
			found = found || ss.peer == idOf("listed")
		}
		if !found {
			t.Error("the listed relay got no place")
		}
		for _, c := range open {
			_ = c.Close()
		}
		wg.Wait()
		m.stop()
	})
}

// TestAskingTooMuch: quotas for full snapshots, per link and per circuit, and
// the number of requests on a stream.
func TestAskingTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, n.AddSnapshot(f.snapshot(), f.log))
		open := func(serve func(s Stream)) *asker {
			a, b := net.Pipe()
			m.wg.Go(func() { serve(b) })
			x, err := askStream(t.Context(), a, idOf("bootstrap"), f.id)
			check(t, err)
			return x
		}
		code := func(err error) ByeCode {
			var bye *byeError
			if !errors.As(err, &bye) {
				t.Fatalf("%v", err)
			}
			return bye.code
		}
		circuit := open(func(s Stream) { _ = n.ServeRequest(t.Context(), s) })
		_, _, err := circuit.snapshot(0)
		check(t, err)
		if _, _, err = circuit.snapshot(0); code(err) != ByeRate {
			t.Error("two snapshots over one circuit")
		}
		circuit.close()

		var q Quota
		for range snapshotsPerTerm {
			x := open(func(s Stream) { _ = n.ServeLinkRequest(t.Context(), s, &q) })
			_, _, err = x.snapshot(0)
			check(t, err)
			x.close()
		}
		x := open(func(s Stream) { _ = n.ServeLinkRequest(t.Context(), s, &q) })
		if _, _, err = x.snapshot(0); code(err) != ByeRate {
			t.Error("a third snapshot on one link")
		}
		x.close()
		time.Sleep(10 * time.Second)
		x = open(func(s Stream) { _ = n.ServeLinkRequest(t.Context(), s, &q) })
		_, _, err = x.snapshot(0)
		check(t, err)
		for i := range requestsPerStream {
			if _, err = x.files(1); err != nil {
				if i != requestsPerStream-1 {
					t.Errorf("refused after %d requests", i+1)
				}
				break
			}
		}
		if code(err) != ByeRate {
			t.Errorf("%v", err)
		}
		x.close()

		// An idle stream ends.
		x = open(func(s Stream) { _ = n.ServeLinkRequest(t.Context(), s, &q) })
		time.Sleep(frameTimeout + time.Second)
		if _, err := x.files(1); err == nil {
			t.Error("an idle stream was kept")
		}
		x.close()
		m.stop()
	})
}

// TestAttackLogOfAnUnsignedSnapshot: a snapshot that this network's signer did
// not sign says how long the log is. Nobody fetches leaves by its word: they
// would fill the memory before anything is verified.
func TestAttackLogOfAnUnsignedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, other := found(t, true, directory.JoinOpen, 1), found(t, true, directory.JoinOpen, 2)
		m := newMesh(t)
		n := m.addQuiet(f, "relay 0", RoleRelay, t.TempDir())
		m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir()) // the liar's place
		var foreign []byte
		for range 5 {
			foreign = other.snapshot()
			time.Sleep(directory.EpochUnit(true))
		}
		leaves := 0
		m.setServe(func(_ directory.RelayID, s Stream) bool {
			defer s.Close()
			h := n.hello()
			h.epoch = 1 << 50
			if _, err := s.Write(appendMessage(nil, TypeHello, h.append(nil))); err != nil {
				return true
			}
			r := frameReader{r: s}
			for {
				q, err := r.next()
				if err != nil {
					return true
				}
				b := make([]byte, 32)
				switch q.typ {
				case TypeSnapshot:
					b = append([]byte{snapshotFull}, foreign...)
				case TypeLeaves:
					m.mu.Lock()
					leaves++
					m.mu.Unlock()
				}
				if _, err := s.Write(appendMessage(nil, q.typ|answerBit, b)); err != nil {
					return true
				}
			}
		})
		err := n.pullFrom(t.Context(), n.bootstrapPeers()[0])
		if !errors.Is(err, directory.ErrOtherNetwork) {
			t.Errorf("pull: %v", err)
		}
		m.mu.Lock()
		if leaves > 0 {
			t.Errorf("%d requests for the leaves of an unsigned log", leaves)
		}
		m.mu.Unlock()
		m.stop()
	})
}

// TestStallingPeerDoesNotHoldUpSnapshots: a listed relay announces epochs that do
// not exist and answers no request; snapshots arrive in time all the same.
func TestStallingPeerDoesNotHoldUpSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.add(f, "bootstrap", RoleDirectory)
		n := m.add(f, "relay 0", RoleRelay)
		m.addQuiet(f, "relay 1", RoleRelay, t.TempDir()) // the liar's place
		stalled := 0
		m.setServe(func(id directory.RelayID, s Stream) bool {
			if id != idOf("relay 1") {
				return false
			}
			m.mu.Lock()
			stalled++
			m.mu.Unlock()
			_, _ = s.Read(make([]byte, 1)) // until the asker gives up
			_ = s.Close()
			return true
		})
		records := []*directory.Record{f.record("relay 0", 0), f.record("relay 1", 1)}
		check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
		time.Sleep(5 * time.Second)
		a, b := net.Pipe()
		m.wg.Go(func() { _ = n.ServeGossip(m.ctx, idOf("relay 1"), b) })
		m.wg.Go(func() { _, _ = io.Copy(io.Discard, a) })
		for range 6 {
			time.Sleep(time.Until(directory.NextEpoch(true, f.header, time.Now())))
			h := hello{role: RoleRelay, network: f.id, time: time.Now(), fileVersion: 1, epoch: 1 << 50}
			_, err := a.Write(appendMessage(nil, TypeHello, h.append(nil)))
			check(t, err)
			time.Sleep(time.Second)
			check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if got := n.Status().Epoch; got != f.header.Epoch {
				t.Errorf("epoch %d was not there after 4 s", f.header.Epoch)
			}
		}
		m.mu.Lock()
		if stalled > 8 { // of 6 announcements and 6 searches
			t.Errorf("the liar was asked %d times", stalled)
		}
		m.mu.Unlock()
		_ = a.Close()
		m.stop()
	})
}
