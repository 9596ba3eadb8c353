package link

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Attribute keys of log records. Addresses are never logged, not even those of
// relays: an anonymous peer must not become visible by a mistake of the caller.
const (
	keyRelay  = "relay"
	keyReason = "reason"
)

// relayAttr names a relay in a node's log. In a client's it names none: whom a
// client dials is its guard.
func (e *Endpoint) relayAttr(id directory.RelayID) slog.Attr {
	if e.creds.Load() == nil {
		return slog.Attr{}
	}
	return slog.String(keyRelay, id.String())
}

// reason says in words why a connection failed or ended. Errors of sockets name
// addresses, so their own text goes neither into logs nor into errors.
func reason(err error) string {
	var (
		idle      *quic.IdleTimeoutError
		handshake *quic.HandshakeTimeoutError
		reset     *quic.StatelessResetError
		transport *quic.TransportError
		app       *quic.ApplicationError
		stream    *quic.StreamError
	)
	switch {
	case err == nil:
		return "closed"
	case errors.As(err, &handshake):
		return "no answer"
	case errors.As(err, &idle):
		return "silent for too long"
	case errors.As(err, &reset):
		return "the peer restarted"
	case errors.As(err, &transport) && transport.ErrorCode.IsCryptoError():
		return "TLS handshake failed"
	case errors.As(err, &transport) && transport.ErrorCode == quic.ConnectionRefused:
		return "refused"
	case errors.As(err, &transport):
		return "QUIC error"
	case errors.As(err, &app), errors.As(err, &stream), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by the peer"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "given up"
	case ours(err):
		return err.Error()
	}
	return "network error"
}

// ours reports whether the text of an error is from this package or the cell
// codec, and so names no address.
func ours(err error) bool {
	for _, e := range []error{
		ErrClosed, ErrUnreachable, ErrWrongKey, ErrWrongNet, ErrDraining, cell.ErrFormat,
		errHelloVersion, errHelloProof, errNotTheRelay,
		errControlOrder, errControlTrim, errControlShape, errControlType,
		errShapeOften, errShapeProfile, errShapeBurst, errShapeWarm, errShapeAnswer, errShapeUnread,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
