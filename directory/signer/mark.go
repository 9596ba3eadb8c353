package signer

import (
	"time"

	"hearsay/directory"
)

// Mark is what a signer's operator says of a relay: it goes into the signer's
// votes until it ends, at most 90 days.
type Mark struct {
	Relay  directory.RelayID
	Flags  directory.VoteFlags // VoteWatch, VoteMiddleOnly, VoteExclude or VoteApprove
	Reason string              // in plain words, at most 120 bytes; empty for VoteApprove
	Until  time.Time           // whole days
}
