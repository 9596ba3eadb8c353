package chat

import (
	"context"
	"errors"
	"time"
)

// NetworkView is the network as this profile sees and uses it.
type NetworkView struct {
	Network     string        `json:"network"`
	Lab         bool          `json:"lab"`
	Epoch       uint64        `json:"epoch"`
	SnapshotAge time.Duration `json:"snapshot_age"` // nanoseconds in JSON, as all durations here; 0: no snapshot
	Signatures  int           `json:"signatures"`   // under the snapshot
	Signers     int           `json:"signers"`      // that the network file names
	Threshold   int           `json:"threshold"`    // signatures that a snapshot needs
	ClockSkew   time.Duration `json:"clock_skew"`

	Relays    []RelayView   `json:"relays"` // listed, by name
	Guards    int           `json:"guards"` // listed relays that may be guards
	Mailboxes int           `json:"mailboxes"`
	Circuits  []CircuitView `json:"circuits"`

	Guard      string        `json:"guard,omitempty"` // name of the guard in use; empty: none
	GuardSince time.Time     `json:"guard_since,omitzero"`
	Layer2     []string      `json:"layer2,omitempty"` // names
	Family     float64       `json:"family"`           // of the circuits' relays, the part of the largest family, 0 to 1
	Cover      string        `json:"cover"`
	CoverMB    int           `json:"cover_mb"`           // a day
	Queues     int           `json:"queues"`             // that we read
	Single     int           `json:"single"`             // of them, with one copy alone
	NextMove   time.Time     `json:"next_move,omitzero"` // of a queue
	Burst      time.Duration `json:"burst,omitempty"`    // how long a burst goes on; 0: none
}

// RelayView is a listed relay.
type RelayView struct {
	ID      string    `json:"id"`   // 52 characters
	Name    string    `json:"name"` // words drawn from the id
	Guard   bool      `json:"guard"`
	Mailbox bool      `json:"mailbox"`
	Address string    `json:"address"` // as its descriptor says
	Family  string    `json:"family,omitempty"`
	Up      time.Time `json:"up,omitzero"`     // since when it has been up, as measured; zero: unknown
	Listed  time.Time `json:"listed,omitzero"` // since when
	Marks   []string  `json:"marks,omitempty"` // of the signers, in words
	Role    string    `json:"role,omitempty"`  // guard or layer 2: what it is to us
}

// CircuitView is a circuit in the names that people read.
type CircuitView struct {
	ID          string        `json:"id"`
	Purpose     string        `json:"purpose"`
	Relays      []string      `json:"relays"` // guard, layer-2 guard, middle; fewer while building
	Destination string        `json:"destination,omitempty"`
	State       string        `json:"state"`
	RTT         time.Duration `json:"rtt,omitempty"`
}

// NetworkView describes the network, its relays and the circuits in use. It fails
// with no_network before the first snapshot.
func (m *Messenger) NetworkView(context.Context) (NetworkView, error) {
	return NetworkView{}, errors.ErrUnsupported
}

// NewCircuits builds anew every circuit that nothing waits on, over the same
// guards: paths that are slow or suspect are left without changing whom we trust.
func (m *Messenger) NewCircuits(context.Context) error { return errors.ErrUnsupported }

// Retry tries at once what waits of a message that is queued or stored at too few
// relays. A failed message stays failed: it is written again by its user. It fails
// with not_found, or refused if nothing waits.
func (m *Messenger) Retry(_ context.Context, message string) error { return errors.ErrUnsupported }
