package relay

// Service answers relay messages 0x40–0x5F at the last hop of a circuit. The
// mailbox implements it without importing this package.
type Service interface {
	// Open starts a session for one mailbox stream of a circuit, before its
	// first message. reply sends a message back to the client on that stream;
	// it blocks while the client gives no credit and fails when the stream or
	// circuit is gone; it is safe for concurrent use.
	Open(reply func(command, flags byte, stream uint16, data []byte) error) ServiceSession
}

// ServiceSession is the service's side of one mailbox stream.
type ServiceSession interface {
	// Message takes one message, in order. data is valid during the call only.
	// It may block, which holds back the client's credit. An error destroys the
	// circuit.
	Message(command, flags byte, stream uint16, data []byte) error
	// Close ends the session when the stream or circuit is gone. Idempotent.
	Close()
}
