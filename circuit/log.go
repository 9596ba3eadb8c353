package circuit

// Attribute keys of log records. No relay, address or destination is logged:
// a path is what circuits are there to hide.
const (
	keyReason = "reason"
	keyCount  = "count"
)
