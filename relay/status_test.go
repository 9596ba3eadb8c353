package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

// answered returns what the status socket answers to the bytes.
func answered(t *testing.T, ask string) string {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		answerStatus(b, time.Now(), func() *StatusReport { return &StatusReport{V: 1, Type: "status", ID: "abc"} })
	}()
	_ = a.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(a, ask) // it may close before it has read all
	got, _ := io.ReadAll(a)
	a.Close()
	<-done
	return string(got)
}

func TestStatusRequests(t *testing.T) {
	for ask, want := range map[string]string{
		`{"v":1,"request":"status"}` + "\n":            `"type":"status","software":"","id":"abc"`,
		`{"v":2,"request":"status"}` + "\n":            `{"v":1,"type":"error","error":"this node speaks version 1`,
		`{"v":1,"request":"stop"}` + "\n":              `{"v":1,"type":"error","error":"this node answers`,
		"GET / HTTP/1.1\r\n":                           `{"v":1,"type":"error","error":"that is no request"}`,
		strings.Repeat("x", maxStatusAsk) + "\n":       "",
		strings.Repeat(" ", maxStatusAsk-1) + "\n":     `"type":"error"`,
		`{"v":1,"request":"status"}` + "\n" + "more\n": `"type":"status"`,
	} {
		got := answered(t, ask)
		if want == "" && got != "" || !strings.Contains(got, want) || got != "" && (!strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != 1) {
			t.Errorf("%.40q is answered by %q, want %q", ask, got, want)
		}
	}
}

// TestStatusOfASilentClient: who says nothing in time gets no answer.
func TestStatusOfASilentClient(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	answerStatus(b, time.Now().Add(-statusTimeout), func() *StatusReport {
		t.Error("it is answered")
		return nil
	})
}

// TestStatusSocketIsPrivate: mode 0600, and one that a crash left is replaced.
func TestStatusSocketIsPrivate(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		l, err := listenStatus(dir)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a crash
		st, err := os.Stat(filepath.Join(dir, fileStatus))
		if err != nil {
			t.Fatal(err)
		}
		if othersMayRead(st) {
			t.Errorf("mode %v", st.Mode())
		}
		l.Close()
		if _, err := AskStatus(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("a socket that a crash left: %v", err)
		}
	}
}

// TestStatusIsAnsweredOnceReady: who has read the ready line may ask.
func TestStatusIsAnsweredOnceReady(t *testing.T) {
	founder, home := testHomes(t)
	conn, err := listenAny()
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDirectoryNode(DirectoryConfig{Home: founder, Conn: conn, ServeStatus: true})
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNode(NodeConfig{Home: home, Listen: netip.MustParseAddrPort("127.0.0.1:0"), ServeStatus: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = n.Run(ctx) })
	<-n.Ready()
	if _, err := AskStatus(ctx, home); err != nil {
		t.Errorf("the relay: %v", err)
	}
	wg.Go(func() { _ = d.Run(ctx) })
	<-d.Ready()
	if _, err := AskDirectoryStatus(ctx, founder); err != nil {
		t.Errorf("the directory: %v", err)
	}
}

func TestAskStatus(t *testing.T) {
	if _, err := AskStatus(t.Context(), t.TempDir()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("an empty home: %v", err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", maxSocketPath))
	if _, err := AskStatus(t.Context(), long); !errors.Is(err, ErrSocketPath) {
		t.Errorf("a long path: %v", err)
	}
	if _, err := listenStatus(long); !errors.Is(err, ErrSocketPath) {
		t.Errorf("a long path: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := AskStatus(ctx, t.TempDir()); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("an ended context: %v", err)
	}
}

// TestLoadMovesInSteps: the load is that of whole periods, with two digits.
func TestLoadMovesInSteps(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	m := &meter{at: began}
	const perSecond = 1000
	at := func(s int) uint64 { return m.read(began.Add(time.Duration(s)*time.Second), uint64(s*perSecond), false) }
	first := at(60)
	if first == 0 || first != rateOf(60*perSecond, time.Minute) {
		t.Errorf("before a whole period: %d", first)
	}
	whole := at(900)
	if m.read(began.Add(901*time.Second), 900*perSecond+1_000_000, false) != whole {
		t.Error("a burst shows within the period")
	}
	if got := m.read(began.Add(1800*time.Second), 900*perSecond, false); got != 0 {
		t.Errorf("a period without cells: %d", got)
	}
	if got := rateOf(2*1024, time.Second); got != 2*cell.Size/100*100 {
		t.Errorf("2,048 cells in a second: %d KiB/s, a cell has %d bytes", got, cell.Size)
	}
	if got := rateOf(1<<40, time.Second); got%1000 != 0 || got == 0 {
		t.Errorf("%d has more than two digits", got)
	}
}

// TestClientsAreNotCounted: numbers of people are rounded up to powers of two.
func TestClientsAreNotCounted(t *testing.T) {
	for n, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 3: 4, 5: 8, 1000: 1024, 1024: 1024, 1025: 2048} {
		if got := roundUp(n); got != want {
			t.Errorf("%d is shown as %d, want %d", n, got, want)
		}
	}
}

func FuzzReadStatus(f *testing.F) {
	f.Add([]byte(`{"v":1,"type":"status","id":"x"}` + "\n"))
	f.Add([]byte(`{"v":1,"type":"error","error":"no"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readStatus(bytes.NewReader(b))
		if (s == nil) == (err == nil) {
			t.Errorf("%v, %v", s, err)
		}
		if s != nil && (s.V != 1 || s.Type != "status") {
			t.Errorf("%+v", s)
		}
	})
}

// TestAttackTwinIsSeen: a relay whose keys another computer uses, or whose home was
// put back, sees a newer descriptor than its own, and says so in its status.
func TestAttackTwinIsSeen(t *testing.T) {
	_, home := testHomes(t)
	n, err := NewNode(NodeConfig{Home: home, Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	defer func() { cancel(); <-ran }()
	<-n.Ready()
	warned := func() bool {
		for _, w := range n.report(time.Now(), time.Now(), 0).Warnings {
			if w.Kind == "identity" {
				return true
			}
		}
		return false
	}
	if warned() {
		t.Error("the relay takes itself for another")
	}
	d, err := n.described(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d.Seq++
	raw, err := d.Sign(n.chain.ID(), n.keys.identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.gossip.Publish(raw); err != nil {
		t.Fatal(err)
	}
	if !warned() {
		t.Error("a newer descriptor that was not made here goes unseen")
	}
}
