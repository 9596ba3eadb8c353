package chat

import "hearsay/chat/store"

// HomeState is what can be told of a profile without opening it.
type HomeState struct {
	Exists     bool // there is a store
	Encrypted  bool // it asks for a passphrase
	HasNetwork bool // it remembers its network: every store does
}

// Inspect looks at a home directory without changing it. A directory that does
// not exist is an empty home. It fails if files are damaged or may be read by
// others.
func Inspect(home string) (HomeState, error) {
	exists, passphrase, err := store.Exists(home)
	return HomeState{Exists: exists, Encrypted: passphrase, HasNetwork: exists}, err
}
