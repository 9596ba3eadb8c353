package relay

import (
	"context"
	"time"
)

// lifetime is the context of a circuit that ends when the channel is closed. A
// context of the standard library would cost each idle circuit 500 bytes, for
// the few that ever need one.
type lifetime chan struct{}

// Deadline returns that there is none.
func (l lifetime) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is closed at the end of the circuit.
func (l lifetime) Done() <-chan struct{} { return l }

// Err returns context.Canceled after the end.
func (l lifetime) Err() error {
	select {
	case <-l:
		return context.Canceled
	default:
		return nil
	}
}

// Value returns nil.
func (l lifetime) Value(any) any { return nil }
