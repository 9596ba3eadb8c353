package signer

import "log/slog"

// Attribute keys of this package's log lines.
const (
	logRelay  = "relay"  // relay id
	logEpoch  = "epoch"  // epoch number
	logReason = "reason" // why something failed or was decided
	logListed = "listed" // number of relays
)

// orDiscard stands in for a logger that was not given.
func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
