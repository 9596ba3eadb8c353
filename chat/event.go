package chat

import "hearsay/circuit"

// EventType names an event as the JSON-RPC interface does.
type EventType string

// The events.
const (
	MessageReceived     EventType = "message.received"
	MessageStateChanged EventType = "message.state"
	ContactAdded        EventType = "contact.added"
	ContactStateChanged EventType = "contact.state"
	ContactWords        EventType = "contact.sas" // the words to compare are known
	ContactRemoved      EventType = "contact.removed"
	MessageChanged      EventType = "message.changed" // edited, deleted, reacted to, disappeared
	ConversationChanged EventType = "conversation.changed"
	RequestReceived     EventType = "request.received" // somebody asks through an address
	FileProgress        EventType = "file.progress"
	GroupChanged        EventType = "group.changed"
	ProfileLocked       EventType = "profile.locked"
	ProfileUnlocked     EventType = "profile.unlocked"
	InviteUsed          EventType = "invite.used"
	NetworkReady        EventType = "network.ready"
	CircuitBuilt        EventType = "circuit.built"
	CircuitClosed       EventType = "circuit.closed"
	GuardChanged        EventType = "guard.changed" // Detail says why
	ErrorEvent          EventType = "error"
	Resync              EventType = "resync" // events were lost: list everything anew
)

// durable tells whether a slow reader must still get the event. What a transaction
// reports of these is on the disk with it, but for locking and unlocking, which
// concern only those who listen now.
func (ev *Event) durable() bool {
	switch ev.Type {
	case MessageReceived, MessageStateChanged, MessageChanged, ContactAdded, ContactStateChanged, ContactWords, ContactRemoved,
		ConversationChanged, RequestReceived, GroupChanged, InviteUsed, Resync, ProfileLocked, ProfileUnlocked:
		return true
	case FileProgress:
		return ev.File != nil && (ev.File.State == FileComplete || ev.File.State == FileFailed)
	}
	return false
}

// Event is one thing that happened. Fields beside Seq and Type are set as the
// type asks.
type Event struct {
	Seq     uint64 // rising, also over restarts
	Type    EventType
	Message *Message      // message.received, message.state
	Contact *Contact      // contact.added, contact.state; invite.used: the new contact
	Invite  string        // invite.used: the invite's id
	Circuit *circuit.Info // circuit.built, circuit.closed
	Relays  int           // network.ready
	Epoch   uint64        // network.ready
	Kind    string        // error
	Detail  string        // message.state, error, guard.changed, in words; group.changed: what changed
	File    *File         // file.progress
	Group   *Group        // group.changed
	Request *Request      // request.received
	Words   string        // contact.sas
	Oldest  uint64        // resync: durable events from this number on are kept
}
