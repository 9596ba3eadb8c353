// Package mailbox is the queue service of a relay and its wire protocol: the
// relay messages 0x40 to 0x54 that travel inside the last layer of a circuit
// whose destination is a mailbox relay (SPEC.md).
//
// A queue belongs to whoever holds its Ed25519 key and takes blocks of 1024
// bytes from whoever holds its send capability. The relay answers a block with
// OK only after it is on the disk, and gives a signed custody receipt with it.
//
// Invariants: nothing is answered with OK before its transaction is committed
// and synced; an error of the disk ends the service rather than a promise; a
// missing queue cannot be told from a wrong key; no identifier and no address
// is ever logged.
//
// The package knows nothing of circuits, contacts or contents. It does not
// import package relay: a Session takes messages and gives replies through a
// function. The clients of package chat use the message types and the checks of
// receipts from here.
package mailbox
