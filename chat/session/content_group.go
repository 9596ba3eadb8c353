package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Specification constants of groups (SPEC.md §6.6).
const (
	MaxGroupParents = 4   // messages that one names as those before it
	IntroTags       = 64  // contacts that one introduction asks about
	MaxOpsPerFrame  = 512 // operations of a roster in one message; also the most of one roster

)

// GroupID names a group; drawn at random by who makes it.
type GroupID [16]byte

// MemberID names a member in one group; drawn at random by who adds it. It
// proves nothing: the author of a message is the contact whose session brought
// it.
type MemberID [16]byte

// GroupText is the content of a FrameGroup message (SPEC.md §6.6).
type GroupText struct {
	Group   GroupID
	Epoch   uint32     // operations in the author's roster, from 1
	Roster  [16]byte   // first half of the hash of that roster
	Seq     uint64     // the author's messages in this group are numbered from 1
	Parents [][16]byte // ids of the last messages that the author knew: at most 4, rising
	Text    Text
}

// Append appends the content; ErrFormat if it is one that ParseGroupText
// refuses.
func (g GroupText) Append(b []byte) ([]byte, error) {
	if g.Group == (GroupID{}) || g.Epoch == 0 || g.Seq == 0 || len(g.Parents) > MaxGroupParents || !rising(g.Parents) {
		return nil, fmt.Errorf("group text: %w", ErrFormat)
	}
	b = append(b, g.Group[:]...)
	b = binary.BigEndian.AppendUint32(b, g.Epoch)
	b = append(b, g.Roster[:]...)
	b = binary.BigEndian.AppendUint64(b, g.Seq)
	b = append(b, byte(len(g.Parents)))
	for _, p := range g.Parents {
		b = append(b, p[:]...)
	}
	return g.Text.Append(b)
}

// ParseGroupText parses the content of a FrameGroup message.
func ParseGroupText(content []byte) (GroupText, error) {
	var g GroupText
	r := reader{b: content}
	g.Group = GroupID(r.bytes(16))
	g.Epoch = r.uint32()
	g.Roster = [16]byte(r.bytes(16))
	g.Seq = r.uint64()
	n := int(r.byte())
	if g.Group == (GroupID{}) || g.Epoch == 0 || g.Seq == 0 || n > MaxGroupParents {
		r.fail()
	}
	for range n {
		if r.bad {
			break
		}
		g.Parents = append(g.Parents, [16]byte(r.bytes(16)))
	}
	if r.bad || !rising(g.Parents) {
		return GroupText{}, fmt.Errorf("parse group text: %w", ErrFormat)
	}
	var err error
	if g.Text, err = ParseText(r.b); err != nil {
		return GroupText{}, fmt.Errorf("parse group text: %w", err)
	}
	return g, nil
}

// ID is the message id that a frame with this content must carry if author wrote
// it. ErrFormat as Append.
func (g GroupText) ID(author MemberID) ([16]byte, error) {
	text, err := g.Text.Append(nil)
	if err != nil {
		return [16]byte{}, err
	}
	h := hash(labelGroup, g.Group[:], author[:], binary.BigEndian.AppendUint64(nil, g.Seq), text)
	return [16]byte(h[:16]), nil
}

func rising(ids [][16]byte) bool {
	for i := 1; i < len(ids); i++ {
		if bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
			return false
		}
	}
	return true
}

// GroupForm says what a FrameGroupOp message is.
type GroupForm byte

// The forms of FrameGroupOp (SPEC.md §6.6).
const (
	GroupOps   GroupForm = 1 // operations of the roster, by its admin
	GroupLeave GroupForm = 2 // the sender leaves
	GroupWant  GroupForm = 3 // asks the admin for the operations above Epoch
	GroupKnown GroupForm = 4 // answers an introduction: the asker knows the sender already
)

// GroupOp is the content of a FrameGroupOp message. Fields are set as the form
// asks.
type GroupOp struct {
	Group  GroupID
	Form   GroupForm
	Epoch  uint32   // GroupOps: of the first operation, from 1; GroupWant: the last that is known
	You    MemberID // GroupOps: who the receiver is
	Ops    [][]byte // GroupOps: 1 to 512 encoded operations
	Member MemberID // GroupKnown: who the sender is
	Nonce  [16]byte // GroupKnown: of the introduction that is answered
}

// Append appends the content of g, which must be one that ParseGroupOp accepts.
func (g GroupOp) Append(b []byte) []byte {
	b = append(b, g.Group[:]...)
	b = append(b, byte(g.Form), 0, 0, 0)
	switch g.Form {
	case GroupOps:
		b = binary.BigEndian.AppendUint32(b, g.Epoch)
		b = append(b, g.You[:]...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(g.Ops)))
		for _, op := range g.Ops {
			b = binary.BigEndian.AppendUint16(b, uint16(len(op)))
			b = append(b, op...)
		}
	case GroupWant:
		b = binary.BigEndian.AppendUint32(b, g.Epoch)
	case GroupKnown:
		b = append(b, g.Member[:]...)
		b = append(b, g.Nonce[:]...)
	}
	return b
}

// ParseGroupOp parses the content of a FrameGroupOp message, the operations
// included.
func ParseGroupOp(content []byte) (GroupOp, error) {
	var g GroupOp
	r := reader{b: content}
	g.Group = GroupID(r.bytes(16))
	g.Form = GroupForm(r.byte())
	r.zero(3)
	if g.Group == (GroupID{}) {
		r.fail()
	}
	switch g.Form {
	case GroupOps:
		g.Epoch = r.uint32()
		g.You = MemberID(r.bytes(16))
		n := int(r.uint16())
		if g.You == (MemberID{}) || g.Epoch == 0 || n == 0 || n > MaxOpsPerFrame {
			r.fail()
		}
		for i := 0; i < n && !r.bad; i++ {
			op := r.bytes(int(r.uint16()))
			if r.bad {
				break
			}
			if _, err := ParseRosterOp(op); err != nil {
				r.fail()
			}
			g.Ops = append(g.Ops, slices.Clone(op))
		}
	case GroupLeave:
	case GroupWant:
		g.Epoch = r.uint32()
	case GroupKnown:
		g.Member = MemberID(r.bytes(16))
		g.Nonce = [16]byte(r.bytes(16))
		if g.Member == (MemberID{}) {
			r.fail()
		}
	default:
		r.fail()
	}
	if err := r.done(); err != nil {
		return GroupOp{}, fmt.Errorf("parse group operation: %w", err)
	}
	return g, nil
}

// IntroForm says what a FrameIntro message is.
type IntroForm byte

// The forms of FrameIntro (SPEC.md §6.6).
const (
	IntroAsk  IntroForm = 1 // From wants a session with To
	IntroLink IntroForm = 2 // From made an invite for To
)

// Intro is the content of a FrameIntro message, which goes from one member to
// another through a third who has sessions with both.
type Intro struct {
	Group    GroupID
	Form     IntroForm
	From, To MemberID
	Nonce    [16]byte           // drawn by who asks; the answer names it
	Tags     [IntroTags][8]byte // IntroAsk: State.IntroTag of From's contacts, or random
	Link     string             // IntroLink: the text of a one-time invite, LinkLength bytes
}

// Append appends the content of i, which must be one that ParseIntro accepts.
func (i Intro) Append(b []byte) []byte {
	b = append(b, i.Group[:]...)
	b = append(b, byte(i.Form), 0, 0, 0)
	b = append(b, i.From[:]...)
	b = append(b, i.To[:]...)
	b = append(b, i.Nonce[:]...)
	switch i.Form {
	case IntroAsk:
		for _, t := range i.Tags {
			b = append(b, t[:]...)
		}
	case IntroLink:
		b = append(b, i.Link...)
	}
	return b
}

// ParseIntro parses the content of a FrameIntro message. The link is not
// checked: ParseLink does that.
func ParseIntro(content []byte) (Intro, error) {
	var i Intro
	r := reader{b: content}
	i.Group = GroupID(r.bytes(16))
	i.Form = IntroForm(r.byte())
	r.zero(3)
	i.From = MemberID(r.bytes(16))
	i.To = MemberID(r.bytes(16))
	i.Nonce = [16]byte(r.bytes(16))
	if i.Group == (GroupID{}) || i.From == (MemberID{}) || i.To == (MemberID{}) || i.From == i.To {
		r.fail()
	}
	switch i.Form {
	case IntroAsk:
		for n := range i.Tags {
			i.Tags[n] = [8]byte(r.bytes(8))
		}
	case IntroLink:
		i.Link = string(r.bytes(LinkLength))
	default:
		r.fail()
	}
	if err := r.done(); err != nil {
		return Intro{}, fmt.Errorf("parse introduction: %w", err)
	}
	return i, nil
}

// IntroTag is the same on both sides of a session, and known to nobody else. By
// it a member finds out whether the one who wants to meet it is a contact
// already, without telling the member between them (SPEC.md §6.6).
func (s *State) IntroTag(group GroupID, from, to MemberID) [8]byte {
	m := mac(s.ratchet.th[:], []byte(labelIntro), group[:], from[:], to[:])
	return [8]byte(m[:8])
}
