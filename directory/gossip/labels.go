package gossip

// Domain-separation labels (SPEC.md §5.1 and §8.1).
const (
	labelSet   = "hearsay/1 set"
	labelPeers = "hearsay/1 gossip peers"
)
