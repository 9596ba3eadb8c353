package anonymity_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat"
	"hearsay/circuit/link"
	"hearsay/relay/lab"
	"hearsay/relay/lab/anonymity"
)

// TestMessengers observes whole messengers over an ordinary network with its
// directory: ratchets, two mailbox relays for each message, polls, and snapshots
// that are fetched beside the ticks. A fiftieth of HEARSAY_ANONYMITY pairs
// talks; each needs seconds of proof of work before it does.
func TestMessengers(t *testing.T) {
	pairs, _ := strconv.Atoi(os.Getenv("HEARSAY_ANONYMITY"))
	if pairs = pairs / 50; pairs < 2 {
		return
	}
	length := time.Hour
	if s := os.Getenv("HEARSAY_ANONYMITY_LENGTH"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	var all []*anonymity.Figures
	for _, p := range []link.Profile{link.Off, link.Normal} {
		res := anonymity.NewResult(p, 1)
		for done := 0; done < pairs; done += worldMessengers {
			res.Add(messengers(t, p, uint64(1+done), min(worldMessengers, pairs-done), length))
		}
		all = append(all, res.Figures())
	}
	fmt.Println("\nwhole messengers:")
	anonymity.WriteTable(os.Stdout, all)
}

// worldMessengers is how many pairs of messengers share a network.
const worldMessengers = 10

// messengers runs pairs of messengers and returns what is seen of their links.
func messengers(t *testing.T, p link.Profile, seed uint64, pairs int, length time.Duration) (r *anonymity.Record) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tap := anonymity.NewTap(2 * pairs)
		sim := lab.NewSimNet(lab.SimConfig{Latency: 20 * time.Millisecond, Tap: tap.See})
		defer sim.Close()
		n, err := lab.Start(t.Context(), lab.Config{Dir: filepath.Join(dir, "network"), Relays: 8, Sim: sim})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		people := make([]*person, 2*pairs)
		var wg sync.WaitGroup
		for i := range people {
			if people[i], err = newPerson(n, sim, tap, p, i, filepath.Join(dir, fmt.Sprint("person", i))); err != nil {
				t.Fatal(err)
			}
		}
		defer func() {
			for _, a := range people {
				a.stop()
			}
		}()
		for i := range pairs {
			wg.Go(func() {
				if err := meet(t.Context(), people[2*i], people[2*i+1]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		<-time.After(5 * time.Minute)
		r = &anonymity.Record{
			Config:   anonymity.WorldConfig{Seed: seed, Pairs: pairs, Profile: p, Length: length, NoMarks: true},
			Insiders: make([]anonymity.Insider, 2*pairs), Pushes: make([][]time.Duration, 2*pairs), Marks: make([]anonymity.Mark, 2*pairs),
		}
		tap.Start()
		for i := range pairs {
			lines := anonymity.Conversation(rand.New(rand.NewPCG(seed, uint64(i))), length, 0)
			r.Messages += len(lines)
			wg.Go(func() {
				begin := time.Now()
				for _, l := range lines {
					<-time.After(time.Until(begin.Add(l.At)))
					a := people[2*i+l.From]
					if _, err := a.Send(t.Context(), a.contact, time.Now().Format(time.RFC3339Nano)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		<-time.After(length)
		tap.Stop()
		wg.Wait()
		r.Links = tap.Links()
		for _, a := range people {
			a.mu.Lock()
			r.Ends = append(r.Ends, a.delays...)
			a.mu.Unlock()
		}
	})
	return r
}

// person is a running messenger.
type person struct {
	*chat.Messenger
	contact string
	stop    func()

	mu     sync.Mutex
	delays []float64
}

func newPerson(n *lab.Network, sim *lab.SimNet, tap *anonymity.Tap, p link.Profile, i int, home string) (*person, error) {
	m, err := chat.Open(chat.Config{
		Home: home, Network: n.Link().String(), Cover: p.String(),
		ListenPacket: func() (net.PacketConn, error) {
			a := sim.Address()
			tap.Client(netip.AddrPortFrom(a.Addr(), a.Port()), i)
			return sim.Listen(a)
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &person{Messenger: m}
	var wg sync.WaitGroup
	wg.Go(func() { a.listen(ctx, m.Subscribe()) })
	wg.Go(func() { _ = m.Run(ctx) })
	a.stop = func() {
		cancel()
		wg.Wait()
		_, _ = m.Close()
	}
	return a, nil
}

// meet makes two people contacts of each other.
func meet(ctx context.Context, a, b *person) error {
	for _, m := range []*person{a, b} {
		for end := time.Now().Add(10 * time.Minute); !m.Status().Ready; <-time.After(time.Second) {
			if time.Now().After(end) {
				return errors.New("a messenger is not ready after 10 minutes")
			}
		}
	}
	inv, err := a.CreateInvite(ctx, "b")
	if err != nil {
		return err
	}
	c, err := b.AcceptInvite(ctx, inv.Link, "a")
	if err != nil {
		return err
	}
	b.contact = c.ID
	for end := time.Now().Add(10 * time.Minute); ; <-time.After(time.Second) {
		as, err := a.Contacts(ctx)
		if err != nil {
			return err
		}
		bs, err := b.Contacts(ctx)
		if err != nil {
			return err
		}
		if len(as) == 1 && bs[0].State == chat.ContactActive {
			a.contact = as[0].ID
			return nil
		}
		if time.Now().After(end) {
			return errors.New("two people are no contacts after 10 minutes")
		}
	}
}

// listen notes the seconds from writing to reading of what the person gets.
func (a *person) listen(ctx context.Context, feed *chat.Subscription) {
	for {
		ev, err := feed.Next(ctx)
		if err != nil {
			return
		}
		if ev.Type != chat.MessageReceived {
			continue
		}
		if sent, err := time.Parse(time.RFC3339Nano, ev.Message.Text); err == nil {
			a.mu.Lock()
			a.delays = append(a.delays, time.Since(sent).Seconds())
			a.mu.Unlock()
		}
	}
}
