package abuse

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
)

// honest is the process of clients that keep to the rules.
type honest struct {
	target target

	mu     sync.Mutex
	took   []time.Duration // of what steady has built since the last sample
	failed int
	why    string

	stop context.CancelFunc // ends steady
	done sync.WaitGroup
}

func newHonest() operations {
	h := &honest{}
	return operations{
		"target":  op(func(t target) (any, error) { h.target = t; return nil, nil }),
		"build":   op(h.build),
		"connect": op(h.connect),
		"steady":  op(func(a loadArgs) (any, error) { return nil, h.steady(a) }),
		"sample":  op(func(none) (any, error) { return h.sample(), nil }),
		"rest":    op(func(none) (any, error) { h.rest(); return nil, nil }),
	}
}

// quantiles sum up how long something took.
type quantiles struct {
	N             int
	P50, P95, Max time.Duration
}

func summarize(d []time.Duration) quantiles {
	if len(d) == 0 {
		return quantiles{}
	}
	slices.Sort(d)
	return quantiles{N: len(d), P50: d[len(d)/2], P95: d[len(d)*95/100], Max: d[len(d)-1]}
}

func (q quantiles) String() string {
	return fmt.Sprintf("p95 %v of %d", q.P95.Round(10*time.Microsecond), q.N)
}

// link makes a link from a socket of its own.
func (h *honest) link(ctx context.Context) (e *link.Endpoint, l *link.Link, err error) {
	err = persist(func() error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		e, l, err = h.linkOnce(ctx)
		return err
	})
	return e, l, err
}

func (h *honest) linkOnce(ctx context.Context) (*link.Endpoint, *link.Link, error) {
	e, err := link.New(link.Config{
		Role: link.RoleClient, Network: h.target.Network, Lab: true,
		ListenPacket: func() (net.PacketConn, error) { return listenLoopback() },
	})
	if err != nil {
		return nil, nil, err
	}
	r := h.target.Relay
	l, err := e.Link(ctx, link.Target{ID: r.ID, LinkKey: r.LinkKey, Addrs: r.Addrs})
	if err != nil {
		e.Close()
		return nil, nil, err
	}
	return e, l, nil
}

// loadArgs say how much an honest client does.
type loadArgs struct {
	Links, Count int // so many circuits on each link
	Every        time.Duration
}

// loadResult tells how it went.
type loadResult struct {
	Took   quantiles
	Failed int
	Why    string // of the last that failed
}

// build makes circuits of one hop on warm links, one after the other, no
// faster than the limits allow.
func (h *honest) build(a loadArgs) (any, error) {
	var mu sync.Mutex
	var all []time.Duration
	var result loadResult
	var wg sync.WaitGroup
	errs := make(chan error, a.Links)
	for i := range a.Links {
		wg.Go(func() {
			<-time.After(a.Every * time.Duration(i) / time.Duration(a.Links)) // not all at once
			e, l, err := h.link(context.Background())
			if err != nil {
				errs <- err
				return
			}
			defer func() { e.Close() }()
			tick := time.NewTicker(a.Every)
			defer tick.Stop()
			for range a.Count {
				began := time.Now()
				err := persist(func() error {
					select {
					case <-l.Done():
						next, fresh, err := h.link(context.Background())
						if err != nil {
							return err
						}
						e.Close()
						e, l = next, fresh
					default:
					}
					return h.create(l)
				})
				mu.Lock()
				if err != nil {
					result.Failed++
					result.Why = err.Error()
				} else {
					all = append(all, time.Since(began))
				}
				mu.Unlock()
				<-tick.C
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
	}
	result.Took = summarize(all)
	return result, nil
}

// steady makes circuits of one hop until rest, one after the other on each of
// some warm links. It returns when there are the links.
func (h *honest) steady(a loadArgs) error {
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	for i := range a.Links {
		e, l, err := h.link(ctx)
		if err != nil {
			return err
		}
		h.done.Go(func() {
			defer e.Close()
			wait := a.Every * time.Duration(i) / time.Duration(a.Links) // not all at once
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(wait):
				}
				began := time.Now()
				err := h.create(l)
				took := time.Since(began)
				h.mu.Lock()
				if err != nil {
					h.failed++
					h.why = err.Error()
				} else {
					h.took = append(h.took, took)
				}
				h.mu.Unlock()
				wait = max(0, a.Every-took)
			}
		})
	}
	return nil
}

// sample tells what steady has built since the last sample.
func (h *honest) sample() loadResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := loadResult{Took: summarize(h.took), Failed: h.failed, Why: h.why}
	h.took, h.failed, h.why = nil, 0, ""
	return r
}

// rest ends steady.
func (h *honest) rest() {
	h.stop()
	h.done.Wait()
}

// create makes a circuit of one hop and closes it.
func (h *honest) create(l *link.Link) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := l.Open(ctx, link.KindCircuit)
	if err != nil {
		return err
	}
	defer func() { s.CancelWrite(0); s.CancelRead(0) }()
	c, err := newCreate(h.target, 0)
	if err != nil {
		return err
	}
	if _, err := s.Write(c.cells); err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	_, err = c.finish(s)
	return err
}

// create is a CREATE on its way.
type create struct {
	h     *onion.ClientHandshake
	cells []byte
}

func newCreate(t target, slot int) (*create, error) {
	h, msg, err := onion.NewClientHandshake(rand.Reader, onion.Params{
		Network: t.Network, Identity: t.Relay.ID, OnionKey: t.Relay.OnionKey, OnionEpoch: t.Relay.OnionEpoch,
		Options: cell.Options{HasSlot: true, Slot: slot},
	})
	if err != nil {
		return nil, err
	}
	b := make([]byte, 2*cell.Size)
	cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Create, msg)
	return &create{h, b}, nil
}

// finish reads CREATED.
func (c *create) finish(r io.Reader) (*onion.Layer, error) {
	asm := cell.Assembler{Type: cell.Created}
	b := make([]byte, cell.Size)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		msg, whole, err := asm.Add(b)
		if err != nil {
			return nil, err
		}
		if whole {
			l, _, err := c.h.Finish(msg)
			return l, err
		}
	}
}

// connect makes new links, one after the other.
func (h *honest) connect(a loadArgs) (any, error) {
	var all []time.Duration
	var result loadResult
	for range a.Count {
		began := time.Now()
		err := persist(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			e, l, err := h.linkOnce(ctx)
			if err == nil { // the peer has answered: the link serves
				err = l.Confirm(ctx)
				e.Close()
			}
			return err
		})
		if err != nil {
			result.Failed++
			result.Why = err.Error()
		} else {
			all = append(all, time.Since(began))
		}
		if rest := a.Every - time.Since(began); rest > 0 {
			<-time.After(rest)
		}
	}
	result.Took = summarize(all)
	return result, nil
}
