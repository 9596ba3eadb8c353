package chat

import "hearsay/chat/store"

// HomeState is what can be told of a profile without opening it.
type HomeState struct {
	Exists     bool // there is a store
	Encrypted  bool // it asks for a passphrase
	HasNetwork bool // it remembers its network: every store does
}

// Inspect looks at a home directory without changing it. A directory that does
// not exist is an empty home. It fails with ErrHomeOpen if others may
// read it, or with an Error of kind io if a file is damaged.
func Inspect(home string) (HomeState, error) {
	exists, passphrase, err := store.Exists(home)
	if err != nil {
		return HomeState{}, homeError(err)
	}
	return HomeState{Exists: exists, Encrypted: passphrase, HasNetwork: exists}, nil
}
