package chat

import (
	"context"
	"time"

	"hearsay/circuit"
)

// network is how the messenger reaches mailbox relays. The circuits of package
// circuit are one implementation; the tests have another.
type network interface {
	// Run serves until ctx ends.
	Run(ctx context.Context) error
	// Circuit returns a circuit to the request's destination, for one mailbox
	// stream and one user.
	Circuit(ctx context.Context, r circuit.Request) (mailRoute, error)
	// Circuits describes all circuits.
	Circuits() []circuit.Info
	// Why says in words why no circuit can be built now, or "".
	Why() string
}

// mailRoute is one circuit to a mailbox relay.
type mailRoute interface {
	Mailbox(ctx context.Context) (circuit.Stream, error)
	// Retire is closed when a replacement should be built.
	Retire() <-chan struct{}
	// Tick is the time between two cells on a shaped link, else zero.
	Tick() time.Duration
	Info() circuit.Info
	Close()
}

// post is an open mailbox over a circuit of its own: a circuit carries one
// mailbox stream only.
type post struct {
	*mailboxClient
	route mailRoute
}

// Close ends the mailbox stream and its circuit.
func (p *post) Close() {
	_ = p.mailboxClient.Close()
	p.route.Close()
}

// patience is how long to wait for an answer after the question has left: at
// least the given time and two ticks, and three round trips.
func (p *post) patience(least time.Duration) time.Duration {
	return max(least+2*p.route.Tick(), 3*p.route.Info().RTT)
}

// openPost reaches a mailbox relay over a circuit that nobody else uses: one that
// was left for this use, or a new one.
func (m *Messenger) openPost(ctx context.Context, r circuit.Request) (*post, error) {
	if p := m.left.take(r.Isolation); p != nil {
		if p.Relay() == r.Destination {
			return p, nil
		}
		p.Close()
	}
	r.Fresh = true
	ctx, cancel := context.WithTimeout(ctx, m.timing().openMail)
	defer cancel()
	route, err := m.net.Circuit(ctx, r)
	if err != nil {
		return nil, err
	}
	stream, err := route.Mailbox(ctx)
	if err != nil {
		route.Close()
		return nil, err
	}
	client, err := openMailbox(ctx, stream, mailboxConfig{
		Network: m.link.ID, Relay: r.Destination, Lab: m.isLab(),
		Now: func() time.Time { return m.snapshotTime(time.Now()) },
	})
	if err != nil {
		route.Close()
		return nil, err
	}
	m.reach.note(r.Destination)
	return &post{client, route}, nil
}

// gate bounds how many senders and polls are at work at once. Who waits presses
// those that stay open without work to leave.
type gate struct {
	tokens  chan struct{}
	pressed chan struct{} // capacity 1
}

func newGate(n int) *gate {
	return &gate{tokens: make(chan struct{}, n), pressed: make(chan struct{}, 1)}
}

func (g *gate) enter(ctx context.Context) error {
	select {
	case g.tokens <- struct{}{}:
		return nil
	default:
	}
	wake(g.pressed)
	select {
	case g.tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.tokens }
