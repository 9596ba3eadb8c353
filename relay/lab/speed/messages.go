package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Messages.
const (
	messageRelays = 6
	messagePairs  = 8
	messageProbes = 200 // one after the other
	messageFlood  = 400 // of each sender, in bulk
	messageWait   = 30 * time.Second
)

// couple is two messengers that are contacts of each other.
type couple struct {
	a, b *script
	toB  string // contact of a
}

// messages measures texts between messengers in processes of their own,
// through mailboxes that sync each block to disk.
func (b *bench) messages() error {
	dir, err := b.temp()
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "hearsay")
	if out, err := exec.Command("go", "build", "-o", program, "hearsay/cmd/hearsay").CombinedOutput(); err != nil {
		return fmt.Errorf("build hearsay: %w\n%s", err, out)
	}
	net, err := startNetwork(dir, messageRelays, true)
	if err != nil {
		return err
	}
	defer net.close()
	var couples []*couple
	defer func() {
		for _, c := range couples {
			c.a.stop()
			c.b.stop()
		}
	}()
	for i := range messagePairs {
		c, err := introduce(program, filepath.Join(dir, fmt.Sprintf("pair%d", i)), net.link)
		if c != nil {
			couples = append(couples, c)
		}
		if err != nil {
			return err
		}
	}
	one, err := couples[0].probe(messageProbes)
	if err != nil {
		return err
	}
	var rate float64
	before, err := spent(net, couples)
	if err != nil {
		return err
	}
	err = profiled("messages", net.relays, func() (err error) {
		rate, err = flood(couples)
		return err
	})
	if err != nil {
		return err
	}
	after, err := spent(net, couples)
	if err != nil {
		return err
	}
	each := func(before, after time.Duration) string {
		return fmt.Sprintf("%.2f ms", ms(after-before)/float64(len(couples)*messageFlood))
	}
	b.add(
		figure{name: "message, send to shown at the other side, p50", must: 15, aim: 5, unit: "ms", measured: ms(one.P50)},
		figure{name: "the same, p99", must: 60, aim: 20, unit: "ms", measured: ms(one.P99)},
		figure{
			name: "messages through durable mailboxes, many pairs", must: 2, aim: 8, more: true, unit: "k/s", measured: rate / 1000,
			plain: fmt.Sprintf("%d pairs and %d relays share this computer; both copies count as one", messagePairs, messageRelays),
		},
		figure{
			name: "the same, CPU per message, all", unit: "ms",
			measured: ms(after.all()-before.all()) / float64(len(couples)*messageFlood),
			plain: fmt.Sprintf("senders %s, receivers %s, relays %s", each(before.senders, after.senders),
				each(before.receivers, after.receivers), each(before.relays, after.relays)),
		},
	)
	return nil
}

// expense is the CPU time that messages cost so far.
type expense struct {
	senders, receivers, relays time.Duration
}

func (e expense) all() time.Duration { return e.senders + e.receivers + e.relays }

// spent asks the relays, and the system about the messengers.
func spent(net *network, couples []*couple) (e expense, err error) {
	us, err := usages(net.relays)
	if err != nil {
		return e, err
	}
	for _, u := range us {
		e.relays += u.CPU
	}
	for _, c := range couples {
		e.senders += processTime(c.a.cmd.Process.Pid)
		e.receivers += processTime(c.b.cmd.Process.Pid)
	}
	return e, nil
}

// introduce starts two messengers and makes them contacts.
func introduce(program, dir, network string) (*couple, error) {
	a, err := startScript(program, dir+"a", network)
	if err != nil {
		return nil, err
	}
	b, err := startScript(program, dir+"b", network)
	if err != nil {
		a.stop()
		return nil, err
	}
	c := &couple{a: a, b: b}
	var invite struct{ Link string }
	if err := a.call("invite.create", map[string]any{"name": "b"}, &invite); err != nil {
		return c, err
	}
	if err := b.call("invite.accept", map[string]any{"link": invite.Link, "name": "a"}, nil); err != nil {
		return c, err
	}
	if c.toB, err = a.active("b"); err != nil {
		return c, err
	}
	if _, err := b.active("a"); err != nil {
		return c, err
	}
	return c, b.call("subscribe", nil, nil)
}

// probe sends texts one after the other and measures until each is shown.
func (c *couple) probe(n int) (quantiles, error) {
	var took []time.Duration
	for range n {
		start := time.Now()
		if _, err := c.a.send("message.send", map[string]any{"contact": c.toB, "text": "a short text"}); err != nil {
			return quantiles{}, err
		}
		select {
		case at := <-c.b.received:
			took = append(took, at.Sub(start))
		case <-time.After(messageWait):
			return quantiles{}, errors.New("a text did not come")
		}
	}
	return quantilesOf(took), nil
}

// flood sends from all at once and returns the texts shown a second.
func flood(couples []*couple) (float64, error) {
	var wg sync.WaitGroup
	errs := make([]error, len(couples))
	last := make([]time.Time, len(couples))
	start := time.Now()
	for i, c := range couples {
		wg.Go(func() {
			for range messageFlood {
				if _, err := c.a.send("message.send", map[string]any{"contact": c.toB, "text": "a short text"}); err != nil {
					errs[i] = err
					return
				}
			}
			for range messageFlood {
				select {
				case last[i] = <-c.b.received:
				case <-time.After(messageWait):
					errs[i] = errors.New("texts did not come")
					return
				}
			}
		})
	}
	wg.Wait()
	end := start
	for _, t := range last {
		if t.After(end) {
			end = t
		}
	}
	return float64(len(couples)*messageFlood) / end.Sub(start).Seconds(), firstError(errs)
}
