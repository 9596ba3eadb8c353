// Package rpc serves a messenger to programs: JSON-RPC 2.0, one object per
// line, over a reader and a writer (standard input and output).
//
// Requests start in the order of their lines; answers may overtake each other,
// but sends to one contact keep their order. Events follow as notifications
// after subscribe. The package owns the text form of requests, answers and
// events; what they mean is the messenger's.
package rpc

import (
	"context"

	"hearsay/chat"
)

// Backend is the messenger as this package sees it. Its methods are called
// concurrently.
type Backend interface {
	Status() chat.Status
	Path(contact string) (chat.Path, bool)
	NetworkView(ctx context.Context) (chat.NetworkView, error)
	NewCircuits(ctx context.Context) error
	SetCover(ctx context.Context, name string) error
	Consent(ctx context.Context) error

	CreateInviteOnce(ctx context.Context, name, key string) (chat.Invite, error)
	Invites(ctx context.Context) ([]chat.Invite, error)
	RevokeInvite(ctx context.Context, id string) error
	AcceptInvite(ctx context.Context, link, name string) (chat.Contact, error)
	AskContact(ctx context.Context, link, name, as, text string) (chat.Contact, error)
	CreateAddress(ctx context.Context, label string) (chat.Address, error)
	Addresses(ctx context.Context) ([]chat.Address, error)
	RevokeAddress(ctx context.Context, id string) error
	Requests(ctx context.Context) ([]chat.Request, error)
	AcceptRequest(ctx context.Context, id, name string) (chat.Contact, error)
	RejectRequest(ctx context.Context, id string, block bool) error

	Contacts(ctx context.Context) ([]chat.Contact, error)
	RenameContact(ctx context.Context, contact, name string) error
	BlockContact(ctx context.Context, contact string) error
	UnblockContact(ctx context.Context, contact string) error
	RemoveContact(ctx context.Context, contact string) error
	VerifyContact(ctx context.Context, contact, number string) error
	CompareWords(ctx context.Context, contact string) error
	VerifyWords(ctx context.Context, contact, words string) error
	SetConversation(ctx context.Context, contact string, c chat.ConversationChange) error
	MarkDisplayed(ctx context.Context, contact string, upto uint64) error

	// StartSend returns once the text has its place behind those before it; wait
	// returns when it is on the disk.
	StartSend(ctx context.Context, contact, text string, o chat.SendOptions) (wait func() (chat.Message, error))
	Messages(ctx context.Context, contact string, after uint64, limit int) ([]chat.Message, error)
	MessagesBefore(ctx context.Context, contact string, before uint64, limit int) ([]chat.Message, error)
	Why(ctx context.Context, message string) (chat.Why, error)
	Retry(ctx context.Context, message string) error
	React(ctx context.Context, message, emoji string) error
	Edit(ctx context.Context, message, text string) error
	Delete(ctx context.Context, message string, both bool) error
	Search(ctx context.Context, text, contact string, limit int) ([]chat.Message, error)
	Export(ctx context.Context, contact, path string) (int, error)

	SendFile(ctx context.Context, contact, path string, o chat.SendFileOptions) (chat.File, error)
	FetchFile(ctx context.Context, id string, burst bool) error
	PauseFile(ctx context.Context, id string) error
	SaveFile(ctx context.Context, id, path string) error
	CancelFile(ctx context.Context, id string) error
	Files(ctx context.Context, contact string) ([]chat.File, error)

	CreateGroupOnce(ctx context.Context, name string, contacts []string, key string) (chat.Group, error)
	AddMember(ctx context.Context, group, contact string) error
	RemoveMember(ctx context.Context, group, contact string) error
	RenameGroup(ctx context.Context, group, name string) error
	LeaveGroup(ctx context.Context, group string) error
	Groups(ctx context.Context) ([]chat.Group, error)

	Lock(ctx context.Context) error
	Unlock(ctx context.Context, passphrase []byte) error
	ChangePassphrase(ctx context.Context, old, passphrase []byte) error
	Wipe(ctx context.Context) error
	Backup(ctx context.Context, path string, passphrase []byte, history bool) error

	Subscribe() *chat.Subscription
	SubscribeSince(ctx context.Context, since uint64) (*chat.Subscription, error)
}

var _ Backend = (*chat.Messenger)(nil)

// Ready fills the first line: the home is open and requests are taken.
type Ready struct {
	Network string // name
	Lab     bool
	Known   bool // false until the network file was fetched once: both are null
}
