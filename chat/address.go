package chat

import (
	"context"
	"time"

	"hearsay/chat/store"
)

// Address is a permanent address of ours, which any number of people may use to
// ask for contact.
type Address struct {
	ID     string `json:"id"` // "a_…"
	Link   string `json:"link"`
	Label  string `json:"label,omitempty"`
	Effort int    `json:"effort"`          // bits of work that a request costs now
	State  string `json:"state,omitempty"` // making, published, with the reason in words if it is not
}

// Request is a stranger's wish to become a contact.
type Request struct {
	ID      string    `json:"id"` // "r_…"
	Address string    `json:"address,omitempty"`
	Name    string    `json:"name"` // as the stranger calls themselves
	Text    string    `json:"text"`
	Time    time.Time `json:"time"`
	Effort  int       `json:"effort"` // bits of work
}

// request is a pending request, owned by the keeper.
type request struct{}

// viaRecord says how a contact came.
type viaRecord struct{}

func (*book) loadRequests(*store.Tx) error { return nil }

// CreateAddress makes a permanent address; label stays on this disk.
func (m *Messenger) CreateAddress(context.Context, string) (Address, error) {
	return Address{}, errUnbuilt
}

// Addresses lists the addresses.
func (m *Messenger) Addresses(context.Context) ([]Address, error) { return nil, errUnbuilt }

// RevokeAddress ends an address; contacts made through it stay.
func (m *Messenger) RevokeAddress(context.Context, string) error { return errUnbuilt }

// Requests lists the pending requests, oldest first.
func (m *Messenger) Requests(context.Context) ([]Request, error) { return nil, errUnbuilt }

// AcceptRequest makes a contact of a request.
func (m *Messenger) AcceptRequest(context.Context, string, string) (Contact, error) {
	return Contact{}, errUnbuilt
}

// RejectRequest drops a request without a word to the stranger; block refuses the
// same key for ever.
func (m *Messenger) RejectRequest(context.Context, string, bool) error { return errUnbuilt }

// Invites lists the open one-time invites, oldest first.
func (m *Messenger) Invites(context.Context) ([]Invite, error) { return nil, errUnbuilt }

// RevokeInvite ends an open invite.
func (m *Messenger) RevokeInvite(context.Context, string) error { return errUnbuilt }
