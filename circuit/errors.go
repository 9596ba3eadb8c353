package circuit

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers decide on.
var (
	// ErrClosed is wrapped by what fails because the circuit or the pool is
	// gone. The text says why.
	ErrClosed = errors.New("circuit: closed")
	// ErrDestination is wrapped by an error of Pool.Get when the destination
	// itself is the reason: it is not listed, or several middles could not reach
	// it. Another destination may work at once.
	ErrDestination = errors.New("circuit: the mailbox relay cannot be reached")
	// ErrRefused is wrapped when the last hop refuses a stream.
	ErrRefused = errors.New("circuit: the relay refused the stream")
)

// BusyError is what Echo returns when the hop answers that it is at its limit.
type BusyError struct {
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("circuit: the relay answers no more echoes for %v", e.RetryAfter)
}

// errViolation is wrapped by everything that a hop must not send; it destroys
// the circuit. Nobody but tests and people learn what it was.
var errViolation = errors.New("a relay broke the protocol")

func violation(what string) error { return fmt.Errorf("%w: %s", errViolation, what) }
