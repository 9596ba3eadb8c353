package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "64MiB": 64 << 20, "64 MiB": 64 << 20, "1.5GiB": 3 << 29, "2GB": 2e9,
		"70000KiB": 70000 << 10, "99MB": 99e6, "70000kB": 70e6, "67108864B": 64 << 20, "1e9B": 1e9,
	} {
		got, err := parseSize("memory", text, leastMemory)
		if err != nil || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"MiB", "64", "64 mib", "64MiB/s", "-64MiB", "0MiB", "63.9MiB", "NaNGiB", "InfGiB", "1e30GiB", "64MiBMiB", " ", "0x40MiB ",
	} {
		if n, err := parseSize("memory", text, leastMemory); err == nil {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}

// TestMemoryByDefault: without a flag the limit is the machine's.
func TestMemoryByDefault(t *testing.T) {
	f := runFlags{listen: "127.0.0.1:0", network: "HEARSAY-NET:AEAQ"}
	if _, err := f.config(); err == nil {
		t.Fatal("a wrong link is taken")
	}
	f.network = foundNetwork(t).String()
	cfg, err := f.config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.MaxMemory != relay.MemoryLimit() || cfg.Settings.Bandwidth != 0 {
		t.Errorf("memory %d, bandwidth %d", cfg.MaxMemory, cfg.Settings.Bandwidth)
	}
}

// foundNetwork founds a lab network, runs its directory until the test ends, and
// returns its link.
func foundNetwork(t testing.TB) directory.NetworkLink {
	t.Helper()
	return foundJoining(t, directory.JoinOpen)
}

// foundJoining is foundNetwork with the ways by which relays join.
func foundJoining(t testing.TB, join directory.Join) directory.NetworkLink {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "directory")
	l, err := relay.Found(home, relay.Founding{
		Name: "limits", Listen: conn.LocalAddr().(*net.UDPAddr).AddrPort(), Lab: true, Join: join,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	background(t, dir.Run)
	return l
}

// background runs f until the test ends.
func background(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// hop is a relay that runs in this process as the program runs it.
type hop struct {
	network directory.NetworkID
	relay   directory.Relay
	link    *link.Link
}

// startProgram runs the program and connects a client to it.
func startProgram(t *testing.T, args ...string) *hop {
	t.Helper()
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64); debug.SetGCPercent(100) })
	network := foundNetwork(t)
	home := filepath.Join(t.TempDir(), "relay")
	out, in := io.Pipe()
	background(t, func(ctx context.Context) error {
		cmd := root()
		cmd.SetArgs(append([]string{"run", "--home", home, "--network", network.String(), "--listen", "127.0.0.1:0", "--json"}, args...))
		cmd.SetOut(in)
		cmd.SetErr(io.Discard)
		err := cmd.ExecuteContext(ctx)
		_ = in.CloseWithError(err)
		return err
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready program.Ready
	if err := json.Unmarshal(line, &ready); err != nil || ready.Program != name {
		t.Fatalf("%s: %v", line, err)
	}
	b, err := os.ReadFile(filepath.Join(home, "descriptor"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.ParseDescriptor(directory.Rules{Network: network.ID, Lab: true, Join: directory.JoinOpen}, b, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h := &hop{network: network.ID, relay: directory.Relay{
		ID: d.ID, Addrs: []netip.AddrPort{netip.MustParseAddrPort(ready.Listen)},
		OnionKey: d.OnionKeys[0].Key, OnionEpoch: d.OnionKeys[0].NotBefore,
	}}
	e, err := link.New(link.Config{
		Role: link.RoleClient, Network: network.ID, Lab: true,
		ListenPacket: func() (net.PacketConn, error) {
			return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if h.link, err = e.Link(ctx, link.Target{ID: d.ID, LinkKey: d.LinkKey, Addrs: h.relay.Addrs}); err != nil {
		t.Fatal(err)
	}
	return h
}

// circuit is a circuit of one hop.
type circuit struct {
	s     *link.Stream
	onion onion.Client
}

func (h *hop) create(t *testing.T) (*circuit, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s, err := h.link.Open(ctx, link.KindCircuit)
	if err != nil {
		t.Fatal(err)
	}
	c := &circuit{s: s}
	shake, create, err := onion.NewClientHandshake(rand.Reader, onion.Params{
		Network: h.network, Identity: h.relay.ID, OnionKey: h.relay.OnionKey, OnionEpoch: h.relay.OnionEpoch,
		Options: cell.Options{HasSlot: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2*cell.Size)
	cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Create, create)
	if _, err := s.Write(b); err != nil {
		return nil, err
	}
	_ = s.SetReadDeadline(time.Now().Add(4 * time.Minute))
	if _, err := io.ReadFull(s, b); err != nil {
		c.end()
		return nil, err
	}
	asm := cell.Assembler{Type: cell.Created}
	if _, _, err := asm.Add(b[:cell.Size]); err != nil {
		t.Fatal(err)
	}
	created, _, err := asm.Add(b[cell.Size:])
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := shake.Finish(created)
	if err != nil {
		t.Fatal(err)
	}
	return c, c.onion.Add(l)
}

func (c *circuit) end() { c.s.CancelWrite(0); c.s.CancelRead(0) }

// echo asks for n ECHOs at once, no more than the credit, and returns how many
// of them came back. The others were answered by BUSY.
func (c *circuit) echo(n int) (replies int, err error) {
	var b []byte
	for range n {
		x := make([]byte, cell.Size)
		cell.Header{Type: cell.Relay}.Put(x)
		if err := c.onion.SealForward(cell.Body(x), 0, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)}); err != nil {
			return 0, err
		}
		b = append(b, x...)
	}
	if _, err := c.s.Write(b); err != nil {
		return 0, err
	}
	x := b[:cell.Size]
	for answered := 0; answered < n; {
		if _, err := io.ReadFull(c.s, x); err != nil {
			return replies, err
		}
		_, payload, err := c.onion.OpenBackward(cell.Body(x))
		if err != nil {
			return replies, err
		}
		m, err := cell.ParseMessage(payload)
		if err != nil {
			return replies, err
		}
		switch m.Command {
		case cell.EchoReply:
			replies++
			answered++
		case cell.EchoBusy:
			answered++
		}
	}
	return replies, nil
}

// TestBandwidthOfTheProgram: what a relay echoes is a quarter of the bandwidth
// that its program was told.
func TestBandwidthOfTheProgram(t *testing.T) {
	const circuits, each = 8, cell.CreditInitial
	const rate, burst = 512 << 10, 128 * cell.Size // relay/SPEC.md §4.1: of 2 MiB/s
	h := startProgram(t, "--bandwidth", "2MiB")
	var all []*circuit
	for range circuits {
		c, err := h.create(t)
		if err != nil {
			t.Fatal(err)
		}
		defer c.end()
		all = append(all, c)
	}
	began := time.Now()
	replies := 0
	for _, c := range all {
		n, err := c.echo(each)
		if err != nil {
			t.Fatal(err)
		}
		replies += n
	}
	took := time.Since(began)
	most := burst + int(took.Seconds()*rate)
	t.Logf("%d of %d echoed in %v", replies, circuits*each, took)
	if bytes := replies * cell.Size; bytes > most || bytes < burst/2 {
		t.Errorf("%d bytes echoed in %v, want %d at most", bytes, took, most)
	}
}

// TestMemoryOfTheProgram: over three quarters of the memory that the program was
// told it takes no circuits.
func TestMemoryOfTheProgram(t *testing.T) {
	h := startProgram(t, "--memory", "64MiB")
	first, err := h.create(t)
	if err != nil {
		t.Fatal(err)
	}
	defer first.end()
	ballast := bytes.Repeat([]byte{1}, 48<<20) // with the rest of the heap more than that, and far less than what makes it close links, of which this is one
	for {
		c, err := h.create(t)
		if err != nil {
			break // the relay has looked at its heap
		}
		c.end()
		<-time.After(400 * time.Millisecond) // a link may create no more than three a second
	}
	runtime.KeepAlive(ballast)
	ballast = nil
	for {
		c, err := h.create(t)
		if err == nil {
			c.end()
			return
		}
		<-time.After(400 * time.Millisecond)
	}
}

// TestLimitsAreExplained: the help says what the flags take and what holds
// without them.
func TestLimitsAreExplained(t *testing.T) {
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs([]string{"run", "--help"})
	cmd.SetOut(&out)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--bandwidth", "no limit", "512KiB", "--memory", "a quarter of the machine's memory, at most 2GiB", "64MiB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
