package circuit

import (
	"context"
	"time"

	"hearsay/directory"
)

// Purpose says what a circuit is for; it is shown to people and never sent.
type Purpose string

// The purposes.
const (
	Send      Purpose = "send"
	Subscribe Purpose = "subscribe"
	Directory Purpose = "directory"
	File      Purpose = "file"
	Spare     Purpose = "spare"
)

// Request asks a Pool for a circuit.
type Request struct {
	// Isolation keeps uses apart: two requests share a circuit only if purpose,
	// isolation and destination are equal.
	Isolation string
	Purpose   Purpose
	// Destination is the mailbox relay that the circuit is extended to. Zero:
	// the circuit ends at the middle.
	Destination directory.RelayID
	// Fresh asks for a circuit that was never handed out, although one with the
	// same isolation may be open (hedged sends).
	Fresh bool
	// Bulk circuits give way to all others and, while a burst runs on a shaped
	// link (see Client.Burst), pass its ticks. The end of the burst is theirs too.
	Bulk bool
	// Patient lets other requests go first while builds are scarce (polls).
	Patient bool
	// Front is for what a user of this side waits for, never for what others can
	// cause: builds may take more of the ticks, and the circuit is asked by PING
	// before others.
	Front bool
}

// Info describes a circuit to people.
type Info struct {
	ID          string
	Purpose     Purpose
	Path        []directory.RelayID // guard, layer-2 guard, middle; fewer while building
	Destination directory.RelayID   // zero if none
	State       string              // "building", "open", "closed"
	RTT         time.Duration       // last measured, 0 unknown
	Reason      string              // why it closed, in words
}

// Event tells what happened to a circuit or to the guard.
type Event struct {
	Type    EventType
	Circuit Info   // of EventBuilt and EventClosed
	Detail  string // in words
}

// EventType is the type of an Event.
type EventType int

// The events.
const (
	EventBuilt EventType = iota
	EventClosed
	EventGuardChanged
	EventWarning // something about guards that people should know
)

// State persists what must survive a restart: guards and the layer-2 set. The
// chat store implements it, encrypted.
type State interface {
	// Load returns the value, or nil if there is none.
	Load(name string) ([]byte, error)
	Save(name string, value []byte) error
}

// Message is one relay message of a stream, without its stream id.
type Message struct {
	Command byte
	Flags   byte
	Data    []byte // owned by the receiver, at most cell.DataSize bytes
}

// Stream carries relay messages between the client and the last hop of one
// circuit, in order. Send and Recv may be used concurrently with each other,
// but each by one goroutine at a time.
type Stream interface {
	// Send queues one message for the destination; it blocks while there is no
	// credit. It returns once the cell was handed to the link.
	Send(ctx context.Context, command, flags byte, data []byte) error
	// Recv returns the next message of this stream.
	Recv(ctx context.Context) (Message, error)
	// Close ends the stream; it does not close the circuit.
	Close() error
	// Done is closed when the circuit under the stream is gone.
	Done() <-chan struct{}
}
