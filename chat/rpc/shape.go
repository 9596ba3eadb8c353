package rpc

import (
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
)

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

func timeText(t time.Time) string { return t.UTC().Format(timeLayout) }

type readyShape struct {
	V       int     `json:"v"`
	Network *string `json:"network"`
	Lab     *bool   `json:"lab"`
}

type statusShape struct {
	V         int            `json:"v"`
	Network   *string        `json:"network"`
	Ready     bool           `json:"ready"`
	Relays    int            `json:"relays"`
	Circuits  []circuitShape `json:"circuits"`
	ClockSkew float64        `json:"clock_skew_s"`
	Health    chat.Health    `json:"health"`
	Lab       *bool          `json:"lab"`
	Cover     string         `json:"cover"`
	Encrypted bool           `json:"encrypted"`
	Snapshot  *snapshotShape `json:"snapshot"`
	Queued    int            `json:"queued"`
	Warnings  []string       `json:"warnings"`
	Directory []warningShape `json:"network_warnings"`
	Consent   bool           `json:"needs_consent"`
}

type warningShape struct {
	Kind  string `json:"kind"`
	Text  string `json:"text"`
	Since string `json:"since"`
}

type snapshotShape struct {
	Epoch uint64 `json:"epoch"`
	Age   int64  `json:"age_s"`
}

type circuitShape struct {
	ID          string          `json:"id"`
	Purpose     circuit.Purpose `json:"purpose"`
	Path        []string        `json:"path"`
	Destination *string         `json:"destination"`
	State       string          `json:"state"`
	RTT         *int64          `json:"rtt_ms"`
}

type messageShape struct {
	ID        string            `json:"id"`
	Contact   string            `json:"contact"`
	Direction string            `json:"direction"`
	Text      string            `json:"text"`
	Seq       uint64            `json:"seq"`
	Time      string            `json:"time"`
	State     chat.MessageState `json:"state"`
	Late      bool              `json:"late"`
	Copies    *chat.Copies      `json:"copies,omitempty"`
}

type inviteShape struct {
	ID      string `json:"id"`
	Link    string `json:"link"`
	Expires string `json:"expires"`
}

func shapeReady(r Ready) readyShape {
	shape := readyShape{V: version}
	if r.Known {
		shape.Network, shape.Lab = &r.Network, &r.Lab
	}
	return shape
}

func shapeStatus(s chat.Status) statusShape {
	shape := statusShape{
		V: version, Ready: s.Ready, Relays: s.Relays, Circuits: make([]circuitShape, 0, len(s.Circuits)),
		ClockSkew: float64(s.ClockSkew.Milliseconds()) / 1000, Health: s.Health, Cover: s.Cover,
		Encrypted: s.Encrypted, Queued: s.Queued,
		Warnings: append([]string{}, s.Outlook.Warnings...), Consent: s.Outlook.NeedsConsent,
		Directory: make([]warningShape, 0, len(s.Warnings)),
	}
	for _, w := range s.Warnings {
		shape.Directory = append(shape.Directory, warningShape{Kind: w.Kind, Text: w.Text, Since: timeText(w.Since)})
	}
	if s.Network != "" {
		shape.Network, shape.Lab = &s.Network, &s.Lab
	}
	if s.Epoch != 0 {
		shape.Snapshot = &snapshotShape{Epoch: s.Epoch, Age: int64(s.SnapshotAge / time.Second)}
	}
	for _, c := range s.Circuits {
		shape.Circuits = append(shape.Circuits, shapeCircuit(c))
	}
	return shape
}

func shapeCircuit(c circuit.Info) circuitShape {
	shape := circuitShape{ID: c.ID, Purpose: c.Purpose, Path: shapePath(c.Path), State: c.State, RTT: shapeRTT(c.RTT)}
	if c.Destination != (directory.RelayID{}) {
		d := c.Destination.String()
		shape.Destination = &d
	}
	return shape
}

func shapePath(path []directory.RelayID) []string {
	ids := make([]string, len(path))
	for i, id := range path {
		ids[i] = id.String()
	}
	return ids
}

// shapeRTT rounds up, so that a measured round trip is never shown as 0.
func shapeRTT(d time.Duration) *int64 {
	if d <= 0 {
		return nil
	}
	ms := int64((d + time.Millisecond - 1) / time.Millisecond)
	return &ms
}

func shapeMessage(m chat.Message) messageShape {
	return messageShape{
		ID: m.ID, Contact: m.Contact, Direction: m.Direction, Text: m.Text, Seq: m.Seq,
		Time: timeText(m.Time), State: m.State, Late: m.Late, Copies: m.Copies,
	}
}

// eventHead begins the params of every event.
type eventHead struct {
	Seq  uint64         `json:"seq"`
	Type chat.EventType `json:"type"`
}

// shapeEvent returns the params of an event, or nil for one without the part
// that its type asks for.
func shapeEvent(ev chat.Event) any {
	head := eventHead{ev.Seq, ev.Type}
	switch ev.Type {
	case chat.MessageReceived:
		if ev.Message == nil {
			return nil
		}
		return struct {
			eventHead
			Message messageShape `json:"message"`
		}{head, shapeMessage(*ev.Message)}
	case chat.MessageStateChanged:
		if ev.Message == nil {
			return nil
		}
		return struct {
			eventHead
			ID      string            `json:"id"`
			Contact string            `json:"contact"`
			State   chat.MessageState `json:"state"`
			Copies  *chat.Copies      `json:"copies"`
			Detail  string            `json:"detail"`
		}{head, ev.Message.ID, ev.Message.Contact, ev.Message.State, ev.Message.Copies, ev.Detail}
	case chat.ContactAdded:
		if ev.Contact == nil {
			return nil
		}
		return struct {
			eventHead
			Contact string `json:"contact"`
			Name    string `json:"name"`
		}{head, ev.Contact.ID, ev.Contact.Name}
	case chat.ContactStateChanged:
		if ev.Contact == nil {
			return nil
		}
		return struct {
			eventHead
			Contact  string            `json:"contact"`
			State    chat.ContactState `json:"state"`
			Verified bool              `json:"verified"`
		}{head, ev.Contact.ID, ev.Contact.State, ev.Contact.Verified}
	case chat.InviteUsed:
		if ev.Contact == nil {
			return nil
		}
		return struct {
			eventHead
			ID      string `json:"id"`
			Contact string `json:"contact"`
		}{head, ev.Invite, ev.Contact.ID}
	default:
		return shapeVolatile(head, ev)
	}
}

func shapeVolatile(head eventHead, ev chat.Event) any {
	switch ev.Type {
	case chat.NetworkReady:
		return struct {
			eventHead
			Relays int    `json:"relays"`
			Epoch  uint64 `json:"epoch"`
		}{head, ev.Relays, ev.Epoch}
	case chat.CircuitBuilt:
		if ev.Circuit == nil {
			return nil
		}
		return struct {
			eventHead
			ID      string          `json:"id"`
			Purpose circuit.Purpose `json:"purpose"`
			Path    []string        `json:"path"`
			RTT     *int64          `json:"rtt_ms"`
		}{head, ev.Circuit.ID, ev.Circuit.Purpose, shapePath(ev.Circuit.Path), shapeRTT(ev.Circuit.RTT)}
	case chat.CircuitClosed:
		if ev.Circuit == nil {
			return nil
		}
		return struct {
			eventHead
			ID     string `json:"id"`
			Reason string `json:"reason"`
		}{head, ev.Circuit.ID, ev.Circuit.Reason}
	case chat.ErrorEvent:
		return struct {
			eventHead
			Kind   string `json:"kind"`
			Detail string `json:"detail"`
		}{head, ev.Kind, ev.Detail}
	case chat.Resync:
		return struct {
			eventHead
			Oldest uint64 `json:"oldest"`
		}{head, ev.Seq}
	}
	return nil
}
