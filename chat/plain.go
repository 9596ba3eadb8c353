package chat

import (
	"regexp"
	"strings"
)

// packageNames finds the names of our packages, which stand before the texts of
// errors for those who read code.
var packageNames = regexp.MustCompile(`(^|: )(?:(?:abuse|anonymity|audit|cell|chat|circuit|credit|directory|gossip|lab|link|mailbox|onion|path|relay|rpc|session|signer|speed|store|sybil|tui): )+`)

// PlainError returns the text of an error as people read it: one harmless line
// without names of packages.
func PlainError(err error) string {
	return packageNames.ReplaceAllString(strings.ReplaceAll(Sanitize(err.Error()), "\n", " "), "$1")
}
