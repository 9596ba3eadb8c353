package chat

import "time"

// ContactState is what a contact is to us.
type ContactState string

// The states of a contact.
const (
	ContactInvited ContactState = "invited" // we accepted their link and wait for the first answer
	ContactActive  ContactState = "active"
	ContactChanged ContactState = "changed" // their key changed: nothing is sent until it was compared
	ContactBlocked ContactState = "blocked" // nothing is sent, and what they send is dropped
)

// Contact describes one contact to people and scripts.
type Contact struct {
	ID           string       `json:"id"` // "c_…", constant for the life of the home
	Name         string       `json:"name"`
	State        ContactState `json:"state"`
	Verified     bool         `json:"verified"`
	SafetyNumber string       `json:"safety_number"` // 12 groups of 5 digits; empty while unknown

	// Problem says in words why a contact will never answer: the invite failed, or
	// they removed us. It is empty if nothing speaks against it.
	Problem string `json:"problem,omitempty"`

	// Asked says in words how far our request to an address of theirs is, until they
	// answer.
	Asked string `json:"asked,omitempty"`

	Introduced string        `json:"introduced,omitempty"` // name of the contact who introduced them for a group
	Settings   *Conversation `json:"settings,omitempty"`

	// Unread counts what came since Displayed, to 999, and Latest is the time of
	// the last message, nil without one. Lists have them, events do not.
	Unread int        `json:"unread,omitempty"`
	Latest *time.Time `json:"latest,omitempty"`
}

// Invite describes a one-time invite that a relay stores.
type Invite struct {
	ID      string    `json:"id"` // "i_…"
	Link    string    `json:"link"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires"`
	State   string    `json:"state,omitempty"`  // waiting, opened
	Opened  int       `json:"opened,omitempty"` // how many readers asked for it, as its relays say
}
