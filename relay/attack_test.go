package relay

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// advance lets virtual time pass.
func advance(d time.Duration) { <-time.After(d) }

// tamper is a stream whose writes a hostile relay changes. Its writes are
// whole cells.
type tamper struct {
	stream
	change func(cells []byte) []byte
}

func (s tamper) Write(b []byte) (int, error) {
	if _, err := s.stream.Write(s.change(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// reasons collects why circuits ended at a relay.
type reasons struct {
	mu  sync.Mutex
	why []string
}

func (r *reasons) Closed(_ uint64, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = append(r.why, why)
}

func (*reasons) Opened(uint64, netip.AddrPort, directory.RelayID) {}
func (*reasons) Extended(uint64, directory.RelayID)               {}
func (*reasons) Cell(uint64, Way, []byte)                         {}
func (*reasons) Message(uint64, Way, cell.Message)                {}

func (r *reasons) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.why)
}

// hostileForward builds four hops; relay 1 changes what it sends to relay 2,
// which is honest and must end the circuit.
func hostileForward(t *testing.T, change func(cells []byte) []byte) {
	t.Helper()
	why := make([]reasons, 4)
	bubble(t, 4, func(i int, cfg *SwitchConfig) { cfg.Trace = &why[i] }, func(t *testing.T, m *memNet) {
		hostile := false
		m.wrap = func(i, j int, s stream) stream {
			if i != 1 {
				return s
			}
			return tamper{s, func(b []byte) []byte {
				if !hostile {
					return b
				}
				return change(bytes.Clone(b))
			}}
		}
		c := m.client()
		if err := c.build(m.relays...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		hostile = true
		echo := make([]byte, cell.DataSize)
		for range 4 {
			rand.Read(echo)
			if c.send(3, cell.Message{Command: cell.Echo, Data: echo}) != nil {
				break
			}
			synctest.Wait()
		}
		m.expectCircuits(0, 0, 0, 0)
		if got := why[2].all(); !slices.Equal(got, []string{"cell does not open"}) {
			t.Errorf("the next honest hop ended it because of %q", got)
		}
	})
}

// TestHostileRelayFlipsABit flips one bit anywhere inside the ciphertext of the
// next hop; it dies there, not further on (tagging).
func TestHostileRelayFlipsABit(t *testing.T) {
	for _, at := range []int{cell.HeaderSize, 500, cell.HeaderSize + cell.CipherSize(2) - 1} {
		hostileForward(t, func(b []byte) []byte { b[at] ^= 1; return b })
	}
}

func TestHostileRelayReplays(t *testing.T) {
	hostileForward(t, func(b []byte) []byte { return append(b, b...) })
}

func TestHostileRelayDrops(t *testing.T) {
	first := true
	hostileForward(t, func(b []byte) []byte {
		if first {
			first = false
			return nil
		}
		return b
	})
}

func TestHostileRelayReorders(t *testing.T) {
	var held []byte
	hostileForward(t, func(b []byte) []byte {
		if held == nil {
			held = b
			return nil
		}
		return append(b, held...)
	})
}

func TestHostileRelayInserts(t *testing.T) {
	hostileForward(t, func(b []byte) []byte {
		x := make([]byte, cell.Size)
		rand.Read(x)
		cell.Header{Type: cell.Relay}.Put(x)
		return append(x, b...)
	})
}

// TestTailMarksDoNotSurvive marks the bytes after the next hop's ciphertext:
// the honest hop replaces them, and nobody behind it can see the mark.
func TestTailMarksDoNotSurvive(t *testing.T) {
	bubble(t, 4, nil, func(t *testing.T, m *memNet) {
		mark := bytes.Repeat([]byte{0xAA}, cell.Stride*2)
		var behind []byte
		m.wrap = func(i, j int, s stream) stream {
			return tamper{s, func(b []byte) []byte {
				if i == 1 && b[0] == byte(cell.Relay) {
					b = bytes.Clone(b)
					copy(b[cell.HeaderSize+cell.CipherSize(2):cell.Size], mark)
				}
				if i == 2 {
					behind = append(behind, b...)
				}
				return b
			}}
		}
		c := m.client()
		if err := c.build(m.relays...); err != nil {
			t.Fatal(err)
		}
		c.send(3, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
		c.expect(t, 3, cell.Pong)
		if len(behind) == 0 || bytes.Contains(behind, mark[:cell.Stride]) {
			t.Error("the mark crossed an honest hop")
		}
	})
}

// TestHostileNextHop covers what the next hop may not send back.
func TestHostileNextHop(t *testing.T) {
	for name, junk := range map[string]func() []byte{
		"a cell of another type": func() []byte { return make([]byte, cell.Size) },
		"CREATED again": func() []byte {
			b := make([]byte, 2*cell.Size)
			cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Created, make([]byte, cell.CreatedSize))
			return b
		},
		"half a cell": func() []byte {
			b := make([]byte, cell.Size)
			cell.Header{Type: cell.Relay}.Put(b)
			return b[:cell.Size-1]
		},
		"trim that is not zero": func() []byte {
			b := make([]byte, cell.Size+2)
			cell.Header{Type: cell.Relay, Trim: 2}.Put(b)
			b[cell.Size+1] = 1
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, nil, func(t *testing.T, m *memNet) {
				c := m.client()
				if err := c.build(m.relays[:2]...); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				m.only(1).prev.Write(junk())
				advance(partialTimeout + 3*time.Second)
				m.expectCircuits(0, 0)
			})
		})
	}
}

// TestCellsWithTrim shows that the zero bytes after a cell are taken off and
// not passed on.
func TestCellsWithTrim(t *testing.T) {
	bubble(t, 2, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		var stretched []byte
		for i := range 20 {
			x, err := c.seal(i%2, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)})
			if err != nil {
				t.Fatal(err)
			}
			x[3] = byte(i % (cell.MaxTrim + 1))
			stretched = append(append(stretched, x...), make([]byte, x[3])...)
		}
		for len(stretched) > 0 { // in odd pieces
			n := min(701, len(stretched))
			c.s.Write(stretched[:n])
			stretched = stretched[n:]
			synctest.Wait()
		}
		for range 20 {
			if _, x, err := c.recv(); err != nil || x.Command != cell.EchoReply {
				t.Fatal(x.Command, err)
			}
		}
	})
}

func TestOptimisticSendMe(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		for range cell.CreditStep {
			c.send(0, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)})
		}
		synctest.Wait()
		// A tag of a cell that the client has not opened yet: a guess.
		c.send(0, cell.Message{Command: cell.SendMe, Data: make([]byte, 16)})
		m.expectCircuits(0)
	})
}

// TestMoreThanTheCredit sends one cell more than the window allows, to a
// mailbox that consumes nothing.
func TestMoreThanTheCredit(t *testing.T) {
	stuck := make(chan struct{})
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { stuck = make(chan struct{}); cfg.Service = stuckMailbox(stuck) }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		for range cell.CreditInitial {
			c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1, Data: []byte{1}})
		}
		m.expectCircuits(1)
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1, Data: []byte{1}})
		synctest.Wait()
		close(stuck)
		m.expectCircuits(0)
	})
}

// stuckMailbox takes no message before it is closed.
type stuckMailbox chan struct{}

func (s stuckMailbox) Open(func(byte, byte, uint16, []byte) error) ServiceSession { return s }
func (s stuckMailbox) Message(byte, byte, uint16, []byte) error                   { <-s; return nil }
func (s stuckMailbox) Close()                                                     {}

func TestPingAndDropLimits(t *testing.T) {
	for _, k := range []struct {
		m     cell.Message
		burst int
	}{
		{cell.Message{Command: cell.Ping, Data: make([]byte, 16)}, pingBurst},
		{cell.Message{Command: cell.Drop}, dropBurst},
	} {
		bubble(t, 1, nil, func(t *testing.T, m *memNet) {
			c := m.client()
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			for range k.burst {
				c.send(0, k.m)
			}
			m.expectCircuits(1)
			c.send(0, k.m)
			m.expectCircuits(0)
		})
	}
}

// TestEchoLimits asks for more echoes than a circuit gets: each is answered,
// by a reply or by BUSY.
func TestEchoLimits(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		replies, busy := 0, 0
		for round := 0; replies < echoCellsPerCircuit; round++ {
			for range cell.CreditStep {
				c.send(0, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)})
			}
			for answered := 0; answered < cell.CreditStep; {
				_, x, err := c.recv()
				if err != nil {
					t.Fatal(err)
				}
				switch x.Command {
				case cell.EchoReply:
					replies++
					answered++
				case cell.EchoBusy:
					busy++
					answered++
				}
			}
			if round%16 == 15 {
				advance(time.Second)
			}
		}
		if replies != echoCellsPerCircuit {
			t.Errorf("%d replies, want %d", replies, echoCellsPerCircuit)
		}
		if busy == 0 {
			t.Error("the rate limit never showed")
		}
		c.send(0, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)})
		if x := c.expect(t, 0, cell.EchoBusy); !bytes.Equal(x.Data, []byte{0xff, 0xff}) {
			t.Errorf("retry after %x", x.Data)
		}
	})
}

// TestEchoingCircuits fills the places for echoing circuits.
func TestEchoingCircuits(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		echo := cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)}
		var all []*testClient
		for i := range echoCircuits + 1 {
			c := m.client()
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
			c.send(0, echo)
			want := cell.EchoReply
			if i == echoCircuits {
				want = cell.EchoBusy
			}
			c.expect(t, 0, want)
			all = append(all, c)
		}
		advance(4 * time.Second)
		all[echoCircuits].send(0, echo)
		all[echoCircuits].expect(t, 0, cell.EchoReply)
	})
}

// TestSilentReader never reads: memory stays bounded, after a while the client
// may not create more, and then the circuit ends.
func TestSilentReader(t *testing.T) {
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.Service = talker{} }, func(t *testing.T, m *memNet) {
		c := m.client()
		c.s.(*memStream).r.limit = 4 * cell.Size // the client's window
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		synctest.Wait()
		circ := m.only(0)
		if n := len(circ.replies); n > batchCells {
			t.Errorf("%d replies wait, at most %d may", n, batchCells)
		}
		advance(stallRefuse + 3*time.Second)
		if !circ.peer.stalled.Load() {
			t.Error("the client may still create circuits")
		}
		m.expectCircuits(1)
		advance(stallClient)
		m.expectCircuits(0)
	})
}

// talker is a mailbox that sends for ever.
type talker struct{}

func (talker) Open(reply func(byte, byte, uint16, []byte) error) ServiceSession {
	return talkerSession{reply}
}

type talkerSession struct {
	reply func(byte, byte, uint16, []byte) error
}

func (s talkerSession) Message(_, _ byte, stream uint16, _ []byte) error {
	for {
		if err := s.reply(0x44, 0, stream, make([]byte, cell.DataSize)); err != nil {
			return nil
		}
	}
}
func (talkerSession) Close() {}

// TestCreditStopsASender shows that a service waits for the client's credit,
// and goes on with it.
func TestCreditStopsASender(t *testing.T) {
	bubble(t, 1, func(_ int, cfg *SwitchConfig) { cfg.Service = talker{} }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		c.send(0, cell.Message{Command: cell.MailboxFirst, Stream: 1})
		for range 10 * cell.CreditInitial {
			c.expect(t, 0, 0x44)
		}
		synctest.Wait()
		left := 0
		c.s.SetReadDeadline(time.Now().Add(time.Second))
		for {
			var b [cell.Size]byte
			if n, err := c.s.Read(b[:]); err != nil {
				break
			} else {
				left += n
			}
		}
		if left > cell.CreditInitial*cell.Size {
			t.Errorf("%d bytes without credit", left)
		}
		m.expectCircuits(1)
	})
}

// stalling is a stream to a next hop that may stop reading.
type stalling struct {
	stream
	on   bool
	full *memStream
}

func (s *stalling) Write(b []byte) (int, error) {
	if s.on {
		return s.full.Write(b)
	}
	return s.stream.Write(b)
}

func (s *stalling) CancelWrite(code quic.StreamErrorCode) {
	s.full.CancelWrite(code)
	s.stream.CancelWrite(code)
}

// TestSlowNextHop ends a circuit whose next hop reads nothing.
func TestSlowNextHop(t *testing.T) {
	bubble(t, 2, nil, func(t *testing.T, m *memNet) {
		full, _ := memPipe()
		full.w.limit = cell.Size
		next := &stalling{full: full}
		m.wrap = func(i, j int, s stream) stream {
			if i == 0 {
				next.stream = s
				return next
			}
			return s
		}
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next.on = true
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for c.send(1, cell.Message{Command: cell.Drop}) == nil {
			}
		}()
		patience := stallRelay + 2*stallHop // two hops behind this one may stall first
		advance(patience - 2*time.Second)
		m.expectCircuits(1, 1)
		advance(5 * time.Second)
		m.expectCircuits(0, 0)
		<-stopped
	})
}

func TestCreateFloodOfOneLink(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		refused := 0
		p := newPeer(m.relays[0].ID, false, netip.AddrPort{}, m.ctx.Done(), false)
		for range clientCreateBurst + 10 {
			near, far := memPipe()
			m.wg.Add(1)
			go m.sw[0].serve("one link", func() *peer { return p }, far, func() { reset(far); m.wg.Done() })
			c := &testClient{network: m.network, s: near}
			if c.create(m.relays[0]) != nil {
				refused++
			}
		}
		if refused != 10 {
			t.Errorf("%d CREATEs refused, want 10", refused)
		}
	})
}

// TestDoubleClose closes one circuit from many sides at once.
func TestDoubleClose(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		circ := m.only(1)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(circ.close)
		}
		reset(c.s)
		wg.Wait()
		circ.close()
		m.expectCircuits(0, 0, 0)
	})
}

// TestRelayDeathPropagates ends the middle of a circuit; both sides hear.
func TestRelayDeathPropagates(t *testing.T) {
	bubble(t, 4, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m.only(2).close()
		c.expectGone(t)
		m.expectCircuits(0, 0, 0, 0)
	})
}

func TestIdleAndOldCircuitsEnd(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		idle, busy := m.client(), m.client()
		for _, c := range []*testClient{idle, busy} {
			if err := c.build(m.relays[0]); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		for time.Since(start) < ageTimeout-time.Minute {
			advance(10 * time.Minute)
			busy.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
			if time.Since(start) < ageTimeout {
				busy.expect(t, 0, cell.Pong)
			}
			want := 2
			if time.Since(start) > idleTimeout+2*time.Second {
				want = 1
			}
			if got := m.sw[0].Circuits(); got != want && time.Since(start) < ageTimeout {
				t.Fatalf("%d circuits after %v, want %d", got, time.Since(start), want)
			}
		}
		advance(time.Minute)
		m.expectCircuits(0)
	})
}

func TestDrain(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, m *memNet) {
		c, late := m.client(), m.clientAt(1)
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		if err := late.build(m.relays[1]); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			m.sw[0].Drain(m.ctx)
		}()
		synctest.Wait()
		if err := m.client().create(m.relays[0]); err == nil {
			t.Error("a draining relay accepts circuits")
		}
		if err := c.extend(m.relays[1]); err != extendFail(cell.FailRefused) {
			t.Errorf("a draining relay extends: %v", err)
		}
		c.send(0, cell.Message{Command: cell.Ping, Data: make([]byte, 16)})
		c.expect(t, 0, cell.Pong) // open circuits go on
		reset(c.s)
		<-drained
		m.expectCircuits(0, 1, 0)
	})
}
