package session

// Domain-separation labels. Each ends with a zero byte (SPEC.md §1).
const (
	labelLinkKey     = "hearsay/1 link\x00"
	labelLinkEncrypt = "hearsay/1 link enc\x00"
	labelLinkID      = "hearsay/1 link id\x00"
	labelLinkCheck   = "hearsay/1 check\x00"
	labelRequest     = "hearsay/1 request\x00"
	labelExport      = "hearsay/1 export\x00"
	labelTranscript  = "hearsay/1 th\x00"
	labelSessionKeys = "hearsay/1 sk\x00"
	labelQueue       = "hearsay/1 queue\x00"
	labelFrame       = "hearsay/1 frame\x00"
	labelRootKey     = "hearsay/1 rk\x00"
	labelRootKeyPQ   = "hearsay/1 rk pq\x00"
	labelMessageKey  = "hearsay/1 msg\x00"
	labelPQConfirm   = "hearsay/1 pq confirm\x00"
	labelSafety      = "hearsay/1 safety\x00"
)
