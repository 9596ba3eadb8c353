package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"hearsay/chat"
)

// openPTY makes a pseudo-terminal of w by h cells.
func openPTY(tb testing.TB, w, h int) (master, slave *os.File) {
	tb.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		tb.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		tb.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(h), Col: uint16(w)}); err != nil {
		tb.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { slave.Close() })
	return master, slave
}

// screenReader reads what a terminal is told, and says when a text stood in it.
type screenReader struct {
	mu    sync.Mutex
	all   bytes.Buffer
	wants chan want
}

type want struct {
	text []byte
	seen chan time.Time
}

func readScreen(master io.Reader) *screenReader {
	r := &screenReader{wants: make(chan want, 1)}
	go func() {
		b := make([]byte, 64<<10)
		var now want
		var tail []byte
		for {
			n, err := master.Read(b)
			at := time.Now()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.all.Write(b[:n])
			r.mu.Unlock()
			if now.text == nil {
				select {
				case now = <-r.wants:
					tail = nil
				default:
				}
			}
			if now.text == nil {
				continue
			}
			tail = append(tail, b[:n]...)
			if bytes.Contains(tail, now.text) {
				now.seen <- at
				now = want{}
			}
		}
	}()
	return r
}

// until tells when a text will have been written, from now on.
func (r *screenReader) until(text string) <-chan time.Time {
	seen := make(chan time.Time, 1)
	r.wants <- want{[]byte(text), seen}
	return seen
}

// program runs an App on a pseudo-terminal until the test ends.
func program(tb testing.TB, cfg Config, w, h int) (*os.File, *screenReader) {
	tb.Helper()
	master, slave := openPTY(tb, w, h)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := New(ctx, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	r := readScreen(master)
	p := tea.NewProgram(a, tea.WithContext(ctx), tea.WithoutSignalHandler(), tea.WithInput(slave), tea.WithOutput(slave),
		tea.WithFPS(FramesPerSecond), tea.WithEnvironment([]string{"TERM=xterm-256color", "COLORTERM=truecolor"}))
	done := make(chan error, 1)
	go func() {
		_, err := p.Run()
		done <- err
	}()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, tea.ErrProgramKilled) {
			tb.Error(err)
		}
	})
	return master, r
}

// manyMessages is a conversation of n messages.
func manyMessages(contact string, n int) []chat.Message {
	ms := make([]chat.Message, n)
	for i := range ms {
		m := chat.Message{
			ID: fmt.Sprint("m_", i), Contact: contact, Direction: chat.In, Seq: uint64(i + 1), State: chat.Received,
			Text: fmt.Sprintf("message %d: the quick brown fox jumps over the lazy dog, as people write", i),
			Time: testNow.Add(time.Duration(i-n) * time.Minute),
		}
		if i%3 == 0 {
			m.Direction, m.State = chat.Out, chat.Delivered
		}
		ms[i] = m
	}
	return ms
}

// BenchmarkKeyToScreen types while 50 messages a second arrive in the conversation
// on screen, in which there are 100,000: the time from the key to the terminal.
func BenchmarkKeyToScreen(b *testing.B) {
	f := newFake()
	f.messages["c_1"] = manyMessages("c_1", 100_000)
	master, r := program(b, Config{Home: &fakeHome{state: readyHome, chat: f}, Contact: "marta"}, 100, 28)
	select {
	case <-r.until("message 99998"):
	case <-time.After(10 * time.Second):
		b.Fatal("the conversation is not on screen")
	}
	stop := make(chan struct{})
	var feeding sync.WaitGroup
	feeding.Go(func() {
		tick := time.NewTicker(time.Second / 50)
		defer tick.Stop()
		for i := 100_000; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			m := chat.Message{ID: fmt.Sprint("m_", i), Contact: "c_1", Direction: chat.In, Text: fmt.Sprint("arriving ", i), Seq: uint64(i + 1), Time: time.Now(), State: chat.Received}
			f.feed.Publish(chat.Event{Type: chat.MessageReceived, Message: &m})
		}
	})
	// Letters that stand nowhere else, so that their bytes are the key's.
	letters := []string{"ø", "ß", "ñ", "é", "å", "ü"}
	pace := time.NewTicker(40 * time.Millisecond) // 25 keys a second
	defer pace.Stop()
	var took []time.Duration
	b.ResetTimer()
	for i := range b.N {
		<-pace.C
		l := letters[i%len(letters)]
		seen := r.until(l)
		at := time.Now()
		if _, err := io.WriteString(master, l); err != nil {
			b.Fatal(err)
		}
		select {
		case when := <-seen:
			took = append(took, when.Sub(at))
		case <-time.After(5 * time.Second):
			b.Fatal("a key did not come to the screen")
		}
		if i%60 == 59 { // the line does not grow for ever
			io.WriteString(master, "\x15")
		}
	}
	b.StopTimer()
	close(stop)
	feeding.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*50/100].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	if strings.Contains(r.text(), "panic") {
		b.Error("the program panicked")
	}
}

// text returns all that was written.
func (r *screenReader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}
