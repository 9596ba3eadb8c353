package gossip

import "log/slog"

// Attribute keys of this package's log lines. Addresses are never logged.
const (
	logPeer   = "peer"   // relay id
	logEpoch  = "epoch"  // epoch number
	logReason = "reason" // why something was refused or ended
	logCount  = "count"
	logWait   = "wait" // how long until something is tried again
)

// orDiscard stands in for a logger that was not given.
func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
