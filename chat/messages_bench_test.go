package chat_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/relay/lab"
)

// couple is two messengers that are contacts of each other.
type couple struct {
	a, b   *chat.Messenger
	toB    string // contact of a
	events *chat.Subscription
}

// BenchmarkMessages sends texts between pairs through real relays on loopback,
// with every disk sync, all in this process. window is how many texts each
// sender has on their way at once; with 1 the time per text is how long it takes
// from being typed to being shown at the other side.
func BenchmarkMessages(b *testing.B) {
	for _, w := range []struct{ pairs, window int }{{1, 1}, {1, 64}, {8, 64}} {
		b.Run(fmt.Sprintf("pairs=%d/window=%d", w.pairs, w.window), func(b *testing.B) { benchmarkMessages(b, w.pairs, w.window) })
	}
}

func benchmarkMessages(b *testing.B, pairs, window int) {
	dir := b.TempDir()
	n, err := lab.Start(b.Context(), lab.Config{Dir: filepath.Join(dir, "network"), Relays: 6, Lab: true, InsecureNoRateLimits: true})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	couples := make([]*couple, pairs)
	for i := range couples {
		couples[i] = introduce(b, n, filepath.Join(dir, fmt.Sprint("pair", i)))
	}
	todo := make(chan struct{}, b.N)
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	took := make([][]time.Duration, pairs)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range couples {
		wg.Go(func() { took[i] = c.run(b, todo, window) })
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
	b.ReportMetric(float64(all[len(all)*50/100].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

// run sends what is to do, window texts at a time, and returns how long each
// took to be shown.
func (c *couple) run(b *testing.B, todo <-chan struct{}, window int) (took []time.Duration) {
	sent := make(chan time.Time, window)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for at := range sent {
			for {
				ev, err := c.events.Next(b.Context())
				if err != nil {
					b.Error(err)
					return
				}
				if ev.Type == chat.MessageReceived {
					break
				}
			}
			took = append(took, time.Since(at))
		}
	}()
	for range todo {
		sent <- time.Now() // waits while the window is full
		wait := c.a.StartSend(b.Context(), c.toB, "a short text", chat.SendOptions{})
		if window == 1 {
			if _, err := wait(); err != nil {
				b.Error(err)
			}
		}
	}
	close(sent)
	<-done
	return took
}

// introduce starts two messengers and makes them contacts.
func introduce(b *testing.B, n *lab.Network, dir string) *couple {
	c := &couple{a: open(b, n, dir+"a"), b: open(b, n, dir+"b")}
	inv, err := c.a.CreateInvite(b.Context(), "b")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.b.AcceptInvite(b.Context(), inv.Link, "a"); err != nil {
		b.Fatal(err)
	}
	c.toB = active(b, c.a)
	active(b, c.b)
	c.events = c.b.Subscribe()
	return c
}

// open starts a messenger that runs until the benchmark ends.
func open(b *testing.B, n *lab.Network, home string) *chat.Messenger {
	m, err := chat.Open(chat.Config{Home: home, Network: n.Link().String(), ListenPacket: n.ListenPacket})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		if _, err := m.Close(); err != nil {
			b.Error(err)
		}
	})
	return m
}

// active waits for the one contact to be active and returns its id.
func active(b *testing.B, m *chat.Messenger) string {
	events := m.Subscribe()
	defer events.Close()
	for {
		contacts, err := m.Contacts(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if len(contacts) == 1 && contacts[0].State == chat.ContactActive {
			return contacts[0].ID
		}
		if _, err := events.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
