package circuit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
	"hearsay/relay/lab"
)

// benchNetwork starts three relays on loopback and returns their entries.
func benchNetwork(b *testing.B, lifted bool) (*lab.Network, *directory.View) {
	b.Helper()
	n, err := lab.Start(context.Background(), lab.Config{Dir: b.TempDir(), Relays: 3, Lab: true, InsecureNoRateLimits: lifted})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	views := n.Relays()[0].Node().Views()
	for _, r := range n.Relays() { // all must know each other before they extend
		views := r.Node().Views()
		for {
			changed := views.Changed()
			if v := views.Current(); v != nil && len(v.Relays()) == 3 {
				break
			}
			<-changed
		}
	}
	return n, views.Current()
}

// benchClient builds circuits by hand: the pool paces its builds, which would
// be all that a benchmark measures.
type benchClient struct {
	b        *testing.B
	net      *lab.Network
	view     *directory.View
	endpoint *link.Endpoint
	link     *link.Link
	credit   uint16
}

func newBenchClient(b *testing.B, n *lab.Network, v *directory.View, credit uint16) *benchClient {
	b.Helper()
	e, err := link.New(link.Config{Role: link.RoleClient, Network: n.Link().ID, Lab: true, ListenPacket: n.ListenPacket})
	if err != nil {
		b.Fatal(err)
	}
	g := v.Relays()[0]
	l, err := e.Link(context.Background(), link.Target{ID: g.ID, LinkKey: g.LinkKey, Addrs: g.Addrs})
	if err != nil {
		b.Fatal(err)
	}
	return &benchClient{b: b, net: n, view: v, endpoint: e, link: l, credit: credit}
}

func (c *benchClient) close() { c.endpoint.Close() }

// benchCircuit is a three-hop circuit.
type benchCircuit struct {
	s     *link.Stream
	onion onion.Client
	in    [cell.Size]byte
}

func (c *benchClient) build() (*benchCircuit, error) {
	s, err := c.link.Open(context.Background(), link.KindCircuit)
	if err != nil {
		return nil, err
	}
	x := &benchCircuit{s: s}
	for i, r := range c.view.Relays()[:3] {
		h, create, err := onion.NewClientHandshake(rand.Reader, onion.Params{
			Network: c.view.Network(), Identity: r.ID, OnionKey: r.OnionKey, OnionEpoch: r.OnionEpoch,
			Options: cell.Options{HasSlot: true, Slot: i, HasCredit: true, Initial: c.credit, Max: c.credit},
		})
		if err != nil {
			return nil, err
		}
		created, err := x.shake(i, r.ID, create)
		if err != nil {
			return nil, err
		}
		l, _, err := h.Finish(created)
		if err != nil {
			return nil, err
		}
		if err := x.onion.Add(l); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (x *benchCircuit) close() {
	x.s.CancelWrite(0)
	x.s.CancelRead(0)
}

// shake exchanges CREATE or EXTEND for the answer to it.
func (x *benchCircuit) shake(hop int, id directory.RelayID, create []byte) ([]byte, error) {
	out := make([]byte, 2*cell.Size)
	if hop == 0 {
		cell.PutFragments(out[:cell.Size], out[cell.Size:], cell.Create, create)
	} else {
		for i, m := range cell.SplitExtend(id, create) {
			if err := x.seal(out[i*cell.Size:(i+1)*cell.Size], hop-1, m); err != nil {
				return nil, err
			}
		}
	}
	if _, err := x.s.Write(out); err != nil {
		return nil, err
	}
	asm, ext := cell.Assembler{Type: cell.Created}, cell.MessageAssembler{Command: cell.Extended}
	for {
		var msg []byte
		var done bool
		var err error
		if hop == 0 {
			if _, err = io.ReadFull(x.s, x.in[:]); err == nil {
				msg, done, err = asm.Add(x.in[:])
			}
		} else {
			var m cell.Message
			if _, m, err = x.recv(); err == nil {
				msg, done, err = ext.Add(m)
			}
		}
		if err != nil || done {
			return msg, err
		}
	}
}

func (x *benchCircuit) seal(c []byte, hop int, m cell.Message) error {
	cell.Header{Type: cell.Relay}.Put(c)
	return x.onion.SealForward(cell.Body(c), hop, m)
}

func (x *benchCircuit) recv() (int, cell.Message, error) {
	if _, err := io.ReadFull(x.s, x.in[:]); err != nil {
		return 0, cell.Message{}, err
	}
	hop, payload, err := x.onion.OpenBackward(cell.Body(x.in[:]))
	if err != nil {
		return 0, cell.Message{}, err
	}
	m, err := cell.ParseMessage(payload)
	return hop, m, err
}

// BenchmarkBuild builds three hops over warm links.
func BenchmarkBuild(b *testing.B) {
	n, v := benchNetwork(b, true)
	c := newBenchClient(b, n, v, cell.CreditInitial)
	var took []time.Duration
	for b.Loop() {
		if len(took)%20 == 19 {
			// A client's link opens three circuits a second after the first 30.
			b.StopTimer()
			c.close()
			c = newBenchClient(b, n, v, cell.CreditInitial)
			b.StartTimer()
		}
		start := time.Now()
		x, err := c.build()
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		x.close()
	}
	c.close()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}

// BenchmarkRoundTrip sends a PING to the third hop.
func BenchmarkRoundTrip(b *testing.B) {
	n, v := benchNetwork(b, true)
	c := newBenchClient(b, n, v, cell.CreditInitial)
	defer c.close()
	x, err := c.build()
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, cell.Size)
	for b.Loop() {
		if err := x.seal(out, 2, cell.Message{Command: cell.Ping, Data: make([]byte, 16)}); err != nil {
			b.Fatal(err)
		}
		if _, err := x.s.Write(out); err != nil {
			b.Fatal(err)
		}
		if hop, m, err := x.recv(); err != nil || hop != 2 || m.Command != cell.Pong {
			b.Fatal(hop, m.Command, err)
		}
	}
}

// measure is how long a throughput is measured.
const measure = 2 * time.Second

// BenchmarkThroughput echoes at the third hop, over six links in all. "lifted"
// has the rate limits lifted, which only tests can do, beside a chain of the
// same length that forwards the same bytes over plain QUIC; "limits" is what a
// network allows.
func BenchmarkThroughput(b *testing.B) {
	b.Run("lifted", func(b *testing.B) {
		n, v := benchNetwork(b, true)
		c := newBenchClient(b, n, v, cell.CreditMax)
		defer c.close()
		var circuits, chains []float64
		for b.Loop() { // in turn, so that both see the same machine
			circuits = append(circuits, c.echo(cell.CreditMax))
			chains = append(chains, plainChain(b))
		}
		circuit, chain := median(circuits), median(chains)
		b.ReportMetric(circuit, "circuit-MB/s")
		b.ReportMetric(chain, "plain-QUIC-MB/s")
		b.ReportMetric(circuit/chain, "ratio")
	})
	b.Run("limits", func(b *testing.B) {
		n, v := benchNetwork(b, false)
		c := newBenchClient(b, n, v, cell.CreditInitial)
		defer c.close()
		var circuits []float64
		for b.Loop() {
			circuits = append(circuits, c.echo(cell.CreditInitial))
		}
		b.ReportMetric(median(circuits), "circuit-MB/s")
	})
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// echo fills the credit of one circuit with ECHOs for a while, and returns the
// payload that came back in MB/s.
func (c *benchClient) echo(credit int) float64 {
	x, err := c.build()
	if err != nil {
		c.b.Fatal(err)
	}
	defer x.close()
	free := make(chan struct{}, credit)
	for range credit {
		free <- struct{}{}
	}
	tags := make(chan onion.Tag, credit/cell.CreditStep+1) // for SENDMEs of ours
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { c.write(x, free, tags, stop) })

	replies, got, start := 0, 0, time.Now()
	end := start.Add(measure)
	for {
		now := time.Now()
		if now.After(end) {
			break
		}
		_, m, err := x.recv()
		if err != nil {
			c.b.Error(err)
			break
		}
		switch m.Command {
		case cell.EchoReply:
			replies++
			if got++; got%cell.CreditStep == 0 {
				tags <- x.onion.BackwardTag(2)
			}
		case cell.SendMe:
			for range cell.CreditStep {
				free <- struct{}{}
			}
		}
	}
	took := time.Since(start)
	close(stop)
	x.close()
	wg.Wait()
	return float64(replies*cell.DataSize) / took.Seconds() / 1e6
}

// write seals ECHOs while there is credit, in batches, and the SENDMEs due.
func (c *benchClient) write(x *benchCircuit, free chan struct{}, tags chan onion.Tag, stop chan struct{}) {
	buf := make([]byte, 32*cell.Size)
	data := make([]byte, cell.DataSize)
	for {
		n := 0
		add := func(m cell.Message) {
			if err := x.seal(buf[n:n+cell.Size], 2, m); err != nil {
				c.b.Error(err)
			}
			n += cell.Size
		}
		one := func(wait bool) bool {
			if wait {
				select {
				case <-free:
					add(cell.Message{Command: cell.Echo, Data: data})
				case tag := <-tags:
					add(cell.Message{Command: cell.SendMe, Data: tag[:]})
				case <-stop:
					return false
				}
				return true
			}
			select {
			case tag := <-tags:
				add(cell.Message{Command: cell.SendMe, Data: tag[:]})
				return true
			default:
			}
			select {
			case <-free:
				add(cell.Message{Command: cell.Echo, Data: data})
				return true
			default:
				return false
			}
		}
		if !one(true) {
			return
		}
		for n < len(buf) && one(false) {
		}
		if _, err := x.s.Write(buf[:n]); err != nil {
			select {
			case <-stop:
			default:
				c.b.Error(err)
			}
			return
		}
	}
}

// plainChain sends as many bytes in flight through three nodes that only
// store and forward over QUIC, the last of which sends them back, and returns
// MB/s.
func plainChain(b *testing.B) float64 {
	b.Helper()
	serverTLS, clientTLS := plainTLS(b)
	conf := &quic.Config{
		InitialStreamReceiveWindow: 128 << 10, MaxStreamReceiveWindow: 128 << 10,
		InitialConnectionReceiveWindow: 16 << 20, MaxConnectionReceiveWindow: 16 << 20,
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	dial := func(a net.Addr) *quic.Stream {
		pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		tr := &quic.Transport{Conn: pc}
		conn, err := tr.Dial(ctx, a, clientTLS, conf)
		if err != nil {
			b.Fatal(err)
		}
		context.AfterFunc(ctx, func() { conn.CloseWithError(0, ""); tr.Close(); pc.Close() })
		s, err := conn.OpenStreamSync(ctx)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	var next net.Addr
	for range 3 {
		ln, err := quic.ListenAddr("127.0.0.1:0", serverTLS, conf)
		if err != nil {
			b.Fatal(err)
		}
		context.AfterFunc(ctx, func() { ln.Close() })
		to := next
		next = ln.Addr()
		wg.Go(func() {
			conn, err := ln.Accept(ctx)
			if err != nil {
				return
			}
			s, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			if to == nil {
				forward(s, s)
				return
			}
			out := dial(to)
			wg.Go(func() { forward(s, out) })
			forward(out, s)
		})
	}
	s := dial(next)
	const inFlight = cell.CreditMax * cell.Size
	got := 0
	var mu sync.Mutex
	moved := sync.NewCond(&mu)
	stopped := false
	wg.Go(func() {
		buf := make([]byte, 32*cell.Size)
		for sent := 0; ; sent += len(buf) {
			mu.Lock()
			for sent+len(buf)-got > inFlight && !stopped {
				moved.Wait()
			}
			over := stopped
			mu.Unlock()
			if over {
				return
			}
			if _, err := s.Write(buf); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 32*cell.Size)
	start := time.Now()
	total := 0
	for time.Since(start) < measure {
		n, err := s.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		total += n
		mu.Lock()
		got = total
		moved.Signal()
		mu.Unlock()
	}
	took := time.Since(start)
	mu.Lock()
	stopped = true
	moved.Signal()
	mu.Unlock()
	return float64(total) / took.Seconds() / 1e6
}

// forward stores and forwards what is there, at most 36 KiB at once.
func forward(to, from *quic.Stream) {
	buf := make([]byte, 32*cell.Size)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// plainTLS has the key exchange of our links.
func plainTLS(b *testing.B) (server, client *tls.Config) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		b.Fatal(err)
	}
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"bench"}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768},
	}
	client = &tls.Config{
		NextProtos: []string{"bench"}, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768},
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) != 1 {
				return errors.New("no certificate")
			}
			return nil
		},
	}
	return server, client
}
