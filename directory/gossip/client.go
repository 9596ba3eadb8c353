package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"hearsay/directory"
)

// Names under which a Client keeps its state (SPEC.md §10.3).
const (
	nameFiles    = "directory.files"
	nameSnapshot = "directory.snapshot"
)

// pathRelays is how many listed relays a circuit and its mailbox relay take.
const pathRelays = 4

// What a client that has no snapshot at all waits for, while nobody answers it;
// both double with each failure, to askTimeout and to the usual interval.
const (
	firstAsk   = 8 * time.Second        // for one source
	firstRetry = 500 * time.Millisecond // between two attempts
)

// State persists what a Client must know after a restart. The chat store
// implements it, encrypted; circuit.State has the same shape.
type State interface {
	// Load returns the value, or nil if there is none.
	Load(name string) ([]byte, error)
	Save(name string, value []byte) error
}

// ClientConfig configures a Client.
type ClientConfig struct {
	Link   directory.NetworkLink
	Dialer Dialer
	// Views receives each verified snapshot.
	Views *directory.Views
	State State
	// Guard names the guard in use, from which documents are fetched once there
	// is one. Nil, or false: the bootstraps.
	Guard func() (Peer, bool)
	// NoPath tells that no path can be built now, so that a newer snapshot is
	// sought at once and not on the schedule. Nil: while fewer than four relays
	// are listed.
	NoPath func() bool
	// Circuits opens directory streams over circuits, by which heads are compared.
	// Nil: they are not.
	Circuits CircuitDialer
	Log      *slog.Logger // nil: discard
}

// Client keeps a client's view of the network fresh. It tells nobody what it
// holds: it sends requests only, never its clock or its head.
type Client struct {
	cfg   ClientConfig
	log   *slog.Logger
	chain *directory.Chain // nil until the network file is known
	state directory.State
	next  time.Time // when the next fetch is due; zero: not drawn
	turn  int       // counts attempts, to vary the source
	fails int       // attempts in a row in which nobody answered

	caution caution // what speaks against the directory
	checks  checks  // comparisons of heads
}

// NewClient loads the state and, if it holds a snapshot that is still of use,
// sets cfg.Views from it, so that a restart works without the network. It fails
// if the state cannot be read or is damaged.
func NewClient(cfg ClientConfig) (*Client, error) {
	c := &Client{cfg: cfg, log: orDiscard(cfg.Log)}
	c.caution = caution{state: cfg.State, views: cfg.Views, log: c.log}
	if err := c.restore(time.Now()); err != nil {
		return nil, fmt.Errorf("gossip: stored directory state: %w", err)
	}
	return c, nil
}

func (c *Client) restore(now time.Time) error {
	files, err := c.cfg.State.Load(nameFiles)
	if err != nil || files == nil {
		return err
	}
	raws, err := parseFiles(files)
	if err != nil {
		return err
	}
	state, raw, err := c.loadSnapshot()
	if err != nil {
		return err
	}
	// What forbids older snapshots counts even if nothing else is of use.
	c.state = state
	chain, err := directory.VerifyChain(c.cfg.Link.ID, raws, now)
	if errors.Is(err, directory.ErrExpired) {
		c.log.Warn("the stored network file is not used", logReason, err)
		return nil // a newer version may be had
	}
	if err != nil {
		return err
	}
	c.chain = chain
	if err := c.caution.load(chain, now); err != nil {
		return err
	}
	if raw == nil {
		c.state = chain.InitialState()
		return nil
	}
	s, err := directory.ParseSnapshot(raw)
	if err != nil {
		return err
	}
	view, err := chain.Restore(s, c.state, now)
	if err != nil {
		c.log.Warn("the stored snapshot is not used", logReason, err)
		return nil
	}
	c.cfg.Views.Set(view)
	c.settle(&s.Head, nil, now)
	return nil
}

// loadSnapshot reads the state and the snapshot, which are one value so that
// no crash can part them: state length u16, state, snapshot.
func (c *Client) loadSnapshot() (state directory.State, raw []byte, err error) {
	b, err := c.cfg.State.Load(nameSnapshot)
	if err != nil || b == nil {
		return state, nil, err
	}
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return state, nil, errTruncated
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	state, err = directory.ParseState(b[2:n])
	return state, b[n:], err
}

func (c *Client) saveSnapshot(state directory.State, raw []byte) error {
	s := state.Append(nil)
	b := binary.BigEndian.AppendUint16(nil, uint16(len(s)))
	if err := c.cfg.State.Save(nameSnapshot, append(append(b, s...), raw...)); err != nil {
		return fmt.Errorf("gossip: save snapshot: %w", err)
	}
	return nil
}

// Run fetches the network file and snapshots on the public schedule until ctx
// ends, and returns ctx.Err.
func (c *Client) Run(ctx context.Context) error {
	for c.wait(ctx) {
		c.turn++
		c.next = time.Time{}
		err := c.fetch(ctx)
		if c.fails++; err == nil || errors.Is(err, errNothingNew) {
			c.fails = 0
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn("no newer snapshot", logReason, err)
		}
	}
	return ctx.Err()
}

// wait sleeps until the next fetch (SPEC.md §8.4): a uniform time in the window
// that the snapshot gives; while no path can be built, about every 30 s.
func (c *Client) wait(ctx context.Context) bool {
	v := c.cfg.Views.Current()
	if v == nil && c.turn == 0 {
		return ctx.Err() == nil
	}
	now := time.Now()
	retry := now.Add(c.retry(v))
	if v != nil && c.next.IsZero() {
		from, until := windowOf(v, now)
		if c.next = from.Add(rand.N(until.Sub(from))); c.next.Before(now) && c.turn > 0 {
			c.next = retry
		}
	}
	for {
		at := retry
		if v = c.cfg.Views.Current(); v != nil && !c.noPath(v) {
			at = c.next
		}
		// NoPath may change at any time, so look again from retry to retry.
		until := at
		if retry.Before(at) {
			until = retry
		}
		if !c.pause(ctx, time.Until(until)) {
			return false
		}
		if !until.Before(at) {
			return true
		}
		retry = time.Now().Add(c.retry(v))
	}
}

// retry draws how long to wait after an attempt that brought nothing. A client
// without a snapshot does not even know whether it is in a lab network.
func (c *Client) retry(v *directory.View) time.Duration {
	d := directory.RetryInterval(c.lab())
	if v == nil && c.fails > 0 {
		d = min(d, firstRetry<<min(c.fails-1, 10))
	}
	return jitter(d, 0.3)
}

func (c *Client) lab() bool { return c.chain != nil && c.chain.Current().Lab }

func (c *Client) noPath(v *directory.View) bool {
	if c.cfg.NoPath != nil {
		return c.cfg.NoPath()
	}
	return len(v.Relays()) < pathRelays
}

// sources returns whom to ask, the best first: the guard, if there is one, and
// the bootstraps from a random one on. No other relay learns the address of
// this client.
func (c *Client) sources() []Peer {
	var list []Peer
	if c.cfg.Guard != nil {
		if p, ok := c.cfg.Guard(); ok {
			list = append(list, p)
		}
	}
	boots := c.cfg.Link.Bootstraps
	if c.chain != nil {
		boots = c.chain.Current().Bootstraps
	}
	at := rand.N(len(boots))
	for i := range boots {
		list = append(list, bootstrapPeer(boots[(at+i)%len(boots)]))
	}
	return list
}

// fetch asks one source after the other until one gives a newer snapshot that
// verifies.
func (c *Client) fetch(ctx context.Context) error {
	var reasons []error
	for _, p := range c.sources() {
		err := c.fetchFrom(ctx, p)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		reasons = append(reasons, err)
	}
	return errors.Join(reasons...)
}

var errNothingNew = errors.New("gossip: the peer has no newer snapshot")

func (c *Client) fetchFrom(ctx context.Context, p Peer) error {
	patience := askTimeout
	if c.cfg.Views.Current() == nil {
		patience = min(patience, firstAsk<<min(c.fails, 10))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := ask(ctx, c.cfg.Dialer, p, c.cfg.Link.ID)
	if err != nil {
		return err
	}
	defer a.close()
	return c.fetchOn(a)
}

// fetchOn does so on an open stream.
func (c *Client) fetchOn(a *asker) error {
	if err := c.fetchFiles(a); err != nil {
		return err
	}
	if err := c.takeNotices(a); err != nil {
		return err
	}
	if c.chain == nil || a.hello.epoch <= c.state.Epoch {
		return c.nothingNew(a)
	}
	raw, s, err := a.newest(c.base(time.Now()), func(h *directory.Head) error { return c.chain.VerifySigned(h, c.state) })
	if err != nil {
		return err
	}
	var proof directory.Proof
	if s.Header.Epoch > c.state.Epoch {
		if proof, err = a.proof(c.state, s.Header.LogSize); err != nil && !errors.Is(err, errUnknown) {
			return err
		}
	}
	if err := c.install(raw, s, proof, time.Now()); err != nil {
		return c.contested(a, raw, s, err)
	}
	return nil
}

// base returns the stored snapshot, verified, from which a difference may lead to
// a newer one. Nil: there is none, or it is of no use any more. It is read anew
// for each fetch: a few times a day it costs less than to keep it in memory.
func (c *Client) base(now time.Time) *directory.Snapshot {
	state, raw, err := c.loadSnapshot()
	if err != nil || raw == nil || state.Header != c.state.Header {
		return nil
	}
	s, err := directory.ParseSnapshot(raw)
	if err != nil {
		return nil
	}
	if _, err := c.chain.Restore(s, state, now); err != nil {
		return nil
	}
	return s
}

// fetchFiles takes up versions of the network file that the peer has and this
// client lacks.
func (c *Client) fetchFiles(a *asker) error {
	have := uint64(0)
	if c.chain != nil {
		have = c.chain.Current().Version
	}
	if uint64(a.hello.fileVersion) <= have {
		return nil
	}
	raws, err := a.files(uint32(have) + 1)
	if err != nil {
		return err
	}
	now := time.Now()
	var chain *directory.Chain
	if c.chain == nil {
		chain, err = directory.VerifyChain(c.cfg.Link.ID, raws, now)
	} else {
		chain, err = c.chain.Extend(raws, now)
	}
	if err != nil {
		return err
	}
	if err := c.cfg.State.Save(nameFiles, appendFiles(nil, chain.Raw(1))); err != nil {
		return fmt.Errorf("gossip: save network file: %w", err)
	}
	if c.chain == nil && c.state.LogSize == 0 {
		c.state = chain.InitialState()
	}
	c.chain = chain
	return nil
}

// install verifies a snapshot and saves it and the state that forbids older
// ones before anybody uses it.
func (c *Client) install(raw []byte, s *directory.Snapshot, p directory.Proof, now time.Time) error {
	view, next, err := c.chain.Verify(s, c.state, p, now)
	if err != nil {
		return err
	}
	if err := c.inspect(s, view, now); err != nil {
		return err
	}
	if err := c.saveSnapshot(next, raw); err != nil {
		return err
	}
	before := c.cfg.Views.Current()
	c.state, c.next = next, time.Time{}
	c.cfg.Views.Set(view)
	c.settle(&s.Head, before, now)
	c.log.Info("new snapshot", logEpoch, view.Epoch(), logCount, len(view.Relays()))
	return nil
}
