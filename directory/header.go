package directory

import (
	"errors"
	"fmt"
	"time"
)

// Specification constants of headers (SPEC.md §9).
const (
	maxHeader      = 8 << 10 // bytes of the body
	maxVotes       = maxFounders
	maxAbandoned   = 16
	maxRecommended = 16
)

// ErrBadHeader is returned for a snapshot header that breaks a rule.
var ErrBadHeader = errors.New("directory: snapshot header is not valid")

// HeaderFlags are the flags of a header.
type HeaderFlags uint8

// The flags.
const (
	HeaderLab       HeaderFlags = 1
	HeaderSmall     HeaderFlags = 2 // fewer than 20 relays
	HeaderYoung     HeaderFlags = 4 // less than 60 days old
	HeaderEmergency HeaderFlags = 8 // signed by roots in place of signers
)

// Header is the signed part of a snapshot. Times are whole seconds.
type Header struct {
	Network     NetworkID
	Epoch       uint64
	ValidAfter  time.Time
	FreshUntil  time.Time
	ValidUntil  time.Time
	NextEpoch   time.Duration // length of the epoch that begins here
	FileVersion uint64
	Flags       HeaderFlags
	N           uint64 // listed relays
	EntriesRoot [32]byte
	TablesHash  [32]byte
	Totals      [3]uint64 // weights of the wheels: guard, inner, mailbox
	SRVs        []SRV     // rising by round
	LedgerHash  [32]byte
	Votes       [][32]byte // rising; empty with one signer
	LogSize     uint64     // leaves before this header, and so its index
	LogRoot     [32]byte
	Abandoned   [][32]byte // rising
	Recommended []string   // software, rising
	SRVHash     [32]byte   // SHA-256 of the SRVState after this header; zero: not said
	ext         extensions
}

type headerBody struct {
	V           uint64     `cbor:"1,keyasint"`
	Network     [32]byte   `cbor:"2,keyasint"`
	Epoch       uint64     `cbor:"3,keyasint"`
	ValidAfter  uint64     `cbor:"4,keyasint"`
	FreshUntil  uint64     `cbor:"5,keyasint"`
	ValidUntil  uint64     `cbor:"6,keyasint"`
	NextEpoch   uint64     `cbor:"7,keyasint"`
	FileVersion uint64     `cbor:"8,keyasint"`
	Flags       uint64     `cbor:"9,keyasint"`
	N           uint64     `cbor:"10,keyasint"`
	EntriesRoot [32]byte   `cbor:"11,keyasint"`
	TablesHash  [32]byte   `cbor:"12,keyasint"`
	Totals      [3]uint64  `cbor:"13,keyasint"`
	SRVs        []srvEntry `cbor:"14,keyasint"`
	LedgerHash  [32]byte   `cbor:"15,keyasint"`
	Votes       [][32]byte `cbor:"16,keyasint"`
	LogSize     uint64     `cbor:"17,keyasint"`
	LogRoot     [32]byte   `cbor:"18,keyasint"`
	Abandoned   [][32]byte `cbor:"19,keyasint,omitempty"`
	Recommended []string   `cbor:"20,keyasint,omitempty"`
	SRVHash     []byte     `cbor:"21,keyasint,omitempty"`
	Ext         extensions `cbor:"127,keyasint,omitempty"`
}

type srvEntry struct {
	_     struct{} `cbor:",toarray"`
	Round uint64
	Value [32]byte
}

// encode returns the body of the header.
func (h *Header) encode() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	b := headerBody{
		V: 1, Network: h.Network, Epoch: h.Epoch,
		ValidAfter: uint64(h.ValidAfter.Unix()), FreshUntil: uint64(h.FreshUntil.Unix()), ValidUntil: uint64(h.ValidUntil.Unix()),
		NextEpoch: uint64(h.NextEpoch / time.Second), FileVersion: h.FileVersion, Flags: uint64(h.Flags), N: h.N,
		EntriesRoot: h.EntriesRoot, TablesHash: h.TablesHash, Totals: h.Totals, LedgerHash: h.LedgerHash,
		Votes: h.Votes, LogSize: h.LogSize, LogRoot: h.LogRoot, Abandoned: h.Abandoned, Recommended: h.Recommended, Ext: h.ext,
	}
	for _, s := range h.SRVs {
		b.SRVs = append(b.SRVs, srvEntry{Round: s.Round, Value: s.Value})
	}
	if h.SRVHash != [32]byte{} {
		b.SRVHash = h.SRVHash[:]
	}
	return encode(&b)
}

// parseHeader decodes and checks the body of a header.
func parseHeader(raw []byte) (Header, error) {
	var b headerBody
	if err := decode(raw, maxHeader, &b); err != nil {
		return Header{}, err
	}
	if b.V != 1 {
		return Header{}, fmt.Errorf("%w: format %d; a newer program may know it", ErrBadHeader, b.V)
	}
	if max(b.ValidAfter, b.FreshUntil, b.ValidUntil) > maxUnix || b.NextEpoch > 10800 || b.Flags > 15 {
		return Header{}, fmt.Errorf("%w: value out of range", ErrBadHeader)
	}
	if err := b.Ext.check(); err != nil {
		return Header{}, err
	}
	h := Header{
		Network: b.Network, Epoch: b.Epoch,
		ValidAfter: time.Unix(int64(b.ValidAfter), 0), FreshUntil: time.Unix(int64(b.FreshUntil), 0), ValidUntil: time.Unix(int64(b.ValidUntil), 0),
		NextEpoch: time.Duration(b.NextEpoch) * time.Second, FileVersion: b.FileVersion, Flags: HeaderFlags(b.Flags), N: b.N,
		EntriesRoot: b.EntriesRoot, TablesHash: b.TablesHash, Totals: b.Totals, LedgerHash: b.LedgerHash,
		Votes: b.Votes, LogSize: b.LogSize, LogRoot: b.LogRoot, Abandoned: b.Abandoned, Recommended: b.Recommended, ext: b.Ext,
	}
	for _, s := range b.SRVs {
		h.SRVs = append(h.SRVs, SRV{Round: s.Round, Value: s.Value})
	}
	var err error
	if h.SRVHash, err = optionalHash(b.SRVHash); err != nil {
		return Header{}, err
	}
	return h, h.check()
}

// check applies the rules that a header must obey by itself (SPEC.md §9.2).
func (h *Header) check() error {
	fail := func(what string) error { return fmt.Errorf("%w: %s", ErrBadHeader, what) }
	lab := h.Lab()
	unit := EpochUnit(lab)
	switch {
	case h.Epoch == 0 || h.Epoch > maxUnix || h.ValidAfter.Unix() != int64(h.Epoch)*int64(unit/time.Second):
		return fail("epoch number does not follow from its time")
	case !validEpochLength(h.NextEpoch, lab):
		return fail("epoch length")
	case !h.FreshUntil.Equal(h.ValidAfter.Add(freshEpochs*h.NextEpoch)) || !h.validLife():
		return fail("validity")
	case h.Emergency() && len(h.Votes)+len(h.Abandoned) > 0:
		return fail("votes in an emergency, in which signers had no part")
	case h.Flags&HeaderSmall != 0 != (h.N < smallNetwork):
		return fail("flag small")
	case h.N > maxEntries:
		return fail("number of relays")
	case h.FileVersion < 1 || h.FileVersion > maxVersions:
		return fail("file version")
	case h.LogSize < h.FileVersion || h.LogSize > maxLogSize:
		return fail("log size")
	case len(h.SRVs) != maxSRVs:
		return fail("number of shared random values")
	case h.SRVs[maxSRVs-1].Round+1 != srvRound(lab, h.ValidAfter):
		return fail("the last shared random value is not of the round before")
	case len(h.Votes) > maxVotes || !rising(h.Votes):
		return fail("votes")
	case len(h.Abandoned) > maxAbandoned || !rising(h.Abandoned):
		return fail("abandoned headers")
	case len(h.Recommended) > maxRecommended || !risingText(h.Recommended, maxSoftware):
		return fail("recommended software")
	}
	for i := 1; i < len(h.SRVs); i++ {
		if h.SRVs[i].Round != h.SRVs[i-1].Round+1 {
			return fail("rounds of shared random values")
		}
	}
	return nil
}

// Lab tells whether the header is that of a lab network.
func (h *Header) Lab() bool { return h.Flags&HeaderLab != 0 }

// Emergency tells whether founders signed the header in place of the signers.
func (h *Header) Emergency() bool { return h.Flags&HeaderEmergency != 0 }
