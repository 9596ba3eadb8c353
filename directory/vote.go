package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Specification constants of votes (SPEC.md §16).
const (
	// MaxVote bounds a vote, in bytes: 50,000 relays and a reason for each kind
	// of mark fit.
	MaxVote       = 7 << 18
	relayVoteSize = 32
	pendingSize   = 8 + 1 + 32
	// MaxPending bounds the headers that a vote calls pending, as it does those
	// that a header calls abandoned.
	MaxPending = maxAbandoned
	maxProofs  = maxAbandoned * maxFounders
	maxReasons = 64
	maxReason  = 120 // bytes
	// UnknownFailures says that no mailbox was tried.
	UnknownFailures = 255
)

// ErrBadVote is returned for a vote, an echo or a partial signature that breaks
// a rule.
var ErrBadVote = errors.New("directory: signer's vote is not valid")

// VoteFlags say what a signer knows of a relay besides what it measured.
type VoteFlags uint8

// The flags of a vote on a relay. Watch, MiddleOnly and Exclude are marks and
// need a reason and an expiry; marks count if more than half of the votes have
// them.
const (
	VoteConflict   VoteFlags = 1  // it signed two records with one number
	VoteWatch      VoteFlags = 2  // mark: neither Guard nor Mailbox
	VoteMiddleOnly VoteFlags = 4  // mark: inner wheel only
	VoteExclude    VoteFlags = 8  // mark: not listed
	VoteApprove    VoteFlags = 16 // its join burst is no attack
	voteMarks                = VoteWatch | VoteMiddleOnly | VoteExclude
	allVoteFlags             = voteMarks | VoteConflict | VoteApprove
)

// RelayVote is what a signer says of one relay: 32 bytes (SPEC.md §16.2).
type RelayVote struct {
	Key        [8]byte  // first half of GossipKey
	Descriptor [16]byte // first half of Record.Hash
	Reached    byte     // bit i: address i of the descriptor proved the identity
	Tried      byte     // bit i: address i was tried
	Bandwidth  byte     // weight code of what was measured, 0 = not measured
	Failures   byte     // percent of its mailbox's requests that failed; UnknownFailures
	Flags      VoteFlags
	Reason     uint16 // index in Vote.Reasons, counted from 1; 0 = no mark
	Until      uint16 // day, since 1970, on which the mark ends
}

// SRVShare is a signer's part in a shared random value (SPEC.md §9.3).
type SRVShare struct {
	Round  uint64
	Reveal bool     // else a commitment
	Value  [32]byte // the number, or its commitment
}

// Pending is a header that a signer has signed and of which it knows neither that
// it was completed nor that another took its place (SPEC.md §16.5).
type Pending struct {
	Epoch   uint64 // of the votes on which it was signed last; not before its own
	Attempt uint8  // of the echoes on which it was signed
	Header  [32]byte
}

// Vote is what one signer says of the network before an epoch.
type Vote struct {
	Signer      [32]byte // identity key
	Epoch       uint64   // of the snapshot that is to be made
	Previous    [32]byte // hash of the header before; zero: none
	Share       *SRVShare
	Recommended []string // software, rising
	Relays      []RelayVote
	Reasons     []string
	Pending     []Pending // rising by header
	// Proofs are the echoes, as signers' messages, on which the pending headers were
	// signed: k for each. Rising by their bytes. Parsing does not verify them.
	Proofs [][]byte
	hash   [32]byte
	raw    []byte
}

type voteBody struct {
	V           uint64     `cbor:"1,keyasint"`
	Signer      [32]byte   `cbor:"2,keyasint"`
	Epoch       uint64     `cbor:"3,keyasint"`
	Previous    []byte     `cbor:"4,keyasint,omitempty"`
	Share       *shareBody `cbor:"5,keyasint,omitempty"`
	Recommended []string   `cbor:"6,keyasint,omitempty"`
	Relays      []byte     `cbor:"7,keyasint"`
	Reasons     []string   `cbor:"8,keyasint,omitempty"`
	Pending     []byte     `cbor:"9,keyasint,omitempty"`
	Proofs      [][]byte   `cbor:"10,keyasint,omitempty"`
}

type shareBody struct {
	_      struct{} `cbor:",toarray"`
	Round  uint64
	Reveal bool
	Value  [32]byte
}

// Sign signs the vote with the signer's online key and returns the document.
// It sets the hash.
func (v *Vote) Sign(network NetworkID, online ed25519.PrivateKey) ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	b := voteBody{V: 1, Signer: v.Signer, Epoch: v.Epoch, Recommended: v.Recommended, Reasons: v.Reasons, Proofs: v.Proofs}
	if v.Previous != [32]byte{} {
		b.Previous = v.Previous[:]
	}
	if v.Share != nil {
		b.Share = &shareBody{Round: v.Share.Round, Reveal: v.Share.Reveal, Value: v.Share.Value}
	}
	b.Relays = make([]byte, 0, relayVoteSize*len(v.Relays))
	for i := range v.Relays {
		b.Relays = v.Relays[i].append(b.Relays)
	}
	for _, p := range v.Pending {
		b.Pending = p.append(b.Pending)
	}
	body, err := encode(&b)
	if err != nil {
		return nil, err
	}
	raw, err := sealDocument(labelVote, network, body, online)
	if err == nil && len(raw) > MaxVote {
		err = fmt.Errorf("%w: vote of %d bytes", ErrTooLarge, len(raw))
	}
	if err != nil {
		return nil, err
	}
	v.raw = raw
	v.hash = (&document{Body: body}).hash()
	return raw, nil
}

// ParseVote decodes a vote and verifies its signature by the online key that
// the certificate names. The caller has checked the certificate.
func ParseVote(network NetworkID, raw []byte, c Certificate) (*Vote, error) {
	d, err := openDocument(labelVote, raw, MaxVote)
	if err != nil {
		return nil, fmt.Errorf("parse vote: %w", err)
	}
	var b voteBody
	if err := decode(d.Body, MaxVote, &b); err != nil {
		return nil, fmt.Errorf("parse vote: %w", err)
	}
	if b.V != 1 || len(b.Relays)%relayVoteSize != 0 || len(b.Pending)%pendingSize != 0 {
		return nil, fmt.Errorf("%w: format", ErrBadVote)
	}
	v := &Vote{Signer: b.Signer, Epoch: b.Epoch, Recommended: b.Recommended, Reasons: b.Reasons, Proofs: b.Proofs, hash: d.hash(), raw: bytes.Clone(raw)}
	if v.Previous, err = optionalHash(b.Previous); err != nil {
		return nil, fmt.Errorf("parse vote: %w", err)
	}
	if b.Share != nil {
		v.Share = &SRVShare{Round: b.Share.Round, Reveal: b.Share.Reveal, Value: b.Share.Value}
	}
	for r := b.Relays; len(r) > 0; r = r[relayVoteSize:] {
		v.Relays = append(v.Relays, parseRelayVote(r))
	}
	for p := b.Pending; len(p) > 0; p = p[pendingSize:] {
		v.Pending = append(v.Pending, Pending{Epoch: binary.BigEndian.Uint64(p), Attempt: p[8], Header: [32]byte(p[9:])})
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	if v.Signer != c.Signer || len(d.Signatures) != 1 || !d.signedBy(labelVote, network, c.Online) {
		return nil, fmt.Errorf("parse vote: %w", ErrSignature)
	}
	return v, nil
}

// Hash names the vote: the SHA-256 of its body, which headers and echoes hold.
func (v *Vote) Hash() [32]byte { return v.hash }

// Raw returns the signed document, nil before Sign.
func (v *Vote) Raw() []byte { return v.raw }

// CheckRecommended tells whether a vote can recommend the software: at most 16
// names of 1 to 24 printable ASCII characters, rising.
func CheckRecommended(list []string) error {
	if len(list) > maxRecommended || !risingText(list, maxSoftware) {
		return fmt.Errorf("%w: recommended software: at most %d names of 1 to %d ASCII characters", ErrBadVote, maxRecommended, maxSoftware)
	}
	return nil
}

// Mark returns the mark of a relay that is in force at t, or 0, and its reason.
func (v *Vote) Mark(r *RelayVote, t time.Time) (VoteFlags, string) {
	m := r.Flags & voteMarks
	if m == 0 || t.Unix() >= int64(r.Until)*24*3600 {
		return 0, ""
	}
	return m, v.Reasons[r.Reason-1]
}

func (v *Vote) check() error {
	fail := func(what string) error { return fmt.Errorf("%w: %s", ErrBadVote, what) }
	if err := checkKey(v.Signer); err != nil {
		return fmt.Errorf("%w: %w", ErrBadVote, err)
	}
	if err := CheckRecommended(v.Recommended); err != nil {
		return err
	}
	switch {
	case v.Epoch == 0 || v.Epoch > maxUnix:
		return fail("epoch")
	case v.Share != nil && v.Share.Round > maxUnix:
		return fail("share")
	case len(v.Relays) > maxEntries:
		return fail("number of relays")
	case len(v.Reasons) > maxReasons:
		return fail("number of reasons")
	case len(v.Pending) > MaxPending:
		return fail("number of pending headers")
	case len(v.Proofs) > maxProofs || len(v.Pending) == 0 && len(v.Proofs) > 0:
		return fail("number of proofs")
	}
	for i, p := range v.Proofs {
		if len(p) > 2+maxCertificate+maxEcho || i > 0 && bytes.Compare(v.Proofs[i-1], p) >= 0 {
			return fail("proofs")
		}
	}
	for i, p := range v.Pending {
		if p.Epoch == 0 || p.Epoch >= v.Epoch || p.Attempt == 0 || p.Attempt > maxAttempt || i > 0 && bytes.Compare(v.Pending[i-1].Header[:], p.Header[:]) >= 0 {
			return fail("pending headers")
		}
	}
	for i, s := range v.Reasons {
		if s == "" || !plainText(s, maxReason) || i > 0 && v.Reasons[i-1] >= s {
			return fail("reasons")
		}
	}
	for i := range v.Relays {
		r := &v.Relays[i]
		switch {
		case i > 0 && bytes.Compare(v.Relays[i-1].Key[:], r.Key[:]) >= 0:
			return fail("order of relays")
		case r.Tried > 1<<maxAddrs-1 || r.Reached&^r.Tried != 0:
			return fail("addresses")
		case r.Bandwidth > maxWeightCode || r.Failures > 100 && r.Failures != UnknownFailures:
			return fail("measurements")
		case r.Flags&^allVoteFlags != 0 || int(r.Reason) > len(v.Reasons):
			return fail("flags")
		case (r.Flags&voteMarks != 0) != (r.Reason != 0) || (r.Reason != 0) != (r.Until != 0):
			return fail("a mark needs a reason and an end, and only a mark has them")
		}
	}
	return nil
}

func (r *RelayVote) append(b []byte) []byte {
	b = append(b, r.Key[:]...)
	b = append(b, r.Descriptor[:]...)
	b = append(b, r.Tried<<4|r.Reached, r.Bandwidth, r.Failures, byte(r.Flags))
	b = binary.BigEndian.AppendUint16(b, r.Reason)
	return binary.BigEndian.AppendUint16(b, r.Until)
}

func (p Pending) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.Epoch)
	b = append(b, p.Attempt)
	return append(b, p.Header[:]...)
}

func parseRelayVote(b []byte) RelayVote {
	return RelayVote{
		Key: [8]byte(b), Descriptor: [16]byte(b[8:]), Tried: b[24] >> 4, Reached: b[24] & 15,
		Bandwidth: b[25], Failures: b[26], Flags: VoteFlags(b[27]),
		Reason: binary.BigEndian.Uint16(b[28:]), Until: binary.BigEndian.Uint16(b[30:]),
	}
}
