package directory

// Domain-separation labels (SPEC.md §1.3). A signature or hash made under one
// of them is valid under no other.
const (
	labelNetworkID = "hearsay/1 network id"
	labelNetwork   = "hearsay/1 network"
	labelCert      = "hearsay/1 certificate"
	labelDesc      = "hearsay/1 descriptor"
	labelLeave     = "hearsay/1 leave"
	labelHeader    = "hearsay/1 snapshot"
	labelToken     = "hearsay/1 token"
	labelFamily    = "hearsay/1 family"
	labelGossipKey = "hearsay/1 key"
	labelSRV       = "hearsay/1 srv"
	labelVote      = "hearsay/1 vote"
)

// labelPrefix begins every label; a document's type is what follows it.
const labelPrefix = "hearsay/1 "
