package mailbox

import (
	"errors"
	"fmt"
	"time"
)

// Specification constants (SPEC.md §3).
const (
	Version = 1 // of OPEN and HELLO

	BlockSize     = 1024
	IDSize        = 24 // of a RID, a SID and a LID
	MessageIDSize = 8
	MACSize       = 16
	SigSize       = 64
	DataSize      = 1072 // most bytes in one command
	LinkSize      = LinkParts * BlockSize
	LinkParts     = 2

	PushWindow  = 16  // unacknowledged pushed blocks of one queue
	PollWindow  = 64  // blocks of one poll
	SendWindow  = 16  // SENDs without a reply
	OtherWindow = 16  // other commands without a reply
	ListMax     = 128 // message ids in one IDS
	QueuesMax   = 8   // queues that one stream may read
	NewMax      = 8   // NEWs of one circuit
	FailuresMax = 8   // failures after which a stream is refused
	PutMax      = 8   // address records that one stream may store

	// RememberHours is how long a relay knows the message id of a block.
	RememberHours = 22 * 24
	// TombstoneHours is how long a deleted queue cannot be created again.
	TombstoneHours = 30 * 24
	// WorkBits is the work that NEW costs outside of lab networks.
	WorkBits = 20

	// GrantSends is how many SENDs to an address queue one WORK pays for: the
	// blocks of one request.
	GrantSends = 4
	// GrantsMax is the number of paid requests that an address queue holds.
	GrantsMax = 64
	// GrantBits is the work for a request at an empty address queue outside of
	// lab networks, where it is 0; every GrantStep pending ones cost one bit
	// more, GrantRise bits at most.
	GrantBits = 22
	GrantStep = 8
	GrantRise = 4
	// GrantQueues is the number of queues that one stream may pay for.
	GrantQueues = 8
)

// Hour returns the length of the protocol's hour: 3600 s, and in lab networks
// 60 s, which divides all lifetimes by 60 (SPEC.md §3.2).
func Hour(lab bool) time.Duration {
	if lab {
		return time.Minute
	}
	return time.Hour
}

// Hours returns t in whole protocol hours since 1970.
func Hours(t time.Time, lab bool) uint32 {
	return uint32(max(0, t.Unix()) / int64(Hour(lab)/time.Second))
}

// Command is the code of a relay message of the mailbox.
type Command byte

// The commands (SPEC.md §3).
const (
	CmdOpen    Command = 0x40
	CmdHello   Command = 0x41
	CmdNew     Command = 0x42
	CmdSub     Command = 0x43
	CmdMsg     Command = 0x44
	CmdAck     Command = 0x45
	CmdSend    Command = 0x46
	CmdOK      Command = 0x47
	CmdErr     Command = 0x48
	CmdList    Command = 0x49
	CmdIDs     Command = 0x4A
	CmdSetLink Command = 0x4B
	CmdGetLink Command = 0x4C
	CmdLink    Command = 0x4D
	CmdWork    Command = 0x4E
	CmdRotCap  Command = 0x4F
	CmdDel     Command = 0x50
	CmdEnd     Command = 0x51
	CmdPut     Command = 0x52
	CmdGet     Command = 0x53
	CmdRecord  Command = 0x54
)

var commandNames = [...]string{"OPEN", "HELLO", "NEW", "SUB", "MSG", "ACK", "SEND", "OK", "ERR", "LIST", "IDS", "SETLINK", "GETLINK", "LINK", "WORK", "ROTCAP", "DEL", "END", "PUT", "GET", "RECORD"}

// String returns the name of the command.
func (c Command) String() string {
	if c < CmdOpen || c > CmdRecord {
		return fmt.Sprintf("mailbox command %#02x", byte(c))
	}
	return commandNames[c-CmdOpen]
}

// Code is the reason of an ERR (SPEC.md §3.10).
type Code byte

// The codes of ERR.
const (
	CodeAuth     Code = 1 // no such queue, or a key that does not fit; the two cannot be told apart
	CodeQuota    Code = 2 // the queue is full
	CodeBusy     Code = 3 // the relay takes no blocks now; the argument is seconds to wait
	CodeWork     Code = 4 // too little work; the argument is the bits asked for
	CodeUsed     Code = 5 // the link was opened by another reader; NEW: the queue was deleted
	CodeVersion  Code = 6 // the argument is the highest version
	CodeLimit    Code = 7 // a limit of the stream or a kind that this relay does not serve
	CodeConflict Code = 8 // same id, other content
	CodeFull     Code = 9 // the relay takes no new queues now
)

var codeNames = [...]string{"", "AUTH", "QUOTA", "BUSY", "WORK", "USED", "VERSION", "LIMIT", "CONFLICT", "FULL"}

// String returns the name of the code.
func (c Code) String() string {
	if c == 0 || c > CodeFull {
		return fmt.Sprintf("code %d", byte(c))
	}
	return codeNames[c]
}

// Kind is what a queue is for; it fixes capacity and lifetimes.
type Kind byte

// The kinds of queues that exist.
const (
	KindInvite  Kind = 0
	KindChat    Kind = 1
	KindAddress Kind = 2 // takes requests of strangers, each against work
	KindFile    Kind = 3 // a segment of a file; both sides hold the key
	KindDrop    Kind = 4 // a meeting place of contacts who lost each other; both hold the key
)

// Limits are the fixed figures of a kind, in blocks and protocol hours.
type Limits struct {
	Capacity uint16 // unread blocks
	TTL      uint16 // of a block, if NEW asks for none
	MaxTTL   uint16
	Idle     uint32 // the queue dies so long after its last SUB; 0: TTL after its creation
	HasLink  bool
	Lock     bool // the link is bound to the first reader
	Work     bool // a SEND needs a grant
	Bulk     bool // SENDs have the rate of files
	// Held says that a message id is known for as long as its block is held,
	// not for RememberHours.
	Held bool
}

// Limits returns the figures of the kind, and false for kinds that do not exist.
func (k Kind) Limits() (Limits, bool) {
	switch k {
	case KindInvite:
		return Limits{Capacity: 64, TTL: 7 * 24, MaxTTL: 30 * 24, HasLink: true, Lock: true}, true
	case KindChat:
		return Limits{Capacity: 512, TTL: 21 * 24, MaxTTL: 21 * 24, Idle: 30 * 24}, true
	case KindAddress:
		return Limits{Capacity: GrantsMax * GrantSends, TTL: 21 * 24, MaxTTL: 21 * 24, Idle: 180 * 24, HasLink: true, Work: true}, true
	case KindFile:
		return Limits{Capacity: 512, TTL: 72, MaxTTL: 72, Idle: 72, Bulk: true, Held: true}, true
	case KindDrop:
		return Limits{Capacity: 64, TTL: 72, MaxTTL: 72, Idle: 72}, true
	}
	return Limits{}, false
}

// EndReason says why a subscription ended.
type EndReason byte

// The reasons of END.
const (
	EndTakenOver EndReason = 1
	EndDeleted   EndReason = 2
	EndExpired   EndReason = 3
)

// RID names a queue towards its owner and its relay: the hash of its key.
type RID [IDSize]byte

// SID names a queue towards its senders and its relay.
type SID [IDSize]byte

// LID names the blob of an invite.
type LID [IDSize]byte

// MessageID names a block within a queue.
type MessageID [MessageIDSize]byte

// ErrMalformed is returned by every parser of this package for data that is not
// exactly one encoding of its command.
var ErrMalformed = errors.New("mailbox: malformed command")

func malformed(c Command) error { return fmt.Errorf("parse %s: %w", c, ErrMalformed) }
