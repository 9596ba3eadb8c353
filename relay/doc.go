// Package relay runs the nodes of a network: the switch that moves cells of
// circuits from hop to hop, the relay node around it with its keys and its
// home directory, and the directory node that a founder runs.
//
// A Switch serves the circuit streams of a link.Endpoint. For each circuit it
// keeps one onion layer and at most two streams, one towards the client and
// one towards the next hop. Two goroutines own them, one for each direction:
//
//	client side ──read batch──▶ open layer ──▶ one write ──▶ next hop
//	client side ◀──one write── seal layer ◀──read batch── next hop
//	                               ▲
//	                               └── own replies, at most 28 waiting
//
// A batch is what has arrived, at most 32 cells, in one pooled buffer; it is
// opened or sealed in place. What arrives while a write is blocked is read ahead
// into a ring, and nothing more once that is full, so the memory of a circuit is
// bounded by its buffers and the windows of the links; the heap as a
// whole is watched (SPEC.md §5). Closing a circuit resets both streams, in
// both directions, without a reason; it may happen from any goroutine and any
// number of times.
//
// The package does not choose paths, knows no contacts and reads no mailbox
// message: a Service does. SPEC.md beside this file owns the state table, the
// limits, the timeouts and the key files.
package relay
