package chat

import "hearsay/chat/session"

// Limits of what AskContact takes, in bytes.
const (
	MaxAskName = session.MaxName
	MaxAskText = session.MaxHello
)

// IsAddressLink tells whether a text is a good link of a permanent address, of
// whatever network: its owner is shown a name and a text and decides, while an
// invite is answered at once.
func IsAddressLink(text string) bool {
	link, err := session.ReadLink(text)
	return err == nil && link.Address
}
