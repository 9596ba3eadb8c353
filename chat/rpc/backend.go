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
	CreateInvite(ctx context.Context, name string) (chat.Invite, error)
	AcceptInvite(ctx context.Context, link, name string) (chat.Contact, error)
	Contacts(ctx context.Context) ([]chat.Contact, error)
	// StartSend returns once the text has its place behind those before it; wait
	// returns when it is on the disk.
	StartSend(ctx context.Context, contact, text string) (wait func() (chat.Message, error))
	Messages(ctx context.Context, contact string, after uint64, limit int) ([]chat.Message, error)
	Subscribe() *chat.Subscription
	Consent(ctx context.Context) error
}

// Ready fills the first line: the home is open and requests are taken.
type Ready struct {
	Network string // name
	Lab     bool
	Known   bool // false until the network file was fetched once: both are null
}
