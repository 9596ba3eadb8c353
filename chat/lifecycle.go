package chat

import "context"

// takeBye takes that the contact removed us.
func (*turn) takeBye(*contact) error { return nil }

// RenameContact gives a contact another name, which stays on this disk.
func (m *Messenger) RenameContact(context.Context, string, string) error { return errUnbuilt }

// BlockContact drops what a contact sends from now on, and sends nothing.
func (m *Messenger) BlockContact(context.Context, string) error { return errUnbuilt }

// UnblockContact ends what BlockContact began.
func (m *Messenger) UnblockContact(context.Context, string) error { return errUnbuilt }

// RemoveContact tells the contact, deletes its queues, and erases keys and
// history.
func (m *Messenger) RemoveContact(context.Context, string) error { return errUnbuilt }
