package relay

import (
	"context"
	"fmt"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// fileSuccessor is the founders' notice that names another network, in a founder's
// home: what its directory node publishes.
const fileSuccessor = "successor"

// successorCheck is how often a running directory node looks for a new notice in
// its home.
const successorCheck = 10 * time.Second

// saveSuccessor keeps a notice for the directory node to publish.
func (h *home) saveSuccessor(s *directory.Successor) error {
	if err := h.write(fileSuccessor, s.Bytes()); err != nil {
		return fmt.Errorf("keep the notice: %w", err)
	}
	return nil
}

// publishSuccessor hands the home's notice to gossip, now and whenever it changes.
// A notice that does not verify is named in the log: founders may have been
// replaced since it was signed.
func (n *DirectoryNode) publishSuccessor(ctx context.Context, g *gossip.Node) {
	every := time.NewTicker(successorCheck)
	defer every.Stop()
	var last string
	for {
		raw, err := n.home.read(fileSuccessor)
		if err != nil {
			n.log.Warn("the notice of a successor cannot be read", logError, err)
		} else if raw != nil && string(raw) != last {
			last = string(raw)
			if err := g.AddSuccessor(raw); err != nil {
				n.log.Warn("the notice of a successor is not published", logError, err)
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}
