package link

import (
	"log/slog"

	"hearsay/directory"
)

// Attribute keys of log records. Addresses are never logged, not even those of
// relays: an anonymous peer must not become visible by a mistake of the caller.
const (
	keyRelay  = "relay"
	keyReason = "reason"
)

func relayAttr(id directory.RelayID) slog.Attr { return slog.String(keyRelay, id.String()) }
