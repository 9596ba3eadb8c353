package mailbox

// Domain separation labels (SPEC.md §2). Each is hashed with the zero byte that
// ends it here.
const (
	labelRID         = "hearsay/1 rid\x00"
	labelSID         = "hearsay/1 sid\x00"
	labelAuth        = "hearsay/1 mbox\x00"
	labelWork        = "hearsay/1 work\x00"
	labelCustody     = "hearsay/1 custody\x00"
	labelCustodyCert = "hearsay/1 custody cert\x00"
	labelDummy       = "hearsay/1 mbox dummy\x00"
)
