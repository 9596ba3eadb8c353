package relay

import (
	"path/filepath"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// KnownRelays returns the relays that a home has heard of. It asks nobody, and the
// home may be in use.
func KnownRelays(dir string) ([]directory.RelayID, error) {
	chain, err := FounderChain(dir)
	if err != nil {
		return nil, err
	}
	return gossip.KnownRelays(filepath.Join(dir, dirGossip), chain)
}
