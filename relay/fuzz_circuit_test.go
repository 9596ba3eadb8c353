package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// FuzzRelayCircuit turns bytes into a sequence of operations on a network of
// live relays: clients that build circuits and use them, clients and relays
// that break every rule, time that passes, memory that gets short. Whatever
// comes:
//
//   - nothing panics, and all goroutines and circuits end with their streams;
//   - the counters add up, queues and tables keep their bounds;
//   - a message reaches the hop that it was sealed for, and no other; relays
//     extend to no one but listed relays, never to themselves or backwards;
//   - clients read only cells that open, and answers that they asked for;
//   - nobody is charged who kept to the rules, and no relay ever.
func FuzzRelayCircuit(f *testing.F) {
	for _, seed := range fuzzSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 400 {
			return
		}
		synctest.Test(t, func(t *testing.T) { runProgram(t, program) })
	})
}

const fuzzRelays = 5

// fuzzWorld is the network of one run.
type fuzzWorld struct {
	*memNet
	t          *testing.T
	program    []byte
	operations [fuzzOps]func(w *fuzzWorld, c *fuzzClient)
	clients    []*fuzzClient
	heap       [fuzzRelays]atomic.Uint64 // as each relay's memory watch sees it
	nextHop    func(s stream) stream     // replaces the stream of extensions; nil: as it is
	long       int                       // times that much time has passed

	mu      sync.Mutex
	tokens  map[[8]byte]int // relay that a message with the token is for
	failure string
}

func (w *fuzzWorld) fail(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == "" {
		w.failure = s
	}
}

// next takes a byte of the program; it is 0 after its end.
func (w *fuzzWorld) next() int {
	if len(w.program) == 0 {
		return 0
	}
	b := w.program[0]
	w.program = w.program[1:]
	return int(b)
}

// fuzzTrace watches one relay.
type fuzzTrace struct {
	w    *fuzzWorld
	self int
	mu   sync.Mutex
	prev map[uint64]directory.RelayID // by circuit
}

func (x *fuzzTrace) Opened(c uint64, _ netip.AddrPort, prev directory.RelayID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.prev[c] = prev
}
func (*fuzzTrace) Closed(uint64, string) {}

func (x *fuzzTrace) Extended(c uint64, next directory.RelayID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	listed := false
	for i, r := range x.w.relays {
		listed = listed || r.ID == next && i != x.self
	}
	if !listed || next == x.prev[c] {
		x.w.fail("a circuit was extended where none may go")
	}
}

func (x *fuzzTrace) Cell(_ uint64, way Way, c []byte) {
	if len(c) != cell.Size {
		x.w.fail("a cell of another size")
	}
	if h, err := cell.ParseHeader(c); (way == ToNextHop || way == ToClientSide) && (err != nil || h.Trim != 0) {
		x.w.fail("a malformed cell was sent")
	}
}

// Message checks that what carries a token was meant for this relay.
func (x *fuzzTrace) Message(_ uint64, way Way, m cell.Message) {
	if way != FromClientSide || len(m.Data) < 8 {
		return
	}
	x.w.mu.Lock()
	to, known := x.w.tokens[[8]byte(m.Data)]
	x.w.mu.Unlock()
	if known && to != x.self {
		x.w.fail("a message was read by another hop")
	}
}

// account is the door of one client of the test.
type account struct {
	charges, packets atomic.Int64
	closed           atomic.Bool
}

func (a *account) Offend()          { a.charges.Add(1) }
func (a *account) Refused() bool    { return a.charges.Load() >= 8 }
func (a *account) Received() uint64 { return uint64(a.packets.Add(1)) } // always alive
func (a *account) Surplus() int64   { return a.packets.Load() << 10 }
func (a *account) Close()           { a.closed.Store(true) }

// fuzzClient is a client that keeps to the rules until the program says not to.
type fuzzClient struct {
	*testClient
	account  *account
	honest   bool
	relays   []int // hops
	pending  *onion.ClientHandshake
	next     int // the relay that pending asks for
	asm      cell.MessageAssembler
	credit   [cell.Slots]int // credited cells that may be sent to each hop
	pings    int
	drops    int
	streams  map[uint16]bool  // opened, with hop 0
	carry    []byte           // the rest of a cell that was begun
	asked    map[string]int   // PINGs and ECHOs without an answer
	reading  chan struct{}    // holds a token while the client reads
	created  bool             // a CREATE was sent
	extended [cell.Slots]bool // an EXTEND was sent to the hop
	done     chan struct{}    // the reader has ended
}

func runProgram(t *testing.T, program []byte) {
	w := &fuzzWorld{t: t, program: program, operations: fuzzOperations(), tokens: make(map[[8]byte]int)}
	w.memNet = newMemNet(t, fuzzRelays, func(i int, cfg *SwitchConfig) {
		cfg.Service = echoMailbox{}
		cfg.ServeRequest = func(_ context.Context, s gossip.Stream) error { return serveRounds(s) }
		cfg.MaxMemory = 100 << 20
		cfg.InsecureHeap = w.heap[i].Load
		cfg.Trace = &fuzzTrace{w: w, self: i, prev: make(map[uint64]directory.RelayID)}
	})
	defer w.close()
	w.wrap = func(i, _ int, s stream) stream {
		if i >= 0 && w.nextHop != nil {
			return w.nextHop(s)
		}
		return s
	}
	for len(w.program) > 0 && !t.Failed() {
		synctest.Wait() // readers use the onions, too
		w.step()
		w.bounds()
	}
	w.finish()
}

// serveRounds is a directory that repeats what it reads.
func serveRounds(s gossip.Stream) error {
	b := make([]byte, 100)
	for {
		n, err := s.Read(b)
		if err != nil {
			return err
		}
		if _, err := s.Write(b[:n]); err != nil {
			return err
		}
	}
}

// finish ends what is left and checks that nothing is.
func (w *fuzzWorld) finish() {
	for _, c := range w.clients {
		reset(c.s)
		c.resume()
		<-c.done
	}
	for i := range w.heap {
		w.heap[i].Store(0)
	}
	synctest.Wait()
	for i, sw := range w.sw {
		if n := sw.Circuits(); n != 0 {
			w.t.Errorf("relay %d has %d circuits after all clients left", i, n)
		}
		k := sw.Counters()
		ended := uint64(0)
		for _, n := range k.Ended {
			ended += n
		}
		if k.Opened != ended {
			w.t.Errorf("relay %d opened %d circuits and ended %d", i, k.Opened, ended)
		}
		sw.echo.mu.Lock()
		if n := len(sw.echo.active); n != 0 {
			w.t.Errorf("relay %d counts %d circuits that echo", i, n)
		}
		sw.echo.mu.Unlock()
		sw.workers.mu.Lock()
		for _, jobs := range sw.workers.turns {
			for _, j := range jobs {
				// A worker drops it in its turn.
				_ = j
			}
		}
		sw.workers.mu.Unlock()
	}
	for i, c := range w.clients {
		if n := c.account.charges.Load(); c.honest && n != 0 {
			w.t.Errorf("client %d kept to the rules and was charged %d times", i, n)
		}
	}
	if w.failure != "" {
		w.t.Error(w.failure)
	}
}

// bounds checks the size of what circuits hold.
func (w *fuzzWorld) bounds() {
	synctest.Wait()
	for i, sw := range w.sw {
		for _, c := range sw.all(nil) {
			if n := len(c.replies); n > batchCells {
				w.t.Errorf("relay %d: %d replies wait", i, n)
			}
			c.mu.Lock()
			streams, ended := len(c.streams), len(c.ended)
			waiting := 0
			for _, s := range c.streams {
				s.inbox.mu.Lock()
				waiting += len(s.inbox.cells)
				s.inbox.mu.Unlock()
			}
			c.mu.Unlock()
			if streams > streamsPerCircuit || ended > streamsPerLife+streamsPerCircuit {
				w.t.Errorf("relay %d: %d streams, %d ended ones", i, streams, ended)
			}
			if waiting > cell.CreditMax {
				w.t.Errorf("relay %d: %d cells wait in streams", i, waiting)
			}
		}
	}
}

// open makes a client at a relay, whose circuit is not created yet.
func (w *fuzzWorld) open(relay int) {
	if len(w.clients) == 6 {
		return
	}
	c := &fuzzClient{
		account: new(account), honest: true, relays: []int{relay},
		streams: make(map[uint16]bool), asked: make(map[string]int),
		reading: make(chan struct{}, 1), done: make(chan struct{}),
		asm: cell.MessageAssembler{Command: cell.Extended},
	}
	for i := range c.credit {
		c.credit[i] = cell.CreditInitial
	}
	c.reading <- struct{}{}
	near, far := memPipe()
	w.wg.Add(1)
	go w.memNet.sw[relay].serve(near, func() *peer {
		p := newPeer(directory.RelayID{}, false, netip.AddrPort{}, w.ctx.Done(), false)
		p.door = c.account
		return p
	}, far, func() { reset(far); w.wg.Done() })
	c.testClient = &testClient{network: w.network, s: near}
	w.clients = append(w.clients, c)
	go w.read(c)
}

// client returns the client that the program names, nil if there is none.
func (w *fuzzWorld) client() *fuzzClient {
	n := w.next()
	if len(w.clients) == 0 {
		return nil
	}
	return w.clients[n%len(w.clients)]
}

// read is a client's reader: it adds hops, gives credit back and checks what
// it gets.
func (w *fuzzWorld) read(c *fuzzClient) {
	defer close(c.done)
	create := cell.Assembler{Type: cell.Created}
	for {
		<-c.reading
		c.reading <- struct{}{}
		if c.readCell() != nil {
			return
		}
		h, err := cell.ParseHeader(c.buf[:])
		if err != nil {
			w.fail("a client read a malformed cell")
			return
		}
		if h.Type == cell.Created && c.onion.Hops() == 0 {
			msg, whole, err := create.Add(c.buf[:])
			if err != nil {
				w.fail("a client read a malformed CREATED")
				return
			}
			if whole && !w.add(c, msg) {
				return
			}
			continue
		}
		hop, payload, err := c.onion.OpenBackward(cell.Body(c.buf[:]))
		if err != nil || h.Type != cell.Relay {
			// Junk of a relay further on may end in a layer that is not there;
			// the first hop is honest, and what it seals opens.
			if c.onion.Hops() == 1 {
				w.fail("a client read a cell that does not open")
			}
			return
		}
		m, err := cell.ParseMessage(payload)
		if err != nil {
			return // of a hostile hop
		}
		if !w.take(c, hop, m) {
			return
		}
	}
}

// add finishes a handshake.
func (w *fuzzWorld) add(c *fuzzClient, created []byte) bool {
	if c.pending == nil {
		return false
	}
	l, _, err := c.pending.Finish(created)
	c.pending = nil
	if err != nil {
		return false
	}
	if c.onion.Hops() > 0 {
		c.relays = append(c.relays, c.next)
	}
	return c.onion.Add(l) == nil
}

// take is what a client does with a message.
func (w *fuzzWorld) take(c *fuzzClient, hop int, m cell.Message) bool {
	if m.Command.Credited() {
		if c.got[hop]++; c.got[hop]%cell.CreditStep == 0 {
			if len(c.carry) > 0 { // it comes in the middle of a cell
				c.honest = false
			}
			tag := c.onion.BackwardTag(hop)
			if c.send(hop, cell.Message{Command: cell.SendMe, Data: tag[:]}) != nil {
				return false
			}
		}
	}
	switch m.Command {
	case cell.SendMe:
		c.credit[hop] += cell.CreditStep
	case cell.Extended:
		msg, whole, err := c.asm.Add(m)
		if err != nil {
			return false
		}
		if whole {
			c.asm = cell.MessageAssembler{Command: cell.Extended}
			return w.add(c, msg)
		}
	case cell.ExtendFail:
		c.pending = nil
	case cell.Pong, cell.EchoReply:
		if c.asked[string(m.Data)] == 0 {
			w.fail("an answer that nobody asked for")
			return false
		}
		c.asked[string(m.Data)]--
	}
	return true
}

// pause stops a client's reader, resume lets it go on.
func (c *fuzzClient) pause() {
	select {
	case <-c.reading:
	default:
	}
}

func (c *fuzzClient) resume() {
	select {
	case c.reading <- struct{}{}:
	default:
	}
}

// put writes bytes and waits for what they lead to.
func (w *fuzzWorld) put(c *fuzzClient, b []byte) {
	if len(c.carry) > 0 { // what comes in the middle of a cell is no cell
		c.honest = false
	}
	_, _ = c.s.Write(b)
	synctest.Wait() // the reader uses the onion, too
}

// token marks a message for one relay.
func (w *fuzzWorld) token(c *fuzzClient, hop, size int) []byte {
	b := make([]byte, size)
	rand.Read(b[:8])
	w.mu.Lock()
	w.tokens[[8]byte(b)] = c.relays[hop]
	w.mu.Unlock()
	return b
}

// sealTo sends a message that is allowed as far as c.honest says. A hop that
// extends takes few.
func (w *fuzzWorld) sealTo(c *fuzzClient, hop int, m cell.Message) {
	switch m.Command {
	case cell.SendMe, cell.Ping, cell.Drop, cell.Extend:
	default:
		if c.extended[hop] && c.pending != nil && hop == c.onion.Hops()-1 {
			c.honest = false
		}
	}
	b, err := c.seal(hop, m)
	if err != nil {
		return
	}
	w.put(c, b)
}

// hop returns a hop of the circuit, false if it has none.
func (w *fuzzWorld) hop(c *fuzzClient) (int, bool) {
	n := w.next()
	if c.onion.Hops() == 0 {
		return 0, false
	}
	return n % c.onion.Hops(), true
}

// handshake begins a handshake with a relay for the next slot.
func (w *fuzzWorld) handshake(c *fuzzClient, relay, slot int, change func(*onion.Params)) []byte {
	p := c.params(w.relays[relay], slot)
	if change != nil {
		change(&p)
	}
	h, create, err := onion.NewClientHandshake(rand.Reader, p)
	if err != nil {
		return nil
	}
	c.pending, c.next = h, relay
	return create
}

// step takes one operation of the program.
func (w *fuzzWorld) step() {
	op := w.next()
	if op%fuzzOps == 0 {
		w.open(w.next() % fuzzRelays)
		return
	}
	c := w.client()
	if c == nil {
		return
	}
	w.operations[op%fuzzOps](w, c)
}

const fuzzOps = 27

// fuzzOperations are what a program can do with a client; the first opens one.
func fuzzOperations() [fuzzOps]func(w *fuzzWorld, c *fuzzClient) {
	return [fuzzOps]func(w *fuzzWorld, c *fuzzClient){
		1: func(w *fuzzWorld, c *fuzzClient) { // CREATE
			c.honest = c.honest && !c.created
			c.created = true
			w.put(c, c.createCells(w.handshake(c, c.relays[0], 0, nil)))
		},
		2: func(w *fuzzWorld, c *fuzzClient) { // a CREATE that does not open
			kind := w.next()
			b := c.createCells(w.handshake(c, c.relays[0], 0, func(p *onion.Params) {
				switch kind % 5 {
				case 0:
					p.OnionEpoch++
				case 1:
					p.Identity[3] ^= 1
				case 2:
					p.OnionKey = w.relays[(c.relays[0]+1)%fuzzRelays].OnionKey
				case 3:
					p.Network[0] ^= 1
				case 4:
					p.Options.Slot = kind / 5 % 4 // another slot: the layers will not fit
					c.honest = false
				}
			}))
			c.honest = c.honest && !c.created
			c.created = true
			w.put(c, b)
		},
		3: func(w *fuzzWorld, c *fuzzClient) { // a malformed CREATE
			c.honest = false
			b := c.createCells(w.handshake(c, c.relays[0], 0, nil))
			b[w.next()*9%len(b)] ^= byte(1 + w.next())
			w.put(c, b[:1+w.next()*10%len(b)])
		},
		4: func(w *fuzzWorld, c *fuzzClient) { // EXTEND
			to := w.next() % (fuzzRelays + 1)
			if c.onion.Hops() == 0 {
				return
			}
			last := c.onion.Hops() - 1
			if c.pending != nil || c.extended[last] {
				c.honest = false
			}
			c.extended[last] = true
			id := directory.RelayID{200}
			if to < fuzzRelays {
				id = w.relays[to].ID
			}
			create := w.handshake(c, to%fuzzRelays, min(last+1, cell.Slots-1), nil)
			for _, m := range cell.SplitExtend(id, create) {
				w.sealTo(c, last, m)
			}
		},
		5: func(w *fuzzWorld, c *fuzzClient) { // half an EXTEND
			if c.onion.Hops() == 0 {
				return
			}
			c.honest = false
			m := cell.SplitExtend(w.relays[w.next()%fuzzRelays].ID, make([]byte, cell.CreateSize))
			w.sealTo(c, c.onion.Hops()-1, m[w.next()%2])
		},
		6: func(w *fuzzWorld, c *fuzzClient) { // any command in any state
			hop, ok := w.hop(c)
			if !ok {
				return
			}
			c.honest = false
			all := commands()
			m := all[w.next()%len(all)].m
			c.asked[string(m.Data)]++
			w.sealTo(c, hop, m)
		},
		7: func(w *fuzzWorld, c *fuzzClient) { // PING
			hop, ok := w.hop(c)
			if !ok {
				return
			}
			if c.pings++; c.pings > pingBurst {
				c.honest = false
			}
			b := w.token(c, hop, 16)
			c.asked[string(b)]++
			w.sealTo(c, hop, cell.Message{Command: cell.Ping, Data: b})
		},
		8: func(w *fuzzWorld, c *fuzzClient) { // DROP
			hop, ok := w.hop(c)
			if !ok {
				return
			}
			if c.drops++; c.drops > dropBurst {
				c.honest = false
			}
			w.sealTo(c, hop, cell.Message{Command: cell.Drop})
		},
		9: func(w *fuzzWorld, c *fuzzClient) { // ECHOs
			hop, ok := w.hop(c)
			if !ok {
				return
			}
			for range 1 + w.next()%40 {
				if c.credit[hop]--; c.credit[hop] < 0 {
					c.honest = false
				}
				b := w.token(c, hop, cell.DataSize)
				c.asked[string(b)]++
				w.sealTo(c, hop, cell.Message{Command: cell.Echo, Data: b})
			}
		},
		10: func(w *fuzzWorld, c *fuzzClient) { // a forged SENDME
			if hop, ok := w.hop(c); ok {
				c.honest = false
				tag := c.onion.BackwardTag(hop)
				tag[0] ^= byte(w.next())
				w.sealTo(c, hop, cell.Message{Command: cell.SendMe, Data: tag[:]})
			}
		},
		11: func(w *fuzzWorld, c *fuzzClient) { // BEGIN
			if hop, ok := w.hop(c); ok {
				id := uint16(1 + w.next()%20)
				if hop > 0 || c.streams[id] {
					c.honest = false
				}
				c.streams[id] = true
				w.sealTo(c, hop, cell.Message{Command: cell.Begin, Stream: id, Data: []byte{byte(w.next() % 3), 0, 0, 0}})
			}
		},
		12: func(w *fuzzWorld, c *fuzzClient) { // something on a stream, which may not be there
			if hop, ok := w.hop(c); ok {
				c.honest = false
				id := uint16(1 + w.next()%20)
				m := []cell.Message{
					{Command: cell.Data, Data: w.token(c, hop, 9+w.next()*4)},
					{Command: cell.End, Data: []byte{0}},
					{Command: cell.XOff},
					{Command: cell.XOn},
					{Command: cell.MailboxFirst, Data: w.token(c, hop, 12)},
					{Command: cell.MailboxFirst + cell.Command(w.next()%32), Data: w.token(c, hop, 8+w.next()*4)},
				}[w.next()%6]
				m.Stream = id
				c.credit[hop]--
				w.sealTo(c, hop, m)
			}
		},
		13: func(w *fuzzWorld, c *fuzzClient) { // a flipped bit
			if hop, ok := w.hop(c); ok {
				c.honest = false
				b, err := c.seal(hop, cell.Message{Command: cell.Drop})
				if err == nil {
					b[(w.next()<<8|w.next())%len(b)] ^= 1 << (w.next() % 8)
					w.put(c, b)
				}
			}
		},
		14: func(w *fuzzWorld, c *fuzzClient) { // trim
			if hop, ok := w.hop(c); ok {
				b, err := c.seal(hop, cell.Message{Command: cell.Drop})
				if err != nil {
					return
				}
				if c.drops++; c.drops > dropBurst {
					c.honest = false
				}
				trim := w.next() % (cell.MaxTrim + 3)
				b[3] = byte(trim)
				b = append(b, make([]byte, trim)...)
				if w.next()%4 == 0 && trim > 0 {
					b[len(b)-1] = 1
					c.honest = false
				}
				c.honest = c.honest && trim <= cell.MaxTrim
				w.put(c, b)
			}
		},
		15: func(w *fuzzWorld, c *fuzzClient) { // a part of a cell, and later the rest
			if len(c.carry) > 0 {
				b := c.carry
				c.carry = nil
				w.put(c, b)
				return
			}
			if hop, ok := w.hop(c); ok {
				b, err := c.seal(hop, cell.Message{Command: cell.Drop})
				if err != nil {
					return
				}
				if c.drops++; c.drops > dropBurst {
					c.honest = false
				}
				n := 1 + (w.next()*5)%(cell.Size-1)
				w.put(c, b[:n])
				c.carry = b[n:]
			}
		},
		16: func(w *fuzzWorld, c *fuzzClient) { // junk
			c.honest = false
			b := bytes.Repeat([]byte{byte(w.next())}, w.next()*20)
			if len(b) > 0 && w.next()%2 == 0 {
				b[0] = byte(w.next() % 8)
			}
			w.put(c, b)
		},
		17: func(w *fuzzWorld, c *fuzzClient) { // resets of every kind
			switch w.next() % 4 {
			case 0:
				reset(c.s)
			case 1:
				c.s.CancelWrite(0)
			case 2:
				c.s.CancelRead(0)
			case 3:
				c.s.(*memStream).w.fail(io.EOF)
			}
		},
		18: func(w *fuzzWorld, _ *fuzzClient) { // time
			advance(time.Duration(w.next()) * 100 * time.Millisecond)
		},
		19: func(w *fuzzWorld, _ *fuzzClient) { // much time
			if w.long++; w.long <= 2 { // the janitors make it slow
				advance(time.Duration(w.next()) * 20 * time.Second)
			}
		},
		20: func(w *fuzzWorld, _ *fuzzClient) { // a relay's circuit is closed, more than once
			sw := w.sw[w.next()%fuzzRelays]
			if all := sw.all(nil); len(all) > 0 {
				x := all[w.next()%len(all)]
				go x.close()
				x.end(EndMemory)
				x.close()
			}
		},
		21: func(w *fuzzWorld, _ *fuzzClient) { // a next hop goes mad
			sw := w.sw[w.next()%fuzzRelays]
			all := sw.all(nil)
			if len(all) == 0 {
				return
			}
			x := all[w.next()%len(all)]
			if x.peer.id == (directory.RelayID{}) {
				return // the client's own relay is honest
			}
			w.madness(x.prev)
		},
		22: func(_ *fuzzWorld, c *fuzzClient) { c.pause() },
		23: func(_ *fuzzWorld, c *fuzzClient) { c.resume() },
		24: func(w *fuzzWorld, _ *fuzzClient) { // memory gets short, or not
			w.heap[w.next()%fuzzRelays].Store(uint64(w.next()) << 19)
		},
		25: func(w *fuzzWorld, _ *fuzzClient) { // the next extensions
			switch w.next() % 4 {
			case 0:
				w.nextHop = nil
			case 1: // nobody answers
				w.nextHop = func(s stream) stream { reset(s); near, _ := memPipe(); return near }
			case 2: // reads nothing after a while
				w.nextHop = func(s stream) stream {
					s.(*memStream).w.mu.Lock()
					defer s.(*memStream).w.mu.Unlock()
					s.(*memStream).w.limit = 5 * cell.Size
					return s
				}
			case 3: // resets at once
				w.nextHop = func(s stream) stream { reset(s); return s }
			}
		},
		26: func(w *fuzzWorld, c *fuzzClient) { // a relay stops
			sw := w.sw[w.next()%fuzzRelays]
			if w.next()%8 == 0 && !sw.refusing() {
				w.wg.Go(func() { sw.Drain(w.ctx) })
			}
		},
	}
}

// madness writes what a hostile relay may send backwards.
func (w *fuzzWorld) madness(s stream) {
	b := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(b)
	switch w.next() % 6 {
	case 0: // any bytes in a good cell
		rand.Read(b[cell.HeaderSize:])
	case 1:
		b[0] = byte(w.next())
	case 2:
		b = make([]byte, 2*cell.Size)
		cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Created, make([]byte, cell.CreatedSize))
	case 3:
		b = b[:1+w.next()*4]
	case 4:
		b[3] = byte(w.next())
	case 5:
		reset(s)
		return
	}
	for range 1 + w.next()%50 {
		b = append(b, b[:min(len(b), cell.Size)]...)
	}
	_, _ = s.Write(b[:min(len(b), 100*cell.Size)])
}

// fuzzSeeds are programs that reach the states a fuzzer would take long to
// find.
func fuzzSeeds() [][]byte {
	build := func(path ...byte) []byte {
		p := []byte{0, path[0], 1, 0}
		for _, r := range path[1:] {
			p = append(p, 4, 0, r)
		}
		return p
	}
	with := func(p []byte, ops ...byte) []byte { return append(bytes.Clone(p), ops...) }
	four := build(0, 1, 2, 3)
	seeds := [][]byte{
		with(four, 7, 0, 3, 8, 0, 2, 9, 0, 3, 39, 9, 0, 3, 39, 18, 0, 20),
		with(four, 11, 0, 0, 3, 1, 12, 0, 0, 3, 1, 1, 0, 0, 12, 0, 3, 5, 1, 1, 1, 4),
		with(four, 21, 0, 3, 0, 0, 40, 7, 0, 1),
		with(four, 22, 0, 9, 0, 3, 39, 18, 0, 200, 24, 0, 0, 190, 18, 0, 30, 23, 0),
		with(build(0), 25, 0, 1, 4, 0, 1, 18, 0, 130, 4, 0, 2),
		with(build(0), 25, 0, 2, 4, 0, 1, 9, 0, 0, 39, 19, 0, 2),
		with(build(2), 4, 0, 2, 18, 0, 3, 7, 0, 0),
		with(build(2, 1), 4, 0, 2, 4, 0, 5, 6, 0, 1, 9),
		with(build(0, 1), 22, 0, 9, 0, 1, 39, 15, 0, 0, 30, 23, 0, 18, 0, 100),
		with(four, 4, 0, 4, 15, 0, 2, 30, 18, 0, 10, 15, 0, 14, 0, 1, 9, 1),
		with(four, 20, 0, 1, 0, 20, 0, 1, 0, 17, 0, 2, 19, 0, 255),
		with(four, 26, 0, 1, 0, 0, 1, 1, 1, 13, 0, 2, 3, 4, 5),
		{0, 0, 2, 0, 3, 0, 0, 2, 0, 4, 0, 1, 3, 1, 5, 6, 7, 16, 1, 9, 9, 0, 1},
		{0, 0, 1, 0, 10, 0, 0, 1, 0, 3, 1, 1, 5, 1, 0, 0},
	}
	var hops [4]byte
	binary.BigEndian.PutUint32(hops[:], 0x00010203)
	return append(seeds, with(build(hops[:]...), bytes.Repeat([]byte{9, 0, 3, 31, 18, 0, 1}, 30)...))
}
