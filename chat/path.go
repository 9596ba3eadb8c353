package chat

import "time"

// Path is the circuit that last served a conversation, in the names that
// people read.
type Path struct {
	Relays  []string // guard, layer-2 guard, middle
	Mailbox string   // the mailbox relay at the end
	RTT     time.Duration
	Open    bool // false: it has closed since
}
