package chat

// Domain-separation labels. Each ends with a zero byte.
const (
	labelSpool = "hearsay/1 spool\x00"
)
