package chat

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// The rows of the store (SPEC.md §3). They are CBOR with small integer keys, so
// that fields can be added.

// queueRecord is one of our own queues at a mailbox relay.
type queueRecord struct {
	Relay directory.RelayID `cbor:"1,keyasint"` // zero: no queue
	Seed  [32]byte          `cbor:"2,keyasint"` // of the Ed25519 key that owns it
	Cap   [32]byte          `cbor:"3,keyasint"` // lets the contact write
	Key   [32]byte          `cbor:"4,keyasint"` // seals the outside of its blocks
	SID   [24]byte          `cbor:"5,keyasint,omitempty"`
	Made  bool              `cbor:"6,keyasint,omitempty"`  // NEW was answered
	Gen   uint32            `cbor:"7,keyasint,omitempty"`  // told to the contact in QADD; 0: in bundle or request
	InUse bool              `cbor:"8,keyasint,omitempty"`  // the contact answered QUSE, or it was in bundle or request
	Acked uint64            `cbor:"9,keyasint,omitempty"`  // highest relay seq whose block is committed
	Link  bool              `cbor:"10,keyasint,omitempty"` // invites: SETLINK was answered
}

// newQueue draws the keys of a queue at a relay.
func newQueue(relay directory.RelayID) queueRecord {
	q := queueRecord{Relay: relay}
	_, _ = rand.Read(q.Seed[:]) // crypto/rand.Read never fails
	_, _ = rand.Read(q.Cap[:])
	_, _ = rand.Read(q.Key[:])
	return q
}

func (q *queueRecord) exists() bool { return q.Relay != directory.RelayID{} }

func (q *queueRecord) owner() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(q.Seed[:]) }

func (q *queueRecord) rid() mailbox.RID { return mailboxRID(q.owner()) }

// addr is what the contact needs to write to the queue; zero while not made.
func (q *queueRecord) addr() session.QAddr {
	if !q.Made {
		return session.QAddr{}
	}
	return session.QAddr{Relay: q.Relay, SID: q.SID, Capability: session.CapabilityFrom(q.Cap), Key: session.QueueKeyFrom(q.Key)}
}

// peerQueue is a queue of the contact that we write to.
type peerQueue struct {
	Addr []byte `cbor:"1,keyasint,omitempty"` // a session.QAddr; empty: none
	Gen  uint32 `cbor:"2,keyasint,omitempty"`

	// A queue that is not followed yet, since the contact names too many, and
	// what the limit counts (SPEC.md §5.1).
	Next    []byte `cbor:"3,keyasint,omitempty"`
	NextGen uint32 `cbor:"4,keyasint,omitempty"`
	Used    int    `cbor:"5,keyasint,omitempty"` // of queueBurst
	Since   int64  `cbor:"6,keyasint,omitempty"` // Unix seconds, from which uses are given back

	Bad int64 `cbor:"7,keyasint,omitempty"` // Unix seconds; the contact was told that it cannot be used

	Untold bool `cbor:"8,keyasint,omitempty"` // there was no room to answer that we write there
}

// contactRecord is what is kept of a contact beside its session.
type contactRecord struct {
	Name   string         `cbor:"1,keyasint"`
	State  ContactState   `cbor:"2,keyasint"`
	Order  uint64         `cbor:"3,keyasint"` // contacts are listed by it
	Own    [2]queueRecord `cbor:"4,keyasint"`
	Old    []oldQueues    `cbor:"5,keyasint,omitempty"` // queues of before that are still read
	Peer   [2]peerQueue   `cbor:"7,keyasint"`
	Claim  *claimRecord   `cbor:"8,keyasint,omitempty"`  // the invite we accepted, until the first answer
	Shown  uint64         `cbor:"9,keyasint,omitempty"`  // highest first seq of a message shown
	Passed uint64         `cbor:"10,keyasint,omitempty"` // missing seq that later messages no longer wait for
	AckDue bool           `cbor:"11,keyasint,omitempty"` // an acknowledgement was sealed but no relay took it
	Early  int            `cbor:"12,keyasint,omitempty"` // ratchet blocks sealed before the first answer
	Active int64          `cbor:"13,keyasint,omitempty"` // Unix seconds of the last message

	Verify   *verifyRecord   `cbor:"14,keyasint,omitempty"` // comparison of keys
	Reset    *resetRecord    `cbor:"15,keyasint,omitempty"` // reset keys and resets under way
	Move     *moveRecord     `cbor:"16,keyasint,omitempty"` // queues that move
	Drop     *dropRecord     `cbor:"17,keyasint,omitempty"` // the queues of last resort
	Settings *settingsRecord `cbor:"18,keyasint,omitempty"` // what people set for the conversation
	Via      *viaRecord      `cbor:"19,keyasint,omitempty"` // how the contact came, if not by a one-time invite
	Life     *lifeRecord     `cbor:"20,keyasint,omitempty"` // introduction, blocking, farewell
}

// claimRecord is the guest's side of an invite.
type claimRecord struct {
	Link    string   `cbor:"1,keyasint"`
	Reader  [32]byte `cbor:"2,keyasint"`           // bound to the link by the first GETLINK
	Since   int64    `cbor:"3,keyasint,omitempty"` // Unix seconds of the first relay's answer
	Bundle  []byte   `cbor:"4,keyasint,omitempty"`
	Claimed [2]bool  `cbor:"5,keyasint"`           // this relay gave the bundle or will not
	Sent    int64    `cbor:"6,keyasint,omitempty"` // Unix seconds of the request
	Repeats int      `cbor:"7,keyasint,omitempty"`
	Failed  string   `cbor:"8,keyasint,omitempty"` // kind of the error that ended it

	Ask *askRecord `cbor:"9,keyasint,omitempty"` // the link is of an address
}

// inviteRecord is an open invite of ours.
type inviteRecord struct {
	Name    string         `cbor:"1,keyasint,omitempty"`
	Secret  []byte         `cbor:"2,keyasint"` // session.Invite
	Blob    []byte         `cbor:"3,keyasint"`
	Queues  [2]queueRecord `cbor:"4,keyasint"`
	Expires int64          `cbor:"5,keyasint"`           // Unix seconds
	Parts   []byte         `cbor:"6,keyasint,omitempty"` // session.RequestAssembler
	Parked  [][]byte       `cbor:"7,keyasint,omitempty"` // inner ratchet blocks that came before the request
	Opened  [2]int         `cbor:"8,keyasint"`           // readers of the link, as its relays say
}

// waitRecord is a message that is not sealed yet, since the window is full or
// there is no session. It has a row of its own, by a running number.
type waitRecord struct {
	Type    byte     `cbor:"1,keyasint"`
	Number  uint64   `cbor:"2,keyasint,omitempty"` // of the message in the history; 0: none
	ID      [16]byte `cbor:"3,keyasint"`           // in the frames
	Content []byte   `cbor:"4,keyasint,omitempty"`
	Group   string   `cbor:"5,keyasint,omitempty"` // Number is in the history of this group; empty: of the contact
	About   uint64   `cbor:"6,keyasint,omitempty"` // number of the message that is amended
}

// outRecord is one sealed frame that the contact has not acknowledged.
type outRecord struct {
	Type     byte      `cbor:"1,keyasint,omitempty"`
	Number   uint64    `cbor:"2,keyasint,omitempty"` // of the message in the history; 0: none
	Inner    []byte    `cbor:"3,keyasint"`
	Body     []byte    `cbor:"4,keyasint,omitempty"`
	Receipts [2][]byte `cbor:"5,keyasint"` // mailbox.Receipt per slot
	Sealed   int64     `cbor:"6,keyasint"` // Unix seconds
	Reseals  int       `cbor:"7,keyasint,omitempty"`
	Last     int64     `cbor:"8,keyasint,omitempty"` // Unix seconds of the last reseal

	Tried [2]*triedRecord `cbor:"12,keyasint"` // per slot; nil: it never left without a receipt

	Group string `cbor:"9,keyasint,omitempty"` // as in waitRecord

	Log   []logRecord `cbor:"10,keyasint,omitempty"` // of the message's ledger
	About uint64      `cbor:"11,keyasint,omitempty"` // as in waitRecord
}

// requestSeq is the number under which the first of the four blocks of a
// request lies among the frames of the outbox; no frame gets there.
const requestSeq = 1 << 63

// heldRecord is a received frame whose message cannot be shown yet.
type heldRecord struct {
	Type    byte     `cbor:"1,keyasint"`
	Index   uint16   `cbor:"2,keyasint,omitempty"`
	Count   uint16   `cbor:"3,keyasint"`
	ID      [16]byte `cbor:"4,keyasint"`
	Content []byte   `cbor:"5,keyasint,omitempty"`
}

// messageRecord is one message of the history. Its number is its seq.
type messageRecord struct {
	Out    bool     `cbor:"1,keyasint,omitempty"`
	Text   string   `cbor:"2,keyasint"`
	Time   int64    `cbor:"3,keyasint"` // Unix milliseconds
	Final  byte     `cbor:"4,keyasint,omitempty"`
	Reason string   `cbor:"5,keyasint,omitempty"`
	Late   bool     `cbor:"6,keyasint,omitempty"`
	ID     [16]byte `cbor:"7,keyasint"` // in the frames

	Kind  byte         `cbor:"8,keyasint,omitempty"`  // kindText if 0
	Reply *[16]byte    `cbor:"9,keyasint,omitempty"`  // id of the message replied to
	Timer uint32       `cbor:"10,keyasint,omitempty"` // seconds after which it disappears; 0: never
	Mark  *markRecord  `cbor:"11,keyasint,omitempty"` // edits, reactions, deletion, expiry
	File  string       `cbor:"12,keyasint,omitempty"` // id of the file that is offered
	Group *groupOrigin `cbor:"13,keyasint,omitempty"` // in the history of a group
	Log   []logRecord  `cbor:"14,keyasint,omitempty"` // its ledger, but for what is in the outbox

	ReplyTo uint64 `cbor:"15,keyasint,omitempty"` // number of the message with the id Reply; 0: not known
}

// The values of messageRecord.Kind.
const (
	kindText        byte = 0
	kindFile        byte = 1
	kindNotice      byte = 2 // said by the program, such as a change of keys
	kindUnsupported byte = 3
)

// The values of messageRecord.Final: 0 of an own message means on its way.
const (
	finalDelivered byte = 1
	finalFailed    byte = 2
)

func encode(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("chat: encode %T: %v", v, err)) // only types of this file are encoded
	}
	return b
}

func decode(b []byte, v any) error {
	if err := cbor.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read row of the store: %w", err)
	}
	return nil
}

var idText = base32.StdEncoding.WithPadding(base32.NoPadding)

// newID draws an id with the prefix "c_" or "i_".
func newID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:])
	return prefix + strings.ToLower(idText.EncodeToString(b[:]))
}

// messageID names a message by its conversation and number.
func messageID(contact string, number uint64) string {
	return fmt.Sprintf("m_%s_%d", strings.TrimPrefix(contact, "c_"), number)
}

// parseMessageID undoes messageID.
func parseMessageID(id string) (conversation string, number uint64, ok bool) {
	at := strings.LastIndexByte(id, '_')
	if at < 2 || !strings.HasPrefix(id, "m_") {
		return "", 0, false
	}
	number, err := strconv.ParseUint(id[at+1:], 10, 64)
	conversation = id[2:at]
	if conversation != NotesID && !strings.HasPrefix(conversation, "g_") {
		conversation = "c_" + conversation
	}
	return conversation, number, err == nil && messageID(conversation, number) == id
}
