package chat

import "context"

// Lock erases the keys of history and sessions from memory. What arrives is
// sealed to a key of this disk and opened after Unlock.
func (m *Messenger) Lock(context.Context) error { return errUnbuilt }

// Unlock ends what Lock began; ErrPassphrase if the passphrase is wrong.
func (m *Messenger) Unlock(context.Context, []byte) error { return errUnbuilt }

// ChangePassphrase protects the store with another passphrase; an empty one
// leaves file mode alone.
func (m *Messenger) ChangePassphrase(_ context.Context, _, _ []byte) error { return errUnbuilt }

// Wipe erases the keys of the profile, then its files, and closes it.
func (m *Messenger) Wipe(context.Context) error { return errUnbuilt }
