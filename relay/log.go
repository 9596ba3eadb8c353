package relay

import (
	"errors"

	"hearsay/circuit/onion"
)

// logError is an attribute key of log records. No record names a client, a
// circuit or a contact, and none is written per client or circuit: its time
// alone would tell who was there.
const logError = "error"

// reason names the end of a circuit for the trace of tests.
func reason(err error) string {
	switch {
	case err == nil:
		return "closed"
	case errors.Is(err, errProtocol):
		return "protocol"
	case errors.Is(err, onion.ErrLayer):
		return "cell does not open"
	case errors.Is(err, onion.ErrHandshake):
		return "handshake"
	case errors.Is(err, errLoad), errors.Is(err, errRefused), errors.Is(err, errFull), errors.Is(err, errTooMuch), errors.Is(err, errCredit):
		return "limit"
	case errors.Is(err, errSendMe):
		return "sendme"
	}
	return "stream ended"
}
