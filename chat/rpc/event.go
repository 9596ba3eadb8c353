package rpc

import (
	"hearsay/chat"
	"hearsay/circuit"
)

// eventShape is the params of an event. Which members are there is told by the
// type; all others are left out.
type eventShape struct {
	Seq  uint64         `json:"seq"`
	Type chat.EventType `json:"type"`

	Message  *messageShape      `json:"message,omitempty"`
	ID       string             `json:"id,omitempty"` // of message, invite, circuit or file
	Contact  string             `json:"contact,omitempty"`
	Name     *string            `json:"name,omitempty"`
	State    string             `json:"state,omitempty"`
	Verified *bool              `json:"verified,omitempty"`
	Copies   *chat.Copies       `json:"copies,omitempty"`
	Members  *chat.Copies       `json:"delivered,omitempty"`
	Words    string             `json:"words,omitempty"`
	Request  *requestShape      `json:"request,omitempty"`
	Group    string             `json:"group,omitempty"`
	Change   *string            `json:"change,omitempty"`
	Settings *conversationShape `json:"settings,omitempty"`
	File     *fileShape         `json:"file,omitempty"`
	Done     *int64             `json:"done,omitempty"`
	Size     *int64             `json:"size,omitempty"`
	Paused   bool               `json:"paused,omitempty"`
	Burst    bool               `json:"burst,omitempty"`
	Saved    string             `json:"saved,omitempty"` // where the file is
	Relays   *int               `json:"relays,omitempty"`
	Epoch    *uint64            `json:"epoch,omitempty"`
	Purpose  circuit.Purpose    `json:"purpose,omitempty"`
	Path     []string           `json:"path,omitempty"`
	RTT      any                `json:"rtt_ms,omitempty"` // null if unknown
	Reason   *string            `json:"reason,omitempty"`
	Kind     string             `json:"kind,omitempty"`
	Detail   *string            `json:"detail,omitempty"`
	Oldest   *uint64            `json:"oldest,omitempty"`
}

// shapeEvent returns the params of an event, or nil for one without the part
// that its type asks for.
func shapeEvent(ev chat.Event) any {
	e := &eventShape{Seq: ev.Seq, Type: ev.Type}
	if !e.fillConversation(ev) && !e.fillNetwork(ev) {
		return nil
	}
	return e
}

// fillConversation takes what an event tells of messages and people; false if it
// is of another type or incomplete.
func (e *eventShape) fillConversation(ev chat.Event) bool {
	switch ev.Type {
	case chat.MessageReceived, chat.MessageChanged:
		if ev.Message == nil {
			return false
		}
		m := shapeMessage(*ev.Message)
		e.Message = &m
	case chat.MessageStateChanged:
		if ev.Message == nil {
			return false
		}
		e.ID, e.Contact, e.State, e.Copies = ev.Message.ID, ev.Message.Contact, string(ev.Message.State), ev.Message.Copies
		e.Members, e.Detail = ev.Message.Delivered, &ev.Detail
	case chat.ContactAdded, chat.ContactStateChanged, chat.ContactWords, chat.ContactRemoved, chat.InviteUsed:
		if ev.Contact == nil {
			return false
		}
		e.Contact, e.ID, e.Words = ev.Contact.ID, ev.Invite, ev.Words
		switch ev.Type {
		case chat.ContactAdded:
			e.Name = &ev.Contact.Name
		case chat.ContactStateChanged:
			e.Name, e.State, e.Verified = &ev.Contact.Name, string(ev.Contact.State), &ev.Contact.Verified
		}
		if ev.Detail != "" {
			e.Detail = &ev.Detail
		}
	case chat.ConversationChanged:
		switch {
		case ev.Contact != nil:
			e.Contact = ev.Contact.ID
			e.Settings = shapeConversation(ev.Contact.Settings)
		case ev.Group != nil:
			e.Contact, e.Settings = ev.Group.ID, shapeConversation(ev.Group.Settings)
		default:
			return false
		}
		e.Detail = &ev.Detail
	case chat.RequestReceived:
		if ev.Request == nil {
			return false
		}
		r := shapeRequest(*ev.Request)
		e.Request = &r
	case chat.GroupChanged:
		if ev.Group == nil {
			return false
		}
		e.Group, e.Name, e.Change = ev.Group.ID, &ev.Group.Name, &ev.Detail
		if ev.Contact != nil {
			e.Contact = ev.Contact.ID
		}
	case chat.FileProgress:
		if ev.File == nil {
			return false
		}
		e.ID, e.Contact, e.State, e.Done, e.Size = ev.File.ID, ev.File.Contact, string(ev.File.State), &ev.File.Done, &ev.File.Size
		e.Paused, e.Burst, e.Saved = ev.File.Paused, ev.File.Burst, ev.File.Path
		if ev.File.Detail != "" {
			e.Detail = &ev.File.Detail
		}
	default:
		return false
	}
	return true
}

// fillNetwork takes what an event tells of the network and of the program.
func (e *eventShape) fillNetwork(ev chat.Event) bool {
	switch ev.Type {
	case chat.NetworkReady:
		e.Relays, e.Epoch = &ev.Relays, &ev.Epoch
	case chat.CircuitBuilt:
		if ev.Circuit == nil {
			return false
		}
		e.ID, e.Purpose, e.Path, e.RTT = ev.Circuit.ID, ev.Circuit.Purpose, shapePath(ev.Circuit.Path), shapeRTT(ev.Circuit.RTT)
	case chat.CircuitClosed:
		if ev.Circuit == nil {
			return false
		}
		e.ID, e.Reason = ev.Circuit.ID, &ev.Circuit.Reason
	case chat.ErrorEvent:
		e.Kind, e.Detail = ev.Kind, &ev.Detail
	case chat.GuardChanged:
		e.Detail = &ev.Detail
	case chat.Resync:
		e.Oldest = &ev.Oldest
	case chat.ProfileLocked, chat.ProfileUnlocked:
	default:
		return false
	}
	return true
}

// event undoes shapeEvent.
func (e *eventShape) event() chat.Event {
	ev := chat.Event{Seq: e.Seq, Type: e.Type, Kind: e.Kind, Words: e.Words}
	if e.Detail != nil {
		ev.Detail = *e.Detail
	}
	if e.Contact != "" {
		ev.Contact = &chat.Contact{ID: e.Contact, State: chat.ContactState(e.State)}
		if e.Name != nil {
			ev.Contact.Name = *e.Name
		}
		ev.Contact.Verified = e.Verified != nil && *e.Verified
	}
	switch e.Type {
	case chat.MessageReceived, chat.MessageChanged:
		if e.Message != nil {
			m := e.Message.message()
			ev.Message = &m
		}
	case chat.MessageStateChanged:
		number := chat.MessageNumber(e.ID)
		ev.Contact = nil
		ev.Message = &chat.Message{
			ID: e.ID, Contact: e.Contact, Direction: chat.Out, Seq: number, State: chat.MessageState(e.State), Copies: e.Copies, Delivered: e.Members,
		}
	case chat.InviteUsed:
		ev.Invite = e.ID
	case chat.ConversationChanged:
		if ev.Contact != nil {
			ev.Contact.Settings = e.Settings.conversation()
		}
	case chat.RequestReceived:
		if e.Request != nil {
			r := e.Request.request()
			ev.Request = &r
		}
	case chat.GroupChanged:
		ev.Group = &chat.Group{ID: e.Group}
		if e.Name != nil {
			ev.Group.Name = *e.Name
		}
		if e.Change != nil {
			ev.Detail = *e.Change
		}
	case chat.FileProgress:
		ev.Contact = nil
		ev.File = &chat.File{
			ID: e.ID, Contact: e.Contact, State: chat.FileState(e.State), Detail: ev.Detail, Paused: e.Paused, Burst: e.Burst, Path: e.Saved,
		}
		if e.Done != nil && e.Size != nil {
			ev.File.Done, ev.File.Size = *e.Done, *e.Size
		}
	case chat.CircuitBuilt, chat.CircuitClosed:
		ev.Circuit = &circuit.Info{ID: e.ID, Purpose: e.Purpose, Path: parsePath(e.Path), State: "open"}
		if ms, ok := e.RTT.(float64); ok {
			n := int64(ms)
			ev.Circuit.RTT = parseRTT(&n)
		}
		if e.Reason != nil {
			ev.Circuit.Reason, ev.Circuit.State = *e.Reason, "closed"
		}
	case chat.NetworkReady:
		if e.Relays != nil && e.Epoch != nil {
			ev.Relays, ev.Epoch = *e.Relays, *e.Epoch
		}
	case chat.Resync:
		if e.Oldest != nil {
			ev.Oldest = *e.Oldest
		}
	}
	return ev
}
