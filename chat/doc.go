// Package chat is the messenger: contacts, invites, the outbox, the delivery
// ledger and the events that people and scripts see. It seals and opens
// messages with chat/session, keeps everything that must survive a crash in
// chat/store, and reaches mailbox relays over the circuits of package circuit.
//
// Two rules hold everywhere. What a relay or a contact could see is on disk
// before it is sent: ratchet step, sealed frame, outbox row and ledger row are
// one transaction. And no state is shown that is not proven: stored needs
// custody receipts that verify up to the relay's identity, delivered needs the
// acknowledgement of the other side.
//
// One goroutine, the keeper, owns all durable state; the workers of the queues
// and the methods of Messenger send it operations. SPEC.md beside this file
// tells the state machines, the schema of the store and every timer.
//
// The files are named for their parts: contacts come by invite*.go, address*.go
// and request.go; texts leave through outbox.go and arrive through inbox.go;
// queues move in move.go; sessions are set up again in reset.go; file*.go,
// group*.go and conversation.go hold what their names say.
package chat
