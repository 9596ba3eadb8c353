package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hearsay/chat/store"
	"hearsay/circuit"
	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// Names of the adapters of the store.
const (
	kvCircuit = "circuit"
	kvGossip  = "gossip"
)

// fetchRetry is the wait after a failed try to fetch the network file.
const (
	fetchRetryMin = 500 * time.Millisecond
	fetchRetryMax = 30 * time.Second
	fetchTimeout  = 15 * time.Second
)

// Run fetches the network, keeps circuits and queues, sends and receives until
// ctx ends. Being offline is no error: it goes on trying. It returns nil when
// ctx ended, and an error only if the store failed.
func (m *Messenger) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.running || m.closed {
		m.mu.Unlock()
		return errors.New("chat: run twice or after close")
	}
	m.running = true
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-m.failed:
		case <-m.closing:
		case <-ctx.Done():
		}
		cancel()
	}()
	err := m.connect(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// connect fetches the network file if this is the first time, and then serves.
func (m *Messenger) connect(ctx context.Context) error {
	m.begin(stepFile)
	if _, _, known := m.Network(); !known {
		if err := m.fetchNetwork(ctx); err != nil {
			return err
		}
	}
	m.finish(stepFile, "")
	n, err := newCircuitNetwork(m)
	if err != nil {
		return err
	}
	return m.serve(ctx, n)
}

// serve runs the network and the workers over it.
func (m *Messenger) serve(ctx context.Context, n network) error {
	m.mu.Lock()
	m.net = n
	m.mu.Unlock()
	if n, ok := n.(interface{ SetProfile(link.Profile) }); ok {
		n.SetProfile(m.profile()) // it may have changed since n was made
	}
	close(m.started)
	m.begin(stepSnapshot)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer m.left.close() // when no worker runs any more
	defer wg.Wait()
	wg.Go(func() { m.watchViews(ctx) })
	wg.Go(func() { m.watchCircuits(ctx, n) })
	wg.Go(func() { (&roster{m: m, workers: make(map[string]*worker)}).Run(ctx) })
	err := n.Run(ctx)
	cancel()
	return err
}

// fetchNetwork fetches the network file with links that know nothing of the
// network yet, to learn its name and whether it is a lab.
func (m *Messenger) fetchNetwork(ctx context.Context) error {
	client, err := circuit.NewClient(circuit.ClientConfig{
		Network: m.link.ID, Views: &directory.Views{}, ListenPacket: m.cfg.ListenPacket, Log: m.cfg.Log,
	})
	if err != nil {
		return fmt.Errorf("start links: %w", err)
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.Run(run)
	}()
	defer func() { cancel(); <-done }()
	for fails := 1; ; fails++ {
		try, stop := context.WithTimeout(ctx, fetchTimeout)
		chain, _, err := gossip.FetchNetwork(try, client.Dialer(), m.link)
		stop()
		if err == nil {
			return m.learn(ctx, chain.Current().Name, chain.Current().Lab)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.fail(stepFile, Sanitize(err.Error()))
		m.log.Info("the network file cannot be fetched", errorKey, err)
		select {
		case <-time.After(backoff(fails, fetchRetryMin, fetchRetryMax)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// learn remembers what the network file said.
func (m *Messenger) learn(ctx context.Context, name string, lab bool) error {
	m.mu.Lock()
	m.known.Name, m.known.Lab = SanitizeName(name), lab
	if m.known.Name == "" {
		m.known.Name = "unnamed"
	}
	known := m.known
	m.mu.Unlock()
	err := m.do(ctx, func(t *turn) error { return t.tx.Bucket(bucketMeta).Put(metaNetwork, encode(known)) })
	if KindOf(err) == KindLocked {
		return nil // the next run fetches it again
	}
	return err
}

// watchViews announces snapshots and has everything that depends on the listed
// relays looked at again.
func (m *Messenger) watchViews(ctx context.Context) {
	var last *directory.View
	var told map[string]bool
	stored := m.views.Current() // from an earlier run: its age says nothing of the clock
	for first := true; ctx.Err() == nil; {
		changed := m.views.Changed()
		told = m.tellWarnings(told)
		if view := m.views.Current(); view != nil && view != last {
			last = view
			if view != stored {
				m.noteSkew(view, time.Now())
			}
			m.finish(stepSnapshot, fmt.Sprintf("epoch %d, %d relays", view.Epoch(), len(view.Relays())))
			_ = m.do(ctx, func(t *turn) error {
				for _, c := range t.book.contacts {
					if len(c.out) > 0 {
						t.touch(c)
					}
					c.wakeAll()
				}
				if first {
					t.publish(Event{Type: NetworkReady, Relays: len(view.Relays()), Epoch: view.Epoch()})
				}
				return nil
			})
			m.wakeInboxes()
			wake(m.roster)
			first = false
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (m *Messenger) wakeInboxes() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.inboxes {
		b.wake()
	}
}

// watchCircuits has everything that rests after a failure tried at once when
// circuits are back after there was none.
func (m *Messenger) watchCircuits(ctx context.Context, n network) {
	online := false
	for {
		open := slices.ContainsFunc(n.Circuits(), func(c circuit.Info) bool { return c.State == "open" })
		if open && !online {
			_ = m.do(ctx, func(t *turn) error {
				for _, c := range t.book.contacts {
					for i := range c.slots {
						if s := &c.slots[i]; !s.full {
							s.rests, s.fails = time.Time{}, 0
						}
					}
					c.wakeAll()
				}
				return nil
			})
			m.mu.Lock()
			for _, b := range m.inboxes {
				b.retry()
			}
			m.mu.Unlock()
		}
		online = open
		select {
		case <-ctx.Done():
			return
		case <-m.circuits:
		}
	}
}

// noteSkew estimates how far the local clock is from the network's. Less than a
// minute or three epochs is within what the fetching of snapshots explains.
func (m *Messenger) noteSkew(view *directory.View, now time.Time) {
	normal := max(3*view.EpochLength(), time.Minute)
	skew := now.Sub(view.ValidAfter())
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case skew < -time.Minute:
		m.skew = skew
	case skew > normal:
		m.skew = skew - view.EpochLength()
	default:
		m.skew = 0
	}
}

// waitView waits until the messenger runs and has a first snapshot.
func (m *Messenger) waitView(ctx context.Context) (*directory.View, error) {
	select {
	case <-m.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		changed := m.views.Changed()
		if view := m.views.Current(); view != nil {
			return view, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// waitOtherView waits until there is another snapshot than this one.
func (m *Messenger) waitOtherView(ctx context.Context, view *directory.View) error {
	for {
		changed := m.views.Changed()
		if m.views.Current() != view {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// linked returns a channel that is closed when a relay stores the invite.
func (m *Messenger) linked(id string) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting[id] == nil {
		m.waiting[id] = make(chan struct{})
	}
	return m.waiting[id]
}

func (m *Messenger) setLinked(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ch := m.waiting[id]; ch != nil {
		select {
		case <-ch:
		default:
			close(ch)
		}
	}
}

// circuitNetwork is the network over real circuits.
type circuitNetwork struct {
	client *circuit.Client
	gossip *gossip.Client
}

func newCircuitNetwork(m *Messenger) (*circuitNetwork, error) {
	client, err := circuit.NewClient(circuit.ClientConfig{
		Network: m.link.ID, Lab: m.isLab(), Views: m.views, ListenPacket: m.cfg.ListenPacket, Source: m.cfg.Source,
		Own: m.ownRelay(), Profile: m.profile(), State: m.store.KV(kvCircuit), Log: m.cfg.Log, Events: m.circuitEvent,
	})
	if err != nil {
		return nil, fmt.Errorf("start circuits: %w", err)
	}
	g, err := gossip.NewClient(gossip.ClientConfig{
		Link: m.link, Dialer: client.Dialer(), Views: m.views, State: m.store.KV(kvGossip),
		Guard: client.Guard, NoPath: client.NoPath, Circuits: client, Log: m.cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("start directory client: %w", err)
	}
	return &circuitNetwork{client, g}, nil
}

// Run serves links, circuits and snapshots.
func (n *circuitNetwork) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.gossip.Run(ctx) })
	err := n.client.Run(ctx)
	wg.Wait()
	return err
}

// Circuit gets a circuit from the pool.
func (n *circuitNetwork) Circuit(ctx context.Context, r circuit.Request) (mailRoute, error) {
	c, err := n.client.Pool().Get(ctx, r)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Circuits describes the pool.
func (n *circuitNetwork) Circuits() []circuit.Info { return n.client.Pool().Circuits() }

// Why asks the pool.
func (n *circuitNetwork) Why() string { return n.client.Pool().Why() }

// circuitEvent turns an event of the pool into one of ours. It is called by the
// pool and does not block.
func (m *Messenger) circuitEvent(ev circuit.Event) {
	switch ev.Type {
	case circuit.EventBuilt:
		m.finish(stepGuard, "")
		m.finish(stepCircuit, "")
		m.feed.Publish(Event{Type: CircuitBuilt, Circuit: &ev.Circuit})
	case circuit.EventClosed:
		m.feed.Publish(Event{Type: CircuitClosed, Circuit: &ev.Circuit})
	case circuit.EventGuardChanged:
		m.note(stepGuard, Sanitize(ev.Detail)) // whether the next one answers is not known yet
		m.feed.Publish(Event{Type: GuardChanged, Detail: sanitizeText(ev.Detail)})
	case circuit.EventWarning:
		m.feed.Publish(Event{Type: ErrorEvent, Kind: KindRefused, Detail: Sanitize(ev.Detail)})
	}
	wake(m.circuits)
}

var _ gossip.State = (*store.KV)(nil)
