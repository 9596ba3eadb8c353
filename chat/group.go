package chat

import (
	"context"

	"hearsay/chat/session"
	"hearsay/chat/store"
)

// Group is a conversation among up to 32 people, each of whom sends to each.
type Group struct {
	ID      string   `json:"id"` // "g_…"
	Name    string   `json:"name"`
	Members []string `json:"members"` // contact ids, oneself left out
	State   string   `json:"state"`   // active, left, removed
	Admin   bool     `json:"admin,omitempty"`
	Warning string   `json:"warning,omitempty"` // rosters that contradict each other, in words

	Settings *Conversation `json:"settings,omitempty"`
}

// group is a group conversation, owned by the keeper.
type group struct{}

// groupOrigin says who wrote a message of a group, and who has it.
type groupOrigin struct{}

func (*book) loadGroups(*store.Tx) error { return nil }

func (*turn) takeGroupText(*contact, session.Message) error { return nil }

func (*turn) takeGroupOp(*contact, session.Message) error { return nil }

func (*turn) takeIntro(*contact, session.Message) error { return nil }

// settleGroups tells what changed about the copies of group messages that go to
// this contact.
func (*turn) settleGroups(*contact) error { return nil }

// failGroupCopy takes that a copy of a group message was given up.
func (*turn) failGroupCopy(*contact, string, uint64, string) error { return nil }

// startGroupSend begins to send a text to a group.
func (m *Messenger) startGroupSend(context.Context, string, string, SendOptions) func() (Message, error) {
	return func() (Message, error) { return Message{}, errUnbuilt }
}

// groupMessages is Messages for a group.
func (*turn) groupMessages(string, uint64, int) ([]Message, error) { return nil, errUnbuilt }

// CreateGroup makes a group of contacts and tells them.
func (m *Messenger) CreateGroup(context.Context, string, []string) (Group, error) {
	return Group{}, errUnbuilt
}

// AddMember adds a contact to a group that we administer.
func (m *Messenger) AddMember(context.Context, string, string) error { return errUnbuilt }

// RemoveMember removes a contact from a group that we administer.
func (m *Messenger) RemoveMember(context.Context, string, string) error { return errUnbuilt }

// RenameGroup gives a group another name, for all.
func (m *Messenger) RenameGroup(context.Context, string, string) error { return errUnbuilt }

// LeaveGroup leaves a group.
func (m *Messenger) LeaveGroup(context.Context, string) error { return errUnbuilt }

// Groups lists the groups in the order in which they were made.
func (m *Messenger) Groups(context.Context) ([]Group, error) { return nil, errUnbuilt }
