package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestAttackIdentityFlood: one operator makes up thousands of relays that all
// verify. The node holds as many as its bounds say, no network crowds out another,
// and relays that are listed are found and updated as before.
func TestAttackIdentityFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		listed := f.record("listed", 0)
		check(t, n.Publish(listed.Raw))
		check(t, n.AddSnapshot(f.snapshot(listed), f.log))
		made := 0
		// The store takes records for verified, so that thousands need no signature.
		flood := func(count int, ip func(i int) [4]byte) (held int) {
			before := n.Store().Len()
			for i := range count {
				made++
				sum := sha256.Sum256([]byte(fmt.Sprint(made)))
				n.store.put(&directory.Record{ID: sum, Hash: sum, Descriptor: &directory.Descriptor{
					ID: sum, Addrs: []netip.AddrPort{netipAddrPort(ip(i), 443)},
				}}, time.Now())
			}
			return n.Store().Len() - before
		}
		if got := flood(100, func(i int) [4]byte { return [4]byte{31, 7, 9, byte(i)} }); got != prefixSmall {
			t.Errorf("%d relays of one /24", got)
		}
		if got := flood(400, func(i int) [4]byte { return [4]byte{31, 7, byte(10 + i/10), byte(i)} }); got != prefixLarge-prefixSmall {
			t.Errorf("%d more relays of one /16", got)
		}
		flood(5000, func(i int) [4]byte { return [4]byte{byte(60 + i/256), byte(i), 1, 1} }) // from everywhere
		if got := n.Store().Len(); got != storeFloor {
			t.Errorf("%d records, the store has %d places", got, storeFloor)
		}
		if _, ok := n.Store().Record(listed.ID); !ok {
			t.Fatal("the listed relay is gone")
		}
		time.Sleep(time.Minute)
		if code, err := offer(t, n, f, "listed", f.record("listed", 0).Raw); err != nil || code != VerdictHeld {
			t.Errorf("an update of the listed relay: %v, %v", code, err)
		}
		if code, err := offer(t, n, f, "new", f.record("new", 5).Raw); err != nil || code != VerdictFull {
			t.Errorf("a newcomer is told: %v, %v", code, err)
		}
		m.stop()
	})
}

// TestAttackUpdateFlood: a relay that publishes all the time, through many peers,
// is passed on thirteen times a day.
func TestAttackUpdateFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		listener := newSession(n, idOf("listener"), nil, false, false)
		n.mu.Lock()
		n.sessions[listener] = struct{}{}
		n.mu.Unlock()
		for i := range 120 {
			ss := &session{n: n, peer: idOf(fmt.Sprintf("peer %d", i%20))}
			_, _, err := n.take(ss, f.record("noisy", 3).Raw)
			check(t, err)
			time.Sleep(time.Second)
		}
		if got := len(listener.rumours); got != 1+updatesPerDay {
			t.Errorf("announced %d times", got)
		}
		n.mu.Lock()
		delete(n.sessions, listener)
		n.mu.Unlock()
		m.stop()
	})
}

// TestAttackClaimedCount: who claims to hold far more records than this node gets
// no more than its share for it, unless it is listed.
func TestAttackClaimedCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, n.AddSnapshot(f.snapshot(f.record("listed", 0)), f.log))
		give := func(peer string) (taken int) {
			ss := &session{n: n, peer: idOf(peer)}
			ss.theirs.count = 1 << 31
			for range recordBurst + 200 {
				if n.limits.record(ss.peer, 500, n.Store().Len(), n.believed(ss), time.Now()) {
					taken++
				}
			}
			return taken
		}
		if got := give("made up"); got > recordBurst {
			t.Errorf("%d records of a made-up identity at once", got)
		}
		if got := give("listed"); got != recordBurst+200 {
			t.Errorf("%d records of a listed relay in a full sync", got)
		}
		m.stop()
	})
}

// remoteStream is a pipe that comes from an address.
type remoteStream struct {
	net.Conn
	from netip.AddrPort
}

func (s remoteStream) RemoteAddr() netip.AddrPort { return s.from }

// inboundTest opens streams to a node from addresses.
type inboundTest struct {
	t    *testing.T
	n    *Node
	wg   sync.WaitGroup
	open []net.Conn
}

// join opens a stream and tells whether the node keeps it.
func (x *inboundTest) join(name, addr string) bool {
	a, b := net.Pipe()
	x.open = append(x.open, a)
	x.wg.Go(func() {
		_ = x.n.ServeGossip(x.t.Context(), idOf(name), remoteStream{b, netip.MustParseAddrPort(addr)})
	})
	x.wg.Go(func() { _, _ = io.Copy(io.Discard, a) })
	_, _ = a.Write(appendMessage(nil, TypeHello, hello{role: RoleRelay, network: x.n.network, time: time.Now()}.append(nil)))
	synctest.Wait()
	return x.talks(name)
}

func (x *inboundTest) talks(name string) bool {
	for _, ss := range x.n.open() {
		if ss.peer == idOf(name) {
			return true
		}
	}
	return false
}

func (x *inboundTest) close() {
	for _, c := range x.open {
		_ = c.Close()
	}
	x.wg.Wait()
}

// TestAttackInboundFromOneNetwork: made-up identities of one /24 hold two places;
// a listed relay of that network displaces them, and others are not touched.
func TestAttackInboundFromOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "relay 0", RoleRelay, t.TempDir())
		check(t, n.AddSnapshot(f.snapshot(relayRecords(f, 30)...), f.log))
		x := &inboundTest{t: t, n: n}
		for i := range 10 {
			if got := x.join(fmt.Sprintf("made up %d", i), fmt.Sprintf("31.7.9.%d:%d", i, 1000+i)); got != (i < maxPerNetwork) {
				t.Errorf("identity %d of a /24: %v", i, got)
			}
			time.Sleep(time.Second)
		}
		if !x.join("made up 20", "31.7.10.1:1") || !x.join("made up 21", "[2a00:1450:1::1]:1") || !x.join("made up 22", "[2a00:1450:1::2]:1") || x.join("made up 23", "[2a00:1450:1:7::3]:1") {
			t.Error("another network, or IPv6 /48")
		}
		if !x.join("relay 3", "31.7.9.200:1") || x.talks("made up 0") || !x.talks("made up 1") {
			t.Error("a listed relay does not displace the first of its network")
		}
		if !x.join("relay 4", "31.7.9.201:1") || x.join("relay 5", "31.7.9.202:1") {
			t.Error("two listed relays of one /24, and no third")
		}
		x.close()
		m.stop()
	})
}

// TestSmallNetworkMayStandInOnePlace: below twenty relays all may be of one /24.
func TestSmallNetworkMayStandInOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		x := &inboundTest{t: t, n: n}
		for i := range 6 {
			if !x.join(fmt.Sprintf("relay %d", i), fmt.Sprintf("31.7.9.%d:1", i)) {
				t.Errorf("relay %d is refused before the first snapshot", i)
			}
		}
		check(t, n.AddSnapshot(f.snapshot(relayRecords(f, 6)...), f.log))
		if !x.join("relay 7", "31.7.9.7:1") {
			t.Error("the seventh is refused")
		}
		x.close()
		m.stop()
	})
}

// TestAttackPlacesOfJoiners: neither listed relays nor made-up identities keep a
// newcomer from a bootstrap: places are left for it, and who has joined makes room.
func TestAttackPlacesOfJoiners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, n.AddSnapshot(f.snapshot(relayRecords(f, 60)...), f.log))
		x := &inboundTest{t: t, n: n}
		held := 0
		for i := range 60 {
			if x.join(fmt.Sprintf("relay %d", i), fmt.Sprintf("31.7.%d.1:1", i)) {
				held++
			}
		}
		if held != listedPlaces {
			t.Errorf("%d listed relays hold places", held)
		}
		for i := range maxInbound - listedPlaces {
			if !x.join(fmt.Sprintf("made up %d", i), fmt.Sprintf("32.7.%d.1:1", i)) {
				t.Fatal("a place for newcomers is not free")
			}
			time.Sleep(time.Second)
		}
		if x.join("newcomer", "33.1.1.1:1") {
			t.Error("a newcomer displaces those who have just come")
		}
		time.Sleep(unlistedSettled)
		if !x.join("newcomer", "33.1.1.1:1") || x.talks("made up 0") {
			t.Error("a newcomer finds no place")
		}
		x.close()
		m.stop()
	})
}

// TestAttackEndlessReconciliation: a peer that always finds something to compare is
// cut off after eight messages, and one that says nothing after a minute.
func TestAttackEndlessReconciliation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		for i := range 3 {
			check(t, n.Publish(f.record(fmt.Sprintf("relay %d", i), i).Raw))
		}
		a, b := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _ = n.ServeGossip(t.Context(), idOf("endless"), b) })
		written := make(chan int, 1)
		wg.Go(func() {
			ranges := appendMessage(nil, TypeRanges, appendRanges(nil, []span{{mode: modeFingerprint, fp: fingerprint{1}}}))
			_, err := a.Write(appendMessage(nil, TypeHello, hello{role: RoleRelay, network: f.id, time: time.Now()}.append(nil)))
			i := 0
			for ; err == nil && i < 100; i++ {
				_, err = a.Write(ranges)
			}
			written <- i
		})
		answers := 0
		r := frameReader{r: a}
		for {
			got, err := r.next()
			if err != nil {
				t.Fatalf("no goodbye: %v", err)
			}
			if got.typ == TypeBye {
				if code, _, _ := parseBye(got.body); code != ByeProtocol {
					t.Errorf("goodbye with code %d", code)
				}
				break
			}
			if got.typ == TypeRanges {
				answers++
			}
		}
		_ = a.Close()
		if got := <-written; answers > maxRounds || got > maxRounds+3 {
			t.Errorf("%d answers to %d messages", answers, got)
		}
		wg.Wait()

		// This node opens one with a peer that answers HELLO and then nothing.
		began := time.Now()
		mute := &muteDialer{hello: hello{role: RoleRelay, network: f.id, time: time.Now(), fingerprint: fingerprint{1}}}
		n.cfg.Dialer = mute
		n.meet(t.Context(), Peer{ID: idOf("mute")}, true)
		if took := time.Since(began); took > reconcileTimeout+time.Second {
			t.Errorf("held up for %v", took)
		}
		mute.wg.Wait()
		m.stop()
	})
}

// muteDialer reaches a peer that greets and then says nothing.
type muteDialer struct {
	hello hello
	wg    sync.WaitGroup
}

func (d *muteDialer) Gossip(context.Context, Peer) (Stream, directory.RelayID, error) {
	a, b := net.Pipe()
	d.wg.Go(func() { _, _ = b.Write(appendMessage(nil, TypeHello, d.hello.append(nil))) })
	d.wg.Go(func() { _, _ = io.Copy(io.Discard, b) })
	return a, idOf("mute"), nil
}

func (d *muteDialer) Request(context.Context, Peer) (Stream, directory.RelayID, error) {
	return nil, directory.RelayID{}, errNoAnswer
}

// TestAttackOversize: records and messages longer than allowed end the stream
// before they are read, whatever they announce.
func TestAttackOversize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		wantProtocol := func(what string, err error) {
			t.Helper()
			var bye *byeError
			if !errors.As(err, &bye) || bye.code != ByeProtocol {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err := offer(t, n, f, "big", make([]byte, maxRecord+1))
		wantProtocol("a record of 1,025 bytes", err)
		for typ := range Type(0x40) {
			limit := maxBody(typ)
			if limit == 0 || typ == TypeBye {
				continue
			}
			r := frameReader{r: bytes.NewReader(oversized(typ, limit+1))}
			if m, err := r.next(); err == nil || len(m.body) > 0 {
				t.Errorf("type %#02x: %d bytes accepted", byte(typ), limit+1)
			}
		}
		m.stop()
	})
}

// oversized announces a message of the given length and carries on as far as full
// frames go.
func oversized(t Type, n int) (b []byte) {
	for ; n > maxFrameBody; n -= maxFrameBody {
		b = append(b, byte(t), flagMore, 0xff, 0xff)
		b = append(b, make([]byte, maxFrameBody)...)
	}
	b = append(b, byte(t), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(b, make([]byte, n)...)
}

// TestAttackOtherEncoding: a record says the same in another encoding, so that two
// hashes would name it. It is malformed, whoever gives it; the relay's own peer
// hears so, others are refused.
func TestAttackOtherEncoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		raw := f.record("relay 0", 0).Raw
		if raw[0] != 0x83 {
			t.Fatalf("a document begins with %#x", raw[0])
		}
		for name, bad := range map[string][]byte{
			"long array head":   append([]byte{0x98, 3}, raw[1:]...),
			"indefinite array":  append(append([]byte{0x9f}, raw[1:]...), 0xff),
			"trailing byte":     append(bytes.Clone(raw), 0),
			"tag":               append([]byte{0xc1}, raw...),
			"one byte too few":  raw[:len(raw)-1],
			"nothing but zeros": append(make([]byte, 100), idBytes("relay 0")...),
		} {
			if code, err := offer(t, n, f, "relay 0", bad); err != nil || code != VerdictMalformed {
				t.Errorf("%s, its own: %v, %v", name, code, err)
			}
			var bye *byeError
			if _, err := offer(t, n, f, "passes on "+name, bad); !errors.As(err, &bye) || bye.code != ByeRefused {
				t.Errorf("%s, passed on: %v", name, err)
			}
		}
		if n.Store().Len() != 0 {
			t.Error("one is held")
		}
		if code, err := offer(t, n, f, "relay 0", raw); err != nil || code != VerdictHeld {
			t.Errorf("the right encoding: %v, %v", code, err)
		}
		m.stop()
	})
}

func idBytes(name string) []byte { id := idOf(name); return id[:] }

// TestClockSkewOfRelays: a relay whose clock is ten minutes off is as good as any;
// one that is further ahead hears why it is not taken, one that is further behind
// only loses that much of its descriptor's life.
func TestClockSkewOfRelays(t *testing.T) {
	for _, c := range []struct {
		off  time.Duration
		want VerdictCode
	}{
		{0, VerdictHeld},
		{10 * time.Minute, VerdictHeld},
		{-10 * time.Minute, VerdictHeld},
		{10*time.Minute + time.Second, VerdictClock},
		{36 * time.Hour, VerdictClock},
		{-36 * time.Hour, VerdictHeld},
		{-48 * time.Hour, VerdictExpired},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := found(t, false, directory.JoinToken, 1)
			m := newMesh(t)
			n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
			d := f.describe("relay 0", 0)
			d.Seq = uint64(time.Now().Add(c.off).Unix())
			d.OnionKeys[0].NotBefore = uint32(d.Seq) - 60
			if code, err := offer(t, n, f, "relay 0", f.sign(d, "relay 0")); err != nil || code != c.want {
				t.Errorf("clock off by %v: %v, %v", c.off, code, err)
			}
			m.stop()
		})
	}
}
