package link

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// written collects log lines of every level.
type written struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (w *written) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestLogsBetrayNoClient: a relay writes no line per client, and a client does
// not write down whom it dials.
func TestLogsBetrayNoClient(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		var relay, client written
		a := w.start("a", "1.0.0.1", RoleRelay, func(c *Config) { c.Log = relay.log() })
		c := w.start("c", "2.0.0.1", RoleClient, func(c *Config) { c.Log = client.log() })
		l := w.link(c, a)
		roundTrip(t, l, KindCircuit)
		l.Close()
		gone(t, l, time.Second)
		pass(2 * time.Minute)
		if s := relay.String(); s != "" {
			t.Errorf("the relay wrote of a client: %s", s)
		}
		bad := a.target()
		bad.LinkKey = publicOf(seeded("another"))
		if _, err := c.Link(w.ctx(10*time.Second), bad); !errors.Is(err, ErrWrongKey) {
			t.Fatal(err)
		}
		if s := client.String(); s == "" || strings.Contains(s, a.id.String()) {
			t.Errorf("the client wrote of its guard: %q", s)
		}
	})
}
