package store

// Domain-separation labels. Each ends with a zero byte (SPEC.md §1).
const (
	labelKeyEncryption = "hearsay/1 keystore kek\x00"
	labelKeyTable      = "hearsay/1 keystore table\x00"
	labelRow           = "hearsay/1 store row\x00"
	labelBucketName    = "hearsay/1 store bucket\x00"
	labelNetworkKey    = "hearsay/1 store network\x00"
	labelBoxKey        = "hearsay/1 store box key\x00"
	labelBox           = "hearsay/1 store box\x00"
	labelRowName       = "hearsay/1 store name\x00"
)
