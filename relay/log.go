package relay

import (
	"errors"

	"hearsay/circuit/onion"
)

// Attribute keys of log records. No record names a client, a circuit or a
// contact.
const (
	logReason = "reason"
	logError  = "error"
)

// reason names the end of a circuit without saying whose it was.
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
	case errors.Is(err, errLoad), errors.Is(err, errTooMuch), errors.Is(err, errCredit):
		return "limit"
	case errors.Is(err, errSendMe):
		return "sendme"
	}
	return "stream ended"
}
