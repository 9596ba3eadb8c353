package directory

// Domain-separation labels (SPEC.md §1.3). A signature or hash made under one
// of them is valid under no other.
const (
	labelNetworkID   = "hearsay/1 network id"
	labelNetwork     = "hearsay/1 network"
	labelCert        = "hearsay/1 certificate"
	labelDesc        = "hearsay/1 descriptor"
	labelLeave       = "hearsay/1 leave"
	labelHeader      = "hearsay/1 snapshot"
	labelToken       = "hearsay/1 token"
	labelTokenKey    = "hearsay/1 token key"
	labelTokenUse    = "hearsay/1 token use"
	labelVouch       = "hearsay/1 vouch"
	labelPoW         = "hearsay/1 pow"
	labelFamily      = "hearsay/1 family"
	labelGossipKey   = "hearsay/1 key"
	labelSRV         = "hearsay/1 srv"
	labelSRVCommit   = "hearsay/1 srv commit"
	labelSRVNumber   = "hearsay/1 srv number"
	labelBlind       = "hearsay/1 blind"
	labelBlindNonce  = "hearsay/1 blind nonce"
	labelAddressSeal = "hearsay/1 address record"
	labelAddressSign = "hearsay/1 address signature"
	labelPlacement   = "hearsay/1 placement"
	labelWitness     = "hearsay/1 witness"
	labelVote        = "hearsay/1 vote"
	labelEcho        = "hearsay/1 echo"
	labelCosign      = "hearsay/1 cosign"
	labelCard        = "hearsay/1 card"
	labelSuccessor   = "hearsay/1 successor"
	labelRootWords   = "hearsay/1 root words"
)

// labelPrefix begins every label; a document's type is what follows it.
const labelPrefix = "hearsay/1 "
